"""Public losses: names, values against formulas in float64, shapes of targets, configurations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nnfast import _core, losses
from nnfast.names import serialize

from .tolerances import POINTWISE_RTOL

RNG = np.random.default_rng(0)
PREDICTIONS = RNG.uniform(0.05, 1.0, (6, 3))
PREDICTIONS /= PREDICTIONS.sum(axis=1, keepdims=True)
LABELS = np.array([0, 2, 1, 1, 2, 0])
ONE_HOT = np.eye(3)[LABELS]

ROW_LOSSES = {
    "mean_squared_error": ((PREDICTIONS - ONE_HOT) ** 2).mean(axis=1),
    "mean_absolute_error": abs(PREDICTIONS - ONE_HOT).mean(axis=1),
    "binary_crossentropy": -np.log(np.where(ONE_HOT == 1, PREDICTIONS, 1 - PREDICTIONS)).mean(axis=1),
    "categorical_crossentropy": -np.log(PREDICTIONS[np.arange(6), LABELS]),
    "sparse_categorical_crossentropy": -np.log(PREDICTIONS[np.arange(6), LABELS]),
}


def targets(name: str) -> np.ndarray:
    return LABELS if name.startswith("sparse") else ONE_HOT


def test_every_row_of_the_table_has_a_public_class_and_the_reverse() -> None:
    assert [cls.name for cls in losses._CLASSES] == list(_core.LOSSES) == list(ROW_LOSSES)
    for cls in losses._CLASSES:
        assert getattr(losses, cls.__name__) is cls
        assert isinstance(getattr(losses, cls.name), cls)


@pytest.mark.parametrize("name", _core.LOSSES)
def test_value(name: str) -> None:
    loss = losses.get(name)
    assert loss(targets(name), PREDICTIONS) == pytest.approx(ROW_LOSSES[name].mean(), rel=POINTWISE_RTOL)
    weight = np.arange(6.0)
    weighted = (weight * ROW_LOSSES[name]).sum() / 6
    assert loss(targets(name), PREDICTIONS, sample_weight=weight) == pytest.approx(
        weighted, rel=POINTWISE_RTOL
    )


@pytest.mark.parametrize("name", [name for name, link in _core.LOSSES.items() if link])
def test_from_logits(name: str) -> None:
    logits = RNG.normal(size=(6, 3)) * 3
    if _core.LOSSES[name] == "sigmoid":
        probabilities = 1 / (1 + np.exp(-logits))
    else:
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    cls = type(losses.get(name))
    assert cls(from_logits=True)(targets(name), logits) == pytest.approx(
        cls()(targets(name), probabilities), rel=POINTWISE_RTOL
    )


def test_probabilities_are_clipped_and_logits_are_not() -> None:
    assert losses.binary_crossentropy([1.0], [0.0]) == pytest.approx(-math.log(1e-7), rel=POINTWISE_RTOL)
    assert losses.BinaryCrossentropy(from_logits=True)([1.0], [-80.0]) == pytest.approx(80)


@pytest.mark.parametrize("name", _core.LOSSES)
def test_by_name_class_object_and_configuration(name: str) -> None:
    loss = losses.get(name)
    cls = type(loss)
    for identifier in (name, cls, cls.__name__, loss, serialize(loss)):
        assert type(losses.get(identifier)) is cls
    if _core.LOSSES[name]:
        again = losses.get(serialize(cls(from_logits=True)))
        assert again.from_logits is True
        assert repr(again) == f"{cls.__name__}(from_logits=True)"


def test_short_names() -> None:
    assert losses.get("mse").name == losses.mse.name == losses.MSE.name == "mean_squared_error"
    assert losses.get("mae").name == losses.mae.name == losses.MAE.name == "mean_absolute_error"


def test_shapes_of_targets() -> None:
    assert losses.mse([1.0, 2.0], [1.0, 4.0]) == 2.0
    assert losses.mse([[1.0], [2.0]], [1.0, 4.0]) == 2.0
    assert losses.mse([1.0, 2.0], [[1.0], [4.0]]) == 2.0
    sparse = losses.sparse_categorical_crossentropy
    assert (
        sparse(LABELS[:, None], PREDICTIONS)
        == sparse(LABELS, PREDICTIONS)
        == sparse(LABELS.astype(float), PREDICTIONS)
    )
