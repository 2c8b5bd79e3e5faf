"""Callbacks that set the learning rate between epochs."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable

from ..errors import cut
from .base import Callback, Logs
from .monitor import Monitor, checked_number


class ReduceLROnPlateau(Monitor):
    """Lowers the learning rate when a value no longer improves.

    Parameters
    ----------
    monitor : str, default "val_loss"
    factor : float, default 0.1
        Below 1: the new rate is `factor` times the old one.
    patience : int, default 10
        Epochs without improvement before the rate is lowered.
    verbose : int, default 0
        1 says when it acts.
    mode : {"auto", "min", "max"}, default "auto"
        As in `EarlyStopping`.
    min_delta : float, default 1e-4
    cooldown : int, default 0
        Epochs after a reduction in which none is counted.
    min_lr : float, default 0.0
        The rate goes no lower.

    Raises
    ------
    TypeError, ValueError
        `monitor` is no name; a number is none, below 0 or not finite.
    """

    factor: float
    patience: int
    verbose: int
    cooldown: int
    min_lr: float
    wait: int
    cooldown_counter: int

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if not 0 <= checked_number("factor", factor, -math.inf) < 1:
            raise ValueError(f"factor must be at least 0 and below 1, got {cut(factor)}.")
        self.factor = factor
        self.patience = checked_number("patience", patience)
        self.verbose = verbose
        self.cooldown = checked_number("cooldown", cooldown)
        self.min_lr = checked_number("min_lr", min_lr)
        self._reset()

    def _reset(self) -> None:
        self.best = None
        self.wait = 0
        self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._direction()
        logs = {} if logs is None else logs
        optimizer = self.model.optimizer
        logs["learning_rate"] = optimizer.learning_rate
        value = self._value(logs)
        if value is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self._improves(value, self.best):
            self.best = value
            self.wait = 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            if self.wait >= self.patience and optimizer.learning_rate > self.min_lr:
                optimizer.learning_rate = max(optimizer.learning_rate * self.factor, self.min_lr)
                if self.verbose:
                    print(
                        f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to "
                        f"{optimizer.learning_rate}."
                    )
                self.cooldown_counter = self.cooldown
                self.wait = 0


class LearningRateScheduler(Callback):
    """Sets the learning rate at the start of each epoch.

    Parameters
    ----------
    schedule : callable (epoch, learning_rate) -> float
        From the index of the epoch, from 0, and the current rate to the new one; a function of the epoch
        alone will do.
    verbose : int, default 0
        1 says what it sets.

    Examples
    --------
    >>> decay = LearningRateScheduler(lambda epoch, rate: rate * 0.9)
    """

    schedule: Callable[..., float]
    verbose: int

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise TypeError(f"schedule must be a function of epoch and learning rate, got {schedule!r}.")
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        optimizer.learning_rate = self._call(epoch, optimizer.learning_rate)
        if self.verbose:
            print(
                f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to "
                f"{optimizer.learning_rate}."
            )

    def _call(self, epoch: int, rate: float) -> float:
        try:
            inspect.signature(self.schedule).bind(epoch, rate)
        except TypeError:
            return self.schedule(epoch)
        return self.schedule(epoch, rate)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate
