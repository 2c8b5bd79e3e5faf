"""`ops` and `backend`: NumPy's values with Keras' dtypes; what belongs to a model is set there."""

from __future__ import annotations

import numpy as np
import pytest

import nnfast as nn
from nnfast import backend, ops


@pytest.mark.parametrize("module", [ops, backend])
def test_every_name_is_there(module: object) -> None:
    assert all(callable(getattr(module, name)) for name in module.__all__)


@pytest.mark.parametrize(
    ("value", "expected", "dtype"),
    [
        (lambda: ops.mean([1, 2]), 1.5, "float32"),
        (lambda: ops.sum([1.0, 2.0]), 3.0, "float32"),
        (lambda: ops.square(np.float64([3.0])), [9.0], "float64"),
        (lambda: ops.maximum([1.0, -1.0], 0), [1.0, 0.0], "float32"),
        (lambda: ops.divide([1, 2], 2), [0.5, 1.0], "float32"),
        (lambda: ops.exp(0), 1.0, "float32"),
        (lambda: ops.arange(3), [0, 1, 2], "int32"),
        (lambda: ops.zeros((2,)), [0.0, 0.0], "float32"),
        (lambda: ops.cast([1.9], "int32"), [1], "int32"),
        (lambda: ops.clip([1.0, 5.0], 0, 2), [1.0, 2.0], "float32"),
        (lambda: ops.concatenate([[1.0], [2.0]]), [1.0, 2.0], "float32"),
        (lambda: ops.where([True, False], 1.0, 2.0), [1.0, 2.0], "float32"),
        (lambda: ops.one_hot([2, 0], 3), [[0, 0, 1], [1, 0, 0]], "float32"),
        (lambda: ops.logsumexp([1000.0, 1000.0]), 1000.6931, "float32"),
        (lambda: ops.relu([-1.0, 2.0]), [0.0, 2.0], "float32"),
        (lambda: backend.pow([2.0], 3), [8.0], "float32"),
        (lambda: backend.variable([1.0]), [1.0], "float32"),
    ],
)
def test_values_and_dtypes(value: object, expected: object, dtype: str) -> None:
    got = value()
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert got.dtype == dtype


def test_weights_and_learning_rate_are_set_in_place() -> None:
    model = nn.Sequential([nn.layers.Dense(2, input_dim=1)], seed=0)
    model.compile("sgd", "mse")
    backend.set_value(model.optimizer.learning_rate, 0.5)
    assert model.optimizer.learning_rate == backend.get_value(model.optimizer.learning_rate) == 0.5
    model.optimizer.learning_rate.assign(0.25)
    assert model.optimizer.learning_rate.numpy() == np.float32(0.25)
    model.layers[0].bias.assign([1.0, 2.0])
    backend.set_value(model.layers[0].kernel, [[3.0, 4.0]])
    assert [weight.tolist() for weight in model.get_weights()] == [[[3.0, 4.0]], [1.0, 2.0]]
    assert model(np.ones((1, 1))).numpy().tolist() == [[4.0, 6.0]]
    assert nn.losses.mse([[1.0]], [[3.0]]).numpy() == 4
    with pytest.raises(ValueError, match=r"shape \(2,\), got \(3,\)"):
        model.layers[0].bias.assign([1.0, 2.0, 3.0])
    with pytest.raises(TypeError, match="set_value needs a weight"):
        backend.set_value(3.0, 1)


def test_settings_are_what_nnfast_does() -> None:
    backend.set_epsilon(1e-7)
    backend.set_floatx("float32")
    backend.clear_session()
    assert (backend.floatx(), backend.image_data_format(), backend.backend()) == (
        "float32",
        "channels_last",
        "numpy",
    )
    assert backend.int_shape(np.ones((2, 3))) == (2, 3)
    with pytest.raises(ValueError, match="epsilon must be"):
        backend.set_epsilon(1e-5)
    with pytest.raises(ValueError, match="floatx must be"):
        backend.set_floatx("float16")
