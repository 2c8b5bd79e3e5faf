"""What all pictures share: colours, ink, a place to draw on, and a file to end in."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P")
INK = "#767676"
"""The grey whose contrast is 4.5 to white and to black, as WCAG asks of text."""


def require_matplotlib() -> Any:
    """`matplotlib.pyplot`, or an ImportError that names the extra."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "plot: expected matplotlib, which is not installed. Install the extra: pip install 'nnfast[plot]'"
        ) from error
    return plt


def panels(ax: Axes | None, columns: int = 1, rows: int = 1, size: tuple[float, float] = (5.2, 3.4)) -> Any:
    """The figure, and its axes in a list: the one given, or new ones of `size` inches each."""
    if ax is not None:
        return ax.figure, [ax]
    figure, axes = require_matplotlib().subplots(
        rows, columns, figsize=(size[0] * columns, size[1] * rows), layout="constrained", squeeze=False
    )
    figure.patch.set_alpha(0.0)
    return figure, list(axes.flat)


def frame(ax: Axes, grid: bool = True) -> None:
    """Two axes in ink and, with a grid, faint lines at the values."""
    ax.patch.set_alpha(0.0)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(INK)
    ax.tick_params(colors=INK)
    for text in (ax.xaxis.label, ax.yaxis.label, ax.title):
        text.set_color(INK)
    if grid:
        ax.grid(axis="y", color=INK, alpha=0.25, linewidth=0.6)


def spread(positions: Iterable[float], least: float) -> list[float]:
    """Rising positions, moved up where they would be closer than `least`.

    Examples
    --------
    >>> spread([0.0, 0.1, 3.0], 0.5)
    [0.0, 0.5, 3.0]
    """
    moved: list[float] = []
    for position in positions:
        moved.append(max(position, moved[-1] + least) if moved else position)
    return moved


def finish(figure: Any, path: str | PathLike[str] | None, ax: Axes | None = None) -> Any:
    """The figure, written to the file if there is one to be; then pyplot forgets it, unless it came with the caller's axes."""
    if path is not None:
        figure.savefig(path, dpi=150)
        if ax is None:
            require_matplotlib().close(figure)
    return figure
