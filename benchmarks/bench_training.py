"""One step, one epoch and a prediction, native and reference, on the shapes of MNIST and wine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from . import workloads

both = pytest.mark.parametrize("backend", workloads.BACKENDS)
rules = pytest.mark.parametrize("rule", workloads.RULES)
nets = pytest.mark.parametrize("name", workloads.WORKLOADS)


@both
@rules
@pytest.mark.parametrize("batch_size", workloads.BATCH_SIZES)
@nets
def bench_step(benchmark: Any, name: str, batch_size: int, rule: str, backend: str) -> None:
    run = workloads.steps(name, rule, backend, batch_size)
    many = 20 if 0 < batch_size <= 32 else 1  # so that the call itself does not count
    benchmark.extra_info["steps per round"] = many
    benchmark.pedantic(run, args=(many,), rounds=5, warmup_rounds=1)


@both
@rules
@nets
def bench_epoch(benchmark: Any, name: str, rule: str, backend: str) -> None:
    x, _ = workloads.data(name)
    benchmark.pedantic(
        workloads.steps(name, rule, backend, 32), args=(len(x) // 32,), rounds=3, warmup_rounds=1
    )


@both
@pytest.mark.parametrize("rows", [1, 100, 60_000])
def bench_predict(benchmark: Any, rows: int, backend: str) -> None:
    net = workloads.make_net("mnist", "sgd", backend)
    x, _ = workloads.data("mnist")
    out = np.empty((rows, 10), dtype=np.float32)
    benchmark(net.predict, x[:rows], out, None)
