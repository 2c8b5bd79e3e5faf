"""FTRL-proximal."""

from __future__ import annotations

from typing import Any, Final, Unpack

import numpy as np
from numpy.typing import NDArray

from .base import Hyper, Optimizer, Options
from .rate import Schedule, checked_number


class Ftrl(Optimizer):
    """Follow the regularized leader, which makes weights exactly zero with L1 (McMahan et al., 2013).

    With `p = -learning_rate_power`: `n = a + g^2; z += g + 2 l2_shrinkage w - (n^p - a^p) / learning_rate w; a = n;
    w = (clip(z, -l1, l1) - z) / (n^p / learning_rate + 2 l2 + beta / learning_rate)`. The weights follow from `z`
    and not from where they are: the first step forgets what they began with, unless their gradient is not zero.

    Parameters
    ----------
    learning_rate : float, schedule or callable, default 0.001
        Above 0 in every step.
        A number; a schedule of `optimizers.schedules`; a function of nothing, called before each step, or of the
        step, from 0.
    learning_rate_power : float, default -0.5
        At most 0; 0 is a constant rate.
    initial_accumulator_value : float, default 0.1
        What a begins with; at least 0.
    l1_regularization_strength, l2_regularization_strength : float, default 0.0
    l2_shrinkage_regularization_strength : float, default 0.0
        A penalty on the size of w itself, where that of `l2` is on the step.
    beta : float, default 0.0
    **options
        What every optimizer takes: `Options`.

    Raises
    ------
    ValueError
        By `fit`: the rate of a step is 0.

    Examples
    --------
    >>> Ftrl(l1_regularization_strength=0.5).hyper()
    (0.001, 0.5, 0.0, 0.0, 0.0)
    """

    l1_regularization_strength = Hyper()
    l2_regularization_strength = Hyper()
    l2_shrinkage_regularization_strength = Hyper()
    beta = Hyper()
    initial_accumulator_value: Final[float]

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            learning_rate,
            options,
            l1_regularization_strength=l1_regularization_strength,
            l2_regularization_strength=l2_regularization_strength,
            l2_shrinkage_regularization_strength=l2_shrinkage_regularization_strength,
            beta=beta,
        )
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = checked_number(
            "initial_accumulator_value", initial_accumulator_value
        )

    @property
    def learning_rate_power(self) -> float:
        return self._learning_rate_power

    @learning_rate_power.setter
    def learning_rate_power(self, value: float) -> None:
        try:
            self._learning_rate_power = -checked_number("-learning_rate_power", -value)
        except ValueError:
            raise ValueError(f"learning_rate_power must be at most 0 and finite, got {value!r}.") from None

    @property
    def rule(self) -> str:
        return "ftrl" if self.learning_rate_power == -0.5 else "ftrl_power"

    def hyper(self) -> tuple[float, ...]:
        values = super().hyper()
        _refuse_zero(values[0])
        return values

    def rates(self, steps: int) -> NDArray[np.float64] | None:
        rates = super().rates(steps)
        if rates is not None:
            _refuse_zero(rates.min(initial=1.0))
        return rates

    def initial_slots(self) -> tuple[float, ...]:
        return self.initial_accumulator_value, 0.0

    def get_config(self) -> dict[str, Any]:
        keys = (
            "learning_rate_power",
            "initial_accumulator_value",
            "l1_regularization_strength",
            "l2_regularization_strength",
            "l2_shrinkage_regularization_strength",
            "beta",
        )
        return {**super().get_config(), **{key: getattr(self, key) for key in keys}}


def _refuse_zero(rate: float) -> None:
    if not rate:
        raise ValueError(
            "the learning rate of Ftrl must be above 0 in every step, as weights are divided by it, got 0.0. "
            "Freeze the layers (trainable=False) or end the schedule above 0."
        )
