"""The public names of the losses. Their formulas, gradients and links are in the C table (csrc/loss.h);
nothing is computed here.

A loss is accepted as a name ("mse", "sparse_categorical_crossentropy"), as an object
(`losses.BinaryCrossentropy(from_logits=True)`) or under Keras' function names (`losses.mean_squared_error`),
which are objects here: called, they give the mean over the rows.
"""

from __future__ import annotations

from typing import Any, ClassVar

from numpy.typing import ArrayLike

from . import _core, kernels
from .attributes import Guarded, refuse_ignored_methods
from .data import arrays
from .data.tensors import Scalar
from .errors import warn
from .names import represent, resolve, snake_case, unknown_attribute


class Loss(Guarded):
    """Base of the losses; the subclasses are the rows of the engine's table. A loss does not change: its
    attributes cannot be set.

    Attributes
    ----------
    name : str
        Row of the table.
    from_logits : bool
        Outputs are logits, and the loss applies its link (softmax or sigmoid) itself.
    sparse : bool
        Targets are labels (N,) instead of an array (N, K).
    """

    name: ClassVar[str]
    _from_logits = False
    _remedies: ClassVar = {"": "Make a new loss and call compile again."}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.name = snake_case(cls.__name__)

    @property
    def from_logits(self) -> bool:
        return self._from_logits

    @property
    def sparse(self) -> bool:
        return self.name.startswith("sparse")

    def __call__(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Scalar:
        """The mean over the rows of the (weighted) row loss, computed by the native kernel.

        Parameters
        ----------
        y_true : array_like, shape (N, K), or (N,) for labels and for K = 1
        y_pred : array_like, shape (N, K), or (N,) for K = 1
            Outputs of the model: logits with `from_logits=True`, else predictions.
        sample_weight : array_like, shape (N,), optional
            Weight of each row; the divisor stays N.
        """
        outputs = arrays.as_float32(y_pred, "y_pred")
        if not outputs.size or outputs.ndim not in (1, 2):
            raise ValueError(f"y_pred must have shape (N, K) with at least one row, got {outputs.shape}.")
        outputs = outputs.reshape(len(outputs), -1)
        rows, columns = outputs.shape
        targets: Any = as_targets(self, y_true, rows, columns, "y_true")
        weight = None if sample_weight is None else arrays.as_weights(sample_weight, rows)
        return Scalar(
            kernels.loss_value_and_gradient(outputs, targets, self.name, weight, self.from_logits)[0]
        )

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {}

    def __repr__(self) -> str:
        return represent(self)


class MeanSquaredError(Loss):
    """mean_k (p_k - y_k)^2, with no factor 1/2.

    Examples
    --------
    >>> MeanSquaredError()([[0.0, 1.0]], [[0.0, 3.0]])
    2.0
    """


class MeanAbsoluteError(Loss):
    """mean_k |p_k - y_k|; gradient 0 where they are equal.

    Examples
    --------
    >>> MeanAbsoluteError()([[0.0, 1.0]], [[0.0, 3.0]])
    1.0
    """


class _Crossentropy(Loss):
    """What the cross-entropies share.

    Straight after their link (softmax, or sigmoid of slope 1) the model computes them from the logits, with
    no clipping; other probabilities are clipped to [1e-7, 1 - 1e-7].
    """

    def __init__(self, from_logits: bool = False) -> None:
        self._from_logits = bool(from_logits)

    def get_config(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits}


class BinaryCrossentropy(_Crossentropy):
    """mean_k -(y_k log p_k + (1 - y_k) log(1 - p_k)), for targets from 0 to 1.

    Parameters
    ----------
    from_logits : bool, default False
        Outputs are logits: p = sigmoid(z).

    Examples
    --------
    >>> round(BinaryCrossentropy()([1, 0], [0.5, 0.5]), 6)
    0.693147
    """


class CategoricalCrossentropy(_Crossentropy):
    """-sum_k y_k log p_k, for targets of shape (N, K) such as one-hot rows.

    Parameters
    ----------
    from_logits : bool, default False
        Outputs are logits: p = softmax(z).

    Examples
    --------
    >>> round(CategoricalCrossentropy()([[0, 1]], [[0.5, 0.5]]), 6)
    0.693147
    """


class SparseCategoricalCrossentropy(_Crossentropy):
    """-log p_y, for labels y of shape (N,) or (N, 1).

    Parameters
    ----------
    from_logits : bool, default False
        Outputs are logits: p = softmax(z).

    Examples
    --------
    >>> round(SparseCategoricalCrossentropy()([1], [[0.5, 0.5]]), 6)
    0.693147
    """


mean_squared_error = mse = MSE = MeanSquaredError()
mean_absolute_error = mae = MAE = MeanAbsoluteError()
binary_crossentropy = BinaryCrossentropy()
categorical_crossentropy = CategoricalCrossentropy()
sparse_categorical_crossentropy = SparseCategoricalCrossentropy()

_CLASSES: list[type[Loss]] = [
    MeanSquaredError, MeanAbsoluteError,
    BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy,
]  # fmt: skip
_KNOWN = {cls.name: cls for cls in _CLASSES} | {"mse": MeanSquaredError, "mae": MeanAbsoluteError}


def get(identifier: object) -> Loss:
    """The loss for a name, a class, an object or a saved configuration.

    Raises
    ------
    ValueError
        The name is not known.
    TypeError
        The identifier is none of the above; functions and classes of one's own cannot run in the engine.
    """
    loss = resolve("loss", identifier, Loss, _KNOWN)
    refuse_ignored_methods(
        loss, ("call", "__call__"), f"The engine computes losses of its own only: {', '.join(_KNOWN)}."
    )
    if loss.name not in _core.LOSSES:
        raise TypeError(
            f"{type(loss).__name__} is a loss of your own, which the engine cannot compute. "
            f"Use one of {', '.join(_KNOWN)}."
        )
    return loss


def warn_of_head(loss: Loss, outputs: int, activation: str) -> None:
    """Warn where a last layer and a loss do not go together, so that the model cannot learn.

    Parameters
    ----------
    loss : Loss
    outputs : int
        Number of outputs of the model.
    activation : str
        Name of the last activation.

    Warns
    -----
    UserWarning
        A softmax of one output; one output for several classes; a link (softmax or sigmoid) that is applied
        twice, or is missing.
    """
    link = _core.LOSSES[loss.name]
    two_classes = "For two classes use Dense(1, 'sigmoid') with loss 'binary_crossentropy'"
    if outputs == 1 and activation == "softmax":
        warn(
            "The model cannot learn: a softmax of one output is 1 whatever the weights. "
            f"{two_classes}, for a regression Dense(1), and else one unit for each class."
        )
    elif outputs == 1 and link == "softmax":
        warn(
            f"The model cannot learn: for loss {loss.name!r} one output means one class, whose probability is 1. "
            f"{two_classes}, and else one unit for each class."
        )
    elif loss.from_logits and activation in ("softmax", "sigmoid"):
        warn(
            f"The model learns badly or not at all: loss {loss.name!r} with from_logits=True takes outputs for logits "
            f"and applies {link} itself, but the last activation is {activation!r} already. "
            "Leave out one of the two."
        )
    elif link and not loss.from_logits and activation not in ("softmax", "sigmoid"):
        warn(
            f"The model learns badly or not at all: loss {loss.name!r} takes outputs for probabilities, but those of the "
            f"last activation, {activation!r}, need not lie between 0 and 1, and there is no gradient outside. "
            f"Use {link!r} there, or from_logits=True in the loss."
        )


def as_targets(
    loss: Loss, y: object, rows: int, outputs: int, name: str = "y"
) -> arrays.Labels | arrays.Floats:
    """What `loss` takes as targets for N rows of a model's outputs: labels (N,) or values (N, outputs),
    checked."""
    if loss.sparse:
        return arrays.as_labels(y, rows, outputs, name)
    return arrays.as_targets(y, rows, outputs, name, probabilities=_core.LOSSES[loss.name] == "sigmoid")


def __getattr__(name: str) -> Any:
    raise unknown_attribute(__name__, name, [*(cls.__name__ for cls in _CLASSES), *_KNOWN, "get"])
