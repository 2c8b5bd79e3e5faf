"""The oracle is proved first: the reference in float64 against signed central differences, worked examples and textbook formulas."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from nnfast import _core, reference
from nnfast.errors import NonFiniteError

from .tolerances import GRADIENT_ATOL, GRADIENT_RTOL, THESIS_EXAMPLE_ATOL

BATCH, INPUTS, OUTPUTS = 5, 4, 3


def test_tables_agree_with_the_engine() -> None:
    """One table, read many times: the C rows and their lines in reference.py are the same, in the same order."""
    assert {name: row.parameter for name, row in reference.ACTIVATIONS.items()} == _core.ACTIVATIONS
    assert {name: row.link for name, row in reference.LOSSES.items()} == _core.LOSSES
    assert tuple(reference.METRICS) == _core.METRICS
    assert {name: row.slots for name, row in reference.RULES.items()} == {name: len(row[1]) for name, row in _core.RULES.items()}
    assert list(reference.RULES) == list(_core.RULES)


def make(activation: str, depth: int, last: str, use_bias: bool, parameter: float | None = None) -> reference.Net:
    units = [6, 5, 4][: depth - 1]
    default = reference.ACTIVATIONS[activation].parameter or 0.0
    value = default if parameter is None else parameter
    layers = [(n, activation, value, True, use_bias) for n in units]
    layers.append((OUTPUTS, last, reference.ACTIVATIONS[last].parameter or 0.0, True, use_bias))
    net = reference.Net(INPUTS, layers, dtype=np.float64)
    rng = np.random.default_rng(depth)
    for tensor in net.tensors:
        tensor[...] = rng.standard_normal(tensor.shape) * 0.7 + 0.05
    return net


def targets(loss: str, rng: np.random.Generator) -> np.ndarray:
    if loss.startswith("sparse"):
        return rng.integers(0, OUTPUTS, BATCH)
    if loss == "categorical_crossentropy":
        return np.eye(OUTPUTS)[rng.integers(0, OUTPUTS, BATCH)]
    if loss == "binary_crossentropy":
        return rng.integers(0, 2, (BATCH, OUTPUTS)).astype(np.float64)
    return rng.standard_normal((BATCH, OUTPUTS))


def mean_loss(net: reference.Net, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> float:
    totals = np.zeros(1)
    net.evaluate(x, y, weight, totals, None)
    return float(totals[0]) / len(x)


def analytic_gradient(net: reference.Net, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> list[np.ndarray]:
    """What one step of SGD at rate 1 subtracts."""
    before = net.params.copy()
    net.train(x, y, weight, None, 0, len(x), len(x), (1.0,), np.zeros(1), None)
    gradient = before - net.params
    net.params[...] = before
    return net.split(gradient)


def check_gradient(net: reference.Net, loss: str, from_logits: bool, weighted: bool) -> None:
    rng = np.random.default_rng(7)
    x, y = rng.standard_normal((BATCH, INPUTS)), targets(loss, rng)
    weight = rng.uniform(0.2, 2.0, BATCH) if weighted else None
    net.compile(loss, from_logits, "sgd", ())
    gradient = analytic_gradient(net, x, y, weight)
    step = 1e-6
    moved = 0
    for tensor, dw in zip(net.tensors, gradient, strict=True):
        for at in np.ndindex(tensor.shape):
            value = tensor[at]
            tensor[at] = value + step
            above = mean_loss(net, x, y, weight)
            tensor[at] = value - step
            below = mean_loss(net, x, y, weight)
            tensor[at] = value
            difference = (above - below) / (2 * step)
            assert dw[at] == pytest.approx(difference, rel=GRADIENT_RTOL, abs=GRADIENT_ATOL * max(1.0, abs(above)))
            moved += abs(difference) > 1e-6
    assert moved > sum(t.size for t in net.tensors) // 4, "a gradient of zeros proves nothing"


LAST = {"categorical_crossentropy": "softmax", "sparse_categorical_crossentropy": "softmax", "binary_crossentropy": "sigmoid"}


@pytest.mark.parametrize(("loss", "activation", "depth"), list(product(_core.LOSSES, _core.ACTIVATIONS, (1, 2, 3, 4))))
def test_gradient_is_the_central_difference(loss: str, activation: str, depth: int) -> None:
    check_gradient(make(activation, depth, LAST.get(loss, "linear"), use_bias=depth != 3), loss, False, weighted=depth == 2)


@pytest.mark.parametrize("loss", LAST)
def test_gradient_from_logits(loss: str) -> None:
    check_gradient(make("tanh", 2, "linear", True), loss, True, weighted=True)


@pytest.mark.parametrize(
    ("loss", "last"),
    [
        ("mean_squared_error", "softmax"),
        ("mean_absolute_error", "sigmoid"),
        ("categorical_crossentropy", "sigmoid"),
        ("sparse_categorical_crossentropy", "sigmoid"),
        ("binary_crossentropy", "softmax"),
        ("mean_squared_error", "relu"),
        ("mean_squared_error", "tanh"),
    ],
)
def test_gradient_of_composed_pairs(loss: str, last: str) -> None:
    check_gradient(make("sigmoid", 2, last, True), loss, False, weighted=False)


def test_gradient_of_sigmoid_with_slope() -> None:
    check_gradient(make("sigmoid", 3, "linear", True, parameter=2.0), "mean_squared_error", False, weighted=False)


def test_example_3_of_the_thesis() -> None:
    """x = 2, y = 0.25, w = (0.75, 0.5), sigmoid between, squared error, rate 1. The thesis' sigmoid layer is followed by a linear weight and a sigmoid."""
    net = reference.Net(1, [(1, "sigmoid", 1.0, True, False), (1, "sigmoid", 1.0, True, False)], dtype=np.float64)
    net.tensors[0][...], net.tensors[1][...] = 0.75, 0.5
    net.compile("mean_squared_error", False, "sgd", ())
    x, y, out = np.array([[2.0]]), np.array([[0.25]]), np.empty((1, 1))

    def forward() -> tuple[float, float]:
        hidden = reference.dense_forward(x, net.tensors[0], None, "sigmoid")
        net.predict(x, out, None)
        return float(hidden[0, 0]), float(out[0, 0])

    hidden, output = forward()
    assert (hidden, output, output - 0.25) == pytest.approx((0.81757, 0.60080, 0.35080), abs=THESIS_EXAMPLE_ATOL)
    dw1, dw2 = (g[0, 0] for g in analytic_gradient(net, x, y, None))
    assert (dw1, dw2) == pytest.approx((0.02510, 0.13757), abs=THESIS_EXAMPLE_ATOL)
    net.train(x, y, None, None, 0, 1, 1, (1.0,), np.zeros(1), None)
    assert [t[0, 0] for t in net.tensors] == pytest.approx([0.72490, 0.36243], abs=THESIS_EXAMPLE_ATOL)
    hidden, output = forward()
    assert (hidden, output, output - 0.25) == pytest.approx((0.80997, 0.57287, 0.32287), abs=THESIS_EXAMPLE_ATOL)


@pytest.mark.parametrize("name", ["SGD", "momentum", "nesterov", "RMSprop", "centered", "rms momentum", "Adam"])
def test_rules_are_those_of_keras(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    keras = pytest.importorskip("keras")
    pairs = {
        "SGD": (keras.optimizers.SGD(0.1), "sgd", (0.1,)),
        "momentum": (keras.optimizers.SGD(0.1, momentum=0.9), "momentum", (0.1, 0.9)),
        "nesterov": (keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True), "nesterov", (0.1, 0.9)),
        "RMSprop": (keras.optimizers.RMSprop(0.1), "rmsprop", (0.1, 0.9, 1e-7)),
        "centered": (keras.optimizers.RMSprop(0.1, centered=True, epsilon=1e-3), "rmsprop_centered", (0.1, 0.9, 1e-3)),
        "rms momentum": (keras.optimizers.RMSprop(0.1, momentum=0.9), "rmsprop_momentum", (0.1, 0.9, 1e-7, 0.9)),
        "Adam": (keras.optimizers.Adam(0.1), "adam", (0.1, 0.9, 0.999, 1e-7)),
    }
    optimizer, rule, hyper = pairs[name]
    rng = np.random.default_rng(1)
    w = rng.standard_normal(9)
    slots = [np.zeros(9) for _ in range(reference.RULES[rule].slots)]
    variable = keras.Variable(w.astype(np.float32))
    optimizer.build([variable])
    for step in range(1, 11):
        g = rng.standard_normal(9)
        reference.update(w, g, slots, rule, hyper, step)
        optimizer.apply([g.astype(np.float32)], [variable])
        assert np.allclose(np.asarray(variable), w, rtol=2e-4, atol=2e-5), step  # Keras computes in float32


def test_corrected_adam_is_algorithm_8() -> None:
    rng = np.random.default_rng(2)
    w = rng.standard_normal(5)
    expected, m, v = w.copy(), np.zeros(5), np.zeros(5)
    slots = [np.zeros(5), np.zeros(5)]
    for t in range(1, 8):
        g = rng.standard_normal(5)
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        expected -= 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        reference.update(w, g, slots, "adam_corrected", (0.01, 0.9, 0.999, 1e-8), t)
        assert np.allclose(w, expected, rtol=1e-12)


@pytest.mark.parametrize("batch_size", [1, 3, 10, 99])
def test_batches_and_totals(batch_size: int) -> None:
    """Means over each batch's own size, the last one ragged; totals are sums over rows; the order is the one given."""
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((10, INPUTS)), rng.standard_normal((10, OUTPUTS))
    order = rng.permutation(10).astype(np.uint32)
    net = make("tanh", 2, "linear", True)
    net.compile("mean_squared_error", False, "sgd", ("mean_absolute_error",))
    by_hand = make("tanh", 2, "linear", True)
    by_hand.compile("mean_squared_error", False, "sgd", ())
    totals, expected = np.zeros(2), 0.0
    net.train(x, y, None, order, 0, 10, batch_size, (0.1,), totals, None)
    for first in range(0, 10, batch_size):
        rows = order[first : first + batch_size]
        expected += mean_loss(by_hand, x[rows], y[rows], None) * len(rows)
        by_hand.params -= 0.1 * np.concatenate([np.zeros(0), *[_padded(by_hand, x[rows], y[rows])]])
    assert totals[0] == pytest.approx(expected, rel=1e-12)
    assert np.allclose(net.params, by_hand.params, rtol=1e-12)
    assert net.step == -(-10 // batch_size)


def _padded(net: reference.Net, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    before = net.params.copy()
    net.train(x, y, None, None, 0, len(x), len(x), (1.0,), np.zeros(1), None)
    gradient = before - net.params
    net.params[...] = before
    return gradient


def test_non_finite_loss() -> None:
    net = make("relu", 2, "linear", True)
    net.compile("mean_squared_error", False, "sgd", ())
    x, y = np.ones((6, INPUTS)), np.ones((6, OUTPUTS))
    x[5] = np.nan
    with pytest.raises(NonFiniteError) as error:
        net.train(x, y, None, None, 0, 6, 2, (0.1,), np.zeros(1), None)
    assert error.value.batch == 2
    assert np.isfinite(net.params).all()
    assert net.step == 2
