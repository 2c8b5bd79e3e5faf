"""What a grid of runs gives: its records as tables, and what an interrupted one has."""

from __future__ import annotations

import csv
import io
import json
import math
from os import PathLike
from typing import Any

from ..files import paths
from .journal import Record


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
    >>> from nnfast.compare import grid
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


class GridInterrupted(KeyboardInterrupt):
    """Ctrl-C in a grid of runs (`compare.grid`).

    Parameters
    ----------
    result : Comparison
        The runs that were finished.
    path : str or path, optional
        The file that has them too.
    """

    def __init__(self, result: Comparison, path: str | PathLike[str] | None) -> None:
        super().__init__(result, path)
        self.result = result
        self.path = path

    def __str__(self) -> str:
        kept = "in the `result` of this exception"
        if self.path is not None:
            kept = f"in {self.path}: the same call goes on from there"
        return f"{len(self.result)} of {self.result.cells} runs are finished; they are {kept}."
