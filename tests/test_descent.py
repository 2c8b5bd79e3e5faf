"""Gradient methods on functions: the values of the thesis, and what happens when they fail."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import nnfast as nn
from nnfast import descent
from nnfast.descent import minimize

FIGURE_1 = (0.000017, -0.001133, 0.029241, -0.36691, 2.234115, -5.510020, 4.722197)
f, df = descent.polynomial(FIGURE_1)
both = pytest.mark.parametrize("grad", [df, None], ids=["derivative", "differences"])


def valley(x: np.ndarray) -> float:
    return x[0] ** 2 + 2 * x[1] ** 2 - 2 * x[0] * x[1] - 2 * x[1]


def valley_gradient(x: np.ndarray) -> np.ndarray:
    return np.array([2 * x[0] - 2 * x[1], 4 * x[1] - 2 * x[0] - 2])


@pytest.mark.parametrize("grad", [valley_gradient, None], ids=["gradient", "differences"])
def test_example_1(grad) -> None:
    run = minimize(valley, [0.0, 0.0], grad, line_search="exact", tol=1e-8, max_iter=200)
    np.testing.assert_allclose(run.gradients[0], [0, -2], atol=1e-6)
    assert run.step_sizes[0] == pytest.approx(0.25, abs=1e-6)
    np.testing.assert_allclose(run.points[1], [0, 0.5], atol=1e-6)
    np.testing.assert_allclose(run.x, [1, 1], atol=1e-6)
    assert (np.diff(run.values) < 1e-12).all()


@both
def test_figure_1(grad) -> None:
    """A small rate takes many steps to a minimum; a large one is gone after two."""
    small = minimize(f, 0.0, grad, learning_rate=0.01, tol=1e-3, max_iter=2000)
    assert small.success
    assert small.iterations > 100
    assert small.x == pytest.approx(2.103, abs=1e-2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        large = minimize(f, 0.0, grad, learning_rate=5.0)
    assert large.status == "diverged"
    assert "diverged in step" in large.message
    assert abs(large.points[2]) > 30  # the picture ends at 25


@both
def test_figure_18(grad) -> None:
    plain = minimize(f, 0.0, grad, learning_rate=0.1, max_iter=3000, tol=1e-9)
    heavy = minimize(f, 0.0, grad, "momentum", 0.1, momentum=0.4, max_iter=3000, tol=1e-9)

    def within(run: descent.Descent) -> int:
        far = np.flatnonzero(np.abs(run.points - run.x) > 1e-3)
        return int(far[-1]) + 1

    assert within(plain) == 55
    assert within(heavy) == 17


@both
def test_figure_19(grad) -> None:
    plain = minimize(f, 0.0, grad, learning_rate=0.1, max_iter=1000)
    assert plain.x == pytest.approx(2.103, abs=1e-3)
    assert plain.value == pytest.approx(0.130, abs=1e-3)
    adam = minimize(f, 0.0, grad, "adam", 5.0, epsilon=1e-8, epsilon_form="corrected", max_iter=1000)
    assert adam.x == pytest.approx(20.523, abs=1e-3)
    assert adam.value == pytest.approx(-6.355, abs=1e-3)


def test_caption_of_figure_18_cannot_be_meant() -> None:
    with pytest.raises(ValueError, match="momentum must be at least 0 and below 1"):
        minimize(f, 0.0, df, "momentum", 0.1, momentum=40.0)


@pytest.mark.parametrize("method", descent.METHODS)
def test_rules_are_those_of_the_engine(method: str) -> None:
    """Steps of a quadratic, against the C kernel on the same gradients in float32."""
    run = minimize(valley, [0.3, -0.2], valley_gradient, method, 0.05, max_iter=20, tol=0)
    optimizer = descent._optimizer(method, 0.05, None, {})
    w = np.float32([0.3, -0.2])
    slots = [np.zeros(2, np.float32) for _ in nn._core.RULES[optimizer.rule][1]]
    for step in range(1, 21):
        nn.kernels.update(
            w, run.gradients[step - 1].astype(np.float32), slots, optimizer.rule, optimizer.hyper(), step
        )
        np.testing.assert_allclose(w, run.points[step], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("method", descent.METHODS)
def test_all_methods_arrive(method: str) -> None:
    run = minimize(valley, [3.0, -2.0], method=method, learning_rate=0.02, max_iter=5000, tol=2e-2)
    np.testing.assert_allclose(run.x, [1, 1], atol=0.1)


def test_an_optimizer_object() -> None:
    given = minimize(valley, [0.0, 0.0], method=nn.optimizers.SGD(0.1, momentum=0.5), max_iter=9)
    named = minimize(valley, [0.0, 0.0], method="momentum", learning_rate=0.1, momentum=0.5, max_iter=9)
    assert (given.points == named.points).all()
    assert given.method == "SGD"


def test_armijo() -> None:
    def rosenbrock(x: np.ndarray) -> float:
        return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2

    run = minimize(rosenbrock, [-1.2, 1.0], line_search="armijo", max_iter=20_000, tol=1e-3)
    assert run.success
    np.testing.assert_allclose(run.x, [1, 1], atol=1e-2)
    assert (np.diff(run.values) < 0).all()
    norms = (run.gradients[:-1] ** 2).sum(axis=1)
    assert (
        run.values[1:] <= run.values[:-1] - descent.ARMIJO_DECREASE * run.step_sizes * norms + 1e-15
    ).all()


def test_exact_search_against_a_fine_grid() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        at, slope = rng.uniform(0.1, 50), rng.uniform(0.5, 5)

        def phi(s: float, at: float = at, slope: float = slope) -> float:
            return math.cosh(slope * (s - at) / at)

        step = descent._exact_step(phi, phi(0.0), 1.0, 0.01)
        assert step == pytest.approx(at, rel=1e-6)


def test_shapes() -> None:
    line = minimize(lambda x: (x - 2) ** 2, 0.0, learning_rate=0.1, max_iter=5)
    assert line.points.shape == line.gradients.shape == (6,)
    assert line.values.shape == (6,)
    assert line.step_sizes.shape == (5,)
    assert isinstance(line.x, float)
    assert line.status == "max_iter"
    plane = minimize(valley, [0, 0], max_iter=5)
    assert plane.points.shape == plane.gradients.shape == (6, 2)
    assert plane.iterations == 5
    there = minimize(valley, [1.0, 1.0])
    assert (there.iterations, there.status) == (0, "converged")


def test_divergence_is_a_result() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for fun in (lambda x: x**4, lambda x: math.exp(float(x) ** 2), lambda x: -(x**3)):
            run = minimize(fun, 3.0, learning_rate=1.0, max_iter=10_000)
            assert run.status == "diverged", run
            assert not run.success


def test_no_descent() -> None:
    run = minimize(abs, 0.0, lambda x: 1.0, line_search="armijo")
    assert run.status == "no_descent"
    assert minimize(abs, 0.0, lambda x: 1.0, line_search="exact").status == "no_descent"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"x0": math.nan}, ValueError, "x0 must be finite"),
        ({"x0": [[1.0]]}, ValueError, r"x0 must be a number or of shape \(n,\), got shape \(1, 1\)"),
        ({"x0": []}, ValueError, "x0 must be a number"),
        ({"method": "adan"}, ValueError, "adam"),
        ({"line_search": "exakt"}, ValueError, "exact"),
        ({"line_search": "exact", "method": "adam"}, ValueError, "needs method='gd'"),
        ({"tol": -1}, ValueError, "tol must be at least 0"),
        ({"max_iter": 1.5}, ValueError, "max_iter must be a whole number"),
        ({"learning_rate": -1}, ValueError, "learning_rate must be at least 0"),
        ({"beta_1": 0.5}, TypeError, "takes the arguments of optimizers.SGD"),
        ({"grad": lambda x: [1.0, 2.0]}, ValueError, "grad must return the shape of x"),
        ({"fun": lambda x: [1.0, 2.0]}, ValueError, "fun must return one number"),
        ({"method": nn.optimizers.SGD(), "learning_rate": 1.0}, ValueError, "must be set on the optimizer"),
    ],
)
def test_bad_input(arguments: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        minimize(**{"fun": lambda x: x**2, "x0": 1.0, **arguments})
