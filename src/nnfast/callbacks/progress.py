"""What `verbose` shows: one bar per epoch as Keras users know it (tqdm, imported when the first bar is
drawn), or one line per epoch.

A bar moves inside an epoch through the engine's progress call, which comes every few milliseconds, so that
drawing costs next to nothing. Where epochs are shorter than that, their lines are thinned out to one per cent
of the time.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any, TextIO

from ..errors import cut
from .base import Callback, Logs

FREE_SECONDS = 0.02
"""Time that drawing may take before it is held to COST."""
COST = 0.01
"""Share of the run that drawing may take; epochs between are then passed over, never the last."""
INTERVAL = 0.1
"""Seconds between two redraws of a bar."""


def mode(verbose: str | int) -> int:
    """0 (silent), 1 (bar) or 2 (one line per epoch) for what a user passed.

    "auto" is a bar on a terminal or in a notebook, where it can move, and lines in a file or a pipe. Where there
    is no standard output (a service, a program without console) or it is closed, everything is silent.

    Raises
    ------
    ValueError
        Another value.
    """
    if verbose not in ("auto", 0, 1, 2):
        raise ValueError(
            f"verbose must be 'auto', 0 (silent), 1 (bar) or 2 (one line per epoch), got {cut(verbose)}."
        )
    if not is_open(sys.stdout):
        return 0
    if verbose == "auto":
        return 1 if _can_move() else 2
    return int(verbose)


def is_open(stream: TextIO | None) -> bool:
    """Whether anything can be written to a standard stream: it may be None, or closed."""
    return stream is not None and not getattr(stream, "closed", False)


def _can_move() -> bool:
    terminal = getattr(
        sys.stdout, "isatty", None
    )  # what a user put in its place may have little more than `write`
    return (terminal is not None and terminal()) or "ipykernel" in sys.modules


class ProgressBar(Callback):
    """Draws the progress of fit or evaluate on standard output.

    Parameters
    ----------
    verbose : {1, 2}
        Bar, or one line per epoch.
    rows, batch_size : int
        Of one epoch.
    read : callable (int) -> dict
        The means of the epoch so far, from the number of rows whose batches are complete: the totals hold no
        others.
    """

    verbose: int
    rows: int
    batch_size: int
    read: Callable[[int], Logs]
    steps: int
    spent: float
    began: float
    drawn: float
    epoch_began: float
    bar: Any
    epochs: int
    in_fit: bool
    shown: bool
    title: str
    moves: bool

    def __init__(self, verbose: int, rows: int, batch_size: int, read: Callable[[int], Logs]) -> None:
        self.verbose = verbose
        self.rows = rows
        self.batch_size = batch_size
        self.read = read
        self.steps = -(-rows // batch_size)
        self.spent = 0.0
        self.began = self.drawn = time.perf_counter()
        self.bar = None
        self.epochs = 1
        self.in_fit = False
        self.shown = False
        self.title = ""
        self.moves = verbose == 1 and _can_move()

    @property
    def on_progress(self) -> Callable[[int], None] | None:
        return self.progress if self.moves else None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.in_fit = True
        self.epochs = (self.params or {}).get("epochs", 1)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch_began = self.drawn = time.perf_counter()
        self.title = f"Epoch {epoch + 1}/{self.epochs}" if self.epochs > 1 else ""
        affordable = self.spent <= FREE_SECONDS + COST * (self.epoch_began - self.began)
        if self.verbose == 2 or affordable or epoch + 1 == self.epochs:
            self._show()

    def progress(self, rows: int) -> None:
        """Called by the engine now and then with the number of rows of this epoch that are done; what is shown is of
        whole batches."""
        now = time.perf_counter()
        rows = rows if rows == self.rows else rows - rows % self.batch_size
        if now - self.drawn >= INTERVAL:
            self.drawn = now
            self._show()
            self._draw(rows, self.read(rows))
            self.spent += time.perf_counter() - now

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.model.stop_training:  # this epoch is the last one after all
            self._show()
        if self.shown:
            self.shown = False
            now = time.perf_counter()
            self._finish(logs or {})
            self.spent += time.perf_counter() - now

    def _show(self) -> None:
        if not self.shown:
            self.shown = True
            if self.title:
                print(self.title)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if not self.in_fit:
            self.epoch_began = self.drawn = time.perf_counter()

    def on_test_end(self, logs: Logs | None = None) -> None:
        if not self.in_fit:
            self._finish(logs or {})

    def _draw(self, rows: int, logs: Logs) -> None:
        if self.bar is None:
            self.bar = bar(self.steps, "{n_fmt}/{total_fmt} {bar:20}{desc}")
        self.bar.set_description_str(self._summary(rows, logs), refresh=False)
        self.bar.n = -(-rows // self.batch_size)
        self.bar.refresh()

    def _finish(self, logs: Logs) -> None:
        if self.moves:
            self._draw(self.rows, logs)
            self.abandon()
        else:
            print(f"{self.steps}/{self.steps} -{self._summary(self.rows, logs)}")

    def abandon(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _summary(self, rows: int, logs: Logs) -> str:
        """Seconds, time per step, and each value."""
        seconds = time.perf_counter() - self.epoch_began
        step = seconds / max(1, -(-rows // self.batch_size))
        unit = (
            f"{step:.0f}s" if step >= 1 else f"{step * 1e3:.0f}ms" if step >= 1e-3 else f"{step * 1e6:.0f}us"
        )
        values = [f" - {key}: {_digits(value)}" for key, value in logs.items()]
        return f" {seconds:.0f}s {unit}/step{''.join(values)}"


def _digits(value: Any) -> str:
    """Of one number, or of each of several."""
    if getattr(value, "ndim", 0):
        return f"[{', '.join(map(_digits, value))}]"
    return f"{value:{'.4f' if abs(value) > 1e-3 or value == 0 else '.4e'}}"


def bar(total: float, bar_format: str, initial: float = 0.0) -> Any:
    """A bar of tqdm on standard output, to be moved by hand."""
    return _bar_class()(
        total=total,
        initial=initial,
        file=sys.stdout,
        bar_format=bar_format,
        mininterval=0,
        dynamic_ncols=True,
    )


@cache
def _bar_class() -> Any:
    tqdm = importlib.import_module("tqdm").tqdm
    return type("Bar", (tqdm,), {"monitor_interval": 0})  # no thread of tqdm's: it would not survive a fork
