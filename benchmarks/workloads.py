"""The nets that are measured, their data, and a step of either backend on them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnfast import _core, reference
from nnfast.graph import Op

BATCH_SIZES = (1, 8, 16, 32, 64, 128, 256, 0)  # 0: the full batch
BACKENDS = {"native": _core.Net, "reference": reference.Net}
RULES: dict[str, tuple[float, ...]] = {
    "sgd": (0.01,),
    "momentum": (0.01, 0.9),
    "adam": (0.001, 0.9, 0.999, 1e-7),
}
SEED = 0


Task = tuple[str, str, int]
"""What is measured: name of a workload, update rule and rows of a batch (0: all); or name, "predict" and rows."""


class Workload(NamedTuple):
    """Rows and inputs; units and activation of each layer; loss; share of the inputs that are not zero; what is measured of it."""

    rows: int
    inputs: int
    layers: tuple[tuple[int, str], ...]
    loss: str
    density: float = 1.0
    rules: tuple[str, ...] = ("sgd", "adam")
    batch_sizes: tuple[int, ...] = (32, 256)

    @property
    def classes(self) -> bool:
        return self.loss == "sparse_categorical_crossentropy"

    def flops(self, batch_size: int) -> int:
        """Of a dense step: two for each multiply-add; three products a layer, the first layer two."""
        sizes = [self.inputs, *(units for units, _ in self.layers)]
        weights = [a * b for a, b in pairwise(sizes)]
        return 2 * batch_size * (3 * sum(weights) - weights[0])


CLASSES, VALUES = "sparse_categorical_crossentropy", "mean_squared_error"
MNIST = ((128, "relu"), (10, "softmax"))

WORKLOADS = {
    # the two nets of the thesis
    "mnist": Workload(60_000, 784, MNIST, CLASSES, 0.191, tuple(RULES), BATCH_SIZES),
    "wine": Workload(
        3_673, 11, ((128, "relu"), (1, "relu")), VALUES, rules=tuple(RULES), batch_sizes=BATCH_SIZES
    ),
    # no zeros to skip
    "dense": Workload(60_000, 784, MNIST, CLASSES, batch_sizes=(32, 128, 256, 0)),
    # wider, deeper, smaller
    "784-512-512-10": Workload(20_000, 784, ((512, "relu"), (512, "relu"), (10, "softmax")), CLASSES),
    "256-256-256-256-1": Workload(
        20_000, 256, ((256, "tanh"), (256, "tanh"), (256, "tanh"), (1, "linear")), VALUES
    ),
    "20-64-64-3": Workload(20_000, 20, ((64, "relu"), (64, "relu"), (3, "softmax")), CLASSES),
}

TRAININGS: list[Task] = [
    (name, rule, batch_size)
    for name, work in WORKLOADS.items()
    for rule in work.rules
    for batch_size in work.batch_sizes
]
PREDICTIONS: list[Task] = [("mnist", "predict", rows) for rows in (1, 100, 60_000)]
TASKS = TRAININGS + PREDICTIONS


def title(task: Task) -> str:
    """A row's name: "mnist sgd 32"."""
    name, rule, batch_size = task
    return f"{name} {rule} {batch_size or WORKLOADS[name].rows}"


@cache
def published(name: str) -> tuple[NDArray[np.float32], NDArray[np.generic]] | None:
    """The real data of a net; None where there are none, or they are not at hand."""
    from nnfast import datasets
    from nnfast.utils import normalize

    try:
        if name == "mnist":
            (x, y), _ = datasets.mnist.load_data()
            return np.ascontiguousarray(x.reshape(len(x), -1) / np.float32(255)), y.astype(np.int32)
        if name == "wine":
            (x, y), _ = datasets.wine_quality.load_data()
            return normalize(x, axis=1).astype(np.float32), y.astype(np.float32).reshape(-1, 1)
    except (OSError, ImportError, RuntimeError):
        pass
    return None


def origin() -> str:
    """Where the data of the thesis' nets come from. Digits lie in the middle of a picture, and its neighbours are alike: random inputs of the same density
    are slower to train on where zeros are skipped."""
    missing = [name for name in ("mnist", "wine") if published(name) is None]
    return (
        f"random in the place of {' and '.join(missing)}, which NNFAST_DATA_DIR does not have"
        if missing
        else "MNIST and wine as published"
    )


@cache
def data(name: str) -> tuple[NDArray[np.float32], NDArray[np.generic]]:
    """The real data where there are any and they are at hand, else random ones of the same shape and density."""
    work = WORKLOADS[name]
    real = published(name)
    if real is not None:
        return real
    rng = np.random.default_rng(SEED)
    x = rng.random((work.rows, work.inputs), dtype=np.float32)
    if work.density < 1.0:
        x[rng.random(x.shape) >= work.density] = 0.0
    outputs = work.layers[-1][0]
    if work.classes:
        return x, rng.integers(0, outputs, work.rows).astype(np.int32)
    return x, rng.random((work.rows, outputs), dtype=np.float32) * 9


def order(name: str) -> NDArray[np.uint32]:
    """The order in which rows are used by whoever lets one choose it."""
    rows = np.empty(len(data(name)[0]), dtype=np.uint32)
    _core.shuffle(rows, SEED, 0)
    return rows


def weights(name: str) -> list[NDArray[np.float32]]:
    """Kernels and biases to begin with: Glorot-uniform. A net whose output starts dead would be measured doing nothing, so the last bias of a
    regression starts at 1."""
    work = WORKLOADS[name]
    tensors, size = [], work.inputs
    for i, (units, _) in enumerate(work.layers):
        limit = np.sqrt(6 / (size + units))
        kernel = (2 * _core.uniform(size * units, SEED, i) - 1).reshape(size, units) * limit
        tensors += [kernel.astype(np.float32), np.zeros(units, dtype=np.float32)]
        size = units
    if not work.classes:
        tensors[-1] += 1
    return tensors


def make_net(name: str, rule: str, backend: str) -> _core.Net | reference.Net:
    """A net of either backend, compiled."""
    work = WORKLOADS[name]
    net = BACKENDS[backend](
        work.inputs, [Op("dense", units, activation=activation) for units, activation in work.layers]
    )
    for tensor, value in zip(net.tensors, weights(name), strict=True):
        tensor[...] = value
    net.compile(work.loss, False, rule, ())
    return net


def steps(
    name: str, rule: str, backend: str, batch_size: int, net: _core.Net | reference.Net | None = None
) -> Callable[[int], None]:
    """A function that makes so many steps, going on through the shuffled rows."""
    x, y = data(name)
    batch = batch_size or len(x)
    net = net or make_net(name, rule, backend)
    rows = order(name)
    prepared = net.prepare(x, y, None, batch)
    totals = np.zeros(1)
    per_epoch = len(x) // batch
    at = 0

    def run(count: int) -> None:
        nonlocal at
        while count > 0:
            here = min(count, per_epoch - at)
            prepared.step(rows, at * batch, (at + here) * batch, RULES[rule], totals, None)
            at = (at + here) % per_epoch
            count -= here

    return run
