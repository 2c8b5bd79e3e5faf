"""One step, one epoch and a prediction, native and reference, on the nets of the table of workloads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from . import workloads

both = pytest.mark.parametrize("backend", workloads.BACKENDS)


@both
@pytest.mark.parametrize("task", workloads.TRAININGS, ids=workloads.title)
def bench_step(benchmark: Any, task: workloads.Task, backend: str) -> None:
    name, rule, batch_size = task
    run = workloads.steps(name, rule, backend, batch_size)
    many = 20 if 0 < batch_size <= 32 else 1  # so that the call itself does not count
    benchmark.extra_info["steps per round"] = many
    benchmark.pedantic(run, args=(many,), rounds=5, warmup_rounds=1)


@both
@pytest.mark.parametrize(
    ("name", "rule"), [(name, rule) for name, work in workloads.WORKLOADS.items() for rule in work.rules]
)
def bench_epoch(benchmark: Any, name: str, rule: str, backend: str) -> None:
    x, _ = workloads.data(name)
    benchmark.pedantic(
        workloads.steps(name, rule, backend, 32), args=(len(x) // 32,), rounds=3, warmup_rounds=1
    )


@both
@pytest.mark.parametrize("task", workloads.PREDICTIONS, ids=workloads.title)
def bench_predict(benchmark: Any, task: workloads.Task, backend: str) -> None:
    name, _, rows = task
    net = workloads.make_net(name, "sgd", backend)
    x, _ = workloads.data(name)
    out = np.empty((rows, workloads.WORKLOADS[name].layers[-1][0]), dtype=np.float32)
    benchmark(net.predict, x[:rows], out, None)
