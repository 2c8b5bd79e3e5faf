"""Training and test rows: from data sets, CSV and .npz files, scaled as the net sees them."""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import datasets, utils
from ..files import archives, paths
from .errors import UserError

Array = NDArray[Any]

DATASETS = {
    "digits": ("classification", "max"),
    "mnist": ("classification", "max"),
    "fashion-mnist": ("classification", "max"),
    "wine": ("regression", "standard"),
}
"""Bundled and published data sets: task, and how inputs are scaled by default."""

TASKS = ("classification", "regression")
SCALINGS = ("none", "max", "l2", "standard")
CSV_COPIES = 8
"""Bytes of memory that a byte of a CSV file takes, at least: cells are strings before they are numbers."""


class Table(NamedTuple):
    """Training and test rows; `classes` names the labels of a file whose target is text."""

    x: Array
    y: Array
    x_test: Array
    y_test: Array
    task: str
    scaling: str
    classes: list[str] | None = None


def read_csv(path: Path) -> tuple[list[str], list[list[str]]]:
    """Column names and rows of a file with a header; the delimiter is the likeliest of comma, semicolon and tab."""
    with os.fdopen(paths.open_regular(path), newline="", encoding="utf-8-sig") as file:
        size, room = os.fstat(file.fileno()).st_size, archives.available_memory()
        if size * CSV_COPIES > room:
            raise UserError(
                f"{path}: expected a table that fits into memory, received {size / 1e9:.3g} GB, which take about "
                f"{size * CSV_COPIES / 1e9:.3g} GB where {room / 1e9:.3g} are available. Pass fewer rows, or an .npz file."
            )
        reader = None
        try:
            first = file.readline()
            delimiter = max(",;\t", key=first.count)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter)
            header, *rows = [row for row in reader if row]
        except (ValueError, csv.Error) as error:
            line = f"line {reader.line_num}: " if reader is not None and reader.line_num else ""
            raise UserError(
                f"{path}: expected a CSV file with a header line, received {line}{error or 'an empty file'}"
            ) from error
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise UserError(
                f"{path}, row {number}: expected {len(header)} columns as in the header, received {len(row)}"
            )
    if not rows:
        raise UserError(f"{path}: expected rows below the header, received none")
    return header, rows


def numbers(
    path: Path, header: Sequence[str], rows: Sequence[Sequence[str]], columns: Sequence[int]
) -> Array:
    """The cells of these columns."""
    table = np.empty((len(rows), len(columns)), dtype=np.float64)
    for r, row in enumerate(rows):
        for c, column in enumerate(columns):
            try:
                table[r, c] = float(row[column])
            except ValueError:
                raise UserError(
                    f"{path}, row {r + 2}, column {header[column]!r}: expected a number, received {row[column]!r}. "
                    "Encode or remove the column."
                ) from None
    return table


def _csv_table(
    path: Path, target: str | None, task: str | None
) -> tuple[Array, Array, str, list[str] | None]:
    header, rows = read_csv(path)
    if target is None:
        raise UserError(
            f"--target: expected the column to be predicted, one of {', '.join(header)}; received none"
        )
    if target not in header:
        raise UserError(f"--target: expected one of {', '.join(header)}, received {target!r}")
    at = header.index(target)
    x = numbers(path, header, rows, [c for c in range(len(header)) if c != at])
    values = [row[at] for row in rows]
    try:
        targets = np.array([float(value) for value in values])
    except ValueError:
        if task == "regression":
            raise UserError(
                f"--target: expected numbers in {target!r} for a regression, received {values[0]!r}"
            ) from None
        targets = None
    if targets is not None and (task or "regression") == "regression":
        return x, targets, "regression", None
    classes = sorted(
        set(values), key=lambda value: (float(value), value) if targets is not None else (0.0, value)
    )
    return x, np.array([classes.index(value) for value in values]), "classification", classes


def _npz_table(path: Path, task: str | None) -> tuple[Array, Array, str]:
    x, y = archives.read_npz(path, ("x", "y"))
    for name, array in (("x", x), ("y", y)):
        if array.ndim == 0:
            raise UserError(f"{path}: expected rows in {name}, received a single value")
    return x, y, task or ("classification" if y.dtype.kind in "iub" else "regression")


def load(arguments: argparse.Namespace) -> Table:
    """The table that the command line names; of a file, a random quarter is held out for the test score."""
    name, task = arguments.data, arguments.task
    classes = None
    if name in DATASETS:
        known_task, scaling = DATASETS[name]
        folder: dict[str, Any] = {} if name == "digits" else {"data_dir": arguments.data_dir}
        if name == "mnist":
            folder["allow_pip"] = arguments.allow_pip
        loader = {
            "digits": datasets.digits,
            "mnist": datasets.mnist,
            "fashion-mnist": datasets.fashion_mnist,
            "wine": datasets.wine_quality,
        }[name]
        (x, y), (x_test, y_test) = loader.load_data(**folder)
        return Table(x, y, x_test, y_test, task or known_task, arguments.normalize or scaling)
    path = Path(name)
    if path.suffix == ".csv":
        x, y, task, classes = _csv_table(path, arguments.target, task)
    elif path.suffix == ".npz":
        x, y, task = _npz_table(path, task)
    else:
        raise UserError(f"data: expected {', '.join(DATASETS)}, a .csv or an .npz file, received {name!r}")
    if len(x) != len(y):
        raise UserError(f"{path}: expected as many rows in x as in y, received {len(x)} and {len(y)}")
    if len(x) < 4:
        raise UserError(f"{path}: expected at least 4 rows, to train on and to hold out, received {len(x)}")
    order = np.random.default_rng(arguments.seed).permutation(len(x))
    test, train = np.split(order, [len(x) // 4])
    return Table(x[train], y[train], x[test], y[test], task, arguments.normalize or "standard", classes)


def _scale(x: Array, train: Array, how: str) -> Any:
    """Inputs as the net sees them, by what the training rows say."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        scaled = _scaled_by(np.asarray(x, dtype=np.float64), train, how)
    if not np.isfinite(scaled).all():
        given = np.isfinite(x).all() and np.isfinite(train).all()
        raise UserError(
            "the inputs: expected finite numbers, received some that are "
            + (
                "too far apart to be scaled. Pass --normalize none."
                if given
                else "not finite. Remove their rows."
            )
        )
    return scaled


def _scaled_by(x: Array, train: Array, how: str) -> Any:
    if how == "max":
        return x / (np.abs(train).max() or 1.0)
    if how == "l2":
        return utils.normalize(x, axis=1)
    if how == "standard":
        spread = np.std(train, axis=0)
        spread[np.isinf(spread)] = (
            np.nan
        )  # values whose squares are too large; not all the same, as it would seem
        return (x - np.mean(train, axis=0)) / np.where(spread == 0, 1.0, spread)
    return x


def scaled(table: Table) -> Table:
    """The table with its inputs as the net sees them."""
    train = np.asarray(table.x, np.float64)
    if table.task == "classification" and (table.y.min() < 0 or table.y.dtype.kind == "f"):
        raise UserError(
            "the target: expected labels 0, 1, 2, ... for a classification. Use --task regression for values."
        )
    return table._replace(
        x=_scale(table.x, train, table.scaling), x_test=_scale(table.x_test, train, table.scaling)
    )
