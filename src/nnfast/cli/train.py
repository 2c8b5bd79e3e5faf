"""`nnfast train`."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from .. import optimizers, plot
from ..files import paths
from .errors import UserError
from .nets import compiled, describe
from .notes import notes_path
from .tables import load, scaled


def check_outputs(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be written: rather now than after the training."""
    if arguments.plot is not None:
        plot.require_matplotlib()
        from matplotlib.backend_bases import FigureCanvasBase

        kinds = FigureCanvasBase.get_supported_filetypes()
        suffix = Path(arguments.plot).suffix.removeprefix(".").lower()
        if suffix and suffix not in kinds:
            raise UserError(
                f"--plot: expected a file ending in .{', .'.join(sorted(kinds))}, received .{suffix}"
            )
        paths.require_writable(arguments.plot, "--plot", in_place=True)
    if arguments.save is not None:
        paths.require_writable(arguments.save, "--save")
        paths.check_suffix(arguments.save)
        paths.require_writable(notes_path(arguments.save), "--save", in_place=True)


def run(arguments: argparse.Namespace) -> int:
    """Train a net on a table, score it, and keep what is asked for."""
    check_outputs(arguments)
    given = load(arguments)
    table = scaled(given)
    x, y, x_test, y_test = table[:4]
    optimizer: Any = optimizers.get(arguments.optimizer)
    if arguments.learning_rate is not None:
        optimizer.learning_rate = arguments.learning_rate
    model = compiled(arguments, table, optimizer)
    describe(arguments, model, table)
    begin = time.perf_counter()
    history = model.fit(
        x,
        y,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        validation_split=arguments.validation_split,
        verbose=arguments.verbose,
    )
    seconds = time.perf_counter() - begin
    for part, data, targets in (("train", x, y), ("test", x_test, y_test)):
        scores: Any = model.evaluate(data, targets, verbose=0, return_dict=True)
        print(f"{part:5}  " + "  ".join(f"{name} {value:.4f}" for name, value in scores.items()))
    rows = len(history.epoch) * (len(x) - int(len(x) * arguments.validation_split))
    print(f"{rows / seconds:,.0f} rows per second ({seconds:.2f} s)")
    if arguments.save:
        model.save(arguments.save)
        notes = {
            "scaling": table.scaling,
            "classes": table.classes,
            "target": arguments.target,
            "task": table.task,
        }
        if table.scaling in {"max", "standard"}:
            train = np.asarray(given.x, np.float64)
            notes["shift"] = np.mean(train, axis=0).tolist() if table.scaling == "standard" else 0.0
            spread = np.std(train, axis=0)
            notes["spread"] = (
                np.where(spread > 0, spread, 1.0).tolist()
                if table.scaling == "standard"
                else float(np.abs(train).max() or 1.0)
            )
        notes_path(arguments.save).write_text(json.dumps(notes), encoding="utf-8")
        print(f"saved {arguments.save} (and {notes_path(arguments.save).name}: how inputs were scaled)")
    if arguments.plot:
        plot.history(history, path=arguments.plot)
        print(f"drew {arguments.plot}")
    return 0
