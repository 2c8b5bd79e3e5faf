"""The paths of `descent.minimize`, on the function they descend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..descent import Descent, Function, Objective
from .style import COLOURS, INK, LINES, MARKERS, finish, frame, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Span: TypeAlias = tuple[float, float]

PLACES_1D, PLACES_2D = 400, 120  # per axis; a function is called once for each
MARGIN = 0.12  # of the width of the paths, left free around them
CONTOURS = 14
STILL = 0.02  # of the picture: ends that are closer have one label


def descent(
    results: Descent | Sequence[Descent] | Mapping[str, Descent],
    fun: Function,
    ax: Axes | None = None,
    path: str | PathLike[str] | None = None,
    spans: Span | tuple[Span, Span] | None = None,
) -> Any:
    """Descents of a function of one number, as points on its graph, or of two, as paths across its contours.

    Parameters
    ----------
    results : Descent, sequence of Descent, or dict of str to Descent
        What `descent.minimize` returned, or several; the legend shows the names.
    fun : callable
        The function, as it was minimised.
    ax : matplotlib.axes.Axes, optional
        What to draw on; by default a new figure.
    path : path, optional
        File to write the picture to; its suffix (.png, .svg, .pdf) says how.
    spans : (low, high), or two of these, optional
        Of x, or of each of two numbers; by default all points are inside, of a descent that diverged the first two.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        Without matplotlib.
    ValueError
        No descent, descents of points of different shape, or of more than two numbers; spans without length.
    """
    by_name = _named(results)
    shape = next(iter(by_name.values())).points.shape[1:]
    size = int(np.prod(shape))
    if size > 2 or any(result.points.shape[1:] != shape for result in by_name.values()):
        raise ValueError(
            "results: expected descents of one or of two numbers, the same for all, received points of shape "
            f"{', '.join(str(result.points.shape[1:]) for result in by_name.values())}"
        )
    windows = _windows(list(by_name.values()), size, spans)
    figure, (panel, *_) = panels(ax, size=(6.0, 4.2) if size == 1 else (5.4, 4.8))
    objective = Objective(fun)
    if size == 1:
        _draw_graph(panel, lambda x: objective.value(np.full(shape, x)), *windows)
    else:
        _draw_contours(panel, lambda x, y: objective.value(np.reshape([x, y], shape)), *windows)
    ends: list[tuple[float, float, str]] = []
    for place, (name, result) in enumerate(by_name.items()):
        flat = result.points.reshape(len(result.points), -1)
        x, y = flat[:, 0], result.values if size == 1 else flat[:, 1]
        seen = np.isfinite(x) & np.isfinite(y)
        panel.plot(
            x[seen],
            y[seen],
            linestyle=LINES[place % len(LINES)],
            marker=MARKERS[place % len(MARKERS)],
            color=COLOURS[(place + 1) % len(COLOURS)],
            linewidth=1.1,
            markersize=5.5,
            markerfacecolor="none",
            label=_description(name, result),
        )
        ends.append((x[0], y[0], "start"))
        if result.status != "diverged":
            ends.append((x[-1], y[-1], "end" if len(by_name) == 1 else f"end of {name}"))
    _label(panel, ends)
    panel.legend(
        frameon=False, labelcolor="linecolor", fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.14)
    )
    panel.set_xlabel("x" if size == 1 else "$x_1$")
    panel.set_ylabel("f(x)" if size == 1 else "$x_2$")
    frame(panel, grid=size == 1)
    return finish(figure, path, ax)


def _named(results: Descent | Sequence[Descent] | Mapping[str, Descent]) -> Mapping[str, Descent]:
    if isinstance(results, Descent):
        return {"descent": results}
    if not isinstance(results, Mapping):
        results = {f"descent {number}": result for number, result in enumerate(results, 1)}
    if not results:
        raise ValueError(
            "results: expected at least one descent, received none. Call descent.minimize first."
        )
    return results


def _description(name: str, result: Descent) -> str:
    """How a descent went, in a line."""
    if result.status == "diverged":
        return f"{name}: diverged, {result.iterations} iterations"
    x = ", ".join(f"{number:.4g}" for number in np.ravel(result.x))
    return f"{name}: {result.iterations} iterations, to x = {x if np.ndim(result.x) == 0 else f'({x})'}, f = {result.value:.4g}"


def _windows(results: Sequence[Descent], size: int, spans: Span | tuple[Span, Span] | None) -> list[Span]:
    """From where to where on each axis."""
    if spans is not None:
        given = np.asarray(spans, np.float64).reshape(-1, 2)
        if len(given) != size or not (np.isfinite(given).all() and (given[:, 0] < given[:, 1]).all()):
            raise ValueError(
                f"spans: expected for each of {size} numbers two finite ones, the lower first, received {spans}"
            )
        return [(float(low), float(high)) for low, high in given]
    shown = [
        result.points[: 2 if result.status == "diverged" else None].reshape(-1, size) for result in results
    ]
    points = np.concatenate(shown)
    points = points[np.isfinite(points).all(axis=1)]
    low, high = points.min(axis=0), points.max(axis=0)
    widths = np.where(high > low, high - low, 1.0)
    return list(zip((low - MARGIN * widths).tolist(), (high + MARGIN * widths).tolist(), strict=True))


def _draw_graph(ax: Axes, value: Callable[[float], float], window: Span) -> None:
    x = np.linspace(*window, PLACES_1D)
    y = np.array([value(each) for each in x])
    ax.plot(x, y, color=INK, linewidth=1.4)
    finite = y[np.isfinite(y)]
    if finite.size:
        room = MARGIN * (float(np.ptp(finite)) or 1.0)
        ax.set_ylim(float(finite.min()) - room, float(finite.max()) + room)
    ax.set_xlim(*window)


def _draw_contours(ax: Axes, value: Callable[[float, float], float], across: Span, up: Span) -> None:
    """Levels closer together near the least value, where a descent ends."""
    x, y = np.linspace(*across, PLACES_2D), np.linspace(*up, PLACES_2D)
    z = np.array([[value(each_x, each_y) for each_x in x] for each_y in y])
    finite = z[np.isfinite(z)]
    if finite.size and np.ptp(finite) > 0:
        levels = finite.min() + np.ptp(finite) * np.linspace(0.0, 1.0, CONTOURS + 1)[1:] ** 2
        drawn = np.ma.masked_invalid(z)
        ax.contour(x, y, drawn, levels, colors=INK, linewidths=0.7, linestyles="-", alpha=0.7)
    ax.set_xlim(*across)
    ax.set_ylim(*up)


def _label(ax: Axes, ends: Sequence[tuple[float, float, str]]) -> None:
    """Words at the ends of the paths, once where several ends are one."""
    middle = float(np.mean(ax.get_xlim()))
    width, height = np.ptp(ax.get_xlim()), np.ptp(ax.get_ylim())
    labels: list[tuple[float, float, list[str]]] = []
    for x, y, word in ends:
        for at_x, at_y, words in labels:
            if abs(x - at_x) <= STILL * width and abs(y - at_y) <= STILL * height:
                if word not in words:
                    words.append(word)
                break
        else:
            labels.append((x, y, [word]))
    for x, y, words in labels:
        ax.annotate(
            "\n".join(words),
            (x, y),
            xytext=(-10, 26) if x > middle else (10, 26),
            textcoords="offset points",
            ha="right" if x > middle else "left",
            color=INK,
            fontsize=9,
            arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.7, "shrinkB": 4},
        )
