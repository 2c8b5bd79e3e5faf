"""The table of the README: time per step, native against the NumPy reference, side by side in one run.

Medians of turns taken alternately by two processes. Rows where nnfast is slower stand first. `python -m benchmarks.report` writes the table into README.md;
`--dry-run` only prints it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from . import environment, workloads
from .contest import Contest, Timed
from .workloads import Task

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- benchmark table: made by `make bench` -->", "<!-- end of benchmark table -->"
NETS = ("mnist", "wine")


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


def table(turns: int, budget: float) -> str:
    """All rows as Markdown."""
    contest = Contest({"native": (native, {}), "reference": (reference, {})})
    rows = []
    for name in NETS:
        work = workloads.WORKLOADS[name]
        for rule in work.rules:
            for batch_size in work.batch_sizes:
                task = (name, rule, batch_size)
                results = contest.run({"native": task, "reference": task}, turns, budget)
                ours, theirs = results["native"].median, results["reference"].median
                assert ours, results
                assert theirs, results
                rows.append((name, rule, batch_size or work.rows, ours, theirs))
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
    print(f"Data: {workloads.origin()}.", flush=True)
    text = table(arguments.turns, arguments.budget)
    if arguments.dry_run:
        print(text)
        return
    write_between(README, BEGIN, END, text)
    print(f"wrote the table into {README.name}")


if __name__ == "__main__":
    main()
