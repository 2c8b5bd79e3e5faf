"""Intersection over union of classes, from a confusion matrix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Final

import numpy as np

from .base import Metric
from .functions import EPSILON
from .state import Variable


class IoU(Metric):
    """Rows of a class that are found, as a share of those that are it or are taken for it; mean over classes.

    Parameters
    ----------
    num_classes : int
    target_class_ids : iterable of int
        Classes of the mean.
    name : str, optional
        Key in the logs.
    ignore_class : int, optional
        Rows of this class are not counted.
    sparse_y_true, sparse_y_pred : bool, default True
        Whether targets and outputs are labels; else the largest of a row is taken.
    axis : {-1}

    Raises
    ------
    ValueError
        A target class that is out of range.
    """

    by_batch: ClassVar = False
    direction: ClassVar[str | None] = "max"
    num_classes: Final[int]
    target_class_ids: Final[list[int]]
    ignore_class: Final[int | None]
    sparse_y_true: Final[bool]
    sparse_y_pred: Final[bool]
    total_cm: Final[Variable]

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Iterable[int],
        name: str | None = None,
        dtype: object = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(dtype, name)
        self.target_class_ids = list(target_class_ids)
        if not all(0 <= label < num_classes for label in self.target_class_ids):
            raise ValueError(
                f"target_class_ids must be from 0 to {num_classes - 1}, got {self.target_class_ids}."
            )
        if axis != -1:
            raise ValueError(f"axis must be -1, the outputs of a row, got {axis!r}.")
        self.num_classes = num_classes
        self.ignore_class = ignore_class
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.total_cm = self.add_variable((num_classes, num_classes), "zeros", name="total_confusion_matrix")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        target, output = (
            (np.asarray(part) if sparse else np.argmax(part, axis=-1)).astype(np.int64).ravel()
            for part, sparse in ((y_true, self.sparse_y_true), (y_pred, self.sparse_y_pred))
        )
        if target.shape != output.shape:
            raise ValueError(
                f"y_true and y_pred must be of as many elements, got shapes {np.shape(y_true)} and {np.shape(y_pred)}."
            )
        weight = 1 if sample_weight is None else np.asarray(sample_weight).astype(np.int64).ravel()
        weight = np.broadcast_to(weight, target.shape)
        size = self.num_classes
        inside = (target >= 0) & (target < size) & (output >= 0) & (output < size)
        if self.ignore_class is not None:
            inside &= target != self.ignore_class
        places = target[inside] * size + output[inside]
        found = np.bincount(places, weight[inside], minlength=size * size)
        self.total_cm.assign_add(found.reshape(size, size))

    def result(self) -> float:
        matrix = self.total_cm.value
        union = (matrix.sum(axis=0) + matrix.sum(axis=1) - matrix.diagonal())[self.target_class_ids]
        shares = matrix.diagonal()[self.target_class_ids] / (union + EPSILON)
        return float(shares[union > 0].sum() / (np.count_nonzero(union) + EPSILON))

    def get_config(self) -> dict[str, Any]:
        return {
            "num_classes": self.num_classes,
            "target_class_ids": self.target_class_ids,
            "ignore_class": self.ignore_class,
            "sparse_y_true": self.sparse_y_true,
            "sparse_y_pred": self.sparse_y_pred,
            **super().get_config(),
        }


def _without(config: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in names}


class BinaryIoU(IoU):
    """`IoU` of two classes: an output is the class 1 from the threshold on.

    Parameters
    ----------
    target_class_ids : iterable of int, default (0, 1)
    threshold : float, default 0.5
    name : str, optional
    """

    threshold: Final[float]

    def __init__(
        self,
        target_class_ids: Iterable[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: object = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        output = np.asarray(y_pred, np.float32) >= np.float32(self.threshold)
        super().update_state(y_true, output, sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {
            "target_class_ids": self.target_class_ids,
            "threshold": self.threshold,
            "name": self.name,
        }


class MeanIoU(IoU):
    """`IoU`, mean over all classes.

    Parameters
    ----------
    num_classes : int
    name : str, optional
    ignore_class : int, optional
    sparse_y_true, sparse_y_pred : bool, default True
    axis : {-1}
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: object = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes, range(num_classes), name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis
        )

    def get_config(self) -> dict[str, Any]:
        return _without(super().get_config(), "target_class_ids")


class OneHotIoU(IoU):
    """`IoU` of one-hot targets.

    Parameters
    ----------
    num_classes : int
    target_class_ids : iterable of int
    name : str, optional
    ignore_class : int, optional
    sparse_y_pred : bool, default False
    axis : {-1}
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Iterable[int],
        name: str | None = None,
        dtype: object = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        return _without(super().get_config(), "sparse_y_true")


class OneHotMeanIoU(MeanIoU):
    """`MeanIoU` of one-hot targets.

    Parameters
    ----------
    num_classes : int
    name : str, optional
    ignore_class : int, optional
    sparse_y_pred : bool, default False
    axis : {-1}
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: object = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        return _without(super().get_config(), "sparse_y_true")


CLASSES: list[type[Metric]] = [IoU, BinaryIoU, MeanIoU, OneHotIoU, OneHotMeanIoU]
