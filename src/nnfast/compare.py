"""Grids of runs: optimizers x batch sizes x whatever else, over one model and one data set.

Which runs there are, in which order and how many at once, and what is kept of them on disk. One run is
`Sequential.fit`; pictures are `plot.comparison`.
"""

from __future__ import annotations

import contextlib
import csv
import datetime
import hashlib
import inspect
import io
import itertools
import json
import math
import queue
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core, arrays, journal, losses, metrics, optimizers, paths, progress, saving, utils
from .callbacks import Logs, TerminateOnNaN, TimeHistory
from .errors import DeadUnits, GridInterrupted
from .journal import Journal, Record
from .models import Sequential
from .names import serialize, unknown_attribute
from .threads import get_num_threads, share_threads
from .trainer import Trainer

__all__ = ["Comparison", "grid", "load"]

SUBSET = 2**32 - 1
"""The shuffle that picks the rows of a smaller training set: that of an epoch which no fit gets to."""
STEP_WORK, WEIGHT_WORK, SLOT_WORK, EPOCH_WORK = 3000, 4, 6, 200_000
"""What a step and an epoch cost besides 3 multiply-adds a row and weight, in multiply-adds: by step, by weight,
by weight and slot of the optimizer, by epoch. Fitted to the README's table within a factor of 2; they order the
runs and weigh them in the progress, nothing more."""
FULL = "full"
"""The batch size that is all rows."""
REDRAW = 0.1
"""Seconds between two redraws of the bar."""


class Comparison:
    """What `grid` returns: one record per run.

    Parameters
    ----------
    records : list of dict
        As described in `grid`, in the order of the grid.
    axes : dict of str to list
        The values of "optimizer", "batch_size", each further parameter and "repeat".
    cells : int
        Number of runs of the whole grid; more than there are records while it is not finished.

    Examples
    --------
    >>> from nnfast import Sequential, layers
    >>> model = Sequential([layers.Input((1,)), layers.Dense(1)])
    >>> x, y = [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]
    >>> result = grid(model, x, y, loss="mse", optimizers=["sgd", "adam"], batch_sizes=[1, "full"], verbose=0)
    >>> [(record["optimizer"], record["batch_size"]) for record in result.records]
    [('sgd', 1), ('sgd', 3), ('adam', 1), ('adam', 3)]
    """

    def __init__(self, records: list[Record], axes: dict[str, list[Any]], cells: int) -> None:
        self.records = records
        self.axes = axes
        self.cells = cells

    @property
    def finished(self) -> bool:
        """Whether there is a record of every run."""
        return len(self.records) == self.cells

    def rows(self, per_epoch: bool = False) -> list[Record]:
        """The records as flat rows of a table.

        Parameters
        ----------
        per_epoch : bool, default False
            One row per run and epoch, with the loss and the metrics of that epoch, instead of one per run.
        """
        if not per_epoch:
            return [_flat(record) for record in self.records]
        return [
            {name: record[name] for name in (*self.axes, "seed")}
            | {"epoch": epoch}
            | {name: values[epoch] for name, values in record["history"].items()}
            for record in self.records
            for epoch in range(record["epochs"])
        ]

    def to_frame(self, per_epoch: bool = False) -> Any:
        """`rows` as a pandas DataFrame.

        Raises
        ------
        ImportError
            Without pandas.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "to_frame: expected pandas, which is not installed. Install it (pip install pandas), "
                "or use rows(), to_csv or to_json."
            ) from error
        return pd.DataFrame(self.rows(per_epoch))

    def to_csv(self, path: str | PathLike[str], per_epoch: bool = False) -> None:
        """Write `rows` with a header, all or nothing."""
        rows = self.rows(per_epoch)
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
        paths.write_file(path, text.getvalue().encode())

    def to_json(self, path: str | PathLike[str]) -> None:
        """Write a list of the records, histories included, all or nothing; what is not finite becomes null."""
        paths.write_file(path, json.dumps(_finite(self.records), indent=1, allow_nan=False).encode())

    def __len__(self) -> int:
        return len(self.records)

    def __str__(self) -> str:
        """A table of what can be compared at a glance."""
        varied = [
            name for name in self.axes if len(self.axes[name]) > 1 or name in ("optimizer", "batch_size")
        ]
        rows = [
            {name: row[name] for name in row if name in varied or name not in self.axes}
            for row in self.rows()
        ]
        shown = [name for name in dict.fromkeys(key for row in rows for key in row) if name not in _HIDDEN]
        cells = [shown, *([_cell_text(row.get(name, "")) for name in shown] for row in rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join(
            "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in cells
        )

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} x{len(values)}" for name, values in self.axes.items())
        return f"<Comparison of {sizes}: {len(self)} of {self.cells} runs>"


_HIDDEN = ("seed", "diverged")


def _flat(record: Record) -> Record:
    dead = {f"dead_units/{name}": fraction for name, fraction in record["dead_units"].items()}
    return {name: value for name, value in record.items() if name not in ("history", "dead_units")} | dead


def _cell_text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _finite(value: Any) -> Any:
    """The same without NaN and infinities, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def grid(
    build: Sequential | Callable[..., Sequential],
    x: ArrayLike,
    y: ArrayLike,
    *,
    optimizers: Iterable[object] | Mapping[str, object] | None = None,
    batch_sizes: Iterable[int | str] = (32,),
    epochs: int = 1,
    repeats: int = 1,
    seed: int = 0,
    loss: object = None,
    metrics: Iterable[object] | str | None = None,
    rows: int | Mapping[int | str, int] | None = None,
    validation_data: tuple[ArrayLike, ArrayLike] | None = None,
    test_data: tuple[ArrayLike, ArrayLike] | None = None,
    path: str | PathLike[str] | None = None,
    jobs: int | None = None,
    verbose: str | int = "auto",
    **parameters: Iterable[Any] | Mapping[str, Any],
) -> Comparison:
    """Train one model in every combination of optimizer, batch size and further parameters.

    Each run of a repeat begins with the same weights and sees the rows in the same order: those that its seed
    decides. Runs go side by side, one thread each, the longest first; which ones ran together does not show in
    the results, to the last bit, but in their `seconds`.

    Parameters
    ----------
    build : Sequential or callable
        A model, of which the structure is taken, or a function of further parameters that makes one.
    x : array_like, shape (N, ...)
    y : array_like, shape (N,), (N, 1) or (N, K)
        As for `fit`.
    optimizers : iterable of str or Optimizer, or dict of name to these; optional
        By default the one that the model was compiled with.
    batch_sizes : iterable of int or "full", default (32,)
        "full" is all rows that are trained on.
    epochs : int, default 1
    repeats : int, default 1
        Each combination is run with the seeds `seed`, `seed + 1`, ...
    seed : int, default 0
    loss, metrics : optional
        As for `compile`; by default those that the model was compiled with.
    rows : int or dict of batch size to int, optional
        Train on so many rows, drawn at random by the seed of the run: `{1: 10_000}` does so for batch size 1.
    validation_data : tuple (x, y), optional
        Evaluated after each epoch.
    test_data : tuple (x, y), optional
        Evaluated after each run.
    path : str or path, optional
        A file (conventionally .jsonl) that gets each run as soon as it is finished, durably. Where it exists,
        its runs are not run again: the same call goes on where it was killed.
    jobs : int, optional
        Runs at once, by default as many as `get_num_threads`. With 1 each run has the machine to itself, so
        that seconds can be compared; the whole takes longer.
    verbose : {"auto", 0, 1, 2}, default "auto"
        0 silent, 1 one bar with the time left, 2 one line per run; "auto" is 1 on a terminal or in a notebook,
        else 2.
    **parameters : iterable, or dict of name to value
        Values of further parameters. One that is a setting of the optimizers, such as `learning_rate`, is set
        there; the others are arguments of `build`. Values that are not numbers or strings need names: a dict.

    Returns
    -------
    Comparison
        Its records have "optimizer", "batch_size" (in rows), the parameters, "repeat", "seed", "rows",
        "epochs", "seconds" of training (validation included), the last value of each entry of the history
        ("loss", "accuracy", "val_loss", ...), "test_loss" and so on, "dead_units" (fraction of each layer, over
        the rows trained on), "diverged" (whether the loss became NaN or infinite, which ends the run), and
        "history" with a value per epoch.

    Raises
    ------
    ValueError, TypeError
        Arguments or data that are not right; `path` holds another grid (of other data, another model, ...), or
        another process works on it. All before the first run.
    GridInterrupted
        Ctrl-C: a KeyboardInterrupt whose `result` has the runs that were finished.

    Warns
    -----
    DeadUnits
        A layer of some runs ended with all its units dead.

    Examples
    --------
    >>> from nnfast import Sequential, layers
    >>> def build(units):
    ...     return Sequential([layers.Dense(units, "relu"), layers.Dense(1)])
    >>> x = [[0.0], [1.0], [2.0], [3.0]]
    >>> result = grid(build, x, x, loss="mse", optimizers={"plain": "sgd"}, batch_sizes=[2], epochs=5, verbose=0,
    ...               units=[4, 8], learning_rate=[0.01, 0.1])
    >>> [(record["units"], record["learning_rate"], len(record["history"]["loss"])) for record in result.records]
    [(4, 0.01, 5), (4, 0.1, 5), (8, 0.01, 5), (8, 0.1, 5)]
    """
    shown = progress.mode(verbose)
    seeds = [_count("seed", seed, 0) + repeat for repeat in range(_count("repeats", repeats, 1))]
    plan = _plan(
        build, x, y, optimizers, batch_sizes, epochs, seeds, loss, metrics, rows, validation_data, test_data,
        parameters,
    )  # fmt: skip
    jobs = get_num_threads() if jobs is None else _count("jobs", jobs, 1)
    done: dict[int, Record] = {}
    with contextlib.ExitStack() as stack:
        kept = None
        if path is not None:
            kept = Journal(path, plan.identity(), plan.header(), plan.check)
            stack.enter_context(contextlib.closing(kept))
            done |= kept.records
        todo = sorted((cell for cell in plan.cells if cell.number not in done), key=lambda cell: -cell.work)
        display = stack.enter_context(contextlib.closing(_Display(shown, plan.cells, done)))

        def finish(cell: _Cell, record: Record) -> None:
            if cell.number not in done:
                if kept is not None:
                    kept.add(cell.number, record)
                done[cell.number] = record
                display.finished(cell, record)

        try:
            _run_all(todo, jobs, plan, finish, display)
        except KeyboardInterrupt:
            raise GridInterrupted(plan.result(done), path) from None
    result = plan.result(done)
    _warn_of_dead_units(result.records)
    return result


def load(path: str | PathLike[str]) -> Comparison:
    """The runs that a file of `grid` holds, finished or not.

    Raises
    ------
    ValueError
        Not such a file, or one of another version.
    OSError
        The file cannot be read.
    """
    header, records, *_ = journal.load(path)
    return Comparison([records[number] for number in sorted(records)], header["axes"], header["cells"])


# What there is to run.


@dataclass(frozen=True)
class _Cell:
    """One run."""

    number: int
    labels: dict[str, Any]  # its place on the axes
    title: str
    model: dict[str, Any]  # configuration
    optimizer: dict[str, Any]  # the same
    batch_size: int
    rows: int
    seed: int
    work: float


class _Data(NamedTuple):
    x: arrays.Floats
    y: arrays.Labels | arrays.Floats


class _Plan(NamedTuple):
    """A checked grid: its axes, its cells, and what they share."""

    axes: dict[str, list[Any]]
    cells: list[_Cell]
    epochs: int
    loss: losses.Loss
    metrics: list[metrics.Metric]
    backend: str
    train: _Data
    validation: _Data | None
    test: _Data | None

    def result(self, records: Mapping[int, Record]) -> Comparison:
        return Comparison([records[number] for number in sorted(records)], self.axes, len(self.cells))

    def header(self) -> dict[str, Any]:
        return {"axes": self.axes, "cells": len(self.cells)}

    def check(self, number: int, record: Record) -> None:
        """ValueError for a record that cannot be of the run of that number."""
        cell = self.cells[number]
        wanted = {**cell.labels, "seed": cell.seed, "rows": cell.rows}
        for name, value in wanted.items():
            if record[name] != value:
                raise ValueError(f"{name} must be {value!r}, got {record[name]!r}")
        if not 1 <= record["epochs"] <= self.epochs:
            raise ValueError(f"epochs must be from 1 to {self.epochs}, got {record['epochs']}")
        names = ["loss", *(metric.name for metric in self.metrics)]
        unknown = set(record["history"]) - {*names, *(f"val_{name}" for name in names)}
        if unknown:
            raise ValueError(f"history must be of {', '.join(names)}, got {', '.join(sorted(unknown))}")

    def identity(self) -> dict[str, Any]:
        """All that the results depend on, JSON-able and part by part, so that a difference can be named."""
        from . import __version__

        def digest(data: _Data | None) -> list[str] | None:
            return None if data is None else [_digest(part) for part in data]

        return {
            "the version of nnfast": [__version__, saving.RANDOM_STREAM],
            "the model": _json_digest([cell.model for cell in self.cells]),
            "optimizers": _json_digest([cell.optimizer for cell in self.cells]),
            "the values of the grid": self.axes,
            "seed": [cell.seed for cell in self.cells],
            "rows": [cell.rows for cell in self.cells],
            "epochs": self.epochs,
            "loss": serialize(self.loss),
            "metrics": [metrics.describe(metric) for metric in self.metrics],
            "backend": self.backend,
            "x and y": digest(self.train),
            "validation_data": digest(self.validation),
            "test_data": digest(self.test),
        }


def _digest(array: NDArray[Any]) -> str:
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _json_digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _plan(
    build: Sequential | Callable[..., Sequential],
    x: ArrayLike,
    y: ArrayLike,
    chosen: Iterable[object] | Mapping[str, object] | None,
    batch_sizes: Iterable[int | str],
    epochs: int,
    seeds: Sequence[int],
    loss: object,
    metrics: Iterable[object] | str | None,
    rows: int | Mapping[int | str, int] | None,
    validation_data: object,
    test_data: object,
    parameters: Mapping[str, object],
) -> _Plan:
    """Check all that can be checked before the first run, and list the runs."""
    _count("epochs", epochs, 1)
    inputs = arrays.as_float32(x, "x")
    if inputs.ndim == 0 or not len(inputs):
        raise ValueError(f"x must have at least one row, got shape {inputs.shape}.")
    sizes = _sizes(batch_sizes, rows, len(inputs))
    arguments, settings = _split(build, parameters)
    built = [(labels, _built(build, values, inputs)) for labels, values in _combinations(arguments)]
    models = [model for _, model in built]
    trainer = _trainer(models[0], chosen, loss, metrics)
    rules = _rules([trainer.optimizer] if chosen is None else chosen, settings)
    cells: list[_Cell] = []
    for (name, rule), (size, count), (shape, model), (labels, values), (repeat, seed) in itertools.product(
        rules.items(), sizes, built, _combinations(settings), enumerate(seeds)
    ):
        optimizer = {**rule, "config": rule["config"] | values}
        cells.append(
            _Cell(
                number=len(cells),
                labels={"optimizer": name, "batch_size": size, **shape, **labels, "repeat": repeat},
                title=", ".join(
                    [name, f"batch {size}"]
                    + [f"{key} {value}" for key, value in (shape | labels).items()]
                    + [f"seed {seed}"] * (len(seeds) > 1)
                ),
                model=model.get_config() | {"seed": seed},
                optimizer=optimizer,
                batch_size=size,
                rows=count,
                seed=seed,
                work=epochs * _work(model, optimizers.get(optimizer).rule, size, count),
            )
        )
    taken = {
        "seed",
        "rows",
        "epochs",
        "seconds",
        "dead_units",
        "diverged",
        "history",
        *models[0].metrics_names,
    }
    for name in parameters:
        if name in taken or name.startswith(("val_", "test_")):
            raise ValueError(
                f"a parameter must not be called {name!r}: the records have another value of that name."
            )
    return _Plan(
        axes={name: list(dict.fromkeys(cell.labels[name] for cell in cells)) for name in cells[0].labels},
        cells=cells,
        epochs=epochs,
        loss=trainer.loss,
        metrics=list(trainer.metrics),
        backend=trainer.backend,
        train=_checked((inputs, y), trainer.loss, models, ""),
        validation=None
        if validation_data is None
        else _checked(validation_data, trainer.loss, models, "validation "),
        test=None if test_data is None else _checked(test_data, trainer.loss, models, "test "),
    )


def _sizes(
    batch_sizes: Iterable[int | str], rows: int | Mapping[int | str, int] | None, available: int
) -> list[tuple[int, int]]:
    """Each batch size in rows, and the number of rows to train on with it."""
    given = list(batch_sizes)
    counts = rows if isinstance(rows, Mapping) else {} if rows is None else dict.fromkeys(given, rows)
    unknown = [size for size in counts if size not in given]
    if unknown:
        raise ValueError(f"rows must be for sizes that are in batch_sizes, {given}, got {unknown}.")
    sizes: dict[int, int] = {}
    for size in given:
        count = _count("rows", counts.get(size, available), 1)
        if count > available:
            raise ValueError(
                f"rows must be at most those of x, {available}, got {count} for batch size {size}."
            )
        number = count if size == FULL else _count(f"a batch size that is not {FULL!r}", size, 1)
        if number in sizes:
            raise ValueError(f"batch_sizes must be different, got {number} rows twice.")
        sizes[number] = count
    if not sizes:
        raise ValueError("batch_sizes must hold at least one size, got none.")
    return list(sizes.items())


Named: TypeAlias = dict[str, dict[Any, Any]]
"""Of each parameter, its values by their names."""


def _split(
    build: Sequential | Callable[..., Sequential], parameters: Mapping[str, object]
) -> tuple[Named, Named]:
    """The parameters that `build` takes; and the others, which must be settings of the optimizers."""
    named = {name: _named_values(name, values) for name, values in parameters.items()}
    if isinstance(build, Sequential):
        return {}, named
    if not callable(build):
        raise TypeError(
            f"build must be a Sequential, or a function that makes one, got {type(build).__name__}."
        )
    signature = inspect.signature(build).parameters.values()
    takes_all = any(argument.kind is argument.VAR_KEYWORD for argument in signature)
    taken = {argument.name for argument in signature}
    arguments = {name: values for name, values in named.items() if takes_all or name in taken}
    return arguments, {name: values for name, values in named.items() if name not in arguments}


def _named_values(name: str, values: object) -> dict[Any, Any]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a list of values, or a dict of name to value, got {values!r}.")
    if isinstance(values, Mapping):
        named = {str(label): value for label, value in values.items()}
    else:
        plain = [value.item() if isinstance(value, np.generic) else value for value in values]
        for value in plain:
            if not isinstance(value, str | int | float | None):
                raise TypeError(
                    f"{name} must hold numbers or strings, got {value!r}. Name its values: a dict of name to value."
                )
        named = dict(zip(plain, plain, strict=True))
    if not named:
        raise ValueError(f"{name} must have at least one value, got {values!r}.")
    return named


def _combinations(named: Mapping[str, Mapping[Any, Any]]) -> list[tuple[Record, Record]]:
    """Every combination, as the names of its values and as the values, each by parameter."""
    found = []
    for items in itertools.product(*(values.items() for values in named.values())):
        chosen = dict(zip(named, items, strict=True))
        found.append(
            (
                {name: label for name, (label, _) in chosen.items()},
                {name: value for name, (_, value) in chosen.items()},
            )
        )
    return found


def _built(
    build: Sequential | Callable[..., Sequential], values: Mapping[str, Any], inputs: arrays.Floats
) -> Sequential:
    """A new model of that structure, with weights for these inputs, compiled if the given one was."""
    given = build if isinstance(build, Sequential) else build(**values)
    if not isinstance(given, Sequential):
        raise TypeError(f"build must return a Sequential, got {type(given).__name__}.")
    model = Sequential.from_config(given.get_config())
    model.network(arrays.sample_shape(inputs))
    if given.trainer is not None:
        model.compile(**given.trainer.get_config())
    return model


def _trainer(model: Sequential, chosen: object, loss: object, metrics: Any) -> Trainer:
    """What the runs share of `compile`: from the arguments, else as the model was compiled."""
    compiled = model.trainer
    if compiled is None and (loss is None or chosen is None):
        raise ValueError(
            "grid needs optimizers and loss for a model that is not compiled, got "
            f"optimizers={chosen!r} and loss={loss!r}. Pass both, or compile the model."
        )
    if compiled is None:
        model.compile("sgd", loss, metrics=metrics)  # any optimizer: each run has its own
    else:
        model.compile(
            compiled.optimizer,
            compiled.loss if loss is None else loss,
            metrics=compiled.metrics if metrics is None else metrics,
            backend=compiled.backend,
        )
    assert model.trainer is not None
    return model.trainer


def _rules(
    chosen: Iterable[object] | Mapping[str, object], settings: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Name of each optimizer to its configuration; all must have the settings that are to be varied."""
    if isinstance(chosen, str) or not isinstance(chosen, Iterable):
        raise TypeError(f"optimizers must be a list, or a dict of name to optimizer, got {chosen!r}.")
    pairs = (
        list(chosen.items())
        if isinstance(chosen, Mapping)
        else [(each if isinstance(each, str) else optimizers.get(each).name, each) for each in chosen]
    )
    rules = {str(name): serialize(optimizers.get(each)) for name, each in pairs}
    if not pairs or len(rules) < len(pairs):
        raise ValueError(
            f"optimizers must be at least one, of different names, got {[name for name, _ in pairs]}. "
            "Pass a dict of name to optimizer."
        )
    for setting, (name, rule) in itertools.product(settings, rules.items()):
        if setting not in rule["config"]:
            raise TypeError(
                f"grid got a parameter {setting!r} that neither build takes nor optimizer {name!r} has. "
                f"It has {', '.join(rule['config'])}."
            )
    return rules


def _checked(data: Any, loss: losses.Loss, models: Iterable[Sequential], name: str) -> _Data:
    """Rows as `fit` takes them without another copy, held against every model."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise ValueError(f"{name}data must be a pair (x, y), got {type(data).__name__}.")
    x = arrays.as_float32(data[0], f"{name}x")
    for model in models:
        rows = len(arrays.as_inputs(x, model.sample_shape, f"{name}x"))
        y = losses.as_targets(loss, data[1], rows, model.head[0], f"{name}y")
    return _Data(x, y)


def _work(model: Sequential, rule: str, batch_size: int, rows: int) -> float:
    """Of an epoch, in multiply-adds, roughly."""
    weights, slots = model.count_params(), len(_core.RULES[rule][1])
    steps = -(-rows // batch_size)
    return 3 * rows * weights + steps * (weights * (WEIGHT_WORK + SLOT_WORK * slots) + STEP_WORK) + EPOCH_WORK


def _count(name: str, value: object, least: int) -> int:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number >= {least}, got {value!r}.")
    return int(value)


# Running.


class _Stopped(Exception):
    """Raised within a run that is to end: another one failed, or Ctrl-C."""


class _Watch(TimeHistory):
    """How far a run is, and the way to stop it."""

    stop: threading.Event
    rows: int
    work_of_epoch: float
    part: float

    def __init__(self, stop: threading.Event, cell: _Cell, epochs: int) -> None:
        super().__init__()
        self.stop = stop
        self.rows = cell.rows
        self.work_of_epoch = cell.work / epochs
        self.part = 0.0  # of the epoch under way

    @property
    def work_done(self) -> float:
        return self.work_of_epoch * (len(self.times) + self.part)

    @property
    def moved(self) -> Callable[[int], None]:
        return self._moved

    def _moved(self, rows: int) -> None:
        self.part = rows / self.rows
        if self.stop.is_set():
            raise _Stopped

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        super().on_epoch_end(epoch, logs)
        self._moved(0)


def _run(plan: _Plan, cell: _Cell, watch: _Watch) -> Record:
    """One run."""
    model = Sequential.from_config(cell.model)
    model.compile(optimizers.get(cell.optimizer), plan.loss, metrics=plan.metrics, backend=plan.backend)
    assert model.trainer is not None
    model.trainer.warns_of_dead_units = False  # one warning for the whole grid is enough
    x, y = _subset(plan.train, cell)
    history = model.fit(
        x,
        y,
        batch_size=cell.batch_size,
        epochs=plan.epochs,
        verbose=0,
        callbacks=[watch, TerminateOnNaN()],
        validation_data=plan.validation,
    ).history
    scores: Any = {} if plan.test is None else model.evaluate(*plan.test, verbose=0, return_dict=True)
    return {
        **cell.labels,
        "seed": cell.seed,
        "rows": cell.rows,
        "epochs": len(watch.times),
        "seconds": sum(watch.times),
        **{name: values[-1] for name, values in history.items()},
        **{f"test_{name}": value for name, value in scores.items()},
        "dead_units": utils.dead_units(model, x),
        "diverged": not math.isfinite(history["loss"][-1]),
        "history": history,
    }


def _subset(data: _Data, cell: _Cell) -> _Data:
    """The rows of a run, in the order of the data."""
    if cell.rows == len(data.x):
        return data
    order = np.empty(len(data.x), np.uint32)
    _core.shuffle(order, cell.seed, SUBSET)
    chosen = np.sort(order[: cell.rows])
    return _Data(data.x[chosen], data.y[chosen])


def _run_all(
    cells: Iterable[_Cell], jobs: int, plan: _Plan, finish: Callable[[_Cell, Record], None], display: _Display
) -> None:
    """Run cells on `jobs` threads, in this order; `finish` is called in this thread.

    The engine holds no lock of Python's during an epoch. Two runs of one worker each get through more than one
    after the other with two, as nobody waits at a barrier; workers for which there is no run go to those left.
    """
    todo = deque(cells)
    messages: queue.SimpleQueue[tuple[int, _Cell | None, Record | BaseException]] = queue.SimpleQueue()
    stop = threading.Event()

    def work(number: int) -> None:
        while todo and not stop.is_set():
            with contextlib.suppress(IndexError):
                cell = todo.popleft()
                display.watches[cell.number] = watch = _Watch(stop, cell, plan.epochs)
                try:
                    messages.put((number, cell, _run(plan, cell, watch)))
                except BaseException as error:
                    messages.put((number, cell, error))
        messages.put((number, None, {}))

    busy = set(range(min(jobs, len(todo))))
    workers = [threading.Thread(target=work, args=(number,), name=f"nnfast-grid-{number}") for number in busy]
    failure: BaseException | None = None
    message: tuple[int, _Cell | None, Record | BaseException] | None = None
    try:
        share_threads(stop, len(busy))
        for worker in workers:
            worker.start()
        while busy:
            try:  # Ctrl-C may come anywhere in here: a message that was not dealt with is dealt with again
                if message is None:
                    message = messages.get(timeout=REDRAW)
                number, cell, outcome = message
                if cell is None:
                    busy.discard(number)
                    share_threads(stop, len(busy))
                elif not isinstance(outcome, BaseException):
                    finish(cell, outcome)
                elif not isinstance(outcome, _Stopped):
                    failure = failure or outcome
                    stop.set()
                message = None
            except queue.Empty:
                display.draw()
            except KeyboardInterrupt as error:
                failure = error
                stop.set()
    finally:
        stop.set()
        for worker in workers:
            if worker.ident is not None:
                worker.join()
        share_threads(stop, 0)
    if failure is not None:
        raise failure


class _Display:
    """One bar for the whole grid, or a line for each run; the time left goes by the work done so far."""

    def __init__(self, verbose: int, cells: Sequence[_Cell], finished: Mapping[int, Record]) -> None:
        self.verbose = verbose
        self.cells = len(cells)
        self.count = len(finished)
        self.watches: dict[int, _Watch] = {}  # of the runs under way
        self.work = sum(cell.work for cell in cells)
        self.before = self.done = sum(cell.work for cell in cells if cell.number in finished)
        self.began = time.perf_counter()
        self.last = ""
        self.bar: Any = None
        if verbose == 1:
            self.bar = progress.bar(
                self.work, "{percentage:3.0f}% {bar:20} {elapsed}<{remaining}{desc}", self.before
            )
        elif verbose == 2 and finished:
            print(f"{self.count} of {self.cells} runs were finished before.")

    def _work_done(self) -> float:
        return min(self.work, self.done + sum(watch.work_done for watch in list(self.watches.values())))

    def draw(self) -> None:
        """Move the bar."""
        if self.bar is not None:
            self.bar.set_description_str(f" - {self.count}/{self.cells} runs{self.last}", refresh=False)
            self.bar.n = self._work_done()
            self.bar.refresh()

    def finished(self, cell: _Cell, record: Record) -> None:
        """Say so."""
        self.watches.pop(cell.number, None)
        self.count += 1
        self.done += cell.work
        scores = {name: record[name] for name in record["history"]}
        self.last = f" - {cell.title}: " + ", ".join(f"{name} {value:.4g}" for name, value in scores.items())
        self.draw()
        if self.verbose == 2:
            done = self._work_done()
            elapsed = time.perf_counter() - self.began
            left = elapsed * (self.work - done) / max(1.0, done - self.before)
            print(
                f"{self.count}/{self.cells}{self.last}, {record['seconds']:.1f} s; "
                f"{datetime.timedelta(seconds=round(left))} left",
                flush=True,
            )

    def close(self) -> None:
        """Leave the terminal."""
        if self.bar is not None:
            self.draw()
            self.bar.close()


def _warn_of_dead_units(records: Iterable[Record]) -> None:
    records = list(records)
    dead = [
        (record["seed"], layer)
        for record in records
        for layer, part in record["dead_units"].items()
        if part == 1
    ]
    if dead:
        names = ", ".join(sorted({repr(layer) for _, layer in dead}))
        seeds = ", ".join(map(str, sorted({seed for seed, _ in dead})))
        warnings.warn(DeadUnits(names, f"{len(dead)} of {len(records)} runs", seeds), stacklevel=3)


def __getattr__(name: str) -> Any:
    raise unknown_attribute(__name__, name, __all__)
