"""Adamax."""

from __future__ import annotations

from typing import Any, Unpack

from .base import UP_TO_ONE, Hyper, Optimizer, Options
from .rate import Schedule


class Adamax(Optimizer):
    """Adam with the largest gradient in the place of the root of the second moment (Kingma and Ba, 2015, 7.1).

    `t` from 1: `m += (1 - beta_1)(g - m); u = max(beta_2 u, |g|); w -= learning_rate / (1 - beta_1^t) m / (u +
    epsilon)`.

    Parameters
    ----------
    learning_rate : float, schedule or callable, default 0.001
        A number; a schedule of `optimizers.schedules`; a function of nothing, called before each step, or of the
        step, from 0.
    beta_1, beta_2 : float, default 0.9 and 0.999
        At least 0, below 1; beta_2 at most 1.
    epsilon : float, default 1e-7
    **options
        What every optimizer takes: `Options`.

    Examples
    --------
    >>> Adamax().hyper()
    (0.001, 0.9, 0.999, 1e-07)
    """

    beta_1 = Hyper(1.0)
    beta_2 = Hyper(UP_TO_ONE)
    epsilon = Hyper()

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, options, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)

    @property
    def rule(self) -> str:
        return "adamax"

    def get_config(self) -> dict[str, Any]:
        own = {key: getattr(self, key) for key in ("beta_1", "beta_2", "epsilon")}
        return {**super().get_config(), **own}
