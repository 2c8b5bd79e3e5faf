"""The public names of the metrics. Each is the mean over rows of one row of the engine's table
(csrc/metric.h), counted in training from the same forward pass as the loss; this module says which, under
which key it is logged, and whether more is better.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from . import _core
from .attributes import Guarded, refuse_ignored_methods
from .errors import cut, warn
from .losses import Loss
from .names import checked_name, represent, resolve, snake_case, unknown_attribute


class Metric(Guarded):
    """Base of the metrics. A metric does not change: its attributes cannot be set.

    Parameters
    ----------
    name : str, optional
        Key in the logs; by default the class name in lower case, "binary_accuracy".

    Attributes
    ----------
    row : str
        Row of the engine's table that is averaged.
    direction : {"max", "min"}
        What counts as better, for callbacks that monitor.
    finish : callable
        Applied to the mean over the rows; most leave it alone.
    """

    name: Final[str]
    row: ClassVar[str]
    direction: ClassVar = "max"
    _remedies: ClassVar = {"": "Make a new metric and call compile again."}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        name = snake_case(cls.__name__)
        if name in _core.METRICS:
            cls.row = name

    def __init__(self, name: str | None = None) -> None:
        self.name = snake_case(type(self).__name__) if name is None else checked_name(name, "a metric")

    @staticmethod
    def finish(mean: float) -> float:
        return mean

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {"name": self.name}

    def __repr__(self) -> str:
        return represent(self)


class SparseCategoricalAccuracy(Metric):
    """Fraction of rows whose largest output is the label's; ties go to the lowest index."""


class CategoricalAccuracy(Metric):
    """Fraction of rows whose largest output is where the target is largest; ties go to the lowest index.

    Of soft targets only the place of the largest counts: [0.6, 0.4] is the class 0, as [1, 0] is.
    """


class BinaryAccuracy(Metric):
    """Fraction of outputs p with (p > threshold) == y, mean over the outputs of a row.

    Targets are meant to be 0 and 1. Others agree with no output, as in Keras: a target of 0.9 counts as wrong,
    whether p is 0.95 or 0.1.

    Parameters
    ----------
    name : str, optional
        Key in the logs.
    threshold : {0.5, 0}, default 0.5
        0.5 for probabilities, 0 for logits (a loss with `from_logits=True`).

    Raises
    ------
    ValueError
        Another threshold.
    """

    threshold: Final[float]

    def __init__(self, name: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(name)
        if threshold not in (0, 0.5):
            raise ValueError(
                f"threshold must be 0.5, for probabilities, or 0, for logits, got {cut(threshold)}. "
                "Count others from what predict gives."
            )
        self.threshold = threshold
        if not threshold:
            vars(self)["row"] = (
                "binary_accuracy_of_logits"  # of this object; the class has that of probabilities
            )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "threshold": self.threshold}


class MeanSquaredError(Metric):
    """Mean squared difference, also over the outputs of a row."""

    direction = "min"


class MeanAbsoluteError(Metric):
    """Mean absolute difference, also over the outputs of a row."""

    direction = "min"


class RootMeanSquaredError(Metric):
    """Square root of the mean squared error over all rows seen."""

    row = MeanSquaredError.row
    direction = "min"

    @staticmethod
    def finish(mean: float) -> float:
        return math.sqrt(mean)


class _Accuracy(Metric):
    """What "accuracy" stands for: binary, categorical or sparse categorical, once loss and shape are known.

    One output is compared with 0 where the loss takes it for a logit (`from_logits=True`), else with 0.5.
    """


_CLASSES: list[type[Metric]] = [
    SparseCategoricalAccuracy, CategoricalAccuracy, BinaryAccuracy,
    MeanSquaredError, MeanAbsoluteError, RootMeanSquaredError,
]  # fmt: skip
_KNOWN: dict[str, type[Metric]] = {
    "accuracy": _Accuracy,
    "acc": _Accuracy,
    **{snake_case(cls.__name__): cls for cls in _CLASSES},
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
}


def get(identifier: object) -> Metric:
    """The metric for a name, a class, an object, a saved configuration, or a loss of the same name as a
    metric.

    Given by name, it is logged under that name: "acc" as "acc".

    Raises
    ------
    ValueError
        The name is not known.
    TypeError
        The identifier is none of the above.
    """
    if isinstance(identifier, Loss):
        identifier = identifier.name
    metric = resolve("metric", identifier, Metric, _KNOWN)
    refuse_ignored_methods(
        metric,
        ("update_state", "result", "reset_state", "reset_states", "call", "__call__"),
        f"The engine counts metrics of its own only: {', '.join(_KNOWN)}.",
    )
    if not isinstance(metric, _Accuracy) and getattr(metric, "row", None) not in _core.METRICS:
        raise TypeError(
            f"{type(metric).__name__} is a metric of your own, which the engine cannot count. "
            f"Use one of {', '.join(_KNOWN)}."
        )
    return named(metric, identifier) if isinstance(identifier, str) else metric


def get_all(identifiers: Iterable[object] | str | None) -> list[Metric]:
    """The metrics that `compile` is given, each under a name of its own: one that is taken is numbered, as in
    Keras.

    Examples
    --------
    >>> [metric.name for metric in get_all(["mae", "mae"])]
    ['mae', 'mae_1']
    """
    if identifiers is None:
        return []
    if isinstance(identifiers, str | Metric) or not isinstance(identifiers, Iterable):
        identifiers = [identifiers]
    if isinstance(identifiers, Mapping):
        raise TypeError(
            f"metrics must be a list of names or objects, as there is one output, got {cut(identifiers)}. "
            "Pass its values: metrics=[...]."
        )
    metrics: list[Metric] = []
    taken: set[str] = set()
    for metric in map(get, identifiers):
        name, number = metric.name, 0
        while name in taken:
            number += 1
            name = f"{metric.name}_{number}"
        taken.add(name)
        metrics.append(metric if name == metric.name else named(metric, name))
    for name in taken & {f"val_{other}" for other in (*taken, "loss")}:
        raise ValueError(
            f"a metric cannot be called {name!r}, which is the key of {name[4:]!r} for validation data. "
            "Pass another name= to it."
        )
    return metrics


def named(metric: Metric, name: str) -> Metric:
    """The same metric, logged under another name."""
    other = copy.copy(metric)
    vars(other)["name"] = name
    return other


def describe(metric: Metric) -> dict[str, Any]:
    """The JSON-able description from which `get` makes an equal metric."""
    name = next((name for name, cls in _KNOWN.items() if cls is type(metric)), type(metric).__name__)
    return {"class_name": name, "config": metric.get_config()}


def bind(metrics: Iterable[Metric], loss: Loss, outputs: int, activation: str) -> list[str]:
    """The row of the engine's table for each metric of a model: "accuracy" is decided, and each fits the
    targets.

    Parameters
    ----------
    metrics : iterable of Metric
    loss : Loss
    outputs : int
        Number of outputs of the model.
    activation : str
        Name of the last activation.

    Raises
    ------
    ValueError
        A metric that needs labels with a loss that needs arrays, or the reverse; one that is called "loss".

    Warns
    -----
    UserWarning
        Accuracy of one linear output under a loss for regression; logits compared with 0.5.
    """
    rows: list[str] = []
    for metric in metrics:
        row = _accuracy(loss, outputs) if isinstance(metric, _Accuracy) else metric.row
        if isinstance(metric, _Accuracy):
            if outputs == 1 and _core.LOSSES[loss.name] is None and activation != "sigmoid":
                warn(
                    f"metric {metric.name!r} of one output under loss {loss.name!r} asks on which side of "
                    "0.5 it is: little to know of a regression. Use 'mae' or 'root_mean_squared_error'."
                )
        elif row == BinaryAccuracy.row and loss.from_logits:
            warn(
                f"metric {metric.name!r} compares outputs with 0.5, but they are logits "
                f"(loss {loss.name!r} with from_logits=True). Use 'accuracy' or BinaryAccuracy(threshold=0)."
            )
        if row.startswith("sparse") != loss.sparse:
            targets = "labels (N,)" if loss.sparse else f"targets (N, {outputs})"
            raise ValueError(
                f"metric {metric.name!r} does not fit loss {loss.name!r}, which takes {targets}. "
                "Use 'accuracy', which picks the right one."
            )
        if metric.name == "loss":
            raise ValueError("metrics must have different names, got 'loss' twice. Pass another name= to it.")
        rows.append(row)
    return rows


def _accuracy(loss: Loss, outputs: int) -> str:
    """The row of the engine's table that "accuracy" is."""
    if loss.sparse:
        return SparseCategoricalAccuracy.row
    if outputs > 1:
        return CategoricalAccuracy.row
    return BinaryAccuracy(threshold=0 if loss.from_logits else 0.5).row


def __getattr__(name: str) -> Any:
    raise unknown_attribute(__name__, name, [cls.__name__ for cls in _CLASSES])
