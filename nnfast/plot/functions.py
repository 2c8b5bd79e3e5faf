"""Functions: an activation with its derivative, and the way a gradient method takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import activations, kernels
from .common import COLOURS, canvas, clean, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..descent import Descent

MARKERS = ("o", "s", "^", "D", "v", "P")
LINES = ("-", "--", ":", "-.")
GRID = 400


def activation(
    identifier: object,
    low: float = -5.0,
    high: float = 5.0,
    derivative: bool = True,
    weight: float = 1.0,
    bias: float = 0.0,
    ax: Axes | None = None,
    path: str | PathLike[str] | None = None,
) -> Any:
    """An activation a(w x + b) as the engine computes it, and its derivative with respect to z = w x + b.

    Parameters
    ----------
    identifier : str or Activation
        One that works on each number alone.
    low, high : float, default -5 and 5
        Range of x.
    derivative : bool, default True
    weight, bias : float, default 1 and 0
        What one weight and one bias do to it (thesis, the figure after eq. 3).
    ax : axes to draw on.
    path : file to write the picture to.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        Without matplotlib.
    ValueError
        An unknown name; softmax, which needs a whole row; `low` not below `high`.
    """
    chosen = activations.get(identifier)
    if chosen.name == "softmax":
        raise ValueError("activation must work on each number alone, got 'softmax', which needs a whole row.")
    if not low < high:
        raise ValueError(f"low must be below high, got {low!r} and {high!r}.")
    figure, ax = canvas(ax, 4.2, 3.0)
    x = np.linspace(low, high, GRID, dtype=np.float32)
    value = kernels.activation_forward((x * weight + bias)[None], chosen)
    ax.plot(x, value[0], LINES[0], color=COLOURS[0], linewidth=2, label=chosen.name)
    if derivative:
        slope = kernels.activation_backward(np.ones_like(value), value, chosen)
        ax.plot(x, slope[0], LINES[1], color=COLOURS[1], linewidth=2, label="derivative")
        ax.legend(frameon=False, loc="upper left")
    clean(ax)
    ax.set_xlabel("x")
    return finish(figure, path)


def descent(
    runs: Descent | Sequence[Descent],
    fun: Callable[[Any], Any],
    low: float | Sequence[float] | None = None,
    high: float | Sequence[float] | None = None,
    labels: Sequence[str] | None = None,
    ax: Axes | None = None,
    path: str | PathLike[str] | None = None,
) -> Any:
    """Trajectories on the function: on its curve for one variable, over its contour lines for two.

    Parameters
    ----------
    runs : what `descent.minimize` returned, one or several
    fun : the function that was minimized
    low, high : float, or two of each; optional
        What to show. By default the trajectories with a margin; points outside are left out.
    labels : names of the runs; by default their methods
    ax : axes to draw on.
    path : file to write the picture to.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        Without matplotlib.
    ValueError
        No runs; runs of more than two variables, or of different numbers of them.
    """
    shown = [*runs] if isinstance(runs, Sequence) else [runs]
    names = [run.method for run in shown] if labels is None else list(labels)
    if not shown or len(names) != len(shown):
        raise ValueError(
            f"descent: expected runs and a label for each, received {len(shown)} and {len(names)}"
        )
    sizes = {1 if run.points.ndim == 1 else run.points.shape[1] for run in shown}
    if len(sizes) > 1 or max(sizes) > 2:
        raise ValueError(f"descent: expected runs of one variable, or of two, received {sorted(sizes)}")
    variables = sizes.pop()
    figure, ax = canvas(ax, 5.4, 3.6)
    limits = _limits([run.points.reshape(-1, variables) for run in shown], low, high)
    if variables == 1:
        _curve(ax, fun, limits[0])
    else:
        _contours(ax, fun, limits)
    for place, (run, name) in enumerate(zip(shown, names, strict=True)):
        points = run.points.reshape(-1, variables)
        there = np.column_stack([points, run.values]) if variables == 1 else points
        inside = np.isfinite(there).all(axis=1)
        for axis, (least, most) in enumerate(limits):
            inside &= (points[:, axis] >= least) & (points[:, axis] <= most)
        _trajectory(ax, there, inside, name, place, run)
    clean(ax)
    ax.set_xlabel("x" if variables == 1 else "x₁")
    ax.set_ylabel("f(x)" if variables == 1 else "x₂")
    ax.legend(frameon=False, fontsize=9)
    return finish(figure, path)


def _limits(
    points: Sequence[Any], low: float | Sequence[float] | None, high: float | Sequence[float] | None
) -> list[tuple[float, float]]:
    """What is shown of each variable."""
    every = np.concatenate(points)
    every = every[np.isfinite(every).all(axis=1)]
    least, most = every.min(axis=0), every.max(axis=0)
    margin = np.maximum(0.15 * (most - least), 0.5)
    first = np.broadcast_to(least - margin if low is None else low, least.shape)
    last = np.broadcast_to(most + margin if high is None else high, least.shape)
    return [(float(a), float(b)) for a, b in zip(first, last, strict=True)]


def _curve(ax: Axes, fun: Callable[[Any], Any], limits: tuple[float, float]) -> None:
    x = np.linspace(*limits, GRID)
    y = [float(fun(each)) for each in x]
    ax.plot(x, y, color="#555555", linewidth=1.4, zorder=1)
    ax.set_xlim(*limits)
    margin = 0.08 * (max(y) - min(y))
    ax.set_ylim(min(y) - margin, max(y) + margin)


def _contours(ax: Axes, fun: Callable[[Any], Any], limits: Sequence[tuple[float, float]]) -> None:
    x, y = (np.linspace(*each, GRID // 4) for each in limits)
    z = np.array([[float(fun(np.array([a, b]))) for a in x] for b in y])
    ax.contour(x, y, z, levels=np.quantile(z, np.linspace(0.01, 0.99, 14)), colors="#999999", linewidths=0.7)
    ax.set_xlim(*limits[0])
    ax.set_ylim(*limits[1])


def _trajectory(ax: Axes, there: Any, inside: Any, name: str, place: int, run: Descent) -> None:
    """The points that are inside, joined as long as none between them is outside."""
    colour = COLOURS[place % len(COLOURS)]
    steps = f"{run.iterations} step{'s' * (run.iterations != 1)}"
    ending = ", diverged" if run.status == "diverged" else ""
    path = np.where(inside[:, None], there, np.nan)
    ax.plot(
        *path.T,
        LINES[place % len(LINES)],
        color=colour,
        linewidth=1.2,
        marker=MARKERS[place % len(MARKERS)],
        markersize=4,
        label=f"{name}: {steps}{ending}",
        zorder=2 + place,
    )
    last = np.flatnonzero(inside)
    if len(last) and not ending:
        ax.plot(*there[last[-1]], marker="*", markersize=13, color=colour, markeredgecolor="white", zorder=9)
