"""nnfast against whatever peers are installed, each at its best, taking turns on the same data. `make bench-peers` runs it.

All start from the same weights and are given the rows in the same order; who does not reach the same loss as the others after the same number of steps has
failed, and gets no time. How each is at its best:

- JAX: a whole epoch as one jitted scan with donated state, warm; with all threads and with one.
- PyTorch: fused optimizer, no DataLoader, rows gathered by index; with all threads and with one.
- tf.keras: `fit`, as a user writes it; its second epoch.
- scikit-learn: MLPClassifier or MLPRegressor; whole epochs in one `fit`, less than one by `partial_fit`. Its half squared error needs twice the rate. It has
  no ReLU at the output, which makes no difference where outputs are positive.
- NumPy: nnfast's reference, with its workspace allocated once.

tf.keras and scikit-learn shuffle for themselves when they are timed; what is compared with the others is a run in order.

The result is JSON: every sample, with machine, versions, threads, limits and command. `benchmarks.peers_report` makes a page and a picture of it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import packages_distributions, version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from nnfast import _core

from . import environment, limits, workloads
from .contest import Contest, Maker, Timed
from .workloads import RULES, WORKLOADS, Task

QUICK = r"^(mnist sgd 32|wine (sgd|adam) 32|20-64-64-3 adam 32|mnist predict 1)$"
CHECK_STEPS = 50
CHECK_ROWS = 2048
# Relative; sums in another order came to 5e-6 where this was measured.
TOLERANCE = 1e-4
# Adam of PyTorch adds epsilon to the corrected root, that of tf.keras takes powers of beta in float32: 6e-3 and 1e-3 measured, where weights hardly move.
ADAM_TOLERANCE = 0.02
OTHER_ADAM = ("PyTorch", "tf.keras")


def batches(task: Task) -> tuple[int, int]:
    """Rows of a batch, and batches of an epoch; a last one that is not full is left out."""
    name, _, batch_size = task
    rows = WORKLOADS[name].rows
    batch = batch_size or rows
    return batch, rows // batch


def check_steps(task: Task) -> int:
    """How many steps are made before losses are compared: at most an epoch."""
    return min(CHECK_STEPS, batches(task)[1])


def check_rows(name: str) -> tuple[Any, Any]:
    x, y = workloads.data(name)
    return x[:CHECK_ROWS], y[:CHECK_ROWS]


def predictions(call: Callable[[], Any]) -> Timed:
    """Calls of a prediction; the mean of each row's largest probability must agree."""

    def run(count: int) -> None:
        for _ in range(count):
            call()

    return Timed(run, float(call().max(axis=1).mean()))


# nnfast and its reference


def own(task: Task, backend: str) -> Timed:
    import numpy as np

    name, rule, batch_size = task
    net = workloads.make_net(name, rule, backend)
    run = workloads.steps(name, rule, backend, batch_size, net)
    run(check_steps(task))
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
    return predictions(lambda: model.predict(x))


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

    return predictions(predict)


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
        # 1 - beta**t would lose digits in float32
        alpha = rate * jnp.sqrt(-jnp.expm1(t * math.log(beta2))) / -jnp.expm1(t * math.log(beta1))
        return tree(lambda w, m, v: w - alpha * m / (jnp.sqrt(v) + epsilon), params, m, v), [m, v]

    params = [jnp.asarray(w) for w in workloads.weights(name)]
    if rule == "predict":
        x = workloads.data(name)[0][:batch_size]
        jitted = jax.jit(lambda p, x: jax.nn.softmax(outputs(p, x)))
        return predictions(lambda: jitted(params, x).block_until_ready())
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

    (checked, _, _), _ = jitted(start(), rows[: check_steps(task)])
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
                return torch.softmax(model(rows), dim=1).numpy()

        return predictions(predict)
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

    run(check_steps(task))
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
        return predictions(lambda: model.predict(x, verbose=0))
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
    first = batch * check_steps(task)
    model.fit(x[:first], y[:first], batch, shuffle=False, verbose=0)
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
        model.fit(x[: here * batch], y[: here * batch], batch, epochs=2, verbose=0, callbacks=[clock])
        return clock.spent * count / here

    return Timed(run, check, least=min(20, per_epoch))


# scikit-learn


def sklearn_contestant(task: Task) -> Timed:
    import warnings

    import numpy as np
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    name, rule, batch_size = task
    work = WORKLOADS[name]
    batch, per_epoch = (256, 1) if rule == "predict" else batches(task)
    half = 1.0 if work.classes else 0.5  # of the squared error
    rates = RULES["sgd" if rule == "predict" else rule]
    settings: dict[str, Any] = {
        "hidden_layer_sizes": [units for units, _ in work.layers[:-1]],
        "activation": work.layers[0][1],
        "solver": "adam" if rule == "adam" else "sgd",
        "alpha": 0.0,
        "batch_size": batch,
        "learning_rate_init": rates[0] if rule == "adam" else rates[0] / half,
        "momentum": rates[1] if rule == "momentum" else 0.0,
        "nesterovs_momentum": False,
        "epsilon": RULES["adam"][3] * half,
        "shuffle": False,
        "tol": 0.0,
        "n_iter_no_change": np.inf,
    }
    model: Any = (MLPClassifier if work.classes else MLPRegressor)(**settings)
    rows = workloads.order(name)
    x, y = (array[rows] for array in workloads.data(name))
    target = y if work.classes else y.ravel()
    warnings.simplefilter("ignore")  # that an epoch is not enough to converge
    model.partial_fit(x[:batch], target[:batch], **({"classes": np.unique(y)} if work.classes else {}))
    ours = workloads.weights(name)
    for theirs, value in zip(model.coefs_ + model.intercepts_, ours[::2] + ours[1::2], strict=True):
        theirs[...] = value
    if rule == "predict":
        some = workloads.data(name)[0][:batch_size]
        return predictions(lambda: model.predict_proba(some))
    del model._optimizer  # it has made a step already; the next call makes a new one
    first = batch * check_steps(task)
    model.partial_fit(x[:first], target[:first])
    check_x, check_y = check_rows(name)
    if work.classes:
        check = -np.log(model.predict_proba(check_x)[np.arange(len(check_y)), check_y]).mean()
    else:
        check = ((model.predict(check_x) - check_y.ravel()) ** 2).mean()
    model.set_params(shuffle=True)

    def run(count: int) -> float:
        epochs = count // per_epoch
        begin = time.perf_counter()
        if epochs:
            model.set_params(warm_start=True, max_iter=epochs)
            model.fit(x[: per_epoch * batch], target[: per_epoch * batch])
        else:
            model.set_params(warm_start=False)  # with it, all classes would have to be among these rows
            model.partial_fit(x[: count * batch], target[: count * batch])
        return (time.perf_counter() - begin) * count / (epochs * per_epoch or count)

    return Timed(run, float(check))


ONE_THREAD = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "NPROC": "1"}
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}


class Contestant(NamedTuple):
    """How a contestant is made ready, and with which environment variables; the module that must be installed; its line in a report."""

    make: Maker
    environment: dict[str, str]
    module: str
    line: str


CONTESTANTS = {
    "nnfast": Contestant(nnfast_contestant, {}, "nnfast", "nnfast"),
    "JAX": Contestant(jax_contestant, {}, "jax", "JAX"),
    "JAX, one thread": Contestant(jax_contestant, ONE_THREAD, "jax", "JAX"),
    "PyTorch": Contestant(torch_contestant, {}, "torch", "PyTorch"),
    "PyTorch, one thread": Contestant(torch_one_thread, {}, "torch", "PyTorch"),
    "tf.keras": Contestant(keras_contestant, QUIET, "tensorflow", "tf.keras"),
    "scikit-learn": Contestant(sklearn_contestant, {}, "sklearn", "scikit-learn"),
    "NumPy reference": Contestant(numpy_contestant, {}, "numpy", "NumPy"),
}
LINES = tuple(dict.fromkeys(contestant.line for contestant in CONTESTANTS.values()))


def tolerance(name: str, rule: str) -> float:
    """How far the loss of a contestant may be from the others', relative."""
    return ADAM_TOLERANCE if rule == "adam" and CONTESTANTS[name].line in OTHER_ADAM else TOLERANCE


def disagreements(checks: Mapping[str, float], rule: str) -> dict[str, str]:
    """Who did not reach the loss that most have reached, and what it reached instead."""
    finite = [loss for loss in checks.values() if math.isfinite(loss)]
    usual = median(finite) if finite else math.nan
    return {
        name: f"reached {loss:.6g} where others have {usual:.6g}"
        for name, loss in checks.items()
        if not abs(loss - usual) <= tolerance(name, rule) * abs(usual)
    }


def row(task: Task, contest: Contest, names: list[str], turns: int, budget: float) -> dict[str, Any]:
    """One row of the result."""
    before = limits.between_cores()
    results = contest.run(dict.fromkeys(names, task), turns, budget)
    errors = {name: result.error for name, result in results.items() if result.error}
    name, rule, batch_size = task
    checks = {name: result.check for name, result in results.items() if result.check is not None}
    errors |= disagreements({name: loss for name, loss in checks.items() if name not in errors}, rule)
    work = WORKLOADS[name]
    batch = batch_size or work.rows
    return {
        "net": name,
        "rule": rule,
        "batch_size": batch,
        "flops": work.flops(batch) if rule != "predict" else None,
        "seconds": {name: result.samples for name, result in results.items() if name not in errors},
        "checks": checks,
        "errors": errors,
        "between cores": [before, limits.between_cores()],
    }


def installed(names: Iterable[str]) -> list[str]:
    """Those that can take part; a message for each that cannot."""
    found = []
    for name in names:
        if importlib.util.find_spec(CONTESTANTS[name].module):
            found.append(name)
        else:
            print(f"{name}: not installed, left out (pip install 'nnfast[peers]')", flush=True)
    return found


def circumstances(names: list[str], turns: int, budget: float) -> dict[str, Any]:
    """All that is recorded beside the rows."""
    packages = packages_distributions()
    return {
        "command": " ".join(["python -m benchmarks.peers", *map(shlex.quote, sys.argv[1:])]),
        "machine": environment.describe(),
        "versions": {
            line: version(packages[module][0])
            for line, module in {CONTESTANTS[name].line: CONTESTANTS[name].module for name in names}.items()
            if module in packages
        },
        "flags": {
            "build of nnfast": _core.build_info()["build"],
            "limits": " ".join(limits.FLAGS),
            **{name: CONTESTANTS[name].environment for name in names if CONTESTANTS[name].environment},
        },
        "turns": turns,
        "budget": budget,
        "limits": limits.measure(),
    }


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", default="", metavar="REGEX", help='rows whose name matches, as "mnist sgd 32"'
    )
    parser.add_argument(
        "--contestants",
        nargs="+",
        choices=CONTESTANTS,
        default=list(CONTESTANTS),
        help="default: all that are installed",
    )
    parser.add_argument("--turns", type=int, default=5, help="measurements of each (default 5)")
    parser.add_argument(
        "--budget", type=float, default=0.25, help="seconds of each measurement (default 0.25)"
    )
    parser.add_argument("--quick", action="store_true", help="a few rows, one short turn: does it work?")
    parser.add_argument("--output", type=Path, default=Path("build/peers.json"))
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.only, arguments.turns, arguments.budget = arguments.only or QUICK, 1, 0.02
    return arguments


def main() -> None:
    """Measure and write the JSON, anew after each row."""
    arguments = parse()
    names = installed(arguments.contestants)
    chosen = [task for task in workloads.TASKS if re.search(arguments.only, workloads.title(task))]
    result = circumstances(names, arguments.turns, arguments.budget)
    print(f"Data: {workloads.origin()}.", json.dumps(result["limits"]), sep="\n", flush=True)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    contest = Contest({name: (CONTESTANTS[name].make, CONTESTANTS[name].environment) for name in names})
    result["rows"] = []
    begin = time.perf_counter()
    for number, task in enumerate(chosen, 1):
        found = row(task, contest, names, arguments.turns, arguments.budget)
        result["rows"].append(found)
        arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        left = (time.perf_counter() - begin) * (len(chosen) - number) / number
        print(
            f"{number}/{len(chosen)} {workloads.title(task)}: "
            + ", ".join(f"{name} {1e6 * median(spent):.4g} µs" for name, spent in found["seconds"].items())
            + "".join(f"; {name}: {error}" for name, error in found["errors"].items())
            + f" ({left / 60:.0f} min left)",
            flush=True,
        )
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
