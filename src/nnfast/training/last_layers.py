"""Layers behind the last Dense that spoil what the loss takes for probabilities."""

from __future__ import annotations

from collections.abc import Sequence

from .. import _core
from ..errors import warn
from ..layers import Activation, Dense, Dropout, Layer
from ..losses import Loss


def warn_of_last_layers(loss: Loss, layers: Sequence[Layer]) -> None:
    """Warn where layers behind the last Dense spoil its probabilities.

    Parameters
    ----------
    loss : Loss
    layers : sequence of Layer
        From the last Dense to the outputs.

    Warns
    -----
    UserWarning
        A Dropout behind the last activation, under a loss that takes the logarithm of outputs; softmax or sigmoid
        of what is one already.
    """
    last = layers[-1]
    if _core.LOSSES[loss.name] and isinstance(last, Dropout) and last.rate:
        warn(
            f"The model learns badly or not at all: the last layer, {last.name!r}, is a Dropout, and loss {loss.name!r} "
            "takes the outputs that it sets to 0 for predictions. Put it before the last Dense."
        )
    names = [layer.activation.name for layer in layers if isinstance(layer, Dense | Activation)]
    applied = [name for name in names if name in ("softmax", "sigmoid")]
    if len(applied) > 1:
        warn(
            f"The model learns badly or not at all: after the last Dense {' and '.join(applied)} are applied, one to what "
            "the other gives. Leave out one of the two."
        )
