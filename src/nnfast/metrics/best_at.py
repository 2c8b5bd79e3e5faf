"""One rate at a value of the other one: sensitivity at specificity, precision at recall and their reverses."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import numpy as np

from .base import Metric
from .confusion import Doubles, FourCounts, inner_thresholds


class _BestAt(FourCounts):
    """Base of the metrics that give the largest value of one rate where another reaches what is asked for.

    Parameters
    ----------
    The rate asked for : float
        From 0 to 1, in first place.
    num_thresholds : int, default 200
    class_id : int, optional
        Look at this output only.
    name : str, optional
    """

    required: ClassVar[str]
    num_thresholds: Final[int]
    class_id: Final[int | None]
    value: Final[float]

    def __init__(
        self,
        value: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: object = None,
    ) -> None:
        super().__init__(dtype, name)
        if not 0 <= value <= 1:
            raise ValueError(f"{self.required} must be from 0 to 1, got {value!r}.")
        if num_thresholds <= 0:
            raise ValueError(f"num_thresholds must be a whole number > 0, got {num_thresholds!r}.")
        self.value = value
        self.num_thresholds = num_thresholds
        self.class_id = class_id
        chosen = [0.5] if num_thresholds == 1 else [0.0, *inner_thresholds(num_thresholds), 1.0]
        self._thresholds, self._even = np.array(chosen), num_thresholds > 1
        self._keep((num_thresholds,))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self._count(y_true, y_pred, class_id=self.class_id, sample_weight=sample_weight)

    def _rates(self) -> tuple[Doubles, Doubles]:
        """At each threshold: the rate that is asked for, and the one that is to be as large as can be."""
        return self._recall, self._precision

    def result(self) -> float:
        required, wanted = self._rates()
        return float(np.where(required >= self.value, wanted, 0.0).max())

    def get_config(self) -> dict[str, Any]:
        return {
            self.required: self.value,
            "num_thresholds": self.num_thresholds,
            "class_id": self.class_id,
            **super().get_config(),
        }


class SensitivityAtSpecificity(_BestAt):
    """The largest sensitivity at a specificity of at least this."""

    required = "specificity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: object = None,
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, dtype)

    def _rates(self) -> tuple[Doubles, Doubles]:
        return self._specificity, self._recall


class SpecificityAtSensitivity(_BestAt):
    """The largest specificity at a sensitivity of at least this."""

    required = "sensitivity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: object = None,
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)

    def _rates(self) -> tuple[Doubles, Doubles]:
        return self._recall, self._specificity


class PrecisionAtRecall(_BestAt):
    """The largest precision at a recall of at least this."""

    required = "recall"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: object = None,
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name, dtype)

    def _rates(self) -> tuple[Doubles, Doubles]:
        return self._recall, self._precision


class RecallAtPrecision(_BestAt):
    """The largest recall at a precision of at least this."""

    required = "precision"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: object = None,
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name, dtype)

    def _rates(self) -> tuple[Doubles, Doubles]:
        return self._precision, self._recall


CLASSES: list[type[Metric]] = [
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    PrecisionAtRecall,
    RecallAtPrecision,
]
