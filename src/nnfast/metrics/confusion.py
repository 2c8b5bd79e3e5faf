"""Metrics of two classes, from counts of true and false positives and negatives at one or more thresholds.

An output is positive where it is above the threshold. Comparisons are those of float32, as in Keras, so that the
same outputs fall on the same side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from .base import Metric
from .functions import EPSILON, Array, same_rank
from .state import Variable

Doubles = NDArray[np.float64]

LOWEST = -1e10
"""Below every output; those that are not among the top k get it."""


def ratio(numerator: Array, denominator: Array) -> Doubles:
    """The quotient, 0 where nothing was counted."""
    zeros = np.zeros(np.broadcast(numerator, denominator).shape)
    return np.divide(numerator, denominator, out=zeros, where=np.asarray(denominator) != 0)


def evenly_distributed(thresholds: Sequence[float] | Doubles) -> bool:
    """Whether they are 0, 1 / (T - 1), ..., 1: counted then by cutting outputs into cells, as Keras does."""
    count = len(thresholds)
    return count >= 3 and np.allclose(thresholds, np.arange(count) / (count - 1), atol=EPSILON)


def inner_thresholds(count: int) -> list[float]:
    """Those between 0 and 1, of `count` evenly distributed ones."""
    return [(i + 1) / (count - 1) for i in range(count - 2)]


def checked_thresholds(thresholds: float | Sequence[float] | None, default: float) -> list[float]:
    """As a list.

    Raises
    ------
    ValueError
        One is outside of [0, 1].
    """
    if thresholds is None:
        return [default]
    chosen = list(thresholds) if isinstance(thresholds, Sequence | np.ndarray) else [thresholds]
    wrong = [t for t in chosen if t is None or not 0 <= t <= 1]
    if wrong or not chosen:
        raise ValueError(f"thresholds must be numbers from 0 to 1, got {wrong or chosen}.")
    return chosen


def counts(
    y_true: Any,
    y_pred: Any,
    thresholds: Sequence[float] | Doubles,
    *,
    even: bool = False,
    top_k: int | None = None,
    class_id: int | None = None,
    sample_weight: Any = None,
    label_weights: Any = None,
    multi_label: bool = False,
) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """True positives, false positives, true negatives and false negatives at each threshold.

    Parameters
    ----------
    y_true, y_pred : array_like, shape (N,) or (N, K)
        Targets are true where they are not 0.
    thresholds : sequence of float, shape (T,)
    even : bool, default False
        They are evenly distributed from 0 to 1.
    top_k : int, optional
        Only the k largest outputs of a row can be positive.
    class_id : int, optional
        Look at this column only.
    sample_weight : array_like, shape (N,), optional
    label_weights : array_like, shape (K,), optional
        Of the columns.
    multi_label : bool, default False
        Count each column by itself.

    Returns
    -------
    tuple of four ndarrays, each of shape (T,), or (T, K) with `multi_label`
    """
    outputs, targets = same_rank(np.asarray(y_pred, np.float32), np.asarray(y_true, np.float32))
    if outputs.shape != targets.shape:
        raise ValueError(
            f"y_true and y_pred must have the same shape, got {np.shape(y_true)} and {np.shape(y_pred)}. "
            "For labels of several classes use one-hot rows: utils.to_categorical."
        )
    weights: Doubles = np.ones(outputs.shape)
    if sample_weight is not None:
        column = np.asarray(sample_weight, np.float64)[..., None]
        weights = weights * same_rank(targets, column, expand=False)[1]
    if top_k is not None:
        outputs = _only_top(outputs, top_k)
    if class_id is not None:
        if outputs.ndim == 1:
            raise ValueError(f"class_id={class_id} needs outputs of shape (N, K), got {outputs.shape}.")
        outputs, targets, weights = (part[..., class_id, None] for part in (outputs, targets, weights))
    if label_weights is not None:
        weights = weights * np.asarray(label_weights, np.float64)
    columns = outputs.shape[-1] if multi_label else 1
    above = _number_below(outputs, thresholds, even).reshape(-1, columns)
    true, weights = (targets != 0).reshape(-1, columns), weights.reshape(-1, columns)
    order = np.argsort(thresholds, kind="stable")
    positive, negative = (
        np.stack(
            [_passed(above[:, k], np.where(side[:, k], weights[:, k], 0), order) for k in range(columns)],
            axis=-1,
        )
        for side in (true, ~true)
    )
    totals = [np.where(side, weights, 0).sum(axis=0) for side in (true, ~true)]
    found = positive, negative, totals[1] - negative, totals[0] - positive
    return found if multi_label else tuple(part[:, 0] for part in found)  # type: ignore[return-value]


def _number_below(outputs: Array, thresholds: Sequence[float] | Doubles, even: bool) -> NDArray[np.int64]:
    """How many of the thresholds, in ascending order, each output is above; NaN is above none."""
    outputs = np.where(np.isnan(outputs), LOWEST, outputs)
    if not even:
        return np.searchsorted(np.sort(np.asarray(thresholds, np.float32)), outputs, side="left")
    cells = np.ceil(np.clip(outputs, 0, 1) * np.float32(len(thresholds) - 1))
    if thresholds[0] < 0 or thresholds[-1] > 1:  # the first lies below 0, and every output above it
        cells = np.maximum(cells, 1)
    return cells.astype(np.int64)


def _passed(above: NDArray[np.int64], weights: Doubles, order: NDArray[np.intp]) -> Doubles:
    """The weight above each threshold, in the order in which they were given."""
    cells = np.bincount(above, weights, minlength=len(order) + 1)
    result = np.empty(len(order))
    result[order] = cells[::-1].cumsum()[-2::-1]
    return result


def _only_top(outputs: Array, k: int) -> Array:
    """The k largest of each row, of equal ones the first; LOWEST in place of the others."""
    places = np.argsort(-outputs, axis=-1, kind="stable")[..., :k]
    result = np.full_like(outputs, LOWEST)
    np.put_along_axis(result, places, np.take_along_axis(outputs, places, axis=-1), axis=-1)
    return result


class _Count(Metric):
    """Base of the four counts.

    Parameters
    ----------
    thresholds : float or sequence of float, default 0.5
        From 0 to 1; the result has one number for each.
    name : str, optional
        Key in the logs.
    """

    by_batch: ClassVar = False
    takes_labels: ClassVar[bool | None] = False
    place: ClassVar[int]
    thresholds: Final[list[float]]
    accumulator: Final[Variable]

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        name: str | None = None,
        dtype: object = None,
    ) -> None:
        super().__init__(dtype, name)
        self._given = None if thresholds is None else np.asarray(thresholds, np.float64).tolist()
        self.thresholds = checked_thresholds(thresholds, 0.5)
        self.accumulator = self.add_variable((len(self.thresholds),), "zeros", name="accumulator")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        found = counts(
            y_true,
            y_pred,
            self.thresholds,
            even=evenly_distributed(self.thresholds),
            sample_weight=sample_weight,
        )
        self.accumulator.assign_add(found[self.place])

    def result(self) -> Any:
        return one_or_all(self.accumulator.value)

    def get_config(self) -> dict[str, Any]:
        return {"thresholds": self._given, **super().get_config()}


def one_or_all(values: Doubles) -> Any:
    """The number of the only threshold, else all."""
    return float(values[0]) if len(values) == 1 else values


class TruePositives(_Count):
    """Weight of the positive outputs whose target is true."""

    place = 0
    direction = "max"


class FalsePositives(_Count):
    """Weight of the positive outputs whose target is false."""

    place = 1
    direction = "min"


class TrueNegatives(_Count):
    """Weight of the other outputs whose target is false."""

    place = 2
    direction = "max"


class FalseNegatives(_Count):
    """Weight of the other outputs whose target is true."""

    place = 3
    direction = "min"


class _Share(Metric):
    """Base of precision and recall: true positives as a share of them and of those that are `missed`.

    Parameters
    ----------
    thresholds : float or sequence of float, optional
        From 0 to 1, 0.5 by default, and none with `top_k`; the result has one number for each.
    top_k : int, optional
        Only the k largest outputs of a row can be positive.
    class_id : int, optional
        Look at this output only.
    name : str, optional
        Key in the logs.
    """

    by_batch: ClassVar = False
    takes_labels: ClassVar[bool | None] = False
    direction: ClassVar[str | None] = "max"
    place: ClassVar[int]
    thresholds: Final[list[float]]
    top_k: Final[int | None]
    class_id: Final[int | None]
    true_positives: Final[Variable]

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: object = None,
    ) -> None:
        super().__init__(dtype, name)
        self._given = None if thresholds is None else np.asarray(thresholds, np.float64).tolist()
        self.thresholds = checked_thresholds(thresholds, 0.5 if top_k is None else LOWEST)
        self.top_k = top_k
        self.class_id = class_id
        self.true_positives = self.add_variable((len(self.thresholds),), "zeros", name="true_positives")
        self._missed = self.add_variable((len(self.thresholds),), "zeros", name="missed")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        found = counts(
            y_true,
            y_pred,
            self.thresholds,
            even=evenly_distributed(self.thresholds),
            top_k=self.top_k,
            class_id=self.class_id,
            sample_weight=sample_weight,
        )
        self.true_positives.assign_add(found[0])
        self._missed.assign_add(found[self.place])

    def result(self) -> Any:
        true = self.true_positives.value
        return one_or_all(ratio(true, true + self._missed.value))

    def get_config(self) -> dict[str, Any]:
        return {
            "thresholds": self._given,
            "top_k": self.top_k,
            "class_id": self.class_id,
            **super().get_config(),
        }


class Precision(_Share):
    """Share of the positive outputs whose target is true; 0 where there are none.

    Examples
    --------
    >>> metric = Precision()
    >>> metric.update_state([0, 1, 1, 1], [0.6, 0, 0.7, 1])
    >>> round(metric.result(), 4)
    0.6667
    """

    place = 1

    @property
    def false_positives(self) -> Variable:
        return self._missed


class Recall(_Share):
    """Share of the true targets whose output is positive; 0 where there are none.

    Examples
    --------
    >>> metric = Recall()
    >>> metric.update_state([0, 1, 1, 1], [0.6, 0, 0.7, 1])
    >>> round(metric.result(), 4)
    0.6667
    """

    place = 3

    @property
    def false_negatives(self) -> Variable:
        return self._missed


class FourCounts(Metric):
    """Base of the metrics that look at all four counts at many thresholds."""

    by_batch: ClassVar = False
    takes_labels: ClassVar[bool | None] = False
    direction: ClassVar[str | None] = "max"
    _thresholds: Doubles
    _even: bool
    _counted: list[Variable]

    def _keep(self, shape: tuple[int, ...]) -> None:
        names = ("true_positives", "false_positives", "true_negatives", "false_negatives")
        self._counted = [self.add_variable(shape, "zeros", name=name) for name in names]

    def _count(self, y_true: Any, y_pred: Any, **options: Any) -> None:
        found = counts(y_true, y_pred, self._thresholds, even=self._even, **options)
        for variable, values in zip(self._counted, found, strict=True):
            variable.assign_add(values)

    @property
    def thresholds(self) -> list[float]:
        return [float(threshold) for threshold in self._thresholds]

    @property
    def true_positives(self) -> Doubles:
        return self._counted[0].value

    @property
    def false_positives(self) -> Doubles:
        return self._counted[1].value

    @property
    def true_negatives(self) -> Doubles:
        return self._counted[2].value

    @property
    def false_negatives(self) -> Doubles:
        return self._counted[3].value

    @property
    def _recall(self) -> Doubles:
        return ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def _precision(self) -> Doubles:
        return ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def _specificity(self) -> Doubles:
        return ratio(self.true_negatives, self.true_negatives + self.false_positives)


CLASSES: list[type[Metric]] = [
    TruePositives, FalsePositives, TrueNegatives, FalseNegatives, Precision, Recall,
]  # fmt: skip
