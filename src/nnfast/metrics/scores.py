"""Scores whose parts are summed up over all rows before they are divided: F scores and R^2."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Final

import numpy as np

from .base import Metric
from .confusion import Doubles, ratio
from .functions import EPSILON, same_rank
from .state import Variable


def _matrices(kind: str, y_true: Any, y_pred: Any) -> tuple[Doubles, Doubles]:
    """Targets and outputs (N, K)."""
    parts = np.asarray(y_true, np.float32), np.asarray(y_pred, np.float32)
    target, output = (part.astype(np.float64) for part in same_rank(*parts))
    if target.ndim != 2 or target.shape != output.shape:
        raise ValueError(
            f"{kind} needs targets and outputs of the same shape (N, K), got {target.shape} and {output.shape}."
        )
    return target, output


class FBetaScore(Metric):
    """(1 + beta^2) precision recall / (beta^2 precision + recall).

    Parameters
    ----------
    average : {None, "micro", "macro", "weighted"}
        None: one score for each output; "micro": all outputs together; "macro": the mean over the outputs;
        "weighted": that by the number of true targets.
    beta : float, default 1.0
    threshold : float, optional
        Above it an output is positive; None: the largest of a row is.
    name : str, optional
        Key in the logs.

    Raises
    ------
    ValueError
        An unknown average; beta or threshold that are no such numbers.
    """

    by_batch: ClassVar = False
    takes_labels: ClassVar[bool | None] = False
    direction: ClassVar[str | None] = "max"
    average: Final[str | None]
    beta: Final[float]
    threshold: Final[float | None]

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: object = None,
    ) -> None:
        super().__init__(dtype, name)
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(f"average must be None, 'micro', 'macro' or 'weighted', got {average!r}.")
        if not isinstance(beta, float) or not beta > 0:
            raise ValueError(f"beta must be a float > 0, got {beta!r}.")
        if threshold is not None and not (isinstance(threshold, float) and 0 < threshold <= 1):
            raise ValueError(f"threshold must be None or a float above 0 and up to 1, got {threshold!r}.")
        self.average = average
        self.beta = beta
        self.threshold = threshold
        self._counted: list[Variable] = []

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        target, output = _matrices(type(self).__name__, y_true, y_pred)
        if self.threshold is None:
            chosen = (output >= output.max(axis=-1, keepdims=True)) & (np.abs(output) > 1e-9)
        else:
            chosen = output > np.float32(self.threshold)
        weight = 1.0 if sample_weight is None else np.reshape(np.asarray(sample_weight, np.float64), (-1, 1))
        if not self._counted:
            self._counted = [
                self.add_variable((target.shape[1],), "zeros", name=name)
                for name in ("true_positives", "false_positives", "false_negatives")
            ]
        for variable, part in zip(
            self._counted, (chosen * target, chosen * (1 - target), ~chosen * target), strict=True
        ):
            variable.assign_add((weight * part).sum(axis=0))

    def result(self) -> Any:
        if not self._counted:
            return 0.0
        true, false, missed = (variable.value for variable in self._counted)
        weights = true + missed
        if self.average == "micro":
            true, false, missed = (np.atleast_1d(part.sum()) for part in (true, false, missed))
        precision, recall = true / (true + false + EPSILON), true / (true + missed + EPSILON)
        scores = (1 + self.beta**2) * (precision * recall / (self.beta**2 * precision + recall + EPSILON))
        if self.average is None:
            return scores
        if self.average == "weighted":
            return float((scores * weights / (weights.sum() + EPSILON)).sum())
        return float(scores.mean())

    def get_config(self) -> dict[str, Any]:
        return {
            "average": self.average,
            "beta": self.beta,
            "threshold": self.threshold,
            **super().get_config(),
        }


class F1Score(FBetaScore):
    """Harmonic mean of precision and recall: `FBetaScore` with beta 1.

    Parameters
    ----------
    average : {None, "micro", "macro", "weighted"}
    threshold : float, optional
    name : str, optional
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: object = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        return {key: value for key, value in super().get_config().items() if key != "beta"}


class R2Score(Metric):
    """Coefficient of determination: 1 less the share of the targets' variance that is left.

    Parameters
    ----------
    class_aggregation : {"uniform_average", "variance_weighted_average", None}
        Over the outputs; None: one score for each.
    num_regressors : int, default 0
        Number of inputs for the adjusted score; 0: not adjusted.
    name : str, optional
        Key in the logs.

    Raises
    ------
    ValueError
        An unknown aggregation, a negative number.
    """

    by_batch: ClassVar = False
    takes_labels: ClassVar[bool | None] = False
    direction: ClassVar[str | None] = "max"
    class_aggregation: Final[str | None]
    num_regressors: Final[int]
    num_samples: Final[Variable]

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: object = None,
    ) -> None:
        super().__init__(dtype, name)
        if class_aggregation not in (None, "uniform_average", "variance_weighted_average"):
            raise ValueError(
                "class_aggregation must be None, 'uniform_average' or 'variance_weighted_average', "
                f"got {class_aggregation!r}."
            )
        if num_regressors < 0:
            raise ValueError(f"num_regressors must be a whole number >= 0, got {num_regressors!r}.")
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors
        self.num_samples = self.add_variable((), "zeros", name="num_samples")
        self._sums: list[Variable] = []

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        target, output = _matrices(type(self).__name__, y_true, y_pred)
        if not self._sums:
            self._sums = [
                self.add_variable((target.shape[1],), "zeros", name=name)
                for name in ("sum", "squared_sum", "residual", "count")
            ]
        weight = 1.0 if sample_weight is None else np.reshape(np.asarray(sample_weight, np.float64), (-1, 1))
        weight = np.broadcast_to(weight, target.shape)
        parts = (target * weight, target**2 * weight, (target - output) ** 2 * weight, weight)
        for variable, part in zip(self._sums, parts, strict=True):
            variable.assign_add(part.sum(axis=0))
        self.num_samples.assign_add(target.size)

    def result(self) -> Any:
        if not self._sums:
            return 0.0
        total, squares, residual, count = (variable.value for variable in self._sums)
        with np.errstate(all="ignore"):
            variance = squares - total * (total / count)
            scores = 1.0 - residual / variance
        scores[np.isinf(scores)] = 0.0
        if self.class_aggregation == "variance_weighted_average":
            scores = np.asarray(ratio((variance * scores).sum(), variance.sum()))
        elif self.class_aggregation:
            scores = scores.mean()
        scores = self._adjusted(scores)
        return scores if self.class_aggregation is None else float(scores)

    def _adjusted(self, scores: Any) -> Any:
        rows, left = float(self.num_samples), float(self.num_samples) - self.num_regressors - 1
        if not self.num_regressors:
            return scores
        if left <= 0:
            warnings.warn(
                f"R2Score cannot adjust for {self.num_regressors} regressors with {rows:.0f} samples; "
                "the score is not adjusted.",
                stacklevel=2,
            )
            return scores
        return 1.0 - (1.0 - scores) * (rows - 1.0) / left

    def get_config(self) -> dict[str, Any]:
        return {
            "class_aggregation": self.class_aggregation,
            "num_regressors": self.num_regressors,
            **super().get_config(),
        }


CLASSES: list[type[Metric]] = [FBetaScore, F1Score, R2Score]
