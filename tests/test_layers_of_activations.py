"""Activations as layers: the same op as under their names, the values of Keras, saved and copied."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnfast as nn
from nnfast import activations, layers

X = np.linspace(-3, 3, 8, dtype=np.float32).reshape(4, 2)
CASES: list[tuple[layers.Layer, activations.Activation]] = [
    (layers.Softmax(), activations.softmax),
    (layers.ReLU(), activations.relu),
    (layers.ReLU(negative_slope=0.1), activations.LeakyRelu(0.1)),
    (layers.LeakyReLU(), activations.LeakyRelu(0.3)),
    (layers.LeakyReLU(0.0), activations.relu),
    (layers.ELU(), activations.elu),
    (layers.ELU(alpha=0.5), activations.Elu(0.5)),
]


@pytest.mark.parametrize(("layer", "activation"), CASES, ids=lambda case: repr(case))
def test_a_layer_is_its_activation(
    layer: layers.Layer, activation: activations.Activation, tmp_path: Path
) -> None:
    def make(*top: Any) -> nn.Sequential:
        model = nn.Sequential([layers.Input((2,)), layers.Dense(3), *top, layers.Dense(2)], seed=1)
        model.compile("adam", "mse")
        model.fit(X, X, epochs=3, verbose=0)
        return model

    model = make(type(layer).from_config(layer.get_config()))
    expected = make(layers.Activation(activation)).predict(X)
    assert [op.kind for op in model._ops()] == ["dense", "dense"]
    model.save(tmp_path / "m")
    for twin in (model, nn.load_model(tmp_path / "m"), copy.deepcopy(model)):
        assert np.array_equal(twin.predict(X), expected)


def test_values_of_keras() -> None:
    z = [-2.0, -0.5, 0.0, 1.5]
    np.testing.assert_allclose(activations.leaky_relu(z), [-0.4, -0.1, 0.0, 1.5], rtol=1e-6)
    np.testing.assert_allclose(activations.elu(z), [np.expm1(-2), np.expm1(-0.5), 0.0, 1.5], rtol=1e-6)
    np.testing.assert_allclose(activations.Elu(2.0)(z)[0], 2 * np.expm1(-2), rtol=1e-6)


def test_old_and_refused_arguments() -> None:
    with pytest.warns(
        FutureWarning, match="alpha=.* is older Keras: it is called negative_slope now"
    ) as seen:
        assert layers.LeakyReLU(alpha=0.1).negative_slope == 0.1
    assert seen[0].filename == __file__
    for make, message in (
        (lambda: layers.ReLU(6.0), "ReLU has no max_value"),
        (lambda: layers.ReLU(threshold=1.0), "no threshold here"),
        (lambda: layers.LeakyReLU(-1.0), "negative_slope must be a finite number of at least 0"),
        (lambda: layers.ELU(float("nan")), "alpha must be a finite number of at least 0"),
        (lambda: layers.Softmax(axis=0), "axis must be -1"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
    with pytest.raises(AttributeError, match="cannot be set"):
        layers.ELU().alpha = 2.0
