"""Initial values of kernels and biases, from the engine's own counter-based generator.

A value depends on (seed, stream, position) alone: the model's seed, the index of the tensor in
`get_weights()` order, and the place in it. NumPy's generators are not used, because their streams may change
between releases.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from . import _core
from .attributes import Guarded, is_own
from .data.arrays import LARGEST
from .errors import cut
from .names import resolve, snake_case, unknown_attribute
from .seeds import next_seed

# Standard deviation of a standard normal truncated to |z| < 2: sqrt(1 - 4 phi(2) / (2 Phi(2) - 1)).
TRUNCATED_STDDEV = 0.87962566103423978


class Initializer(Guarded):
    """Base of all initializers: a call gives a float32 array. An initializer does not change: its attributes
    cannot be set.

    A subclass draws in `_draw(shape, seed, stream)`, in float64. Arguments of the constructor are kept under
    their own names.
    """

    seed: int | None = None
    _remedies: ClassVar = {"": "Make a new initializer, and a new layer with it."}

    def _may_set(self, name: str) -> bool:
        if not is_own(type(self)):
            return True
        return name not in vars(self) and name in inspect.signature(type(self)).parameters

    def __call__(self, shape: Sequence[int], seed: int | None = None, stream: int = 0) -> NDArray[np.float32]:
        """Draw an array.

        Parameters
        ----------
        shape : sequence of int
            Kernels are (inputs, units), biases (units,).
        seed : int, optional
            Seed of the model. One given to the initializer itself goes first; with neither, one is drawn.
        stream : int, default 0
            Index of the tensor in its model; different streams are independent.
        """
        if self.seed is not None:
            seed = self.seed
        elif seed is None:
            seed = next_seed()
        return self._draw(tuple(shape), seed, stream).astype(np.float32).reshape(tuple(shape))

    def _draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        raise TypeError(
            f"{type(self).__name__} draws nothing. Use one of {', '.join(cls.__name__ for cls in _CLASSES)}, "
            "or define _draw(shape, seed, stream)."
        )

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {name: value for name, value in vars(self).items() if value is not None and name[0] != "_"}


def _number(name: str, value: object, least: float = -math.inf) -> float:
    """The value as a finite float."""
    if isinstance(value, int | float | np.integer | np.floating) and max(least, -LARGEST) <= value <= LARGEST:
        return float(value)
    bound = "" if least == -math.inf else f" >= {least:g}"
    raise ValueError(f"{name} must be a finite number{bound}, got {cut(value)}.")


def _seed(seed: object) -> int | None:
    if seed is None or (
        isinstance(seed, int | np.integer) and not isinstance(seed, bool) and 0 <= seed < 2**64
    ):
        return None if seed is None else int(seed)
    raise ValueError(f"seed must be None or a whole number from 0 to 2**64 - 1, got {cut(seed)}.")


class Zeros(Initializer):
    """All 0: the default for biases."""

    def _draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        return np.zeros(shape)


class Ones(Initializer):
    """All 1."""

    def _draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        return np.ones(shape)


class Constant(Initializer):
    """All equal to `value` (default 0.0).

    Examples
    --------
    >>> Constant(0.5)((3,))
    array([0.5, 0.5, 0.5], dtype=float32)
    """

    def __init__(self, value: float = 0.0) -> None:
        self.value = _number("value", value)

    def _draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        return np.full(shape, self.value)


class RandomUniform(Initializer):
    """Uniform on [minval, maxval)."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        self.minval, self.maxval, self.seed = (
            _number("minval", minval),
            _number("maxval", maxval),
            _seed(seed),
        )

    def _draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        return self.minval + (self.maxval - self.minval) * _core.uniform(math.prod(shape), seed, stream)


class RandomNormal(Initializer):
    """Normal with the given mean and standard deviation, not truncated."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean, self.stddev, self.seed = _number("mean", mean), _number("stddev", stddev, 0.0), _seed(seed)

    def _draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        return self.mean + self.stddev * _core.normal(math.prod(shape), seed, stream)


class TruncatedNormal(Initializer):
    """Normal, values beyond two standard deviations drawn again; `stddev` is that before truncation, as in
    Keras."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean, self.stddev, self.seed = _number("mean", mean), _number("stddev", stddev, 0.0), _seed(seed)

    def _draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        return self.mean + self.stddev * _core.truncated_normal(math.prod(shape), seed, stream)


class _FanScaled(Initializer):
    """Mean 0 and variance `_scale` / fan, where fan is `_fan(inputs, outputs)`; the subclasses are the six
    usual choices.

    Uniform: U(-l, l) with l = sqrt(3 variance). Normal: truncated at two sigma, and widened so that the
    variance after truncation is the one asked for.
    """

    _scale = 1.0
    _uniform = True

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    @staticmethod
    def _fan(inputs: int, outputs: int) -> float:
        return float(inputs)

    def _draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        # A bias of shape (units,) counts as (units, units), as in Keras.
        stddev = math.sqrt(self._scale / max(1.0, self._fan(shape[0], shape[-1])))
        if self._uniform:
            limit = math.sqrt(3.0) * stddev
            return limit * (2.0 * _core.uniform(math.prod(shape), seed, stream) - 1.0)
        return stddev / TRUNCATED_STDDEV * _core.truncated_normal(math.prod(shape), seed, stream)


class GlorotUniform(_FanScaled):
    """U(-l, l) with l = sqrt(6 / (inputs + units)): the default for kernels (Glorot and Bengio, 2010).

    Examples
    --------
    >>> bool(abs(GlorotUniform(seed=1)((4, 2))).max() <= 1.0)
    True
    """

    @staticmethod
    def _fan(inputs: int, outputs: int) -> float:
        return (inputs + outputs) / 2


class GlorotNormal(GlorotUniform):
    """Truncated normal with variance 2 / (inputs + units) (Glorot and Bengio, 2010)."""

    _uniform = False


class HeUniform(_FanScaled):
    """U(-l, l) with l = sqrt(6 / inputs) (He et al., 2015)."""

    _scale = 2.0


class HeNormal(HeUniform):
    """Truncated normal with variance 2 / inputs (He et al., 2015)."""

    _uniform = False


class LecunUniform(_FanScaled):
    """U(-l, l) with l = sqrt(3 / inputs) (LeCun et al., 1998)."""


class LecunNormal(LecunUniform):
    """Truncated normal with variance 1 / inputs (LeCun et al., 1998)."""

    _uniform = False


_CLASSES: list[type[Initializer]] = [
    Zeros, Ones, Constant, RandomUniform, RandomNormal, TruncatedNormal,
    GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform, LecunNormal,
]  # fmt: skip
_KNOWN = {snake_case(cls.__name__): cls for cls in _CLASSES}


def get(identifier: object) -> Initializer:
    """The initializer for a name ("glorot_uniform" or "GlorotUniform"), a class, an object or a saved
    configuration.

    Raises
    ------
    ValueError
        The name is not known.
    TypeError
        The identifier is none of the above.
    """
    return resolve("initializer", identifier, Initializer, _KNOWN)


def __getattr__(name: str) -> Any:
    if name in _KNOWN:  # Keras offers the classes under their lower-case names too
        return _KNOWN[name]
    raise unknown_attribute(__name__, name, [cls.__name__ for cls in _CLASSES])
