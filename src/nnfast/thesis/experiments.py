"""Sections 3 and 4.2: MNIST and wine, and the comparison of SGD and Adam at eight batch sizes."""

from __future__ import annotations

import time
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import callbacks, compare, datasets, layers, plot, utils
from ..errors import DeadUnits
from ..models import Sequential
from ..plot.style import require_matplotlib
from .item import Findings, Item, total

Array = NDArray[Any]

WINE_SEED = 1
"""The wine network ends in a ReLU, which some seeds start dead (item D1). This is the first one of the others after 0, which the listing uses too."""

SEEDS = 20


class Printed(NamedTuple):
    """A run as the thesis prints it: training loss, accuracy in percent (None: not given), time in seconds."""

    loss: float
    accuracy: float | None
    seconds: int


def _runs(table: dict[int, tuple[Any, ...]]) -> dict[int, Printed]:
    return {
        size: Printed(row[0], row[1] if len(row) == 3 else None, 60 * row[-1][0] + row[-1][1])
        for size, row in table.items()
    }


MNIST_PRINTED = {
    "Adam": _runs({
        1: (0.0, 100.0, (49, 56)), 8: (0.001, 99.98, (39, 20)), 16: (0.001, 99.95, (20, 54)), 32: (0.0, 100.0, (10, 45)),
        64: (0.0, 100.0, (6, 34)), 128: (0.0, 100.0, (3, 17)), 256: (0.0, 100.0, (2, 37)), 60000: (0.331, 90.81, (1, 4)),
    }),
    "SGD": _runs({
        1: (0.001, 100.0, (35, 36)), 8: (0.008, 99.96, (26, 36)), 16: (0.025, 99.51, (15, 21)), 32: (0.058, 98.51, (8, 58)),
        64: (0.106, 97.07, (5, 17)), 128: (0.165, 95.38, (3, 25)), 256: (0.227, 93.63, (2, 20)), 60000: (0.71, 84.05, (1, 20)),
    }),
}  # fmt: skip
WINE_PRINTED = {
    "Adam": _runs({
        1: (0.567, (27, 8)), 8: (0.576, (3, 44)), 16: (0.577, (2, 3)), 32: (0.578, (1, 3)), 64: (0.583, (0, 37)), 128: (0.627, (0, 21)),
        256: (0.675, (0, 22)), 4898: (0.811, (0, 4)),
    }),
    "SGD": _runs({
        1: (0.671, (24, 25)), 8: (0.679, (3, 25)), 16: (0.684, (1, 53)), 32: (0.691, (0, 59)), 64: (0.740, (0, 35)), 128: (0.759, (0, 20)),
        256: (0.772, (0, 16)), 4898: (0.815, (0, 46)),
    }),
}  # fmt: skip

FULL_BATCH_SGD = 2.19
"""What tf.keras gives for 100 full-batch steps of SGD on MNIST; the printed 0.71 cannot be reached (erratum 2)."""


def mnist_tolerance(optimizer: str, batch_size: int) -> tuple[float, float]:
    """What a final loss is compared with, and how far it may be off: the spread of tf.keras over seeds."""
    printed = MNIST_PRINTED[optimizer][batch_size].loss
    if batch_size == 60000:
        return (printed, 0.02) if optimizer == "Adam" else (FULL_BATCH_SGD, 0.1)
    if batch_size == 1:
        return 0.0, 0.003
    if optimizer == "Adam":
        return 0.0, 0.004
    return printed, 0.002 if batch_size == 8 else 0.08 * printed


def wine_tolerance(batch_size: int) -> float:
    """How far a final loss may be off what is printed."""
    return 0.03 if 64 <= batch_size <= 256 else 0.02


class Data(NamedTuple):
    """Normalised inputs and targets, to train on and to test on; `raw` are the inputs as they come."""

    x: Array
    y: Array
    x_test: Array
    y_test: Array
    raw: Array


class Laboratory:
    """Data, and how long to train: what the experiments share.

    Parameters
    ----------
    quick : bool
        Fewer rows and epochs: everything is shown, nothing that needs the full length is compared.
    folder : Path, optional
        Where the grids keep their finished runs, so that an interrupted report goes on.
    verbose : int
        As of `fit`.
    """

    def __init__(self, quick: bool = False, folder: Path | None = None, verbose: int = 0) -> None:
        self.quick, self.folder, self.verbose = quick, folder, verbose

    @cached_property
    def mnist(self) -> Data:
        (x, y), (x_test, y_test) = datasets.mnist.load_data()
        rows = slice(0, 6000 if self.quick else None)
        return Data(
            utils.normalize(x[rows], axis=1), y[rows], utils.normalize(x_test, axis=1), y_test, x[rows]
        )

    @cached_property
    def wine(self) -> Data:
        (x, y), (x_test, y_test) = datasets.wine_quality.load_data()
        return Data(utils.normalize(x, axis=1), y, utils.normalize(x_test, axis=1), y_test, x)

    def path(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{name}{'-quick' if self.quick else ''}.jsonl"

    def _grid(
        self, name: str, model: Sequential, data: Data, epochs: int, **settings: Any
    ) -> compare.Comparison:
        """SGD and Adam at the eight batch sizes."""
        return compare.grid(
            model,
            data.x,
            data.y,
            optimizers={"SGD": "sgd", "Adam": "adam"},
            batch_sizes=(1, 8, 16, 32, 64, 128, 256, "full"),
            epochs=epochs,
            test_data=(data.x_test, data.y_test),
            path=self.path(name),
            verbose=self.verbose,
            **settings,
        )

    @cached_property
    def mnist_grid(self) -> compare.Comparison:
        return self._grid(
            "mnist",
            mnist_model(),
            self.mnist,
            3 if self.quick else 100,
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
            rows={1: 1000 if self.quick else 10_000},
        )

    @cached_property
    def wine_grid(self) -> compare.Comparison:
        return self._grid(
            "wine", wine_model(), self.wine, 20 if self.quick else 250, loss="mse", seed=WINE_SEED
        )


def mnist_model(seed: int = 0) -> Sequential:
    """784-128(ReLU)-10(softmax)."""
    return Sequential(
        [layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(10, activation="softmax")],
        seed=seed,
    )


def wine_model(seed: int = WINE_SEED) -> Sequential:
    """11-128(ReLU)-1(ReLU)."""
    return Sequential([layers.Dense(128, activation="relu"), layers.Dense(1, activation="relu")], seed=seed)


def images(lab: Laboratory) -> Findings:
    found = Findings()
    data = lab.mnist
    figure, axes = require_matplotlib().subplots(1, 4, figsize=(7, 2.2), layout="constrained")
    for ax, row in zip(axes, np.random.default_rng(0).choice(len(data.raw), 4, replace=False), strict=True):
        ax.imshow(data.raw[row], cmap="gray")
        ax.set_title(f"{data.y[row]}")
        ax.axis("off")
    found.figures["figure-12"] = figure
    if not lab.quick:
        found.check("training images", 60_000, len(data.x), 0)
    found.check("test images", 10_000, len(data.x_test), 0)
    return found


def mnist_listing(lab: Laboratory) -> Findings:
    found = Findings()
    data, model = lab.mnist, mnist_model()
    clock = callbacks.TimeHistory()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    stop = callbacks.EarlyStopping("accuracy", min_delta=1e-4, patience=3)
    history = model.fit(
        data.x, data.y, batch_size=32, epochs=5 if lab.quick else 1000, verbose=0, callbacks=[stop, clock]
    ).history
    score = float(np.mean(model.predict(data.x_test).argmax(axis=1) == data.y_test))
    asked = not lab.quick
    epochs = len(history["loss"])
    found.check("epochs until EarlyStopping", 129, epochs, 31 if epochs > 129 else 29 if asked else None)
    found.check("training loss", 0.042, round(history["loss"][-1], 4), 0.012 if asked else None)
    found.check(
        "training accuracy, %", 98.97, round(100 * history["accuracy"][-1], 2), 0.4 if asked else None
    )
    found.check("test accuracy, % (Fig. 14)", 97.39, round(100 * score, 2), 0.4 if asked else None)
    found.check("training time", "12:14 min", total(clock.times), None)
    found.figures["figure-13"] = plot.history(history)
    found.notes.append(
        "EarlyStopping ends between 100 and 160 epochs, by seed: near its end the accuracy rises by about its min_delta."
    )
    if lab.quick:
        found.rows = [row for row in found.rows if row.within is None]
    return found


def wine_table(lab: Laboratory) -> Findings:
    found = Findings()
    columns, whole = datasets.wine_quality.load_table()
    found.check("inputs", 11, lab.wine.x.shape[1], 0)
    found.check("rows", 4898, len(whole), 0)
    found.check("rows to train on: the first 75 %", 3673, len(lab.wine.x), 0)
    found.tables["figure-15"] = [
        {"row": row, **dict(zip(columns, map(float, whole[row]), strict=True))}
        for row in (*range(5), *range(len(whole) - 5, len(whole)))
    ]
    found.notes.append(
        "Erratum: “batch size 4898” is the full training set, which has 3,673 rows. "
        "The listing takes to_numpy() before the target column is popped, which would leave 12 inputs; the model has 11."
    )
    return found


def wine_listing(lab: Laboratory) -> Findings:
    found = Findings()
    data, model = lab.wine, wine_model()
    clock = callbacks.TimeHistory()
    model.compile("sgd", "mse")
    stop = callbacks.EarlyStopping("loss", min_delta=1e-4, patience=3)
    history = model.fit(
        data.x, data.y, batch_size=32, epochs=5 if lab.quick else 1000, verbose=0, callbacks=[stop, clock]
    ).history
    rmse = [
        float(np.sqrt(((model.predict(x)[:, 0] - y.ravel()) ** 2).mean()))
        for x, y in ((data.x, data.y), (data.x_test, data.y_test))
    ]
    asked = None if lab.quick else 0.06
    found.check("training loss", 0.778, round(history["loss"][-1], 4), asked)
    found.check("RMSE, training rows (Fig. 17)", 0.880, round(rmse[0], 4), asked)
    found.check("RMSE, test rows (Fig. 17)", 0.779, round(rmse[1], 4), asked)
    found.check("epochs", "not printed", len(history["loss"]), None)
    found.check("training time", "not printed", total(clock.times), None)
    found.figures["figure-16"] = plot.history(
        {"loss": history["loss"][1:]} if len(history["loss"]) > 1 else history
    )
    found.notes.append(
        "The picture leaves the first epoch out. `mean_squared_error(..., squared=False)` of the listing is root_mean_squared_error today."
    )
    return found


def dead_start(lab: Laboratory) -> Findings:
    """Erratum 3: which seeds start with an output that is 0 for every wine, and what the library says."""
    found = Findings()
    data = lab.wine
    dead = []
    for seed in range(SEEDS):
        model = wine_model(seed)
        model.compile("adam", "mse")
        model.build((None, data.x.shape[1]))
        dead.append(list(utils.dead_units(model, data.x).values())[-1] == 1.0)
    first = dead.index(True)
    model = wine_model(first)
    model.compile("adam", "mse")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = model.fit(data.x, data.y, epochs=5, verbose=0).history
    said = [str(warning.message) for warning in caught if issubclass(warning.category, DeadUnits)]
    count = sum(dead)
    found.check(f"seeds of {SEEDS} that start dead (four of ten are usual)", 0.38 * SEEDS, count, 5.0)
    found.check(
        f"seed {first}: loss in each of five epochs of Adam", 35.48, round(history["loss"][-1], 2), 0.01
    )
    found.check("times that the library says so", 1, len(said), 0)
    found.check(
        f"seed {WINE_SEED}, of the wine runs here, starts", "alive", "dead" if dead[WINE_SEED] else "alive"
    )
    found.tables["dead-start"] = [
        {"seed": seed, "starts": "dead" if one else "alive"} for seed, one in enumerate(dead)
    ]
    found.notes += said
    found.notes.append(
        "The network ends in a ReLU. Where the sum before it is negative for every wine, its slope is 0 for every row: no weight ever moves, "
        "with any optimizer and any batch size. The document discusses dying ReLUs, but not that its own example does it."
    )
    return found


def grid_item(
    lab: Laboratory,
    result: compare.Comparison,
    printed: dict[str, dict[int, Printed]],
    figure: str,
    full: int,
) -> Findings:
    """The runs of a grid beside what is printed of them."""
    found = Findings()
    rows = []
    for record in result.records:
        name, size = record["optimizer"], record["batch_size"]
        known = full if size == record["rows"] and size > 256 else size
        before = printed[name][known]
        row = {
            "optimizer": name,
            "batch size": size,
            "epochs": record["epochs"],
            "loss, printed": before.loss,
            "loss": round(record["loss"], 4),
            "accuracy %, printed": before.accuracy,
            "accuracy %": round(100 * record["accuracy"], 2) if "accuracy" in record else None,
            "test loss": round(record["test_loss"], 4),
            "test accuracy %": round(100 * record["test_accuracy"], 2) if "test_accuracy" in record else None,
            "time, printed": total([before.seconds]),
            "time": total([record["seconds"]]),
            "dead units %": round(100 * max(record["dead_units"].values()), 1),
        }
        rows.append({key: value for key, value in row.items() if value is not None})
        if lab.quick:
            continue
        label = f"{name}, batch {known}: loss"
        if full == 60000:
            target, within = mnist_tolerance(name, known)
            note = f"printed {before.loss}" if target != before.loss else ""
            found.check(label, target, round(record["loss"], 4), within, note)
            if name == "Adam" and 8 <= known <= 256:
                found.check(
                    f"{name}, batch {known}: accuracy %", 100.0, round(100 * record["accuracy"], 2), 0.2
                )
        else:
            found.check(label, before.loss, round(record["loss"], 4), wine_tolerance(known))
    found.tables[figure] = rows
    found.figures[figure] = plot.comparison(result)
    spent = sum(record["seconds"] for record in result.records)
    old = sum(run.seconds for runs in printed.values() for run in runs.values())
    found.notes.append(
        f"Training took {total([old])} in the thesis and {total([spent])} here, added up; two runs went side by side, "
        "which lengthens each of them."
    )
    return found


def mnist_comparison(lab: Laboratory) -> Findings:
    found = grid_item(lab, lab.mnist_grid, MNIST_PRINTED, "figure-20-21", 60000)
    found.notes.append(
        "Erratum: SGD at batch 60000 is printed with a loss of 0.71 and 84 %. A hundred full-batch steps at a rate of 0.01 cannot get there: "
        "tf.keras itself gives 2.19 and 26 %. The row is shown as it comes out, and compared with that. "
        "Batch size 1 trains on a random 10,000 rows, as in the document."
    )
    return found


def wine_comparison(lab: Laboratory) -> Findings:
    return grid_item(lab, lab.wine_grid, WINE_PRINTED, "figure-22-23", 4898)


def timed(lab: Laboratory) -> Findings:
    """C1: EarlyStopping, TimeHistory and the history."""
    found = Findings()
    model = Sequential([layers.Dense(1)], seed=0)
    model.compile("sgd", "mse", metrics=["mae"])
    clock = callbacks.TimeHistory()
    begin = time.perf_counter()
    stop = callbacks.EarlyStopping("loss", min_delta=1e-4, patience=3)
    history = model.fit([[0.0], [1.0]], [1.0, 2.0], epochs=1000, verbose=0, callbacks=[stop, clock])
    spent = time.perf_counter() - begin
    losses = history.history["loss"]
    best, wait, end = float("inf"), 0, 0
    while wait < 3:  # the rule, written out
        best, wait = (losses[end], 0) if losses[end] < best - 1e-4 else (best, wait + 1)
        end += 1
    found.check("EarlyStopping(loss, 1e-4, 3): stops after epoch", end, len(losses), 0)
    found.check("TimeHistory: one time for each epoch", len(losses), len(clock.times), 0)
    found.check("their sum is at most the whole", "yes", "yes" if sum(clock.times) <= spent else "no")
    found.check("history has", "loss, mae", ", ".join(sorted(history.history)))
    return found


ITEMS = (
    Item("C1", "EarlyStopping, TimeHistory, history", "Training stops when what is monitored no longer improves; times and losses are kept.", timed),
    Item("F12", "Fig. 12: four images", "Four random images of MNIST with their labels.", images),
    Item("F13", "Fig. 13, 14: MNIST until it no longer improves",
         "784-128(ReLU)-10(softmax), SGD(0.01), batch 32, EarlyStopping(accuracy, 1e-4, 3): 129 epochs in 12 min 14 s, loss 0.042, 98.97 %; test 97.39 %.",
         mnist_listing),
    Item("F15", "Fig. 15: the wine table", "4,898 white wines, 11 inputs; the first 75 % are trained on.", wine_table),
    Item("D1", "The dead start of the wine network", "Not in the document: its network starts dead with about four of ten seeds.", dead_start),
    Item("F16", "Fig. 16, 17: wine until it no longer improves",
         "11-128(ReLU)-1(ReLU), MSE, SGD(0.01), batch 32, EarlyStopping(loss, 1e-4, 3): loss 0.778, RMSE 0.880 on training and 0.779 on test rows.",
         wine_listing),
    Item("F20", "Fig. 20, 21: MNIST, SGD and Adam at eight batch sizes", "100 epochs each; 3 hours 53 minutes of training.", mnist_comparison),
    Item("F22", "Fig. 22, 23: wine, SGD and Adam at eight batch sizes", "250 epochs each; 68 minutes of training.", wine_comparison),
)  # fmt: skip
