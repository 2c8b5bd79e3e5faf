"""The one place that turns what users have into what the engine takes: C-ordered float32 matrices and int32
labels, checked once.

Lists, DataFrames, other dtypes, strided, read-only, memory-mapped and byte-swapped arrays all come through
here, and inputs in SciPy's sparse formats, which are never made dense. A caller's array is never written, and
not copied when it is already right. Rows and columns in messages count from 0.
"""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from ..errors import cut
from . import diagnosis, tables

MAX_ROWS = 2**32 - 1
"""Rows are shuffled as uint32."""

MAX_CLASSES = 2**31 - 1
"""Labels are int32."""

LARGEST = float(np.finfo(np.float32).max)

Array = NDArray[Any]
Floats = NDArray[np.float32]
Labels = NDArray[np.int32]
Inputs = Floats | _core.SparseRows


def to_numpy(values: object, name: str, dtype: type[np.float32] | None = None) -> Array:
    """The array of numbers behind a list, DataFrame or array, not copied where that is possible.

    Parameters
    ----------
    values : array_like
        Bools, integers or floats of any shape and layout.
    name : str
        The argument, for messages.
    dtype : dtype, optional
        That of a DataFrame whose columns differ in theirs; see `tables.to_numpy`.

    Raises
    ------
    TypeError
        Not numbers: arrays of objects, text, dates, complex numbers or records, sparse arrays, dicts, sets,
        generators.
    ValueError
        Lists of unequal length; a value that is missing: None, NaN in a DataFrame, masked.

    Examples
    --------
    >>> to_numpy([[1, 2], [3, 4]], "x").shape
    (2, 2)
    """
    if type(values) is np.ndarray and values.dtype.kind in "biuf":  # no subclass: most calls end here
        return values
    if tables.is_table(values):
        return tables.to_numpy(values, name, dtype)
    if isinstance(values, np.ma.MaskedArray) and values.dtype.names is None and np.ma.is_masked(values):
        raise diagnosis.masked(values, name)
    if hasattr(values, "toarray"):
        raise TypeError(
            f"{name} must be a dense array, got {type(values).__name__}. Convert it: {name}.toarray()."
        )
    try:
        array = np.asarray(values)
    except MemoryError:
        raise
    except ValueError as error:
        raise ValueError(
            f"{name} must be an array, got rows of unequal length ({error}). Pad or trim them."
        ) from None
    except Exception as error:  # whatever an object's own __array__ raises
        raise TypeError(
            f"{name} must hold real numbers, got {type(values).__name__}, which does not become an array "
            f"({error}). Convert it to a NumPy array first."
        ) from error
    if not array.size and array.dtype.kind == "O":
        return array.astype(np.float32)
    if array.dtype.kind not in "biuf":
        raise diagnosis.no_numbers(values, array, name)
    return array


def as_float32(values: object, name: str) -> Floats:
    """A finite, C-contiguous, aligned float32 array of the same shape.

    Raises
    ------
    ValueError
        NaN or infinity, or a value beyond the range of float32: checked after the cast, with its place.
    """
    array = to_numpy(values, name, np.float32)
    if array.dtype == np.float32 and array.flags.c_contiguous and array.flags.aligned:
        result: Floats = array
    else:
        with np.errstate(all="ignore"):  # an overflow is found below, with its place; what underflows is 0
            result = np.require(array, np.float32, ("C_CONTIGUOUS", "ALIGNED"))
    if array.dtype.kind == "f":
        index = _core.first_nonfinite(result)
        if index >= 0:
            raise diagnosis.not_finite(name, array.flat[index], diagnosis.place(index, array.shape))
    return result


def to_rows(x: object, name: str = "x") -> Array | _core.SparseRows:
    """What inputs are made of: an array, or the rows of a SciPy sparse matrix or array.

    Parameters
    ----------
    x : array_like, or sparse of shape (N, I)
        CSR with sorted indices, int32, and float32 values is taken as it is; anything else is converted to
        that, never to a dense array. Zeros that are stored are allowed.
    name : str
        The argument, for messages.

    Raises
    ------
    TypeError
        Not real numbers.
    ValueError
        Sparse with a value that is not finite in float32, with none, or with another number of axes than two.
    """
    if type(x) is np.ndarray:  # most calls end here
        return to_numpy(x, name)
    scipy_sparse: Any = sys.modules.get("scipy.sparse")  # what is not loaded cannot have made x
    if not hasattr(scipy_sparse, "issparse") or not scipy_sparse.issparse(x):
        return to_numpy(x, name, np.float32)
    matrix: Any = x
    if len(matrix.shape) != 2:
        raise ValueError(f"{name} must have shape (N, I), got a sparse array of shape {matrix.shape}.")
    matrix = matrix.tocsr()
    if matrix.dtype.kind not in "biuf":
        raise diagnosis.no_numbers(x, matrix.data, f"the values of {name}")
    if matrix.shape[1] > np.iinfo(np.int32).max:
        raise ValueError(
            f"{name} must have at most 2**31 - 1 columns, got {matrix.shape[1]}. Hash or select them."
        )
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    with np.errstate(all="ignore"):  # an overflow is found below, with its place; what underflows is 0
        value = np.require(matrix.data, np.float32, ("C_CONTIGUOUS", "ALIGNED"))
    index = _core.first_nonfinite(value)
    if index >= 0:
        place = int(np.searchsorted(matrix.indptr, index, side="right")) - 1
        raise ValueError(
            f"{name} must be finite and fit into float32, got {matrix.data[index]} in row {place}, "
            f"column {matrix.indices[index]}. Remove such rows, or fill them in."
        )
    return _core.SparseRows(
        np.require(matrix.indptr, np.int64, ("C_CONTIGUOUS", "ALIGNED")),
        np.require(matrix.indices, np.int32, ("C_CONTIGUOUS", "ALIGNED")),
        value,
        matrix.shape[1],
    )


def sample_shape(x: Array | _core.SparseRows) -> tuple[int, ...]:
    """The shape of one row; numbers in a plain list are rows of one column."""
    if 0 in x.shape[1:]:
        raise ValueError(f"x must have at least one column, got shape {x.shape}.")
    return x.shape[1:] or (1,)


def as_inputs(x: object, shape: tuple[int, ...], name: str = "x") -> Inputs:
    """Inputs as a matrix with one row per sample.

    Parameters
    ----------
    x : array_like, shape (N, *shape), or sparse, shape (N, I)
        A last axis of length 1 may be missing or added.
    shape : tuple of int
        Shape of one sample, as the model was built for.

    Returns
    -------
    ndarray of float32, shape (N, prod(shape)), or SparseRows

    Raises
    ------
    TypeError
        Not numbers.
    ValueError
        No rows, another shape, or a value that is not finite in float32.

    Examples
    --------
    >>> as_inputs([[[1, 2], [3, 4]]], (2, 2))
    array([[1., 2., 3., 4.]], dtype=float32)
    """
    if len(shape) == 1 and _core.is_ready(x, shape[0]) and len(x) <= MAX_ROWS:  # type: ignore[arg-type]
        return x  # type: ignore[return-value]
    array = x if isinstance(x, _core.SparseRows) else to_rows(x, name)
    given = array.shape[1:]
    if array.ndim == 0 or not (given == shape or (*given, 1) == shape or given == (*shape, 1)):
        raise _wrong_inputs(array, shape, name)
    if len(array) == 0:
        raise ValueError(f"{name} must have at least one row, got shape {array.shape}.")
    if len(array) > MAX_ROWS:
        raise ValueError(f"{name} must have at most {MAX_ROWS} rows, got {len(array)}. Train on parts of it.")
    if isinstance(array, _core.SparseRows):
        return array
    return as_float32(array, name).reshape(len(array), math.prod(shape))


def _wrong_inputs(array: Array | _core.SparseRows, shape: tuple[int, ...], name: str) -> ValueError:
    if 0 in array.shape[1:]:
        return ValueError(f"{name} must have at least one column, got shape {array.shape}.")
    expected = f"({', '.join(['N', *map(str, shape)])})"
    remedy = "The model was built for this shape"
    if array.ndim == 0:
        remedy = (
            f"Pass one row for each sample: [{name}]" if shape == (1,) else "Pass one row for each sample"
        )
    elif array.shape == shape:
        remedy = f"For one sample pass {name}[None]"
    elif array.ndim and len(array) and math.prod(array.shape[1:]) == math.prod(shape):
        remedy = f"Reshape it: {name}.reshape({', '.join(map(str, (-1, *shape)))})"
    return ValueError(f"{name} must have shape {expected}, got {array.shape}. {remedy}.")


def as_labels(y: object, rows: int, classes: int, name: str = "y") -> Labels:
    """Class labels as int32.

    Parameters
    ----------
    y : array_like, shape (N,) or (N, 1)
        Integers from 0 to classes - 1, of any dtype; floats must be whole.
    rows : int
        N, the number of rows of x.
    classes : int
        Number of outputs of the model.

    Raises
    ------
    ValueError
        Another shape or length; a label out of range or not whole, with its row.

    Examples
    --------
    >>> as_labels([[2.0], [0.0]], rows=2, classes=3)
    array([2, 0], dtype=int32)
    """
    array = to_numpy(y, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        remedy = "Take the index of the class"
        if array.ndim == 2 and array.shape[1] == classes:
            remedy = f"For one-hot rows use loss 'categorical_crossentropy', or pass {name}.argmax(axis=1)"
        raise ValueError(f"{name} must hold labels of shape (N,) or (N, 1), got {array.shape}. {remedy}.")
    _check_length(array, rows, name)
    if _wrong_labels(array, classes):
        exact = array.astype(np.float64) if array.dtype.kind in "bf" else array
        with np.errstate(all="ignore"):
            row = np.flatnonzero(~((exact >= 0) & (exact < classes) & (exact == np.floor(exact))))[0]
        raise ValueError(
            f"{name} must hold labels from 0 to {classes - 1}, as the model has {classes} outputs, "
            f"got {array[row]} in row {row}. "
            "Give the last layer one unit per class, or number the classes from 0."
        )
    return np.require(array, np.int32, ("C_CONTIGUOUS", "ALIGNED"))


def _wrong_labels(array: Array, classes: int) -> bool:
    """Whether any is out of range or not whole."""
    if array.dtype.kind in "iu" and array.dtype.isnative:
        bits = 8 * array.dtype.itemsize
        if array.dtype.kind == "u" or classes <= 1 << (bits - 1):
            # Seen as unsigned, negative labels are beyond what the signed dtype holds: one comparison checks both ends.
            return bool(array.view(f"u{array.dtype.itemsize}").max() >= classes)
        return bool(array.min() < 0)  # every other value of the dtype is a class
    with np.errstate(all="ignore"):
        whole = np.array_equal(array, array.astype(np.int32))
    return not whole or int(array.min()) < 0 or int(array.max()) >= classes


def as_targets(y: object, rows: int, outputs: int, name: str = "y", probabilities: bool = False) -> Floats:
    """Targets as a float32 matrix.

    Parameters
    ----------
    y : array_like, shape (N, outputs); (N,) too where outputs is 1
    rows : int
        N, the number of rows of x.
    outputs : int
        Number of outputs of the model.
    probabilities : bool, default False
        Demand values from 0 to 1, as binary cross-entropy needs them.

    Returns
    -------
    ndarray of float32, shape (N, outputs)

    Raises
    ------
    ValueError
        Another shape or length; a value that is not finite in float32, or no probability.

    Examples
    --------
    >>> as_targets([1, 0], rows=2, outputs=1)
    array([[1.],
           [0.]], dtype=float32)
    """
    array = to_numpy(y, name)
    if array.ndim == 1 and outputs == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] != outputs:
        remedy = "Give the last layer as many units as there are targets"
        if array.ndim == 1 or array.shape[1:] == (1,):
            remedy = "For class labels use loss 'sparse_categorical_crossentropy', or utils.to_categorical"
        raise ValueError(
            f"{name} must have shape (N, {outputs}), as the model has {outputs} outputs, "
            f"got {array.shape}. {remedy}."
        )
    _check_length(array, rows, name)
    targets = as_float32(array, name)
    if probabilities and not (targets.min() >= 0 and targets.max() <= 1):
        row, column = np.argwhere((targets < 0) | (targets > 1))[0]
        raise ValueError(
            f"{name} must hold probabilities (0 and 1 for two classes) for loss 'binary_crossentropy', "
            f"got {targets[row, column]:g} in row {row}, column {column}. Number the classes 0 and 1."
        )
    return targets


def as_weights(sample_weight: object, rows: int, name: str = "sample_weight") -> Floats:
    """One finite weight per row, float32, from an array of shape (N,) or (N, 1)."""
    array = to_numpy(sample_weight, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (N,), one weight per row of x, got {array.shape}.")
    _check_length(array, rows, name)
    return as_float32(array, name)


def class_weights(class_weight: object, y: Labels | Floats, outputs: int) -> Floats:
    """The weight of each row by its class; classes that are not named weigh 1.

    Parameters
    ----------
    class_weight : dict of int to float
        Weight of each class, finite and >= 0.
    y : ndarray, shape (N,) or (N, outputs)
        Labels; one-hot rows; or one column of 0 and 1.
    outputs : int
        Number of outputs of the model: with one output there are the classes 0 and 1.

    Raises
    ------
    TypeError
        No dict.
    ValueError
        A key that is no class, a weight that is no such number, or targets that are not one class a row.
    """
    classes = max(outputs, 2)
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            f"class_weight must be a dict from class to weight, got {type(class_weight).__name__}."
        )
    weight = np.ones(classes, np.float32)
    for label, value in class_weight.items():
        if label not in range(classes):
            raise ValueError(f"class_weight must have keys from 0 to {classes - 1}, got {cut(label)}.")
        if (
            not isinstance(value, numbers.Real)
            or not 0 <= (value if isinstance(value, int) else float(value)) <= LARGEST
        ):
            raise ValueError(f"class_weight[{label}] must be one finite number >= 0, got {cut(value)}.")
        with np.errstate(all="ignore"):
            weight[int(label)] = float(value)
    result: Floats = weight[_classes_of(y)]
    return result


def _classes_of(y: Labels | Floats) -> NDArray[np.integer[Any]]:
    """The class of each row."""
    if y.dtype.kind == "i":
        return y.astype(np.int32, copy=False)
    wrong = (y != 0) & (y != 1)
    place = ""
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        place = f"{y[row, column]:g} in row {row}, column {column}"
    elif y.shape[1] > 1 and ((count := np.count_nonzero(y, axis=1)) != 1).any():
        row = int((count != 1).argmax())
        place = f"{count[row]} classes in row {row}"
    if place:
        raise ValueError(
            f"class_weight needs targets y that are one class a row (labels, one-hot rows, or 0 and 1), got {place}. "
            "Use sample_weight instead: one weight a row."
        )
    return y[:, 0].astype(np.int32) if y.shape[1] == 1 else y.argmax(axis=1)


def listed(values: object, name: str) -> list[Any]:
    """The arrays of a list of them.

    Raises
    ------
    TypeError
        No list: a dict, text, one number, None.
    """
    if not isinstance(values, Iterable) or isinstance(values, Mapping | str | bytes):
        raise TypeError(f"{name} must be a list of arrays, as get_weights() gives it, got {cut(values)}.")
    return list(values)


def assign(weights: Sequence[Floats], values: Sequence[ArrayLike], owner: str) -> None:
    """Write `values` over `weights`, all or none."""
    given = [to_numpy(value, f"weights[{i}]") for i, value in enumerate(listed(values, "weights"))]
    if [array.shape for array in given] != [weight.shape for weight in weights]:
        raise ValueError(
            f"{owner} needs weights of shapes {[weight.shape for weight in weights]}, "
            f"got {[array.shape for array in given]}. "
            "Take them from get_weights() of the same structure."
        )
    for weight in weights:
        if not weight.flags.writeable:
            raise ValueError(
                f"{owner} has weights that are read-only. Make them writable: setflags(write=True)."
            )
    with np.errstate(all="ignore"):
        converted = [
            np.array(array, np.float32) for array in given
        ]  # copies: values may be views of the weights
    for weight, value in zip(weights, converted, strict=True):
        weight[...] = value


def _check_length(array: Array, rows: int, name: str) -> None:
    if len(array) != rows:
        raise ValueError(f"{name} must have as many rows as x, {rows}, got {len(array)}.")
