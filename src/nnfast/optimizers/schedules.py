"""Learning rates that are functions of the step: Keras' schedules, and functions of the user's.

Steps are counted from 0, over all fits: the step that makes update k + 1 has number k. Everything is computed in
float64, for all steps of a native call at once.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ..attributes import Guarded
from ..errors import cut
from ..names import represent, snake_case, unknown_attribute, unknown_name

Steps = NDArray[np.float64]


class LearningRateSchedule(Guarded):
    """Base of the schedules: called with a step, or an array of steps, it gives the learning rate there.

    A class of one's own defines `__call__(step)`, which gets one step at a time, and, to be saved, `get_config()`.
    A schedule does not change: its attributes cannot be set.
    """

    _arguments: dict[str, Any] = {}  # noqa: RUF012 - replaced, never changed
    _remedies: ClassVar = {"": "Make a new schedule, a new optimizer with it, and call compile again."}

    def _keep(self, **arguments: Any) -> None:
        """Keep the arguments of the constructor, under their own names."""
        self._arguments = arguments
        vars(self).update(arguments)

    def __call__(self, step: Any) -> Any:
        """The learning rate.

        Parameters
        ----------
        step : int or array of int, from 0

        Returns
        -------
        float, or ndarray of float64 for an array
        """
        steps = np.asarray(step, np.float64)
        rates = self._rates(steps.reshape(-1))
        return rates.reshape(steps.shape) if steps.ndim else float(rates[0])

    def _rates(self, steps: Steps) -> Steps:
        raise TypeError(
            f"{type(self).__name__} gives no rates. Define __call__(self, step), or use one of "
            f"{', '.join(cls.__name__ for cls in _CLASSES)}."
        )

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return dict(self._arguments)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A new schedule from `get_config()`."""
        return cls(**config)

    def __repr__(self) -> str:
        return represent(self)


class ExponentialDecay(LearningRateSchedule):
    """`initial_learning_rate * decay_rate ** (step / decay_steps)`.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
        Above 0.
    decay_rate : float
    staircase : bool, default False
        The exponent is rounded down.
    name : str

    Examples
    --------
    >>> ExponentialDecay(0.1, 10, 0.5)(20)
    0.025
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self._keep(
            initial_learning_rate=_number("initial_learning_rate", initial_learning_rate),
            decay_steps=_positive("decay_steps", decay_steps),
            decay_rate=_number("decay_rate", decay_rate),
            staircase=bool(staircase),
            name=name,
        )

    def _rates(self, steps: Steps) -> Steps:
        own = self._arguments
        rates: Steps = own["initial_learning_rate"] * own["decay_rate"] ** _periods(steps, own)
        return rates


class InverseTimeDecay(ExponentialDecay):
    """`initial_learning_rate / (1 + decay_rate * step / decay_steps)`; with `staircase` the quotient is rounded down.

    Examples
    --------
    >>> InverseTimeDecay(0.1, 10, 0.5)(20)
    0.05
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase, name)

    def _rates(self, steps: Steps) -> Steps:
        own = self._arguments
        rates: Steps = own["initial_learning_rate"] / (1.0 + own["decay_rate"] * _periods(steps, own))
        return rates


def _periods(steps: Steps, own: Mapping[str, Any]) -> Steps:
    periods: Steps = steps / own["decay_steps"]
    return np.floor(periods) if own["staircase"] else periods


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[0] up to step boundaries[0], it included, values[1] up to boundaries[1], and so on.

    Parameters
    ----------
    boundaries : sequence of int
        Ascending.
    values : sequence of float
        One more than boundaries.
    name : str

    Examples
    --------
    >>> PiecewiseConstantDecay([10], [0.1, 0.01])([10, 11]).tolist()
    [0.1, 0.01]
    """

    def __init__(
        self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant"
    ) -> None:
        boundaries = [_number("boundaries", boundary) for boundary in boundaries]
        values = [_number("values", value) for value in values]
        if len(boundaries) != len(values) - 1 or not boundaries:
            raise ValueError(
                f"values must be one more than boundaries, of which there is at least one, got {len(values)} and "
                f"{len(boundaries)}."
            )
        if sorted(boundaries) != boundaries:
            raise ValueError(f"boundaries must ascend, got {boundaries}.")
        self._keep(boundaries=boundaries, values=values, name=name)

    def _rates(self, steps: Steps) -> Steps:
        own = self._arguments
        return np.array(own["values"], np.float64)[np.searchsorted(own["boundaries"], steps, side="left")]


class PolynomialDecay(LearningRateSchedule):
    """`(initial - end) * (1 - step / decay_steps) ** power + end`, and `end_learning_rate` after `decay_steps`.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
        Above 0.
    end_learning_rate : float, default 0.0001
    power : float, default 1.0
    cycle : bool, default False
        After `decay_steps` the decay goes on from above, over the next multiple of them that is not yet passed.
    name : str

    Examples
    --------
    >>> PolynomialDecay(0.5, 10, 0.0)([5, 20]).tolist()
    [0.25, 0.0]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self._keep(
            initial_learning_rate=_number("initial_learning_rate", initial_learning_rate),
            decay_steps=_positive("decay_steps", decay_steps),
            end_learning_rate=_number("end_learning_rate", end_learning_rate),
            power=_number("power", power),
            cycle=bool(cycle),
            name=name,
        )

    def _rates(self, steps: Steps) -> Steps:
        own = self._arguments
        over: Any = own["decay_steps"]
        if own["cycle"]:
            over = over * np.maximum(1.0, np.ceil(steps / over))
        left = 1.0 - np.minimum(steps / over, 1.0)
        end = own["end_learning_rate"]
        rates: Steps = (own["initial_learning_rate"] - end) * left ** own["power"] + end
        return rates


class CosineDecay(LearningRateSchedule):
    """Half a cosine from the initial rate to `alpha` times it, after an optional linear warm-up (Loshchilov and Hutter,
    2017).

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
        Above 0; they follow the warm-up.
    alpha : float, default 0.0
    name : str
    warmup_target : float, optional
        Where the warm-up, from `initial_learning_rate` on, ends and the decay begins; None is no warm-up.
    warmup_steps : int, default 0

    Examples
    --------
    >>> CosineDecay(0.0, 10, warmup_target=1.0, warmup_steps=4)([0, 2, 4, 9, 14]).round(6).tolist()
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self._keep(
            initial_learning_rate=_number("initial_learning_rate", initial_learning_rate),
            decay_steps=_positive("decay_steps", decay_steps),
            alpha=_number("alpha", alpha),
            name=name,
            warmup_target=None if warmup_target is None else _number("warmup_target", warmup_target),
            warmup_steps=_number("warmup_steps", warmup_steps),
        )

    def _rates(self, steps: Steps) -> Steps:
        own = self._arguments
        first, target, warmup = (
            own[key] for key in ("initial_learning_rate", "warmup_target", "warmup_steps")
        )
        rates: Steps
        if target is None:
            rates = first * _cosine(steps / own["decay_steps"], own["alpha"])
            return rates
        decayed = target * _cosine((steps - warmup) / own["decay_steps"], own["alpha"])
        rates = np.where(steps < warmup, (target - first) * steps / max(warmup, 1) + first, decayed)
        return rates


class CosineDecayRestarts(LearningRateSchedule):
    """Half a cosine again and again (Loshchilov and Hutter, 2017, SGDR).

    Parameters
    ----------
    initial_learning_rate : float
    first_decay_steps : int
        Above 0: length of the first period.
    t_mul : float, default 2.0
        Each period is so many times as long as the one before.
    m_mul : float, default 1.0
        Each period begins with so many times the rate of the one before.
    alpha : float, default 0.0
        As in `CosineDecay`.
    name : str

    Examples
    --------
    >>> CosineDecayRestarts(1.0, 10, m_mul=0.5)([0, 5, 10, 20]).round(6).tolist()
    [1.0, 0.5, 0.5, 0.25]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self._keep(
            initial_learning_rate=_number("initial_learning_rate", initial_learning_rate),
            first_decay_steps=_positive("first_decay_steps", first_decay_steps),
            t_mul=_positive("t_mul", t_mul),
            m_mul=_number("m_mul", m_mul),
            alpha=_number("alpha", alpha),
            name=name,
        )

    def _rates(self, steps: Steps) -> Steps:
        own = self._arguments
        t_mul, done = own["t_mul"], steps / own["first_decay_steps"]
        if t_mul == 1:
            restarts = np.floor(done)
            done = done - restarts
        else:
            length = 1.0 - done * (1.0 - t_mul)
            # That of the restart itself is a power of t_mul, whose logarithm may be an ulp short of whole.
            restarts = np.floor(np.log(length) / math.log(t_mul) + 1e-12)
            done = (done - (1.0 - t_mul**restarts) / (1.0 - t_mul)) / t_mul**restarts
        cosine = 0.5 * own["m_mul"] ** restarts * (1.0 + np.cos(math.pi * done))
        rates: Steps = own["initial_learning_rate"] * ((1.0 - own["alpha"]) * cosine + own["alpha"])
        return rates


def _cosine(done: Steps, alpha: float) -> Steps:
    return (1.0 - alpha) * 0.5 * (1.0 + np.cos(math.pi * np.minimum(done, 1.0))) + alpha


_CLASSES: list[type[LearningRateSchedule]] = [
    ExponentialDecay, PiecewiseConstantDecay, PolynomialDecay, InverseTimeDecay, CosineDecay, CosineDecayRestarts,
]  # fmt: skip
_KNOWN = {snake_case(cls.__name__): cls for cls in _CLASSES}


def deserialize(config: Mapping[str, Any]) -> LearningRateSchedule:
    """The schedule of a saved configuration, `{"class_name": ..., "config": ...}`.

    Raises
    ------
    ValueError
        The class is none of these.
    """
    name = str(config.get("class_name"))
    if snake_case(name) not in _KNOWN:
        raise unknown_name("learning rate schedule", name, [cls.__name__ for cls in _CLASSES])
    return _KNOWN[snake_case(name)](**config.get("config", {}))


def rates_at(schedule: Callable[[Any], Any], first: int, count: int) -> Steps:
    """The rates of steps first to first + count - 1.

    Raises
    ------
    ValueError
        One is no number, not finite or below 0.
    """
    if (
        isinstance(schedule, LearningRateSchedule)
        and type(schedule).__call__ is LearningRateSchedule.__call__
    ):
        with np.errstate(all="ignore"):
            rates = schedule._rates(np.arange(first, first + count, dtype=np.float64))
    else:
        with np.errstate(all="ignore"):
            given = [schedule(np.int64(step)) for step in range(first, first + count)]
        rates = np.array([np.asarray(rate, np.float64).item() for rate in given])
    bad = np.flatnonzero(~(np.isfinite(rates) & (rates >= 0)))
    if bad.size:
        raise ValueError(
            f"the learning rate must be a finite number of at least 0, and {_name(schedule)} gave "
            f"{float(rates[bad[0]])!r} for step {first + int(bad[0])}. Correct the schedule."
        )
    return np.ascontiguousarray(rates, np.float64)


def _name(schedule: object) -> str:
    return (
        repr(schedule)
        if isinstance(schedule, LearningRateSchedule)
        else getattr(schedule, "__name__", "the function")
    )


def _number(name: str, value: Any) -> Any:
    """A finite number, which stays a whole one where it is."""
    if isinstance(value, np.ndarray | np.generic) and np.ndim(value) == 0:
        value = value.item()
    largest = sys.float_info.max
    if isinstance(value, bool) or not isinstance(value, int | float) or not -largest <= value <= largest:
        raise ValueError(f"{name} must be a finite number, got {cut(value)}.")
    return value


def _positive(name: str, value: Any) -> Any:
    if _number(name, value) <= 0:
        raise ValueError(f"{name} must be above 0, got {value!r}.")
    return _number(name, value)


def __getattr__(name: str) -> Any:
    raise unknown_attribute(__name__, name, ["LearningRateSchedule", *(cls.__name__ for cls in _CLASSES)])
