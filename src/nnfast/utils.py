"""What a Keras script takes from `keras.utils`, and where seeds come from when a model is given none.

It prepares data, draws seeds, and looks at what a network does (`dead_units`); nothing here trains.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import arrays
from .names import unknown_attribute

if TYPE_CHECKING:
    from .models import Sequential

__all__ = ["dead_units", "next_seed", "normalize", "set_random_seed", "to_categorical"]

BLOCK_ROWS = 1024
"""Rows that `dead_units` looks at together: their activations stay in the cache."""


class _Seeds:
    """What `set_random_seed` starts and `next_seed` draws from; one assignment, so that threads may draw."""

    sequence: tuple[int, Iterator[int]] | None = None  # the seed, and the numbers of the draws from it


def normalize(x: ArrayLike, axis: int = -1, order: float = 2) -> NDArray[np.floating[Any]]:
    """Divide by the norm along an axis, so that it becomes 1 there.

    x / (sum_axis |x|^order)^(1/order), with zero norms replaced by 1, as in `keras.utils.normalize`. On
    images (N, 28, 28) with axis=1 each pixel column of each image gets unit length.

    Parameters
    ----------
    x : array_like of real numbers, at least one axis
        Not written to.
    axis : int, default -1
        The axis whose entries make one vector.
    order : float, default 2
        Order of the norm: 1, 2, `numpy.inf`, or whatever else `numpy.linalg.norm` takes for vectors.

    Returns
    -------
    ndarray of the shape of x
        A new array, float32 for float32 and float64 for everything else.

    Raises
    ------
    TypeError
        `x` does not hold real numbers.
    ValueError
        `axis` is not an axis of `x`, or a norm is infinite: the vector would silently become 0.

    Examples
    --------
    >>> normalize([[3, 4], [0, 0]])
    array([[0.6, 0.8],
           [0. , 0. ]])
    >>> normalize([[3, 4], [1, 0]], axis=0, order=1)
    array([[0.75, 1.  ],
           [0.25, 0.  ]])
    """
    values = arrays.to_numpy(x, "x")
    single = values.dtype.kind == "f" and values.dtype.itemsize == 4
    values = values.astype(np.float32 if single else np.float64, copy=False)
    if not isinstance(axis, int | np.integer) or not -values.ndim <= axis < values.ndim:
        raise ValueError(f"axis must be an axis of x, which has shape {values.shape}, got {axis}.")
    with np.errstate(all="ignore"):  # a sum of squares that overflows is reported below
        norm = np.linalg.norm(values, order, axis, keepdims=True)
    if np.isinf(norm).any():
        raise ValueError(
            f"x has a norm along axis {axis} that is infinite in {values.dtype}: it holds infinite or too "
            "large values. Remove or scale them."
        )
    norm[norm == 0] = 1
    with np.errstate(all="ignore"):  # what underflows is 0
        return np.asarray(values / norm)


def to_categorical(x: ArrayLike, num_classes: int | None = None) -> NDArray[np.float64]:
    """One-hot rows for class labels, as the loss "categorical_crossentropy" wants them.

    The loss "sparse_categorical_crossentropy" takes the labels as they are and gives the same numbers.

    Parameters
    ----------
    x : array_like of whole numbers from 0, of any shape
        A last axis of length 1 is dropped, unless it is the only one.
    num_classes : int, optional
        Length of a row; by default the largest label + 1.

    Returns
    -------
    ndarray of float64, shape of x + (num_classes,)

    Raises
    ------
    TypeError
        `x` does not hold numbers.
    ValueError
        A label is not a whole number from 0 to num_classes - 1, or `x` is empty and `num_classes` not given.

    Examples
    --------
    >>> to_categorical([0, 2])
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    given = arrays.to_numpy(x, "x")
    shape = given.shape[:-1] if given.ndim > 1 and given.shape[-1] == 1 else given.shape
    flat = given.reshape(-1)
    most = arrays.MAX_CLASSES
    if num_classes is None:
        if not flat.size:
            raise ValueError("x must hold a label when num_classes is not given, got none. Give num_classes.")
        finite = flat[np.isfinite(flat)]
        num_classes = int(finite.max()) + 1 if finite.size else 0
        if num_classes > most:
            raise ValueError(
                f"x must hold labels below {most}, got {finite.max()}. Number the classes from 0 without gaps."
            )
    elif not isinstance(num_classes, int | np.integer) or not 1 <= num_classes <= most:
        raise ValueError(f"num_classes must be a whole number from 1 to {most}, got {num_classes!r}.")
    # Before the cast: as integers, 1.5 and NaN would look like labels, and -1 would count from the end.
    wrong = ~((flat >= 0) & (flat < num_classes) & (flat == np.floor(flat)))
    if wrong.any():
        place = int(wrong.argmax())
        raise ValueError(
            f"x must hold whole numbers from 0 to num_classes - 1 = {num_classes - 1}, got {flat[place]} at "
            f"position {place}. Number the classes from 0, or give num_classes."
        )
    rows = np.zeros((flat.size, num_classes))
    rows[np.arange(flat.size), flat.astype(np.intp)] = 1
    return rows.reshape(*shape, num_classes)


def dead_units(model: Sequential, x: ArrayLike) -> dict[str, float]:
    """The fraction of dead units in each layer: those whose output is 0 for every row.

    Where a ReLU gives 0 its slope is 0, so that no row moves the weights of such a unit, and gradient descent
    cannot bring it back. A few are usual in a hidden layer. A whole layer lets no gradient through: nothing
    below it learns, and if it is the last one nothing at all (`errors.DeadUnits` warns of that).

    Parameters
    ----------
    model : Sequential
    x : array_like, shape (N, ...)
        As for `predict`. All of N is looked at unless every unit has given something before.

    Returns
    -------
    dict of str to float
        Name of each layer that computes something to a fraction from 0 to 1. An `Activation` that follows a
        linear `Dense` is part of it.

    Raises
    ------
    ValueError, TypeError
        `x` is not what `predict` takes.

    Examples
    --------
    >>> from nnfast import Sequential, layers
    >>> model = Sequential([layers.Input((1,)), layers.Dense(2, "relu"), layers.Dense(1)], seed=0)
    >>> model.set_weights([[[1.0, -1.0]], [0.0, 0.0], [[1.0], [1.0]], [0.0]])
    >>> dead_units(model, [[1.0], [2.0]])
    {'dense': 0.5, 'dense_1': 0.0}
    """
    from . import kernels
    from .activations import Activation

    array = arrays.to_rows(x)
    model.network(arrays.sample_shape(array))
    inputs = arrays.as_inputs(array, model.sample_shape)
    ops = [op for op in model.ops() if op.kind != "dropout"]  # which drops nothing here
    weights = iter(model.weights)
    tensors = [[next(weights) for _ in range(1 + op.use_bias)] if op.kind == "dense" else [] for op in ops]
    silent = [np.ones(op.units, bool) for op in ops]
    for start in range(0, len(inputs), BLOCK_ROWS):
        undecided = [place for place, units in enumerate(silent) if units.any()]
        if not undecided:
            break
        block = inputs[start : start + BLOCK_ROWS]
        a = block if isinstance(block, np.ndarray) else block.toarray()
        for op, own, units in zip(ops[: undecided[-1] + 1], tensors, silent, strict=False):
            activation = Activation(op.activation, op.parameter or None)
            if own:
                a = kernels.dense_forward(a, own[0], own[1] if op.use_bias else None, activation)
            else:
                a = kernels.activation_forward(a, activation)
            units &= ~a.any(axis=0)
    return {op.name: float(units.mean()) for op, units in zip(ops, silent, strict=True)}


def set_random_seed(seed: int) -> None:
    """Make a script repeatable: seed Python's `random`, NumPy's global generator, and nnfast's own.

    Models made with `seed=None` afterwards take their seeds from one sequence, in the order in which they
    are made. Call it again to start the sequence again.

    Parameters
    ----------
    seed : int
        From 0 to 2**63 - 1.

    Raises
    ------
    ValueError
        `seed` is not such a number.

    Examples
    --------
    >>> set_random_seed(7)
    >>> first = next_seed(), next_seed()
    >>> set_random_seed(7)
    >>> first == (next_seed(), next_seed())
    True
    """
    import random

    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise ValueError(f"seed must be a whole number from 0 to 2**63 - 1, got {seed!r}.")
    seed = int(seed)
    random.seed(seed)
    # NumPy takes 32 bits as a number, as every other Keras script does it, and more as an array of words.
    np.random.seed(seed if seed < 2**32 else [seed & 0xFFFFFFFF, seed >> 32])
    _Seeds.sequence = seed, itertools.count(1)


def next_seed() -> int:
    """The seed of a model that was given none.

    Returns
    -------
    int
        From 0 to 2**63 - 1: the next of the sequence that `set_random_seed` started, else entropy of the
        system.
    """
    if _Seeds.sequence is None:
        return int.from_bytes(os.urandom(8)) >> 1
    seed, draws = _Seeds.sequence
    return _splitmix64(seed, next(draws)) >> 1


def _splitmix64(seed: int, draw: int) -> int:
    """Output `draw`, from 1, of the generator SplitMix64: Steele, Lea and Flood, OOPSLA 2014, figure 17."""
    mask = 2**64 - 1
    z = (seed + draw * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def __getattr__(name: str) -> Any:
    raise unknown_attribute(__name__, name, __all__)
