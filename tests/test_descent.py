"""Descents on functions: the examples and figures of the thesis, why each ends, and that the steps are the engine's."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest

from nnfast import _core, descent, optimizers
from nnfast.descent import METHODS, Objective, minimize

from .test_optimizers import OPTIMIZERS
from .tolerances import (
    CENTRAL_RTOL,
    FORMULA_RTOL,
    LINE_SEARCH_ATOL,
    THESIS_LIMIT_ATOL,
    TRAJECTORY_RTOL,
)

FIGURE_1 = np.poly1d([0.000017, -0.001133, 0.029241, -0.36691, 2.234115, -5.510020, 4.722197])
PICTURE = (0.0, 25.0)  # the abscissas that Figure 1 needs to show both minima


def example_1(x: np.ndarray) -> float:
    return x[0] ** 2 + 2 * x[1] ** 2 - 2 * x[0] * x[1] - 2 * x[1]


def example_1_gradient(x: np.ndarray) -> np.ndarray:
    return np.array([2 * x[0] - 2 * x[1], 4 * x[1] - 2 * x[0] - 2])


both_gradients = pytest.mark.parametrize("grad", [FIGURE_1.deriv(), None], ids=["analytic", "differences"])


def arrives(path: descent.Descent, limit: float) -> int:
    """First iteration from which on the path stays near its limit."""
    return int(np.flatnonzero(np.abs(path.points - limit) > THESIS_LIMIT_ATOL)[-1]) + 1


# The thesis


@both_gradients
def test_figure_1_small_rate_takes_many_steps_to_a_minimum(grad: Any) -> None:
    path = minimize(FIGURE_1, 0.0, grad, learning_rate=0.1)
    assert path.success
    assert path.iterations > 50
    assert (np.diff(path.values) < 0).all()
    assert path.x == pytest.approx(2.103, abs=THESIS_LIMIT_ATOL)


@both_gradients
def test_figure_1_large_rate_leaves_the_picture_after_two_iterations(grad: Any) -> None:
    path = minimize(FIGURE_1, 0.0, grad, learning_rate=4.5)
    inside = (path.points >= PICTURE[0]) & (path.points <= PICTURE[1])
    assert inside.tolist() == [True, True] + [False] * (path.iterations - 1)
    assert path.status == "diverged"
    assert not path.success
    assert "steps are too long" in path.message


@pytest.mark.parametrize("grad", [example_1_gradient, None], ids=["analytic", "differences"])
def test_example_1(grad: Any) -> None:
    path = minimize(example_1, (0, 0), grad, line_search="exact")
    np.testing.assert_allclose(path.gradients[0], [0, -2], atol=LINE_SEARCH_ATOL)
    assert path.step_sizes[0] == pytest.approx(0.25, abs=LINE_SEARCH_ATOL)
    np.testing.assert_allclose(path.points[1], [0, 0.5], atol=LINE_SEARCH_ATOL)
    path = minimize(example_1, (0, 0), grad, line_search="exact", tol=LINE_SEARCH_ATOL / 10)
    np.testing.assert_allclose(path.x, [1, 1], atol=LINE_SEARCH_ATOL)
    assert path.success


@both_gradients
def test_figure_18_momentum_arrives_first(grad: Any) -> None:
    plain = minimize(FIGURE_1, 0.0, grad, learning_rate=0.1)
    momentum = minimize(FIGURE_1, 0.0, grad, "momentum", learning_rate=0.1, momentum=0.4)
    assert (arrives(momentum, 2.1031571593), arrives(plain, 2.1031571593)) == (17, 55)


@both_gradients
@pytest.mark.parametrize("epsilon_form", ["uncorrected", "corrected"])
def test_figure_19_adam_finds_the_better_minimum(grad: Any, epsilon_form: str) -> None:
    """Algorithm 8 has the corrected form; at epsilon = 1e-8 the figure does not tell the two apart."""
    plain = minimize(FIGURE_1, 0.0, grad, learning_rate=0.1)
    assert (plain.x, plain.value) == pytest.approx((2.103, 0.130), abs=THESIS_LIMIT_ATOL)
    adam = optimizers.Adam(5.0, 0.9, 0.999, 1e-8, epsilon_form)
    path = minimize(FIGURE_1, 0.0, grad, adam, tol=0, max_iter=1000)
    assert (path.status, path.iterations) == ("max_iter", 1000)
    assert (path.x, path.value) == pytest.approx((20.523, -6.355), abs=THESIS_LIMIT_ATOL)
    assert minimize(FIGURE_1, 0.0, grad, adam).success


# The steps


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("x0", [1.5, [1.5, -0.5, 2.0]], ids=["number", "vector"])
def test_the_path_is_that_of_the_engine(optimizer: optimizers.Optimizer, x0: Any) -> None:
    """Up to float32: the same gradients, given to the C table."""
    curvature = np.array([3.0, 0.5, 1.0]) if np.ndim(x0) else 2.0
    path = minimize(
        lambda x: np.sum(curvature * x * x) / 2, x0, lambda x: curvature * x, optimizer, tol=0, max_iter=50
    )
    x = np.array(x0, np.float32)
    slots = [np.full_like(x, value) for value in optimizer.initial_slots()]
    for t in range(1, 51):
        g = path.gradients[t - 1].astype(np.float32)
        _core.update(x, np.asarray(g), slots, optimizer.rule, optimizer.hyper(), t)
        np.testing.assert_allclose(
            x, path.points[t], atol=TRAJECTORY_RTOL * float(np.max(np.abs(x0))), err_msg=f"{t}"
        )


@pytest.mark.parametrize("method", METHODS)
def test_every_name_descends(method: str) -> None:
    path = minimize(lambda x: x @ x, [3.0, -4.0], method=method, learning_rate=0.01, max_iter=20)
    assert path.value < path.values[0] == 25.0


def test_an_optimizer_object_is_left_as_it_is() -> None:
    adam = optimizers.Adam(0.5)
    path = minimize(abs, 1.0, method=adam, learning_rate=0.25, beta_1=0.0, epsilon=0, max_iter=1)
    assert path.x == pytest.approx(0.75, rel=CENTRAL_RTOL)
    assert (adam.learning_rate, adam.beta_1) == (0.5, 0.9)
    by_class = minimize(abs, 1.0, method=optimizers.Adam, max_iter=3)
    by_name = minimize(abs, 1.0, method="adam", max_iter=3)
    assert by_class.points.tolist() == by_name.points.tolist()


def test_shapes() -> None:
    number = minimize(lambda x: x * x, 1, learning_rate=0.25, max_iter=3, tol=0)
    assert number.points.tolist() == pytest.approx([1, 0.5, 0.25, 0.125], rel=CENTRAL_RTOL)
    assert [a.shape for a in (number.values, number.gradients, number.step_sizes)] == [(4,), (4,), (3,)]
    assert number.step_sizes.tolist() == [0.25] * 3
    vector = minimize(lambda x: x @ x, [1, 2, 3], max_iter=3)
    assert [a.shape for a in (vector.points, vector.gradients, vector.x)] == [(4, 3), (4, 3), (3,)]
    matrix = minimize(lambda x: (x * x).sum(), np.ones((2, 2)), max_iter=3)
    assert matrix.points.shape == (4, 2, 2)
    assert all(a.dtype == np.float64 for a in (number.points, vector.points, matrix.gradients))
    assert pickle.loads(pickle.dumps(vector)).points.tolist() == vector.points.tolist()
    assert repr(number) == "<Descent max_iter after 3 iterations at 0.125, f = 0.015625>"


def test_what_is_passed_is_not_written_to_and_what_is_kept_is_not_shared() -> None:
    def fun(x: np.ndarray) -> float:
        x *= 2
        return float(x @ x)

    x0 = np.array([1.0, 2.0])
    path = minimize(fun, x0, max_iter=2)
    assert x0.tolist() == [1.0, 2.0]
    assert path.points[0].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("scale", [1e-3, 1.0, 20.0])
def test_central_differences(scale: float) -> None:
    x = scale * np.array([1.0, -2.0, 0.5])
    got = Objective(lambda x: np.sin(x[0]) * x[1] ** 2 + np.exp(x[2] / 20)).gradient(x)
    expected = [np.cos(x[0]) * x[1] ** 2, 2 * np.sin(x[0]) * x[1], np.exp(x[2] / 20) / 20]
    np.testing.assert_allclose(got, expected, atol=CENTRAL_RTOL * max(1.0, scale**2))


# Why a descent ends


def test_at_the_minimum_no_step_is_made() -> None:
    path = minimize(lambda x: x * x, 0.0)
    assert (path.status, path.iterations, path.points.tolist()) == ("converged", 0, [0.0])
    assert path.step_sizes.shape == (0,)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fun", [lambda x: -(x**4), lambda x: -math.exp(x * x), lambda x: -np.exp(x * x)])
def test_divergence_is_reported_not_warned_of(method: str, fun: Any) -> None:
    """RuntimeWarnings are errors in this suite; Python's own functions raise OverflowError."""
    path = minimize(fun, 2.0, method=method, learning_rate=1e4, max_distance=1e6)
    assert path.status == "diverged"
    assert path.iterations < 1000  # those that sum squares slow down
    assert np.isfinite(path.values[:-1]).all()


def test_a_function_that_is_nowhere_finite() -> None:
    path = minimize(lambda x: math.nan, 1.0)
    assert (path.status, path.iterations) == ("diverged", 0)


@pytest.mark.parametrize("line_search", ["exact", "armijo"])
def test_a_function_without_a_minimum(line_search: Any) -> None:
    assert minimize(lambda x: -x, 0.0, line_search=line_search, max_iter=10**6, max_distance=100).status == (
        "diverged"
    )


def test_max_iter() -> None:
    path = minimize(lambda x: x * x, 1.0, max_iter=7)
    assert (path.status, path.iterations, path.success) == ("max_iter", 7, False)
    assert "raise max_iter" in path.message


# Line searches


@pytest.mark.parametrize("curvature", [1e-6, 1e-2, 1.0, 1e4, 1e9])
def test_exact_line_search_finds_the_minimum_of_a_parabola_at_once(curvature: float) -> None:
    path = minimize(
        lambda x: curvature * (x - 3) ** 2 / 2 + 5,
        1.0,
        lambda x: curvature * (x - 3),
        line_search="exact",
        tol=1e-9 * curvature,
        max_iter=1,
    )
    assert path.x == pytest.approx(3.0, rel=FORMULA_RTOL)
    assert path.step_sizes[0] == pytest.approx(1 / curvature, rel=FORMULA_RTOL)


def test_exact_line_search_stops_at_a_wall_and_at_a_kink() -> None:
    path = minimize(
        lambda x: x - math.log(x) if x > 0 else math.inf,
        5.0,
        lambda x: 1 - 1 / x,
        line_search="exact",
    )
    assert (path.status, path.iterations) == ("converged", 1)
    assert path.x == pytest.approx(1.0, rel=FORMULA_RTOL)
    path = minimize(abs, 3.0, lambda x: np.sign(x), line_search="exact", max_iter=1)
    assert path.x == pytest.approx(0.0, abs=FORMULA_RTOL)


def test_armijo_keeps_its_promise() -> None:
    path = minimize(FIGURE_1, 0.0, line_search="armijo", learning_rate=4.5)
    assert path.success
    fall = -np.diff(path.values)
    assert (fall >= descent.ARMIJO_SLOPE * path.step_sizes * path.gradients[:-1] ** 2).all()
    halvings = np.log2(4.5 / path.step_sizes)
    assert (halvings == halvings.round()).all()


def test_a_line_search_at_the_limit_of_rounding_says_so() -> None:
    path = minimize(example_1, (0, 0), example_1_gradient, line_search="armijo", tol=0)
    assert path.status == "stalled"
    assert "as low as its rounding allows" in path.message
    np.testing.assert_allclose(path.x, [1, 1], atol=LINE_SEARCH_ATOL)
    uphill = minimize(lambda x: x * x, 1.0, lambda x: -2 * x, line_search="armijo")
    assert (uphill.status, uphill.iterations) == ("stalled", 0)


# What is refused

SQUARE: Any = lambda x: np.sum(np.square(x))  # noqa: E731


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"x0": math.nan}, ValueError, "x0 must be finite, got nan"),
        ({"x0": [1.0, math.inf]}, ValueError, "x0 must be finite"),
        ({"x0": []}, ValueError, "x0 must have at least one number"),
        ({"x0": "0"}, TypeError, "x0 must hold real numbers"),
        ({"method": "momentun"}, ValueError, r"Unknown method 'momentun'. Did you mean 'momentum'\? Known: gd"),
        ({"method": 3}, TypeError, "method must be a name"),
        ({"method": "adam", "beta1": 0.5}, ValueError, "Unknown setting of Adam 'beta1'. Did you mean 'beta_1'"),
        ({"momentum": 40}, ValueError, "momentum must be at least 0 and below"),
        ({"learning_rate": -1}, ValueError, "learning_rate must be at least 0"),
        ({"tol": -1}, ValueError, "tol must be at least 0 and finite, got -1"),
        ({"tol": math.nan}, ValueError, "tol must be at least 0"),
        ({"tol": "small"}, TypeError, "tol must be a number"),
        ({"max_distance": -1}, ValueError, "max_distance must be at least 0"),
        ({"max_iter": 0}, ValueError, "max_iter must be a whole number > 0, got 0"),
        ({"max_iter": 1.5}, ValueError, "max_iter must be a whole number > 0"),
        ({"line_search": "exakt"}, ValueError, "Unknown line_search 'exakt'. Did you mean 'exact'"),
        ({"line_search": "exact", "method": "adam"}, ValueError, "line_search must be None with Adam"),
        ({"line_search": "armijo", "momentum": 0.5}, ValueError, "line_search must be None with SGD"),
        ({"line_search": "exact", "learning_rate": 1}, ValueError, "learning_rate must be None"),
        ({"fun": 3}, TypeError, "fun must be a function of the point, got 3"),
        ({"grad": 3}, TypeError, "grad must be a function of the point, got 3"),
        ({"fun": lambda x: x * x}, ValueError, r"fun must return one number, got shape \(2,\)"),
        ({"fun": lambda x: 1j}, TypeError, "the result of fun must hold real numbers"),
        ({"fun": lambda x: None}, TypeError, "the result of fun must hold real numbers"),
        ({"grad": lambda x: x[:1]}, ValueError, r"the shape of the point, \(2,\), got shape \(1,\)"),
        ({"grad": lambda x: 1.0}, ValueError, r"the shape of the point, \(2,\), got shape \(\)"),
    ],
)  # fmt: skip
def test_errors(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        minimize(**{"fun": SQUARE, "x0": [1.0, 2.0], **arguments})


def test_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match="minimize"):
        descent.minimise  # noqa: B018
