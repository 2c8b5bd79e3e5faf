"""What callbacks that watch a value of the logs share."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import TypeVar

from ..errors import cut
from .base import Callback, Logs

N = TypeVar("N", int, float)


class Monitor(Callback):
    """What EarlyStopping and ReduceLROnPlateau share: which value is watched, and what counts as better."""

    monitor: str
    mode: str
    min_delta: float
    best: float | None

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        if mode not in ("auto", "min", "max"):
            warnings.warn(
                f"{type(self).__name__}: mode {mode!r} is unknown, 'auto' is used. Known: auto, min, max.",
                stacklevel=3,
            )
            mode = "auto"
        if not isinstance(monitor, str) or not monitor:
            raise TypeError(
                f"monitor must be the name of a value in the logs, such as 'val_loss', got {monitor!r}."
            )
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(checked_number("min_delta", min_delta, -math.inf))
        self.best = None

    def _value(self, logs: Logs | None) -> float | None:
        """The monitored value; a missing one warns."""
        logs = logs or {}
        if self.monitor not in logs:
            warnings.warn(
                f"{type(self).__name__} monitors {self.monitor!r}, which is not there. "
                f"Available: {', '.join(logs)}.",
                stacklevel=2,
            )
            return None
        return float(logs[self.monitor])

    def _improves(self, value: float, reference: float | None) -> bool:
        if not math.isfinite(value):
            return False
        if reference is None:
            return True
        if self._direction() == "min":
            return value + self.min_delta < reference
        return value - self.min_delta > reference

    def _direction(self) -> str:
        if self.mode != "auto":
            return self.mode
        name = self.monitor.removeprefix("val_")
        directions: dict[str, str] = {"loss": "min", **self.model.trainer.directions}
        if name not in directions:
            raise ValueError(
                f"{type(self).__name__} cannot tell whether {self.monitor!r} should go up or down; "
                f"it knows {', '.join(directions)}. "
                "Pass mode='max' or mode='min'."
            )
        return directions[name]


def checked_number(name: str, value: N, least: float = 0) -> N:
    """A finite number that is not below `least`; it would be asked for only after an epoch."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {cut(value)}.")
    if not least <= value < math.inf:
        bound = "" if least == -math.inf else f" >= {least}"
        raise ValueError(f"{name} must be a finite number{bound}, got {cut(value)}.")
    return value
