"""Grids of runs: optimizers x batch sizes x whatever else, over one model and one data set."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from typing import Any

from numpy.typing import ArrayLike

from ..callbacks import progress
from ..errors import DeadUnits, warn
from ..models import Sequential
from ..threads import get_num_threads
from ..training.counts import check_count
from . import journal
from .display import Display
from .journal import Journal, Record
from .plan import Cell, plan_of
from .results import Comparison, GridInterrupted
from .runs import run_all


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
    seeds = [check_count("seed", seed, 0) + repeat for repeat in range(check_count("repeats", repeats, 1))]
    plan = plan_of(
        build, x, y, optimizers, batch_sizes, epochs, seeds, loss, metrics, rows, validation_data, test_data,
        parameters,
    )  # fmt: skip
    jobs = get_num_threads() if jobs is None else check_count("jobs", jobs, 1)
    done: dict[int, Record] = {}
    with contextlib.ExitStack() as stack:
        kept = None
        if path is not None:
            kept = Journal(path, plan.identity(), plan.header(), plan.check)
            stack.enter_context(contextlib.closing(kept))
            done |= kept.records
        todo = sorted((cell for cell in plan.cells if cell.number not in done), key=lambda cell: -cell.work)
        display = stack.enter_context(contextlib.closing(Display(shown, plan.cells, done)))

        def finish(cell: Cell, record: Record) -> None:
            if cell.number not in done:
                if kept is not None:
                    kept.add(cell.number, record)
                done[cell.number] = record
                display.finished(cell, record)

        try:
            run_all(todo, jobs, plan, finish, display)
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
        warn(DeadUnits(names, f"{len(dead)} of {len(records)} runs", seeds))
