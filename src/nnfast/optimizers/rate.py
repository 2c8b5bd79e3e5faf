"""The learning rate of an optimizer: a number, a schedule, or a function that is asked before each step."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..attributes import Guarded
from ..data.tensors import Variable
from ..errors import cut
from ..names import serialize
from .schedules import LearningRateSchedule, deserialize, rates_at

Schedule = Callable[..., Any]


class Rated(Guarded):
    """What has a learning rate, and counts its steps in `iterations`; base of the optimizers."""

    iterations: int
    _learning_rate: float | Schedule

    @property
    def learning_rate(self) -> float:
        """That of the next step; set with a number, a schedule, or a function of nothing or of the step."""
        rate = self._learning_rate
        if not callable(rate):
            return Variable(rate, self, "learning_rate")
        if self.asks_each_step:
            return checked_number("what the function of the learning rate gave", rate())
        return float(rates_at(rate, self.iterations, 1)[0])

    @learning_rate.setter
    def learning_rate(self, value: float | Schedule | Mapping[str, Any]) -> None:
        if isinstance(value, Mapping) and "class_name" in value:
            value = deserialize(value)
        if isinstance(value, type):
            raise TypeError(
                f"learning_rate must be a number or a schedule, got the class {value.__name__}. Call it."
            )
        if callable(value):
            _parameters(value)
            self._learning_rate = value
            return
        number = checked_number("learning_rate", value)  # type: ignore[arg-type]
        if callable(vars(self).get("_learning_rate")):
            raise TypeError(
                f"learning_rate cannot be set to {value!r}: this optimizer follows {self._learning_rate!r}. "
                "Make the optimizer with a number to set it, or set another schedule."
            )
        self._learning_rate = number

    @property
    def is_scheduled(self) -> bool:
        """Whether the rate is a schedule or a function, and no number."""
        return callable(self._learning_rate)

    @property
    def asks_each_step(self) -> bool:
        """Whether the rate is a function without arguments, which has to be called right before each step."""
        rate = self._learning_rate
        return callable(rate) and not isinstance(rate, LearningRateSchedule) and not _parameters(rate)

    def rates(self, steps: int) -> NDArray[np.float64] | None:
        """The rates of the next steps; None where the rate is not a function of the step."""
        rate = self._learning_rate
        if not callable(rate) or self.asks_each_step:
            return None
        return rates_at(rate, self.iterations, steps)

    def _rate_config(self) -> Any:
        rate = self._learning_rate
        return serialize(rate) if isinstance(rate, LearningRateSchedule) else rate


def _parameters(function: Schedule) -> int:
    """With how many arguments a function is called: with the step where it needs one, else with none, as Keras does.

    Raises
    ------
    TypeError
        It needs more.
    """
    try:
        signature = inspect.signature(function)
    except ValueError:
        return 1
    for arguments in ((), (0,)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return len(arguments)
    raise TypeError(
        f"learning_rate must be a function of nothing or of the step alone, got one with the arguments {signature}."
    )


def checked_number(name: str, value: float, bound: float = math.inf) -> float:
    """The value as a float from 0 up to, and without, the bound.

    Raises
    ------
    TypeError
        Not a number.
    ValueError
        Out of range.
    """
    try:
        if isinstance(value, str | bytes) or getattr(value, "dtype", np.dtype(float)).kind not in "biuf":
            raise TypeError
        number = float(value)
    except OverflowError:
        number = math.inf
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {cut(value)}.") from None
    if not 0 <= number < bound:
        limit = "finite" if bound == math.inf else f"below {bound:g}"
        raise ValueError(f"{name} must be at least 0 and {limit}, got {number!r}.")
    return number
