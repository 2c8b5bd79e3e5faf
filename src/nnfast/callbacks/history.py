"""What a fit leaves behind: the logs of each epoch, and its seconds."""

from __future__ import annotations

import time

from .base import Callback, Logs


class History(Callback):
    """What `fit` returns: the logs of each epoch.

    Attributes
    ----------
    history : dict of str to list of float
        "loss", each metric, and "val_" followed by each of them, one value per epoch.
    epoch : list of int
        Index of each epoch, from `initial_epoch`.
    """

    history: dict[str, list[float]]
    epoch: list[int]

    def __init__(self) -> None:
        self.history = {}
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for key, value in (logs or {}).items():
            self.history.setdefault(key, []).append(value)


class TimeHistory(Callback):
    """The seconds that each epoch of a fit took, its validation included.

    First in the list of callbacks, it does not count the time of the others.

    Attributes
    ----------
    times : list of float
        Seconds per epoch; a new fit starts a new list.

    Examples
    --------
    >>> from nnfast import Sequential, layers
    >>> model = Sequential([layers.Input((1,)), layers.Dense(1)], seed=0)
    >>> model.compile("sgd", "mse")
    >>> clock = TimeHistory()
    >>> history = model.fit([[0.0], [1.0]], [1.0, 3.0], epochs=3, verbose=0, callbacks=[clock])
    >>> len(clock.times), min(clock.times) > 0
    (3, True)
    """

    times: list[float]

    def __init__(self) -> None:
        self.times = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.times = []

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.times.append(time.perf_counter() - self._began)


class ProgbarLogger(Callback):
    """Keras' progress display, which `verbose` shows here already: with it in the list, nothing is shown twice."""
