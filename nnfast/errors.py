"""The exceptions that are nnfast's own.

Whatever a caller can repair at once is a plain ValueError or TypeError, raised where the check is made; what
stands here has a name because code wants to catch it. How an unknown name is reported is in `names`.
"""

from __future__ import annotations


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
