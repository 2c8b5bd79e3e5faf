"""What all pictures share."""

from __future__ import annotations

from os import PathLike
from typing import Any

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def require_matplotlib() -> Any:
    """`matplotlib.pyplot`, or an ImportError that names the extra."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "plot: expected matplotlib, which is not installed. Install the extra: pip install 'nnfast[plot]'"
        ) from error
    return plt


def canvas(ax: Any, width: float, height: float) -> tuple[Any, Any]:
    """The figure of the given axes and these, or a new figure of that size in inches with axes."""
    if ax is not None:
        return ax.figure, ax
    figure, new = require_matplotlib().subplots(figsize=(width, height), layout="constrained")
    return figure, new


def finish(figure: Any, path: str | PathLike[str] | None) -> Any:
    """Write the picture if that is wanted; returns the figure."""
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def clean(ax: Any) -> None:
    """Axes without what says nothing."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
