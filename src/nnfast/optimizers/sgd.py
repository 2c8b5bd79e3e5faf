"""Gradient descent."""

from __future__ import annotations

from typing import Any, Unpack

from .base import UP_TO_ONE, Hyper, Optimizer, Options
from .rate import Schedule


class SGD(Optimizer):
    """Gradient descent on mini-batches, with momentum or Nesterov's momentum.

    momentum 0: `w -= learning_rate g`. Else `v = momentum v - learning_rate g; w += v`, and with Nesterov `w
    += momentum v - learning_rate g` with the new v. The rate is inside the velocity, as in Keras (PyTorch
    differs).

    Parameters
    ----------
    learning_rate : float, schedule or callable, default 0.01
        A number; a schedule of `optimizers.schedules`; a function of nothing, called before each step, or of the
        step, from 0.
    momentum : float, default 0.0
        At least 0, at most 1.
    nesterov : bool, default False
    **options
        What every optimizer takes: `Options`.

    Examples
    --------
    >>> SGD(0.1, momentum=0.9).rule
    'momentum'
    """

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, options, momentum=momentum)
        self.nesterov = bool(nesterov)

    momentum = Hyper(UP_TO_ONE)
    nesterov: bool

    @property
    def rule(self) -> str:
        if self.momentum == 0:
            return "sgd"
        return "nesterov" if self.nesterov else "momentum"

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}
