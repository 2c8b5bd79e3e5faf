"""What `benchmarks.peers` has measured, as a section of docs/benchmarks.md and a picture, docs/img/peers-<set>.png.

Each instruction set has a section, because a machine without the widest one is another machine to all contestants. It has one table for everything, with the
rows first in which a peer is faster; the picture has the time of a step against the batch size for the two nets of the thesis, with the least that a dense
step can take on this machine.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from nnfast.plot.style import COLOURS, INK, finish, frame, panels, spread

from .limits import BETWEEN_CORES
from .peers import CONTESTANTS, LINES
from .report import format_time, write_between
from .workloads import WORKLOADS

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "benchmarks.md"
OURS, *PEERS = LINES
PANELS = (("mnist", "sgd"), ("mnist", "adam"), ("wine", "sgd"), ("wine", "adam"))


class Row(NamedTuple):
    """One row of the benchmark: seconds of each line (the best of its contestants), and why a contestant has none."""

    net: str
    rule: str
    batch_size: int
    flops: int | None
    seconds: dict[str, float]
    errors: dict[str, str]
    between_cores: Sequence[float | None] = (None, None)

    @property
    def fastest(self) -> str | None:
        """The peer to beat."""
        return min(
            (line for line in PEERS if line in self.seconds), key=self.seconds.__getitem__, default=None
        )

    def ratio(self, line: str | None) -> float | None:
        """How many times nnfast's time a peer takes."""
        if line in self.seconds and OURS in self.seconds:
            return self.seconds[line] / self.seconds[OURS]
        return None

    @property
    def lost(self) -> bool:
        """A peer is faster, or nnfast has no time at all."""
        ratio = self.ratio(self.fastest)
        return OURS not in self.seconds or (ratio is not None and ratio < 1)


def read(result: Mapping[str, Any]) -> list[Row]:
    """The rows of the JSON, those first that nnfast loses."""
    rows = []
    for row in result["rows"]:
        seconds: dict[str, float] = {}
        for name, samples in row["seconds"].items():
            line = CONTESTANTS[name].line
            seconds[line] = min(median(samples), seconds.get(line, float("inf")))
        rows.append(
            Row(
                row["net"],
                row["rule"],
                row["batch_size"],
                row["flops"],
                seconds,
                row["errors"],
                row.get("between cores", (None, None)),
            )
        )
    return sorted(rows, key=lambda row: not row.lost)  # stable


def instruction_set(result: Mapping[str, Any]) -> str:
    """That nnfast has used."""
    return str(result["machine"]["instruction set"])


def picture_path(result: Mapping[str, Any]) -> Path:
    """Where the picture of a section lies."""
    return DOCS / "img" / f"peers-{instruction_set(result)}.png"


def peak(result: Mapping[str, Any]) -> float | None:
    """FLOP/s of all threads with the instruction set that nnfast has used, as measured in the same run."""
    rate = result["limits"].get(f"{instruction_set(result)} GFLOP/s, {result['machine']['threads']} threads")
    return None if rate is None else rate * 1e9


def table(rows: Sequence[Row], peak: float | None) -> str:
    """Markdown; a peer that has failed in a row is marked, one that did not take part has a dash."""
    lines = [
        f"| net | task | batch | {OURS} | of the peak | ns between cores | fastest peer | ratio | "
        + " | ".join(PEERS)
        + " |",
        "|---|---|---:|---:|---:|---:|---:|---:|" + "---:|" * len(PEERS),
    ]
    for row in rows:
        failed = {CONTESTANTS[name].line for name in row.errors}

        def cell(line: str | None, text: str | None, failed: set[str] = failed) -> str:
            return text or ("failed" if line in failed else "-")

        def ratio(line: str | None, row: Row = row) -> str | None:
            value = row.ratio(line)
            if value is None:
                return None
            return f"{value:.1f}x" if value >= 1 else f"**{value:.2f}x**"

        own, best = row.seconds.get(OURS), row.fastest
        share = f"{row.flops / own / peak:.0%}" if own and peak and row.flops else None
        cells = [
            row.net,
            row.rule,
            str(row.batch_size),
            cell(OURS, format_time(own) if own else None),
            cell(None, share),
            cell(None, ", ".join(f"{ns:.0f}" for ns in row.between_cores if ns is not None)),
            cell(None, f"{best} {format_time(row.seconds[best])}" if best else None),
            cell(None, ratio(best)),
            *(cell(line, ratio(line)) for line in PEERS),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def failures(rows: Sequence[Row]) -> str:
    """A Markdown list of what has no time, and why; empty where all is well."""
    found = [
        f"- {row.net} {row.rule} {row.batch_size}, {name}: {error}"
        for row in rows
        for name, error in row.errors.items()
    ]
    return "\n".join(["Failed, and therefore without a time:", "", *found]) if found else ""


def limits(result: Mapping[str, Any]) -> str:
    """What the machine can do, and whether its cores are real: what all threads reach, in terms of one."""
    found: Mapping[str, float] = result["limits"]
    if not found:
        return "The limits of the machine were not measured: there was no compiler."
    lines = ["| limit of the machine | one thread | all threads | times one |", "|---|---:|---:|---:|"]
    for name, one in found.items():
        what, which = name.rsplit(", ", 1)
        if which == "one thread":
            together = found[f"{what}, {result['machine']['threads']} threads"]
            lines.append(f"| {what} | {one:.1f} | {together:.1f} | {together / one:.2f} |")
    if BETWEEN_CORES in found:
        lines.append(f"| {BETWEEN_CORES} | | {found[BETWEEN_CORES]:.0f} | |")
    return "\n".join(lines)


def circumstances(result: Mapping[str, Any]) -> str:
    """Where, with what and how it was measured: what stands under the table."""
    parts = [f"{key} {value}" for key, value in {**result["machine"], **result["versions"]}.items()]
    return (
        f"Medians of {result['turns']} turns of about {result['budget']} s, taken alternately: `{result['command']}`. "
        + "; ".join(parts)
        + "."
    )


def page(result: Mapping[str, Any]) -> str:
    """A section: all that stands between its marks."""
    rows = read(result)
    compared = [row for row in rows if row.lost or row.fastest]
    summary = f"nnfast loses {sum(row.lost for row in rows)} of {len(compared)} rows to a peer."
    parts = [
        summary,
        f"![Time of a step against the batch size, one line for each library](img/{picture_path(result).name})",
        table(rows, peak(result)),
        failures(rows),
        circumstances(result),
        limits(result),
    ]
    return "\n\n".join(part for part in parts if part)


def write(result: Mapping[str, Any], path: Path = PAGE) -> None:
    """Replace the section of this instruction set, or add it at the end."""
    name = instruction_set(result)
    begin, end = (
        f"<!-- results with {name}: made by `make bench-peers` -->",
        f"<!-- end of results with {name} -->",
    )
    text = path.read_text(encoding="utf-8")
    if begin not in text:
        path.write_text(f"{text}\n## Results with {name}\n\n{begin}\n{end}\n", encoding="utf-8")
    write_between(path, begin, end, page(result))


def picture(result: Mapping[str, Any], path: Path | None = None) -> Any:
    """The time of a step against the batch size, one line for each library, and the limit."""
    rows, limit = read(result), peak(result)
    shown = [panel for panel in PANELS if any((row.net, row.rule) == panel for row in rows)]
    if not shown:
        raise ValueError(
            f"picture: expected rows of {' or '.join(map(' '.join, PANELS))}, received none. Measure more: --only ''."
        )
    columns = min(len(shown), 2)
    figure, axes = panels(None, columns, -(-len(shown) // columns), (5.6, 4.2))
    for ax in axes[len(shown) :]:
        ax.remove()
    for ax, (net, rule) in zip(axes, shown, strict=False):
        sizes = [WORKLOADS[net].inputs, *(units for units, _ in WORKLOADS[net].layers)]
        ax.set_title(f"{net} {'-'.join(map(str, sizes))}, {rule}", fontsize=10)
        _panel(ax, [row for row in rows if (row.net, row.rule) == (net, rule)], limit)
    return finish(figure, path)


def _panel(ax: Any, rows: Sequence[Row], peak: float | None) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    rows = sorted(rows, key=lambda row: row.batch_size)
    ends: list[tuple[float, str, str]] = []
    for line, colour in zip(LINES, COLOURS, strict=True):
        points = [(row.batch_size, row.seconds[line]) for row in rows if line in row.seconds]
        if not points:
            continue
        width = 2.6 if line == OURS else 1.4
        ax.plot(*zip(*points, strict=True), "o-", color=colour, linewidth=width, markersize=3, label=line)
        ends.append((points[-1][1], line, colour))
    if peak:
        least = [(row.batch_size, row.flops / peak) for row in rows if row.flops]
        ax.plot(*zip(*least, strict=True), "--", color=INK, linewidth=1, label="limit")
        ends.append((least[-1][1], "limit, dense", INK))
    ax.set_xscale("log")
    ax.set_yscale("log")
    ends.sort()
    for (_, name, colour), y in zip(ends, _apart([end[0] for end in ends], ax.get_ylim()), strict=True):
        ax.annotate(
            f"  {name}",
            (rows[-1].batch_size, y),
            color=colour,
            va="center",
            annotation_clip=False,
            fontsize=9,
        )
    ticks = [rows[0].batch_size]
    for row in rows:
        if row.batch_size > 3 * ticks[-1]:  # else the numbers would touch
            ticks.append(row.batch_size)
    ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(_unit))
    ax.set_xlabel("rows of a batch")
    ax.set_ylabel("time of a step")
    frame(ax)


def _apart(values: Sequence[float], limits: tuple[float, float]) -> list[float]:
    """Where the names of rising values stand on a logarithmic axis: pushed up until they do not overlap, then down from its upper end."""
    low, high = np.log10(limits)
    step = (high - low) * 0.06
    places = spread((float(np.log10(value)) for value in values), step)
    places[-1] = min(places[-1], float(high))
    for i in reversed(range(len(places) - 1)):
        places[i] = min(places[i], places[i + 1] - step)
    return [10**place for place in places]


def _unit(seconds: float, _: object) -> str:
    """A power of ten as axes show it: "10 µs"."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 0.999:
            return f"{seconds * factor:.0f} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def main() -> None:
    """Write the page and the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("input", type=Path, nargs="?", default=Path("build/peers.json"))
    parser.add_argument("--dry-run", action="store_true", help="print the page, write nothing")
    arguments = parser.parse_args()
    result = json.loads(arguments.input.read_text(encoding="utf-8"))
    if arguments.dry_run:
        print(page(result))
        return
    drawn = picture_path(result)
    picture(result, drawn)
    write(result)
    print(f"wrote {PAGE.name} and {drawn.name}")


if __name__ == "__main__":
    main()
