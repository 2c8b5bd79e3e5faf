"""Callbacks that end a fit."""

from __future__ import annotations

import math

from ..data.arrays import Floats
from .base import Callback, Logs
from .monitor import Monitor, checked_number


class EarlyStopping(Monitor):
    """Stops training when a value no longer improves.

    1. A missing value warns and nothing is done; nor is before `start_from_epoch`.
    2. Each epoch counts one of waiting. Improvement is strict: downwards `value + min_delta < best`, upwards
       `value - min_delta > best`; the first value improves, and one that is not finite never does.
    3. An improvement is remembered, with the weights if they are to be restored; the waiting starts anew,
       with a `baseline` only if the value beats that too.
    4. Otherwise, when the waiting has reached `patience` and this is not epoch 0, training stops.
    5. At the end, however it came, the best weights are put back if asked for. A new fit starts afresh.

    Parameters
    ----------
    monitor : str, default "val_loss"
    min_delta : float, default 0
        Its absolute value counts.
    patience : int, default 0
        0 and 1 are the same.
    verbose : int, default 0
        1 says when it acts.
    mode : {"auto", "min", "max"}, default "auto"
        "auto": a loss goes down, a metric in its own direction; anything else is a ValueError at the end of
        the first epoch.
    baseline : float, optional
    restore_best_weights : bool, default False
    start_from_epoch : int, default 0

    Raises
    ------
    TypeError, ValueError
        `monitor` is no name; a number is none, below 0 or not finite.

    Attributes
    ----------
    best, best_epoch, best_weights
        The best value, its epoch, and the weights of that epoch if they are to be restored.
    wait : int
        Epochs since the last improvement.
    stopped_epoch : int
        Epoch in which it stopped training, 0 if it did not.

    Examples
    --------
    >>> stop = EarlyStopping("val_loss", patience=3, restore_best_weights=True)
    """

    patience: int
    verbose: int
    baseline: float | None
    restore_best_weights: bool
    start_from_epoch: int
    wait: int
    stopped_epoch: int
    best_epoch: int
    best_weights: list[Floats] | None

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = checked_number("patience", patience)
        self.verbose = verbose
        self.baseline = None if baseline is None else checked_number("baseline", baseline, -math.inf)
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = checked_number("start_from_epoch", start_from_epoch)
        self._reset()

    def _reset(self) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_epoch = 0
        self.best_weights = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._direction()
        value = self._value(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self._improves(value, self.best):
            self.best = value
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._improves(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        self.abandon()

    def abandon(self) -> None:
        if self.best_weights is not None:
            if self.verbose:
                print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)


class TerminateOnNaN(Callback):
    """Makes a loss or a weight that is not finite end training quietly, as if `stop_training` had been set.

    The trainer, which finds such a loss by itself, asks whether this callback is there; without it training
    stops with `NonFiniteError`. The last entry of the history's "loss" is then NaN.

    Parameters
    ----------
    raise_error : bool, default False
        Raise `NonFiniteError` after all.
    """

    raise_error: bool

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error
