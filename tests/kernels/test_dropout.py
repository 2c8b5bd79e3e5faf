"""Dropout: the mask is that of the reference, its gradient that of central differences; the same bits for any threads, blocks and instruction sets."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import nnfast as nn
from nnfast import _core, reference
from nnfast.graph import Op

from ..hyper import as_double, calm, targets_for
from ..ops import activation, dense, dropout
from ..tolerances import (
    DIFFERENCE_RTOL,
    DIFFERENCE_STEP,
    GRADIENT_MIN,
    MASK_SIGMAS,
    TRAJECTORY_RTOL,
)
from .helpers import draw, floats, same_bits

NETS = {
    "first": [dropout(9, 0.2, 3), dense(17, "relu"), dense(3, "softmax")],
    "last": [dense(17, "tanh"), dense(3), dropout(3, 0.25, 3)],
    "twice": [dense(17, "relu"), dropout(17, 0.5, 3), dense(12, "tanh"), dropout(12, 0.1, 4), dense(3)],
    "in a row": [dense(17, "relu"), dropout(17, 0.3, 3), dropout(17, 0.3, 3), dense(3)],
    "after an activation": [dense(17), activation(17, "sigmoid", 2.0), dropout(17, 0.4, 3), dense(3)],
    "before an activation": [dense(17), dropout(17, 0.4, 3), activation(17, "tanh"), dense(3)],
    "all of it": [dense(17, "relu"), dropout(17, 1.0, 3), dense(3)],
    "none of it": [dense(17, "relu"), dropout(17, 0.0, 3), dense(3)],
}


def loss_of(ops: list[Op]) -> str:
    return "sparse_categorical_crossentropy" if ops[-1].activation == "softmax" else "mean_squared_error"


def make(module: object, ops: list[Op], rule: str = "sgd", inputs: int = 9, **kwargs: object) -> object:
    net = module.Net(inputs, ops, **kwargs)
    draw(net, 1.0)
    net.compile(loss_of(ops), False, rule, ())
    return net


def masked(
    units: int, rate: float, seed: int, place: int, step: int, rows: int, batch_size: int
) -> np.ndarray:
    """What the engine leaves of ones, of some steps with numbers from `step` on; the op lies at `place`."""
    net = _core.Net(
        units,
        [
            dense(units, use_bias=False),
            *[activation(units, "linear")] * (place - 1),
            dropout(units, rate, seed),
        ],
    )
    net.tensors[0][...] = np.eye(units)
    net.compile("mean_squared_error", False, "sgd", ())
    net.step = step - 1
    ones, outputs = np.ones((rows, units), np.float32), np.empty((rows, units), np.float32)
    run = net.prepare(ones, ones, None, batch_size, keeps_outputs=True)
    run.step(None, 0, rows, (0.0,), np.zeros(1), None, outputs=outputs)
    assert net.step == step - 1 + math.ceil(rows / batch_size)
    return outputs


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
@pytest.mark.parametrize(("units", "place"), [(1, 1), (7, 2), (16, 1), (33, 3)])
def test_the_mask_is_that_of_the_reference(isa: str, units: int, place: int, seed: int, rate: float) -> None:
    """Step by step, in batches of several blocks and of one row; kept units are divided by the part that is kept."""
    scale = np.float32(0.0 if rate == 1.0 else 1.0 / (1.0 - rate))
    for step, rows, batch_size in ((1, 600, 600), (2**40, 50, 20), (7, 3, 1)):
        outputs = masked(units, rate, seed, place, step, rows, batch_size)
        for number, first in enumerate(range(0, rows, batch_size)):
            part = outputs[first : first + batch_size]
            kept = reference.dropout_mask(rate, seed, place, step + number, len(part), units)
            assert same_bits([part, np.where(kept, scale, np.float32(0.0))])


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_units_are_dropped_independently_and_as_often_as_asked(rate: float) -> None:
    rows, units, steps = 300, 64, 20
    kept = np.stack([reference.dropout_mask(rate, 5, 2, step, rows, units) for step in range(1, steps + 1)])
    deviation = math.sqrt(rate * (1 - rate))

    def near(means: np.ndarray, count: int) -> bool:
        return bool((np.abs(means - (1 - rate)) <= MASK_SIGMAS * deviation / math.sqrt(count)).all())

    assert near(kept.mean(), kept.size)
    assert near(kept.mean(axis=(0, 1)), steps * rows)  # of each unit,
    assert near(kept.mean(axis=(0, 2)), steps * units)  # of each row,
    assert near(kept.mean(axis=(1, 2)), rows * units)  # of each step
    noise = kept - (1 - rate)
    for axis in range(3):  # neighbours in step, row and unit have nothing to do with each other
        a, b = (
            np.take(noise, range(*ends), axis=axis)
            for ends in ((0, noise.shape[axis] - 1), (1, noise.shape[axis]))
        )
        assert abs((a * b).mean()) <= MASK_SIGMAS * deviation**2 / math.sqrt(a.size)


def test_seeds_ops_steps_and_rows_have_masks_of_their_own() -> None:
    first = reference.dropout_mask(0.5, 1, 0, 1, 40, 64)
    others = [
        reference.dropout_mask(0.5, 2, 0, 1, 40, 64),
        reference.dropout_mask(0.5, 1, 1, 1, 40, 64),
        reference.dropout_mask(0.5, 1, 0, 2, 40, 64),
        np.roll(first, 1, axis=0),
        np.roll(first, 1, axis=1),
    ]
    for other in others:
        assert 0.4 < (first == other).mean() < 0.6
    assert np.array_equal(first[:7, :5], reference.dropout_mask(0.5, 1, 0, 1, 7, 5))  # whatever the size
    assert len({reference.dropout_mask(0.5, seed, 0, 1, 8, 64).tobytes() for seed in range(200)}) == 200


@pytest.mark.parametrize("which", NETS)
def test_the_gradient_is_that_of_central_differences(which: str) -> None:
    """Of the reference, with the mask that the step has."""
    ops = [op._replace(activation="tanh") if op.activation == "relu" else op for op in NETS[which]]
    rng = np.random.default_rng(3)
    net = make(reference, ops, dtype=np.float64)
    x, y = rng.standard_normal((5, 9)), as_double(targets_for(loss_of(ops), rng, 5, 3))
    step = 6

    def loss() -> float:
        net.step = step - 1
        totals = np.zeros(1)
        net.train(x, y, None, None, 0, 5, 5, (0.0,), totals, None)
        return float(totals[0]) / 5

    numeric = np.empty_like(net.params)
    for i, value in enumerate(net.params.tolist()):
        sides = []
        for change in (DIFFERENCE_STEP, -DIFFERENCE_STEP):
            net.params[i] = value + change
            sides.append(loss())
        net.params[i] = value
        numeric[i] = (sides[0] - sides[1]) / (2 * DIFFERENCE_STEP)
    before = net.params.copy()
    net.step = step - 1
    net.train(x, y, None, None, 0, 5, 5, (1.0,), np.zeros(1), None)
    assert np.abs(numeric).max() > GRADIENT_MIN
    assert np.abs(before - net.params - numeric).max() <= DIFFERENCE_RTOL * np.abs(numeric).max()


@pytest.mark.parametrize("batch_size", [1, 7, 64])
@pytest.mark.parametrize("rule", ["sgd", "nesterov", "adam"])
@pytest.mark.parametrize("which", NETS)
def test_a_trajectory_is_that_of_the_reference(
    isa: str, rng: np.random.Generator, which: str, rule: str, batch_size: int
) -> None:
    ops, n = NETS[which], 64
    x, y = floats(rng, n, 9), targets_for(loss_of(ops), rng, n, 3)
    net, oracle = make(_core, ops, rule), make(reference, ops, rule, dtype=np.float64)
    totals, exact = np.zeros(1), np.zeros(1)
    while net.step < 50:
        stop = min(n, (50 - net.step) * batch_size)
        net.train(x, y, None, None, 0, stop, batch_size, calm(rule), totals, None)
        oracle.train(as_double(x), as_double(y), None, None, 0, stop, batch_size, calm(rule), exact, None)
    assert net.step == oracle.step == 50
    assert totals[0] == pytest.approx(exact[0], rel=TRAJECTORY_RTOL)
    for tensor, exact_tensor in zip(net.tensors, oracle.tensors, strict=True):
        assert np.abs(tensor - exact_tensor).max() <= TRAJECTORY_RTOL * np.abs(exact_tensor).max()


@pytest.mark.parametrize("rule", ["sgd", "adam"])
@pytest.mark.parametrize("which", NETS)
def test_bits_do_not_depend_on_threads_blocks_or_set(
    on_each_set: Callable, use_threads: Callable[[int], None], rng: np.random.Generator, which: str, rule: str
) -> None:
    """Nets that are worth several workers; batches of several blocks."""
    ops = [
        op._replace(units=op.units * 20) if op is not NETS[which][-1] and op.units != 3 else op
        for op in NETS[which]
    ]
    inputs = 180 if which == "first" else 9
    for batch_size in (5, 64, 700):
        x, y = floats(rng, 700, inputs), targets_for(loss_of(ops), rng, 700, 3)

        def run(
            threads: int, x: np.ndarray = x, y: np.ndarray = y, size: int = batch_size
        ) -> list[np.ndarray]:
            use_threads(threads)
            net = make(_core, ops, rule, inputs)
            net.schedule = "parallel"
            totals = np.zeros(1)
            net.train(x, y, None, None, 0, 700, size, calm(rule), totals, None)
            return [net.params.copy(), *(slot.copy() for slot in net.slots), totals]

        assert same_bits(
            [result for threads in (1, 2, 3, 5) for result in on_each_set(lambda t=threads, run=run: run(t))]
        )


@pytest.mark.parametrize("module", [_core, reference])
@pytest.mark.parametrize("skip_zeros", [None, True])
@pytest.mark.parametrize("which", NETS)
def test_nothing_is_dropped_in_evaluation_and_prediction(
    rng: np.random.Generator, which: str, module: object, skip_zeros: bool | None
) -> None:
    ops = NETS[which]
    net, plain = make(module, ops), make(module, [op for op in ops if op.kind != "dropout"])
    plain.params[...] = net.params
    net.skip_zeros = plain.skip_zeros = skip_zeros
    x, y = floats(rng, 600, 9), targets_for(loss_of(ops), rng, 600, 3)
    results = []
    for each in (net, plain):
        out, totals = np.empty((600, 3), np.float32), np.zeros(1)
        each.predict(x, out, None)
        each.evaluate(x, y, None, totals, None)
        results.append([out, totals])
    assert same_bits(results)


@pytest.mark.parametrize("kind", ["activation", "dropout"])
def test_a_first_op_without_weights_is_evaluated(kind: str) -> None:
    """As wide as it is, it has no weights that skipped zeros could hide; below Dropout they are those of the layer above."""
    first = activation(4000, "tanh") if kind == "activation" else dropout(4000)
    x, y = np.zeros((64, 4000), np.float32), np.zeros((64, 2), np.float32)
    x[:, 5] = 1.0
    for skip_zeros in (None, True, False):
        for bad in (0.0, np.nan):
            net = _core.Net(4000, [first, dense(2)])
            net.compile("mean_squared_error", False, "sgd", ())
            net.skip_zeros = skip_zeros
            net.tensors[0][7] = bad
            totals = np.zeros(1)
            net.evaluate(x, y, None, totals, None)
            assert np.isnan(totals[0]) == np.isnan(bad)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": -0.1}, r"ops\[0\]: expected a rate from 0 to 1, received -0.1"),
        ({"rate": 1.1}, "rate from 0 to 1"),
        ({"rate": math.nan}, "rate from 0 to 1"),
        (
            {"seed": -1},
            r"ops\[0\]: seed: expected a whole number from 0 to 18446744073709551615, received -1",
        ),
        ({"seed": 2**64}, "received 18446744073709551616"),
        ({"units": 4}, r"ops\[0\]: expected units 3"),
        ({"kind": "drop"}, r"ops\[0\]: kind: expected one of dense, activation, dropout, received 'drop'"),
    ],
)
def test_the_seam_checks(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _core.Net(3, [dropout(3)._replace(**change), dense(1)])


# Models


X = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 3, 50)


def model(seed: int = 1, layer_seed: int | None = None, backend: str = "native") -> nn.Sequential:
    made = nn.Sequential(
        [
            nn.layers.Input((6,)),
            nn.layers.Dense(20, "relu"),
            nn.layers.Dropout(0.4, seed=layer_seed),
            nn.layers.Dense(3, "softmax"),
        ],
        seed=seed,
    )
    made.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], backend=backend)
    return made


def weights(trained: nn.Sequential) -> bytes:
    return b"".join(weight.tobytes() for weight in trained.get_weights())


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_training_goes_on_the_same_from_files_and_copies(tmp_path: Path, backend: str) -> None:
    first = model(backend=backend)
    first.fit(X, Y, batch_size=8, epochs=2, verbose=0)
    first.save(tmp_path / "m")
    others = [nn.load_model(tmp_path / "m"), copy.deepcopy(first), pickle.loads(pickle.dumps(first))]
    again = model(backend=backend)
    again.fit(X, Y, batch_size=8, epochs=2, verbose=0)
    for each in (first, again, *others):
        each.fit(X, Y, batch_size=8, epochs=3, verbose=0)
    assert len({weights(each) for each in (first, again, *others)}) == 1
    assert [layer.get_config() for layer in others[0].layers] == [
        layer.get_config() for layer in first.layers
    ]


def test_the_seed_is_the_layer_s_or_the_model_s() -> None:
    def trained(seed: int, layer_seed: int | None) -> bytes:
        made = model(seed, layer_seed)
        made.set_weights(model().get_weights())
        made.fit(X, Y, batch_size=50, shuffle=False, verbose=0)
        return weights(made)

    assert trained(1, 1) != trained(1, 2)
    assert trained(1, None) != trained(2, None)
    assert trained(1, 7) == trained(2, 7)


def test_two_layers_of_one_seed_have_different_masks() -> None:
    made = nn.Sequential(
        [
            nn.layers.Dropout(0.5, seed=1, input_shape=(64,)),
            nn.layers.Dropout(0.5, seed=1),
            nn.layers.Dense(1),
        ]
    )
    assert [op.kind for op in made._ops()] == ["dropout", "dropout", "dense"]
    both = reference.dropout_mask(0.5, 1, 0, 1, 50, 64) & reference.dropout_mask(0.5, 1, 1, 1, 50, 64)
    assert 0.2 < both.mean() < 0.3


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan, True, "half", None])
def test_rates_are_checked(rate: object) -> None:
    with pytest.raises(ValueError, match="rate must be a number from 0 to 1, got"):
        nn.layers.Dropout(rate)


@pytest.mark.parametrize("seed", [-1, 2**64, 0.5, "one"])
def test_seeds_are_checked(seed: object) -> None:
    with pytest.raises(ValueError, match=r"seed must be a whole number from 0 to 2\*\*64 - 1, got"):
        nn.layers.Dropout(0.5, seed=seed)


def test_masks_that_rows_share_are_refused() -> None:
    with pytest.raises(ValueError, match=r"noise_shape must be None, .* got \(None, 1\)"):
        nn.layers.Dropout(0.5, noise_shape=(None, 1))


def test_numbers_of_numpy_are_numbers() -> None:
    layer = nn.layers.Dropout(np.float32(0.5), seed=np.int64(3), name="d", input_shape=(4,))
    assert nn.layers.Dropout.from_config(layer.get_config()).get_config() == layer.get_config()
    assert (layer.rate, layer.seed) == (0.5, 3)
    assert type(layer.rate) is float
    assert type(layer.seed) is int
