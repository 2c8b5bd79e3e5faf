"""The engine's twin in pure NumPy: the oracle of the tests and the baseline of the benchmarks.

The functions of `kernels` under the same names and arguments, for any float type, and `Net` with the interface of the native network. Matrix products go to
BLAS and updates are made in place, as a careful author of NumPy code would; nothing is written for speed at the cost of being read. In float64 it is what
the kernels are held against, and is itself held against central differences. It does not import the engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nnfast.errors import NonFiniteError
from nnfast.names import unknown_name

if TYPE_CHECKING:
    from nnfast.kernels import ActivationLike

Array = NDArray[Any]

PROBABILITY_MIN, PROBABILITY_MAX = 1e-7, 1 - 1e-7  # Keras' epsilon
POLL_SECONDS = 0.01


# Activations: value and slope, the slope as a function of the output a.


def _relu(z: Array, _: float) -> Array:
    return np.where(z < 0, z.dtype.type(0), z)  # keeps NaN


def _sigmoid(z: Array, slope: float) -> Array:
    with np.errstate(over="ignore"):
        result: Array = 1 / (1 + np.exp(-slope * z))
    return result


def _softmax(z: Array, _: float) -> Array:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    e /= e.sum(axis=1, keepdims=True)
    return e


class _Activation(NamedTuple):
    forward: Callable[[Array, float], Array]
    backward: Callable[[Array, Array, float], Array]
    parameter: float | None = None


ACTIVATIONS = {
    "linear": _Activation(lambda z, _: z, lambda da, a, _: da),
    "relu": _Activation(_relu, lambda da, a, _: da * (a > 0)),
    "sigmoid": _Activation(_sigmoid, lambda da, a, slope: da * (slope * a * (1 - a)), 1.0),
    "tanh": _Activation(lambda z, _: np.tanh(z), lambda da, a, _: da * (1 - a * a)),
    "softmax": _Activation(_softmax, lambda da, a, _: a * (da - (da * a).sum(axis=1, keepdims=True))),
}


# Losses: row losses and their gradient, from what the net gives and, where there is a link, from its logits.


def _mean_squared_error(a: Array, y: Array) -> tuple[Array, Array]:
    d = a - y
    return (d * d).mean(axis=1), 2 * d / a.shape[1]


def _mean_absolute_error(a: Array, y: Array) -> tuple[Array, Array]:
    d = a - y
    return np.abs(d).mean(axis=1), np.sign(d) / a.shape[1]


def _binary(a: Array, y: Array) -> tuple[Array, Array]:
    p = np.clip(a, PROBABILITY_MIN, PROBABILITY_MAX)
    loss = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(axis=1)
    return loss, (p == a) * ((p - y) / (p * (1 - p))) / a.shape[1]


def _binary_logits(z: Array, y: Array) -> tuple[Array, Array]:
    loss = np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z)))
    return loss.mean(axis=1), (_sigmoid(z, 1.0) - y) / z.shape[1]


def _categorical(a: Array, y: Array) -> tuple[Array, Array]:
    total = a.sum(axis=1, keepdims=True)
    q = a / total
    clipped = np.clip(q, PROBABILITY_MIN, PROBABILITY_MAX)
    u = np.where(clipped == q, -y / clipped, 0)
    return -(y * np.log(clipped)).sum(axis=1), (u - (u * q).sum(axis=1, keepdims=True)) / total


def _categorical_logits(z: Array, y: Array) -> tuple[Array, Array]:
    shifted = z - z.max(axis=1, keepdims=True)
    e = np.exp(shifted)
    total = e.sum(axis=1, keepdims=True)
    weight = y.sum(axis=1, keepdims=True)
    loss = (y * (np.log(total) - shifted)).sum(axis=1)
    return loss, e * (weight / total) - y


def _one_hot(labels: Array, like: Array) -> Array:
    y = np.zeros_like(like)
    y[np.arange(len(labels)), labels] = 1
    return y


class _Loss(NamedTuple):
    from_outputs: Callable[[Array, Array], tuple[Array, Array]]
    from_logits: Callable[[Array, Array], tuple[Array, Array]] | None = None
    link: str | None = None
    sparse: bool = False


LOSSES = {
    "mean_squared_error": _Loss(_mean_squared_error),
    "mean_absolute_error": _Loss(_mean_absolute_error),
    "binary_crossentropy": _Loss(_binary, _binary_logits, "sigmoid"),
    "categorical_crossentropy": _Loss(_categorical, _categorical_logits, "softmax"),
    "sparse_categorical_crossentropy": _Loss(
        lambda a, y: _categorical(a, _one_hot(y, a)), lambda z, y: _categorical_logits(z, _one_hot(y, z)), "softmax", True
    ),
}


# Metrics: the value of each row.

METRICS: dict[str, Callable[[Array, Array], Array]] = {
    "sparse_categorical_accuracy": lambda a, y: a.argmax(axis=1) == y,
    "categorical_accuracy": lambda a, y: a.argmax(axis=1) == y.argmax(axis=1),
    "binary_accuracy": lambda a, y: ((a > 0.5) == y).mean(axis=1),
    "mean_squared_error": lambda a, y: ((a.astype(np.float64) - y) ** 2).mean(axis=1),
    "mean_absolute_error": lambda a, y: np.abs(a.astype(np.float64) - y).mean(axis=1),
}


# Update rules: (w, g, slots, hyperparameters, step) -> None, in place.


def _sgd(w: Array, g: Array, slots: Sequence[Array], h: Sequence[float], t: int) -> None:
    w -= h[0] * g


def _momentum(w: Array, g: Array, slots: Sequence[Array], h: Sequence[float], t: int) -> None:
    (v,) = slots
    v *= h[1]
    v -= h[0] * g
    w += v


def _nesterov(w: Array, g: Array, slots: Sequence[Array], h: Sequence[float], t: int) -> None:
    (v,) = slots
    v *= h[1]
    v -= h[0] * g
    w += h[1] * v - h[0] * g


def _rmsprop(centered: bool, momentum: bool) -> Callable[[Array, Array, Sequence[Array], Sequence[float], int], None]:
    def rule(w: Array, g: Array, slots: Sequence[Array], h: Sequence[float], t: int) -> None:
        learning_rate, rho, epsilon = h[:3]
        v, *others = slots
        v *= rho
        v += (1 - rho) * g * g
        denominator = v
        if centered:
            average = others[0]
            average *= rho
            average += (1 - rho) * g
            denominator = v - average * average
        increment = learning_rate * g / np.sqrt(denominator + epsilon)
        if momentum:
            m = others[-1]
            m *= h[3]
            m += increment
            increment = m
        w -= increment

    return rule


def _adam(corrected: bool) -> Callable[[Array, Array, Sequence[Array], Sequence[float], int], None]:
    def rule(w: Array, g: Array, slots: Sequence[Array], h: Sequence[float], t: int) -> None:
        learning_rate, beta_1, beta_2, epsilon = h
        m, v = slots
        m += (1 - beta_1) * (g - m)
        v += (1 - beta_2) * (g * g - v)
        c1, c2 = 1 - beta_1**t, 1 - beta_2**t
        if corrected:
            w -= learning_rate * (m / c1) / (np.sqrt(v / c2) + epsilon)
        else:
            w -= (learning_rate * c2**0.5 / c1) * m / (np.sqrt(v) + epsilon)

    return rule


class _Rule(NamedTuple):
    apply: Callable[[Array, Array, Sequence[Array], Sequence[float], int], None]
    slots: int


RULES = {
    "sgd": _Rule(_sgd, 0),
    "momentum": _Rule(_momentum, 1),
    "nesterov": _Rule(_nesterov, 1),
    "rmsprop": _Rule(_rmsprop(centered=False, momentum=False), 1),
    "rmsprop_centered": _Rule(_rmsprop(centered=True, momentum=False), 2),
    "rmsprop_momentum": _Rule(_rmsprop(centered=False, momentum=True), 2),
    "rmsprop_centered_momentum": _Rule(_rmsprop(centered=True, momentum=True), 3),
    "adam": _Rule(_adam(corrected=False), 2),
    "adam_corrected": _Rule(_adam(corrected=True), 2),
}


# The kernels, under the names and with the arguments of kernels.py.


def _row(kind: str, table: dict[str, Any], name: str) -> Any:
    if name not in table:
        raise unknown_name(kind, name, table)
    return table[name]


def _activation(activation: str | ActivationLike) -> tuple[_Activation, float]:
    if isinstance(activation, str):
        row: _Activation = _row("activation", ACTIVATIONS, activation)
        return row, row.parameter or 0.0
    return _row("activation", ACTIVATIONS, activation.name), activation.parameter or 0.0


def dense_forward(x: Array, w: Array, b: Array | None = None, activation: str | ActivationLike = "linear") -> Array:
    """a = activation(x w + b)."""
    row, parameter = _activation(activation)
    z: Array = x @ w
    if b is not None:
        z += b
    return row.forward(z, parameter)


def dense_backward(dz: Array, x: Array, w: Array, need_dx: bool = True) -> tuple[Array, Array, Array | None]:
    """dw = xT dz, db = sum of the rows of dz, dx = dz wT."""
    return x.T @ dz, dz.sum(axis=0), dz @ w.T if need_dx else None


def dense_backward_update(
    w: Array,
    b: Array | None,
    dz: Array,
    x: Array,
    rule: str,
    hyper: Sequence[float],
    slots: Sequence[tuple[Array, Array | None]],
    step: int,
    need_dx: bool = True,
) -> Array | None:
    """dx with the weights as they were, then the update of w, b and their slots."""
    dw, db, dx = dense_backward(dz, x, w, need_dx)
    update(w, dw, [pair[0] for pair in slots], rule, hyper, step)
    if b is not None:
        update(b, db, [pair[1] for pair in slots if pair[1] is not None], rule, hyper, step)
    return dx


def activation_forward(z: Array, activation: str | ActivationLike = "linear") -> Array:
    """a = activation(z)."""
    row, parameter = _activation(activation)
    return row.forward(z, parameter)


def activation_backward(da: Array, a: Array, activation: str | ActivationLike = "linear") -> Array:
    """dz = da times the slope at output a."""
    row, parameter = _activation(activation)
    return row.backward(da, a, parameter)


def loss_value_and_gradient(
    outputs: Array, targets: NDArray[Any], loss: str, sample_weight: Array | None = None, from_logits: bool = False
) -> tuple[float, Array]:
    """Mean loss over the rows, and its gradient with respect to outputs."""
    rows, gradient = _loss_rows(_row("loss", LOSSES, loss), outputs, targets, sample_weight, from_logits)
    return float(rows.sum(dtype=np.float64) / len(outputs)), gradient / len(outputs)


def _loss_rows(
    loss: _Loss, outputs: Array, targets: Array, sample_weight: Array | None, from_logits: bool
) -> tuple[Array, Array]:
    """Weighted row losses and the gradient of their sum."""
    if from_logits and loss.from_logits is None:
        raise ValueError("from_logits: expected False for a loss without a link, received True")
    rows, gradient = loss.from_logits(outputs, targets) if from_logits and loss.from_logits else loss.from_outputs(outputs, targets)
    if sample_weight is not None:
        rows = rows * sample_weight
        gradient = gradient * sample_weight[:, None]
    return rows, gradient


def update(w: Array, g: Array, slots: Sequence[Array], rule: str, hyper: Sequence[float], step: int) -> None:
    """One step of an update rule on w and its slots, in place."""
    row: _Rule = _row("update rule", RULES, rule)
    row.apply(w, g, slots, hyper, step)


def sgd_update(w: Array, g: Array, learning_rate: float = 0.01) -> None:
    """w -= learning_rate g."""
    update(w, g, (), "sgd", (learning_rate,), 1)


def momentum_update(
    w: Array, g: Array, velocity: Array, learning_rate: float = 0.01, momentum: float = 0.9, nesterov: bool = False
) -> None:
    """velocity = momentum velocity - learning_rate g; w += velocity (Nesterov: momentum velocity - learning_rate g)."""
    update(w, g, (velocity,), "nesterov" if nesterov else "momentum", (learning_rate, momentum), 1)


def rmsprop_update(
    w: Array, g: Array, velocity: Array, learning_rate: float = 0.001, rho: float = 0.9, epsilon: float = 1e-7
) -> None:
    """velocity = rho velocity + (1 - rho) g^2; w -= learning_rate g / sqrt(velocity + epsilon)."""
    update(w, g, (velocity,), "rmsprop", (learning_rate, rho, epsilon), 1)


def adam_update(
    w: Array,
    g: Array,
    m: Array,
    v: Array,
    step: int,
    learning_rate: float = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    epsilon_form: str = "uncorrected",
) -> None:
    """Adam; epsilon is added to sqrt(v) as it is, or after the correction."""
    rules = {"uncorrected": "adam", "corrected": "adam_corrected"}
    if epsilon_form not in rules:
        raise ValueError(f"epsilon_form: expected 'uncorrected' or 'corrected', received {epsilon_form!r}")
    update(w, g, (m, v), rules[epsilon_form], (learning_rate, beta_1, beta_2, epsilon), step)


# The network, with the interface of _core.Net.


class _Layer(NamedTuple):
    inputs: int
    units: int
    activation: _Activation
    parameter: float
    dense: bool
    bias: bool
    w: int
    b: int


def _line(floats: int) -> int:
    return (floats + 15) // 16 * 16  # the native layout: each tensor on a cache line


class Net:
    """A dense network in NumPy; see `_core.Net` for the interface. `dtype` is that of its parameters and all its arithmetic."""

    def __init__(
        self, input_size: int, layers: Sequence[tuple[int, str, float, bool, bool]], dtype: DTypeLike = np.float32
    ) -> None:
        self._layers: list[_Layer] = []
        size, inputs = 0, input_size
        for units, activation, parameter, dense, use_bias in layers:
            bias = dense and use_bias
            b = size + (_line(inputs * units) if dense else 0)
            row = _row("activation", ACTIVATIONS, activation)
            self._layers.append(_Layer(inputs, units, row, parameter, dense, bias, size, b))
            size = b + (_line(units) if bias else 0)
            inputs = units
        self.params: Array = np.zeros(size, dtype=dtype)
        self.slots: tuple[Array, ...] = ()
        self.step = 0
        self._last = layers[-1]

    @property
    def tensors(self) -> list[Array]:
        """Writable views: kernel (I,O), bias (O,) of each layer."""
        return self.split(self.params)

    def split(self, flat: Array) -> list[Array]:
        """The same views of any flat array of the size of `params`."""
        views = []
        for layer in self._layers:
            if layer.dense:
                views.append(flat[layer.w : layer.w + layer.inputs * layer.units].reshape(layer.inputs, layer.units))
                if layer.bias:
                    views.append(flat[layer.b : layer.b + layer.units])
        return views

    def compile(self, loss: str, from_logits: bool, rule: str, metrics: Sequence[str]) -> None:
        """Loss, update rule and metrics; zeroes slots and step. Decides whether loss and last activation are computed together."""
        self._loss: _Loss = _row("loss", LOSSES, loss)
        self._rule: _Rule = _row("update rule", RULES, rule)
        self._metrics = [_row("metric", METRICS, name) for name in metrics]
        self.slots = tuple(np.zeros_like(self.params) for _ in range(self._rule.slots))
        self.step = 0
        _, activation, parameter, _, _ = self._last
        linked = self._loss.link == activation and parameter == (ACTIVATIONS[activation].parameter or 0.0)
        self._linked = linked and not from_logits
        self._from_logits = from_logits and self._loss.link is not None
        gradient = np.zeros_like(self.params)
        self._weights = self._pairs(self.params)
        self._gradients = self._pairs(gradient)
        self._gradient = gradient

    def _pairs(self, flat: Array) -> list[tuple[Array | None, Array | None]]:
        """Per layer its (w, b) in a flat array, None where it has none."""
        views = iter(self.split(flat))
        return [(next(views) if layer.dense else None, next(views) if layer.bias else None) for layer in self._layers]

    def _forward(self, x: Array, logits: bool) -> list[Array]:
        """The outputs of all layers; with `logits` the last one without its activation."""
        outputs = []
        pairs = self._pairs(self.params)
        for layer, (w, b) in zip(self._layers, pairs, strict=True):
            z = x if w is None else x @ w
            if b is not None:
                z += b
            last = len(outputs) == len(self._layers) - 1
            x = z if logits and last else layer.activation.forward(z, layer.parameter)
            outputs.append(x)
        return outputs

    def _loss_and_outputs(self, x: Array, y: Array, weight: Array | None) -> tuple[Array, Array, list[Array], Array]:
        """Row losses, gradient of their sum with respect to the last layer's z, outputs of all layers, predictions."""
        a = self._forward(x, self._linked)
        last = self._layers[-1]
        rows, gradient = _loss_rows(self._loss, a[-1], y, weight, self._linked or self._from_logits)
        if self._linked:
            return rows, gradient, a, last.activation.forward(a[-1], last.parameter)
        return rows, last.activation.backward(gradient, a[-1], last.parameter), a, a[-1]

    def train(
        self,
        x: Array,
        y: Array,
        sample_weight: Array | None,
        order: NDArray[np.uint32] | None,
        start: int,
        stop: int,
        batch_size: int,
        hyper: Sequence[float],
        totals: NDArray[np.float64],
        progress: Callable[[int], object] | None,
    ) -> None:
        """Steps over rows order[start:stop] in batches; adds row losses and metrics of the steps made to totals."""
        polled = time.perf_counter()
        for first in range(start, stop, batch_size):
            if progress is not None and time.perf_counter() - polled >= POLL_SECONDS:
                progress(first - start)
                polled = time.perf_counter()
            batch: slice | NDArray[np.uint32] = slice(first, min(first + batch_size, stop))
            if order is not None:
                batch = order[batch]
            x_batch, y_batch = x[batch], y[batch]
            weight = None if sample_weight is None else sample_weight[batch]
            rows, dz, a, predictions = self._loss_and_outputs(x_batch, y_batch, weight)
            loss = rows.sum(dtype=np.float64)
            if not np.isfinite(loss):
                raise NonFiniteError(first // batch_size)
            dz /= len(rows)
            self._backward(dz, a, x_batch)
            self.step += 1
            self._rule.apply(self.params, self._gradient, self.slots, hyper, self.step)
            totals[0] += loss
            for m, metric in enumerate(self._metrics):
                totals[1 + m] += metric(predictions, y_batch).sum(dtype=np.float64)

    def _backward(self, dz: Array, a: list[Array], x: Array) -> None:
        """Fills the flat gradient from dz of the last layer."""
        for i in range(len(self._layers) - 1, -1, -1):
            below = a[i - 1] if i else x
            (w, _), (dw, db) = self._weights[i], self._gradients[i]
            if dw is not None:
                np.matmul(below.T, dz, out=dw)
            if db is not None:
                dz.sum(axis=0, out=db)
            if i:
                da = dz if w is None else dz @ w.T
                layer = self._layers[i - 1]
                dz = layer.activation.backward(da, below, layer.parameter)

    def evaluate(
        self,
        x: Array,
        y: Array,
        sample_weight: Array | None,
        totals: NDArray[np.float64],
        progress: Callable[[int], object] | None,
    ) -> None:
        """The same totals without training."""
        rows, _, _, predictions = self._loss_and_outputs(x, y, sample_weight)
        totals[0] += rows.sum(dtype=np.float64)
        for m, metric in enumerate(self._metrics):
            totals[1 + m] += metric(predictions, y).sum(dtype=np.float64)

    def predict(self, x: Array, out: Array, progress: Callable[[int], object] | None) -> None:
        """out = the output of the last layer."""
        out[...] = self._forward(x, logits=False)[-1]
