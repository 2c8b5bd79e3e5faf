"""Plans explain themselves: ops, passes, what workers share, paths and why not, memory; and what is frozen costs nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnfast import _core, reference
from nnfast.graph import Op

from ..hyper import calm, targets_for
from ..ops import activation, dense, dropout
from .helpers import compressed, draw, floats, paths_of, same_bits

LABELS = "sparse_categorical_crossentropy"
MNIST = (784, [dense(128, "relu"), dense(10, "softmax")], LABELS)
WINE = (11, [dense(128, "relu"), dense(1)], "mean_squared_error")
DROPOUT = (
    20,
    [dense(300, "relu"), dropout(300), dense(97, "tanh"), activation(97, "sigmoid", 2.0), dense(5)],
    "mean_squared_error",
)


def prepare(
    task: tuple[int, list[Op], str],
    batch_size: int,
    rows: int = 2000,
    rule: str = "sgd",
    zeros: float = 0.0,
    sparse: bool = False,
    trainable: list[bool] | None = None,
    **kwargs: Any,
) -> _core.Run:
    inputs, ops, loss = task
    rng = np.random.default_rng(0)
    x = floats(rng, rows, inputs)
    x[rng.random(x.shape) < zeros] = 0.0
    net = _core.Net(inputs, ops)
    net.compile(loss, False, rule, ())
    if trainable is not None:
        net.trainable = trainable
    y = targets_for(loss, rng, rows, ops[-1].units)
    return net.prepare(compressed(x) if sparse else x, y, None, batch_size, **kwargs)


def has(run: _core.Run, *lines: str) -> bool:
    """Whether the text has these lines, in this order; ... in one stands for anything."""
    pattern = r"\n(?:.*\n)*?".join(re.escape(line).replace(r"\.\.\.", ".*") for line in lines)
    return re.search(f"(?m)^{pattern}$", run.explain()) is not None


def test_mnist(use_threads: Callable[[int], None]) -> None:
    use_threads(2)
    run = prepare(MNIST, 128, zeros=0.8)
    isa = _core.instruction_set()
    assert has(
        run,
        f"training, dense inputs, {isa}, batches of 128 of 2000 rows, up to 2 workers",
        "rule sgd, loss sparse_categorical_crossentropy",
        "ops",
        "  0  dense 784 -> 128, relu",
        "  1  dense 128 -> 10, softmax with the loss, keeps a transpose, worker 0's up to 4 rows",
        "passes of a block of up to 128 rows",
        "  1  first layer without zeros, by columns",
        "  2  rows, by rows: targets, join slices 0, forward 1, loss 1, backward 1",
        "  3  totals, by rows, no barrier",
        "  4  gradient and update, by weights, no barrier",
        "fast paths",
        "  + fused_update   gradients go through the rule in registers",
        "  + skip_zeros     the first layer skips zeros of the inputs",
        "  + packed_slices  each worker's columns lie packed",
        "  - idle_inputs    the rule has no slots",
        "  - single_output  not one hidden layer and one output",
        "  + serial_layers  in blocks of few rows worker 0 has the small layers",
        "  - dx_from_w      no large layer above the first with few rows in a batch",
        "  + twin_update    the transpose gets the same update as w",
        "  - few_rows       the weights leave no room in the first-level cache",
        "memory, ... KiB",
        "  masks of non-zeros ... KiB",
        "  labels ... KiB",
    )
    use_threads(1)
    alone = prepare(MNIST, 128, zeros=0.8)
    assert has(alone, "... of 2000 rows, 1 worker", "  2  rows: targets, forward 1, loss 1, backward 1")
    assert has(alone, "  - packed_slices  one worker")
    assert "barrier" not in alone.explain()


def test_wine(use_threads: Callable[[int], None]) -> None:
    use_threads(2)
    assert has(
        prepare(WINE, 32),
        "passes of a block of up to 32 rows",
        "  1  hidden layer, own columns, by columns, no barrier",
        "  2  output and loss, in turn",
        "  3  totals, by rows, no barrier",
        "  4  gradient and update of own columns, by columns, no barrier",
        "  - skip_zeros     inputs are not mostly zero",
        "  + single_output  the hidden gradient is formed where it is used",
        "  - serial_layers  the single output has passes of its own",
        "  - few_rows       workers own columns, of all rows",
    )
    assert has(prepare(WINE, 16), "  - single_output  the batch is too small")
    assert has(
        prepare((11, [dense(128, "tanh"), dense(1)], WINE[2]), 32),
        "  - single_output  the hidden layer is no ReLU with biases",
    )
    use_threads(1)
    assert has(
        prepare(WINE, 32),
        "  1  rows: gather, targets, forward 0, forward 1, loss 1 ...",
        "  3  gradient and update of own columns",
    )


def test_dropout(use_threads: Callable[[int], None]) -> None:
    use_threads(1)
    assert has(
        prepare(DROPOUT, 32, rule="adam"),
        "rule adam, loss mean_squared_error",
        "  0  dense 20 -> 300, relu",
        "  1  dropout 300",
        "  2  dense 300 -> 97, tanh, dx from w",
        "  3  activation 97, sigmoid",
        "  4  dense 97 -> 5, linear, keeps a transpose, worker 0's up to 4 rows",
        "  1  rows: gather, targets, forward 0, forward 1, forward 2, forward 3, forward 4, loss 4, backward 4, backward 3, backward 2, backward 1",
        "  + dx_from_w      input gradients from w itself, not from a transpose",
        "  - twin_update    the rule has slots",
    )
    looks = prepare(DROPOUT, 32, train=False)
    assert has(
        looks,
        "evaluation, ...",
        "loss mean_squared_error",
        "  0  dense 20 -> 300, relu",
        "  1  dense 300 -> 97, tanh",
        "  2  activation 97, sigmoid",
        "  3  dense 97 -> 5, linear",
        "  1  rows: forward 0, forward 1, forward 2, forward 3, loss 3",
    )
    for path in ("fused_update", "single_output", "twin_update"):
        assert has(looks, f"  - {path:<14} nothing is trained")
    for word in ("dropout", "gradient", "rule", "transpose"):
        assert word not in looks.explain().split("fast paths")[0]


def test_why_not(use_threads: Callable[[int], None]) -> None:
    use_threads(4)
    assert has(
        prepare(MNIST, 128),
        "  - skip_zeros     inputs are not mostly zero",
        "  - packed_slices  no zeros are skipped in training",
    )
    assert has(prepare(MNIST, 128, rows=256, zeros=0.8), "  - packed_slices  too few steps in an epoch")
    assert has(
        prepare(MNIST, 128, rows=256, rule="adam", zeros=0.8), "  - idle_inputs    too few steps in an epoch"
    )
    assert has(
        prepare(MNIST, 100, rule="adam", sparse=True, zeros=0.8),
        "training, sparse inputs, ...",
        "  + skip_zeros ...",
        "  + idle_inputs ...",
    )
    first = (784, [activation(784, "tanh"), *MNIST[1]], LABELS)
    assert has(
        prepare(first, 128, zeros=0.8),
        "  0  activation 784, tanh",
        "  - skip_zeros     the first op is not dense",
    )
    assert has(prepare(WINE, 32, trainable=[False, True]), "  - single_output  a layer is frozen")
    assert has(prepare(MNIST, 128, keeps_outputs=True), "  1  rows, ... loss 1, outputs 1, backward 1")


def test_every_path_says_what_it_does_or_why_not() -> None:
    for task, batch_size in ((MNIST, 128), (WINE, 32), (DROPOUT, 8)):
        for train in (True, False):
            text = prepare(task, batch_size, train=train).explain()
            lines = dict(re.findall(r"  [+-] (\w+) +(.+)", text))
            assert list(lines) == list(_core.PATHS)
            for path, is_taken in paths_of(prepare(task, batch_size, train=train)).items():
                assert (lines[path] == _core.PATHS[path]) == is_taken
            total, *parts = (float(number) for number in re.findall(r"([\d.]+) KiB", text))
            assert sum(parts) == pytest.approx(total, abs=0.1 * len(parts))


def test_the_reference_explains_itself() -> None:
    inputs, ops, loss = DROPOUT
    net = reference.Net(inputs, ops)
    net.compile(loss, False, "sgd", ())
    x, y = np.ones((8, inputs), np.float32), np.ones((8, 5), np.float32)
    text = net.prepare(x, y, None, 4).explain()
    assert text.startswith(
        "training by NumPy, batches of 4 of 8 rows\nops\n  0  dense 300, relu\n  1  dropout 300"
    )
    assert net.prepare(x, y, None, 4, train=False).explain().startswith("evaluation by NumPy")


# trainable


DEEP = (
    30,
    [dense(64, "relu"), dropout(64), dense(48, "tanh"), dense(40, "relu"), dense(3, "softmax")],
    LABELS,
)


def flags(number: int) -> list[bool]:
    return [bool(number >> place & 1) for place in range(4)]


@pytest.mark.parametrize("number", range(16))
def test_no_backward_below_the_lowest_trainable_op(number: int) -> None:
    """And no transpose of weights through which no gradient goes."""
    trainable, places = flags(number), [0, 2, 3, 4]
    run = prepare(DEEP, 32, trainable=trainable)
    trained = [place for place, flag in zip(places, trainable, strict=True) if flag]
    lowest = min(trained, default=5)
    stages = next(line for line in run.explain().splitlines() if "forward" in line)
    assert [int(place) for place in re.findall(r"backward (\d)", stages)] == [
        place for place in (4, 3, 2, 1) if place > lowest
    ]
    ops = re.findall(r"(?m)^  (\d)  dense(.*)", run.explain().split("passes")[0])
    for place, text in ops:
        assert ("frozen" in text) == (int(place) not in trained)
        assert (int(place) > lowest) == ("transpose" in text or "dx from w" in text)


@pytest.mark.parametrize("rule", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("number", range(16))
def test_bits_of_what_is_trained_alone(
    on_each_set: Callable,
    use_threads: Callable[[int], None],
    set_paths: Callable[[str], None],
    rng: np.random.Generator,
    number: int,
    rule: str,
) -> None:
    """Whatever is frozen: for any threads and paths the same bits, of one step those of the free net, of what is frozen none; and the totals are
    the reference's."""
    inputs, ops, loss = DEEP
    trainable = flags(number)
    x, y = floats(rng, 96, inputs), targets_for(loss, rng, 96, 3)

    def run(flags: list[bool], threads: int = 1, stop: int = 96, off: str = "") -> list[Any]:
        set_paths(off)
        use_threads(threads)
        net = _core.Net(inputs, ops)
        draw(net)
        net.compile(loss, False, rule, ())
        net.trainable, net.schedule = flags, "parallel"
        totals = np.zeros(1)
        net.prepare(x, y, None, 32).step(None, 0, stop, calm(rule), totals, None)
        return [
            [t.copy() for t in net.tensors],
            *([s.copy() for s in net.split(slot)] for slot in net.slots),
            totals,
        ]

    results = [
        result
        for threads, off in ((1, ""), (3, ""), (2, "-fused_update"), (1, "-serial_layers,-dx_from_w"))
        for result in on_each_set(lambda t=threads, o=off: run(trainable, t, 96, o))
    ]
    assert same_bits(results)
    free, one, none = run([True] * 4, stop=32), run(trainable, stop=32), run([False] * 4, stop=32)
    for place, flag in enumerate(trainable):
        for ours, theirs in zip(one[:-1], (free if flag else none)[:-1], strict=True):
            assert same_bits([ours[2 * place : 2 * place + 2], theirs[2 * place : 2 * place + 2]])
    fresh = _core.Net(inputs, ops)
    draw(fresh)
    assert same_bits([none[0], fresh.tensors])
    assert not any(slot.any() for slots in none[1:-1] for slot in slots)


def test_flags_hold_from_the_next_step_on_for_runs_prepared_before_too(rng: np.random.Generator) -> None:
    x, y = floats(rng, 8, 11), floats(rng, 8, 1)
    net = _core.Net(*WINE[:2])
    net.compile(WINE[2], False, "sgd", ())
    draw(net)
    free = net.prepare(x, y, None, 8)
    net.trainable = [False, False]
    start = net.params.copy()
    net.prepare(x, y, None, 8).step(None, 0, 8, (0.1,), np.zeros(1), None)
    assert same_bits([start, net.params])
    assert net.step == 1
    free.step(None, 0, 8, (0.1,), np.zeros(1), None)
    assert same_bits([start, net.params])
    assert net.step == 2
    net.trainable = [True, True]
    free.step(None, 0, 8, (0.1,), np.zeros(1), None)
    assert not same_bits([start, net.params])
