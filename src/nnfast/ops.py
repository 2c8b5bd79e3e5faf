"""What a Keras script takes from `keras.ops`: NumPy under Keras' names and with Keras' dtypes.

Python's floats count as float32, integers become float32 where a result is no integer. Results are arrays with
`numpy()`. There is no graph here: a function that a model is to be trained with is not traced by these.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import _core, activations
from .data.tensors import Tensor, tensor
from .names import unknown_attribute

Function = Callable[..., Any]

_OF_ONE = [
    "abs",
    "absolute",
    "all",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "ceil",
    "copy",
    "cumprod",
    "cumsum",
    "diag",
    "diagonal",
    "diff",
    "expand_dims",
    "flip",
    "floor",
    "isfinite",
    "isinf",
    "isnan",
    "logical_not",
    "max",
    "min",
    "moveaxis",
    "negative",
    "ones_like",
    "prod",
    "ravel",
    "repeat",
    "reshape",
    "roll",
    "round",
    "sign",
    "sort",
    "split",
    "square",
    "squeeze",
    "sum",
    "swapaxes",
    "tile",
    "trace",
    "transpose",
    "tril",
    "triu",
    "zeros_like",
    "full_like",
]
_OF_ONE_TO_REAL = [
    "arccos",
    "arcsin",
    "arctan",
    "average",
    "cos",
    "cosh",
    "exp",
    "expm1",
    "log",
    "log10",
    "log1p",
    "log2",
    "mean",
    "median",
    "quantile",
    "reciprocal",
    "sin",
    "sinh",
    "sqrt",
    "std",
    "tan",
    "var",
]
_OF_TWO = [
    "add",
    "bitwise_and",
    "bitwise_or",
    "dot",
    "equal",
    "floor_divide",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "logical_and",
    "logical_or",
    "logical_xor",
    "matmul",
    "maximum",
    "minimum",
    "mod",
    "multiply",
    "not_equal",
    "outer",
    "power",
    "subtract",
    "tensordot",
]
_OF_TWO_TO_REAL = ["arctan2", "divide", "true_divide"]
_OF_MANY = ["concatenate", "hstack", "stack", "vstack"]
_NEW = ["arange", "eye", "full", "identity", "linspace", "ones", "zeros"]
_ACTIVATIONS = [name for name in _core.ACTIVATIONS if hasattr(activations, name)]


def _real(value: Tensor) -> Tensor:
    return tensor(value, np.float32) if value.dtype.kind in "iub" else value


def _operand(value: Any) -> Any:
    """An operand of two: a bare number takes the dtype of the other one."""
    return value if isinstance(value, bool | int | float) else tensor(value)


def _result(value: Any) -> Any:
    return tensor(value) if isinstance(value, np.ndarray | np.generic) else value


def _of_one(function: Function, real: bool) -> Function:
    @functools.wraps(function)
    def call(x: ArrayLike, *args: Any, **kwargs: Any) -> Any:
        given = tensor(x)
        return _result(function(_real(given) if real else given, *args, **kwargs))

    return call


def _of_two(function: Function, real: bool) -> Function:
    @functools.wraps(function)
    def call(x1: ArrayLike, x2: ArrayLike, *args: Any, **kwargs: Any) -> Any:
        first, second = _operand(x1), _operand(x2)
        if not isinstance(first, Tensor) and not isinstance(second, Tensor):
            first, second = tensor(first), tensor(second)
        if real:
            first, second = (_real(side) if isinstance(side, Tensor) else side for side in (first, second))
        return _result(function(first, second, *args, **kwargs))

    return call


def _of_many(function: Function) -> Function:
    @functools.wraps(function)
    def call(xs: Any, axis: int = 0) -> Any:
        parts = [tensor(x) for x in xs]
        return _result(
            function(parts, axis=axis) if function in (np.concatenate, np.stack) else function(parts)
        )

    return call


def _new(function: Function) -> Function:
    @functools.wraps(function)
    def call(*args: Any, dtype: Any = None, **kwargs: Any) -> Any:
        made = function(*args, dtype=dtype, **kwargs)
        return tensor(made if dtype is not None else made.tolist())

    return call


def cast(x: ArrayLike, dtype: Any) -> Tensor:
    """The values in another dtype."""
    return tensor(x, getattr(dtype, "name", dtype))


def clip(x: ArrayLike, x_min: Any, x_max: Any) -> Tensor:
    """The values, no smaller than `x_min` and no larger than `x_max`."""
    return tensor(np.clip(tensor(x), x_min, x_max))


def convert_to_numpy(x: ArrayLike) -> Any:
    """A plain array."""
    return np.asarray(x)


def convert_to_tensor(x: ArrayLike, dtype: Any = None) -> Tensor:
    """An array with `numpy()`: Python's floats become float32, its integers int32."""
    return tensor(x, dtype)


def is_tensor(x: object) -> bool:
    """Whether it is such an array."""
    return isinstance(x, Tensor)


def log_softmax(x: ArrayLike, axis: int = -1) -> Tensor:
    """log(softmax(x)), without overflow."""
    given = _real(tensor(x))
    return tensor(given - _logsumexp(given, axis, keepdims=True))


def logsumexp(x: ArrayLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))), without overflow."""
    return tensor(_logsumexp(_real(tensor(x)), axis, keepdims))


def _logsumexp(x: Tensor, axis: int | None, keepdims: bool) -> Any:
    highest = np.max(x, axis=axis, keepdims=True)
    total = np.log(np.sum(np.exp(x - highest), axis=axis, keepdims=True)) + highest
    return total if keepdims else np.squeeze(total, axis=axis)


def norm(x: ArrayLike, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """That of a vector or matrix, as `numpy.linalg.norm`."""
    return tensor(np.linalg.norm(_real(tensor(x)), ord, axis, keepdims))


def one_hot(
    x: ArrayLike, num_classes: int, axis: int = -1, dtype: Any = "float32", sparse: bool = False
) -> Tensor:
    """Rows with a 1 at the place of each label; a label out of range gives a row of zeros."""
    if axis != -1 or sparse:
        raise ValueError(
            f"one_hot makes dense rows along the last axis, got axis={axis!r}, sparse={sparse!r}."
        )
    return tensor(np.asarray(x)[..., None] == np.arange(num_classes), dtype)


def rsqrt(x: ArrayLike) -> Tensor:
    """1 / sqrt(x)."""
    return tensor(1 / np.sqrt(_real(tensor(x))))


def shape(x: ArrayLike) -> tuple[int, ...]:
    """The sizes of the axes."""
    return np.shape(x)


def size(x: ArrayLike) -> int:
    """The number of values."""
    return int(np.size(x))


def where(condition: ArrayLike, x1: Any = None, x2: Any = None) -> Any:
    """`x1` where the condition holds, else `x2`; without them the places where it holds."""
    if x1 is None and x2 is None:
        return tuple(map(tensor, np.where(tensor(condition))))
    first, second = _operand(x1), _operand(x2)
    if not isinstance(first, Tensor) and not isinstance(second, Tensor):
        first, second = tensor(first), tensor(second)
    return _result(np.where(tensor(condition), first, second))


def _table() -> dict[str, Function]:
    table = {name: _of_one(getattr(np, name), real=False) for name in _OF_ONE}
    table |= {name: _of_one(getattr(np, name), real=True) for name in _OF_ONE_TO_REAL}
    table |= {name: _of_two(getattr(np, name), real=False) for name in _OF_TWO}
    table |= {name: _of_two(getattr(np, name), real=True) for name in _OF_TWO_TO_REAL}
    table |= {name: _of_many(getattr(np, name)) for name in _OF_MANY}
    table |= {name: _new(getattr(np, name)) for name in _NEW}
    # The objects themselves: a Dense takes them as its activation.
    return table | {name: getattr(activations, name) for name in _ACTIVATIONS}


_TABLE = _table()

__all__ = [
    "cast",
    "clip",
    "convert_to_numpy",
    "convert_to_tensor",
    "is_tensor",
    "log_softmax",
    "logsumexp",
    "norm",
    "one_hot",
    "rsqrt",
    "shape",
    "size",
    "where",
]
__all__.extend(sorted(_TABLE))


def __getattr__(name: str) -> Any:
    if name in _TABLE:
        return _TABLE[name]
    raise unknown_attribute(__name__, name, __all__)
