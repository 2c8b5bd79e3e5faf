"""Layers: shapes, names, the ops they become, weights as views, configurations."""

from __future__ import annotations

import numpy as np
import pytest

from nnfast import Sequential, _core, activations, layers
from nnfast.graph import Op
from nnfast.names import serialize

from ..ops import activation, dense
from ..tolerances import POINTWISE_RTOL


def ops(*stack: layers.Layer, shape: tuple[int, ...] = (4,)) -> list[Op]:
    """What the layers become, without their names."""
    result: list[Op] = []
    for layer in stack:
        after = layer.output_shape(shape)
        layer.add_ops(result, shape)
        shape = after
    return [op._replace(name="") for op in result]


def test_dense_becomes_one_op() -> None:
    assert ops(layers.Dense(3, "relu"), layers.Dense(2, activations.Sigmoid(2.0), use_bias=False)) == [
        dense(3, "relu"),
        dense(2, "sigmoid", 2.0, use_bias=False),
    ]


def test_activation_joins_a_linear_dense() -> None:
    assert ops(layers.Dense(3), layers.Activation("softmax")) == ops(layers.Dense(3, "softmax"))
    assert ops(layers.Dense(3, "relu"), layers.Activation("tanh")) == [
        dense(3, "relu"),
        activation(3, "tanh"),
    ]
    assert ops(layers.Dense(3, "softmax"), layers.Activation("linear")) == ops(layers.Dense(3, "softmax"))
    assert ops(layers.Activation("tanh"), layers.Dense(1)) == [
        activation(4, "tanh"),
        dense(1),
    ]


@pytest.mark.parametrize("name", _core.ACTIVATIONS)
def test_activation_layer_computes_as_the_activation_of_a_dense(name: str) -> None:
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    joined = Sequential([layers.Input((4,)), layers.Dense(3, name)], seed=1)
    apart = Sequential([layers.Input((4,)), layers.Dense(3), layers.Activation(name)], seed=1)
    np.testing.assert_array_equal(joined.predict(x), apart.predict(x))
    np.testing.assert_array_equal(
        activations.get(name)(x @ np.zeros((4, 3), np.float32)),
        joined.__class__([layers.Input((4,)), layers.Dense(3, name, kernel_initializer="zeros")]).predict(x),
    )


def test_activation_twice_is_composed() -> None:
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    model = Sequential(
        [
            layers.Input((4,)),
            layers.Activation("tanh"),
            layers.Dense(3, "relu"),
            layers.Activation("softmax"),
        ],
        seed=1,
    )
    kernel, _ = model.get_weights()
    expected = activations.softmax(np.maximum(np.tanh(x) @ kernel, 0))
    np.testing.assert_allclose(model.predict(x), expected, rtol=POINTWISE_RTOL)


def test_flatten() -> None:
    x = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    model = Sequential([layers.Flatten(), layers.Dense(1, kernel_initializer="ones"), layers.Flatten()])
    assert model.predict(x)[:, 0].tolist() == x.reshape(2, 12).sum(axis=1).tolist()
    assert model.input_shape == (None, 3, 4)
    assert model.output_shape == (None, 1)


def test_input_shapes_of_every_spelling() -> None:
    for first in (
        [layers.Input(shape=(4,)), layers.Dense(2)],
        [layers.Input((4,)), layers.Dense(2)],
        [layers.InputLayer((4,)), layers.Dense(2)],
        [layers.InputLayer(input_shape=(4,)), layers.Dense(2)],
        [layers.Dense(2, input_shape=(4,))],
        [layers.Dense(2, input_dim=4)],
        [layers.Flatten(input_shape=(2, 2)), layers.Dense(2)],
    ):
        model = Sequential(first, seed=1)
        assert model.built
        assert len(model.layers) == len(first) - isinstance(first[0], layers.InputLayer)
        assert model.get_weights()[0].shape == (4, 2)


def test_names_are_numbered_within_a_model() -> None:
    model = Sequential([layers.Dense(1), layers.Dense(1), layers.Dense(1, name="last"), layers.Dense(1)])
    assert [layer.name for layer in model.layers] == ["dense", "dense_1", "last", "dense_2"]
    assert Sequential([layers.Dense(1)]).layers[0].name == "dense"


def test_weights_are_views() -> None:
    model = Sequential([layers.Input((4,)), layers.Dense(3), layers.Dense(2, use_bias=False)], seed=1)
    first, last = model.layers
    assert first.kernel.shape == (4, 3)
    assert first.bias.shape == (3,)
    assert last.bias is None
    first.kernel[0, 0] = 7
    assert model.get_weights()[0][0, 0] == 7
    last.set_weights([np.ones((3, 2))])
    assert model.get_weights()[2].tolist() == np.ones((3, 2)).tolist()
    assert [layer.count_params() for layer in model.layers] == [15, 6]
    assert model.count_params() == 21
    copied = first.get_weights()
    copied[0][0, 0] = 0
    assert first.kernel[0, 0] == 7


@pytest.mark.parametrize(
    "layer",
    [
        layers.Dense(
            3, activations.Sigmoid(2.0), use_bias=False, kernel_initializer="he_normal", name="a", input_dim=4
        ),
        layers.Activation("tanh"),
        layers.Flatten(input_shape=(2, 3)),
        layers.Input((4,)),
    ],
    ids=repr,
)
def test_configuration(layer: layers.Layer) -> None:
    again = layers.get(serialize(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.parametrize("name", _core.ACTIVATIONS)
def test_every_activation_of_the_table_has_a_public_name(name: str) -> None:
    assert getattr(activations, name) == activations.get(name) == activations.Activation(name)
    assert activations.get(activations.get(name).get_config()) == activations.get(name)


def test_activations_are_functions_too() -> None:
    z = np.linspace(-2, 2, 6).reshape(2, 3)
    np.testing.assert_allclose(activations.sigmoid(z), 1 / (1 + np.exp(-z)), rtol=POINTWISE_RTOL)
    np.testing.assert_allclose(
        activations.Sigmoid(slope=2.0)(z), 1 / (1 + np.exp(-2 * z)), rtol=POINTWISE_RTOL
    )
    np.testing.assert_allclose(activations.softmax(z).sum(axis=-1), 1, rtol=POINTWISE_RTOL)
    assert activations.relu(-1.0) == 0
    assert activations.relu([-1.0, 2.0]).tolist() == [0, 2]
    assert activations.get(None) == activations.linear
    assert activations.get(activations.Sigmoid(2.0).get_config()) == activations.Sigmoid(2.0)
