"""What a Keras script takes from `keras.utils`: preparing data, seeds, and a look at what a network does."""

from __future__ import annotations

import sys
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arguments import accepting
from .data import arrays
from .errors import cut
from .names import unknown_attribute
from .seeds import next_seed, set_random_seed
from .training.health import dead_units

if TYPE_CHECKING:
    from .models import Sequential

__all__ = ["dead_units", "next_seed", "normalize", "plot_model", "set_random_seed", "to_categorical"]


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
        raise ValueError(f"axis must be an axis of x, which has shape {values.shape}, got {cut(axis)}.")
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


@accepting
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
        raise ValueError(f"num_classes must be a whole number from 1 to {most}, got {cut(num_classes)}.")
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


def plot_model(
    model: Sequential,
    to_file: str | PathLike[str] = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
) -> Any:
    """Draw a model into a file, by `plot.network`: columns of neurons, from left to right.

    Parameters
    ----------
    model : Sequential
        Whose inputs are known.
    to_file : path, default "model.png"
        Its suffix (.png, .svg, .pdf) says how.
    show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, dpi, show_layer_activations, show_trainable
        Of the boxes that Keras draws; there are none here, and they change nothing.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    from .plot import network

    return network(model, path=to_file)


np_utils = sys.modules[__name__]
"""The module's name in older Keras."""


def __getattr__(name: str) -> Any:
    raise unknown_attribute(__name__, name, __all__)
