"""Sections 2 and 4.1: gradient descent on functions, neurons, backpropagation, the update rules."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import activations, descent, kernels, layers, losses, optimizers, plot, utils
from ..models import Sequential
from .item import Findings, Item

FIGURE_1 = (0.000017, -0.001133, 0.029241, -0.36691, 2.234115, -5.510020, 4.722197)
"""Coefficients of Fig. 1, from x^6 down."""


def curve(x: Any) -> Any:
    """The function of Fig. 1, 18 and 19."""
    return np.polyval(FIGURE_1, x)


def slope(x: Any) -> Any:
    return np.polyval(np.polyder(FIGURE_1), x)


def valley(x: Any) -> float:
    """The function of Example 1."""
    return float(x[0] ** 2 + 2 * x[1] ** 2 - 2 * x[0] * x[1] - 2 * x[1])


def valley_gradient(x: Any) -> Any:
    return np.array([2 * x[0] - 2 * x[1], 4 * x[1] - 2 * x[0] - 2])


def network(
    *units: int, inputs: int, activation: str = "sigmoid", use_bias: bool = True, seed: int = 0
) -> Sequential:
    """A model to be drawn or worked through by hand."""
    return Sequential(
        [
            layers.Input((inputs,)),
            *(layers.Dense(n, activation=activation, use_bias=use_bias) for n in units),
        ],
        seed=seed,
    )


def algorithm_1(_: Any) -> Findings:
    found = Findings()
    small = descent.minimize(curve, 0.0, slope, learning_rate=0.1)
    large = descent.minimize(curve, 0.0, slope, learning_rate=4.5)
    found.check("a small rate (0.1) finds a local minimum at x", 2.103, small.x, 1e-3)
    found.check("and takes many steps", "many", "many" if small.iterations > 50 else "few")
    found.check("a large rate (4.5)", "diverged", large.status, note=large.message)
    left = int(np.argmax(np.abs(np.ravel(large.points)) > 25))
    found.check("it has left the picture after so many iterations", 2, left, 0)
    found.figures["figure-01"] = plot.descent({"rate 0.1": small, "rate 4.5": large}, curve, spans=(-1, 24))
    found.notes.append(
        f"The document prints neither rate. With 0.1, the rate of Fig. 18, it takes {small.iterations} iterations."
    )
    return found


def example_1(_: Any) -> Findings:
    found = Findings()
    run = descent.minimize(valley, [0.0, 0.0], valley_gradient, line_search="exact", tol=1e-8)
    found.check("gradient at (0, 0): second component", -2.0, float(run.gradients[0][1]), 1e-12)
    found.check("first step size λ*", 0.25, float(run.step_sizes[0]), 1e-6)
    found.check("first iterate, x₁", 0.0, float(run.points[1][0]), 1e-6)
    found.check("first iterate, x₂", 0.5, float(run.points[1][1]), 1e-6)
    found.check("limit, x₁", 1.0, float(run.x[0]), 1e-6)
    found.check("limit, x₂", 1.0, float(run.x[1]), 1e-6)
    found.figures["example-1"] = plot.descent(run, valley)
    return found


def example_2(_: Any) -> Findings:
    found = Findings()
    model = network(4, 2, inputs=3)
    x = np.array([[0.5, -1.0, 2.0]], np.float32)
    w, b = model.get_weights()[:2]
    by_hand = float(b[1] + (x[0] * w[:, 1]).sum())
    z = kernels.dense_forward(x, w, b, "linear")
    found.check("z₂ = w₂₀ + Σ x_k w_2k, for one network", round(by_hand, 6), round(float(z[0, 1]), 6), 2e-6)
    found.figures["figure-08"] = plot.network(model, weights="symbols", highlight=(1, 2))
    return found


def example_3(_: Any) -> Findings:
    found = Findings()
    model = network(1, 1, inputs=1, use_bias=False)
    model.set_weights([[[0.75]], [[0.5]]])
    model.compile(optimizers.SGD(1.0), "mse")
    x, y = np.array([[2.0]]), np.array([[0.25]])
    printed = (
        (("z₁", 1.5), ("g(z₁)", 0.81757), ("z₂", 0.40879), ("output", 0.60080), ("error", 0.35080)),
        (("z₁", 1.44980), ("g(z₁)", 0.80997), ("z₂", 0.29356), ("output", 0.57287), ("error", 0.32287)),
    )
    for step, values in enumerate(printed):
        w1, w2 = (float(w[0, 0]) for w in model.get_weights())
        z1 = 2.0 * w1
        g = float(kernels.activation_forward(np.array([[z1]], np.float32), "sigmoid")[0, 0])
        output = float(model.predict(x)[0, 0])
        for (name, value), computed in zip(values, (z1, g, g * w2, output, output - 0.25), strict=True):
            found.check(f"{name}, {'after the step' if step else 'forward'}", value, computed, 2e-5)
        if step == 0:
            before = model.get_weights()
            model.train_on_batch(x, y)
            after = model.get_weights()
            found.check("∂J/∂w₁", 0.02510, float(before[0][0, 0] - after[0][0, 0]), 2e-5)
            found.check("∂J/∂w₂", 0.13757, float(before[1][0, 0] - after[1][0, 0]), 2e-5)
            found.check("new w₁", 0.72490, float(after[0][0, 0]), 2e-5)
            found.check("new w₂", 0.36243, float(after[1][0, 0]), 2e-5)
    found.figures["figure-11"] = plot.network(model, weights="values")
    found.notes.append(
        "The document rounds on the way and carries the rounded values on; hence differences of up to 2e-5."
    )
    return found


def backpropagation(_: Any) -> Findings:
    """The engine's gradient, as what SGD with rate 1 subtracts, against central differences of its loss."""
    found = Findings()
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((7, 5)), rng.standard_normal((7, 2))
    for depth in (1, 2, 3):
        sizes = [4] * (depth - 1) + [2]
        model = Sequential(
            [layers.Input((5,)), *(layers.Dense(n, activation="tanh") for n in sizes)], seed=depth
        )
        model.compile(optimizers.SGD(1.0), "mse", backend="reference")
        start = model.get_weights()
        model.train_on_batch(x, y)
        gradient = [a - b for a, b in zip(start, model.get_weights(), strict=True)]
        model.set_weights(start)
        worst = 0.0
        for place, tensor in enumerate(start):
            index = tuple(0 for _ in tensor.shape)
            values = []
            for shift in (1e-3, -1e-3):
                moved = [w.copy() for w in start]
                moved[place][index] += shift
                model.set_weights(moved)
                values.append(model.evaluate(x, y, verbose=0))
            numeric = (values[0] - values[1]) / 2e-3  # type: ignore[operator]
            worst = max(worst, abs(numeric - float(gradient[place][index])))
        found.check(
            f"{depth} layer{'s' * (depth > 1)}: largest difference from central differences", 0.0, worst, 1e-3
        )
    found.figures["figure-10"] = plot.network(network(4, 3, 2, inputs=3), direction="both", bias=False)
    found.notes.append(
        "In float32 central differences have about four digits; the tests of the project compare the same formulas in float64, to ten."
    )
    return found


def batch_rules(_: Any) -> Findings:
    """Algorithms 5 to 7 by the number of updates they make."""
    found = Findings()
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((103, 4)), rng.standard_normal(103)
    for name, size, steps in (
        ("Algorithm 5, batch gradient descent: updates in an epoch of 103 rows", 103, 1),
        ("the same with a batch size beyond the data", 1000, 1),
        ("Algorithm 6, stochastic gradient descent", 1, 103),
        ("Algorithm 7, mini-batches of 10: the last, of 3 rows, is a full step", 10, 11),
    ):
        model = Sequential([layers.Dense(3, activation="relu"), layers.Dense(1)], seed=0)
        model.compile("sgd", "mse")
        model.fit(x, y, batch_size=size, verbose=0)
        assert model.trainer is not None
        found.check(name, steps, model.trainer.iterations, 0)
    one, two = (Sequential([layers.Input((4,)), layers.Dense(1)], seed=0) for _ in range(2))
    for model in (one, two):
        model.compile(optimizers.SGD(0.1), "mse")
    one.fit(x, y, batch_size=103, shuffle=False, verbose=0)
    before = two.get_weights()
    error = np.float64(two.predict(x)[:, 0]) - y
    gradient = 2 * (x * error[:, None]).mean(axis=0)
    found.check(
        "the full batch moves w by -λ ∇J: largest difference",
        0.0,
        float(np.abs(before[0][:, 0] - 0.1 * gradient - one.get_weights()[0][:, 0]).max()),
        1e-6,
    )
    found.notes.append(
        "Erratum: Algorithms 5 to 7 print W ← λ ∇J, without the old W and the minus; the text and Algorithm 3 have the real step."
    )
    return found


def momentum(_: Any) -> Findings:
    found = Findings()
    plain = descent.minimize(curve, 0.0, slope, learning_rate=0.1, tol=1e-9, max_iter=3000)
    heavy = descent.minimize(curve, 0.0, slope, "momentum", 0.1, momentum=0.4, tol=1e-9, max_iter=3000)
    for name, run, printed in (("α = 0.4", heavy, 17), ("plain descent", plain, 55)):
        far = np.flatnonzero(np.abs(np.ravel(run.points) - run.x) > 1e-3)
        found.check(f"{name}: within 0.001 of its limit after", printed, int(far[-1]) + 1, 0)
    found.figures["figure-18"] = plot.descent({"plain": plain, "momentum 0.4": heavy}, curve, spans=(-0.5, 4))
    found.notes.append(
        "Erratum: the caption says α = 40. From |α| = 1 on momentum diverges; 0.4 fits what the text says of the figure."
    )
    return found


def adam(_: Any) -> Findings:
    found = Findings()
    plain = descent.minimize(curve, 0.0, slope, learning_rate=0.1)
    run = descent.minimize(curve, 0.0, slope, "adam", 5.0, epsilon=1e-8, max_iter=1000, tol=0.0)
    found.check("plain descent ends at x", 2.103, plain.x, 1e-3)
    found.check("with f(x)", 0.130, plain.value, 1e-3)
    found.check("Adam is after 1,000 iterations at x", 20.523, run.x, 1e-3)
    found.check("with f(x)", -6.355, run.value, 1e-3)
    found.figures["figure-19"] = plot.descent({"plain": plain, "Adam": run}, curve, spans=(-1, 24))
    found.notes.append(
        "The step size is called λ in Algorithm 8 and α in the sentence below it. Both forms of ε give this figure."
    )
    return found


def neurons(_: Any) -> Findings:
    found = Findings()
    z = np.linspace(-6, 6, 121, dtype=np.float32)[None]
    for a in (0.5, 1.0, 3.0):
        sigmoid = activations.Sigmoid(a)
        g = kernels.activation_forward(z, sigmoid)
        exact = 1 / (1 + np.exp(-a * np.float64(z)))
        found.check(f"1/(1+exp(-{a} z)): largest difference", 0.0, float(np.abs(g - exact).max()), 1e-6)
        derivative = kernels.activation_backward(np.ones_like(g), g, sigmoid)
        found.check(
            f"its slope a g (1 - g), a = {a}",
            0.0,
            float(np.abs(derivative - a * exact * (1 - exact)).max()),
            1e-6,
        )
    zero = np.zeros((1, 1), np.float32)
    found.check(
        "slope of the ReLU at 0", 0.0, float(kernels.activation_backward(zero + 1, zero, "relu")[0, 0]), 0.0
    )
    found.figures["figure-03"] = plot.activation("sigmoid")
    found.figures["figure-04"] = plot.activation("relu")
    found.figures["weight-and-bias"] = plot.neuron("sigmoid")
    return found


def diagrams(_: Any) -> Findings:
    found = Findings()
    perceptron = network(1, inputs=3)
    found.figures["figure-02"] = plot.network(perceptron, state=True, bias=False, weights="symbols")
    found.figures["figure-05"] = plot.network(perceptron, state=True, weights="symbols")
    found.figures["figure-06"] = plot.network(network(2, inputs=3), state=True, weights="symbols")
    found.figures["figure-07"] = plot.network(network(4, 2, inputs=3))
    found.figures["figure-09"] = plot.network(network(5, 5, 2, inputs=3))
    model = Sequential([layers.Input((784,)), layers.Dense(128, "relu"), layers.Dense(10, "softmax")])
    found.check("weights of the MNIST network", 784 * 128 + 128 + 128 * 10 + 10, model.count_params(), 0)
    found.figures["mnist-network"] = plot.network(model)
    return found


def loss_functions(_: Any) -> Findings:
    found = Findings()
    y, p = np.array([[0.0, 1.0, 0.0]]), np.array([[0.2, 0.7, 0.1]])
    cases: dict[str, tuple[Any, Any, Any, float]] = {
        "mean squared error": (losses.MeanSquaredError(), y, p, float(((y - p) ** 2).mean())),
        "categorical cross-entropy": (losses.CategoricalCrossentropy(), y, p, float(-np.log(0.7))),
        "sparse categorical cross-entropy": (
            losses.SparseCategoricalCrossentropy(), np.array([1]), p, float(-np.log(0.7)),
        ),
        "binary cross-entropy": (
            losses.BinaryCrossentropy(), np.array([[1.0]]), np.array([[0.7]]), float(-np.log(0.7)),
        ),
    }  # fmt: skip
    for name, (loss, target, outputs, expected) in cases.items():
        targets = np.asarray(target, np.int32 if loss.sparse else np.float32)
        value, _ = kernels.loss_value_and_gradient(np.asarray(outputs, np.float32), targets, loss.name)
        found.check(name, expected, value, 1e-6)
    return found


def normalisation(_: Any) -> Findings:
    found = Findings()
    images = np.arange(1, 2 * 3 * 4 + 1, dtype=float).reshape(2, 3, 4)
    columns = np.linalg.norm(utils.normalize(images, axis=1), axis=1)
    found.check("length of each pixel column of each image", 1.0, float(columns.mean()), 1e-12)
    samples = np.linalg.norm(utils.normalize(images[0], axis=1), axis=1)
    found.check("length of each wine", 1.0, float(samples.mean()), 1e-12)
    return found


ITEMS = (
    Item("A1", "Algorithm 1 and Fig. 1: gradient descent with a constant rate",
         "A too small learning rate finds a local minimum in many steps; a too large one diverges after only two iterations.", algorithm_1),
    Item("E1", "Algorithm 2 and Example 1: exact line search",
         "f = x₁² + 2x₂² - 2x₁x₂ - 2x₂ from (0, 0): the gradient is (0, -2), λ* = 1/4, the first iterate (0, ½), the limit (1, 1).", example_1),
    Item("N1", "Fig. 3, 4: sigmoid, ReLU and their derivatives; weight and bias",
         "g = 1/(1+exp(-a z)) has the slope a g (1-g); the ReLU's is 0 at 0; weights steepen, biases shift.", neurons),
    Item("N2", "Fig. 2, 5-7, 9: perceptrons and networks", "Perceptron with and without bias, with several outputs; one and many hidden layers.", diagrams),
    Item("E2", "Example 2 and Fig. 8: one neuron", "z₂ of the single-layer network is w₂₀ + Σ x_k w_2k.", example_2),
    Item("L1", "Loss functions", "Mean squared error; binary, categorical and sparse categorical cross-entropy.", loss_functions),
    Item("A3", "Algorithms 3, 4 and Fig. 10: backpropagation", "Forward pass, then δ from the last layer down (eq. 11-16), for any depth.", backpropagation),
    Item("E3", "Example 3 and Fig. 11: a step by hand",
         "x = 2, y = 0.25, w₁ = 0.75, w₂ = 0.5, sigmoid, learning rate 1: the error falls from 0.35080 to 0.32287.", example_3),
    Item("A5", "Algorithms 5-7: batch, stochastic and mini-batch", "One update from all rows, from each row, from each batch of rows.", batch_rules),
    Item("P1", "Normalisation", "Division by the Euclidean norm along axis 1.", normalisation),
    Item("F18", "Fig. 18: momentum", "With the same rate of 0.1 momentum converges much faster.", momentum),
    Item("F19", "Algorithm 8 and Fig. 19: Adam", "λ = 5, β₁ = 0.9, β₂ = 0.999, ε = 1e-8: Adam finds a better minimum.", adam),
)  # fmt: skip
