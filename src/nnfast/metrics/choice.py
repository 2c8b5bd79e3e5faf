"""Which metrics are meant by what `compile` is given, under which keys they are logged, and who counts them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .. import _core
from ..attributes import is_own
from ..errors import cut, warn
from ..losses import Loss
from ..names import resolve
from . import auc, best_at, confusion, functions, iou, means, scores
from .base import Metric, keras_name
from .means import (
    BinaryAccuracy,
    CategoricalAccuracy,
    MeanMetricWrapper,
    SparseCategoricalAccuracy,
)

KNOWN_CLASSES: list[type[Metric]] = [
    *means.CLASSES, *confusion.CLASSES, *best_at.CLASSES, *auc.CLASSES, *scores.CLASSES, *iou.CLASSES,
]  # fmt: skip


class _Accuracy(Metric):
    """What "accuracy" stands for: binary, categorical or sparse categorical, once loss and shape are known.

    One output is compared with 0 where the loss takes it for a logit (`from_logits=True`), else with 0.5.
    """

    direction = "max"

    def __init__(self, name: str | None = "accuracy") -> None:
        super().__init__(None, name)


_BY_CLASS = {cls.__name__: cls for cls in KNOWN_CLASSES}
_KNOWN: dict[str, Callable[..., Metric]] = {
    "accuracy": _Accuracy,
    "acc": _Accuracy,
    **{name: _BY_CLASS[cls] for name, cls in (
        ("mse", "MeanSquaredError"), ("mae", "MeanAbsoluteError"), ("bce", "BinaryCrossentropy"),
        ("mape", "MeanAbsolutePercentageError"), ("msle", "MeanSquaredLogarithmicError"),
        ("kl_divergence", "KLDivergence"), ("logcosh", "LogCoshError"), ("log_cosh", "LogCoshError"),
    )},
}  # fmt: skip
_KNOWN.update({keras_name(cls.__name__): cls for cls in KNOWN_CLASSES if cls is not means.Accuracy})
_KNOWN["exact_accuracy"] = means.Accuracy  # for files: "accuracy" is another thing
_FUNCTIONS: dict[Any, type[Metric]] = {
    cls.function: cls
    for cls in KNOWN_CLASSES
    if issubclass(cls, means.MeanOfRows) and cls is not means.Accuracy
}
_FUNCTIONS[functions.mean_squared_error] = means.MeanSquaredError  # the root has it, too


def get(identifier: object) -> Metric:
    """The metric for a name, a class, an object, a function, a saved configuration, or a loss.

    Given by name, it is logged under that name: "acc" as "acc". A function of one's own (y_true, y_pred) gives a
    value for each row, or one for the batch, of which the mean is logged.

    Raises
    ------
    ValueError
        The name is not known.
    TypeError
        The identifier is none of the above, or an object of a class that cannot count.
    """
    if isinstance(identifier, Loss):
        return _of_loss(identifier)
    if isinstance(identifier, str):
        return named(resolve("metric", _key(identifier), Metric, _KNOWN), identifier)
    if callable(identifier) and not isinstance(identifier, type | Metric):
        cls = _FUNCTIONS.get(identifier)
        return (
            MeanMetricWrapper(identifier)
            if cls is None
            else named(cls(), getattr(identifier, "__name__", cls.__name__))
        )
    if isinstance(identifier, Mapping) and "class_name" in identifier:
        identifier = {**identifier, "class_name": _key(str(identifier["class_name"]))}
    metric = resolve("metric", identifier, Metric, _KNOWN)
    if not is_counted_by_engine(metric):
        missing = [
            name
            for name in ("update_state", "result")
            if getattr(type(metric), name) is getattr(Metric, name)
        ]
        if missing:
            raise TypeError(
                f"{type(metric).__name__} must define {' and '.join(missing)}, as a metric of your own, "
                f"or be one of {', '.join(_KNOWN)}."
            )
    return metric


def _key(name: str) -> str:
    """A name of the table for a name or the name of a class."""
    return next((key for key in (name, keras_name(name)) if key in _KNOWN), name)


def _of_loss(loss: Loss) -> Metric:
    """The mean of a loss."""
    if loss.name in _KNOWN:
        metric = _KNOWN[loss.name](**loss.get_config())
        return named(metric, loss.name)
    return MeanMetricWrapper(loss, loss.name)


def is_counted_by_engine(metric: Metric) -> bool:
    """Whether it is the mean of a row of the engine's table, and nobody has derived something else from that."""
    if isinstance(metric, _Accuracy):
        return True
    own = [cls for cls in type(metric).__mro__ if cls is not object and not is_own(cls)]
    redefined = any(name in vars(cls) for cls in own for name in ("update_state", "result", "reset_state"))
    return metric.row in _core.METRICS and not redefined


def get_all(identifiers: Iterable[object] | str | None) -> list[Metric]:
    """The metrics that `compile` is given, each under a name of its own: one that is taken is numbered, as in
    Keras.

    Examples
    --------
    >>> [metric.name for metric in get_all(["mae", "mae"])]
    ['mae', 'mae_1']
    """
    return _distinct(identifiers, set(), "")


def get_weighted(identifiers: Iterable[object] | str | None, metrics: Iterable[Metric]) -> list[Metric]:
    """The same for those that are weighted, beside these: one whose name is taken is called weighted.

    Examples
    --------
    >>> [metric.name for metric in get_weighted(["mae", "mse"], get_all(["mae"]))]
    ['weighted_mae', 'mse']
    """
    return _distinct(identifiers, {metric.name for metric in metrics}, "weighted_")


def _distinct(identifiers: Iterable[object] | str | None, taken: set[str], prefix: str) -> list[Metric]:
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
    for metric in map(get, identifiers):
        name = base = prefix + metric.name if metric.name in taken else metric.name
        number = 0
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name)
        metrics.append(metric if name == metric.name else named(metric, name))
    for name in taken & {f"val_{other}" for other in (*taken, "loss")}:
        raise ValueError(
            f"a metric cannot be called {name!r}, which is the key of {name[4:]!r} for validation data. "
            "Pass another name= to it."
        )
    return metrics


def named(metric: Metric, name: str) -> Metric:
    """The same metric, logged under another name; both share what it has counted."""
    other = copy.copy(metric)
    vars(other)["name"] = name
    return other


def copies(metrics: Iterable[Metric]) -> list[Metric]:
    """Equal metrics, for another model: what one counts is its own."""
    return [copy.deepcopy(metric) for metric in metrics]


def describe(metric: Metric) -> dict[str, Any] | None:
    """The JSON-able description from which `get` makes an equal metric; None where there is none, as of what a user
    has written."""
    if not is_own(type(metric)) or isinstance(metric, MeanMetricWrapper):
        return None
    name = next((name for name, cls in _KNOWN.items() if cls is type(metric)), type(metric).__name__)
    return {"class_name": name, "config": metric.get_config()}


def bind(metrics: Iterable[Metric], loss: Loss, outputs: int, activation: str) -> list[str | None]:
    """The row of the engine's table for each metric of a model, None for those that it does not count: "accuracy"
    is decided, and each fits the targets.

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
    rows: list[str | None] = []
    for metric in metrics:
        concrete = decided(metric, loss, outputs)
        row = concrete.row if is_counted_by_engine(concrete) else None
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
        if concrete.takes_labels not in (None, loss.sparse):
            targets = "labels (N,)" if loss.sparse else f"targets (N, {outputs})"
            raise ValueError(
                f"metric {metric.name!r} does not fit loss {loss.name!r}, which takes {targets}. "
                "Use 'accuracy', which picks the right one, or the metric of the other kind."
            )
        if metric.name == "loss":
            raise ValueError("metrics must have different names, got 'loss' twice. Pass another name= to it.")
        rows.append(row)
    return rows


def decided(metric: Metric, loss: Loss, outputs: int) -> Metric:
    """What "accuracy" is for this loss and so many outputs; any other metric as it is."""
    if not isinstance(metric, _Accuracy):
        return metric
    if loss.sparse:
        return SparseCategoricalAccuracy(metric.name)
    if outputs > 1:
        return CategoricalAccuracy(metric.name)
    return BinaryAccuracy(metric.name, threshold=0 if loss.from_logits else 0.5)
