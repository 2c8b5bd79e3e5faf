"""What a Keras script takes from `keras.backend`, called K there: `ops` under its older names, and the settings.

Settings are what nnfast does: single precision, epsilon 1e-7, channels last. Another one is refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import ops
from .data.tensors import Tensor, Variable
from .names import unknown_attribute

_OLD_NAMES = {
    "cast_to_floatx": "cast",
    "concatenate": "concatenate",
    "constant": "convert_to_tensor",
    "flatten": "ravel",
    "pow": "power",
    "variable": "convert_to_tensor",
    "permute_dimensions": "transpose",
}
"""Names of K to those of `ops`, where they differ."""

_EPSILON = 1e-7


def backend() -> str:
    """What computes: NumPy here, under nnfast's own kernels."""
    return "numpy"


def clear_session(free_memory: bool = True) -> None:
    """Nothing is kept between two models, so there is nothing to clear."""


def count_params(x: ArrayLike) -> int:
    """The number of values."""
    return int(np.size(x))


def epsilon() -> float:
    """That of the optimizers and losses, 1e-7."""
    return _EPSILON


def eval(x: ArrayLike) -> NDArray[Any]:
    """The values as a plain array."""
    return np.asarray(x)


def floatx() -> str:
    """The dtype of all weights: "float32"."""
    return "float32"


def get_value(x: Any) -> Any:
    """The value of a weight, as a plain array, or of `optimizer.learning_rate`, as a number."""
    return float(x) if isinstance(x, int | float) else np.asarray(x)


def image_data_format() -> str:
    """Where the channels of images are: "channels_last"."""
    return "channels_last"


def int_shape(x: Any) -> tuple[int | None, ...]:
    """The sizes of the axes."""
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


def ndim(x: Any) -> int:
    """The number of axes."""
    return len(int_shape(x))


def set_epsilon(value: float) -> None:
    """Accepts 1e-7 only: the engine's losses have no other.

    Raises
    ------
    ValueError
        Another value.
    """
    if value != _EPSILON:
        raise ValueError(
            f"epsilon must be {_EPSILON}, got {value!r}. Give an optimizer its own: Adam(epsilon=...)."
        )


def set_floatx(value: str) -> None:
    """Accepts "float32" only.

    Raises
    ------
    ValueError
        Another dtype.
    """
    if value != "float32":
        raise ValueError(f"floatx must be 'float32', got {value!r}: the engine trains in single precision.")


def set_image_data_format(data_format: str) -> None:
    """Accepts both: a dense network reads the values of an image in the order in which they lie."""
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(f"data_format must be 'channels_last' or 'channels_first', got {data_format!r}.")


def set_value(x: Any, value: Any) -> None:
    """Overwrite a weight, or set `optimizer.learning_rate`.

    Raises
    ------
    TypeError
        It belongs to nothing: a number or array of the script's own.
    """
    if not isinstance(x, Tensor | Variable):
        raise TypeError(
            f"set_value needs a weight of a layer or model.optimizer.learning_rate, got {x!r}. "
            "Set the attribute itself: model.optimizer.learning_rate = value."
        )
    x.assign(value)


_OWN = {
    name
    for name, value in globals().items()
    if callable(value) and getattr(value, "__module__", "") == __name__
}

__all__ = sorted({*_OWN, *_OLD_NAMES, *ops.__all__})  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _OLD_NAMES or name in ops.__all__:
        return getattr(ops, _OLD_NAMES.get(name, name))
    raise unknown_attribute(__name__, name, __all__)
