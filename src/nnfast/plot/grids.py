"""Grids of runs: loss by epoch, and time, loss and scores by batch size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from .style import COLOURS, finish, frame, require_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..compare import Comparison

STYLES = (("-", "o"), ("--", "s"), (":", "^"), ("-.", "D"))
"""Line and marker by which optimizers can be told apart whatever their colour."""
LOG_RANGE = 20.0
"""Values that differ by more than this factor are drawn on a logarithmic scale."""
LOG_DEPTH = 1e4
"""Of a logarithmic scale; what is smaller than the largest by more than this is below the picture."""
ABOVE_THE_END = 2.0
"""The axis of the losses ends at so many times the largest one that a run ends with: the fall at the start would leave the rest no room."""
LABEL_HEIGHT = 10.0
"""Of a line of a label, in points."""

Records = Sequence[Mapping[str, Any]]


def comparison(result: Comparison, path: str | PathLike[str] | None = None) -> Any:
    """A grid of runs (thesis, Fig. 20-23): loss by epoch in a panel for each optimizer, with a line for each batch size; below, time, loss and scores by batch
    size.

    Parameters
    ----------
    result : Comparison
        What `compare.grid` returns. Values of further parameters have panels and lines of their own. Of several repeats the mean is drawn,
        and below each run as a point. A line ends where its run diverged.
    path : path, optional
        File to write the picture to; its suffix (.png, .svg, .pdf) says how.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        Without matplotlib.
    ValueError
        If no run is finished.
    """
    if not result.records:
        raise ValueError("comparison: expected at least one finished run, received none. Run the grid first.")
    plt = require_matplotlib()
    series = _series(result)
    scores = _scores(result.records[0])
    columns = min(3, len(series))
    rows = -(-len(series) // columns)
    figure = plt.figure(
        figsize=(max(4.6 * columns, 3.3 * len(scores)), 2.9 * rows + 2.8), layout="constrained"
    )
    above, below = figure.subfigures(2, 1, height_ratios=[2.9 * rows, 2.8])
    panels = list(above.subplots(rows, columns, sharey=True, squeeze=False).flat)
    for panel in panels[len(series) :]:
        panel.remove()
    styles = {
        name: STYLES[result.axes["optimizer"].index(records[0]["optimizer"]) % len(STYLES)]
        for name, records in series.items()
    }
    for panel, (name, records) in zip(panels, series.items(), strict=False):
        _draw_losses(panel, name, records, result.axes["batch_size"], styles[name])
    curves = [line.get_ydata() for panel in panels for line in panel.get_lines()]
    highest = ABOVE_THE_END * max((float(curve[-1]) for curve in curves), default=1.0)
    _scale(panels[0], [min(float(value), highest) for curve in curves for value in curve])
    lower = list(below.subplots(1, len(scores)))
    for panel, (score, label) in zip(lower, scores.items(), strict=True):
        _draw_scores(panel, score, label, series, result.axes["batch_size"], styles)
    figure.draw_without_rendering()  # gives the panels their sizes
    short = max(map(len, series)) <= 10
    for panel in figure.axes:
        if panel not in lower[:-1] or short:
            _label_lines(panel)
    return finish(figure, path)


def _series(result: Comparison) -> dict[str, Records]:
    """Runs that differ in batch size and seed only, by what they have in common."""
    varied = [
        name
        for name, values in result.axes.items()
        if name not in ("optimizer", "batch_size", "repeat") and len(values) > 1
    ]
    series: dict[str, list[Mapping[str, Any]]] = {}
    for record in result.records:
        name = ", ".join([str(record["optimizer"]), *(f"{name} {record[name]}" for name in varied)])
        series.setdefault(name, []).append(record)
    return dict(series)


def _scores(record: Mapping[str, Any]) -> dict[str, str]:
    """What is drawn by batch size, and how it is called: time, loss, the first metric, and the last of them on test data."""
    trained = [name for name in record["history"] if not name.startswith("val_")][:2]
    tested = [name for name in (f"test_{trained[-1]}",) if name in record]
    return {"seconds": "training time, s"} | {name: name.replace("_", " ") for name in (*trained, *tested)}


def _draw_losses(ax: Axes, name: str, records: Records, sizes: Sequence[int], style: tuple[str, str]) -> None:
    import matplotlib as mpl

    for place, size in enumerate(sizes):
        runs = [record for record in records if record["batch_size"] == size]
        curve = _mean_curve([record["history"]["loss"] for record in runs])
        every = max(1, len(curve) // 5)
        # From dark to light: an order that can be seen without colour vision. The lightest fifth is too light on white.
        colour = mpl.colormaps["plasma"](0.8 * place / max(1, len(sizes) - 1))
        if curve:
            ax.plot(
                range(1, len(curve) + 1),
                curve,
                style[0],
                color=colour,
                linewidth=1.4,
                marker=style[1],
                markersize=3.5,
                markevery=(every // 2, every),
                label="full" if size >= runs[0]["rows"] else f"{size}",
            )
    ax.set_title(name, loc="left", fontsize=10)
    ax.text(1.0, 1.02, "batch size", transform=ax.transAxes, fontsize=8, va="bottom")
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss")
    ax.margins(x=0)
    ax.locator_params(axis="x", integer=True)
    frame(ax)


def _draw_scores(
    ax: Axes,
    score: str,
    label: str,
    series: Mapping[str, Records],
    sizes: Sequence[int],
    styles: Mapping[str, tuple[str, str]],
) -> None:
    for number, (name, records) in enumerate(series.items()):
        line, marker = styles[name]
        colour = COLOURS[number % len(COLOURS)]
        means: dict[int, float] = {}
        for place, size in enumerate(sizes):
            values = [record[score] for record in records if record["batch_size"] == size]
            for mean in _mean_curve([[value] for value in values]):
                means[place] = mean
            if len(values) > 1:
                ax.plot([place] * len(values), values, marker, color=colour, markersize=3, alpha=0.45)
        if means:
            ax.plot(
                list(means), list(means.values()), line, color=colour, marker=marker, markersize=5, label=name
            )
    everything = [record for records in series.values() for record in records]
    ax.set_xticks(range(len(sizes)), [_size_text(size, everything) for size in sizes], fontsize=8)
    ax.set_xlim(-0.3, len(sizes) - 0.7)
    ax.set_xlabel("batch size")
    ax.set_ylabel(label)
    _scale(
        ax,
        [
            float(value)
            for line in ax.get_lines()
            for value in np.asarray(line.get_ydata())
            if np.isfinite(value)
        ],
    )
    frame(ax)


def _size_text(size: int, records: Records) -> str:
    """The name of a batch size, with the number of rows where others are trained on more."""
    rows = next((record["rows"] for record in records if record["batch_size"] == size), size)
    text = "full" if size >= rows else f"{size}"
    return text if rows == max(record["rows"] for record in records) else f"{text}\n({rows}\nrows)"


def _mean_curve(curves: Sequence[Sequence[float]]) -> list[float]:
    """The mean of several runs, as far as all of them go and are finite."""
    means = [math.fsum(values) / len(values) for values in zip(*curves, strict=False)]
    return means[: next((epoch for epoch, mean in enumerate(means) if not math.isfinite(mean)), len(means))]


def _scale(ax: Any, values: Sequence[float]) -> None:
    """Limits for these values, and a logarithmic scale where they need it."""
    low = max(
        min((value for value in values if value > 0), default=0.0), max(values, default=0.0) / LOG_DEPTH
    )
    if values and min(values) >= 0 and max(values) > LOG_RANGE * low:
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

        ax.set_yscale("log", nonpositive="clip")
        narrow = max(values) < LOG_RANGE**2 * low
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.set_ylim(low / 1.3, max(values) * 1.3)
    elif values:
        space = 0.05 * (max(values) - min(values)) or 0.5
        ax.set_ylim(min(values) - space, max(values) + space)


def _label_lines(ax: Any) -> None:
    """The name of each line to its right, pushed apart where they would overlap, with a thread to the end of the line."""
    named = [line for line in ax.get_lines() if not line.get_label().startswith("_")]
    to_panel = ax.transData + ax.transAxes.inverted()
    places = (to_panel.transform(line.get_xydata()[-1]) for line in named)
    ends = sorted(
        ((x, min(max(float(y), 0.0), 1.0), line) for (x, y), line in zip(places, named, strict=True)),
        key=lambda end: end[1],
    )
    gap = LABEL_HEIGHT / (ax.get_window_extent().height * 72 / ax.figure.dpi)
    heights: list[float] = []
    for _, y, _ in ends:
        heights.append(max(y, heights[-1] + gap) if heights else y)
    highest = 1.0
    for place in reversed(range(len(heights))):
        heights[place] = min(heights[place], highest)
        highest = heights[place] - gap
    for (x, y, line), height in zip(ends, heights, strict=True):
        thread = {"color": line.get_color(), "linewidth": 0.6, "clip_on": False, "transform": ax.transAxes}
        ax.plot([x, max(x, 1.0) + 0.04], [y, height], label="_thread", **thread)
        ax.text(max(x, 1.0) + 0.05, height, line.get_label(), transform=ax.transAxes, fontsize=8, va="center")
