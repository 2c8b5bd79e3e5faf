"""Nadam."""

from __future__ import annotations

from typing import Any, Unpack

from .base import Hyper, Optimizer, Options
from .rate import Schedule


class Nadam(Optimizer):
    """Adam with Nesterov's look ahead (Dozat, 2016).

    `t` from 1, m and v as in `Adam`, `mu_t = beta_1 (1 - 0.96^t / 2)` and `M_t = mu_1 mu_2 ... mu_t`: `w -=
    learning_rate (mu_(t+1) m / (1 - M_(t+1)) + (1 - mu_t) g / (1 - M_t)) / (sqrt(v / (1 - beta_2^t)) + epsilon)`.

    Parameters
    ----------
    learning_rate : float, schedule or callable, default 0.001
        A number; a schedule of `optimizers.schedules`; a function of nothing, called before each step, or of the
        step, from 0.
    beta_1, beta_2 : float, default 0.9 and 0.999
        At least 0, below 1.
    epsilon : float, default 1e-7
    **options
        What every optimizer takes: `Options`.

    Examples
    --------
    >>> Nadam().hyper()
    (0.001, 0.9, 0.999, 1e-07)
    """

    beta_1 = Hyper(1.0)
    beta_2 = Hyper(1.0)
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
        return "nadam"

    def get_config(self) -> dict[str, Any]:
        own = {key: getattr(self, key) for key in ("beta_1", "beta_2", "epsilon")}
        return {**super().get_config(), **own}
