"""Fast paths: each is taken by some net here, and turning it off changes no bit of weights, slots, totals, outputs. One that is registered later is
tested on that day: the tests go through `_core.PATHS`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from itertools import cycle
from typing import NamedTuple

import numpy as np
import pytest

from nnfast import _core
from nnfast.graph import Op

from ..hyper import calm, targets_for
from ..ops import activation, dense, dropout
from .conftest import WITH_FMA
from .helpers import compressed, draw, floats, paths_of

SPARSE_LABELS = "sparse_categorical_crossentropy"
THREADS = range(1, 6)
BATCHES = (1, 3, 8, 32, 300)  # the last one is more than a block


class Task(NamedTuple):
    """A network, and inputs that it may be given."""

    inputs: int
    ops: list[Op]
    loss: str
    metrics: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("dense", "zeros", "compressed")
    trainable: tuple[bool, ...] = ()


TASKS = {
    "wide first layer": Task(
        96, [dense(128, "relu"), dense(10, "softmax")], SPARSE_LABELS, ("sparse_categorical_accuracy",)
    ),
    "single output": Task(
        11, [dense(40, "relu"), dense(1)], "mean_squared_error", ("mean_absolute_error",), ("dense",)
    ),
    "large hidden layer": Task(
        40,
        [dense(103, "tanh"), dense(97, "sigmoid", 2.0, use_bias=False), activation(97, "tanh"), dense(5, "softmax")],
        "categorical_crossentropy",
    ),
    "dropout": Task(
        40,
        [dense(130, "relu"), dropout(130, 0.3, 5), dense(33, "tanh"), dropout(33, 0.5, 5), dense(3)],
        "mean_absolute_error",
    ),
    "dropout first and last": Task(
        33, [dropout(33, 0.2, 1), dense(64, "relu"), dense(2), dropout(2, 0.1, 2)], "mean_squared_error", (), ("dense", "zeros")
    ),
    "frozen below": Task(
        64, [dense(96, "relu"), dense(20, "tanh"), dense(3, "softmax")], SPARSE_LABELS, (), trainable=(False, True, True)
    ),
    "frozen above": Task(
        64, [dense(96, "relu"), dense(20, "tanh"), dense(3, "softmax")], SPARSE_LABELS, (), trainable=(True, False, True)
    ),
}  # fmt: skip


def steps_of(batch_size: int) -> int:
    """Rows of a data set: enough steps for every path that wants many, a last batch that is smaller."""
    return 20 * batch_size + batch_size // 2 if batch_size < 100 else 2 * batch_size + 100


@cache
def data(which: str, kind: str, batch_size: int) -> tuple[object, np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, targets, weights of the rows, order."""
    task, n = TASKS[which], steps_of(batch_size)
    rng = np.random.default_rng(n)
    x = floats(rng, n, task.inputs)
    if kind != "dense":
        x[rng.random(x.shape) < 0.8] = 0.0
        x[:, :7] = 0.0  # never anything
        x[: n // 2, 9:12] = 0.0  # late
        x[n // 3] = 0.0
    y = targets_for(task.loss, rng, n, task.ops[-1].units)
    weight, order = rng.uniform(0.5, 2.0, n).astype(np.float32), rng.permutation(n).astype(np.uint32)
    return compressed(x) if kind == "compressed" else x, y, weight, order


def build(which: str, rule: str) -> _core.Net:
    task = TASKS[which]
    net = _core.Net(task.inputs, task.ops)
    draw(net)
    net.compile(task.loss, False, rule, task.metrics)
    if task.trainable:
        net.trainable = task.trainable
    return net


def train(which: str, rule: str, kind: str, batch_size: int, schedule: str = "parallel") -> tuple[bytes, ...]:
    """All that two epochs and an evaluation leave."""
    x, y, weight, order = data(which, kind, batch_size)
    net, n = build(which, rule), len(y)
    net.schedule = schedule
    trained, looked = np.zeros(1 + len(TASKS[which].metrics)), np.zeros(1 + len(TASKS[which].metrics))
    outputs = np.empty((n, TASKS[which].ops[-1].units), np.float32)
    predicted = np.empty_like(outputs)
    run = net.prepare(x, y, weight, batch_size, keeps_outputs=True)
    for rows in (order, None):
        run.step(rows, 0, n, calm(rule), trained, None, outputs=outputs)
    net.evaluate(x, y, weight, looked, None)
    net.predict(x, predicted, None)
    return tuple(a.tobytes() for a in (net.params, *net.slots, trained, looked, outputs, predicted))


def taken(which: str, rule: str, kind: str, batch_size: int) -> set[str]:
    x, y, weight, _ = data(which, kind, batch_size)
    return {
        path for path, is_taken in paths_of(build(which, rule).prepare(x, y, weight, batch_size)).items() if is_taken
    }  # fmt: skip


@pytest.mark.parametrize("path", _core.PATHS)
def test_every_path_is_taken_by_some_net_of_these(
    path: str, use_threads: Callable[[int], None], set_paths: Callable[[str], None]
) -> None:
    """Or its bits are not tested below: a path that is new may need a network here. Turned off it is not taken, and says so."""
    use_threads(5)
    found = [
        (which, rule, kind, batch_size)
        for which, task in TASKS.items()
        for rule in ("sgd", "adam")
        for kind in task.kinds
        for batch_size in BATCHES
        if path in taken(which, rule, kind, batch_size)
    ]
    assert found
    set_paths(f"-{path}")
    for which, rule, kind, batch_size in found:
        needed = path == "skip_zeros" and kind == "compressed"  # there is no other way
        assert (path in taken(which, rule, kind, batch_size)) == needed
    which, rule, kind, batch_size = found[0]
    x, y, _, _ = data(which, kind, batch_size)
    assert f"- {path:<14} turned off\n" in build(which, rule).prepare(x, y, None, batch_size).explain()


@pytest.mark.parametrize(
    ("rule", "batch_size"),
    [(rule, size) for rule in _core.RULES for size in (BATCHES if rule in ("sgd", "adam") else (8, 32))],
)
@pytest.mark.parametrize("which", TASKS)
def test_paths_threads_schedules_and_sets_change_no_bit(
    which: str,
    rule: str,
    batch_size: int,
    use_threads: Callable[[int], None],
    set_paths: Callable[[str], None],
) -> None:
    """All paths on with each number of threads, and on each instruction set; each path that is taken off, and all of them off, with numbers of threads
    and sets in turns. Inputs with zeros have the bits of their compressed form."""
    before = _core.instruction_set()
    turns, sets = cycle(THREADS), cycle(WITH_FMA)

    def found(kind: str, off: str, threads: int, isa: str, schedule: str = "parallel") -> tuple[bytes, ...]:
        _core.set_instruction_set(isa)
        use_threads(threads)
        set_paths(off)
        return train(which, rule, kind, batch_size, schedule)

    try:
        expected: dict[tuple[str, bool], tuple[bytes, ...]] = {}
        for kind in TASKS[which].kinds:
            set_paths("")
            use_threads(5)
            used = sorted(taken(which, rule, kind, batch_size))
            configurations = [
                *(("", threads, next(sets)) for threads in THREADS),
                *(("", 3, isa) for isa in WITH_FMA),
                *((f"-{path}", next(turns), next(sets)) for path in used),
                *((",".join(f"-{path}" for path in _core.PATHS), threads, next(sets)) for threads in (1, 2, 5)),
                *((off, threads, "baseline") for off, threads in (("", 1), ("", 3), ("-" + ",-".join(used), 2))),
            ]  # fmt: skip
            for off, threads, isa in configurations:
                result = found(kind, off, threads, isa)
                key = ("dense" if kind == "dense" else "zeros", isa == "baseline")
                assert expected.setdefault(key, result) == result, (kind, off, threads, isa)
            assert found(kind, "", 4, WITH_FMA[0], "serial") == expected[key[0], False]
    finally:
        _core.set_instruction_set(before)


@pytest.mark.parametrize("batch_size", [8, 300])
@pytest.mark.parametrize("rule", _core.RULES)
@pytest.mark.parametrize("which", TASKS)
def test_stored_gradients_have_the_bits_of_fused_ones(
    isa: str,
    which: str,
    rule: str,
    batch_size: int,
    use_threads: Callable[[int], None],
    set_paths: Callable[[str], None],
) -> None:
    for kind in TASKS[which].kinds:
        results = set()
        for off, threads in (("", 1), ("-fused_update", 1), ("-fused_update", 2)):
            set_paths(off)
            use_threads(threads)
            assert ("fused_update" in taken(which, rule, kind, batch_size)) == (not off)
            results.add(train(which, rule, kind, batch_size))
        assert len(results) == 1


@pytest.mark.parametrize(
    "names",
    [
        "skip_zeros",
        "-skip",
        "-few_rows,",
        "-few_rows, -skip_zeros",
        "-skip_zeros;",
        "-",
        "-größe",
        "- few_rows",
    ],
)
def test_unknown_paths_are_refused(
    names: str, set_paths: Callable[[str], None], rng: np.random.Generator
) -> None:
    x, y = floats(rng, 8, 3), floats(rng, 8, 1)
    net = _core.Net(3, [dense(4, "relu"), dense(1)])
    net.compile("mean_squared_error", False, "sgd", ())
    set_paths("-few_rows")
    if names.endswith(","):
        set_paths(names)  # an empty name behind the last comma is none
    else:
        with pytest.raises(
            ValueError, match=r"paths \(NNFAST_PATHS\): expected some of -fused_update, .*, with commas"
        ):
            set_paths(names)
    assert not paths_of(net.prepare(x, y, None, 4))["few_rows"]  # nothing has changed
    set_paths("")
    assert paths_of(net.prepare(x, y, None, 4))["few_rows"]


def test_the_environment_turns_paths_off() -> None:
    script = """
import numpy as np
from nnfast import _core
from nnfast.graph import Op
net = _core.Net(3, [Op("dense", 4), Op("dense", 1)])
net.compile("mean_squared_error", False, "sgd", ())
print(net.prepare(np.ones((8, 3), np.float32), np.ones((8, 1), np.float32), None, 4).explain())
"""

    def run(paths: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "NNFAST_PATHS": paths},
            capture_output=True,
            text=True,
            check=False,
        )

    assert "- few_rows       turned off" in run("-few_rows,-fused_update").stdout
    assert "ValueError: paths (NNFAST_PATHS): expected some of -fused_update" in run("few_rows").stderr
