"""The runs of a grid, side by side: one is `Sequential.fit` on a thread of its own."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .. import _core, metrics, optimizers
from ..callbacks import Logs, TerminateOnNaN, TimeHistory
from ..models import Sequential
from ..threads import share_threads
from ..training.health import dead_units
from .display import Display
from .journal import Record
from .plan import Cell, Plan, Rows

SUBSET = 2**32 - 1
"""The shuffle that picks the rows of a smaller training set: that of an epoch which no fit gets to."""
REDRAW = 0.1
"""Seconds between two redraws of the bar."""


class Stopped(Exception):
    """Raised within a run that is to end: another one failed, or Ctrl-C."""


class Watch(TimeHistory):
    """How far a run is, and the way to stop it."""

    stop: threading.Event
    rows: int
    work_of_epoch: float
    part: float

    def __init__(self, stop: threading.Event, cell: Cell, epochs: int) -> None:
        super().__init__()
        self.stop = stop
        self.rows = cell.rows
        self.work_of_epoch = cell.work / epochs
        self.part = 0.0  # of the epoch under way

    @property
    def work_done(self) -> float:
        return self.work_of_epoch * (len(self.times) + self.part)

    @property
    def on_progress(self) -> Callable[[int], None]:
        return self._moved

    def _moved(self, rows: int) -> None:
        self.part = rows / self.rows
        if self.stop.is_set():
            raise Stopped

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        super().on_epoch_end(epoch, logs)
        self._moved(0)


def _run(plan: Plan, cell: Cell, watch: Watch) -> Record:
    """One run."""
    model = Sequential.from_config(cell.model)
    model.compile(
        optimizers.get(cell.optimizer), plan.loss, metrics=metrics.copies(plan.metrics), backend=plan.backend
    )
    assert model.trainer is not None
    model.trainer.warns_of_dead_units = False  # one warning for the whole grid is enough
    x, y = subset(plan.train, cell)
    history = model.fit(
        x,
        y,
        batch_size=cell.batch_size,
        epochs=plan.epochs,
        verbose=0,
        callbacks=[watch, TerminateOnNaN()],
        validation_data=plan.validation,
    ).history
    scores: Any = {} if plan.test is None else model.evaluate(*plan.test, verbose=0, return_dict=True)
    return {
        **cell.labels,
        "seed": cell.seed,
        "rows": cell.rows,
        "epochs": len(watch.times),
        "seconds": sum(watch.times),
        **{name: values[-1] for name, values in history.items()},
        **{f"test_{name}": value for name, value in scores.items()},
        "dead_units": dead_units(model, x),
        "diverged": not math.isfinite(history["loss"][-1]),
        "history": history,
    }


def subset(data: Rows, cell: Cell) -> Rows:
    """The rows of a run, in the order of the data."""
    if cell.rows == len(data.x):
        return data
    order = np.empty(len(data.x), np.uint32)
    _core.shuffle(order, cell.seed, SUBSET)
    chosen = np.sort(order[: cell.rows])
    return Rows(data.x[chosen], data.y[chosen])


def run_all(
    cells: Iterable[Cell], jobs: int, plan: Plan, finish: Callable[[Cell, Record], None], display: Display
) -> None:
    """Run cells on `jobs` threads, in this order; `finish` is called in this thread.

    The engine holds no lock of Python's during an epoch. Two runs of one worker each get through more than one
    after the other with two, as nobody waits at a barrier; workers for which there is no run go to those left.
    """
    todo = deque(cells)
    messages: queue.SimpleQueue[tuple[int, Cell | None, Record | BaseException]] = queue.SimpleQueue()
    stop = threading.Event()

    def work(number: int) -> None:
        while todo and not stop.is_set():
            with contextlib.suppress(IndexError):
                cell = todo.popleft()
                display.watches[cell.number] = watch = Watch(stop, cell, plan.epochs)
                try:
                    messages.put((number, cell, _run(plan, cell, watch)))
                except BaseException as error:
                    messages.put((number, cell, error))
        messages.put((number, None, {}))

    busy = set(range(min(jobs, len(todo))))
    workers = [threading.Thread(target=work, args=(number,), name=f"nnfast-grid-{number}") for number in busy]
    failure: BaseException | None = None
    message: tuple[int, Cell | None, Record | BaseException] | None = None
    try:
        share_threads(stop, len(busy))
        for worker in workers:
            worker.start()
        while busy:
            try:  # Ctrl-C may come anywhere in here: a message that was not dealt with is dealt with again
                if message is None:
                    message = messages.get(timeout=REDRAW)
                number, cell, outcome = message
                if cell is None:
                    busy.discard(number)
                    share_threads(stop, len(busy))
                elif not isinstance(outcome, BaseException):
                    finish(cell, outcome)
                elif not isinstance(outcome, Stopped):
                    failure = failure or outcome
                    stop.set()
                message = None
            except queue.Empty:
                display.draw()
            except KeyboardInterrupt as error:
                failure = error
                stop.set()
    finally:
        stop.set()
        for worker in workers:
            if worker.ident is not None:
                worker.join()
        share_threads(stop, 0)
    if failure is not None:
        raise failure
