"""Public losses: names, values against formulas in float64, shapes of targets, configurations."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from nnfast import Sequential, _core, layers, losses
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


CROSSENTROPIES = [name for name, link in _core.LOSSES.items() if link]
CATEGORICAL = [name for name, link in _core.LOSSES.items() if link == "softmax"]


def compiled(units: int, activation: str, loss: object, built: bool = True) -> Sequential:
    model = Sequential([layers.Input((2,))] if built else [], seed=0)
    model.add(layers.Dense(units))
    model.add(layers.Activation(activation))
    model.compile("sgd", loss)
    return model


HEADS = [
    *((1, "softmax", name, False, "a softmax of one output is 1") for name in _core.LOSSES),
    *((1, "softmax", name, True, "a softmax of one output is 1") for name in CROSSENTROPIES),
    *((1, activation, name, False, "one output means one class") for name in CATEGORICAL for activation in ("sigmoid", "linear", "relu")),
    *((1, "linear", name, True, "one output means one class") for name in CATEGORICAL),
    *((3, activation, name, True, "Leave out one of the two") for name in CROSSENTROPIES for activation in ("softmax", "sigmoid")),
    (1, "sigmoid", "binary_crossentropy", True, "Leave out one of the two"),
    *((3, activation, name, False, "or from_logits=True") for name in CROSSENTROPIES for activation in ("linear", "relu", "tanh")),
]  # fmt: skip


@pytest.mark.parametrize(("units", "activation", "name", "from_logits", "message"), HEADS)
def test_a_head_that_cannot_learn_warns_at_compile(units, activation, name, from_logits, message) -> None:
    loss = type(losses.get(name))
    with pytest.warns(UserWarning, match=message) as caught:
        compiled(units, activation, loss(from_logits=True) if from_logits else loss())
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_a_head_warns_once_when_it_becomes_known() -> None:
    """Which is when the model is compiled, whatever the inputs will be."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = compiled(1, "softmax", "binary_crossentropy", built=False)
        for _ in range(2):
            model.fit(np.ones((3, 2)), [0, 1, 1], verbose=0)
    assert [str(warning.message)[:23] for warning in caught] == ["The model cannot learn:"]
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("units", "activation", "loss"),
    [
        (1, "sigmoid", "binary_crossentropy"),
        (3, "sigmoid", "binary_crossentropy"),
        (2, "softmax", "binary_crossentropy"),
        (1, "linear", losses.BinaryCrossentropy(from_logits=True)),
        (3, "linear", losses.CategoricalCrossentropy(from_logits=True)),
        (3, "linear", losses.SparseCategoricalCrossentropy(from_logits=True)),
        (3, "softmax", "categorical_crossentropy"),
        (3, "sigmoid", "categorical_crossentropy"),
        (2, "softmax", "sparse_categorical_crossentropy"),
        (1, "sigmoid", "mse"),
        (1, "relu", "mae"),
        (3, "softmax", "mse"),
    ],
    ids=str,
)
def test_heads_that_learn_do_not_warn(units, activation, loss) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled(units, activation, loss)


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
