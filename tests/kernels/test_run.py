"""Runs: prepared once for any number of steps; rates, outputs, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nnfast import _core, reference
from nnfast.errors import NonFiniteError

from ..hyper import calm
from ..ops import dense, dropout
from ..tolerances import OUTPUTS_RTOL, POINTWISE_RTOL
from .helpers import compressed, draw, floats, paths_of, same_bits

MODULES = [_core, reference]
LABELS = "sparse_categorical_crossentropy"


def make(module: object, rule: str = "sgd", metrics: tuple[str, ...] = (), hidden: int = 24) -> object:
    net = module.Net(13, [dense(hidden, "relu"), dropout(hidden, 0.2, 4), dense(3, "softmax")])
    draw(net)
    net.compile(LABELS, False, rule, metrics)
    return net


def data(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        floats(rng, n, 13),
        rng.integers(0, 3, n).astype(np.int32),
        rng.uniform(0.5, 2, n).astype(np.float32),
    )


def state(net: object) -> list[object]:
    return [net.params.copy(), *(slot.copy() for slot in net.slots), net.step]


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("rule", _core.RULES)
def test_a_rate_for_each_step_is_a_call_for_each_step(
    rng: np.random.Generator, module: object, rule: str
) -> None:
    x, y, weight = data(50, rng)
    rates = rng.uniform(0.001, 0.01, 7)
    order = rng.permutation(50).astype(np.uint32)
    together, apart = make(module, rule), make(module, rule)
    totals, expected = np.zeros(1), np.zeros(1)
    together.prepare(x, y, weight, 8).step(order, 0, 50, calm(rule), totals, None, rates=rates)
    run = apart.prepare(x, y, weight, 8)
    for number, first in enumerate(range(0, 50, 8)):
        run.step(order, first, min(50, first + 8), [rates[number], *calm(rule)[1:]], expected, None)
    assert same_bits([[*state(together), totals], [*state(apart), expected]])


@pytest.mark.parametrize("module", MODULES)
def test_rates_count_from_the_call(rng: np.random.Generator, module: object) -> None:
    """Whatever was trained before, and wherever in the order the call begins."""
    x, y, _ = data(40, rng)
    net, expected = make(module, "adam"), make(module, "adam")
    run, other = net.prepare(x, y, None, 10), expected.prepare(x, y, None, 10)
    for start, stop, rate in ((0, 20, 0.01), (20, 40, 0.003)):
        run.step(None, start, stop, calm("adam"), np.zeros(1), None, rates=np.full(2, rate))
        other.step(None, start, stop, [rate, *calm("adam")[1:]], np.zeros(1), None)
    assert same_bits([state(net), state(expected)])


@pytest.mark.parametrize(
    "rates",
    [np.full(6, 0.1), np.full(8, 0.1), np.full(7, 0.1, np.float32), [0.1] * 7, np.array([np.nan] * 7)],
)
def test_rates_that_do_not_fit_are_refused(rng: np.random.Generator, rates: object) -> None:
    x, y, _ = data(50, rng)
    net = make(_core)
    before, totals = state(net), np.zeros(1)
    with pytest.raises((TypeError, ValueError), match=r"rates: expected float64 .*shape \(7,\)"):
        net.prepare(x, y, None, 8).step(None, 0, 50, (0.1,), totals, None, rates=rates)
    assert same_bits([[*before, 0.0], [*state(net), totals[0]]])


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("kind", ["dense", "zeros", "compressed"])
@pytest.mark.parametrize("batch_size", [1, 8, 300, 700])
@pytest.mark.parametrize("threads", [1, 3])
def test_outputs_are_those_of_the_forward_pass(
    rng: np.random.Generator,
    use_threads: Callable[[int], None],
    module: object,
    train: bool,
    kind: str,
    batch_size: int,
    threads: int,
) -> None:
    """Of each step, before its update, in the order of the rows; a linked last layer gives probabilities, not logits. Here nothing is dropped."""
    use_threads(threads)
    n = 3 * batch_size - batch_size // 2
    x, y, weight = data(n, rng)
    if kind != "dense":
        x[rng.random(x.shape) < 0.8] = 0.0
    given = compressed(x) if kind == "compressed" else x
    order = rng.permutation(n).astype(np.uint32) if train else None
    net = module.Net(13, [dense(64, "relu"), dense(3, "softmax")])
    draw(net)
    net.compile(LABELS, False, "sgd", ())
    if module is _core:
        net.skip_zeros, net.schedule = kind != "dense", "parallel"
    outputs, expected, out = np.full((n, 3), np.nan, np.float32), [], np.empty((n, 3), np.float32)
    start = net.params.copy()
    run = net.prepare(given, y, weight, batch_size, train=train, keeps_outputs=True)
    run.step(order, 0, n, (0.1,), np.zeros(1), None, outputs=outputs)
    net.params[...] = start
    run = net.prepare(given, y, weight, batch_size, train=train)
    for first in range(0, n, batch_size):
        net.predict(x, out, None)
        stop = min(n, first + batch_size)
        expected.append((out if order is None else out[order])[first:stop].copy())
        run.step(order, first, stop, (0.1,), np.zeros(1), None)
    assert np.allclose(outputs, np.concatenate(expected), rtol=OUTPUTS_RTOL, atol=0)


@pytest.mark.parametrize("module", MODULES)
def test_outputs_of_a_part_begin_at_its_first_row(rng: np.random.Generator, module: object) -> None:
    x, y, _ = data(40, rng)
    whole, part = np.empty((40, 3), np.float32), np.empty((12, 3), np.float32)
    make(module).prepare(x, y, None, 4, keeps_outputs=True).step(
        None, 0, 40, (0.0,), np.zeros(1), None, outputs=whole
    )
    net = make(module)
    net.step = 5  # the masks of the sixth step
    net.prepare(x, y, None, 4, keeps_outputs=True).step(None, 20, 32, (0.0,), np.zeros(1), None, outputs=part)
    assert same_bits([part, whole[20:32]])


@pytest.mark.parametrize("module", MODULES)
def test_outputs_are_given_where_they_are_kept(rng: np.random.Generator, module: object) -> None:
    x, y, _ = data(16, rng)
    net = make(module)
    for keeps, outputs in ((True, None), (False, np.empty((16, 3), np.float32))):
        for train in (True, False):
            run = net.prepare(x, y, None, 8, train=train, keeps_outputs=keeps)
            with pytest.raises(ValueError, match="outputs: expected an array for a run that keeps outputs"):
                run.step(None, 0, 16, (0.1,), np.zeros(1), None, outputs=outputs)
    assert net.step == 0


@pytest.mark.parametrize("shape", [(15, 3), (16, 2), (48,)])
def test_outputs_that_do_not_fit_are_refused(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    x, y, _ = data(16, rng)
    net = make(_core)
    run = net.prepare(x, y, None, 8, keeps_outputs=True)
    with pytest.raises(ValueError, match=r"outputs: expected float32 .* \(16, 3\), writable"):
        run.step(None, 0, 16, (0.1,), np.zeros(1), None, outputs=np.empty(shape, np.float32))
    assert net.step == 0


@pytest.mark.parametrize("module", MODULES)
def test_a_run_of_before_a_compile_is_refused(rng: np.random.Generator, module: object) -> None:
    """Even one to the same loss and rule, whose slots are others."""
    x, y, _ = data(16, rng)
    for rule in ("sgd", "adam"):
        net = make(module, rule)
        runs = [net.prepare(x, y, None, 8), net.prepare(x, y, None, 8, train=False)]
        net.compile(LABELS, False, rule, ())
        before = state(net)
        for run in runs:
            with pytest.raises(
                RuntimeError, match="compiled again after this run was prepared; prepare another"
            ):
                run.step(None, 0, 16, calm(rule), np.zeros(1), None)
        assert same_bits([before, state(net)])
        net.prepare(x, y, None, 8).step(None, 0, 16, calm(rule), np.zeros(1), None)
        assert net.step == 2
    with pytest.raises(RuntimeError, match="compiled again"):
        runs[0].explain() if module is _core else runs[0].step(None, 0, 16, calm("adam"), np.zeros(1), None)


@pytest.mark.parametrize("module", MODULES)
def test_a_net_without_a_loss_prepares_nothing(rng: np.random.Generator, module: object) -> None:
    x, y, _ = data(16, rng)
    with pytest.raises(RuntimeError, match="the network has no loss yet: call compile first"):
        module.Net(13, [dense(3)]).prepare(x, y, None, 8)


@pytest.mark.parametrize("module", MODULES)
def test_runs_of_one_net_have_memory_of_their_own(rng: np.random.Generator, module: object) -> None:
    """Two that live at once, in turns, and others between them, are the calls one after the other."""
    x, y, weight = data(60, rng)
    net, expected = make(module, "adam"), make(module, "adam")
    first, second = net.prepare(x, y, weight, 8), net.prepare(x[::2].copy(), y[::2].copy(), None, 5)
    for _ in range(3):
        for run, start, stop in ((first, 8, 40), (second, 0, 30), (first, 0, 60)):
            run.step(None, start, stop, calm("adam"), np.zeros(1), None)
            net.evaluate(x, y, None, np.zeros(1), None)
        expected.train(x, y, weight, None, 8, 40, 8, calm("adam"), np.zeros(1), None)
        expected.train(x[::2].copy(), y[::2].copy(), None, None, 0, 30, 5, calm("adam"), np.zeros(1), None)
        expected.train(x, y, weight, None, 0, 60, 8, calm("adam"), np.zeros(1), None)
    assert same_bits([state(net), state(expected)])


def test_the_memory_of_a_run_goes_to_the_next_one(
    rng: np.random.Generator, use_threads: Callable[[int], None]
) -> None:
    """With what was measured of its schedules, if the steps are the same; what a larger one has left in it is not read."""
    use_threads(2)
    x, y, _ = data(4000, rng)
    net, fresh = make(_core, "adam", hidden=600), make(_core, "adam", hidden=600)
    run = net.prepare(x, y, None, 100)
    while not all(run.ns_per_row.values()):
        run.step(None, 0, 4000, calm("adam"), np.zeros(1), None)
    measured = run.ns_per_row
    del run
    run = net.prepare(x, y, None, 100)
    assert run.ns_per_row == measured
    nothing = dict.fromkeys(_core.SCHEDULES, 0.0)
    assert net.prepare(x, y, None, 100).ns_per_row == nothing  # the first one still has it
    del run
    assert net.prepare(x, y, None, 90).ns_per_row == nothing  # other steps
    bad = np.full_like(x, np.nan)
    with pytest.raises(NonFiniteError):
        net.train(bad, y, None, None, 0, 4000, 4000, calm("adam"), np.zeros(1), None)
    for flat, value in zip([net.params, *net.slots], [fresh.params, *fresh.slots], strict=True):
        flat[...] = value
    net.step = 0
    for each in (net, fresh):
        each.train(x, y, None, None, 0, 100, 7, calm("adam"), np.zeros(1), None)
    assert same_bits([state(net), state(fresh)])


def test_what_a_run_reads_lives_as_long_as_it(rng: np.random.Generator) -> None:
    x, y, weight = data(5000, rng)
    expected = make(_core)
    expected.train(x, y, weight, None, 0, 5000, 50, (0.01,), np.zeros(1), None)
    net = make(_core)
    run = net.prepare(x.copy(), y.copy(), weight.copy(), 50)
    for _ in range(5):
        np.full_like(x, np.nan)  # takes the memory, were it free
    run.step(None, 0, 5000, (0.01,), np.zeros(1), None)
    assert same_bits([state(net), state(expected)])


def test_a_run_keeps_its_net(rng: np.random.Generator) -> None:
    x, y, _ = data(16, rng)
    run = make(_core).prepare(x, y, None, 8)
    totals = np.zeros(1)
    run.step(None, 0, 16, (0.1,), totals, None)
    assert np.isfinite(totals).all()
    assert totals[0] > 0
    assert paths_of(run)["fused_update"]


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("module", MODULES)
def test_a_look_changes_nothing(rng: np.random.Generator, module: object, train: bool) -> None:
    x, y, weight = data(30, rng)
    net = make(module, "adam", ("sparse_categorical_accuracy",))
    before = state(net)
    run = net.prepare(x, y, weight, 8, train=train)
    totals, parts = np.zeros(2), np.zeros(2)
    if train:
        run.step(None, 0, 30, calm("adam"), totals, None)
        assert not same_bits([before, state(net)])
        return
    run.step(None, 0, 30, (), totals, None)
    for start, stop in ((0, 7), (7, 30)):
        run.step(None, start, stop, (), parts, None)
    assert np.allclose(totals, parts, rtol=POINTWISE_RTOL)
    assert same_bits([before, state(net)])
    if module is _core:
        with pytest.raises(ValueError, match="order: expected None, as rows are looked at as they lie"):
            run.step(np.arange(30, dtype=np.uint32), 0, 30, (), totals, None)
