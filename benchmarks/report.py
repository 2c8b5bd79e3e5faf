"""The table of the README: time per step, native against the NumPy reference, side by side in one run.

Each has a process of its own, because the threads of a BLAS go on spinning for a while and would take a core from whoever comes next. The two take turns
(A B A B ...) and medians are compared: on a shared machine an absolute time proves nothing, a ratio taken in turns does. Rows where nnfast is slower stand
first. `python -m benchmarks.report` writes the table into README.md; `--dry-run` only prints it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

from . import environment

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- benchmark table: made by `make bench` -->", "<!-- end of benchmark table -->"


PAUSE = 0.05  # seconds between two turns, for the threads of the other to go to sleep


def serve(backend: str, pipe: Connection) -> None:
    """What the process of one backend does: a workload comes in, with the seconds to spend on it; seconds per step go out."""
    from . import workloads

    current: tuple[str, str, int] | None = None
    while True:
        name, rule, batch_size, budget = pipe.recv()
        if current != (name, rule, batch_size):
            current = (name, rule, batch_size)
            run = workloads.steps(name, rule, backend, batch_size)
            run(1)
            count = 1
            while (spent := seconds(run, count)) * count < budget / 4 and batch_size:
                count *= 4
            count = max(1, round(budget / spent))
        pipe.send(seconds(run, count))


def seconds(run: Callable[[int], None], count: int) -> float:
    """What one step takes, of so many."""
    begin = time.perf_counter()
    run(count)
    return (time.perf_counter() - begin) / count


class Contestants:
    """The two processes, and their turns."""

    def __init__(self) -> None:
        from . import workloads

        context = multiprocessing.get_context("spawn")
        self.pipes = []
        for backend in workloads.BACKENDS:
            ours, theirs = context.Pipe()
            context.Process(target=serve, args=(backend, theirs), daemon=True).start()
            self.pipes.append(ours)

    def compare(
        self, name: str, rule: str, batch_size: int, turns: int, budget: float
    ) -> tuple[float, float]:
        """Seconds per step, native and reference: medians over turns, each of about `budget` seconds."""
        samples: list[list[float]] = [[], []]
        for turn in range(-1, turns):  # the first one warms up
            for pipe, sample in zip(self.pipes, samples, strict=True):
                time.sleep(PAUSE)
                pipe.send((name, rule, batch_size, budget))
                spent = pipe.recv()
                if turn >= 0:
                    sample.append(spent)
        return median(samples[0]), median(samples[1])


def format_time(value: float) -> str:
    """Microseconds, or milliseconds from 10 ms."""
    return f"{value * 1e3:.1f} ms" if value >= 0.01 else f"{value * 1e6:.1f} µs"


def table(turns: int, budget: float) -> str:
    """All rows as Markdown."""
    from . import workloads

    contestants = Contestants()
    rows = []
    for name, work in workloads.WORKLOADS.items():
        for rule in workloads.RULES:
            for batch_size in workloads.BATCH_SIZES:
                native, reference = contestants.compare(name, rule, batch_size, turns, budget)
                rows.append((name, rule, batch_size or work.rows, native, reference))
                print(
                    f"{name:6} {rule:9} {rows[-1][2]:6} {format_time(native):>10} {format_time(reference):>10} {reference / native:6.1f}x",
                    flush=True,
                )
    rows.sort(key=lambda row: row[4] >= row[3])  # stable: losses first
    lines = [
        "| net | optimizer | batch | nnfast | NumPy reference | ratio |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, rule, batch, native, reference in rows:
        ratio = f"{reference / native:.1f}x" if reference >= native else f"**{reference / native:.2f}x**"
        lines.append(
            f"| {name} | {rule} | {batch} | {format_time(native)} | {format_time(reference)} | {ratio} |"
        )
    machine = "; ".join(f"{key} {value}" for key, value in environment.describe().items())
    lines += [
        "",
        f"Time per step; medians of {turns} turns taken alternately by two processes, by `make bench`. {machine}.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and put the table between its marks in the README."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=7, help="measurements of each (default 7)")
    parser.add_argument(
        "--budget", type=float, default=0.15, help="seconds of each measurement (default 0.15)"
    )
    parser.add_argument("--dry-run", action="store_true", help="do not write README.md")
    arguments = parser.parse_args()
    text = table(arguments.turns, arguments.budget)
    if arguments.dry_run:
        print(text)
        return
    readme = README.read_text(encoding="utf-8")
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    README.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    print(f"wrote the table into {README.name}")


if __name__ == "__main__":
    main()
