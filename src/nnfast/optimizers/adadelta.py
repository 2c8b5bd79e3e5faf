"""Adadelta."""

from __future__ import annotations

from typing import Any, Unpack

from .base import UP_TO_ONE, Hyper, Optimizer, Options
from .rate import Schedule


class Adadelta(Optimizer):
    """Steps as large as the steps before, beside gradients as large as those before (Zeiler, 2012).

    `a = rho a + (1 - rho) g^2; d = sqrt(b + epsilon) / sqrt(a + epsilon) g; b = rho b + (1 - rho) d^2; w -=
    learning_rate d`. The paper has no rate, which is to say 1.0; the default is Keras'.

    Parameters
    ----------
    learning_rate : float, schedule or callable, default 0.001
        A number; a schedule of `optimizers.schedules`; a function of nothing, called before each step, or of the
        step, from 0.
    rho : float, default 0.95
        At least 0, at most 1.
    epsilon : float, default 1e-7
    **options
        What every optimizer takes: `Options`.

    Examples
    --------
    >>> Adadelta().hyper()
    (0.001, 0.95, 1e-07)
    """

    rho = Hyper(UP_TO_ONE)
    epsilon = Hyper()

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, options, rho=rho, epsilon=epsilon)

    @property
    def rule(self) -> str:
        return "adadelta"

    def get_config(self) -> dict[str, Any]:
        own = {key: getattr(self, key) for key in ("rho", "epsilon")}
        return {**super().get_config(), **own}
