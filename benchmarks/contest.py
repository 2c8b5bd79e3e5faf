"""Contestants that take turns: each in a process of its own, because the threads of a BLAS go on spinning for a while and would take a core from
whoever comes next. On a shared machine an absolute time proves nothing, a ratio taken in turns (A B C A B C ...) does.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

from .environment import SLOWING

# Seconds between two turns, for the threads of the other to go to sleep: those of OpenBLAS spin for 2^28 ticks, a tenth of a second and more, and would
# take a core from whoever comes next.
PAUSE = 0.2

Task = Any
Maker = Callable[[Task], "Timed"]


@dataclass
class Timed:
    """A task made ready by one contestant."""

    run: Callable[[int], float | None]
    """Does so many steps; returns the seconds they took, or None: then the whole call is timed."""
    check: float | None = None
    """What must agree between contestants: the loss after a number of steps."""
    least: int = 1
    """Fewer steps than this are not measured at once."""
    unit: int = 1
    """Steps come in multiples of this."""


def seconds(run: Callable[[int], float | None], count: int) -> float:
    """What one step takes, of so many."""
    begin = time.perf_counter()
    measured = run(count)
    return (time.perf_counter() - begin if measured is None else measured) / count


def steps_within(timed: Timed, budget: float) -> int:
    """So many steps that they take about `budget` seconds."""

    def whole(count: float) -> int:
        return timed.unit * max(-(-timed.least // timed.unit), round(count / timed.unit))

    count = whole(1)
    while (spent := seconds(timed.run, count) * count) < budget / 4 and count < 1 << 24:
        count = whole(count * 4)
    return whole(count * budget / max(spent, 1e-9))


def serve(make: Maker, pipe: Connection) -> None:
    """What the process of one contestant does: a task and a budget come in, seconds per step and the check go out; an error as its text."""
    current: Task | None = None
    timed: Timed | None = None
    count = 1
    while True:
        try:
            task, budget = pipe.recv()
        except EOFError:  # the contest is over
            return
        try:
            if task != current:
                current, timed = task, None
                timed = make(task)
                count = steps_within(timed, budget)
            assert timed is not None, "the task could not be made ready"
            pipe.send((seconds(timed.run, count), timed.check, None))
        except Exception as error:  # a peer may fail in any way; the others go on
            current = None
            pipe.send((0.0, None, f"{type(error).__name__}: {error}"[:300]))


@dataclass
class Result:
    """Of one contestant at one task."""

    samples: list[float] = field(default_factory=list)
    check: float | None = None
    error: str | None = None

    @property
    def median(self) -> float | None:
        return median(self.samples) if self.samples and not self.error else None


class Contest:
    """The processes, and their turns.

    Parameters
    ----------
    contestants : name -> how it makes a task ready (called in its own process), and environment variables to be set there first.
    """

    def __init__(self, contestants: Mapping[str, tuple[Maker, Mapping[str, str]]]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipes: dict[str, Connection] = {}
        for name, (make, environment) in contestants.items():
            ours, theirs = context.Pipe()
            before = dict(os.environ)
            for variable in SLOWING:
                os.environ.pop(variable, None)
            os.environ.update(environment)  # seen by what the new process imports
            context.Process(target=serve, args=(make, theirs), daemon=True).start()
            theirs.close()  # so that the end of the process is seen here
            os.environ.clear()
            os.environ.update(before)
            self.pipes[name] = ours

    def run(self, tasks: Mapping[str, Task], turns: int, budget: float) -> dict[str, Result]:
        """All turns of those contestants that have a task; the first turn warms up."""
        results = {name: Result() for name in tasks}
        for turn in range(-1, turns):
            for name, task in tasks.items():
                if results[name].error:
                    continue
                time.sleep(PAUSE)
                try:
                    self.pipes[name].send((task, budget))
                    spent, results[name].check, results[name].error = self.pipes[name].recv()
                except (EOFError, OSError):
                    results[name].error = "its process ended"
                    continue
                if turn >= 0 and not results[name].error:
                    results[name].samples.append(spent)
        return results
