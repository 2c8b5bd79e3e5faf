"""Diagrams of networks: layers as columns of neurons."""

from __future__ import annotations

import math
from itertools import pairwise
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

from ..layers import Activation, Dense
from .common import COLOURS, canvas, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..models import Sequential

RADIUS = 0.2
GAP = 0.56
"""Between the centres of two neurons of a column."""
WIDTH = 2.0
"""Between two columns."""
INK, PALE = "#444444", "#f4f4f4"


class Column(NamedTuple):
    """One layer: its name below, letters in its neurons, the neurons that are drawn (None: dots), whether a bias leads into the next."""

    title: str
    letter: str
    neurons: list[int | None]
    units: int
    bias: bool

    def places(self) -> list[float]:
        """Height of each neuron drawn."""
        return [GAP * ((len(self.neurons) - 1) / 2 - i) for i in range(len(self.neurons))]


def network(
    model: Sequential,
    most: int = 7,
    bias: bool = True,
    weights: bool = False,
    highlight: tuple[int, int] | None = None,
    direction: str | None = None,
    ax: Axes | None = None,
    path: str | PathLike[str] | None = None,
) -> Any:
    """A model as neurons and connections (thesis, Fig. 2 and 5-11).

    Parameters
    ----------
    model : Sequential
        Built, or beginning with the shape of its input.
    most : int, default 7
        A layer with more neurons than this is drawn with dots in the middle.
    bias : bool, default True
        Draw a neuron of constant 1 above each layer whose successor has a bias.
    weights : bool, default False
        Write w_jk at each connection, k being the neuron that it leads to, and w_0k at that of the bias: for small networks.
    highlight : (layer, neuron), optional
        Draw only the connections into one neuron strongly, as in Fig. 8; both count from 1, layer 0 being the input.
    direction : {None, "forward", "backward"}
        An arrow below that says which way the pass goes.
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
        The model has no layer with weights, or no shape of input yet; an unknown direction; a neuron that there is not.
    """
    if direction not in {None, "forward", "backward"}:
        raise ValueError(f"direction must be None, 'forward' or 'backward', got {direction!r}.")
    columns = _columns(model, max(3, most), bias)
    if highlight is not None and not (
        0 < highlight[0] < len(columns) and 0 < highlight[1] <= columns[highlight[0]].units
    ):
        raise ValueError(
            f"highlight must name a neuron behind the input, as (layer, neuron), got {highlight!r}."
        )
    tallest = max(len(column.neurons) + column.bias for column in columns)
    figure, ax = canvas(ax, 1.0 + 1.5 * len(columns), 1.3 + 0.42 * tallest)
    for place, (left, right) in enumerate(pairwise(columns)):
        _connections(
            ax, place * WIDTH, left, right, weights, highlight and (highlight[0] - place, highlight[1])
        )
    for place, column in enumerate(columns):
        _neurons(ax, place, column, place == len(columns) - 1)
    bottom = -GAP * (max(len(column.neurons) for column in columns) / 2 + 0.4)
    for place, column in enumerate(columns):
        ax.text(place * WIDTH, bottom, column.title, ha="center", va="top", fontsize=8, color=INK)
    if direction is not None:
        ends = (0.0, (len(columns) - 1) * WIDTH)
        arrow = {"arrowstyle": "-|>", "color": COLOURS[1], "linewidth": 2}
        low = bottom - 1.0
        begin, end = ends if direction == "forward" else ends[::-1]
        ax.annotate("", (end, low), (begin, low), arrowprops=arrow, annotation_clip=False)
        ax.text(
            sum(ends) / 2, low - 0.1, f"{direction} pass", ha="center", va="top", fontsize=9, color=COLOURS[1]
        )
    ax.set_aspect("equal")
    ax.margins(0.06)
    ax.axis("off")
    return finish(figure, path)


def _columns(model: Sequential, most: int, bias: bool) -> list[Column]:
    shape = model.sample_shape
    inputs = math.prod(shape)
    layers = [layer for layer in model.layers if isinstance(layer, Dense | Activation)]
    columns = [Column(f"input\n{inputs}", "x", _shown(inputs, most), inputs, False)]
    units = inputs
    for layer in layers:
        if isinstance(layer, Activation):
            title = f"{layer.activation.name}\n{units}"
        else:
            units = layer.units
            title = f"{layer.activation.name}\n{units}"
            columns[-1] = columns[-1]._replace(bias=bias and layer.use_bias)
        columns.append(Column(title, "z", _shown(units, most), units, False))
    last = columns[-1]
    columns[-1] = last._replace(letter="ŷ", title=f"output, {last.title}")
    return columns


def _shown(units: int, most: int) -> list[int | None]:
    if units <= most:
        return list(range(1, units + 1))
    half = (most - 1) // 2
    return [*range(1, most - half), None, *range(units - half + 1, units + 1)]


def _neurons(ax: Axes, place: int, column: Column, last: bool) -> None:
    from matplotlib.patches import Circle

    x = place * WIDTH
    colour = COLOURS[0] if place == 0 else COLOURS[1] if last else COLOURS[2]
    for number, y in zip(column.neurons, column.places(), strict=True):
        if number is None:
            ax.text(x, y, "⋮", ha="center", va="center", fontsize=14, color=INK)
            continue
        ax.add_patch(Circle((x, y), RADIUS, facecolor=PALE, edgecolor=colour, linewidth=1.6, zorder=3))
        letter = r"\hat{y}" if column.letter == "ŷ" else column.letter
        text = column.letter if column.units == 1 else f"${letter}_{{{number}}}$"
        ax.text(
            x, y, text, ha="center", va="center", fontsize=8 if number < 100 else 6, color="black", zorder=4
        )
    if column.bias:
        top = column.places()[0] + GAP
        ax.add_patch(Circle((x, top), RADIUS, facecolor="white", edgecolor=INK, linestyle="--", zorder=3))
        ax.text(x, top, "1", ha="center", va="center", fontsize=8, color="black", zorder=4)


def _connections(
    ax: Axes, x: float, left: Column, right: Column, weights: bool, highlight: tuple[int, int] | None
) -> None:
    """Lines from one column to the next; highlight: (1, neuron) if this is where they are to be seen."""
    sources = [(number, y, False) for number, y in zip(left.neurons, left.places(), strict=True)]
    if left.bias:
        sources.insert(0, (0, left.places()[0] + GAP, True))
    for target, y_target in zip(right.neurons, right.places(), strict=True):
        strong = highlight is None or highlight == (1, target)
        for rank, (source, y, dashed) in enumerate(sources):
            if source is None or target is None:
                continue
            ax.plot(
                [x, x + WIDTH],
                [y, y_target],
                "--" if dashed else "-",
                color=COLOURS[0] if highlight is not None and strong else "#888888",
                linewidth=0.9 if strong else 0.4,
                alpha=1.0 if strong else 0.35,
                zorder=1,
            )
            if weights and strong:
                part = 0.32 + 0.3 * (rank % 2)  # apart from the next line's
                ax.text(
                    x + part * WIDTH,
                    y + part * (y_target - y),
                    f"$w_{{{source}{target}}}$",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="black",
                    zorder=2,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85},
                )
