"""How close nnfast comes to what the machine can do: kernels and whole steps as a share of the peak that is measured in the same run, what a second worker
adds, what a call of `fit` costs beside the training, and the shuffle. `python -m benchmarks.roofline` prints the tables; docs/roofline.md explains them.

Peak and kernel take turns, and the medians of the turns' ratios are given: on a shared machine both wander, but together.
"""

from __future__ import annotations

import argparse
import ctypes
import tempfile
import time
from collections.abc import Callable
from statistics import median

import numpy as np

import nnfast as nn
from nnfast import _core, kernels

from . import environment, limits, workloads

TURNS = 7
BUDGET = 0.03  # seconds of a measurement
SHAPES = (
    (128, 784, 128),
    (256, 784, 128),
    (128, 512, 512),
    (256, 512, 512),
    (256, 784, 512),
)  # rows, inputs, outputs
STEPS = (
    ("dense", "sgd", 128),
    ("dense", "sgd", 256),
    ("784-512-512-10", "sgd", 256),
    ("784-512-512-10", "adam", 256),
)
PAIRS = (("mnist", "sgd"), ("mnist", "adam"), ("dense", "sgd"), ("wine", "sgd"), ("784-512-512-10", "sgd"))


def seconds(call: Callable[[int], object]) -> float:
    """What one of many calls takes; `call` makes as many as it is told."""
    count = 1
    while True:
        begin = time.perf_counter()
        call(count)
        spent = time.perf_counter() - begin
        if spent > BUDGET:
            return spent / count
        count = (
            max(count + 1, int(count * 1.3 * BUDGET / max(spent, 1e-6))) if spent > BUDGET / 20 else count * 8
        )


def repeated(call: Callable[[], object]) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in range(count):
            call()

    return run


def share_of_peak(
    flops: float, call: Callable[[int], object], peak: Callable[[], float]
) -> tuple[float, float]:
    """Median rate, in GFLOP/s, and median share of the peak that was measured right before."""
    rates, shares = [], []
    for _ in range(TURNS):
        top = peak()
        rate = flops / seconds(call) / 1e9
        rates.append(rate)
        shares.append(rate / top)
    return median(rates), median(shares)


def kernels_and_steps() -> None:
    """One worker, each instruction set against its own peak."""
    sink = ctypes.c_float()
    before = _core.num_threads(), _core.instruction_set()
    _core.set_num_threads(1)
    rng = np.random.default_rng(0)
    print("| one worker | set | GFLOP/s | of its peak |\n|---|---|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for name in _core.available_instruction_sets():
            if name not in limits.WORDS:
                continue
            loaded = limits.library(*limits.WORDS[name], folder)
            _core.set_instruction_set(name)

            def peak(loaded: ctypes.CDLL = loaded) -> float:
                begin = time.perf_counter()
                done = loaded.fma_chains(ctypes.c_int64(2_000_000), ctypes.byref(sink))
                return float(done) / (time.perf_counter() - begin) / 1e9

            for rows, inputs, outputs in SHAPES:
                x, w, dz = (
                    rng.random(shape, dtype=np.float32)
                    for shape in ((rows, inputs), (inputs, outputs), (rows, outputs))
                )
                a, b = np.empty_like(dz), np.zeros(outputs, dtype=np.float32)
                flops = 2.0 * rows * inputs * outputs
                calls: dict[str, Callable[[], object]] = {
                    "x W": lambda a=a, x=x, w=w, b=b: _core.dense_forward(a, x, w, b, "linear", 0.0),
                    "xᵀ dZ and SGD": lambda w=w, dz=dz, x=x: kernels.dense_backward_update(
                        w, None, dz, x, "sgd", (1e-9,), (), 1, need_dx=False
                    ),
                }
                for what, call in calls.items():
                    rate, share = share_of_peak(flops, repeated(call), peak)
                    print(
                        f"| {what}, {rows} rows, {inputs} x {outputs} | {name} | {rate:.0f} | {100 * share:.0f} % |",
                        flush=True,
                    )
            for task in STEPS:
                run = workloads.steps(task[0], task[1], "native", task[2])
                rate, share = share_of_peak(workloads.WORKLOADS[task[0]].flops(task[2]), run, peak)
                print(
                    f"| step, {workloads.title(task)} | {name} | {rate:.0f} | {100 * share:.0f} % |",
                    flush=True,
                )
    _core.set_num_threads(before[0])
    _core.set_instruction_set(before[1])


def schedules() -> None:
    """One worker, several, and what training chooses of these, in turns, on every batch size of some nets.
    The distance of the cores, which decides, before and after. A step that is not worth several workers has one in each."""
    if nn.get_num_threads() < 2:
        print("one thread: nothing to compare")
        return
    tried = [*_core.SCHEDULES, None]
    names = " | ".join(f"{schedule or 'as chosen'}, µs" for schedule in tried)
    print(f"\n| step | {names} | serial / as chosen | ns between cores |\n|---|{'---:|' * (len(tried) + 2)}")
    for name, rule in PAIRS:
        for batch_size in workloads.WORKLOADS[name].batch_sizes:
            runs = []
            for schedule in tried:
                net = workloads.make_net(name, rule, "native")
                assert isinstance(net, _core.Net)
                net.schedule = schedule
                runs.append(workloads.steps(name, rule, "native", batch_size, net))
            spent: list[list[float]] = [[] for _ in tried]
            before = limits.between_cores()
            for turn in range(TURNS):
                for place in range(len(tried)):
                    at = (turn + place) % len(tried)
                    spent[at].append(1e6 * seconds(runs[at]))
            medians = [median(times) for times in spent]
            print(
                f"| {workloads.title((name, rule, batch_size))} | {' | '.join(f'{value:.4g}' for value in medians)} | {medians[0] / medians[-1]:.2f} | "
                f"{before}, {limits.between_cores()} |",
                flush=True,
            )


def around_the_training() -> None:
    """The start of a fit, an epoch's cost beside the call of C, and the share of the shuffle."""
    x, y = workloads.data("wine")
    model = nn.Sequential(
        [nn.layers.Dense(128, "relu"), nn.layers.Dense(1, "relu", bias_initializer="ones")], seed=0
    )
    model.compile("sgd", "mse")
    one_row, one_target = x[:1], y[:1]

    def fit(epochs: int) -> float:
        model.fit(one_row, one_target, batch_size=1, epochs=2, verbose=0)
        begin = time.perf_counter()
        model.fit(one_row, one_target, batch_size=1, epochs=epochs, verbose=0)
        return time.perf_counter() - begin

    few, many = median(fit(1) for _ in range(501)), median(fit(101) for _ in range(51))
    net, rows = workloads.make_net("wine", "sgd", "native"), np.zeros(1, dtype=np.uint32)
    totals = np.zeros(1)
    c_call = seconds(
        repeated(lambda: net.train(one_row, one_target, None, rows, 0, 1, 1, (0.01,), totals, None))
    )
    epoch = (many - few) / 100
    print(
        f"\nfit of one row, one epoch, compiled and built: {1e6 * few:.1f} µs; "
        f"each further epoch {1e6 * epoch:.1f} µs, of them the call of C {1e6 * c_call:.1f} µs"
    )
    for name in ("wine", "mnist"):
        order = np.empty(len(workloads.data(name)[0]), dtype=np.uint32)
        shuffle = seconds(repeated(lambda order=order: _core.shuffle(order, 0, 0)))
        for batch_size in (1, 32, 256, 0):
            run = workloads.steps(name, "sgd", "native", batch_size)
            steps = len(order) // (batch_size or len(order))
            spent = seconds(lambda count, run=run: run(count)) * steps
            print(
                f"shuffle of {name}, {1e9 * shuffle / len(order):.2f} ns a row: {100 * shuffle / (shuffle + spent):.2f} % of an epoch at batch "
                f"{batch_size or len(order)}",
                flush=True,
            )


PARTS = {"peak": kernels_and_steps, "threads": schedules, "fit": around_the_training}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    arguments = parser.parse_args()
    print("; ".join(f"{key} {value}" for key, value in environment.describe().items()), flush=True)
    for part in arguments.parts or PARTS:
        PARTS[part]()


if __name__ == "__main__":
    main()
