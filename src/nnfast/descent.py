"""Gradient descent on any function of one or more numbers, with the whole path it takes (thesis, Algorithms 1,
2 and 8).

The update rules are not written here: a method is one of `optimizers`, and its step is the row of that name in
`reference`, which a test holds equal to the engine's C table. That twin is used, and not the engine, for its
float64: the engine's float32 would end a descent at 1e-7 of its scale and leave nothing of a central
difference. What stands here is what training does not have: gradients by differences, line searches, and why a
descent stopped.

The update is that of the thesis' text and Algorithm 3, x - lambda grad f(x); its Algorithms 5-7 print it without
the minus and the old x. The step size, lambda in the thesis (alpha in the sentence below Algorithm 8), is
`learning_rate`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import optimizers, reference
from .data import arrays
from .names import resolve, unknown_attribute, unknown_name
from .optimizers import SGD, Optimizer, checked_number

__all__ = ["METHODS", "Descent", "Objective", "minimize"]

Point = NDArray[np.float64]
Function = Callable[[Any], Any]
Status = Literal["converged", "max_iter", "diverged", "stalled"]

METHODS: dict[str, Callable[[], Optimizer]] = {
    "gd": SGD,
    **optimizers.KNOWN,
    "momentum": partial(SGD, momentum=0.9),  # the value in common use; Keras has no default but 0
    "nesterov": partial(SGD, momentum=0.9, nesterov=True),
}
"""Name -> the optimizer it stands for: those of `nnfast.optimizers`, and the names that books use."""

DIFFERENCE_STEP = float(np.finfo(np.float64).eps) ** (1 / 3)
"""Step h of a central difference, times max(|x|, 1): it balances the error of the formula, h^2 f'''/6, and that of rounding,
eps f/h (Nocedal and Wright, Numerical Optimization, 2006, section 8.1). Some ten digits of the gradient are right."""

ARMIJO_SLOPE = 1e-4
"""Share of the decrease that the slope promises which a step must bring (Nocedal and Wright, section 3.1)."""

ARMIJO_SHRINK = 0.5
"""Factor from one trial step to the next (Armijo, Pacific Journal of Mathematics 16, 1966)."""

TRIALS = 100
"""Steps that a line search tries: 2^-100 of a first step is nothing, and the 53 bits of a double take 53 bisections."""

VALUE_ROUNDING = 4 * float(np.finfo(np.float64).eps)
"""Values of f that differ by less than this part of themselves are not told apart by a line search."""


@dataclass(frozen=True, eq=False)
class Descent:
    """The path of a descent, and why it ended.

    Attributes
    ----------
    points : float64 (T+1, *shape of x0)
        x0 and the point after each of T iterations: (T+1,) for a number, (T+1, n) for n of them.
    values : float64 (T+1,)
        f at the points.
    gradients : float64, the shape of points
        The gradient there.
    step_sizes : float64 (T,)
        lambda of each iteration: the learning rate, or what the line search found.
    status : {"converged", "max_iter", "diverged", "stalled"}
        The gradient's norm fell to `tol`; `max_iter` iterations were made; the descent left all bounds (its last
        point is where it was found out, and may not be finite); a line search found no smaller value.
    message : str
        The same in words, with the numbers.
    """

    points: Point
    values: Point
    gradients: Point
    step_sizes: Point
    status: Status
    message: str

    @property
    def x(self) -> Any:
        """The last point: float64, or an array of the shape of x0."""
        return self.points[-1]

    @property
    def value(self) -> float:
        """f at the last point."""
        return float(self.values[-1])

    @property
    def iterations(self) -> int:
        """T, the number of updates made."""
        return len(self.step_sizes)

    @property
    def success(self) -> bool:
        """Whether the descent converged."""
        return self.status == "converged"

    def __repr__(self) -> str:
        place = np.array2string(np.asarray(self.x), precision=6, threshold=6)
        return f"<Descent {self.status} after {self.iterations} iterations at {place}, f = {self.value:.6g}>"


class Objective:
    """A function and its gradient, checked and without warnings: where it overflows it is infinite.

    Parameters
    ----------
    fun : callable
        Takes a float64 or an array of the shape of the points and returns one number.
    grad : callable, optional
        Takes the same and returns its gradient, of the same shape; central differences when None.

    Examples
    --------
    >>> square = Objective(lambda x: x**2)
    >>> square.value(np.array(3.0)), float(square.gradient(np.array(3.0)).round(6))
    (9.0, 6.0)
    """

    def __init__(self, fun: Function, grad: Function | None = None) -> None:
        for name, function in {"fun": fun, "grad": grad}.items():
            if not (callable(function) or (name == "grad" and function is None)):
                raise TypeError(f"{name} must be a function of the point, got {function!r}.")
        self._fun = fun
        self._grad = grad

    def value(self, x: Point) -> float:
        """f(x)

        Raises
        ------
        TypeError, ValueError
            `fun` returns something else than one real number.
        """
        result = arrays.to_numpy(_call(self._fun, x, math.inf), "the result of fun")
        if result.size != 1:
            raise ValueError(
                f"fun must return one number, got shape {result.shape}. Sum it up, or pass one point at a time."
            )
        return float(result.item())

    def gradient(self, x: Point) -> Point:
        """The gradient at x, of the shape of x.

        Raises
        ------
        TypeError, ValueError
            `grad` returns something else than real numbers of this shape.
        """
        if self._grad is None:
            return self._central_differences(x)
        result = arrays.to_numpy(_call(self._grad, x, np.full(x.shape, math.nan)), "the result of grad")
        if result.shape != x.shape:
            raise ValueError(
                f"grad must return what has the shape of the point, {x.shape}, got shape {result.shape}. "
                "Return one derivative for each number of x0."
            )
        return result.astype(np.float64)

    def _central_differences(self, x: Point) -> Point:
        gradient = np.empty_like(x)
        for place in np.ndindex(x.shape):
            step = DIFFERENCE_STEP * max(abs(x[place]), 1.0)
            above, below = x.copy(), x.copy()
            above[place] += step
            below[place] -= step
            distance = float(above[place] - below[place])  # as rounded: 2 h only nearly
            gradient[place] = (self.value(above) - self.value(below)) / distance
        return gradient


def _call(function: Function, x: Point, overflowed: Any) -> Any:
    """The function of a point of its own; Python's `math` raises where NumPy's functions become infinite."""
    try:
        with np.errstate(all="ignore"):
            return function(x.copy()[()])
    except OverflowError:
        return overflowed


def minimize(
    fun: Function,
    x0: ArrayLike,
    grad: Function | None = None,
    method: object = "gd",
    learning_rate: float | None = None,
    line_search: Literal["exact", "armijo"] | None = None,
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    max_distance: float = 1e10,
    **hyper: Any,
) -> Descent:
    """Follow the gradient down from x0 until its norm is at most `tol`.

    "gd": `x -= learning_rate grad f(x)` (thesis, Algorithm 1); with `line_search="exact"` the step is the
    lambda* >= 0 at which f(x - lambda grad f(x)) is least (Algorithm 2). The other methods are those of
    `optimizers`, where their formulas are.

    Parameters
    ----------
    fun : callable
        Takes a float64, or an array of the shape of x0, and returns one number.
    x0 : float or array_like of floats
        Where to start; finite.
    grad : callable, optional
        Takes what fun takes and returns the gradient, of the same shape. None: central differences, with step
        `DIFFERENCE_STEP` max(|x|, 1).
    method : str or Optimizer, default "gd"
        A name in `METHODS`: "gd" (also "sgd": there is nothing stochastic here), "momentum", "nesterov" (both
        with momentum 0.9), "rmsprop", "adam", ...; or an optimizer, its class or its configuration. An object
        stays as it is.
    learning_rate : float, optional
        None: that of the method, 0.01 or 0.001; with line_search="armijo" the step to try first, 1 by default.
        An exact line search has none.
    line_search : {"exact", "armijo"}, optional
        For plain gradient descent only. "exact": the first minimum that doubling the last step runs into.
        "armijo": halves the step until f falls by at least `ARMIJO_SLOPE` lambda |grad f|^2.
    tol : float, default 1e-6
        Bound of the gradient's Euclidean norm. With 0 all of `max_iter` are made.
    max_iter : int, default 1000
    max_distance : float, default 1e10
        Distance from x0 beyond which a descent has diverged, as it has where f or its gradient is not finite.
    **hyper
        Settings of the method: `momentum=0.4`, `beta_1=0.8`, `epsilon_form="corrected"`, ... Momentum, alpha in
        the thesis, is at most 1: more would diverge on every function.

    Returns
    -------
    Descent
        Also of a descent that diverged; there is no warning and no exception.

    Raises
    ------
    ValueError
        An unknown name or setting; a number out of range; x0 not finite; a result of another shape; a line
        search with another method than gradient descent.
    TypeError
        What should be a number or a function is none.

    Examples
    --------
    Example 1 of the thesis: the first step is 1/4, to (0, 1/2), and the limit is (1, 1).

    >>> path = minimize(lambda x: x[0]**2 + 2 * x[1]**2 - 2 * x[0] * x[1] - 2 * x[1], [0, 0], line_search="exact")
    >>> float(path.step_sizes[0].round(6)), path.points[1].round(6), path.x.round(4)
    (0.25, array([0. , 0.5]), array([1., 1.]))

    >>> minimize(lambda x: x**4, 10.0, learning_rate=1.0).status
    'diverged'
    """
    objective = Objective(fun, grad)
    start = _start(x0)
    optimizer = _optimizer(method, hyper)
    if learning_rate is not None:
        optimizer.learning_rate = learning_rate
    if optimizer.is_scheduled:
        raise ValueError(
            f"the learning rate of a descent must be a number, got {optimizer!r}. Pass learning_rate=, or line_search=."
        )
    search = _search(line_search, optimizer, learning_rate)
    tol = checked_number("tol", tol)
    max_distance = checked_number("max_distance", max_distance)
    if not isinstance(max_iter, int | np.integer) or isinstance(max_iter, bool) or max_iter < 1:
        raise ValueError(f"max_iter must be a whole number > 0, got {max_iter!r}.")

    x = start.copy()
    slots = [np.full_like(x, value) for value in optimizer.initial_slots()]
    path = _Path(objective)
    while True:
        path.visit(x)
        verdict = path.verdict(tol, max_iter, max_distance)
        if verdict is None and search is not None:
            optimizer.learning_rate = search(path, max_distance)
            verdict = None if optimizer.learning_rate else path.stalled()
        if verdict is not None:
            return path.ended(*verdict)
        path.steps.append(optimizer.learning_rate)
        reference.update(x, path.gradients[-1], slots, optimizer.rule, optimizer.hyper(), len(path.steps))


class _Path:
    """A descent while it goes on."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.points: list[Point] = []
        self.values: list[float] = []
        self.gradients: list[Point] = []
        self.steps: list[float] = []

    def visit(self, x: Point) -> None:
        """Note the point, f and its gradient there; a point that is not finite has neither."""
        finite = np.isfinite(x).all()
        self.points.append(x.copy())
        self.values.append(self.objective.value(x) if finite else math.nan)
        self.gradients.append(self.objective.gradient(x) if finite else np.full(x.shape, math.nan))

    @property
    def norm(self) -> float:
        """Of the last gradient."""
        return math.hypot(*self.gradients[-1].flat)

    def ahead(self, step: float) -> Point:
        """The point that a step along the last gradient would reach."""
        return np.asarray(self.points[-1] - step * self.gradients[-1])

    @property
    def place(self) -> str:
        return f"after {len(self.steps)} iterations"

    def verdict(self, tol: float, max_iter: int, max_distance: float) -> tuple[Status, str] | None:
        """Why the descent ends at the last point, if it does."""
        x, value = self.points[-1], self.values[-1]
        distance = math.dist(x.flat, self.points[0].flat)
        if not (math.isfinite(value) and math.isfinite(self.norm) and distance <= max_distance):
            where = np.array2string(x, precision=4, threshold=6)
            return "diverged", (
                f"out of bounds {self.place}, at {where} with f = {value:g}: the steps are too long, or f has no "
                "minimum this way"
            )
        if self.norm <= tol:
            return "converged", f"gradient of norm {self.norm:.3g} {self.place}, tol = {tol:g}"
        if len(self.steps) == max_iter:
            return "max_iter", f"gradient of norm {self.norm:.3g} {self.place}, tol = {tol:g}; raise max_iter"
        return None

    def stalled(self) -> tuple[Status, str]:
        return "stalled", (
            f"no smaller f along a gradient of norm {self.norm:.3g} {self.place}: f is as low as its rounding "
            "allows, or grad is not its gradient"
        )

    def ended(self, status: Status, message: str) -> Descent:
        return Descent(
            points=np.array(self.points),
            values=np.array(self.values),
            gradients=np.array(self.gradients),
            step_sizes=np.array(self.steps, np.float64),
            status=status,
            message=message,
        )


# Line searches: lambda > 0 for the next step from the last point of a path, or 0 where there is none.

Search = Callable[[_Path, float], float]


@np.errstate(over="ignore", invalid="ignore")
def _exact(path: _Path, max_distance: float) -> float:
    """The lambda* at which f(x - lambda g) ends its fall (thesis, Algorithm 2).

    A step is too long where f rises along the line, or is above its start, or is not finite. The first step is doubled until it is
    too long (or out of bounds, which is then the verdict); between a step that is and one that is not lies a minimum, which
    bisection finds. It looks at the slope, as the values near a minimum agree to half of their digits (Brent, Algorithms for
    Minimization without Derivatives, 1973, chapter 5).
    """
    objective = path.objective
    highest = path.values[-1] + VALUE_ROUNDING * abs(path.values[-1])

    def low_enough(step: float) -> bool:
        return objective.value(path.ahead(step)) <= highest

    def too_long(step: float) -> bool:
        slope = -np.vdot(objective.gradient(path.ahead(step)), path.gradients[-1])
        return not (low_enough(step) and slope < 0)

    short, long = 0.0, path.steps[-1] if path.steps else 1.0
    while not too_long(long):
        short, long = long, 2.0 * long
        if long * path.norm > max_distance:
            return 2.0 * long
    for _ in range(TRIALS):
        middle = (short + long) / 2.0
        if middle in (short, long):
            break
        short, long = (short, middle) if too_long(middle) else (middle, long)
    return long if short and low_enough(long) else short


@np.errstate(over="ignore", invalid="ignore")
def _armijo(path: _Path, first: float) -> float:
    """The first of lambda, lambda/2, lambda/4, ... with f(x - lambda g) <= f(x) - `ARMIJO_SLOPE` lambda |g|^2."""
    value, gradient = path.values[-1], path.gradients[-1]
    promised = ARMIJO_SLOPE * np.vdot(gradient, gradient)
    step = first
    for _ in range(TRIALS):
        reached = path.objective.value(path.ahead(step))
        # What is promised may be too small to be subtracted; f falls all the same.
        if reached < value and reached <= value - step * promised:
            return step
        step *= ARMIJO_SHRINK
    return 0.0


# Checks


def _start(x0: ArrayLike) -> Point:
    x = arrays.to_numpy(x0, "x0").astype(np.float64)
    if not x.size:
        raise ValueError(f"x0 must have at least one number, got shape {x.shape}.")
    if not np.isfinite(x).all():
        raise ValueError(f"x0 must be finite, got {np.array2string(x, threshold=6)}.")
    return x


def _optimizer(method: object, hyper: dict[str, Any]) -> Optimizer:
    """A new optimizer with these settings; whoever passed one keeps his."""
    chosen = resolve("method", method, Optimizer, METHODS)
    config = chosen.get_config()
    for name in hyper:
        if name not in config:
            raise unknown_name(f"setting of {type(chosen).__name__}", name, config)
    return chosen.from_config({**config, **hyper})


def _search(line_search: object, optimizer: Optimizer, learning_rate: float | None) -> Search | None:
    """The line search of this name, if there is to be one and it fits the method."""
    if line_search is None:
        return None
    if line_search not in ("exact", "armijo"):
        raise unknown_name("line_search", str(line_search), ["exact", "armijo"])
    if optimizer.rule != "sgd":
        raise ValueError(
            f"line_search must be None with {optimizer!r}, whose steps do not follow the gradient, got "
            f"{line_search!r}. Use method='gd'."
        )
    if line_search == "armijo":
        first = 1.0 if learning_rate is None else optimizer.learning_rate
        return lambda path, _: _armijo(path, first)
    if learning_rate is not None:
        raise ValueError(
            f"learning_rate must be None with line_search='exact', which finds it, got {learning_rate!r}. "
            "Leave it out."
        )
    return _exact


def __getattr__(name: str) -> Any:
    raise unknown_attribute(__name__, name, __all__)
