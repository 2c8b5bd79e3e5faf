"""Where rows may come from besides arrays: an object that holds them together with how they are to be batched."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Rows(NamedTuple):
    """What a source has: data, and what a fit over them is to do."""

    x: Any
    y: Any
    sample_weight: Any
    batch_size: int
    shuffle: bool


class Source:
    """Base of what fit, evaluate and predict take in the place of x."""

    def as_rows(self) -> Rows:
        """All rows, and how they are batched."""
        raise TypeError(f"{type(self).__name__} does not say what its rows are.")


def gives_batches(x: object) -> bool:
    """Whether it is a generator or another iterator, or like Keras' `Sequence` and `PyDataset`."""
    if hasattr(x, "__next__"):
        return True
    own = type(x).__dict__ if not isinstance(x, np.ndarray | list | tuple) else {}
    return (
        "__getitem__" in own
        and not hasattr(x, "dtype")
        and hasattr(x, "__len__")
        and hasattr(x, "on_epoch_end")
    )


def rows_of(
    x: Any, y: Any = None, sample_weight: Any = None, batch_size: int | None = None, shuffle: bool = True
) -> tuple[Any, Any, Any, int | None, bool]:
    """The arguments as they are, or those that a source stands for.

    Raises
    ------
    TypeError
        A generator, or an object that gives batches by their number.
    ValueError
        A source and arguments beside it that it decides itself.
    """
    if not isinstance(x, Source):
        if gives_batches(x):
            raise TypeError(
                f"x is a {type(x).__name__}, which gives batches one after the other, and arrays are wanted. Gather its "
                "batches into arrays, or call model.fit_generator, evaluate_generator or predict_generator."
            )
        return x, y, sample_weight, batch_size, shuffle
    for name, given in (("y", y), ("sample_weight", sample_weight), ("batch_size", batch_size)):
        if given is not None:
            raise ValueError(
                f"{name} must be left out where x is a {type(x).__name__}, which decides it itself; got {name} too. "
                "Use dataset.batch(rows) for the size of a batch."
            )
    return tuple(x.as_rows())
