"""Whole steps of the engine: trajectories against the reference in float64, blocks, interruptions, floating-point mode, bits."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from nnfast import _core, kernels, reference
from nnfast.errors import NonFiniteError

from ..hyper import as_double, calm, fresh_slots, targets_for
from ..ops import activation, dense
from ..tolerances import TRAJECTORY_RTOL
from .helpers import compressed, floats, same_bits

LAYERS = {
    "mnist": (
        12,
        [dense(17, "relu"), dense(10, "softmax")],
        "sparse_categorical_crossentropy",
    ),
    "wine": (11, [dense(20, "relu"), dense(1)], "mean_squared_error"),
    "deep": (
        9,
        [
            dense(18, "tanh"),
            activation(18, "sigmoid", 2.0),
            dense(7, "sigmoid", 1.0, use_bias=False),
            dense(3, "softmax"),
        ],
        "categorical_crossentropy",
    ),
    "hidden softmax": (
        6,
        [dense(5, "softmax"), dense(2, "sigmoid", 1.0)],
        "binary_crossentropy",
    ),
    "composed": (
        6,
        [dense(8, "softmax"), dense(4, "sigmoid", 1.0)],
        "mean_absolute_error",
    ),
}


def build(module, which: str, rule: str, from_logits: bool = False, metrics: tuple[str, ...] = (), **kwargs):
    inputs, layers, loss = LAYERS[which]
    net = module.Net(inputs, layers, **kwargs)
    for i, tensor in enumerate(net.tensors):
        tensor[...] = (_core.uniform(tensor.size, 42, i).reshape(tensor.shape) - 0.5) * (
            1.5 if tensor.ndim == 2 else 0.2
        )
    net.compile(loss, from_logits, rule, metrics)
    return net, loss


def data(which: str, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    inputs, layers, loss = LAYERS[which]
    x = floats(rng, n, inputs)
    x[rng.random(x.shape) < 0.3] = 0.0
    return x, targets_for(loss, rng, n, layers[-1].units), rng.uniform(0.5, 2.0, n).astype(np.float32)


@pytest.mark.parametrize("batch_size", [1, 7, 8, 9, 30, 64, 65])
@pytest.mark.parametrize("rule", _core.RULES)
@pytest.mark.parametrize("which", LAYERS)
def test_trajectory_of_50_steps(
    isa: str, rng: np.random.Generator, which: str, rule: str, batch_size: int
) -> None:
    n = 64
    x, y, weight = data(which, n, rng)
    net, loss = build(_core, which, rule)
    oracle, _ = build(reference, which, rule, dtype=np.float64)
    order = np.empty(n, dtype=np.uint32)
    totals, exact = np.zeros(1), np.zeros(1)
    epoch = 0
    while net.step < 50:
        _core.shuffle(order, 1, epoch)
        stop = min(n, (50 - net.step) * batch_size)
        net.train(x, y, weight, order, 0, stop, batch_size, calm(rule), totals, None)
        oracle.train(
            x.astype(np.float64),
            as_double(y),
            weight.astype(np.float64),
            order,
            0,
            stop,
            batch_size,
            calm(rule),
            exact,
            None,
        )
        epoch += 1
    assert oracle.step == net.step == 50
    assert totals[0] == pytest.approx(exact[0], rel=TRAJECTORY_RTOL)
    for tensor, exact_tensor in zip(net.tensors, oracle.tensors, strict=True):
        assert np.abs(tensor - exact_tensor).max() <= TRAJECTORY_RTOL * np.abs(exact_tensor).max()


@pytest.mark.parametrize("which", LAYERS)
def test_same_bits_on_every_set(on_each_set, rng: np.random.Generator, which: str) -> None:
    x, y, weight = data(which, 300, rng)

    def run(rule: str, batch_size: int) -> list[np.ndarray]:
        net, _ = build(_core, which, rule)
        totals = np.zeros(1)
        for _ in range(3):
            net.train(x, y, weight, None, 0, 300, batch_size, calm(rule), totals, None)
        return [net.params.copy(), *(slot.copy() for slot in net.slots), totals]

    for rule in _core.RULES:
        for batch_size in (1, 7, 32, 300):
            assert same_bits(on_each_set(lambda rule=rule, batch_size=batch_size: run(rule, batch_size)))


@pytest.mark.parametrize("rule", ["sgd", "adam"])
@pytest.mark.parametrize("which", ["mnist", "wine", "deep"])
def test_a_batch_of_many_blocks_is_one_sum(isa: str, rng: np.random.Generator, which: str, rule: str) -> None:
    """700 rows pass in blocks of 256; their gradient continues one chain, so that a full batch equals it taken whole."""
    x, y, weight = data(which, 700, rng)
    net, _ = build(_core, which, rule)
    oracle, _ = build(reference, which, rule, dtype=np.float64)
    totals, exact = np.zeros(1), np.zeros(1)
    for _ in range(3):
        net.train(x, y, weight, None, 0, 700, 700, calm(rule), totals, None)
        oracle.train(
            x.astype(np.float64),
            as_double(y),
            weight.astype(np.float64),
            None,
            0,
            700,
            700,
            calm(rule),
            exact,
            None,
        )
    assert totals[0] == pytest.approx(exact[0], rel=TRAJECTORY_RTOL)
    for tensor, exact_tensor in zip(net.tensors, oracle.tensors, strict=True):
        assert np.abs(tensor - exact_tensor).max() <= TRAJECTORY_RTOL * np.abs(exact_tensor).max()


def test_batch_by_batch_is_the_epoch(isa: str, rng: np.random.Generator) -> None:
    x, y, _ = data("mnist", 50, rng)
    results = []
    for pieces in ([(0, 50)], [(0, 16), (16, 32), (32, 48), (48, 50)]):
        net, _ = build(_core, "mnist", "adam", metrics=("sparse_categorical_accuracy",))
        totals = np.zeros(2)
        for start, stop in pieces:
            net.train(x, y, None, None, start, stop, 16, calm("adam"), totals, None)
        results.append([net.params.copy(), totals])
    assert same_bits(results)


def test_poisoned_workspace_and_growing_blocks(isa: str, rng: np.random.Generator) -> None:
    """A net that has seen larger and non-finite batches trains like a new one: nothing is read from what an earlier call has left."""
    x, y, _ = data("deep", 600, rng)
    fresh, _ = build(_core, "deep", "adam")
    used, _ = build(_core, "deep", "adam")
    start = used.params.copy()
    bad = x.copy()
    bad[:] = np.nan
    with pytest.raises(NonFiniteError):
        used.train(bad, y, None, None, 0, 600, 600, calm("adam"), np.zeros(1), None)
    assert same_bits([used.params, start])
    results = []
    for net in (fresh, used):
        net.train(x, y, None, None, 0, 20, 7, calm("adam"), np.zeros(1), None)
        results.append(net.params.copy())
    assert same_bits(results)


def test_non_finite_loss_stops_before_the_update(isa: str, rng: np.random.Generator) -> None:
    x, y, _ = data("wine", 40, rng)
    x[27, 3] = np.nan
    net, _ = build(_core, "wine", "sgd")
    expected, _ = build(_core, "wine", "sgd")
    totals, expected_totals = np.zeros(1), np.zeros(1)
    with pytest.raises(NonFiniteError) as error:
        net.train(x, y, None, None, 0, 40, 8, calm("sgd"), totals, None)
    assert error.value.batch == 3
    expected.train(x, y, None, None, 0, 24, 8, calm("sgd"), expected_totals, None)
    assert same_bits(
        [[net.params.copy(), totals, net.step], [expected.params.copy(), expected_totals, expected.step]]
    )


@pytest.mark.parametrize("exception", [KeyboardInterrupt, ZeroDivisionError])
def test_progress_can_stop_between_steps(rng: np.random.Generator, exception: type[BaseException]) -> None:
    x, y, _ = data("mnist", 2000, rng)
    inputs, layers, loss = (
        12,
        [dense(3000, "relu"), dense(10, "softmax")],
        "sparse_categorical_crossentropy",
    )
    seen: list[int] = []

    def progress(rows: int) -> None:
        seen.append(rows)
        if len(seen) == 3:
            raise exception

    net = _core.Net(inputs, layers)
    net.tensors[0][...] = 0.01
    net.compile(loss, False, "sgd", ())
    totals = np.zeros(1)
    with pytest.raises(exception):
        net.train(x, y, None, None, 0, 2000, 10, [0.01], totals, progress)
    assert seen == sorted(seen)
    assert net.step == seen[-1] // 10
    again = _core.Net(inputs, layers)
    again.tensors[0][...] = 0.01
    again.compile(loss, False, "sgd", ())
    again_totals = np.zeros(1)
    again.train(x, y, None, None, 0, seen[-1], 10, [0.01], again_totals, None)
    assert same_bits([[net.params.copy(), totals], [again.params.copy(), again_totals]])


def test_evaluate_and_predict(isa: str, rng: np.random.Generator) -> None:
    metrics = {
        "mnist": ("sparse_categorical_accuracy",),
        "deep": ("categorical_accuracy", "mean_squared_error"),
        "wine": ("mean_squared_error", "mean_absolute_error"),
        "hidden softmax": ("binary_accuracy",),
    }
    for which, names in metrics.items():
        x, y, weight = data(which, 300, rng)
        net, _ = build(_core, which, "sgd", metrics=names)
        oracle, _ = build(reference, which, "sgd", metrics=names, dtype=np.float64)
        totals, exact = np.zeros(1 + len(names)), np.zeros(1 + len(names))
        net.evaluate(x, y, weight, totals, None)
        oracle.evaluate(x.astype(np.float64), as_double(y), weight.astype(np.float64), exact, None)
        assert np.allclose(totals, exact, rtol=TRAJECTORY_RTOL)
        out = np.full((300, LAYERS[which][1][-1].units), np.nan, dtype=np.float32)
        net.predict(x, out, None)
        exact_out = np.empty(out.shape)
        oracle.predict(x.astype(np.float64), exact_out, None)
        assert np.allclose(out, exact_out, rtol=1e-4, atol=1e-6)
        one = np.empty((1, out.shape[1]), dtype=np.float32)
        for r in (0, 255, 256, 299):
            net.predict(x[r : r + 1], one, None)
            assert same_bits([one, out[r : r + 1]])


@pytest.mark.parametrize("which", ["mnist", "deep", "hidden softmax"])
def test_from_logits_of_a_linear_layer_is_the_link(isa: str, rng: np.random.Generator, which: str) -> None:
    """A linear last layer with from_logits trains to the same bits as the linked pair."""
    inputs, layers, loss = LAYERS[which]
    x, y, weight = data(which, 40, rng)
    linked, _ = build(_core, which, "sgd")
    raw = _core.Net(inputs, [*layers[:-1], dense(layers[-1].units)])
    raw.params[...] = linked.params
    raw.compile(loss, True, "sgd", ())
    totals, raw_totals = np.zeros(1), np.zeros(1)
    linked.train(x, y, weight, None, 0, 40, 8, [0.1], totals, None)
    raw.train(x, y, weight, None, 0, 40, 8, [0.1], raw_totals, None)
    assert np.allclose(raw.params, linked.params, rtol=1e-6, atol=1e-7)
    assert same_bits([totals, raw_totals])


def test_a_schedule_that_does_not_exist_is_refused() -> None:
    net = _core.Net(3, [dense(2)])
    assert net.schedule is None
    with pytest.raises(
        ValueError, match="schedule: expected None or one of serial, parallel, received 'both'"
    ):
        net.schedule = "both"
    net.schedule = "parallel"
    assert net.schedule == "parallel"
    net.schedule = None
    assert net.schedule is None


def test_denormals_are_off_inside_and_the_mode_is_restored(isa: str) -> None:
    tiny = np.full(3, 1e-40, dtype=np.float32)
    w, velocity = np.ones(3, dtype=np.float32), tiny.copy()
    _core.update(w, np.zeros(3, np.float32), [velocity], "momentum", [0.01, 0.9], 1)
    assert not velocity.any()  # flushed
    assert (tiny * np.float32(0.5)).all()  # the caller's arithmetic still has denormals


def test_arguments_are_checked_before_anything_changes(rng: np.random.Generator) -> None:
    x, y, _ = data("mnist", 8, rng)
    net, _ = build(_core, "mnist", "sgd")
    before = net.params.copy()
    totals = np.zeros(1)
    order = np.arange(8, dtype=np.uint32)
    cases = [
        (
            (x.astype(np.float64), y, None, None, 0, 8, 2, [0.1], totals),
            TypeError,
            r"x: expected float32 .*received float64 of shape \(8, 12\)",
        ),
        ((x[:, ::2], y, None, None, 0, 8, 2, [0.1], totals), ValueError, "not C-contiguous"),
        ((x.tolist(), y, None, None, 0, 8, 2, [0.1], totals), TypeError, "received list"),
        ((x[:, :5].copy(), y, None, None, 0, 8, 2, [0.1], totals), ValueError, r"shape \(rows, 12\)"),
        ((x, y[:7], None, None, 0, 8, 2, [0.1], totals), ValueError, r"y: expected int32"),
        (
            (x, np.full(8, 10, np.int32), None, None, 0, 8, 2, [0.1], totals),
            ValueError,
            "labels from 0 to 9, received 10 in row 0",
        ),
        ((x, np.full(8, -1, np.int32), None, None, 0, 8, 2, [0.1], totals), ValueError, "received -1"),
        ((x, y, np.ones(7, np.float32), None, 0, 8, 2, [0.1], totals), ValueError, "sample_weight"),
        (
            (x, y, None, order + 1, 0, 8, 2, [0.1], totals),
            ValueError,
            "rows from 0 to 7, received 8 at place 7",
        ),
        ((x, y, None, order[:5], 0, 8, 2, [0.1], totals), ValueError, "order"),
        ((x, y, None, None, 0, 9, 2, [0.1], totals), ValueError, "start, stop"),
        ((x, y, None, None, 4, 4, 2, [0.1], totals), ValueError, "start, stop"),
        ((x, y, None, None, 0, 8, 0, [0.1], totals), ValueError, "batch_size"),
        ((x, y, None, None, 0, 8, 2, [], totals), ValueError, "hyper: expected learning_rate"),
        ((x, y, None, None, 0, 8, 2, [0.1], np.zeros(2)), ValueError, "totals"),
    ]
    for args, error, message in cases:
        with pytest.raises(error, match=message):
            net.train(*args, None)
    assert same_bits([net.params, before])
    assert net.step == 0
    assert not totals.any()
    with pytest.raises(ValueError, match="expected one of"):
        net.compile("no such loss", False, "sgd", ())
    with pytest.raises(ValueError, match="ops: expected at least one with weights"):
        _core.Net(3, [activation(3, "relu")])
    with pytest.raises(ValueError, match=r"ops\[0\]: expected units 3, .* of kind activation, received 4"):
        _core.Net(3, [activation(4, "relu"), dense(1)])
    with pytest.raises(MemoryError):
        _core.Net(2**40, [dense(2**40, "relu")])


def test_views_keep_the_net_alive() -> None:
    tensors = _core.Net(3, [dense(4, "relu")]).tensors
    tensors[0][...] = 7.0
    assert (tensors[0] == 7.0).all()
    assert tensors[0].ctypes.data % 64 == tensors[1].ctypes.data % 64 == 0


@pytest.mark.parametrize(
    "batch_size", [1, 2, 3, 7, 8, 9, 13, 31, 32, 33, 64, 100, 128, 129, 130, 260, 299, 300]
)
@pytest.mark.parametrize("rule", ["sgd", "momentum", "adam"])
def test_bits_do_not_depend_on_threads_skipped_zeros_or_set(
    on_each_set, rng: np.random.Generator, rule: str, batch_size: int
) -> None:
    """The promise of the engine: any number of workers, any instruction set with FMA, zeros skipped or not: the same model."""
    n = 300
    x = floats(rng, n, 150)
    x[rng.random(x.shape) < 0.8] = 0.0
    x[:, :7] = 0.0
    x[5] = 0.0
    y = rng.integers(0, 10, n).astype(np.int32)
    order = np.empty(n, dtype=np.uint32)
    _core.shuffle(order, 5, 0)
    before = _core.num_threads()

    def run(threads: int, skip: bool, schedule: str | None) -> list[np.ndarray]:
        _core.set_num_threads(threads)
        net = _core.Net(
            150,
            [
                dense(129, "relu"),
                dense(33, "tanh", use_bias=False),
                dense(10, "softmax"),
            ],
        )
        for i, tensor in enumerate(net.tensors):
            tensor[...] = (_core.uniform(tensor.size, 1, i).reshape(tensor.shape) - 0.5) * 0.3
        net.skip_zeros = skip
        net.schedule = schedule
        net.compile(
            "sparse_categorical_crossentropy",
            False,
            rule,
            ("sparse_categorical_accuracy", "mean_squared_error")[:1],
        )
        totals = np.zeros(2)
        net.train(x, y, None, order, 0, n, batch_size, calm(rule), totals, None)
        net.evaluate(x, y, None, totals, None)
        out = np.empty((n, 10), dtype=np.float32)
        net.predict(x, out, None)
        return [net.params.copy(), totals, out]

    try:
        results = [
            result
            for threads in range(1, 6)
            for skip, schedule in (
                (False, None),
                (True, None),
                *((True, schedule) for schedule in _core.SCHEDULES[1:] if threads in (2, 3)),
            )
            for result in on_each_set(lambda t=threads, s=skip, w=schedule: run(t, s, w))
        ]
    finally:
        _core.set_num_threads(before)
    assert same_bits(results)


@pytest.mark.parametrize("batch_size", [1, 3, 24, 190])
@pytest.mark.parametrize("rule", ["sgd", "momentum", "adam", "rmsprop"])
def test_bits_of_a_long_call_do_not_depend_on_threads(
    rng: np.random.Generator, rule: str, batch_size: int
) -> None:
    """Many steps in one call: workers keep packed weights, which choice of workers is taken changes on the schedule, and inputs that were zero so far are
    left alone. Batches of 190 rows have two blocks, the last one of the call has one."""
    inputs, n = 700, 20 * 190 + 110
    x = floats(rng, n, inputs)
    x[rng.random(x.shape) < 0.8] = 0.0
    x[:, 64:200] = 0.0  # never anything,
    x[: n // 2, 300:340] = 0.0  # late,
    x[: n - 50, 401] = 0.0  # very late,
    x[9:, 402:500] = 0.0  # early
    y = rng.integers(0, 10, n).astype(np.int32)
    before = _core.num_threads()

    def run(threads: int, skip: bool, schedule: str | None) -> bytes:
        _core.set_num_threads(threads)
        net = _core.Net(inputs, [dense(144, "relu"), dense(10, "softmax")])
        for i, tensor in enumerate(net.tensors):
            tensor[...] = (_core.uniform(tensor.size, 1, i).reshape(tensor.shape) - 0.5) * 0.2
        net.tensors[0][64:80] = -0.0
        net.skip_zeros = skip
        net.schedule = schedule
        net.compile("sparse_categorical_crossentropy", False, rule, ())
        for _ in range(2):
            net.train(x, y, None, None, 0, n, batch_size, calm(rule), np.zeros(1), None)
        return net.params.tobytes() + b"".join(slot.tobytes() for slot in net.slots)

    try:
        results = {
            run(threads, skip, schedule)
            for threads in (1, 2, 3, 5)
            for skip, schedule in ((False, None), (True, None), (True, "parallel"))
            if schedule is None or threads in (2, 3)
        }
    finally:
        _core.set_num_threads(before)
    assert len(results) == 1


@pytest.mark.parametrize(("inputs", "units"), [(1, 2), (3, 16), (11, 128), (13, 33), (40, 130), (1030, 40)])
@pytest.mark.parametrize("rule", ["sgd", "adam"])
@pytest.mark.parametrize("batch_size", [7, 24, 100, 300])
def test_a_single_output_has_the_bits_of_single_kernels(
    on_each_set, rng: np.random.Generator, inputs: int, units: int, rule: str, batch_size: int
) -> None:
    """Where the gradient of the hidden layer is never stored (single_output.h): what single kernels give, one after the other."""
    x, y = floats(rng, batch_size, inputs), floats(rng, batch_size, 1)
    start = [
        floats(rng, inputs, units),
        floats(rng, units),
        floats(rng, units, 1),
        np.ones(1, dtype=np.float32),
    ]
    slots = {"sgd": 0, "adam": 2}[rule]

    def net_step(threads: int) -> list[np.ndarray]:
        before = _core.num_threads()
        _core.set_num_threads(threads)
        try:
            net = _core.Net(inputs, [dense(units, "relu"), dense(1)])
            net.schedule = "parallel"
            for tensor, value in zip(net.tensors, start, strict=True):
                tensor[...] = value
            net.compile("mean_squared_error", False, rule, ())
            for _ in range(2):
                net.train(x, y, None, None, 0, batch_size, batch_size, calm(rule), np.zeros(1), None)
            return [tensor.copy() for tensor in net.tensors]
        finally:
            _core.set_num_threads(before)

    def kernel_steps() -> list[np.ndarray]:
        w1, b1, w2, b2 = (value.copy() for value in start)
        memory = [
            [(np.zeros_like(w), np.zeros_like(b)) for _ in range(slots)] for w, b in ((w1, b1), (w2, b2))
        ]
        for step in (1, 2):
            a = kernels.dense_forward(x, w1, b1, "relu")
            out = kernels.dense_forward(a, w2, b2)
            _, dz = kernels.loss_value_and_gradient(out, y, "mean_squared_error")
            da = kernels.dense_backward_update(w2, b2, dz, a, rule, calm(rule), memory[1], step)
            dz = kernels.activation_backward(da, a, "relu")
            kernels.dense_backward_update(w1, b1, dz, x, rule, calm(rule), memory[0], step, need_dx=False)
        return [w1, b1, w2, b2]

    results = [
        result
        for f in (lambda: net_step(1), lambda: net_step(2), lambda: net_step(5), kernel_steps)
        for result in on_each_set(f)
    ]
    assert same_bits(results)


@pytest.mark.parametrize(
    ("activation", "loss", "from_logits", "metrics"),
    [
        ("linear", "mean_squared_error", False, ("mean_absolute_error", "mean_squared_error")),
        ("tanh", "mean_absolute_error", False, ("mean_squared_error",)),
        ("sigmoid", "binary_crossentropy", False, ("binary_accuracy",)),
        ("linear", "binary_crossentropy", True, ()),
    ],
)
@pytest.mark.parametrize("units", [20, 128])
@pytest.mark.parametrize("batch_size", [96, 600])
@pytest.mark.parametrize("finite", [True, False])
def test_workers_that_own_columns_below_a_single_output_change_nothing(
    isa: str,
    rng: np.random.Generator,
    activation: str,
    loss: str,
    from_logits: bool,
    metrics: tuple[str, ...],
    units: int,
    batch_size: int,
    finite: bool,
) -> None:
    """Order, weights, metrics, a last batch that is short, batches of several blocks, a loss that is NaN; some workers own nothing."""
    n, inputs = 1000, 5
    x, y = floats(rng, n, inputs), (rng.random((n, 1)) < 0.4).astype(np.float32)
    weight, order = rng.uniform(0.5, 2.0, n).astype(np.float32), rng.permutation(n).astype(np.uint32)
    kernel = floats(rng, inputs, units)
    if not finite:
        x[order[700], 2] = np.nan
    before = _core.num_threads()

    def run(threads: int) -> list[object]:
        _core.set_num_threads(threads)
        net = _core.Net(inputs, [dense(units, "relu"), dense(1, activation, 1.0)])
        net.tensors[0][...] = kernel
        net.tensors[2][...] = 0.05
        net.schedule = "parallel"
        net.compile(loss, from_logits, "adam", metrics)
        totals, stopped = np.zeros(1 + len(metrics)), None
        for _ in range(2):
            try:
                net.train(x, y, weight, order, 0, n, batch_size, calm("adam"), totals, None)
            except NonFiniteError as error:
                stopped = error.batch
        return [net.params.copy(), *(slot.copy() for slot in net.slots), totals, net.step, stopped]

    try:
        results = [run(threads) for threads in (1, 2, 3, 5)]
    finally:
        _core.set_num_threads(before)
    assert same_bits(results)
    assert results[0][-1] == (None if finite else 700 // batch_size)


def test_workers_that_own_columns_below_a_single_output_stop_between_steps(rng: np.random.Generator) -> None:
    n, batch_size = 200_000, 24
    x, y = floats(rng, n, 5), floats(rng, n, 1)
    before = _core.num_threads()
    seen: list[int] = []

    def progress(rows: int) -> None:
        seen.append(rows)
        if len(seen) == 3:
            raise KeyboardInterrupt

    def run(threads: int, rows: int, told: Callable[[int], None] | None) -> list[object]:
        _core.set_num_threads(threads)
        net = _core.Net(5, [dense(300, "relu"), dense(1)])
        net.tensors[0][...] = net.tensors[2][...] = 0.01
        net.schedule = "parallel"
        net.compile("mean_squared_error", False, "sgd", ())
        totals = np.zeros(1)
        try:
            net.train(x, y, None, None, 0, rows, batch_size, [0.01], totals, told)
        except KeyboardInterrupt:
            assert told
        return [net.params.copy(), totals, net.step]

    try:
        stopped = run(3, n, progress)
        assert 0 < seen[-1] < n
        assert same_bits([stopped, run(1, seen[-1], None)])
    finally:
        _core.set_num_threads(before)


def test_predictions_show_weights_that_are_not_finite(rng: np.random.Generator) -> None:
    """Where zeros are skipped, too: the same for any number of rows."""
    x = np.zeros((200, 100), dtype=np.float32)
    x[:, 3] = 1.0
    for bad in (np.nan, np.inf):
        net = _core.Net(100, [dense(64, "relu"), dense(3, "softmax")])
        for tensor in net.tensors:
            tensor[...] = floats(rng, *tensor.shape) / 10
        net.tensors[0][7, 5] = bad  # of an input that is always zero
        net.compile("sparse_categorical_crossentropy", False, "sgd", ())
        for rows in (1, 16, 200):
            out, totals = np.empty((rows, 3), np.float32), np.zeros(1)
            net.predict(x[:rows], out, None)
            assert np.isnan(out).all()
            net.evaluate(x[:rows], np.zeros(rows, np.int32), None, totals, None)
            assert np.isnan(totals).all()


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 129, 500, 2500])
@pytest.mark.parametrize("units", [1, 2, 130])
def test_evaluation_does_not_depend_on_skipped_zeros_or_workers(
    on_each_set, rng: np.random.Generator, rows: int, units: int
) -> None:
    """The loss from dense rows, with and without their zeros, and from a compressed matrix. 2,500 rows are worth several workers."""
    x = floats(rng, rows, 90)
    x[rng.random(x.shape) < 0.85] = 0.0
    x[0, :5] = [1e-41, -1e-41, -0.0, 1e-38, -1e-38]  # denormals count as zeros, however they are met
    x[rows // 2 + 1 : rows // 2 + 9] = 0.0
    y = rng.integers(0, 3, rows).astype(np.int32)
    start = [floats(rng, *shape) for shape in ((90, units), (units,), (units, 3), (3,))]

    def evaluate(data: object, skip: bool, threads: int) -> np.ndarray:
        before = _core.num_threads()
        _core.set_num_threads(threads)
        try:
            net = _core.Net(90, [dense(units, "relu"), dense(3, "softmax")])
            for tensor, value in zip(net.tensors, start, strict=True):
                tensor[...] = value
            net.skip_zeros = skip
            net.compile("sparse_categorical_crossentropy", False, "sgd", ("sparse_categorical_accuracy",))
            totals = np.zeros(2)
            net.evaluate(data, y, None, totals, None)
            return totals
        finally:
            _core.set_num_threads(before)

    row, column = np.nonzero(x)
    start_of_row = np.searchsorted(row, np.arange(rows + 1)).astype(np.int64)
    compressed = _core.SparseRows(start_of_row, column.astype(np.int32), x[row, column], 90)
    results = [
        result
        for data, skip in ((x, False), (x, True), (compressed, True))
        for threads in (1, 2, 3, 5)
        for result in on_each_set(lambda data=data, skip=skip, threads=threads: evaluate(data, skip, threads))
    ]
    assert same_bits(results)


@pytest.mark.parametrize("inputs", [1, 3, 16, 31, 66, 131, 260])
@pytest.mark.parametrize("units", [2, 15, 32, 50, 112, 130])
def test_skipped_zeros_leave_the_bits_at_every_shape(
    on_each_set, rng: np.random.Generator, inputs: int, units: int
) -> None:
    """Inputs that fill no group and no word, outputs that fill no sweep, rows alone, in pairs, in one word of marks and in two: the same model as
    from dense rows, and as from a CSR matrix."""
    n = 3 * 129
    x = floats(rng, n, inputs)
    x[rng.random(n) < 0.05] = 0.0
    x[rng.random(x.shape) < rng.random(n)[:, None] ** 0.3] = 0.0
    x[:, inputs // 3 : inputs // 2] = 0.0
    y = rng.integers(0, 3, n).astype(np.int32)
    matrix = compressed(x)

    def run(data: object, skip: bool, rule: str, batch_size: int, schedule: str | None) -> bytes:
        net = _core.Net(inputs, [dense(units, "relu"), dense(3, "softmax")])
        for i, tensor in enumerate(net.tensors):
            tensor[...] = (_core.uniform(tensor.size, 1, i).reshape(tensor.shape) - 0.5) * 0.6
        net.skip_zeros, net.schedule = skip, schedule
        net.compile("sparse_categorical_crossentropy", False, rule, ())
        net.train(data, y, None, None, 0, n, batch_size, calm(rule), np.zeros(1), None)
        return net.params.tobytes() + b"".join(slot.tobytes() for slot in net.slots)

    before = _core.num_threads()
    _core.set_num_threads(3)
    try:
        for batch_size in (1, 2, 5, 16, 17, 64, 65, 127, 129):
            for rule in ("sgd", "adam"):
                results = {
                    result
                    for data, skip, schedule in (
                        (x, False, "serial"),
                        (x, True, "serial"),
                        (x, True, "parallel"),
                        (matrix, True, "parallel"),
                    )
                    for result in on_each_set(
                        lambda d=data, s=skip, w=schedule, r=rule, b=batch_size: run(d, s, r, b, w)
                    )
                }
                assert len(results) == 1, (rule, batch_size)
    finally:
        _core.set_num_threads(before)


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 97, 500])
@pytest.mark.parametrize("units", [1, 2, 130])
def test_predictions_do_not_depend_on_skipped_zeros_or_neighbours(
    on_each_set, rng: np.random.Generator, rows: int, units: int
) -> None:
    x = floats(rng, rows, 90)
    x[rng.random(x.shape) < 0.85] = 0.0
    net = _core.Net(90, [dense(units, "relu"), dense(3, "softmax")])
    for tensor in net.tensors:
        tensor[...] = floats(rng, *tensor.shape)

    def predict(skip: bool) -> np.ndarray:
        other = _core.Net(90, [dense(units, "relu"), dense(3, "softmax")])
        other.params[...] = net.params
        other.skip_zeros = skip
        out = np.empty((rows, 3), np.float32)
        other.predict(x, out, None)
        return out

    def one_by_one() -> np.ndarray:
        out = np.empty((rows, 3), np.float32)
        for r in range(rows):
            net.predict(x[r : r + 1], out[r : r + 1], None)
        return out

    assert same_bits(
        [
            result
            for f in (lambda: predict(True), lambda: predict(False), one_by_one)
            for result in on_each_set(f)
        ]
    )


@pytest.mark.parametrize(
    ("hidden", "batch_size"),
    [*(((103, 97), rows) for rows in (2, 9, 25, 100)), ((103, 513), 47), ((103, 513), 48), ((2, 515), 60)],
)
@pytest.mark.parametrize(("rule", "hyper"), [("sgd", (0.01,)), ("adam", (0.01, 0.9, 0.999, 1e-7))])
def test_a_deep_net_has_the_bits_of_single_kernels(
    on_each_set,
    rng: np.random.Generator,
    hidden: tuple[int, int],
    batch_size: int,
    rule: str,
    hyper: tuple[float, ...],
) -> None:
    """Input gradients come from the weights as they lie or transposed, by the number of rows; wide layers go in blocks, and of two inputs not every
    worker has one."""
    sizes, activations = (20, *hidden, 5), ("relu", "tanh", "linear")
    x, y = floats(rng, batch_size, 20), floats(rng, batch_size, 5)
    start = [t for a, b in pairwise(sizes) for t in (floats(rng, a, b) / 5, floats(rng, b))]

    def net_step(threads: int) -> list[np.ndarray]:
        before = _core.num_threads()
        _core.set_num_threads(threads)
        try:
            net = _core.Net(20, [dense(b, f) for b, f in zip(sizes[1:], activations, strict=True)])
            for tensor, value in zip(net.tensors, start, strict=True):
                tensor[...] = value
            net.compile("mean_squared_error", False, rule, ())
            net.schedule = "parallel"
            for _ in range(3):
                net.train(x, y, None, None, 0, batch_size, batch_size, hyper, np.zeros(1), None)
            return [tensor.copy() for tensor in net.tensors]
        finally:
            _core.set_num_threads(before)

    def kernel_steps() -> list[np.ndarray]:
        tensors = [value.copy() for value in start]
        slots = [fresh_slots(rule, value) for value in start]
        for step in (1, 2, 3):
            outputs = [x]
            for w, b, f in zip(tensors[::2], tensors[1::2], activations, strict=True):
                outputs.append(kernels.dense_forward(outputs[-1], w, b, f))
            _, dz = kernels.loss_value_and_gradient(outputs[-1], y, "mean_squared_error")
            for layer in (2, 1, 0):
                w, b = tensors[2 * layer : 2 * layer + 2]
                of_w, of_b = slots[2 * layer : 2 * layer + 2]
                pairs = list(zip(of_w, of_b, strict=True))
                dx = kernels.dense_backward_update(w, b, dz, outputs[layer], rule, hyper, pairs, step)
                if layer:
                    dz = kernels.activation_backward(dx, outputs[layer], activations[layer - 1])
        return tensors

    results = [
        result for f in (lambda: net_step(1), lambda: net_step(3), kernel_steps) for result in on_each_set(f)
    ]
    assert same_bits(results)


def test_totals_do_not_depend_on_what_was_trained_before(rng: np.random.Generator) -> None:
    """Workspaces for skipped zeros have smaller blocks; losses that are far apart show in which order they were added."""
    x = floats(rng, 400, 7)

    def totals(skip: bool) -> np.ndarray:
        net = _core.Net(7, [dense(64, "sigmoid", 1.0), dense(1)])
        net.skip_zeros = skip  # all weights are zero: the losses are the squares of y
        net.compile("mean_squared_error", False, "sgd", ())
        net.train(x, y, None, None, 0, 64, 64, (0.0,), np.zeros(1), None)
        found = np.zeros(1)
        net.evaluate(x, y, None, found, None)
        return found

    for _ in range(20):
        y = (floats(rng, 400, 1) * 10.0 ** rng.integers(-3, 4, (400, 1))).astype(np.float32)
        assert totals(True) == totals(False)
