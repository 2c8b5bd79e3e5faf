"""Adagrad."""

from __future__ import annotations

from typing import Any, Final, Unpack

from .base import Hyper, Optimizer, Options
from .rate import Schedule, checked_number


class Adagrad(Optimizer):
    """The gradient over the root of the sum of all its squares so far (Duchi, Hazan and Singer, 2011).

    `a += g^2; w -= learning_rate g / sqrt(a + epsilon)`. The rate of the paper is 1.0; the default is Keras'.

    Parameters
    ----------
    learning_rate : float, schedule or callable, default 0.001
        A number; a schedule of `optimizers.schedules`; a function of nothing, called before each step, or of the
        step, from 0.
    initial_accumulator_value : float, default 0.1
        What a begins with; at least 0.
    epsilon : float, default 1e-7
    **options
        What every optimizer takes: `Options`.

    Examples
    --------
    >>> Adagrad().hyper()
    (0.001, 1e-07)
    """

    epsilon = Hyper()
    initial_accumulator_value: Final[float]

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, options, epsilon=epsilon)
        self.initial_accumulator_value = checked_number(
            "initial_accumulator_value", initial_accumulator_value
        )

    @property
    def rule(self) -> str:
        return "adagrad"

    def initial_slots(self) -> tuple[float, ...]:
        return (self.initial_accumulator_value,)

    def get_config(self) -> dict[str, Any]:
        own = {key: getattr(self, key) for key in ("initial_accumulator_value", "epsilon")}
        return {**super().get_config(), **own}
