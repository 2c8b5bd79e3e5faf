"""RMSprop."""

from __future__ import annotations

from typing import Any, Unpack

from .base import UP_TO_ONE, Hyper, Optimizer, Options
from .rate import Schedule


class RMSprop(Optimizer):
    """The gradient divided by a running root mean square of itself (Hinton, 2012).

    `v += (1 - rho)(g^2 - v); w -= learning_rate g / sqrt(v + epsilon)`, as in Keras. `centered` subtracts the
    squared running mean of g from v; `momentum` gathers the steps in a velocity.

    Parameters
    ----------
    learning_rate : float, schedule or callable, default 0.001
        A number; a schedule of `optimizers.schedules`; a function of nothing, called before each step, or of the
        step, from 0.
    rho : float, default 0.9
    momentum : float, default 0.0
    epsilon : float, default 1e-7
    centered : bool, default False
    **options
        What every optimizer takes: `Options`.

    Examples
    --------
    >>> RMSprop(centered=True).hyper()
    (0.001, 0.9, 1e-07)
    """

    rho = Hyper(1.0)
    momentum = Hyper(UP_TO_ONE)
    epsilon = Hyper()
    centered: bool

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, options, rho=rho, momentum=momentum, epsilon=epsilon)
        self.centered = bool(centered)

    @property
    def rule(self) -> str:
        return "rmsprop" + ("_centered" if self.centered else "") + ("_momentum" if self.momentum else "")

    def get_config(self) -> dict[str, Any]:
        own = {key: getattr(self, key) for key in ("rho", "momentum", "epsilon", "centered")}
        return {**super().get_config(), **own}
