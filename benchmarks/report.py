"""The table of the README: time per step, native against the NumPy reference, side by side in one run.

Medians of turns taken alternately by two processes. Rows where nnfast is slower stand first. `python -m benchmarks.report` writes the table into README.md;
`--dry-run` only prints it, and so does `--quick`, which takes a few rows and short turns to see whether it works.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from . import environment, workloads
from .contest import Contest, Timed
from .workloads import Task

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- benchmark table: made by `make bench` -->", "<!-- end of benchmark table -->"
NETS = ("mnist", "wine")
QUICK: tuple[Task, ...] = (
    ("mnist", "sgd", 32),
    ("mnist", "adam", 32),
    ("wine", "sgd", 32),
    ("wine", "adam", 256),
)


def native(task: Task) -> Timed:
    return Timed(workloads.steps(task[0], task[1], "native", task[2]))


def reference(task: Task) -> Timed:
    return Timed(workloads.steps(task[0], task[1], "reference", task[2]))


def format_time(value: float) -> str:
    """Microseconds, or milliseconds from 10 ms."""
    return f"{value * 1e3:.1f} ms" if value >= 0.01 else f"{value * 1e6:.1f} µs"


def write_between(path: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between two marks."""
    before, rest = path.read_text(encoding="utf-8").split(begin)
    _, after = rest.split(end)
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def table(tasks: Sequence[Task], turns: int, budget: float, command: str) -> str:
    """The rows of these tasks as Markdown, with the command that made them."""
    contest = Contest({"native": (native, {}), "reference": (reference, {})})
    rows = []
    for task in tasks:
        name, rule, batch_size = task
        results = contest.run({"native": task, "reference": task}, turns, budget)
        ours, theirs = results["native"].median, results["reference"].median
        assert ours, results
        assert theirs, results
        rows.append((name, rule, batch_size or workloads.WORKLOADS[name].rows, ours, theirs))
        print(
            f"{name:6} {rule:9} {rows[-1][2]:6} {format_time(ours):>10} {format_time(theirs):>10} {theirs / ours:6.1f}x",
            flush=True,
        )
    rows.sort(key=lambda row: row[4] >= row[3])  # stable: losses first
    lines = [
        "| net | optimizer | batch | nnfast | NumPy reference | ratio |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, rule, batch, ours, theirs in rows:
        ratio = f"{theirs / ours:.1f}x" if theirs >= ours else f"**{theirs / ours:.2f}x**"
        lines.append(f"| {name} | {rule} | {batch} | {format_time(ours)} | {format_time(theirs)} | {ratio} |")
    machine = "; ".join(f"{key} {value}" for key, value in environment.describe().items())
    lines += [
        "",
        f"Time per step; medians of {turns} turns taken alternately by two processes, by `{command}`. {machine}.",
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and put the table between its marks in the README, unless the run is a quick or dry one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, help="measurements of each (default 7, quick 3)")
    parser.add_argument("--budget", type=float, help="seconds of each measurement (default 0.15, quick 0.03)")
    parser.add_argument("--dry-run", action="store_true", help="do not write README.md")
    parser.add_argument(
        "--quick", action="store_true", help="a few rows, short turns; README.md is not written"
    )
    arguments = parser.parse_args(argv)
    quick = arguments.quick
    every = [task for task in workloads.TRAININGS if task[0] in NETS]
    turns = arguments.turns or (3 if quick else 7)
    budget = arguments.budget or (0.03 if quick else 0.15)
    print(f"Data: {workloads.origin()}.", flush=True)
    command = "python -m benchmarks.report --quick" if quick else "make bench"
    text = table(QUICK if quick else every, turns, budget, command)
    if quick:
        print(f"A quick run, too short for figures to quote; {README.name} is not written.\n")
    if quick or arguments.dry_run:
        print(text)
        return
    write_between(README, BEGIN, END, text)
    print(f"wrote the table into {README.name}")


if __name__ == "__main__":
    main()
