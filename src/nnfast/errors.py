"""The exceptions and warnings that are nnfast's own.

Whatever a caller can repair at once is a plain ValueError or TypeError, raised where the check is made; what
stands here has a name because code wants to catch it. How a message quotes what was received is in `cut`, how
an unknown name is reported in `names`.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from types import FrameType
from typing import Any


def cut(element: object) -> str:
    """An element as it is written in Python, or the beginning of that."""
    try:
        text = repr(element)
    except ValueError:  # a whole number of more digits than Python writes
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


def warn(message: str | Warning) -> None:
    """A warning, of a text a UserWarning, that points to the line of the caller outside this package."""
    package = __name__.partition(".")[0]
    frame: FrameType | None = sys._getframe()
    level = 0
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame = frame.f_back
        level += 1
    warnings.warn(message, UserWarning, stacklevel=level + 1)


class NonFiniteError(ArithmeticError):
    """The loss or the weights have become NaN or infinite; training has stopped.

    A loss is caught before the update of its batch; weights are checked at the end of each epoch.
    `model.recover()` puts back the weights that the last finite epoch ended with (in the first epoch: those
    that `fit` began with).

    Parameters
    ----------
    batch : int or None
        Index of the batch within its epoch, from 0; None when weights were found non-finite at the end of an
        epoch.
    epoch : int, optional
        Index of the epoch, from 0, as callbacks see it. The engine leaves it out, the trainer fills it in.
    subject : str, default "loss"
        What is not finite: "loss", or a weight such as "weight dense/kernel".

    Examples
    --------
    >>> print(NonFiniteError(12, epoch=3))
    The loss became NaN or infinite in epoch 3, batch 12 (counted from 0). Lower the learning rate or scale \
the inputs; model.recover() puts back the weights of the last finite epoch.
    """

    def __init__(self, batch: int | None, epoch: int | None = None, subject: str = "loss") -> None:
        super().__init__(batch, epoch, subject)
        self.batch = batch
        self.epoch = epoch
        self.subject = subject

    def __str__(self) -> str:
        counts = {"epoch": self.epoch, "batch": self.batch}
        place = ", ".join(f"{unit} {count}" for unit, count in counts.items() if count is not None)
        where = f" in {place} (counted from 0)" if place else ""
        return (
            f"The {self.subject} became NaN or infinite{where}. Lower the learning rate or scale the inputs; "
            "model.recover() puts back the weights of the last finite epoch."
        )

    def __reduce__(self) -> tuple[type[NonFiniteError], tuple[int | None, int | None, str]]:
        return NonFiniteError, (self.batch, self.epoch, self.subject)


class ModelFileError(ValueError):
    """A file is not a model that this version of nnfast can read: not safetensors, damaged, or of another
    format version."""


class DeadUnits(UserWarning):
    """All units of a layer give 0 for every row: no gradient gets through it.

    Raised as a warning by `fit`, once for each `compile`, at the end of an epoch in which the weights above that
    layer (its own, if it is the last one) have not moved at all; and by `compare.grid`, once. What
    `utils.dead_units` says of a layer that is dead in part is no reason to warn.

    Parameters
    ----------
    layer : str
        Name of the layer, in quotes; names, if there are several.
    extent : str
        How much of it, or in which runs: "1 of 1 units".
    seed : int or str
        Seeds that decided the weights.

    Examples
    --------
    >>> print(DeadUnits("'dense_1'", "1 of 1 units", 8))
    Layer 'dense_1' is dead (1 of 1 units): it gives 0 for every row, its slope there is 0, and no gradient gets \
through. Draw other weights (a seed other than 8), begin with a positive bias \
(bias_initializer=initializers.Constant(1.0)), or use an activation without such a side: 'linear' in the last \
layer of a regression, 'tanh' in a hidden one.
    """

    def __init__(self, layer: str, extent: str, seed: int | str) -> None:
        super().__init__(layer, extent, seed)
        self.layer = layer
        self.extent = extent
        self.seed = seed

    def __str__(self) -> str:
        return (
            f"Layer {self.layer} is dead ({self.extent}): it gives 0 for every row, its slope there is 0, and no "
            f"gradient gets through. Draw other weights (a seed other than {self.seed}), begin with a positive bias "
            "(bias_initializer=initializers.Constant(1.0)), or use an activation without such a side: 'linear' in "
            "the last layer of a regression, 'tanh' in a hidden one."
        )


def __getattr__(name: str) -> Any:
    if name == "GridInterrupted":  # of `compare`, which is loaded when it is first used
        return importlib.import_module(f"{__package__}.compare").GridInterrupted
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
