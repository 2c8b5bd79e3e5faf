"""Gradient methods on any function of one or more variables, with the whole trajectory to look at.

The update rules are the engine's: an optimizer of `nnfast.optimizers` names a row of its table, and `nnfast.reference` applies that row, which tests
hold equal to the C one, here in float64, because a trajectory is to be right to more digits than a network needs. What is added are the two step
sizes that training has no use for: exact line search (Algorithm 2 of the thesis) and Armijo's backtracking.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import optimizers, reference
from .names import unknown_name

Vector = NDArray[np.float64]
Function = Callable[[Any], Any]

LINE_SEARCHES = ("exact", "armijo")

METHODS: dict[str, tuple[type[optimizers.Optimizer], dict[str, Any]]] = {
    "gd": (optimizers.SGD, {}),
    "momentum": (optimizers.SGD, {"momentum": 0.9}),
    "nesterov": (optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
    "rmsprop": (optimizers.RMSprop, {}),
    "adam": (optimizers.Adam, {}),
}
"""Name -> optimizer, and arguments that differ from its defaults."""

DIFFERENCE = float(np.finfo(np.float64).eps) ** (1 / 3)
"""Step of a central difference relative to max(1, |x|), where its two errors balance (Nocedal and Wright, 2006, section 8.1)."""

DIVERGED = 1e12
"""A coordinate further out than this times max(1, |x0|) is on its way to infinity."""

ARMIJO_DECREASE = 1e-4
"""c1 of the sufficient decrease f(x - s g) <= f(x) - c1 s |g|^2 (Nocedal and Wright, 2006, section 3.1)."""

GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Descent:
    """What `minimize` returns: T steps, T + 1 points.

    Attributes
    ----------
    points : ndarray (T + 1, n), or (T + 1,) for a function of one variable
    values : ndarray (T + 1,)
        f at each point.
    gradients : ndarray, shape of `points`
        At each point; NaN where a diverging run has left what can be computed.
    step_sizes : ndarray (T,)
        What the gradient was multiplied with: the learning rate, or what the line search found.
    status : {"converged", "max_iter", "diverged", "no_descent"}
        Why it stopped.
    message : str
        The same in a sentence.
    method : str
        The name of the method.
    """

    points: Vector
    values: Vector
    gradients: Vector
    step_sizes: Vector
    status: str
    message: str
    method: str

    @property
    def x(self) -> Any:
        """The last point: an array, or a float for a function of one variable."""
        return self.points[-1] if self.points.ndim > 1 else float(self.points[-1])

    @property
    def value(self) -> float:
        """f at the last point."""
        return float(self.values[-1])

    @property
    def iterations(self) -> int:
        """Steps made."""
        return len(self.step_sizes)

    @property
    def success(self) -> bool:
        """Whether the gradient became small enough."""
        return self.status == "converged"


def minimize(
    fun: Function,
    x0: ArrayLike,
    grad: Function | None = None,
    method: str | optimizers.Optimizer = "gd",
    learning_rate: float | None = None,
    line_search: str | None = None,
    tol: float = 1e-6,
    max_iter: int = 1000,
    **hyper: Any,
) -> Descent:
    """Follow a gradient method from a point, and keep every step.

    `x -= s grad f(x)` for "gd" (Algorithm 1 of the thesis; its Algorithms 5 to 7 print the step without the old point and the minus, which the text and
    Algorithm 3 have); the other methods as their optimizers say.

    Parameters
    ----------
    fun : callable
        f(x) -> number; x is a float for a scalar x0, else an array (n,).
    x0 : float or array_like (n,)
        Where to begin.
    grad : callable, optional
        The gradient, of the shape of x. By default central differences with a step of 6e-6 max(1, |x|).
    method : {"gd", "momentum", "nesterov", "rmsprop", "adam"} or Optimizer, default "gd"
    learning_rate : float, optional
        Default: that of the optimizer (0.01, 0.001 for "rmsprop" and "adam"). With "armijo" the step that is tried first, default 1.
    line_search : {None, "exact", "armijo"}
        "exact": s = argmin f(x - s grad f(x)) over s >= 0 (Algorithm 2); it finds the nearest minimum along the ray. "armijo": s is halved until f has
        decreased enough. Only with "gd".
    tol : float, default 1e-6
        It has converged when the Euclidean norm of the gradient is at most this.
    max_iter : int, default 1000
        Most steps.
    **hyper
        Further arguments of the optimizer: momentum, beta_1, beta_2, epsilon, rho, ...

    Returns
    -------
    Descent

    Raises
    ------
    ValueError, TypeError
        An argument does not fit; nothing has been computed. A function that overflows raises nothing: the run has diverged, and says so.

    Examples
    --------
    The first example of the thesis, whose first step is 1/4:

    >>> f = lambda x: x[0] ** 2 + 2 * x[1] ** 2 - 2 * x[0] * x[1] - 2 * x[1]
    >>> run = minimize(f, [0.0, 0.0], line_search="exact")
    >>> run.step_sizes[0].round(6), run.points[1].round(6), run.x.round(4)
    (np.float64(0.25), array([0. , 0.5]), array([1., 1.]))
    """
    optimizer = _optimizer(method, learning_rate, line_search, hyper)
    start = np.array(x0, dtype=np.float64)
    if start.ndim > 1 or start.size == 0:
        raise ValueError(f"x0 must be a number or of shape (n,), got shape {start.shape}.")
    if not np.isfinite(start).all():
        raise ValueError(f"x0 must be finite, got {start}.")
    if not tol >= 0:
        raise ValueError(f"tol must be at least 0, got {tol!r}.")
    if isinstance(max_iter, bool) or not isinstance(max_iter, int) or max_iter < 0:
        raise ValueError(f"max_iter must be a whole number from 0, got {max_iter!r}.")
    problem = _Problem(fun, grad, start.ndim == 0)
    first_step = 1.0 if line_search == "armijo" and learning_rate is None else optimizer.learning_rate
    with np.errstate(all="ignore"):  # what overflows has diverged
        name = method if isinstance(method, str) else type(method).__name__
        return _descend(
            problem, np.atleast_1d(start), optimizer, name, line_search, first_step, tol, max_iter
        )


def _optimizer(
    method: str | optimizers.Optimizer,
    learning_rate: float | None,
    line_search: str | None,
    hyper: dict[str, Any],
) -> optimizers.Optimizer:
    if line_search is not None and line_search not in LINE_SEARCHES:
        raise unknown_name("line_search", str(line_search), LINE_SEARCHES)
    if line_search is not None and method != "gd":
        raise ValueError(
            f"line_search={line_search!r} needs method='gd', whose step is along the gradient, got {method!r}."
        )
    if isinstance(method, optimizers.Optimizer):
        if learning_rate is not None or hyper:
            raise ValueError(
                "learning_rate and further arguments must be set on the optimizer that is given."
            )
        return method
    if method not in METHODS:
        raise unknown_name("method", str(method), METHODS)
    cls, defaults = METHODS[method]
    if learning_rate is not None:
        hyper = {"learning_rate": learning_rate, **hyper}
    try:
        return cls(**{**defaults, **hyper})
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise TypeError(
            f"method={method!r} takes the arguments of optimizers.{cls.__name__}: {error}."
        ) from None


class _Problem:
    """f and its gradient on vectors, whatever the user's functions take; what cannot be computed is infinite."""

    def __init__(self, fun: Function, grad: Function | None, scalar: bool) -> None:
        self.fun, self.grad, self.scalar = fun, grad, scalar

    def _argument(self, x: Vector) -> Any:
        return x[0] if self.scalar else x.copy()

    def value(self, x: Vector) -> float:
        try:
            result = np.asarray(self.fun(self._argument(x)), dtype=np.float64)
        except OverflowError:
            return math.inf
        if result.size != 1:
            raise ValueError(f"fun must return one number, got shape {result.shape}.")
        return float(result.reshape(()))

    def gradient(self, x: Vector) -> Vector:
        if self.grad is None:
            return self._differences(x)
        try:
            result = np.asarray(self.grad(self._argument(x)), dtype=np.float64)
        except OverflowError:
            return np.full_like(x, np.nan)
        if result.size != x.size or result.ndim > 1:
            expected = "()" if self.scalar else x.shape
            raise ValueError(f"grad must return the shape of x, {expected}, got {result.shape}.")
        return result.reshape(x.shape)

    def _differences(self, x: Vector) -> Vector:
        result = np.empty_like(x)
        for i, here in enumerate(x):
            step = DIFFERENCE * max(1.0, abs(here))
            around = []
            for sign in (1.0, -1.0):
                shifted = x.copy()
                shifted[i] = here + sign * step
                around.append((self.value(shifted), shifted[i]))
            (above, right), (below, left) = around
            result[i] = (above - below) / (right - left)  # the step as it was rounded
        return result


def _descend(
    problem: _Problem,
    x: Vector,
    optimizer: optimizers.Optimizer,
    name: str,
    line_search: str | None,
    first_step: float,
    tol: float,
    max_iter: int,
) -> Descent:
    slots = [np.zeros_like(x) for _ in reference.RULES[optimizer.rule].slots]
    far = DIVERGED * max(1.0, float(np.abs(x).max()))
    points, values, gradients = [x.copy()], [problem.value(x)], [problem.gradient(x)]
    steps: list[float] = []
    status, message = "max_iter", f"stopped after max_iter={max_iter} steps"
    while True:
        g, value = gradients[-1], values[-1]
        if not (math.isfinite(value) and np.isfinite(g).all() and np.abs(x).max() <= far):
            status, message = "diverged", f"diverged in step {len(steps)}: f({points[-1]}) = {value:g}"
            break
        norm = float(np.linalg.norm(g))
        if norm <= tol:
            status, message = "converged", f"the norm of the gradient, {norm:.3g}, is at most tol={tol:g}"
            break
        if len(steps) == max_iter:
            break
        if line_search is None:
            step = optimizer.learning_rate
            reference.update(x, g, slots, optimizer.rule, optimizer.hyper(), len(steps) + 1)
        else:
            search = _exact_step if line_search == "exact" else _armijo_step
            found = search(lambda s, x=x, g=g: problem.value(x - s * g), value, norm, first_step)  # type: ignore[misc]
            if found is None:
                status, message = "no_descent", "no step along the negative gradient makes f smaller"
                break
            step = found
            reference.update(x, g, slots, "sgd", (step,), len(steps) + 1)
        steps.append(step)
        points.append(x.copy())
        values.append(problem.value(x))
        gradients.append(problem.gradient(x))
    shape = (len(points),) if problem.scalar else (len(points), len(x))
    return Descent(
        np.array(points).reshape(shape),
        np.array(values),
        np.array(gradients).reshape(shape),
        np.array(steps, dtype=np.float64),
        status,
        message,
        name if line_search is None else f"{line_search} line search",
    )


def _armijo_step(phi: Callable[[float], float], value: float, norm: float, first: float) -> float | None:
    """The first of first, first / 2, ... that decreases enough."""
    step = first
    while step * norm > np.finfo(np.float64).tiny:
        if phi(step) <= value - ARMIJO_DECREASE * step * norm**2:
            return step
        step /= 2
    return None


def _exact_step(phi: Callable[[float], float], value: float, norm: float, first: float) -> float | None:
    """A minimum of phi over s >= 0: bracketed by doubling, then by golden sections, ended by a parabola.

    Golden sections compare values, which near a minimum differ by less than they are rounded; the parabola through three points well apart has the
    minimum to more digits (Brent, 1973, chapter 5).
    """
    middle = first if first > 0 else 1.0
    while not phi(middle) < value:
        middle /= 2
        if middle * norm < np.finfo(np.float64).tiny:
            return None
    high = 2 * middle
    while phi(high) < phi(middle):
        middle, high = high, 2 * high
        if not math.isfinite(phi(high)) or high > DIVERGED:
            return middle  # no minimum on this ray: the caller will see f go down for ever
    low = middle / 2 if phi(middle / 2) > phi(middle) else 0.0
    while high - low > 1e-3 * high:
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        if phi(left) < phi(right):
            high = right
        else:
            low = left
    middle = (low + high) / 2
    for _ in range(3):  # each about a thousand times nearer, until rounding ends it
        width = max(high - low, 1e-4 * middle)
        below, here, above = phi(middle - width), phi(middle), phi(middle + width)
        curvature = below - 2 * here + above
        if not curvature > 0:
            break
        shift = width * (below - above) / (2 * curvature)
        if not abs(shift) <= width:
            break
        middle += shift
        low = high = middle
    return max(middle, 0.0)


def polynomial(coefficients: Sequence[float]) -> tuple[Function, Function]:
    """f and its derivative, from the coefficients of the highest power down.

    Examples
    --------
    >>> f, df = polynomial([1, 0, -2])
    >>> print(f(3.0), df(3.0))
    7.0 6.0
    """
    f = np.poly1d(list(coefficients))
    return f, f.deriv()
