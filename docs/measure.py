"""Measures what the pages to learn from say and the thesis does not, and writes the tables into them: `python docs/measure.py`.

It needs MNIST and wine (`NNFAST_DATA_DIR`, or the data are downloaded). Losses and scores are the same on every machine with FMA; times are not.
Set NNFAST_NUM_THREADS=1, as the pages say that they are of one thread.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from statistics import mean, median
from typing import Any

import numpy as np
from from_thesis import HERE, markdown, put

import nnfast as nn
from nnfast.compare import Record

Row = dict[str, str]

WINE_EPOCHS, WINE_SEEDS = 250, 20
SIZES = (1, 8, 16, 32, 64, 128, 256, "full")
MNIST_EPOCHS, MNIST_SEEDS = 10, 3
SCALED_SIZES = (8, 32, 128, 512, 2048)
BIRTHS = 400
REMEDY_EPOCHS, REMEDY_SEEDS = 50, 100
RATES = (0.001, 0.01, 0.03, 0.1, 0.3)


def wine() -> tuple[Any, Any, Any, Any]:
    (x, y), (x_test, y_test) = nn.datasets.wine_quality.load_data()
    return nn.utils.normalize(x, axis=1), y, nn.utils.normalize(x_test, axis=1), y_test


def wine_model(output: str = "relu", bias: float = 0.0, hidden: str = "glorot_uniform") -> nn.Sequential:
    """The network of the thesis, or one that is less likely to be dead."""
    constant = nn.initializers.Constant(bias)
    return nn.Sequential(
        [
            nn.layers.Dense(128, "relu", kernel_initializer=hidden, name="hidden"),
            nn.layers.Dense(1, output, kernel_initializer=hidden, bias_initializer=constant, name="output"),
        ]
    )


def is_dead(record: Record) -> bool:
    return record["dead_units"]["output"] == 1.0


def spread(values: Iterable[float]) -> str:
    """Median, least and largest."""
    values = list(values)
    return f"{median(values):.3f} ({min(values):.3f} - {max(values):.3f})"


def grid(*arguments: Any, **settings: Any) -> list[Record]:
    """The runs, one at a time; a net that is dead needs no warning here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nn.DeadUnits)
        return nn.compare.grid(*arguments, jobs=1, verbose=0, **settings).records


def batch_sizes_on_wine() -> str:
    x, y, x_test, y_test = wine()
    records = grid(
        wine_model(), x, y, optimizers=["sgd", "adam"], batch_sizes=SIZES, loss="mse", epochs=WINE_EPOCHS,
        repeats=WINE_SEEDS, test_data=(x_test, y_test),
    )  # fmt: skip
    records = [record for record in records if not is_dead(record)]
    rows = []
    for size in sorted({record["batch_size"] for record in records}):
        row = {"batch size": f"{size}", "steps an epoch": f"{-(-len(x) // size)}"}
        for name in ("sgd", "adam"):
            runs = [r for r in records if (r["optimizer"], r["batch_size"]) == (name, size)]
            row[f"{name}: ms an epoch"] = f"{1e3 * median(r['seconds'] for r in runs) / WINE_EPOCHS:.2f}"
            row[f"{name}: training"] = f"{median(r['loss'] ** 0.5 for r in runs):.3f}"
            row[f"{name}: test"] = spread(r["test_loss"] ** 0.5 for r in runs)
        rows.append(row)
    alive = len({record["seed"] for record in records})
    text = f"Median, least and largest of the {alive} among {WINE_SEEDS} seeds that do not [start dead](dying-relus.md)."
    return f"{markdown(rows, tuple(rows[0]))}\n\n{text}"


def scaled_rates_on_mnist() -> str:
    (x, y), (x_test, y_test) = nn.datasets.mnist.load_data()
    x, x_test = nn.utils.normalize(x, axis=1), nn.utils.normalize(x_test, axis=1)
    model = nn.Sequential([nn.layers.Flatten(), nn.layers.Dense(128, "relu"), nn.layers.Dense(10, "softmax")])
    rows = []
    for size in SCALED_SIZES:
        row: Row = {"batch size": f"{size}"}
        for label, rate in (("0.01", 0.01), ("0.01 B / 32", 0.01 * size / 32)):
            runs = grid(
                model, x, y, optimizers=[nn.optimizers.SGD(rate)], batch_sizes=[size], loss="sparse_categorical_crossentropy",
                metrics=["accuracy"], epochs=MNIST_EPOCHS, repeats=MNIST_SEEDS, test_data=(x_test, y_test),
            )  # fmt: skip
            row.setdefault("s an epoch", f"{median(r['seconds'] for r in runs) / MNIST_EPOCHS:.3f}")
            row[f"rate {label}: loss"] = f"{mean(r['loss'] for r in runs):.3f}"
            row[f"rate {label}: test accuracy %"] = f"{100 * mean(r['test_accuracy'] for r in runs):.2f}"
        rows.append(row)
    return markdown(rows, tuple(rows[0]))


def born_dead() -> str:
    x, *_ = wine()
    dead = 0
    for seed in range(BIRTHS):
        model = nn.Sequential.from_config(wine_model().get_config() | {"seed": seed})
        dead += nn.utils.dead_units(model, x)["output"] == 1.0
    return f"Of the wine networks with the seeds 0 to {BIRTHS - 1}, {dead} are dead before the first step: {100 * dead / BIRTHS:.0f} %."


def remedies() -> str:
    x, y, x_test, y_test = wine()
    rows = []
    for label, settings in {
        "none": {},
        "bias of the output 0.1": {"bias": 0.1},
        "bias of the output 1.0": {"bias": 1.0},
        "linear output": {"output": "linear"},
        "He's initial weights": {"hidden": "he_uniform"},
    }.items():
        runs = grid(
            wine_model(**settings), x, y, optimizers=["adam"], loss="mse", epochs=REMEDY_EPOCHS,  # type: ignore[arg-type]
            repeats=REMEDY_SEEDS, test_data=(x_test, y_test),
        )  # fmt: skip
        alive = [record for record in runs if not is_dead(record)]
        rows.append({
            "remedy": label,
            "dead in the end": f"{100 * (1 - len(alive) / len(runs)):.0f} %",
            "test RMSE, all seeds": f"{mean(r['test_loss'] ** 0.5 for r in runs):.2f}",
            "test RMSE, living": spread(r["test_loss"] ** 0.5 for r in alive),
        })  # fmt: skip
    return markdown(rows, tuple(rows[0]))


def rates_that_kill() -> str:
    x, y, *_ = wine()
    rows = []
    for rate in RATES:
        runs = grid(
            wine_model(bias=1.0), x, y, optimizers=[nn.optimizers.SGD(rate)], loss="mse", epochs=REMEDY_EPOCHS,
            repeats=REMEDY_SEEDS,
        )  # fmt: skip
        rows.append({
            "learning rate": f"{rate}",
            "dead outputs": f"{100 * np.mean([is_dead(r) for r in runs]):.0f} %",
            "dead hidden units": f"{100 * mean(r['dead_units']['hidden'] for r in runs):.0f} %",
            "loss, median": f"{median(r['loss'] for r in runs):.2f}",
        })  # fmt: skip
    return markdown(rows, tuple(rows[0]))


def main() -> None:
    for page, name, make in (
        ("dying-relus", "births", born_dead),
        ("dying-relus", "remedies", remedies),
        ("dying-relus", "rates", rates_that_kill),
        ("batch-size", "wine", batch_sizes_on_wine),
        ("batch-size", "rates", scaled_rates_on_mnist),
    ):
        put(HERE / f"learn/{page}.md", name, make())


if __name__ == "__main__":
    main()
