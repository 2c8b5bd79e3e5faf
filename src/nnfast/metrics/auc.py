"""The area under a curve of two rates, from counts at thresholds, as Keras sums it up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from .base import Metric
from .confusion import Doubles, FourCounts, evenly_distributed, inner_thresholds, ratio
from .functions import EPSILON

CURVES = ("ROC", "PR", "PRGAIN")
METHODS = ("interpolation", "minoring", "majoring")


class AUC(FourCounts):
    """Area under the ROC curve, or under that of precision over recall.

    Parameters
    ----------
    num_thresholds : int, default 200
        Evenly distributed from 0 to 1: outputs closer together than that count as equal.
    curve : {"ROC", "PR", "PRGAIN"}, default "ROC"
    summation_method : {"interpolation", "minoring", "majoring"}, default "interpolation"
        Between two points; of "PR" the counts are interpolated, not the precision.
    name : str, optional
        Key in the logs, by default "auc".
    thresholds : sequence of float, optional
        From 0 to 1, in place of `num_thresholds`.
    multi_label : bool, default False
        The mean over the areas of each column; else all outputs together.
    num_labels : int, optional
        Number of columns with `multi_label`.
    label_weights : sequence of float, optional
        Of the columns.
    from_logits : bool, default False
        Outputs are logits.

    Raises
    ------
    ValueError
        An unknown curve or method, too few thresholds, `num_labels` without `multi_label`.

    Examples
    --------
    >>> metric = AUC(num_thresholds=3)
    >>> metric.update_state([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
    >>> metric.result()
    0.75
    """

    num_thresholds: Final[int]
    curve: Final[str]
    summation_method: Final[str]
    multi_label: Final[bool]
    num_labels: Final[int | None]
    label_weights: Final[Doubles | None]

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: object = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        if str(curve).upper() not in CURVES:
            raise ValueError(f"curve must be one of {', '.join(CURVES)}, got {curve!r}.")
        if str(summation_method).lower() not in METHODS:
            raise ValueError(
                f"summation_method must be one of {', '.join(METHODS)}, got {summation_method!r}."
            )
        if thresholds is None and not num_thresholds > 1:
            raise ValueError(f"num_thresholds must be a whole number > 1, got {num_thresholds!r}.")
        if num_labels and not multi_label:
            raise ValueError(f"num_labels needs multi_label=True, got {num_labels!r} without it.")
        super().__init__(dtype, name)
        self._given = thresholds is not None
        inner = inner_thresholds(num_thresholds) if thresholds is None else sorted(thresholds)
        self._even = thresholds is None or evenly_distributed([0.0, *inner, 1.0])
        self._thresholds = np.array([-EPSILON, *inner, 1.0 + EPSILON])
        self.num_thresholds = len(self._thresholds)
        self.curve = str(curve).upper()
        self.summation_method = str(summation_method).lower()
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = None if label_weights is None else np.asarray(label_weights, np.float64)
        self._from_logits = from_logits
        self._counted = []
        if not multi_label:
            self._keep((self.num_thresholds,))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        outputs: Any = np.asarray(y_pred, np.float32)
        if self._from_logits:
            with np.errstate(over="ignore"):
                outputs = 1.0 / (1.0 + np.exp(-outputs))
        if self.multi_label and outputs.ndim != 2:
            raise ValueError(f"y_pred must have shape (N, K) with multi_label=True, got {outputs.shape}.")
        if not self._counted:
            self._keep((self.num_thresholds, outputs.shape[1]))
        self._count(
            y_true,
            outputs,
            sample_weight=sample_weight,
            multi_label=self.multi_label,
            label_weights=None if self.multi_label else self.label_weights,
        )

    def result(self) -> float:
        if not self._counted:
            return 0.0
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self._mean(self._interpolated())
        x, y = self._points()
        heights = {
            "interpolation": (y[:-1] + y[1:]) / 2,
            "minoring": np.minimum(y[:-1], y[1:]),
            "majoring": np.maximum(y[:-1], y[1:]),
        }[self.summation_method]
        return self._mean((x[:-1] - x[1:]) * heights)

    def _points(self) -> tuple[Doubles, Doubles]:
        if self.curve == "ROC":
            return ratio(self.false_positives, self.false_positives + self.true_negatives), self._recall
        if self.curve == "PR":
            return self._recall, self._precision
        true, false = self.true_positives, self.false_positives
        odds = ratio(true + self.false_negatives, self.true_negatives + false)
        recall_gain = np.where(true == 0, 0.0, 1.0 - odds * ratio(self.false_negatives, true))
        return np.maximum(recall_gain, 0.0), np.where(true == 0, 1.0, 1.0 - odds * ratio(false, true))

    def _interpolated(self) -> Doubles:
        """Between two thresholds true positives grow in proportion to positives (Davis and Goadrich 2006)."""
        true = self.true_positives
        positive = true + self.false_positives
        gained = true[:-1] - true[1:]
        slope = ratio(gained, np.maximum(positive[:-1] - positive[1:], 0))
        intercept = true[1:] - slope * positive[1:]
        both = (positive[:-1] > 0) & (positive[1:] > 0)
        growth = np.where(both, ratio(positive[:-1], positive[1:]), 1.0)
        area = slope * (gained + intercept * np.log(growth))
        return ratio(area, true[1:] + self.false_negatives[1:])

    def _mean(self, increments: Doubles) -> float:
        """The area; of several columns their mean."""
        areas = increments.sum(axis=0)
        if not self.multi_label:
            return float(areas)
        if self.label_weights is None:
            return float(areas.mean())
        return float(ratio((areas * self.label_weights).sum(), self.label_weights.sum()))

    def get_config(self) -> dict[str, Any]:
        weights = None if self.label_weights is None else self.label_weights.tolist()
        return {
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": weights,
            "from_logits": self._from_logits,
            **({"thresholds": self.thresholds[1:-1]} if self._given else {}),
            **super().get_config(),
        }


CLASSES: list[type[Metric]] = [AUC]
