"""Metrics of Keras, with arguments and rows on which they are compared: in `test_metrics_values` with what Keras gave,
in `external.test_keras_metrics` with Keras itself."""

from __future__ import annotations

from typing import Any

import numpy as np

_RNG = np.random.default_rng(12)
_ROWS = 60
_LABELS = _RNG.integers(0, 3, _ROWS)
_SCORES = (_RNG.random((_ROWS, 3)) + 0.8 * np.eye(3)[_LABELS]).astype(np.float32)
_PROBABILITIES = (_SCORES / _SCORES.sum(axis=1, keepdims=True)).astype(np.float32)
_BINARY = (_RNG.random((_ROWS, 1)) > 0.6).astype(np.float32)
_SINGLE = np.clip(_RNG.random((_ROWS, 1)) * 0.8 + 0.2 * _BINARY, 0, 1).astype(np.float32)
_SINGLE[:8, 0] = [0, 1, 0.5, 0.25, 0.5, 1, 0, 0.75]  # on thresholds, and saturated
_VALUES = _RNG.normal(size=(_ROWS, 2)).astype(np.float32)

KINDS: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "binary": (_BINARY, _SINGLE),
    "logits": (_BINARY, (6 * _SINGLE - 3).astype(np.float32)),
    "one-hot": (np.eye(3, dtype=np.float32)[_LABELS], _PROBABILITIES),
    "scores": (np.eye(3, dtype=np.float32)[_LABELS], _SCORES),
    "multi-label": ((_RNG.random((_ROWS, 3)) > 0.5).astype(np.float32), _PROBABILITIES),
    "labels": (_LABELS, _PROBABILITIES),
    "classes": (_LABELS, _RNG.permutation(_LABELS)),
    "values": (_VALUES, (_VALUES + 0.5 * _RNG.normal(size=(_ROWS, 2))).astype(np.float32)),
    "positive": (np.abs(_VALUES), (np.abs(_VALUES) + _RNG.random((_ROWS, 2))).astype(np.float32)),
}
WEIGHT = _RNG.integers(0, 4, _ROWS).astype(np.float32)
PARTS = [slice(0, 25), slice(25, 50), slice(50, 60)]
"""The batches in which the rows come."""

_THRESHOLDS = {"thresholds": [0.9, 0.1, 0.5]}
_EVEN = {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0]}
_COUNTS = ("TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives")

CASES: list[tuple[str, dict[str, Any], str]] = [
    *((name, options, "binary") for name in _COUNTS for options in ({}, _THRESHOLDS, _EVEN)),
    *(
        (name, options, kind)
        for name in ("Precision", "Recall")
        for options, kind in (
            ({}, "binary"),
            (_THRESHOLDS, "binary"),
            (_EVEN, "multi-label"),
            ({"top_k": 1}, "one-hot"),
            ({"top_k": 2, "class_id": 1}, "one-hot"),
            ({"class_id": 2, "thresholds": 0.3}, "one-hot"),
        )
    ),
    *(
        ("AUC", {"curve": curve, "summation_method": method}, "binary")
        for curve in ("ROC", "PR", "PRGAIN")
        for method in ("interpolation", "minoring", "majoring")
    ),
    ("AUC", {"num_thresholds": 5}, "binary"),
    ("AUC", {"thresholds": [0.3, 0.31, 0.8]}, "binary"),
    ("AUC", {"from_logits": True}, "logits"),
    ("AUC", {}, "one-hot"),
    ("AUC", {"multi_label": True}, "multi-label"),
    ("AUC", {"multi_label": True, "label_weights": [0.5, 2.0, 0.25], "curve": "PR"}, "multi-label"),
    ("AUC", {"label_weights": [0.5, 2.0, 0.25]}, "multi-label"),
    ("SensitivityAtSpecificity", {"specificity": 0.7}, "binary"),
    ("SpecificityAtSensitivity", {"sensitivity": 0.7}, "binary"),
    ("PrecisionAtRecall", {"recall": 0.6}, "binary"),
    ("RecallAtPrecision", {"precision": 0.5, "num_thresholds": 11}, "binary"),
    *(
        (name, {"average": average, "threshold": threshold}, "multi-label")
        for name in ("F1Score", "FBetaScore")
        for average in (None, "micro", "macro", "weighted")
        for threshold in (None, 0.3)
    ),
    ("FBetaScore", {"beta": 2.0, "average": "macro"}, "one-hot"),
    ("F1Score", {"threshold": 0.5}, "binary"),
    *(
        ("R2Score", {"class_aggregation": how}, "values")
        for how in (None, "uniform_average", "variance_weighted_average")
    ),
    ("R2Score", {"num_regressors": 3}, "values"),
    ("BinaryCrossentropy", {}, "binary"),
    ("BinaryCrossentropy", {"label_smoothing": 0.1}, "multi-label"),
    ("BinaryCrossentropy", {"from_logits": True}, "logits"),
    ("CategoricalCrossentropy", {}, "one-hot"),
    ("CategoricalCrossentropy", {}, "scores"),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, "scores"),
    ("SparseCategoricalCrossentropy", {}, "labels"),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "labels"),
    ("KLDivergence", {}, "one-hot"),
    ("Poisson", {}, "positive"),
    ("Accuracy", {}, "classes"),
    ("BinaryAccuracy", {}, "multi-label"),
    ("BinaryAccuracy", {"threshold": 0.3}, "multi-label"),
    ("CategoricalAccuracy", {}, "one-hot"),
    ("SparseCategoricalAccuracy", {}, "labels"),
    ("TopKCategoricalAccuracy", {"k": 2}, "one-hot"),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, "labels"),
    *(
        (name, {}, kind)
        for kind in ("values", "positive")
        for name in (
            "MeanSquaredError", "MeanAbsoluteError", "RootMeanSquaredError", "MeanAbsolutePercentageError",
            "MeanSquaredLogarithmicError", "LogCoshError", "CosineSimilarity",
        )
    ),
    *((name, {}, kind) for name in ("Hinge", "SquaredHinge") for kind in ("values", "logits")),
    ("CategoricalHinge", {}, "one-hot"),
    ("MeanIoU", {"num_classes": 3}, "classes"),
    ("MeanIoU", {"num_classes": 3, "ignore_class": 1, "sparse_y_pred": False}, "labels"),
    ("IoU", {"num_classes": 3, "target_class_ids": [0, 2]}, "classes"),
    ("BinaryIoU", {"threshold": 0.4}, "binary"),
    ("OneHotIoU", {"num_classes": 3, "target_class_ids": [1]}, "one-hot"),
    ("OneHotMeanIoU", {"num_classes": 3}, "one-hot"),
]  # fmt: skip


def identify(case: object) -> str:
    """The name of a case, for a test and for the file."""
    return str(case).replace("'", "")


def values(module: Any, case: tuple[str, dict[str, Any], str]) -> list[list[float]]:
    """Results of a class of this module: unweighted, weighted, and weighted after a reset."""
    name, options, kind = case
    metric = getattr(module, name)(**options)
    y_true, y_pred = KINDS[kind]
    found = []
    for weighted in (False, True, True):
        for part in PARTS:
            weight = {"sample_weight": WEIGHT[part].astype(int if "IoU" in name else np.float32)}
            metric.update_state(y_true[part], y_pred[part], **(weight if weighted else {}))
        found.append(np.ravel(np.asarray(metric.result(), np.float64)).tolist())
        metric.reset_state()
    return found
