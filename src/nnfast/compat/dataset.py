"""`tf.data.Dataset` over arrays in memory: a thin source for fit, evaluate and predict."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, Self

import numpy as np

from ..data import arrays
from ..data.sources import Rows, Source
from ..data.tensors import tensor
from ..seeds import next_seed

AUTOTUNE = -1


class Dataset(Source):
    """Rows in memory, in tuples of (x), (x, y) or (x, y, sample_weight), and how they are batched.

    A fit over it does what a fit over its arrays does, with this batch size, in a fresh permutation of all rows
    for each epoch where `shuffle` was called (of whatever buffer), else in their order. Nothing is read ahead.

    Parameters
    ----------
    columns : tuple of ndarray
    single : bool
        An element is one array, no tuple.
    """

    def __init__(self, columns: tuple[Any, ...], single: bool) -> None:
        self._columns = columns
        self._single = single
        self._batch: int | None = None
        self._drops = False
        self._shuffles = False

    @classmethod
    def from_tensor_slices(cls, tensors: Any, name: str | None = None) -> Self:
        """One element for each row.

        Raises
        ------
        TypeError
            A dict, which names several inputs; no arrays of numbers.
        ValueError
            Numbers of rows that differ; more than three arrays.
        """
        if isinstance(tensors, dict):
            raise TypeError(
                "from_tensor_slices takes an array or a tuple of them here, got a dict. Stack its columns first."
            )
        single = not isinstance(tensors, tuple)
        given = (tensors,) if single else tensors
        if not 1 <= len(given) <= 3:
            raise ValueError(
                f"an element must be x, (x, y) or (x, y, sample_weight), got {len(given)} arrays."
            )
        columns = tuple(arrays.to_numpy(column, f"tensors[{place}]") for place, column in enumerate(given))
        sizes = [len(column) if column.ndim else 0 for column in columns]
        if len(set(sizes)) != 1 or not sizes[0]:
            raise ValueError(f"all arrays must have the same number of rows, at least 1, got {sizes}.")
        return cls(columns, single)

    def _with(self, **changes: Any) -> Self:
        other = type(self)(self._columns, self._single)
        vars(other).update(vars(self))
        vars(other).update(changes)
        return other

    def batch(self, batch_size: int, drop_remainder: bool = False, **_: Any) -> Self:
        """Put so many rows in a batch; `drop_remainder` leaves out a last one that is smaller."""
        if self._batch is not None:
            raise ValueError("batch was called already: a batch of batches is no batch of rows.")
        if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise ValueError(f"batch_size must be a whole number > 0, got {batch_size!r}.")
        return self._with(_batch=int(batch_size), _drops=bool(drop_remainder))

    def shuffle(
        self, buffer_size: int | None = None, seed: int | None = None, reshuffle_each_iteration: bool = True
    ) -> Self:
        """Have each epoch see all rows in a fresh permutation."""
        if self._batch is not None:
            raise ValueError("shuffle must be called before batch here: rows are shuffled, not batches.")
        if not reshuffle_each_iteration:
            return self._permuted(seed)
        return self._with(_shuffles=True)

    def prefetch(self, buffer_size: int = AUTOTUNE) -> Self:
        """The same: all rows are in memory."""
        return self

    def cache(self, filename: str = "") -> Self:
        """The same: all rows are in memory."""
        return self

    def with_options(self, options: object) -> Self:
        """The same: there is nothing to choose."""
        return self

    def repeat(self, count: int | None = None) -> Self:
        """Refused but for once: an epoch is once over all rows.

        Raises
        ------
        ValueError
            Another count than 1.
        """
        if count != 1:
            raise ValueError(
                "repeat is out: an epoch is once over all rows here. Leave it out, and give fit epochs=n."
            )
        return self

    def take(self, count: int) -> Self:
        """The first so many rows, or batches; of shuffled rows, those of one permutation."""
        return self._part(slice(0, count if count < 0 else count * (self._batch or 1)))

    def skip(self, count: int) -> Self:
        """All but the first so many rows, or batches."""
        return self._part(slice(count * (self._batch or 1), None))

    def _part(self, part: slice) -> Self:
        whole = part.stop is not None and part.stop < 0
        chosen = self._permuted(None) if self._shuffles and not whole else self
        return chosen if whole else chosen._with(_columns=tuple(column[part] for column in chosen._columns))

    def _permuted(self, seed: int | None) -> Self:
        order = np.random.default_rng(next_seed() if seed is None else seed).permutation(
            len(self._columns[0])
        )
        return self._with(_columns=tuple(column[order] for column in self._columns), _shuffles=False)

    def map(self, map_func: Callable[..., Any], *_: Any, **__: Any) -> Self:
        """Apply a function to each row, or to each batch, once."""
        made = [
            map_func(*element) if isinstance(element, tuple) else map_func(element)
            for element in self._elements()
        ]
        single = not isinstance(made[0], tuple)
        parts = [(element,) if single else element for element in made]
        join = np.concatenate if self._batch else np.stack
        return self._with(_columns=tuple(join(column) for column in zip(*parts, strict=True)), _single=single)

    def filter(self, predicate: Callable[..., Any]) -> Self:
        """Keep the rows of which a function says so."""
        if self._batch is not None:
            raise ValueError("filter must be called before batch here.")
        kept = [bool(predicate(*e) if isinstance(e, tuple) else predicate(e)) for e in self._elements()]
        return self._with(_columns=tuple(column[np.array(kept)] for column in self._columns))

    def unbatch(self) -> Self:
        """Rows again."""
        return self._with(_batch=None, _drops=False)

    def _used(self) -> int:
        rows = len(self._columns[0])
        return rows // self._batch * self._batch if self._batch and self._drops else rows

    def __len__(self) -> int:
        return math.ceil(self._used() / (self._batch or 1))

    def cardinality(self) -> int:
        """The number of elements: rows or batches."""
        return len(self)

    def _elements(self) -> Iterator[Any]:
        for start in range(0, self._used(), self._batch or 1):
            part = slice(start, start + self._batch) if self._batch else start
            element = tuple(tensor(column[part]) for column in self._columns)
            yield element[0] if self._single else element

    def __iter__(self) -> Iterator[Any]:
        return (self._permuted(None) if self._shuffles else self)._elements()

    def as_numpy_iterator(self) -> Iterator[Any]:
        """The elements as plain arrays."""
        for element in self:
            yield tuple(map(np.asarray, element)) if isinstance(element, tuple) else np.asarray(element)

    def as_rows(self) -> Rows:
        """What a fit takes.

        Raises
        ------
        ValueError
            It is not batched: each row would be one sample without its axis of rows.
        """
        if self._batch is None:
            raise ValueError(
                "the dataset is not batched. Call dataset.batch(32) before fit, evaluate or predict."
            )
        used = slice(0, self._used())
        x, y, weight = (*(column[used] for column in self._columns), None, None)[:3]
        return Rows(x, y, weight, self._batch, self._shuffles)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"Dataset has no {name!r}. nnfast has of tf.data what serves arrays in memory: from_tensor_slices, shuffle, "
            "batch, map, filter, take, skip, cache, prefetch. Use arrays and NumPy for the rest.",
            name=name,
            obj=self,
        )
