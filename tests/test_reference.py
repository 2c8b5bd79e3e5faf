"""The oracle is proved first: the reference in float64 against signed central differences, textbook formulas
and the thesis, before anything is compared with it."""

from __future__ import annotations

import inspect
import math
import os
import signal
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from nnfast import _core, kernels, reference
from nnfast.errors import NonFiniteError
from nnfast.graph import Op
from nnfast.reference import net as reference_net
from nnfast.reference import run as reference_run

from .hyper import BRISK, TELLING, fresh_slots, hyper, outputs_for
from .ops import activation as alone
from .ops import dense
from .tolerances import (
    DIFFERENCE_MARGIN,
    DIFFERENCE_RTOL,
    DIFFERENCE_STEP,
    FORMULA_RTOL,
    GRADIENT_MIN,
    KERAS_RTOL,
    THESIS_ATOL,
)

LINKED = [name for name, row in reference.LOSSES.items() if row.link]
ACTIVATIONS = [(name, row.parameter or 0.0) for name, row in reference.ACTIVATIONS.items()]
ACTIVATIONS += [("sigmoid", 2.0)]

Array = np.ndarray


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261123)


def close(actual: object, expected: object, rtol: float = FORMULA_RTOL) -> bool:
    """Relative to the largest entry."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    return actual.shape == expected.shape and bool(
        np.abs(actual - expected).max() <= rtol * np.abs(expected).max()
    )


def make_net(
    inputs: int,
    layers: list[Op],
    loss: str,
    rule: str = "sgd",
    from_logits: bool = False,
    metrics: tuple[str, ...] = (),
    seed: int = 0,
    dtype: type = np.float64,
) -> reference.Net:
    net = reference.Net(inputs, layers, dtype=dtype)
    net.params[...] = np.random.default_rng(seed).uniform(-1.0, 1.0, net.params.size)
    net.compile(loss, from_logits, rule, metrics)
    return net


def targets_for(loss: str, rng: np.random.Generator, rows: int, outputs: int) -> Array:
    """Labels, or rows of weights that do not add up to one, so that no term of a gradient drops out."""
    row = reference.LOSSES[loss]
    if row.sparse:
        return row.sample(rng, rows, outputs).astype(np.int32)
    low, high = row.domain if np.isfinite(row.domain).all() else (-1.0, 2.0)
    return rng.uniform(low, high, (rows, outputs))


# The tables


def test_tables_agree_with_the_engine() -> None:
    assert {name: row.parameter for name, row in reference.ACTIVATIONS.items()} == _core.ACTIVATIONS
    assert {name: row.link for name, row in reference.LOSSES.items()} == _core.LOSSES
    assert {name: (row.hyper, row.slots, row.initial) for name, row in reference.RULES.items()} == _core.RULES
    assert tuple(reference.METRICS) == _core.METRICS


def test_net_has_the_interface_of_the_native_one() -> None:
    def public(net: object) -> set[str]:
        return {name for name in dir(net) if not name.startswith("_")}

    layers = [dense(1)]
    native, ours = public(_core.Net(1, layers)), public(reference.Net(1, layers))
    assert native - ours <= {"instruction_set", "skip_zeros", "schedule"}  # how the engine computes, not what
    assert ours - native == {"input_size", "dtype"}


@pytest.mark.parametrize("name", kernels.__all__)
def test_functions_do_not_depend_on_the_engine(name: str) -> None:
    module = inspect.getmodule(getattr(reference, name))
    assert module is not None
    assert module.__name__.startswith("nnfast.reference.")


# Gradients against signed central differences


def preactivations(net: reference.Net, x: Array, layers: list[Op]) -> list[Array]:
    """The inputs of every activation."""
    tensors = iter(net.tensors)
    inputs = []
    for op in layers:
        z = x
        if op.kind == "dense":
            z = x @ next(tensors)
            if op.use_bias:
                z = z + next(tensors)
        inputs.append(z)
        x = z.copy()
        reference.ACTIVATIONS[op.activation].forward(x, op.parameter)
    return [*inputs, x]


def far_from_kinks(net: reference.Net, x: Array, y: Array, layers: list[Op], loss: str) -> bool:
    *inputs, outputs = preactivations(net, x, layers)
    distances = [
        np.abs(z - kink).min()
        for z, op in zip(inputs, layers, strict=True)
        for kink in reference.ACTIVATIONS[op.activation].kinks
    ]
    if reference.LOSSES[loss].kinked:
        distances.append(np.abs(outputs - y).min())
    alive = all((z > 0).any() for z, op in zip(inputs, layers, strict=True) if op.activation == "relu")
    return alive and min(distances, default=math.inf) > DIFFERENCE_MARGIN


def mean_loss(net: reference.Net, x: Array, y: Array, weight: Array | None) -> float:
    totals = np.zeros(1)
    net.evaluate(x, y, weight, totals, None)
    return float(totals[0]) / len(x)


def differences(net: reference.Net, x: Array, y: Array, weight: Array | None) -> Array:
    gradient = np.empty_like(net.params)
    for i in range(len(gradient)):
        value = net.params[i]
        net.params[i] = value + DIFFERENCE_STEP
        above = mean_loss(net, x, y, weight)
        net.params[i] = value - DIFFERENCE_STEP
        below = mean_loss(net, x, y, weight)
        net.params[i] = value
        gradient[i] = (above - below) / (2 * DIFFERENCE_STEP)
    return gradient


def check_gradient(layers: list[Op], loss: str, from_logits: bool, weighted: bool) -> None:
    """The gradient is what SGD of rate 1 takes off the weights in one step over all rows."""
    for seed in range(300):
        rng = np.random.default_rng(seed)
        x = rng.uniform(-1.5, 1.5, (5, 3))
        y = targets_for(loss, rng, 5, layers[-1].units)
        net = make_net(3, layers, loss, from_logits=from_logits, seed=seed + 1000)
        if not far_from_kinks(net, x, y, layers, loss):
            continue
        weight = rng.uniform(0.5, 2.0, 5) if weighted else None
        numeric = differences(net, x, y, weight)
        if min(np.abs(tensor).max() for tensor in net.split(numeric)) > GRADIENT_MIN:
            break
    else:
        raise AssertionError("no seed gives a smooth problem with a gradient in every tensor")
    before = net.params.copy()
    net.train(x, y, weight, None, 0, 5, 5, [1.0], np.zeros(1), None)
    for analytic, expected in zip(net.split(before - net.params), net.split(numeric), strict=True):
        assert close(analytic, expected, DIFFERENCE_RTOL)


def heads(loss: str, activation: tuple[str, float]) -> list[tuple[tuple[str, float], bool]]:
    """The last activations, with from_logits, to try over hidden layers of one kind."""
    link = reference.LOSSES[loss].link
    if link is None:
        return [(activation, False), (("linear", 0.0), False)]
    linked = (link, reference.ACTIVATIONS[link].parameter or 0.0)
    composed = [(activation, False)] if activation[0] in ("sigmoid", "softmax") else []
    return [*composed, (linked, False), (("linear", 0.0), True), (activation, True)]


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: f"{a[0]}-{a[1]:g}")
@pytest.mark.parametrize("loss", reference.LOSSES)
def test_gradient(loss: str, activation: tuple[str, float], depth: int) -> None:
    for last, from_logits in heads(loss, activation):
        for bias, weighted in ((True, False), (False, True)):
            hidden = [dense(4, *activation, use_bias=bias)] * (depth - 1)
            check_gradient([*hidden, dense(3, *last, use_bias=bias)], loss, from_logits, weighted)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: f"{a[0]}-{a[1]:g}")
def test_gradient_through_layers_without_kernel(activation: tuple[str, float]) -> None:
    """Activations that stand alone: on the inputs, one upon the other, and before the loss."""
    layers = [
        alone(3, *activation),
        dense(4, "tanh"),
        alone(4, *activation),
        alone(4, "sigmoid", 1.0),
        dense(3),
        alone(3, *activation),
    ]
    check_gradient(layers, "mean_squared_error", False, weighted=True)
    layers[-1] = alone(3, "softmax")
    check_gradient(layers, "sparse_categorical_crossentropy", False, weighted=True)


@pytest.mark.parametrize(
    ("loss", "from_logits"),
    [(name, flag) for name in reference.LOSSES for flag in ((False, True) if name in LINKED else (False,))],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_of_the_loss_alone(
    rng: np.random.Generator, loss: str, from_logits: bool, weighted: bool
) -> None:
    outputs = (
        rng.uniform(-2.0, 2.0, (4, 3)) if from_logits else outputs_for(loss, rng, (4, 3)).astype(np.float64)
    )
    y = targets_for(loss, rng, 4, 3)
    weight = rng.uniform(0.0, 2.0, 4) if weighted else None
    value, gradient = reference.loss_value_and_gradient(outputs, y, loss, weight, from_logits)
    numeric = np.empty_like(outputs)
    for place in np.ndindex(outputs.shape):
        sides = []
        for step in (DIFFERENCE_STEP, -DIFFERENCE_STEP):
            moved = outputs.copy()
            moved[place] += step
            sides.append(reference.loss_value_and_gradient(moved, y, loss, weight, from_logits)[0])
        numeric[place] = (sides[0] - sides[1]) / (2 * DIFFERENCE_STEP)
    assert math.isfinite(value)
    assert np.abs(numeric).max() > GRADIENT_MIN
    assert close(gradient, numeric, DIFFERENCE_RTOL)


# Activations and losses against their definitions


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def softmax(z: Array) -> Array:
    return np.array([[math.exp(v) / sum(math.exp(u) for u in row) for v in row] for row in z])


def test_activation_values(rng: np.random.Generator) -> None:
    z = rng.uniform(-3.0, 3.0, (4, 5))
    forward = reference.activation_forward
    assert close(forward(z), z)
    assert close(forward(z, "relu"), np.where(z > 0, z, 0))
    assert close(forward(z, "sigmoid"), sigmoid(z))
    assert close(forward(z, "tanh"), (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)))
    assert close(forward(z, "softmax"), softmax(z))
    assert close(forward(z + 1e4, "softmax"), softmax(z + 1e4 - 1e4), rtol=1e4 * FORMULA_RTOL)


def test_relu_at_zero_and_nan() -> None:
    z = np.array([[-0.0, 0.0, -1.0, 2.0, np.nan]])
    a = reference.activation_forward(z, "relu")
    assert np.array_equal(a, [[0.0, 0.0, 0.0, 2.0, np.nan]], equal_nan=True)
    assert reference.activation_backward(np.full_like(a, 3.0), a, "relu")[0, :4].tolist() == [0, 0, 0, 3]


def test_sigmoid_slope_is_part_of_value_and_derivative(rng: np.random.Generator) -> None:
    class Steep:
        name, parameter = "sigmoid", 2.0

    z = rng.uniform(-3.0, 3.0, (4, 5))
    a = reference.activation_forward(z, Steep())
    assert close(a, sigmoid(2.0 * z))
    assert close(reference.activation_backward(np.ones_like(a), a, Steep()), 2.0 * a * (1 - a))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("activation", reference.ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_inputs_saturate(activation: str, dtype: type) -> None:
    z = np.array([[-1e4, 0.0, 1e4]], dtype=dtype)
    a = reference.activation_forward(z, activation)
    assert a.tolist() == [list(reference.ACTIVATIONS[activation].saturation)]
    assert a.dtype == dtype


def test_loss_values_are_means_over_rows_and_outputs() -> None:
    p = np.array([[0.2, 0.5, 0.3], [0.1, 0.8, 0.1]])
    y = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    labels = np.array([1, 0])
    log = math.log

    def value(*args: Any, **kwargs: Any) -> float:
        return reference.loss_value_and_gradient(*args, **kwargs)[0]

    rows = (0.2**2 + 0.5**2 + 0.3**2) / 3, (0.9**2 + 0.8**2 + 0.1**2) / 3
    assert close(value(p, y, "mean_squared_error"), sum(rows) / 2)
    assert close(value(p, y, "mean_squared_error", np.array([3.0, 1.0])), (3 * rows[0] + rows[1]) / 2)
    assert close(value(p, y, "mean_absolute_error"), ((0.2 + 0.5 + 0.3) + (0.9 + 0.8 + 0.1)) / 6)
    binary = -(log(0.8) + log(0.5) + log(0.7) + log(0.1) + log(0.2) + log(0.9)) / 6
    assert close(value(p, y, "binary_crossentropy"), binary)
    assert close(value(np.log(p / (1 - p)), y, "binary_crossentropy", from_logits=True), binary)
    categorical = -(log(0.5) + log(0.1)) / 2
    for targets, loss in ((y, "categorical_crossentropy"), (labels, "sparse_categorical_crossentropy")):
        assert close(value(p, targets, loss), categorical)
        assert close(value(7 * p, targets, loss), categorical)  # each row is divided by its sum
        assert close(value(np.log(p) + 5, targets, loss, from_logits=True), categorical)


def test_absolute_error_has_no_slope_where_it_is_zero() -> None:
    a, y = np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 5.0, 0.0]])
    assert reference.loss_value_and_gradient(a, y, "mean_absolute_error")[1].tolist() == [[0, -1 / 3, 1 / 3]]


def test_probabilities_are_clipped_and_have_no_gradient_there() -> None:
    p, y = np.array([[0.0, 1.0, 0.5]]), np.array([[1.0, 0.0, 1.0]])
    value, gradient = reference.loss_value_and_gradient(p, y, "binary_crossentropy")
    assert close(value, -(2 * math.log(1e-7) + math.log(0.5)) / 3, rtol=1e-9)
    assert close(gradient, np.array([[0.0, 0.0, -2 / 3]]))
    for targets, loss in (
        (np.array([[1.0, 0.0, 0.0]]), "categorical_crossentropy"),
        (np.array([0]), "sparse_categorical_crossentropy"),
    ):
        value, gradient = reference.loss_value_and_gradient(np.array([[0.0, 0.5, 0.5]]), targets, loss)
        assert close(value, -math.log(1e-7))
        assert gradient.tolist() == [[0, 0, 0]]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("loss", LINKED)
def test_logits_are_neither_clipped_nor_overflowing(loss: str) -> None:
    z = np.array([[-1000.0, 1000.0]])
    y = {"sparse_categorical_crossentropy": np.array([0])}.get(loss, np.array([[1.0, 0.0]]))
    value, gradient = reference.loss_value_and_gradient(z, y, loss, from_logits=True)
    assert value == (1000.0 if loss == "binary_crossentropy" else 2000.0)
    assert np.array_equal(gradient, [[-0.5, 0.5]] if loss == "binary_crossentropy" else [[-1.0, 1.0]])


# Update rules against their textbook form, weight by weight


def textbook(rule: str, w: float, slots: dict[str, float], g: float, t: int) -> float:
    """One weight, after `update_step` in Keras' optimizers, and Algorithm 8 of the thesis."""
    lr, epsilon, mu, rho = (TELLING[name] for name in ("learning_rate", "epsilon", "momentum", "rho"))
    if rule.startswith("adamw"):
        w -= w * TELLING["weight_decay"] * lr
        rule = rule.replace("adamw", "adam")
    if rule == "sgd":
        return w - lr * g
    if rule in ("momentum", "nesterov"):
        slots["velocity"] = mu * slots["velocity"] - lr * g
        return w + (mu * slots["velocity"] - lr * g if rule == "nesterov" else slots["velocity"])
    if rule.startswith("rmsprop"):
        slots["velocity"] = rho * slots["velocity"] + (1 - rho) * g**2
        denominator = slots["velocity"] + epsilon
        if "centered" in rule:
            slots["average_gradient"] = rho * slots["average_gradient"] + (1 - rho) * g
            denominator = slots["velocity"] - slots["average_gradient"] ** 2 + epsilon
        increment = lr * g / math.sqrt(denominator)
        if "momentum" not in rule:
            return w - increment
        slots["momentum"] = mu * slots["momentum"] + increment
        return w - slots["momentum"]
    if rule == "adagrad":
        slots["accumulator"] += g**2
        return w - lr * g / math.sqrt(slots["accumulator"] + epsilon)
    if rule == "adadelta":
        slots["accumulated_grad"] = rho * slots["accumulated_grad"] + (1 - rho) * g**2
        before = slots["accumulated_delta_var"]
        delta = -math.sqrt(before + epsilon) * g / math.sqrt(slots["accumulated_grad"] + epsilon)
        slots["accumulated_delta_var"] = rho * before + (1 - rho) * delta**2
        return w + lr * delta
    if rule.startswith("ftrl"):
        return textbook_ftrl(-0.5 if rule == "ftrl" else TELLING["learning_rate_power"], w, slots, g)
    b1, b2 = TELLING["beta_1"], TELLING["beta_2"]
    if rule == "lion":
        before = slots["momentum"]
        slots["momentum"] = b2 * before + (1 - b2) * g
        return w - lr * math.copysign(1.0, b1 * before + (1 - b1) * g)
    slots["momentum"] = b1 * slots["momentum"] + (1 - b1) * g
    if rule == "adamax":
        slots["norm"] = max(b2 * slots["norm"], abs(g))
        return w - lr * slots["momentum"] / ((1 - b1**t) * (slots["norm"] + epsilon))
    slots["velocity"] = b2 * slots["velocity"] + (1 - b2) * g**2
    largest = slots["velocity"]
    if rule.endswith("_amsgrad"):
        largest = slots["velocity_hat"] = max(slots["velocity_hat"], slots["velocity"])
        rule = rule.removesuffix("_amsgrad")
    if rule == "adam_corrected":
        m, v = slots["momentum"] / (1 - b1**t), largest / (1 - b2**t)
        return w - lr * m / (math.sqrt(v) + epsilon)
    if rule == "nadam":
        u = [b1 * (1 - 0.5 * 0.96**k) for k in range(1, t + 2)]
        m = u[t] * slots["momentum"] / (1 - math.prod(u)) + (1 - u[t - 1]) * g / (1 - math.prod(u[:t]))
        return w - lr * m / (math.sqrt(largest / (1 - b2**t)) + epsilon)
    assert rule == "adam", f"write the textbook form of {rule}"
    rate = lr * math.sqrt(1 - b2**t) / (1 - b1**t)
    return w - rate * slots["momentum"] / (math.sqrt(largest) + epsilon)


def textbook_ftrl(power: float, w: float, slots: dict[str, float], g: float) -> float:
    lr, l1, l2, shrinkage, beta = (
        TELLING[name]
        for name in (
            "learning_rate",
            "l1_regularization_strength",
            "l2_regularization_strength",
            "l2_shrinkage_regularization_strength",
            "beta",
        )
    )
    before = slots["accumulator"]
    after = slots["accumulator"] = before + g**2
    slots["linear"] += g + 2 * shrinkage * w - (after**-power - before**-power) / lr * w
    quadratic = after**-power / lr + 2 * (l2 + beta / (2 * lr))
    return (min(max(slots["linear"], -l1), l1) - slots["linear"]) / quadratic


@pytest.mark.parametrize("rule", reference.RULES)
def test_rule(rng: np.random.Generator, rule: str) -> None:
    slot_names, initial = reference.RULES[rule].slots, reference.RULES[rule].initial
    w = rng.standard_normal((2, 3))
    slots = fresh_slots(rule, w)
    expected = [(value, dict(zip(slot_names, initial, strict=True))) for value in w.ravel().tolist()]
    start = w.copy()
    for step in range(1, 101):
        g = rng.standard_normal(w.shape) * 10.0 ** rng.integers(-4, 2)
        kept = g.copy()
        reference.update(w, g, slots, rule, hyper(rule, TELLING), step)
        assert np.array_equal(g, kept)
        expected = [
            (textbook(rule, value, state, gradient, step), state)
            for (value, state), gradient in zip(expected, g.ravel().tolist(), strict=True)
        ]
    assert np.abs(w - start).min() > 0
    assert close(w.ravel(), [value for value, _ in expected])
    for name, slot in zip(slot_names, slots, strict=True):
        assert close(slot.ravel(), [state[name] for _, state in expected])


def test_named_updates_are_rows_of_the_table(rng: np.random.Generator) -> None:
    w, g = rng.standard_normal(6), rng.standard_normal(6)

    def by_name(function: Callable[..., None], *args: Any, slots: int, **kwargs: Any) -> list[Array]:
        arrays = [w.copy(), *(np.zeros_like(w) for _ in range(slots))]
        function(arrays[0], g, *arrays[1:], *args, **kwargs)
        return arrays

    def by_rule(rule: str, hyper: tuple[float, ...]) -> list[Array]:
        arrays = [w.copy(), *fresh_slots(rule, w)]
        reference.update(arrays[0], g, arrays[1:], rule, hyper, 1)
        return arrays

    adam = (0.001, 0.9, 0.999, 1e-7)
    pairs = [
        (by_name(reference.sgd_update, slots=0), by_rule("sgd", (0.01,))),
        (by_name(reference.momentum_update, slots=1), by_rule("momentum", (0.01, 0.9))),
        (by_name(reference.momentum_update, nesterov=True, slots=1), by_rule("nesterov", (0.01, 0.9))),
        (by_name(reference.rmsprop_update, slots=1), by_rule("rmsprop", (0.001, 0.9, 1e-7))),
        (by_name(reference.adam_update, 1, slots=2), by_rule("adam", adam)),
        (
            by_name(reference.adam_update, 1, epsilon_form="corrected", slots=2),
            by_rule("adam_corrected", adam),
        ),
    ]
    for named, row in pairs:
        assert not np.array_equal(named[0], w)
        assert [a.tolist() for a in named] == [a.tolist() for a in row]


def test_epsilon_forms_of_adam_are_told_apart() -> None:
    """Step 1, a gradient as large as epsilon: sqrt(v) = sqrt(1 - b2) g, beside which epsilon weighs more."""
    g = epsilon = 1e-3
    moved = {}
    for form in ("uncorrected", "corrected"):
        w, m, v = np.zeros(1), np.zeros(1), np.zeros(1)
        reference.adam_update(w, np.full(1, g), m, v, 1, 1.0, epsilon=epsilon, epsilon_form=form)
        moved[form] = -w[0]
    root = math.sqrt(1 - 0.999)
    assert close(moved["uncorrected"], root * g / (root * g + epsilon))
    assert close(moved["corrected"], g / (g + epsilon))


def test_powers_of_beta_are_double_for_every_type() -> None:
    """In float32 1 - 0.999 is 6e-6 off; the constant of step 1 is not."""
    w, m, v = (np.zeros(1, np.float32) for _ in range(3))
    reference.adam_update(w, np.ones(1, np.float32), m, v, 1, 1.0, epsilon=0.0)
    assert abs(w[0] + 1.0) <= 3 * np.finfo(np.float32).eps


@pytest.fixture(scope="module")
def keras() -> ModuleType:
    os.environ.setdefault("KERAS_BACKEND", "numpy")
    return pytest.importorskip("keras", exc_type=ImportError)


KERAS_CLASSES = {
    "rmsprop": "RMSprop",
    "adam": "Adam",
    "adamw": "AdamW",
    "ftrl": "Ftrl",
    "momentum": "SGD",
    "nesterov": "SGD",
    "sgd": "SGD",
}


@pytest.mark.parametrize("rule", [rule for rule in reference.RULES if "corrected" not in rule])
def test_rule_follows_keras(keras: ModuleType, rng: np.random.Generator, rule: str) -> None:
    arguments = {name: TELLING[name] for name in reference.RULES[rule].hyper}
    words = rule.split("_")
    choices = {word: True for word in ("centered", "nesterov", "amsgrad") if word in words}
    cls = getattr(keras.optimizers, KERAS_CLASSES.get(words[0], words[0].capitalize()))
    optimizer = cls(**arguments, **choices)
    w = rng.standard_normal((3, 2))
    variable = keras.Variable(w, dtype="float64")
    slots = fresh_slots(rule, w)
    for step in range(1, 31):
        g = rng.standard_normal(w.shape)
        optimizer.apply([keras.ops.convert_to_tensor(g, dtype="float64")], [variable])
        reference.update(w, g, slots, rule, list(arguments.values()), step)
        assert close(w, keras.ops.convert_to_numpy(variable), KERAS_RTOL)


@pytest.mark.parametrize("loss", reference.LOSSES)
def test_loss_follows_keras(keras: ModuleType, rng: np.random.Generator, loss: str) -> None:
    outputs = rng.uniform(0.05, 0.95, (5, 4))
    y = targets_for(loss, rng, 5, 4)
    for from_logits in (False, True) if loss in LINKED else (False,):
        options = {"from_logits": from_logits} if loss in LINKED else {}
        function = getattr(keras.losses, loss)
        expected = np.mean(keras.ops.convert_to_numpy(function(y, outputs, **options)))
        value, _ = reference.loss_value_and_gradient(outputs, y, loss, from_logits=from_logits)
        assert close(value, expected, KERAS_RTOL)


# Dense layers


def test_dense_kernels_are_the_sums_they_stand_for(rng: np.random.Generator) -> None:
    x, w, b, dz = (rng.standard_normal(shape) for shape in ((4, 3), (3, 2), (2,), (4, 2)))
    rows, inputs, outputs = range(4), range(3), range(2)
    z = [[b[o] + sum(x[r, i] * w[i, o] for i in inputs) for o in outputs] for r in rows]
    assert close(reference.dense_forward(x, w, b), z)
    assert close(reference.dense_forward(x, w, b, "relu"), np.where(np.array(z) > 0, z, 0))
    dw, db, dx = reference.dense_backward(dz, x, w)
    assert close(dw, [[sum(x[r, i] * dz[r, o] for r in rows) for o in outputs] for i in inputs])
    assert close(db, [sum(dz[r, o] for r in rows) for o in outputs])
    assert close(dx, [[sum(dz[r, o] * w[i, o] for o in outputs) for i in inputs] for r in rows])
    assert reference.dense_backward(dz, x, w, need_dx=False)[2] is None


@pytest.mark.parametrize("rule", reference.RULES)
def test_backward_update_is_backward_then_update(rng: np.random.Generator, rule: str) -> None:
    x, w, b, dz = (rng.standard_normal(shape) for shape in ((4, 3), (3, 2), (2,), (4, 2)))
    values = hyper(rule, TELLING)
    slots = list(zip(fresh_slots(rule, w), fresh_slots(rule, b), strict=True))
    expected_w, expected_b = w.copy(), b.copy()
    dw, db, expected_dx = reference.dense_backward(dz, x, w)
    reference.update(expected_w, dw, fresh_slots(rule, w), rule, values, 1)
    reference.update(expected_b, db, fresh_slots(rule, b), rule, values, 1)
    dx = reference.dense_backward_update(w, b, dz, x, rule, values, slots, 1)
    for actual, expected in ((dx, expected_dx), (w, expected_w), (b, expected_b)):
        assert np.array_equal(actual, expected)


# The thesis


def test_example_3_of_the_thesis() -> None:
    """Two weights, no biases, sigmoid, squared error, learning rate 1: forward, a step, forward."""
    layers: list[Op] = [dense(1, "sigmoid", 1.0, use_bias=False)] * 2
    net = reference.Net(1, layers, dtype=np.float64)
    net.params[:] = 0.75, 0.5
    net.compile("mean_squared_error", False, "sgd", ())
    x, y = np.array([[2.0]]), np.array([[0.25]])

    def forward() -> list[float]:
        z1, z2, output = (a.item() for a in preactivations(net, x, layers))
        return [z1, sigmoid(z1), z2, output, output - y.item()]

    def agrees(actual: Any, printed: list[float]) -> bool:
        return np.allclose(actual, printed, rtol=0, atol=THESIS_ATOL)

    assert agrees(forward(), [1.5, 0.81757, 0.40879, 0.60080, 0.35080])
    before, totals = net.params.copy(), np.zeros(1)
    net.train(x, y, None, None, 0, 1, 1, [1.0], totals, None)
    assert agrees(before - net.params, [0.02510, 0.13757])
    assert agrees(totals, [0.35080**2])
    assert agrees(net.params, [0.72490, 0.36243])
    assert agrees(forward(), [1.44980, 0.80997, 0.29356, 0.57287, 0.32287])


# Training


def textbook_epoch(
    parameters: dict[str, Array],
    x: Array,
    labels: Array,
    weight: Array,
    order: Array,
    batch_size: int,
    update: Callable[[dict[str, Array]], None],
) -> tuple[float, int]:
    """Algorithms 3 and 5-7 of the thesis, row by row, for a hidden tanh layer and softmax cross-entropy.

    Returns the sums of the weighted losses and of the right answers.
    """
    loss, right = 0.0, 0
    for first in range(0, len(order), batch_size):
        batch = order[first : first + batch_size]
        gradient = {name: np.zeros_like(value) for name, value in parameters.items()}
        for row in batch:
            hidden = np.tanh(parameters["b1"] + parameters["w1"].T @ x[row])
            p = np.exp(parameters["b2"] + parameters["w2"].T @ hidden)
            p /= p.sum()
            loss += weight[row] * -math.log(p[labels[row]])
            right += int(p.argmax() == labels[row])
            delta2 = weight[row] * (p - np.eye(len(p))[labels[row]]) / len(batch)
            delta1 = (parameters["w2"] @ delta2) * (1 - hidden**2)
            gradient["w2"] += np.outer(hidden, delta2)
            gradient["b2"] += delta2
            gradient["w1"] += np.outer(x[row], delta1)
            gradient["b1"] += delta1
        update(gradient)
    return loss, right


CLASSIFIER: list[Op] = [dense(4, "tanh"), dense(3, "softmax")]


def classification(n: int) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((n, 2))
    labels = (x[:, 0] > 0).astype(np.int32) + (x[:, 1] > 0.3)
    return x, labels.astype(np.int32), rng.uniform(0.5, 2.0, n)


@pytest.mark.parametrize(
    "batch_size", [1, 4, 5, 20, 22, 50]
)  # 22 rows: ragged, even, whole but two, n, above n
@pytest.mark.parametrize("rule", reference.RULES)
def test_epochs_are_those_of_the_textbook(rule: str, batch_size: int) -> None:
    x, labels, weight = classification(22)
    loss, accuracy = "sparse_categorical_crossentropy", "sparse_categorical_accuracy"
    net = make_net(2, CLASSIFIER, loss, rule, metrics=(accuracy,))
    parameters = dict(zip(("w1", "b1", "w2", "b2"), (t.copy() for t in net.tensors), strict=True))
    first = dict(zip(reference.RULES[rule].slots, reference.RULES[rule].initial, strict=True))
    states = {name: [dict(first) for _ in value.ravel()] for name, value in parameters.items()}
    steps = 0

    def update(gradient: dict[str, Array]) -> None:
        nonlocal steps
        steps += 1
        for name, value in parameters.items():
            flat, g = value.ravel(), gradient[name].ravel()  # views
            for i, state in enumerate(states[name]):
                flat[i] = textbook(rule, float(flat[i]), state, float(g[i]), steps)

    values = hyper(rule, TELLING)
    for epoch in range(3):
        order = np.random.default_rng(epoch).permutation(22).astype(np.uint32)
        totals = np.zeros(2)
        net.train(x, labels, weight, order, 0, 22, batch_size, values, totals, None)
        expected = textbook_epoch(parameters, x, labels, weight, order, batch_size, update)
        assert close(totals, expected)
    assert net.step == steps == 3 * math.ceil(22 / batch_size)
    for tensor, value in zip(net.tensors, parameters.values(), strict=True):
        assert close(tensor, value)


@pytest.mark.parametrize("rule", reference.RULES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_training_learns(rule: str, dtype: type) -> None:
    x, labels, _ = classification(90)
    x = x.astype(dtype)
    net = make_net(2, CLASSIFIER, "sparse_categorical_crossentropy", rule, dtype=dtype)
    values = hyper(
        rule,
        TELLING,
        learning_rate=BRISK.get(rule, 0.02),
        l1_regularization_strength=0.0,
        l2_regularization_strength=0.0,
    )
    history = []
    for _ in range(60):
        totals = np.zeros(1)
        net.train(x, labels, None, None, 0, 90, 8, values, totals, None)
        history.append(totals[0] / 90)
    assert net.params.dtype == dtype
    assert all(slot.dtype == dtype for slot in net.slots)
    assert history[-1] < 0.5 * history[0]


def test_batch_by_batch_is_the_epoch() -> None:
    x, labels, weight = classification(22)
    order = np.random.default_rng(1).permutation(22).astype(np.uint32)
    results = []
    for pieces in ([(0, 22)], [(0, 8), (8, 16), (16, 22)]):
        net = make_net(2, CLASSIFIER, "sparse_categorical_crossentropy", "adam")
        totals = np.zeros(1)
        for start, stop in pieces:
            net.train(x, labels, weight, order, start, stop, 8, (0.1, 0.9, 0.999, 1e-7), totals, None)
        results.append((net.params.tolist(), totals.tolist(), net.step))
    assert results[0] == results[1]


@pytest.mark.parametrize("shuffled", [False, True])
def test_rows_outside_start_and_stop_are_not_used(shuffled: bool) -> None:
    x, labels, weight = classification(22)
    order = np.random.default_rng(1).permutation(22).astype(np.uint32) if shuffled else None
    used = np.arange(22)[3:13] if order is None else order[3:13]
    net, expected = (make_net(2, CLASSIFIER, "sparse_categorical_crossentropy") for _ in range(2))
    net.train(x, labels, weight, order, 3, 13, 4, [0.1], np.zeros(1), None)
    expected.train(x[used], labels[used], weight[used], None, 0, 10, 4, [0.1], np.zeros(1), None)
    assert net.step == expected.step == 3
    assert np.array_equal(net.params, expected.params)


def test_totals_add_up_and_metrics_see_the_forward_pass_of_the_step(rng: np.random.Generator) -> None:
    """One batch of three rows, the loss weighted, the metrics not; both are taken before the update."""
    x, y = rng.standard_normal((3, 2)), rng.uniform(size=(3, 2)).round()
    names = ("categorical_accuracy", "binary_accuracy", "mean_squared_error", "mean_absolute_error")
    weight = np.array([0.0, 1.0, 3.0])
    net = make_net(2, [dense(2, "sigmoid", 1.0)], "binary_crossentropy", metrics=names)
    p = sigmoid(x @ net.tensors[0] + net.tensors[1])
    expected = [
        (weight * -np.log(np.where(y == 1, p, 1 - p)).mean(axis=1)).sum(),
        (p.argmax(axis=1) == y.argmax(axis=1)).sum(),
        ((p > 0.5) == y).mean(axis=1).sum(),
        ((p - y) ** 2).mean(axis=1).sum(),
        np.abs(p - y).mean(axis=1).sum(),
    ]
    before, totals = net.params.copy(), np.full(5, 10.0)
    net.evaluate(x, y, weight, totals, None)
    assert close(totals - 10, expected)
    assert np.array_equal(net.params, before)
    net.train(x, y, weight, None, 0, 3, 3, [0.5], totals, None)
    assert close(totals - 10, 2 * np.array(expected))
    assert not np.array_equal(net.params, before)


@pytest.mark.parametrize("loss", LINKED)
def test_link_is_computed_from_logits_and_predicts_probabilities(rng: np.random.Generator, loss: str) -> None:
    """Where the link is saturated a clipped probability has no gradient; the linked pair keeps it."""
    x, y = np.array([[200.0, -100.0]]), targets_for(loss, rng, 1, 2)
    link = reference.LOSSES[loss].link
    assert link is not None
    net = reference.Net(2, [dense(2, link, 1.0, use_bias=False)], dtype=np.float64)
    net.params[:] = np.eye(2).ravel()
    net.compile(loss, False, "sgd", ())
    raw = reference.Net(2, [dense(2, use_bias=False)], dtype=np.float64)
    raw.params[:] = net.params
    raw.compile(loss, True, "sgd", ())
    out, raw_out, totals, raw_totals = np.zeros((1, 2)), np.zeros((1, 2)), np.zeros(1), np.zeros(1)
    net.predict(x, out, None)
    raw.predict(x, raw_out, None)
    assert np.allclose(out, [[1.0, 0.0]])
    assert np.array_equal(raw_out, x)
    net.train(x, y, None, None, 0, 1, 1, [0.01], totals, None)
    raw.train(x, y, None, None, 0, 1, 1, [0.01], raw_totals, None)
    assert np.abs(net.params - np.eye(2).ravel()).max() > GRADIENT_MIN
    assert np.array_equal(net.params, raw.params)
    assert np.array_equal(totals, raw_totals)


def test_sigmoid_of_another_slope_is_no_link() -> None:
    x, y = np.array([[50.0]]), np.zeros((1, 1))
    totals = {}
    for slope in (1.0, 2.0):
        net = reference.Net(1, [dense(1, "sigmoid", slope, use_bias=False)], dtype=np.float64)
        net.params[:] = 1.0
        net.compile("binary_crossentropy", False, "sgd", ())
        totals[slope] = np.zeros(1)
        net.evaluate(x, y, None, totals[slope], None)
    assert close(totals[1.0], [50.0])
    assert close(totals[2.0], [-math.log(1e-7)], rtol=1e-8)


def test_non_finite_loss_stops_before_the_update() -> None:
    x, labels, weight = classification(22)
    bad = x.copy()
    bad[9] = np.nan
    arguments = dict(loss="sparse_categorical_crossentropy", rule="adam")
    hyper = (0.1, 0.9, 0.999, 1e-7)
    net, expected = make_net(2, CLASSIFIER, **arguments), make_net(2, CLASSIFIER, **arguments)
    totals, expected_totals = np.zeros(1), np.zeros(1)
    with pytest.raises(NonFiniteError) as error:
        net.train(bad, labels, weight, None, 0, 22, 4, hyper, totals, None)
    assert (error.value.batch, error.value.epoch) == (2, None)
    expected.train(x, labels, weight, None, 0, 8, 4, hyper, expected_totals, None)
    assert np.array_equal(net.params, expected.params)
    assert all(np.array_equal(a, b) for a, b in zip(net.slots, expected.slots, strict=True))
    assert (net.step, totals.tolist()) == (expected.step, expected_totals.tolist())
    with pytest.raises(NonFiniteError) as error:  # the batch counts from the start of the epoch
        net.train(bad, labels, weight, None, 8, 22, 4, hyper, totals, None)
    assert error.value.batch == 2
    assert net.step == expected.step


@pytest.mark.filterwarnings("error")
def test_divergence_is_an_error_and_no_warning() -> None:
    x, y = np.full((50, 1), 1e3), np.ones((50, 1))
    net = make_net(1, [dense(1)], "mean_squared_error")
    with pytest.raises(NonFiniteError):
        net.train(x, y, None, None, 0, 50, 1, [1e9], np.zeros(1), None)
    assert np.isfinite(net.params).all()


def test_larger_and_poisoned_batches_leave_no_trace() -> None:
    x, labels, _ = classification(40)
    used, fresh = (make_net(2, CLASSIFIER, "sparse_categorical_crossentropy") for _ in range(2))
    with pytest.raises(NonFiniteError):
        used.train(np.full_like(x, np.nan), labels, None, None, 0, 40, 40, [0.1], np.zeros(1), None)
    for net in (used, fresh):
        net.train(x, labels, None, None, 0, 40, 7, [0.1], np.zeros(1), None)
    assert np.array_equal(used.params, fresh.params)


def test_arguments_are_read_only_to_training(rng: np.random.Generator) -> None:
    x, y, weight = rng.standard_normal((9, 2)), rng.standard_normal((9, 1)), np.ones(9)
    order = np.arange(9, dtype=np.uint32)[::-1].copy()
    for array in (x, y, weight, order):
        array.flags.writeable = False
    net = make_net(2, [alone(2, "tanh"), dense(1)], "mean_squared_error")
    for rows in (None, order):
        net.train(x, y, weight, rows, 0, 9, 4, [0.1], np.zeros(1), None)
    net.evaluate(x, y, weight, np.zeros(1), None)
    net.predict(x, np.empty((9, 1)), None)
    assert net.step == 6


def test_blocks_of_rows_do_not_show(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    x, labels, weight = classification(22)
    net = make_net(2, CLASSIFIER, "sparse_categorical_crossentropy", metrics=("sparse_categorical_accuracy",))
    results = []
    for block in (1, 7, 22, 100):
        for module in (reference_net, reference_run):
            monkeypatch.setattr(module, "BLOCK_ROWS", block)
        totals, out = np.zeros(2), np.full((22, 3), np.nan)
        net.evaluate(x, labels, weight, totals, None)
        net.predict(x, out, None)
        results.append(np.concatenate([totals, out.ravel()]))
    assert all(close(result, results[0]) for result in results)


# Interruptions


def test_progress_may_stop_between_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_run, "PROGRESS_SECONDS", 0.0)
    x, labels, _ = classification(22)
    seen: list[int] = []

    def progress(rows: int) -> None:
        seen.append(rows)
        if rows == 12:
            raise ZeroDivisionError

    net, expected = (make_net(2, CLASSIFIER, "sparse_categorical_crossentropy") for _ in range(2))
    with pytest.raises(ZeroDivisionError):
        net.train(x, labels, None, None, 0, 22, 4, [0.1], np.zeros(1), progress)
    assert seen == [0, 4, 8, 12]
    expected.train(x, labels, None, None, 0, 12, 4, [0.1], np.zeros(1), None)
    assert net.step == expected.step == 3
    assert np.array_equal(net.params, expected.params)


def test_ctrl_c_waits_for_the_end_of_the_update(monkeypatch: pytest.MonkeyPatch) -> None:
    x, labels, _ = classification(22)
    net, expected = (make_net(2, CLASSIFIER, "sparse_categorical_crossentropy") for _ in range(2))
    expected.train(x, labels, None, None, 0, 8, 4, [0.1], np.zeros(1), None)
    rule = reference.RULES["sgd"]

    def interrupted(*arguments: Any) -> None:
        if net.step == 1:
            signal.raise_signal(signal.SIGINT)
        rule.step(*arguments)

    monkeypatch.setitem(reference.RULES, "sgd", rule._replace(step=interrupted))
    net.compile("sparse_categorical_crossentropy", False, "sgd", ())
    handler = signal.getsignal(signal.SIGINT)
    totals = np.zeros(1)
    with pytest.raises(KeyboardInterrupt):
        net.train(x, labels, None, None, 0, 22, 4, [0.1], totals, None)
    assert signal.getsignal(signal.SIGINT) is handler
    assert net.step == 2
    assert np.array_equal(net.params, expected.params)


def test_training_in_another_thread() -> None:
    """Where no signal handler can be set."""
    x, labels, _ = classification(22)
    net, expected = (make_net(2, CLASSIFIER, "sparse_categorical_crossentropy") for _ in range(2))
    arguments = (x, labels, None, None, 0, 22, 4, [0.1], np.zeros(1), None)
    thread = threading.Thread(target=net.train, args=arguments)
    thread.start()
    thread.join()
    expected.train(*arguments)
    assert net.step == expected.step == 6
    assert np.array_equal(net.params, expected.params)


# Parameters


def test_parameters_are_one_flat_array_with_views() -> None:
    net = reference.Net(3, [dense(4, "relu"), alone(4, "tanh"), dense(2, use_bias=False)])
    assert [tensor.shape for tensor in net.tensors] == [(3, 4), (4,), (4, 2)]
    assert net.params.shape == (24,)
    assert net.params.dtype == np.float32
    net.tensors[1][:] = 5.0
    assert net.params[12:16].tolist() == [5, 5, 5, 5]
    net.compile("mean_squared_error", False, "adam", ())
    assert [slot.shape for slot in net.slots] == [(24,), (24,)]
    net.split(net.slots[1])[2][0, 0] = 3.0
    assert net.slots[1][16] == 3.0
    net.step = 7
    net.compile("mean_squared_error", False, "sgd", ())
    assert (net.slots, net.step) == ((), 0)


# Errors


def test_arguments_are_checked_before_anything_changes() -> None:
    x, labels, weight = classification(8)
    net = make_net(2, CLASSIFIER, "sparse_categorical_crossentropy")
    before, order, totals = net.params.copy(), np.arange(8, dtype=np.uint32), np.zeros(1)
    fine: dict[str, Any] = {
        "x": x,
        "y": labels,
        "sample_weight": weight,
        "order": order,
        "start": 0,
        "stop": 8,
        "batch_size": 4,
        "hyper": [0.1],
        "totals": totals,
        "progress": None,
    }
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"x": x.tolist()}, TypeError, r"x: expected an array of floats of shape \(8, 2\), received list"),
        ({"x": x.astype(int)}, TypeError, "x: expected an array of floats .*received int64"),
        ({"x": x[:, :1]}, ValueError, r"x: expected shape \(8, 2\), received \(8, 1\)"),
        ({"x": x[:0]}, ValueError, "x: expected at least one row"),
        ({"y": labels[:, None]}, ValueError, r"y: expected labels of shape \(8,\), received \(8, 1\)"),
        ({"y": x[:, 0]}, TypeError, "y: expected an array of integer labels .*received float64"),
        ({"y": labels * 0 + 3}, ValueError, "y: expected labels from 0 to 2, received 3 in row 0"),
        ({"y": labels * 0 - 1}, ValueError, "y: expected labels from 0 to 2, received -1 in row 0"),
        ({"sample_weight": weight[:7]}, ValueError, r"sample_weight: expected shape \(8,\), received \(7,\)"),
        ({"order": order[:7]}, ValueError, "order: expected unsigned integers"),
        ({"order": order + 1}, ValueError, "order: expected rows from 0 to 7, received 8 at place 7"),
        ({"stop": 9}, ValueError, "start, stop: expected 0 <= start < stop <= 8, received 0, 9"),
        ({"start": 8}, ValueError, "start, stop"),
        ({"batch_size": 0}, ValueError, "batch_size: expected at least 1, received 0"),
        ({"hyper": []}, ValueError, "hyper: expected learning_rate, received 0 values"),
        ({"totals": np.zeros(2)}, ValueError, r"totals: expected shape \(1,\), received \(2,\)"),
    ]
    for change, error, message in cases:
        with pytest.raises(error, match=message):
            net.train(**{**fine, **change})
    assert np.array_equal(net.params, before)
    assert (net.step, totals.tolist()) == (0, [0.0])
    with pytest.raises(RuntimeError, match="call compile first"):
        reference.Net(2, CLASSIFIER).evaluate(x, labels, None, totals, None)


def test_unknown_names_list_the_known_and_the_nearest() -> None:
    net = reference.Net(2, CLASSIFIER)
    one = np.ones((1, 1))
    for attempt, message in [
        (lambda: reference.dense_forward(one, one, None, "rellu"), "activation 'rellu'. Did you mean 'relu'"),
        (lambda: reference.Net(1, [dense(1, "sigmoyd")]), "Did you mean 'sigmoid'"),
        (lambda: net.compile("mean_square_error", False, "sgd", ()), "Did you mean 'mean_squared_error'"),
        (lambda: net.compile("mean_squared_error", False, "adm", ()), "rule 'adm'. Did you mean 'adam'"),
        (lambda: net.compile("mean_squared_error", False, "sgd", ("binary_acuracy",)), "'binary_accuracy'"),
        (lambda: reference.update(one, one, (), "sdg", (0.1,), 1), "Did you mean 'sgd'"),
    ]:
        with pytest.raises(ValueError, match=message):
            attempt()


def test_functions_refuse_what_would_be_broadcast() -> None:
    column, row, square = np.ones((4, 1)), np.ones(4), np.ones((4, 4))
    for attempt, message in [
        (
            lambda: reference.loss_value_and_gradient(column, row, "mean_squared_error"),
            r"targets: expected shape \(4, 1\)",
        ),
        (
            lambda: reference.loss_value_and_gradient(row, row, "mean_squared_error"),
            r"outputs: expected shape \(B, K\)",
        ),
        (
            lambda: reference.loss_value_and_gradient(column, column, "mean_squared_error", column),
            "sample_weight",
        ),
        (
            lambda: reference.loss_value_and_gradient(column, column, "mean_squared_error", None, True),
            "from_logits: expected False",
        ),
        (lambda: reference.dense_forward(square, square, np.ones(1)), r"b: expected shape \(4,\)"),
        (lambda: reference.activation_backward(column, square), r"da: expected shape \(4, 4\)"),
        (lambda: reference.update(square, row, (), "sgd", (0.1,), 1), r"g: expected shape \(4, 4\)"),
        (
            lambda: reference.update(square, square, (row,), "momentum", (0.1, 0.9), 1),
            r"velocity: expected shape",
        ),
        (
            lambda: reference.update(square, square, (), "momentum", (0.1, 0.9), 1),
            r"slots: expected 1 arrays \(velocity\)",
        ),
        (
            lambda: reference.update(square, square, (), "sgd", (0.1,), 0),
            "step: expected the number of this update, from 1",
        ),
        (
            lambda: reference.adam_update(row, row, row, row, 1, epsilon_form="hat"),
            "epsilon_form: expected 'uncorrected'",
        ),
        (
            lambda: reference.Net(2, [alone(3, "relu")]),
            r"ops\[0\]: expected units >= 1 \(without kernel: 2\)",
        ),
        (lambda: reference.Net(0, CLASSIFIER), "at least one input and one op"),
    ]:
        with pytest.raises(ValueError, match=message):
            attempt()
    net = reference.Net(2, CLASSIFIER)
    with pytest.raises(ValueError, match="metrics: binary_accuracy does not fit the targets of sparse"):
        net.compile("sparse_categorical_crossentropy", False, "sgd", ("binary_accuracy",))
    with pytest.raises(ValueError, match=r"flat: expected shape \(27,\), received \(3,\)"):
        net.split(np.zeros(3, np.float32))
