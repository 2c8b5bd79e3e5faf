"""Initial values of kernels and biases, from the engine's own counter-based generator.

A value depends on (seed, stream, position) alone: the model's seed, the index of the tensor in
`get_weights()` order, and the place in it. NumPy's generators are not used, because their streams may change
between releases.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _core
from .attributes import Guarded, is_own
from .data import arrays
from .errors import cut
from .names import resolve, snake_case, unknown_attribute, unknown_name
from .seeds import next_seed

# Standard deviation of a standard normal truncated to |z| < 2: sqrt(1 - 4 phi(2) / (2 Phi(2) - 1)).
TRUNCATED_STDDEV = 0.87962566103423978


class Initializer(Guarded):
    """Base of all initializers: a call gives a float32 array. An initializer does not change: its attributes
    cannot be set.

    A subclass draws in `_draw(shape, seed, stream)`, in float64, or, as in Keras, in `__call__(shape, dtype)`.
    Arguments of the constructor are kept under their own names.
    """

    seed: int | None = None
    _remedies: ClassVar = {"": "Make a new initializer, and a new layer with it."}

    def _may_set(self, name: str) -> bool:
        if not is_own(type(self)):
            return True
        return name not in vars(self) and name in inspect.signature(type(self)).parameters

    def __call__(
        self,
        shape: Sequence[int],
        seed: int | DTypeLike | None = None,
        stream: int = 0,
        dtype: DTypeLike | None = None,
    ) -> NDArray[Any]:
        """Draw an array.

        Parameters
        ----------
        shape : sequence of int
            Kernels are (inputs, units), biases (units,).
        seed : int, optional
            Seed of the model. One given to the initializer itself goes first; with neither, one is drawn. What is
            no number is taken for `dtype`, which is Keras' second argument.
        stream : int, default 0
            Index of the tensor in its model; different streams are independent.
        dtype : default float32
            Of the array; what is drawn is rounded to float32 in any case.
        """
        if not isinstance(seed, int | np.integer):
            seed, dtype = None, seed if dtype is None else dtype
        if self.seed is not None:
            seed = self.seed
        elif seed is None:
            seed = next_seed()
        drawn = self._draw(tuple(shape), int(seed), stream).astype(np.float32).reshape(tuple(shape))
        return drawn if dtype is None else drawn.astype(dtype, copy=False)

    def initial(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float32]:
        """The initial values of a weight: what a call gives, of the class' own `__call__(shape, dtype)` too.

        Raises
        ------
        ValueError, TypeError
            That gives something else than numbers of this shape.
        """
        if is_own(next(cls for cls in type(self).__mro__ if "__call__" in vars(cls))):
            return self(shape, seed, stream)
        return _checked(type(self).__name__, self(shape, dtype="float32"), shape)

    def _draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        raise TypeError(
            f"{type(self).__name__} draws nothing. Use one of {', '.join(cls.__name__ for cls in _CLASSES)}, "
            "or define _draw(shape, seed, stream)."
        )

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {name: value for name, value in vars(self).items() if name[0] != "_"}


def _number(name: str, value: object, least: float = -math.inf) -> float:
    """The value as a finite float."""
    if (
        isinstance(value, int | float | np.integer | np.floating)
        and max(least, -arrays.LARGEST) <= value <= arrays.LARGEST
    ):
        return float(value)
    bound = "" if least == -math.inf else f" >= {least:g}"
    raise ValueError(f"{name} must be a finite number{bound}, got {cut(value)}.")


def _numbers(name: str, value: ArrayLike) -> NDArray[np.float64]:
    """A number or an array of numbers, all finite, as float64."""
    if not isinstance(value, list | tuple | np.ndarray):
        return np.array(_number(name, value))
    try:
        given = np.asarray(value)
    except ValueError:  # rows of unequal length
        given = np.empty(0, object)
    if given.dtype.kind not in "biuf" or not (np.abs(given, dtype=np.float64) <= arrays.LARGEST).all():
        raise ValueError(f"{name} must be a number or an array of numbers, all finite, got {cut(value)}.")
    return given.astype(np.float64)


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
    """All equal to `value` (default 0.0), or an array that has, or can be broadcast to, the shape of the weight.

    Examples
    --------
    >>> Constant(0.5)((3,))
    array([0.5, 0.5, 0.5], dtype=float32)
    """

    def __init__(self, value: ArrayLike = 0.0) -> None:
        self._array = _numbers("value", value)
        self.value: Any = self._array.tolist()

    def _draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        try:
            return np.broadcast_to(self._array, shape)
        except ValueError:
            raise ValueError(
                f"Constant has values of shape {self._array.shape}, and the weight has shape {shape}. "
                "Pass one number, or an array of that shape."
            ) from None


class Identity(Initializer):
    """`gain` on the diagonal and 0 elsewhere, for kernels.

    Parameters
    ----------
    gain : float, default 1.0

    Examples
    --------
    >>> Identity(2.0)((2, 3))
    array([[2., 0., 0.],
           [0., 2., 0.]], dtype=float32)
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = _number("gain", gain)

    def _draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        if len(shape) != 2:
            raise ValueError(
                f"Identity makes kernels (inputs, units), got shape {shape}. Use it for kernels only."
            )
        return self.gain * np.eye(*shape)


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


class Orthogonal(Initializer):
    """`gain` times a matrix whose rows or columns, whichever are fewer, are orthonormal (Saxe et al., 2014).

    Parameters
    ----------
    gain : float, default 1.0
    seed : int, optional

    Notes
    -----
    The factor Q of a matrix of standard normals, with the signs that make it uniform. The last bits of Q are
    LAPACK's.
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        self.gain, self.seed = _number("gain", gain), _seed(seed)

    def _draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        if len(shape) < 2:
            raise ValueError(
                f"Orthogonal makes kernels (inputs, units), got shape {shape}. Use it for kernels only."
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        drawn = _core.normal(rows * columns, seed, stream).reshape(max(rows, columns), min(rows, columns))
        q, r = np.linalg.qr(drawn)
        q *= np.sign(np.diag(r))
        return self.gain * (q if rows >= columns else q.T)


_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")


class VarianceScaling(Initializer):
    """Mean 0 and variance `scale` / fan; the six usual choices are subclasses.

    Parameters
    ----------
    scale : float, default 1.0
        Above 0.
    mode : {"fan_in", "fan_out", "fan_avg"}, default "fan_in"
        The fan: the number of inputs, of units, or their mean. A bias of shape (units,) has as many of both.
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}, default "truncated_normal"
        Uniform: U(-l, l) with l = sqrt(3 variance). Truncated at two sigma, and widened so that the variance after
        truncation is the one asked for; "normal" is another name for it.
    seed : int, optional

    Raises
    ------
    ValueError
        A scale that is not above 0; an unknown name.

    Examples
    --------
    >>> bool((VarianceScaling(2.0, seed=1)((4, 2)) == HeNormal(seed=1)((4, 2))).all())
    True
    """

    scale = 1.0
    mode = "fan_in"
    distribution = "truncated_normal"

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        if not _number("scale", scale) > 0:
            raise ValueError(f"scale must be a finite number above 0, got {scale!r}.")
        distribution = "truncated_normal" if distribution == "normal" else distribution
        for kind, name, known in (("mode", mode, _MODES), ("distribution", distribution, _DISTRIBUTIONS)):
            if name not in known:
                raise unknown_name(kind, str(name), known)
        self.scale, self.mode, self.distribution, self.seed = (
            float(scale),
            mode,
            distribution,
            _seed(seed),
        )

    def _draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        inputs, units = (shape[0], shape[-1]) if shape else (1, 1)
        fan = {"fan_in": inputs, "fan_out": units, "fan_avg": (inputs + units) / 2}[self.mode]
        stddev = math.sqrt(self.scale / max(1.0, float(fan)))
        size = math.prod(shape)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0) * stddev
            return limit * (2.0 * _core.uniform(size, seed, stream) - 1.0)
        if self.distribution == "untruncated_normal":
            return stddev * _core.normal(size, seed, stream)
        return stddev / TRUNCATED_STDDEV * _core.truncated_normal(size, seed, stream)


class _Usual(VarianceScaling):
    """One of the usual choices, which leaves only the seed to the user."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed = _seed(seed)


class GlorotUniform(_Usual):
    """U(-l, l) with l = sqrt(6 / (inputs + units)): the default for kernels (Glorot and Bengio, 2010).

    Examples
    --------
    >>> bool(abs(GlorotUniform(seed=1)((4, 2))).max() <= 1.0)
    True
    """

    mode = "fan_avg"
    distribution = "uniform"


class GlorotNormal(GlorotUniform):
    """Truncated normal with variance 2 / (inputs + units) (Glorot and Bengio, 2010)."""

    distribution = "truncated_normal"


class HeUniform(_Usual):
    """U(-l, l) with l = sqrt(6 / inputs) (He et al., 2015)."""

    scale = 2.0
    distribution = "uniform"


class HeNormal(HeUniform):
    """Truncated normal with variance 2 / inputs (He et al., 2015)."""

    distribution = "truncated_normal"


class LecunUniform(_Usual):
    """U(-l, l) with l = sqrt(3 / inputs) (LeCun et al., 1998)."""

    distribution = "uniform"


class LecunNormal(LecunUniform):
    """Truncated normal with variance 1 / inputs (LeCun et al., 1998)."""

    distribution = "truncated_normal"


class _Function(Initializer):
    """A function of the user's, called with the shape and, where it takes one, `dtype="float32"`; what `get` makes of
    it. The model's seed does not reach it.

    Parameters
    ----------
    function : callable (shape, dtype=None) -> array_like

    Examples
    --------
    >>> _Function(lambda shape, dtype=None: np.ones(shape))((2,))
    array([1., 1.], dtype=float32)
    """

    def __init__(self, function: Callable[..., ArrayLike]) -> None:
        self.function = function

    def _draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        try:
            takes_dtype = "dtype" in inspect.signature(self.function).parameters or any(
                argument.kind is argument.VAR_KEYWORD
                for argument in inspect.signature(self.function).parameters.values()
            )
        except ValueError:  # a function without a signature, as those of C
            takes_dtype = False
        values = self.function(shape, dtype="float32") if takes_dtype else self.function(shape)
        return _checked(getattr(self.function, "__name__", "function"), values, shape).astype(np.float64)


def _checked(name: str, values: object, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """What a user's initializer gave, if it is numbers of this shape."""
    array = arrays.as_float32(values, f"what initializer {name} gave")
    if array.shape != shape:
        raise ValueError(
            f"initializer {name} must give an array of the shape that it is called with, {shape}, got shape {array.shape}."
        )
    return array


_CLASSES: list[type[Initializer]] = [
    Zeros, Ones, Constant, Identity, RandomUniform, RandomNormal, TruncatedNormal, VarianceScaling, Orthogonal,
    GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform, LecunNormal,
]  # fmt: skip
_KNOWN: dict[str, type[Initializer]] = {snake_case(cls.__name__): cls for cls in _CLASSES} | {
    "zero": Zeros,
    "one": Ones,
    "uniform": RandomUniform,
    "normal": RandomNormal,
    "identity_initializer": Identity,
    "orthogonal_initializer": Orthogonal,
}


def get(identifier: object) -> Initializer:
    """The initializer for a name ("glorot_uniform" or "GlorotUniform"), a class, an object, a saved configuration, a
    number or an array (`Constant`), or a function `(shape, dtype=None)`.

    Raises
    ------
    ValueError
        The name is not known.
    TypeError
        The identifier is none of the above.
    """
    if isinstance(identifier, int | float | np.number | np.ndarray) and not isinstance(identifier, bool):
        return Constant(identifier)
    if isinstance(identifier, Mapping) and identifier.get("class_name") == _Function.__name__:
        return _Function(**identifier["config"])
    if not isinstance(identifier, Initializer | type) and callable(identifier):
        return _Function(identifier)
    if (
        isinstance(identifier, type)
        and not issubclass(identifier, Initializer)
        and callable(made := identifier())
    ):
        return _Function(made)
    return resolve("initializer", identifier, Initializer, _KNOWN)


def __getattr__(name: str) -> Any:
    if name in _KNOWN:  # Keras offers the classes under their lower-case names too
        return _KNOWN[name]
    if snake_case(name) in _KNOWN:  # OrthogonalInitializer
        return _KNOWN[snake_case(name)]
    raise unknown_attribute(__name__, name, [cls.__name__ for cls in _CLASSES])
