"""Lion."""

from __future__ import annotations

from typing import Any, Unpack

from .base import UP_TO_ONE, Hyper, Optimizer, Options
from .rate import Schedule


class Lion(Optimizer):
    """Steps of one size, in the direction of the sign of a momentum (Chen et al., 2023).

    `w -= learning_rate sign(beta_1 m + (1 - beta_1) g); m = beta_2 m + (1 - beta_2) g`. The rate should be three
    to ten times below that of Adam.

    Parameters
    ----------
    learning_rate : float, schedule or callable, default 0.001
        A number; a schedule of `optimizers.schedules`; a function of nothing, called before each step, or of the
        step, from 0.
    beta_1, beta_2 : float, default 0.9 and 0.99
        beta_1 above 0; both at most 1.
    **options
        What every optimizer takes: `Options`.

    Examples
    --------
    >>> Lion().hyper()
    (0.001, 0.9, 0.99)
    """

    beta_1 = Hyper(UP_TO_ONE, positive=True)
    beta_2 = Hyper(UP_TO_ONE)

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, options, beta_1=beta_1, beta_2=beta_2)

    @property
    def rule(self) -> str:
        return "lion"

    def get_config(self) -> dict[str, Any]:
        own = {key: getattr(self, key) for key in ("beta_1", "beta_2")}
        return {**super().get_config(), **own}
