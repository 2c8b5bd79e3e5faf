"""The two nets of the thesis, their data, and a step of either backend on them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnfast import _core, reference

BATCH_SIZES = (1, 8, 16, 32, 64, 128, 256, 0)  # 0: the full batch
BACKENDS = {"native": _core.Net, "reference": reference.Net}
RULES: dict[str, tuple[float, ...]] = {
    "sgd": (0.01,),
    "momentum": (0.01, 0.9),
    "adam": (0.001, 0.9, 0.999, 1e-7),
}


class Workload(NamedTuple):
    """Layer sizes and loss; rows and inputs as in the thesis."""

    rows: int
    inputs: int
    layers: tuple[tuple[int, str, float, bool, bool], ...]
    loss: str
    density: float


WORKLOADS = {
    "mnist": Workload(
        60_000,
        784,
        ((128, "relu", 0.0, True, True), (10, "softmax", 0.0, True, True)),
        "sparse_categorical_crossentropy",
        0.191,
    ),
    "wine": Workload(
        3_673, 11, ((128, "relu", 0.0, True, True), (1, "relu", 0.0, True, True)), "mean_squared_error", 1.0
    ),
}


@cache
def data(name: str) -> tuple[NDArray[np.float32], NDArray[np.generic]]:
    """The real data where they are at hand, else random ones of the same shape and density."""
    from nnfast import datasets
    from nnfast.utils import normalize

    work = WORKLOADS[name]
    try:
        if name == "mnist":
            (x, y), _ = datasets.mnist.load_data()
            return np.ascontiguousarray(x.reshape(len(x), -1) / np.float32(255)), y.astype(np.int32)
        (x, y), _ = datasets.wine_quality.load_data()
        return normalize(x, axis=1).astype(np.float32), y.astype(np.float32).reshape(-1, 1)
    except (OSError, ImportError, RuntimeError):
        rng = np.random.default_rng(0)
        x = rng.random((work.rows, work.inputs), dtype=np.float32)
        x[rng.random(x.shape) >= work.density] = 0.0
        if work.loss.startswith("sparse"):
            return x, rng.integers(0, work.layers[-1][0], work.rows).astype(np.int32)
        return x, rng.random((work.rows, work.layers[-1][0]), dtype=np.float32) * 9


def make_net(name: str, rule: str, backend: str) -> _core.Net | reference.Net:
    """A net with Glorot weights; one whose output starts dead would be measured doing nothing, so the last bias starts at 1."""
    work = WORKLOADS[name]
    net = BACKENDS[backend](work.inputs, work.layers)
    for i, tensor in enumerate(net.tensors):
        if tensor.ndim == 2:
            limit = np.sqrt(6 / sum(tensor.shape))
            tensor[...] = (2 * _core.uniform(tensor.size, 0, i) - 1).reshape(tensor.shape) * limit
    if work.loss == "mean_squared_error":
        net.tensors[-1][...] = 1.0
    net.compile(work.loss, False, rule, ())
    return net


def steps(name: str, rule: str, backend: str, batch_size: int) -> Callable[[int], None]:
    """A function that makes so many steps, going on through the shuffled rows."""
    x, y = data(name)
    batch = batch_size or len(x)
    net = make_net(name, rule, backend)
    order = np.empty(len(x), dtype=np.uint32)
    _core.shuffle(order, 0, 0)
    totals = np.zeros(1)
    per_epoch = len(x) // batch
    at = 0

    def run(count: int) -> None:
        nonlocal at
        while count > 0:
            here = min(count, per_epoch - at)
            net.train(x, y, None, order, at * batch, (at + here) * batch, batch, RULES[rule], totals, None)
            at = (at + here) % per_epoch
            count -= here

    return run
