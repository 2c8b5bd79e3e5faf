"""Which runs a grid has, checked before the first of them, and all that their results depend on."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core, losses, metrics, optimizers
from ..data import arrays
from ..files import saving
from ..models import Sequential
from ..names import serialize
from ..training import Trainer
from ..training.counts import check_count
from ..version import __version__
from .journal import Record
from .results import Comparison

STEP_WORK, WEIGHT_WORK, SLOT_WORK, EPOCH_WORK = 3000, 4, 6, 200_000
"""What a step and an epoch cost besides 3 multiply-adds a row and weight, in multiply-adds: by step, by weight,
by weight and slot of the optimizer, by epoch. Fitted to the README's table within a factor of 2; they order the
runs and weigh them in the progress, nothing more."""
FULL = "full"
"""The batch size that is all rows."""


@dataclass(frozen=True)
class Cell:
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


class Rows(NamedTuple):
    """Checked rows of data."""

    x: arrays.Floats
    y: arrays.Labels | arrays.Floats


class Plan(NamedTuple):
    """A checked grid: its axes, its cells, and what they share."""

    axes: dict[str, list[Any]]
    cells: list[Cell]
    epochs: int
    loss: losses.Loss
    metrics: list[metrics.Metric]
    backend: str
    train: Rows
    validation: Rows | None
    test: Rows | None

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

        def digest(data: Rows | None) -> list[str] | None:
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
            "metrics": [metrics.describe(metric) or metric.name for metric in self.metrics],
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


def plan_of(
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
) -> Plan:
    """Check all that can be checked before the first run, and list the runs."""
    check_count("epochs", epochs, 1)
    inputs = arrays.as_float32(x, "x")
    if inputs.ndim == 0 or not len(inputs):
        raise ValueError(f"x must have at least one row, got shape {inputs.shape}.")
    sizes = _sizes(batch_sizes, rows, len(inputs))
    arguments, settings = _split(build, parameters)
    built = [(labels, _built(build, values, inputs)) for labels, values in _combinations(arguments)]
    models = [model for _, model in built]
    trainer = _trainer(models[0], chosen, loss, metrics)
    rules = _rules([trainer.optimizer] if chosen is None else chosen, settings)
    cells: list[Cell] = []
    for (name, rule), (size, count), (shape, model), (labels, values), (repeat, seed) in itertools.product(
        rules.items(), sizes, built, _combinations(settings), enumerate(seeds)
    ):
        optimizer = {**rule, "config": rule["config"] | values}
        cells.append(
            Cell(
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
    return Plan(
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
        count = check_count("rows", counts.get(size, available), 1)
        if count > available:
            raise ValueError(
                f"rows must be at most those of x, {available}, got {count} for batch size {size}."
            )
        number = count if size == FULL else check_count(f"a batch size that is not {FULL!r}", size, 1)
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
    model._network(arrays.sample_shape(inputs))
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


def _checked(data: Any, loss: losses.Loss, models: Iterable[Sequential], name: str) -> Rows:
    """Rows as `fit` takes them without another copy, held against every model."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise ValueError(f"{name}data must be a pair (x, y), got {type(data).__name__}.")
    x = arrays.as_float32(data[0], f"{name}x")
    for model in models:
        rows = len(arrays.as_inputs(x, model.sample_shape, f"{name}x"))
        y = losses.as_targets(loss, data[1], rows, model._head[0], f"{name}y")
    return Rows(x, y)


def _work(model: Sequential, rule: str, batch_size: int, rows: int) -> float:
    """Of an epoch, in multiply-adds, roughly."""
    weights, slots = model.count_params(), len(_core.RULES[rule][1])
    steps = -(-rows // batch_size)
    return 3 * rows * weights + steps * (weights * (WEIGHT_WORK + SLOT_WORK * slots) + STEP_WORK) + EPOCH_WORK
