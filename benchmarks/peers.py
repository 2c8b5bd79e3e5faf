"""nnfast against whatever peers are installed, each at its best, taking turns on the same data. `make bench-peers` runs it.

All start from the same weights and, where the library lets one choose it, use the rows in the same order; a row counts only for who reaches the same loss
after the same number of steps. How each is at its best:

- JAX: a whole epoch as one jitted scan with donated state, warm; with all threads and with one.
- PyTorch: fused optimizer, no DataLoader, rows gathered by index; with all threads and with one.
- tf.keras: `fit`, as a user writes it, on rows already in order; its second epoch.
- scikit-learn: `partial_fit` of MLPClassifier or MLPRegressor, which has neither these initial weights nor a ReLU at the output: its loss is not compared.
- NumPy: nnfast's reference, with its workspace allocated once.

The result is JSON: every sample, with machine, versions, threads, limits and command. `benchmarks.peers_report` makes tables and pictures of it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from . import environment, limits, workloads
from .contest import Contest, Maker, Task, Timed
from .workloads import RULES, WORKLOADS

CHECK_STEPS = 50
CHECK_ROWS = 2048
TOLERANCE = 0.02  # relative; float32 in other orders of summation parts them slowly
PREDICT_ROWS = (1, 100, 60_000)


def batches(task: Task) -> tuple[int, int]:
    """Rows of a batch, and batches of an epoch; a last one that is not full is left out."""
    name, _, batch_size = task
    rows = WORKLOADS[name].rows
    batch = batch_size or rows
    return batch, rows // batch


def check_rows(name: str) -> tuple[Any, Any]:
    x, y = workloads.data(name)
    return x[:CHECK_ROWS], y[:CHECK_ROWS]


def calls(call: Callable[[], object]) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in range(count):
            call()

    return run


# nnfast and its reference


def own(task: Task, backend: str) -> Timed:
    import numpy as np

    name, rule, batch_size = task
    net = workloads.make_net(name, rule, backend)
    run = workloads.steps(name, rule, backend, batch_size, net)
    run(min(CHECK_STEPS, batches(task)[1]))
    x, y = check_rows(name)
    totals = np.zeros(1)
    net.evaluate(x, y, None, totals, None)
    return Timed(run, totals[0] / len(x))


def nnfast_contestant(task: Task) -> Timed:
    if task[1] != "predict":
        return own(task, "native")
    import nnfast as nn

    name, _, rows = task
    model = nn.Sequential([nn.layers.Dense(units, activation=a) for units, a in WORKLOADS[name].layers])
    model.build((None, WORKLOADS[name].inputs))
    model.set_weights(workloads.weights(name))
    x = workloads.data(name)[0][:rows]
    return Timed(calls(lambda: model.predict(x)))


def numpy_contestant(task: Task) -> Timed:
    if task[1] != "predict":
        return own(task, "reference")
    import numpy as np

    name, _, rows = task
    x = workloads.data(name)[0][:rows]
    w1, b1, w2, b2 = workloads.weights(name)

    def predict() -> Any:
        p = np.maximum(x @ w1 + b1, 0) @ w2 + b2
        p = np.exp(p - p.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)

    return Timed(calls(predict))


# JAX


def jax_contestant(task: Task) -> Timed:
    import jax
    import jax.numpy as jnp

    name, rule, batch_size = task
    work = WORKLOADS[name]
    activations: dict[str, Callable[[Any], Any]] = {
        "relu": jax.nn.relu,
        "tanh": jnp.tanh,
        "linear": lambda z: z,
        "softmax": lambda z: z,
    }

    def outputs(params: Any, x: Any) -> Any:
        for (_, activation), w, b in zip(work.layers, params[::2], params[1::2], strict=True):
            x = activations[activation](x @ w + b)
        return x

    def loss(params: Any, x: Any, y: Any) -> Any:
        a = outputs(params, x)
        if work.classes:
            return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(a), y[:, None], axis=1))
        return jnp.mean((a - y) ** 2)

    def update(params: Any, slots: Any, t: Any, grads: Any) -> Any:
        tree = jax.tree_util.tree_map
        if rule == "sgd":
            return tree(lambda w, g: w - RULES[rule][0] * g, params, grads), slots
        if rule == "momentum":
            rate, mu = RULES[rule]
            v = tree(lambda v, g: mu * v - rate * g, slots[0], grads)
            return tree(lambda w, v: w + v, params, v), [v]
        rate, beta1, beta2, epsilon = RULES[rule]
        m = tree(lambda m, g: m + (1 - beta1) * (g - m), slots[0], grads)
        v = tree(lambda v, g: v + (1 - beta2) * (g * g - v), slots[1], grads)
        alpha = rate * jnp.sqrt(1 - beta2**t) / (1 - beta1**t)
        return tree(lambda w, m, v: w - alpha * m / (jnp.sqrt(v) + epsilon), params, m, v), [m, v]

    params = [jnp.asarray(w) for w in workloads.weights(name)]
    if rule == "predict":
        x = workloads.data(name)[0][:batch_size]
        jitted = jax.jit(lambda p, x: jax.nn.softmax(outputs(p, x)))
        return Timed(calls(lambda: jitted(params, x).block_until_ready()))
    x, y = (jnp.asarray(array) for array in workloads.data(name))
    batch, per_epoch = batches(task)
    rows = jnp.asarray(workloads.order(name)[: per_epoch * batch].astype("int32").reshape(per_epoch, batch))

    def epoch(state: Any, rows: Any) -> Any:
        def step(state: Any, chosen: Any) -> Any:
            params, slots, t = state
            value, grads = jax.value_and_grad(loss)(params, x[chosen], y[chosen])
            params, slots = update(params, slots, t + 1.0, grads)
            return (params, slots, t + 1.0), value

        return jax.lax.scan(step, state, rows)

    jitted = jax.jit(epoch, donate_argnums=0)

    def start() -> Any:
        zeros = [[jnp.zeros_like(w) for w in params] for _ in range({"sgd": 0, "momentum": 1}.get(rule, 2))]
        return [w.copy() for w in params], zeros, jnp.float32(0)

    short = min(CHECK_STEPS, per_epoch)
    (checked, _, _), _ = jitted(start(), rows[:short])
    check = float(loss(checked, *check_rows(name)))
    state = start()

    def run(count: int) -> None:
        nonlocal state
        for _ in range(count // per_epoch):
            state, values = jitted(state, rows)
        values.block_until_ready()

    return Timed(run, check, least=per_epoch, unit=per_epoch)


# PyTorch


def torch_contestant(task: Task, threads: int | None = None) -> Timed:
    import torch

    name, rule, batch_size = task
    work = WORKLOADS[name]
    if threads:
        torch.set_num_threads(threads)
    modules: list[Any] = []
    size = work.inputs
    for units, activation in work.layers:
        modules.append(torch.nn.Linear(size, units))
        if activation in {"relu", "tanh"}:
            modules.append({"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[activation]())
        size = units
    model = torch.nn.Sequential(*modules)
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), workloads.weights(name), strict=True):
            parameter.copy_(torch.from_numpy(value.T.copy()))
    if rule == "predict":
        rows = torch.from_numpy(workloads.data(name)[0][:batch_size])

        def predict() -> Any:
            with torch.inference_mode():
                return torch.softmax(model(rows), dim=1)

        return Timed(calls(predict))
    if rule == "adam":
        rate, beta1, beta2, epsilon = RULES[rule]
        optimizer: Any = torch.optim.Adam(
            model.parameters(), lr=rate, betas=(beta1, beta2), eps=epsilon, fused=True
        )
    else:
        momentum = RULES[rule][1] if rule == "momentum" else 0.0
        optimizer = torch.optim.SGD(model.parameters(), lr=RULES[rule][0], momentum=momentum, fused=True)
    x = torch.from_numpy(workloads.data(name)[0])
    labels = workloads.data(name)[1]
    y = torch.from_numpy(labels.astype("int64") if work.classes else labels)
    criterion: Any = torch.nn.CrossEntropyLoss() if work.classes else torch.nn.MSELoss()
    batch, per_epoch = batches(task)
    order = torch.from_numpy(workloads.order(name).astype("int64"))
    at = 0

    def run(count: int) -> None:
        nonlocal at
        for _ in range(count):
            chosen = order[at * batch : (at + 1) * batch]
            at = (at + 1) % per_epoch
            optimizer.zero_grad(set_to_none=True)
            criterion(model(x[chosen]), y[chosen]).backward()
            optimizer.step()

    run(min(CHECK_STEPS, per_epoch))
    with torch.no_grad():
        check = float(criterion(model(x[:CHECK_ROWS]), y[:CHECK_ROWS]))
    return Timed(run, check)


def torch_one_thread(task: Task) -> Timed:
    return torch_contestant(task, 1)


# tf.keras


def keras_contestant(task: Task) -> Timed:
    import tensorflow as tf

    name, rule, batch_size = task
    work = WORKLOADS[name]
    keras = tf.keras
    model = keras.Sequential(
        [keras.layers.Input((work.inputs,)), *(keras.layers.Dense(u, activation=a) for u, a in work.layers)]
    )
    model.set_weights(workloads.weights(name))
    if rule == "predict":
        x = workloads.data(name)[0][:batch_size]
        return Timed(calls(lambda: model.predict(x, verbose=0)))
    optimizer = (
        keras.optimizers.Adam(*RULES[rule])
        if rule == "adam"
        else keras.optimizers.SGD(RULES[rule][0], momentum=RULES[rule][1] if rule == "momentum" else 0.0)
    )
    model.compile(optimizer, work.loss)
    batch, per_epoch = batches(task)
    x, y = workloads.data(name)
    rows = workloads.order(name)
    x, y = x[rows], y[rows]
    model.fit(
        x[: batch * min(CHECK_STEPS, per_epoch)],
        y[: batch * min(CHECK_STEPS, per_epoch)],
        batch,
        shuffle=False,
        verbose=0,
    )
    check = float(model.evaluate(*check_rows(name), verbose=0))

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        spent = 0.0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.begin = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.spent = time.perf_counter() - self.begin

    def run(count: int) -> float:
        here = min(count, per_epoch)
        clock = Clock()
        model.fit(
            x[: here * batch], y[: here * batch], batch, epochs=2, shuffle=False, verbose=0, callbacks=[clock]
        )
        return clock.spent * count / here

    return Timed(run, check, least=min(20, per_epoch))


# scikit-learn


def sklearn_contestant(task: Task) -> Timed:
    import warnings

    import numpy as np
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    name, rule, batch_size = task
    work = WORKLOADS[name]
    x, y = workloads.data(name)
    batch, per_epoch = (256, 10) if rule == "predict" else batches(task)
    hidden = [units for units, _ in work.layers[:-1]]
    settings: dict[str, Any] = {
        "hidden_layer_sizes": hidden,
        "activation": work.layers[0][1],
        "solver": "adam" if rule == "adam" else "sgd",
        "alpha": 0.0,
        "batch_size": batch,
        "learning_rate_init": RULES.get(rule, RULES["sgd"])[0],
        "momentum": RULES[rule][1] if rule == "momentum" else 0.0,
        "nesterovs_momentum": False,
        "epsilon": RULES["adam"][3],
    }
    model: Any = (MLPClassifier if work.classes else MLPRegressor)(**settings)
    target = y if work.classes else np.asarray(y).ravel()
    arguments = {"classes": np.arange(work.layers[-1][0])} if work.classes else {}
    warnings.simplefilter("ignore")
    model.partial_fit(x[:batch], target[:batch], **arguments)
    if rule == "predict":
        rows = x[:batch_size]
        return Timed(calls(lambda: model.predict_proba(rows)))

    def run(count: int) -> None:
        for first in range(0, count, per_epoch):
            here = min(per_epoch, count - first) * batch
            model.partial_fit(x[:here], target[:here])

    return Timed(run)


ONE_THREAD = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "NPROC": "1"}
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}

CONTESTANTS: dict[str, tuple[Maker, dict[str, str], str, str]] = {
    # name: maker, environment, the module that must be installed, the line it belongs to in a report
    "nnfast": (nnfast_contestant, {}, "nnfast", "nnfast"),
    "NumPy reference": (numpy_contestant, {}, "numpy", "NumPy reference"),
    "JAX": (jax_contestant, {}, "jax", "JAX"),
    "JAX, one thread": (jax_contestant, ONE_THREAD, "jax", "JAX"),
    "PyTorch": (torch_contestant, {}, "torch", "PyTorch"),
    "PyTorch, one thread": (torch_one_thread, {}, "torch", "PyTorch"),
    "tf.keras": (keras_contestant, QUIET, "tensorflow", "tf.keras"),
    "scikit-learn": (sklearn_contestant, {}, "sklearn", "scikit-learn"),
}
PACKAGES = {"jax": "jax", "torch": "torch", "tensorflow": "tensorflow-cpu", "sklearn": "scikit-learn"}


def tasks() -> list[Task]:
    """All rows of the benchmark."""
    training = [
        (name, rule, batch_size)
        for name, work in WORKLOADS.items()
        for rule in work.rules
        for batch_size in work.batch_sizes
    ]
    return [*training, *(("mnist", "predict", rows) for rows in PREDICT_ROWS)]


def title(task: Task) -> str:
    """A row's name, as `--only` matches it: "mnist sgd 32"."""
    name, rule, batch_size = task
    return f"{name} {rule} {batch_size or WORKLOADS[name].rows}"


def agree(checks: dict[str, float]) -> dict[str, str]:
    """Who did not reach nnfast's loss, and what it reached instead."""
    if "nnfast" not in checks:
        return {}
    ours = checks["nnfast"]
    return {
        name: f"loss {value:.4g} where nnfast has {ours:.4g}"
        for name, value in checks.items()
        if not abs(value - ours) <= TOLERANCE * abs(ours)
    }


def row(task: Task, contest: Contest, names: list[str], turns: int, budget: float) -> dict[str, Any]:
    """One row of the result."""
    results = contest.run(dict.fromkeys(names, task), turns, budget)
    errors = {name: result.error for name, result in results.items() if result.error}
    errors |= agree(
        {
            name: result.check
            for name, result in results.items()
            if result.check is not None and not result.error
        }
    )
    name, rule, batch_size = task
    work = WORKLOADS[name]
    batch = batch_size or work.rows
    return {
        "net": name,
        "rule": rule,
        "batch_size": batch,
        "flops": work.flops(batch) if rule != "predict" else None,
        "seconds": {name: result.samples for name, result in results.items() if name not in errors},
        "checks": {name: result.check for name, result in results.items()},
        "errors": errors,
    }


def main() -> None:
    """Measure and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", default="", metavar="REGEX", help='rows whose name matches, as "mnist sgd 32"'
    )
    parser.add_argument(
        "--contestants", nargs="+", choices=CONTESTANTS, help="default: all that are installed"
    )
    parser.add_argument("--turns", type=int, default=5, help="measurements of each (default 5)")
    parser.add_argument(
        "--budget", type=float, default=0.25, help="seconds of each measurement (default 0.25)"
    )
    parser.add_argument("--output", type=Path, default=Path("build/peers.json"))
    arguments = parser.parse_args()
    names = list(arguments.contestants or CONTESTANTS)
    for name in list(names):
        if importlib.util.find_spec(CONTESTANTS[name][2]) is None:
            print(f"{name}: not installed, left out (pip install 'nnfast[peers]')", flush=True)
            names.remove(name)
    chosen = [task for task in tasks() if re.search(arguments.only, title(task))]
    result = {
        "command": " ".join(sys.argv),
        "machine": environment.describe(),
        "versions": {
            module: version(package)
            for module, package in PACKAGES.items()
            if importlib.util.find_spec(module)
        },
        "turns": arguments.turns,
        "budget": arguments.budget,
        "limits": limits.measure(),
        "rows": [],
    }
    print(json.dumps(result["limits"]), flush=True)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    contest = Contest({name: CONTESTANTS[name][:2] for name in names})
    begin = time.perf_counter()
    for number, task in enumerate(chosen, 1):
        found = row(task, contest, names, arguments.turns, arguments.budget)
        result["rows"].append(found)
        arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        spent = time.perf_counter() - begin
        medians = {
            name: 1e6 * sorted(samples)[len(samples) // 2] for name, samples in found["seconds"].items()
        }
        print(
            f"{number}/{len(chosen)} {title(task)}: "
            + ", ".join(f"{name} {value:.4g} µs" for name, value in medians.items())
            + "".join(f"; {name}: {error}" for name, error in found["errors"].items())
            + f" ({spent * (len(chosen) - number) / number / 60:.0f} min left)",
            flush=True,
        )
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
