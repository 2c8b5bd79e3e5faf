"""The names of TensorFlow itself that scripts of dense networks use, on NumPy. Keras' own are in `tree`."""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import ops, threads
from ..data.tensors import Tensor, tensor
from ..utils import set_random_seed
from .dataset import AUTOTUNE, Dataset

VERSION = "2.21.0"
"""Of the TensorFlow whose names these are; scripts ask for it."""

MODULES: Mapping[str, tuple[str, ...]] = {
    "tensorflow": (),
    "tensorflow.compat": (),
    "tensorflow.compat.v1": (),
    "tensorflow.compat.v1.logging": (),
    "tensorflow.compat.v2": (),
    "tensorflow.config": (),
    "tensorflow.config.experimental": (),
    "tensorflow.config.threading": (),
    "tensorflow.contrib": (),
    "tensorflow.data": (),
    "tensorflow.data.experimental": (),
    "tensorflow.debugging": (),
    "tensorflow.dtypes": (),
    "tensorflow.initializers": ("nnfast.initializers",),
    "tensorflow.linalg": (),
    "tensorflow.logging": (),
    "tensorflow.losses": ("nnfast.losses",),
    "tensorflow.math": (),
    "tensorflow.metrics": ("nnfast.metrics",),
    "tensorflow.nn": ("nnfast.activations",),
    "tensorflow.optimizers": ("nnfast.optimizers",),
    "tensorflow.python": (),
    "tensorflow.random": (),
    "tensorflow.test": (),
    "tensorflow.version": (),
}
"""Each module and those of nnfast that have its names, before the tables below."""


def _nothing(*_: Any, **__: Any) -> None:
    """What has no effect here."""


def _no_devices(*_: Any, **__: Any) -> list[Any]:
    """No devices but the CPU, which is not counted."""
    return []


def _device(*_: Any, **__: Any) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str = "Const") -> Tensor:
    """An array with `numpy()`."""
    made = tensor(value, dtype)
    return made if shape is None else tensor(np.broadcast_to(made, shape).copy())


def Variable(
    initial_value: Any, trainable: bool = True, name: str | None = None, dtype: Any = None, **_: Any
) -> Tensor:
    """An array of its own with `assign`."""
    return tensor(initial_value() if callable(initial_value) else initial_value, dtype).copy()


def argmax(input: Any, axis: int = 0, **_: Any) -> Any:
    """Place of the largest value along an axis, the first one by default."""
    return ops.argmax(input, axis=axis)


def argmin(input: Any, axis: int = 0, **_: Any) -> Any:
    """Place of the smallest value along an axis, the first one by default."""
    return ops.argmin(input, axis=axis)


def fill(dims: Any, value: Any) -> Tensor:
    """An array of one value."""
    return tensor(np.full(dims, tensor(value)))


def normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = np.float32, seed: int | None = None
) -> Tensor:
    """Random numbers of a normal distribution."""
    return tensor(_generator(seed).normal(mean, stddev, shape).astype(dtype))


def uniform(
    shape: Any,
    minval: float = 0,
    maxval: float | None = None,
    dtype: Any = np.float32,
    seed: int | None = None,
) -> Tensor:
    """Random numbers, all equally likely from `minval` up to, and without, `maxval`."""
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        if maxval is None:
            raise ValueError("maxval must be given for whole numbers.")
        return tensor(_generator(seed).integers(int(minval), int(maxval), shape).astype(kind))
    return tensor(_generator(seed).uniform(minval, 1.0 if maxval is None else maxval, shape).astype(kind))


def shuffle(value: Any, seed: int | None = None) -> Tensor:
    """The rows in another order."""
    return tensor(_generator(seed).permutation(np.asarray(value)))


def _generator(seed: int | None) -> np.random.Generator:
    from ..seeds import next_seed

    return np.random.default_rng(next_seed() if seed is None else seed)


def arange(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str = "range") -> Any:
    """Numbers from start up to, and without, limit."""
    first, last = (0, start) if limit is None else (start, limit)
    return ops.arange(first, last, delta, dtype=dtype)


def linspace(start: Any, stop: Any, num: int, name: str | None = None) -> Any:
    """So many numbers from start to stop, both included."""
    return ops.linspace(start, stop, num)


def set_intra_op_parallelism_threads(num_threads: int) -> None:
    """`threads.set_num_threads`; 0 is the number that nnfast begins with."""
    threads.set_num_threads(num_threads or threads.default_threads())


def _with_keywords(function: Callable[..., Any], *leading: str) -> Callable[..., Any]:
    """The same function, whose first arguments have TensorFlow's names too, and which takes a `name` for a graph."""
    if not isinstance(
        function, types.FunctionType
    ):  # an activation, which a Dense takes as the object that it is
        return function

    @functools.wraps(function)
    def call(*given: Any, name: str | None = None, **options: Any) -> Any:
        there = itertools.takewhile(options.__contains__, leading[len(given) :])
        return function(*given, *[options.pop(key) for key in list(there)], **options)

    return call


_LEADING: Mapping[str, tuple[str, ...]] = {
    "clip_by_value": ("t", "clip_value_min", "clip_value_max"),
    "concat": ("values",),
    "convert_to_tensor": ("value",),
    "expand_dims": ("input",),
    "identity": ("input",),
    "matmul": ("a", "b"),
    "norm": ("tensor",),
    "one_hot": ("indices", "depth"),
    "ones_like": ("input",),
    "repeat": ("input",),
    "reshape": ("tensor",),
    "shape": ("input",),
    "size": ("input",),
    "squeeze": ("input",),
    "stack": ("values",),
    "tensordot": ("a", "b"),
    "tile": ("input", "multiples"),
    "transpose": ("a", "perm"),
    "where": ("condition", "x", "y"),
    "zeros_like": ("input",),
}
"""TensorFlow's names of first arguments, where `keras.ops` has others."""


def _of_shape(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(shape: Any, dtype: Any = np.float32, name: str | None = None) -> Any:
        return function(shape, dtype=dtype)

    return call


_MATH_BY_OPS = {
    "abs": "abs",
    "add": "add",
    "ceil": "ceil",
    "cos": "cos",
    "divide": "divide",
    "equal": "equal",
    "exp": "exp",
    "floor": "floor",
    "greater": "greater",
    "greater_equal": "greater_equal",
    "is_nan": "isnan",
    "less": "less",
    "less_equal": "less_equal",
    "log": "log",
    "log1p": "log1p",
    "logical_and": "logical_and",
    "logical_not": "logical_not",
    "logical_or": "logical_or",
    "maximum": "maximum",
    "minimum": "minimum",
    "mod": "mod",
    "multiply": "multiply",
    "negative": "negative",
    "not_equal": "not_equal",
    "pow": "power",
    "reduce_all": "all",
    "reduce_any": "any",
    "reduce_logsumexp": "logsumexp",
    "reduce_max": "max",
    "reduce_mean": "mean",
    "reduce_min": "min",
    "reduce_prod": "prod",
    "reduce_std": "std",
    "reduce_sum": "sum",
    "reduce_variance": "var",
    "round": "round",
    "rsqrt": "rsqrt",
    "sigmoid": "sigmoid",
    "sign": "sign",
    "sin": "sin",
    "sqrt": "sqrt",
    "square": "square",
    "subtract": "subtract",
    "tan": "tan",
    "tanh": "tanh",
}
_MATH = {
    name: _with_keywords(
        getattr(ops, new), *(("input_tensor",) if name.startswith("reduce_") else ("x", "y"))
    )
    for name, new in _MATH_BY_OPS.items()
} | {"argmax": argmax, "argmin": argmin}

_DTYPES = {
    name: np.dtype(name)
    for name in [
        "bool",
        "float16",
        "float32",
        "float64",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
    ]
} | {"double": np.dtype(np.float64), "half": np.dtype(np.float16)}

_LOG = {
    "DEBUG": 10,
    "ERROR": 40,
    "FATAL": 50,
    "INFO": 20,
    "WARN": 30,
    "get_verbosity": lambda: logging.getLogger("tensorflow").level,
    "set_verbosity": lambda level: logging.getLogger("tensorflow").setLevel(level),
}

_DEVICES = {
    "get_visible_devices": _no_devices,
    "list_logical_devices": _no_devices,
    "list_physical_devices": _no_devices,
    "set_visible_devices": _nothing,
}

_ROOT: dict[str, Any] = {
    "Tensor": Tensor,
    "Variable": Variable,
    "__version__": VERSION,
    "cast": ops.cast,
    "clip_by_value": ops.clip,
    "concat": ops.concatenate,
    "constant": constant,
    "convert_to_tensor": ops.convert_to_tensor,
    "device": _device,
    "executing_eagerly": lambda: True,
    "expand_dims": ops.expand_dims,
    "eye": ops.eye,
    "fill": fill,
    "get_logger": lambda: logging.getLogger("tensorflow"),
    "identity": ops.copy,
    "is_tensor": ops.is_tensor,
    "linspace": linspace,
    "matmul": ops.matmul,
    "newaxis": None,
    "norm": ops.norm,
    "one_hot": ops.one_hot,
    "ones": _of_shape(ops.ones),
    "ones_like": ops.ones_like,
    "print": print,
    "range": arange,
    "rank": np.ndim,
    "repeat": ops.repeat,
    "reshape": ops.reshape,
    "set_random_seed": set_random_seed,
    "shape": ops.shape,
    "size": ops.size,
    "squeeze": ops.squeeze,
    "stack": ops.stack,
    "tensordot": ops.tensordot,
    "tile": ops.tile,
    "transpose": ops.transpose,
    "where": ops.where,
    "zeros": _of_shape(ops.zeros),
    "zeros_like": ops.zeros_like,
    **{name: value for name, value in _MATH.items() if name != "log1p"},
    **_DTYPES,
}

_ROOT |= {name: _with_keywords(_ROOT[name], *leading) for name, leading in _LEADING.items()}

_NAMES: Mapping[str, Mapping[str, Any]] = {
    "tensorflow": _ROOT,
    "tensorflow.compat.v1": {**_ROOT, "enable_eager_execution": _nothing, "enable_v2_behavior": _nothing},
    "tensorflow.compat.v1.logging": _LOG,
    "tensorflow.compat.v2": _ROOT,
    "tensorflow.config": {
        **_DEVICES,
        "experimental_run_functions_eagerly": _nothing,
        "run_functions_eagerly": _nothing,
    },
    "tensorflow.config.experimental": {
        **_DEVICES,
        "enable_op_determinism": _nothing,  # the bits never depend on threads
        "set_memory_growth": _nothing,
    },
    "tensorflow.config.threading": {
        "set_inter_op_parallelism_threads": _nothing,
        "set_intra_op_parallelism_threads": set_intra_op_parallelism_threads,
    },
    "tensorflow.data": {"AUTOTUNE": AUTOTUNE, "Dataset": Dataset},
    "tensorflow.data.experimental": {"AUTOTUNE": AUTOTUNE},
    "tensorflow.debugging": {"set_log_device_placement": _nothing},
    "tensorflow.dtypes": {**_DTYPES, "cast": ops.cast},
    "tensorflow.linalg": {"matmul": _ROOT["matmul"], "norm": _ROOT["norm"]},
    "tensorflow.logging": _LOG,
    "tensorflow.math": _MATH,
    "tensorflow.nn": {"log_softmax": ops.log_softmax},
    "tensorflow.random": {
        "normal": normal,
        "set_seed": set_random_seed,
        "shuffle": shuffle,
        "uniform": uniform,
    },
    "tensorflow.test": {"gpu_device_name": lambda: "", "is_gpu_available": lambda *_, **__: False},
    "tensorflow.version": {"VERSION": VERSION},
}


def names(module: str) -> Mapping[str, Any]:
    """What a module has beside the modules below it."""
    return _NAMES.get(module, {})
