"""Curves of training, by epoch.

Training and validation differ by line style, and each line carries its name at its end instead of in a legend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from .style import COLOURS, finish, frame, panels, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..callbacks import History


def history(
    curves: History | Mapping[str, Sequence[float]],
    ax: Axes | None = None,
    path: str | PathLike[str] | None = None,
) -> Any:
    """Loss, and beside it the metrics, by epoch.

    Parameters
    ----------
    curves : History or dict of str to list
        What `fit` returns, or its `.history`: name -> one value per epoch. "val_" names are drawn dashed in the colour of their own.
    ax : matplotlib.axes.Axes, optional
        What to draw the loss on; metrics are then left out.
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
        If there is nothing to draw.
    """
    by_name: Mapping[str, Sequence[float]] = curves if isinstance(curves, Mapping) else curves.history
    drawn = {
        name: list(values)
        for name, values in by_name.items()
        if len(values) and not name.endswith("learning_rate")
    }
    if not drawn:
        raise ValueError(
            "history: expected at least one curve with one epoch, received none. Call fit first."
        )
    losses = {name: values for name, values in drawn.items() if name in {"loss", "val_loss"}}
    others = {name: values for name, values in drawn.items() if name not in losses}
    groups = [group for group in (losses, others) if group]
    figure, axes = panels(ax, len(groups))
    for each, group in zip(axes, groups, strict=False):
        _draw(each, group)
    return finish(figure, path, ax)


def _draw(ax: Axes, curves: Mapping[str, Sequence[float]]) -> None:
    """One panel: lines with their names at their ends, pushed apart where they would overlap."""
    base_names = list(dict.fromkeys(name.removeprefix("val_") for name in curves))
    ends: list[tuple[float, str, str]] = []
    longest = max(len(values) for values in curves.values())
    for name, values in curves.items():
        colour = COLOURS[
            (2 * base_names.index(name.removeprefix("val_")) + name.startswith("val_")) % len(COLOURS)
        ]
        style = "--" if name.startswith("val_") else "-"
        marker = "o" if len(values) == 1 else None
        ax.plot(range(1, len(values) + 1), values, style, color=colour, linewidth=1.8, marker=marker)
        ends.append((float(values[-1]), name, colour))
    low, high = ax.get_ylim()
    least = (high - low) * 0.07
    ends.sort()
    for at, (value, name, colour) in zip(spread([end[0] for end in ends], least), ends, strict=True):
        label = (
            name.removeprefix("val_")
            if not name.startswith("val_")
            else f"{name.removeprefix('val_')} (validation)"
        )
        ax.annotate(
            f" {label} {value:.4g}",
            (longest, at),
            color=colour,
            va="center",
            annotation_clip=False,
            fontsize=9,
        )
    ax.set_xlabel("epoch")
    ax.set_ylabel(", ".join(base_names))
    frame(ax)
    ax.locator_params(axis="x", integer=True)
    ax.margins(x=0.02)
