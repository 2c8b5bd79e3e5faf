"""Each single kernel, native and reference, at the sizes of the thesis' nets."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from nnfast import _core, kernels, reference
from tests.hyper import USUAL

BACKENDS = {"native": kernels, "reference": reference}
SIZES = {
    "mnist 784-128": (784, 128),
    "mnist 128-10": (128, 10),
    "wine 11-128": (11, 128),
    "wine 128-1": (128, 1),
}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> ModuleType:
    return BACKENDS[request.param]


def floats(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


@pytest.mark.parametrize("batch_size", [1, 32, 256])
@pytest.mark.parametrize("size", SIZES)
def bench_forward(benchmark: Any, backend: ModuleType, size: str, batch_size: int) -> None:
    inputs, outputs = SIZES[size]
    benchmark(
        backend.dense_forward, floats(batch_size, inputs), floats(inputs, outputs), floats(outputs), "relu"
    )


@pytest.mark.parametrize("batch_size", [1, 32, 256])
@pytest.mark.parametrize("size", SIZES)
def bench_backward(benchmark: Any, backend: ModuleType, size: str, batch_size: int) -> None:
    inputs, outputs = SIZES[size]
    benchmark(
        backend.dense_backward,
        floats(batch_size, outputs),
        floats(batch_size, inputs),
        floats(inputs, outputs),
    )


@pytest.mark.parametrize("rule", ["sgd", "momentum", "adam"])
def bench_backward_update(benchmark: Any, backend: ModuleType, rule: str) -> None:
    names, _, starts = _core.RULES[rule]
    w, b = floats(784, 128), floats(128)
    state = [(np.full_like(w, start), np.full_like(b, start)) for start in starts]
    hyper = [1e-5 if name == "learning_rate" else USUAL[name] for name in names]
    benchmark(backend.dense_backward_update, w, b, floats(32, 128), floats(32, 784), rule, hyper, state, 1)


@pytest.mark.parametrize("activation", _core.ACTIVATIONS)
def bench_activation(benchmark: Any, backend: ModuleType, activation: str) -> None:
    benchmark(backend.activation_forward, floats(128, 128), activation)


@pytest.mark.parametrize("loss", _core.LOSSES)
def bench_loss(benchmark: Any, backend: ModuleType, loss: str) -> None:
    outputs = np.abs(floats(256, 10)) + 0.1
    y = (
        np.arange(256, dtype=np.int32) % 10
        if loss.startswith("sparse")
        else np.eye(10, dtype=np.float32)[np.arange(256) % 10]
    )
    benchmark(backend.loss_value_and_gradient, outputs, y, loss, None, _core.LOSSES[loss] is not None)


@pytest.mark.parametrize("rule", _core.RULES)
def bench_update(benchmark: Any, backend: ModuleType, rule: str) -> None:
    names, _, starts = _core.RULES[rule]
    w = floats(100_000)
    benchmark(
        backend.update,
        w,
        floats(100_000),
        [np.full_like(w, start) for start in starts],
        rule,
        [USUAL[name] for name in names],
        1,
    )
