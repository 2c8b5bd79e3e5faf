"""Diagrams of networks: a column of neurons for the inputs and for each layer, joined by the weights.

A diagram is made in two steps: what is to be seen is read from the model (`_Column`), then placed and drawn. Lengths are in units of
the distance between two neurons of a column.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from ..layers import Layer
from ..names import unknown_name
from .style import COLOURS, INK, finish, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..models import Sequential

INCHES = 0.62  # of one unit
RADIUS = 0.34
GAP = 2.4  # between columns
LABELLED_GAP = (1.6, 1.0)  # and where weights have labels: at least, and for each neuron that they lead to
MAX_LABELS = 40
LABELS = (0.15, 0.65)  # of the way; nearer to where the lines begin, as there they are farther apart
LIFT = 0.05  # of a label above its line
COLOUR = {"input": COLOURS[2], "hidden": COLOURS[0], "output": COLOURS[1]}
BIAS_COLOUR = COLOURS[3]
DIRECTIONS = {"forward": ("forward",), "backward": ("backward",), "both": ("forward", "backward")}


@dataclass
class _Column:
    """The inputs, a layer of the engine, or outputs apart from their states."""

    kind: Literal["input", "hidden", "output"]
    symbol: str
    units: int
    caption: str
    layer: Layer | None = None
    """Whose weights lead here from every neuron before; without, each neuron has its like before it."""
    biased: bool = False
    number: str = ""
    """Of the layer, at its weights, where there are several."""

    def visible(self, most: int) -> list[int | None]:
        """Numbers, from 1, of the neurons that are drawn, with None for an ellipsis."""
        if self.units <= most:
            return list(range(1, self.units + 1))
        first = most // 2
        return [*range(1, first + 1), None, *range(self.units - most + first + 2, self.units + 1)]


def network(
    model: Sequential,
    ax: Axes | None = None,
    path: str | PathLike[str] | None = None,
    *,
    max_units: int = 8,
    bias: bool = True,
    weights: Literal["symbols", "values"] | None = None,
    state: bool = False,
    highlight: tuple[int, int] | None = None,
    direction: Literal["forward", "backward", "both"] | None = None,
) -> Any:
    """A diagram of a model: inputs x, neurons by their states z, outputs ŷ (thesis, Fig. 2 and 5-11).

    Parameters
    ----------
    model : Sequential
        Whose inputs are known: it begins with `layers.Input`, or has been built.
    ax : matplotlib.axes.Axes, optional
        What to draw on; by default a new figure.
    path : path, optional
        File to write the picture to; its suffix (.png, .svg, .pdf) says how.
    max_units : int, default 8
        Of wider columns the first and the last neurons are drawn, with an ellipsis between; at least 3.
    bias : bool, default True
        Draw the bias of a layer as one more neuron before it, of constant output 1.
    weights : {"symbols", "values"}, optional
        What to write at the lines: w with layer, neuron and input (0 for the bias), as in equations 4 and 5 of the thesis, or the
        numbers in the model.
    state : bool, default False
        Draw the outputs twice: their states z and, after the activation g, their values ŷ.
    highlight : (layer, unit), optional
        From 1: make the weights of this neuron stand out, and label only them.
    direction : {"forward", "backward", "both"}, optional
        Arrows the way values go, and back the way gradients go.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        Without matplotlib.
    ValueError
        A model without a known input; an unknown option; a neuron that is not there or not drawn; more weights than can be labelled.

    Examples
    --------
    >>> from nnfast import Sequential, layers
    >>> perceptron = Sequential([layers.Input((3,)), layers.Dense(1, "sigmoid")])
    >>> figure = network(perceptron, weights="symbols", state=True)
    """
    if max_units < 3:
        raise ValueError(f"max_units: expected at least 3 (first, ellipsis, last), received {max_units}")
    if weights not in (None, "symbols", "values"):
        raise unknown_name("weights", str(weights), ["symbols", "values"])
    if direction is not None and direction not in DIRECTIONS:
        raise unknown_name("direction", str(direction), DIRECTIONS)
    diagram = _Diagram(_columns(model, state), max_units, bias, highlight, weights)
    ways = DIRECTIONS[direction] if direction else ()
    low, high = diagram.low - 0.8 * ("backward" in ways), diagram.high + 0.8 * ("forward" in ways)
    figure, (panel, *_) = panels(ax, size=((diagram.width + 2.4) * INCHES, (high - low) * INCHES))
    panel.set_xlim(-1.2, diagram.width + 1.2)
    panel.set_ylim(low, high)
    panel.set_aspect("equal")
    panel.set_axis_off()
    for edge in diagram.edges():
        diagram.draw_edge(panel, edge, ways)
    diagram.draw_neurons(panel)
    for way in ways:
        _draw_pass(panel, way, diagram.width, high - 0.45 if way == "forward" else low + 0.45)
    return finish(figure, path, ax)


def _columns(model: Sequential, state: bool) -> list[_Column]:
    """What the model is made of, as the engine sees it: an Activation belongs to the Dense before it."""
    shape = model.sample_shape
    columns = [_Column("input", "x", math.prod(shape), "")]
    columns[0].caption = f"input\n{' x '.join(map(str, shape))}"
    layers = {layer.name: layer for layer in model.layers}
    for op in model._ops():
        if op.kind == "dropout":
            columns[-1].caption += f"\ndropout {op.rate:g}"
            continue
        dense = op.kind == "dense"
        column = _Column(
            "hidden",
            "z",
            op.units,
            f"{op.name}\n{op.units} {op.activation}",
            layers[op.name] if dense else None,
        )
        column.biased = dense and op.use_bias
        columns.append(column)
    if len(columns) > 2:
        for number, column in enumerate(columns[1:], 1):
            column.number = str(number)
    last = columns[-1]
    if state:
        columns.append(_Column("output", r"\hat{y}", last.units, "output"))
    else:
        last.kind, last.symbol = "output", r"\hat{y}"
    states = [column for column in columns if column.symbol == "z"]
    if len(states) > 1:
        for number, column in enumerate(states, 1):
            column.symbol = f"z^{number}"
    return columns


@dataclass
class _Edge:
    """From neuron `source` (0 for the bias) of the column before to neuron `target` of column `place`."""

    place: int
    source: int
    target: int


class _Diagram:
    """Where everything is, and how it is drawn."""

    def __init__(
        self,
        columns: list[_Column],
        most: int,
        bias: bool,
        highlight: tuple[int, int] | None,
        weights: str | None,
    ) -> None:
        self.columns = columns
        self.slots = [column.visible(most) for column in columns]
        self.bias = bias
        self.weights = weights
        self.highlight = highlight
        if highlight is not None:
            self._check_highlight(*highlight)
        self.labelled = [edge for edge in self.edges() if self._is_labelled(edge)]
        if len(self.labelled) > MAX_LABELS:
            raise ValueError(
                f"weights: expected at most {MAX_LABELS} to label, received {len(self.labelled)}. Pass "
                "highlight=(layer, unit), a smaller max_units, or weights=None."
            )
        self.x = [0.0]
        for place in range(1, len(columns)):
            targets = {edge.target for edge in self.labelled if edge.place == place}
            gap = max(GAP, LABELLED_GAP[0] + LABELLED_GAP[1] * len(targets)) if targets else GAP
            self.x.append(self.x[-1] + gap)
        tops = [self._top(place) + self._has_bias(place) for place in range(len(columns))]
        self.width = self.x[-1]
        self.high = max(tops) + 0.6
        self.low = -max(map(self._top, range(len(columns)))) - 1.5  # room for two lines of caption

    def _check_highlight(self, layer: int, unit: int) -> None:
        if not 1 <= layer < len(self.columns) or self.columns[layer].layer is None:
            raise ValueError(f"highlight: expected a layer with weights, counted from 1, received {layer}")
        if unit not in self.slots[layer]:
            raise ValueError(
                f"highlight: expected a neuron of layer {layer} that is drawn, "
                f"{', '.join(str(each) for each in self.slots[layer] if each)}, received {unit}. Raise max_units."
            )

    def _top(self, place: int) -> float:
        return (len(self.slots[place]) - 1) / 2

    def _has_bias(self, place: int) -> bool:
        """Whether a bias neuron stands above this column."""
        return self.bias and place + 1 < len(self.columns) and self.columns[place + 1].biased

    def y(self, place: int, unit: int | None) -> float:
        """Ordinate of a neuron; 0 is the bias, None the ellipsis."""
        return self._top(place) + 1.0 if unit == 0 else self._top(place) - self.slots[place].index(unit)

    def edges(self) -> Iterator[_Edge]:
        """The lines between neurons that are drawn."""
        for place in range(1, len(self.columns)):
            sources = [0] if self._has_bias(place - 1) else []
            sources += [unit for unit in self.slots[place - 1] if unit]
            for target in [unit for unit in self.slots[place] if unit]:
                alone = self.columns[place].layer is None
                yield from (_Edge(place, source, target) for source in ([target] if alone else sources))

    def _stands_out(self, edge: _Edge) -> bool:
        return (edge.place, edge.target) == self.highlight

    def _is_labelled(self, edge: _Edge) -> bool:
        wanted = self.weights is not None and (self.highlight is None or self._stands_out(edge))
        return wanted and self.columns[edge.place].layer is not None

    def label(self, edge: _Edge) -> str:
        """Symbol or value of a weight; numbers of neurons that are the only ones of their column are left out."""
        before, column = self.columns[edge.place - 1], self.columns[edge.place]
        assert column.layer is not None
        if self.weights == "values":
            kernel, *bias = column.layer.weights
            value = kernel[edge.source - 1, edge.target - 1] if edge.source else bias[0][edge.target - 1]
            return f"{value:.3g}"
        below = [str(edge.target)] if column.units > 1 else []
        below += [str(edge.source)] if before.units > 1 or not edge.source else []
        return _symbol(f"w^{column.number}" if column.number else "w", below)

    def draw_edge(self, ax: Axes, edge: _Edge, ways: tuple[str, ...]) -> None:
        """A line from rim to rim, with its arrow and its label."""
        x0, x1 = self.x[edge.place - 1], self.x[edge.place]
        y0, y1 = self.y(edge.place - 1, edge.source), self.y(edge.place, edge.target)
        length = math.hypot(x1 - x0, y1 - y0)
        across, up = (x1 - x0) / length, (y1 - y0) / length
        begin = (x0 + RADIUS * across, y0 + RADIUS * up)
        end = (x1 - RADIUS * across, y1 - RADIUS * up)
        strong = self._stands_out(edge)
        back = ways == ("backward",) and edge.source != 0  # no gradient is wanted of the 1
        arrow = {
            "arrowstyle": "-|>" if len(ways) == 1 else "-",
            "linestyle": "--" if edge.source == 0 else "-",
            "linewidth": 1.8 if strong else 0.8,
            "color": COLOUR["output"] if strong else INK,
            "alpha": 1.0 if strong else 0.25 if self.highlight else 0.6,
            "shrinkA": 0.0,
            "shrinkB": 0.0,
            "mutation_scale": 8,
        }
        ax.annotate("", xy=begin if back else end, xytext=end if back else begin, arrowprops=arrow)
        if edge in self.labelled:
            at = self._label_place(edge)
            ax.text(
                x0 + at * (x1 - x0) - LIFT * up,
                y0 + at * (y1 - y0) + LIFT * across,
                self.label(edge),
                rotation=math.degrees(math.atan2(up, across)),
                rotation_mode="anchor",
                ha="center",
                va="bottom",
                fontsize=8.5,
                color=COLOUR["output"] if strong else INK,
            )

    def _label_place(self, edge: _Edge) -> float:
        """How far along: another part of the way for each neuron that the weights lead to, so that labels do not meet."""
        targets = sorted({other.target for other in self.labelled if other.place == edge.place})
        return LABELS[0] + (LABELS[1] - LABELS[0]) * (targets.index(edge.target) + 0.5) / len(targets)

    def draw_neurons(self, ax: Axes) -> None:
        """Circles with their symbols, ellipses, and the captions of the columns."""
        for place, column in enumerate(self.columns):
            for unit in self.slots[place]:
                x, y = self.x[place], self.y(place, unit)
                if unit is None:
                    ax.plot([x] * 3, [y - 0.2, y, y + 0.2], "o", color=INK, markersize=2.5)
                else:
                    below = [str(unit)] if column.units > 1 else []
                    _draw_circle(ax, x, y, _symbol(column.symbol, below), COLOUR[column.kind])
            if self._has_bias(place):
                _draw_circle(ax, self.x[place], self.y(place, 0), "1", BIAS_COLOUR)
            ax.text(
                self.x[place],
                -self._top(place) - 0.55,
                column.caption,
                ha="center",
                va="top",
                fontsize=9,
                color=INK,
            )


def _draw_circle(ax: Axes, x: float, y: float, symbol: str, colour: str) -> None:
    from matplotlib.patches import Circle

    ax.add_patch(Circle((x, y), RADIUS, facecolor=(colour, 0.15), edgecolor=colour, linewidth=1.4))
    ax.text(x, y, symbol, ha="center", va="center", fontsize=10, color=INK)


def _draw_pass(ax: Axes, way: str, width: float, y: float) -> None:
    """A long arrow past the diagram, and its name."""
    ends = [(-0.5, y), (width + 0.5, y)]
    if way == "backward":
        ends.reverse()
    colour = COLOURS[0] if way == "forward" else COLOURS[1]
    arrow = {
        "arrowstyle": "-|>",
        "color": colour,
        "linewidth": 1.6,
        "linestyle": "-" if way == "forward" else "--",
    }
    ax.annotate("", xy=ends[1], xytext=ends[0], arrowprops=arrow)
    ax.text(width / 2, y + 0.08, f"{way} pass", ha="center", va="bottom", fontsize=9, color=colour)


def _symbol(letter: str, below: list[str]) -> str:
    return f"${letter}_{{{','.join(below)}}}$" if below else f"${letter}$"
