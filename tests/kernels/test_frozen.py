"""Frozen layers: training leaves their weights and slots as they are, whichever way a step takes, and moves the
others as if nothing were frozen."""

from __future__ import annotations

import numpy as np
import pytest

from nnfast import _core, reference

from ..hyper import as_double, calm
from ..ops import dense
from ..tolerances import TRAJECTORY_RTOL
from .helpers import floats, same_bits
from .test_net import LAYERS, build, data


def flags(net: object) -> list[list[bool]]:
    """What is trained where each layer by itself is frozen, and where all are."""
    count = len(net.trainable)
    return [[place != frozen for place in range(count)] for frozen in range(count)] + [[False] * count]


def by_layer(net: object, flat: np.ndarray) -> list[list[np.ndarray]]:
    """Tensors of one flat array, layer by layer."""
    layers: list[list[np.ndarray]] = []
    for tensor in net.split(flat):
        if tensor.ndim == 2:
            layers.append([])
        layers[-1].append(tensor.copy())
    return layers


@pytest.mark.parametrize("skip_zeros", [True, False])
@pytest.mark.parametrize("batch_size", [1, 3, 32, 1500])
@pytest.mark.parametrize("rule", ["sgd", "adam"])
@pytest.mark.parametrize("which", LAYERS)
def test_one_step_moves_what_is_not_frozen_and_nothing_else(
    isa: str, rng: np.random.Generator, which: str, rule: str, batch_size: int, skip_zeros: bool
) -> None:
    x, y, weight = data(which, batch_size, rng)

    def step(trainable: list[bool]) -> object:
        net, _ = build(_core, which, rule)
        net.trainable = trainable
        net.skip_zeros = skip_zeros
        for slot in net.slots:
            slot[...] = 0.01
        net.train(x, y, weight, None, 0, batch_size, batch_size, calm(rule), np.zeros(1), None)
        return net

    before, _ = build(_core, which, rule)
    for slot in before.slots:
        slot[...] = 0.01
    free = step([True] * len(before.trainable))
    for trainable in flags(before):
        net = step(trainable)
        assert net.trainable == trainable
        assert net.step == 1
        for flat, old, new in zip(
            [net.params, *net.slots], [before.params, *before.slots], [free.params, *free.slots], strict=True
        ):
            for trained, has, was, moved in zip(
                trainable, by_layer(net, flat), by_layer(net, old), by_layer(net, new), strict=True
            ):
                assert same_bits([has, moved if trained else was])


@pytest.mark.parametrize("rule", _core.RULES)
@pytest.mark.parametrize("which", LAYERS)
def test_a_trajectory_is_that_of_the_reference(
    isa: str, rng: np.random.Generator, which: str, rule: str
) -> None:
    n, batch_size = 64, 30
    x, y, weight = data(which, n, rng)
    for trainable in flags(build(_core, which, rule)[0]):
        net, _ = build(_core, which, rule)
        oracle, _ = build(reference, which, rule, dtype=np.float64)
        net.trainable = oracle.trainable = trainable
        for _ in range(10):
            net.train(x, y, weight, None, 0, n, batch_size, calm(rule), np.zeros(1), None)
            oracle.train(
                x.astype(np.float64), as_double(y), weight.astype(np.float64),
                None, 0, n, batch_size, calm(rule), np.zeros(1), None,
            )  # fmt: skip
        for tensor, exact in zip(net.tensors, oracle.tensors, strict=True):
            assert np.abs(tensor - exact).max() <= TRAJECTORY_RTOL * np.abs(exact).max()


@pytest.mark.parametrize("rule", ["sgd", "adam"])
@pytest.mark.parametrize(
    ("outputs", "loss"), [(1, "mean_squared_error"), (10, "sparse_categorical_crossentropy")]
)
def test_bits_do_not_depend_on_workers_or_skipped_zeros(
    isa: str, rng: np.random.Generator, outputs: int, loss: str, rule: str
) -> None:
    """Below a single output, where workers own columns, and above packed weights."""
    n, inputs, units = 2000, 64, 48
    x = (floats(rng, n, inputs) * (rng.random((n, inputs)) < 0.2)).astype(np.float32)
    y = floats(rng, n, 1) if outputs == 1 else rng.integers(0, outputs, n).astype(np.int32)
    kernel, before = floats(rng, inputs, units), _core.num_threads()
    last = "linear" if outputs == 1 else "softmax"

    def run(threads: int, skip_zeros: bool, trainable: list[bool]) -> list[np.ndarray]:
        _core.set_num_threads(threads)
        net = _core.Net(inputs, [dense(units, "relu"), dense(outputs, last)])
        net.tensors[0][...] = kernel
        net.tensors[2][...] = floats(np.random.default_rng(1), units, outputs)
        net.schedule, net.skip_zeros, net.trainable = "parallel", skip_zeros, trainable
        net.compile(loss, False, rule, ())
        for flags_now in (trainable, [True, True], trainable):
            net.trainable = flags_now
            net.train(x, y, None, None, 0, n, 32, calm(rule), np.zeros(1), None)
        return [net.params.copy(), *(slot.copy() for slot in net.slots)]

    try:
        for trainable in ([False, True], [True, False], [False, False]):
            assert same_bits([run(t, skips, trainable) for t in (1, 2, 3) for skips in (False, True)])
    finally:
        _core.set_num_threads(before)


@pytest.mark.parametrize("module", [_core, reference])
def test_flags_are_checked(module: object) -> None:
    net, _ = build(module, "mnist", "sgd")
    with pytest.raises(
        ValueError, match="trainable: expected one flag for each of 2 ops with weights, received 1"
    ):
        net.trainable = [False]
    assert net.trainable == [True, True]
