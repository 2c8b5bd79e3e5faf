"""Activation functions: value and derivative, and what weight and bias of a neuron do to them.

Every value comes from the engine; no formula stands here.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import activations, kernels
from ..activations import Activation
from .style import COLOURS, INK, finish, frame, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLACES = 1201  # odd, so that the middle of the span, a kink as a rule, is one of them
BIAS_AND_WEIGHT = ((0.0, 1.0), (0.0, 3.0), (-3.0, 1.0), (3.0, 1.0))
"""The plain neuron, another weight, a bias that moves it right, and one that moves it left."""


def activation(
    name: object,
    ax: Axes | None = None,
    path: str | PathLike[str] | None = None,
    span: tuple[float, float] = (-6.0, 6.0),
) -> Any:
    """An activation function g(z) and, dashed, its derivative g'(z) (thesis, Fig. 3 and 4).

    Parameters
    ----------
    name : str or Activation
        "relu", `activations.Sigmoid(slope=2.0)`, ...
    ax : matplotlib.axes.Axes, optional
        What to draw on; by default a new figure.
    path : path, optional
        File to write the picture to; its suffix (.png, .svg, .pdf) says how.
    span : (float, float), default (-6, 6)
        From which z to which.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        Without matplotlib.
    ValueError
        An unknown name; softmax, which is no function of one number; a span without length.
    """
    chosen = _of_one_number(name)
    z = _places(span)
    value = kernels.activation_forward(z, chosen)
    slope = kernels.activation_backward(np.ones_like(z), value, chosen)
    figure, (panel, *_) = panels(ax)
    panel.plot(z[:, 0], value[:, 0], "-", color=COLOURS[0], linewidth=1.8, label="$g(z)$")
    panel.plot(z[:, 0], slope[:, 0], "--", color=COLOURS[1], linewidth=1.8, label="$g'(z)$")
    by_default = chosen == Activation(chosen.name)
    panel.set_title(chosen.name if by_default else f"{chosen.name}({chosen.parameter:g})")
    panel.set_xlabel("z")
    panel.legend(frameon=False, labelcolor="linecolor", loc="upper left")
    frame(panel)
    return finish(figure, path, ax)


def neuron(
    activation: object = "sigmoid",
    bias_and_weight: Sequence[tuple[float, float]] = BIAS_AND_WEIGHT,
    path: str | PathLike[str] | None = None,
    span: tuple[float, float] = (-8.0, 8.0),
) -> Any:
    """What bias and weight do to a neuron of one input: g(w0 + w1 x), a panel for each pair (thesis, after eq. 3).

    The first pair is drawn dotted in the other panels, to be compared with.

    Parameters
    ----------
    activation : str or Activation, default "sigmoid"
    bias_and_weight : sequence of (w0, w1)
        By default four: the plain neuron, a larger weight, a negative bias and a positive one.
    path : path, optional
        File to write the picture to; its suffix (.png, .svg, .pdf) says how.
    span : (float, float), default (-8, 8)
        From which x to which.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        Without matplotlib.
    ValueError
        An unknown name; softmax, which is no function of one number; no pair; a span without length.
    """
    chosen = _of_one_number(activation)
    if not len(bias_and_weight):
        raise ValueError("bias_and_weight: expected at least one pair (w0, w1), received none")
    x = _places(span)
    curves = [
        kernels.activation_forward(np.float32(w0) + np.float32(w1) * x, chosen) for w0, w1 in bias_and_weight
    ]
    columns = min(2, len(curves))
    figure, axes = panels(None, columns, -(-len(curves) // columns), size=(3.6, 2.4))
    for place, ((w0, w1), curve) in enumerate(zip(bias_and_weight, curves, strict=True)):
        ax = axes[place]
        if place:
            ax.plot(x[:, 0], curves[0][:, 0], ":", color=INK, linewidth=1.2)
        ax.plot(x[:, 0], curve[:, 0], color=COLOURS[0], linewidth=1.8)
        ax.set_title(f"({chr(ord('a') + place)})  $w_0 = {w0:g}$, $w_1 = {w1:g}$", fontsize=10)
        ax.set_xlabel("x")
        frame(ax)
    for ax in axes[len(curves) :]:
        ax.set_axis_off()
    return finish(figure, path)


def _places(span: tuple[float, float]) -> NDArray[np.float32]:
    """Numbers over the span, one in a row, as the engine takes them."""
    low, high = span
    if not -np.inf < low < high < np.inf:
        raise ValueError(f"span: expected two finite numbers, the lower first, received {span}")
    return np.linspace(low, high, PLACES, dtype=np.float32)[:, None]


def _of_one_number(identifier: object) -> Activation:
    """The activation, if its outputs do not depend on their neighbours."""
    chosen = activations.get(identifier)
    z = np.linspace(-1.0, 1.0, 3, dtype=np.float32)
    alone, together = (kernels.activation_forward(z.reshape(shape), chosen) for shape in ((3, 1), (1, 3)))
    if not np.array_equal(alone.ravel(), together.ravel()):
        raise ValueError(
            f"activation: expected a function of one number, received {chosen.name}, whose outputs depend on the "
            "whole row. Draw another one."
        )
    return chosen
