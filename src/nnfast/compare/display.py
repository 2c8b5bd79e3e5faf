"""What a grid shows while it runs."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ..callbacks import progress
from .journal import Record
from .plan import Cell


class Running(Protocol):
    """A run under way."""

    @property
    def work_done(self) -> float: ...


class Display:
    """One bar for the whole grid, or a line for each run; the time left goes by the work done so far."""

    def __init__(self, verbose: int, cells: Sequence[Cell], finished: Mapping[int, Record]) -> None:
        self.verbose = verbose
        self.cells = len(cells)
        self.count = len(finished)
        self.watches: dict[int, Running] = {}  # of the runs under way
        self.work = sum(cell.work for cell in cells)
        self.before = self.done = sum(cell.work for cell in cells if cell.number in finished)
        self.began = time.perf_counter()
        self.last = ""
        self.bar: Any = None
        if verbose == 1:
            self.bar = progress.bar(
                self.work, "{percentage:3.0f}% {bar:20} {elapsed}<{remaining}{desc}", self.before
            )
        elif verbose == 2 and finished:
            print(f"{self.count} of {self.cells} runs were finished before.")

    def _work_done(self) -> float:
        return min(self.work, self.done + sum(watch.work_done for watch in list(self.watches.values())))

    def draw(self) -> None:
        """Move the bar."""
        if self.bar is not None:
            self.bar.set_description_str(f" - {self.count}/{self.cells} runs{self.last}", refresh=False)
            self.bar.n = self._work_done()
            self.bar.refresh()

    def finished(self, cell: Cell, record: Record) -> None:
        """Say so."""
        self.watches.pop(cell.number, None)
        self.count += 1
        self.done += cell.work
        scores = {name: record[name] for name in record["history"]}
        self.last = f" - {cell.title}: " + ", ".join(f"{name} {value:.4g}" for name, value in scores.items())
        self.draw()
        if self.verbose == 2:
            done = self._work_done()
            elapsed = time.perf_counter() - self.began
            left = elapsed * (self.work - done) / max(1.0, done - self.before)
            print(
                f"{self.count}/{self.cells}{self.last}, {record['seconds']:.1f} s; "
                f"{datetime.timedelta(seconds=round(left))} left",
                flush=True,
            )

    def close(self) -> None:
        """Leave the terminal."""
        if self.bar is not None:
            self.draw()
            self.bar.close()
