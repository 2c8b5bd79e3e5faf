"""A model's structure and weights apart from each other: JSON, clones, files of weights; what compile takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnfast as nn
from nnfast import layers, losses, models

X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
Y = X[:, :1]


def make(units: int = 4, seed: int = 3) -> nn.Sequential:
    return nn.Sequential([layers.Input((3,)), layers.Dense(units, "relu"), layers.Dense(1)], seed=seed)


def test_structure_as_json() -> None:
    model = make()
    twin = models.model_from_json(model.to_json(indent=2))
    assert twin.get_config() == model.get_config()
    assert twin.trainer is None
    assert json.loads(model.to_json())["class_name"] == "Sequential"
    for text, message in (
        ("[]", "must be what"),
        ('{"class_name": "Functional", "config": {}}', "Unknown model"),
    ):
        with pytest.raises(ValueError, match=message):
            models.model_from_json(text)


def test_a_clone_has_the_structure_and_weights_of_its_own() -> None:
    model = make()
    twin = models.clone_model(model)
    assert twin.get_config() | {"seed": 0} == model.get_config() | {"seed": 0}
    assert (twin.get_weights()[0] != model.get_weights()[0]).all()
    twin.set_weights(model.get_weights())
    assert np.array_equal(twin.predict(X), model.predict(X))
    assert not set(map(id, twin.layers)) & set(map(id, model.layers))
    wider = models.clone_model(
        model,
        clone_function=lambda layer: layers.Dense(2 * layer.units, layer.activation, name=layer.name),
    )
    assert [layer.units for layer in wider.layers] == [8, 2]


def test_weights_by_file(tmp_path: Path) -> None:
    model = make()
    model.save_weights(tmp_path / "w.safetensors")
    other = make(seed=4)
    other.load_weights(tmp_path / "w.safetensors")
    unbuilt = nn.Sequential([layers.Dense(4, "relu"), layers.Dense(1)])
    unbuilt.load_weights(tmp_path / "w.safetensors")
    for each in (other, unbuilt):
        assert np.array_equal(each.predict(X), model.predict(X))
    wrong = make(units=5)
    before = wrong.get_weights()
    with pytest.raises(ValueError, match="shape"):
        wrong.load_weights(tmp_path / "w.safetensors")
    assert all(np.array_equal(a, b) for a, b in zip(before, wrong.get_weights(), strict=True))
    for name in ("w.h5", "w.weights.h5", "w.keras"):
        for method in (model.save_weights, model.load_weights):
            with pytest.raises(ValueError, match="safetensors"):
                method(name)


def test_another_rule_keeps_its_own_state(tmp_path: Path) -> None:
    model, other = make(), make(seed=4)
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    model.save_weights(tmp_path / "w")
    other.compile("sgd", "mse")
    other.load_weights(tmp_path / "w")
    assert other.optimizer.iterations == 0
    assert np.array_equal(other.predict(X), model.predict(X))


def test_compile_without_an_optimizer_is_rmsprop() -> None:
    model = make()
    model.compile(loss="mse")
    assert model.optimizer.rule == "rmsprop"


@pytest.mark.parametrize(
    "loss",
    [
        "mse", "MeanSquaredError", losses.MeanSquaredError, losses.MeanSquaredError(), losses.mse,
        ["mse"], ("mse",), {"dense_1": "mse"}, [losses.MeanSquaredError],
    ],
)  # fmt: skip
def test_forms_of_a_loss(loss: Any) -> None:
    model = make()
    model.compile("sgd", loss)
    assert model.loss.name == "mean_squared_error"


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ([], "loss must be one"),
        (["mse", "mae"], "loss must be one"),
        ({"dense": "mse"}, "the model has one output, 'dense_1'"),
        ({"dense_1": "mse", "dense": "mae"}, "loss must be one"),
    ],
)
def test_losses_that_are_not_one(loss: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make().compile("sgd", loss)


def test_a_function_as_loss_is_refused_with_a_remedy() -> None:
    with pytest.raises(TypeError, match="loss must be a name"):
        make().compile("sgd", lambda y, p: (y - p) ** 2)
