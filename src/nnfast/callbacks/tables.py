"""Callbacks that write the logs of each epoch to a file."""

from __future__ import annotations

import csv
import os
from os import PathLike
from typing import Any, TextIO

from ..files import paths
from .base import Callback, Logs


class CSVLogger(Callback):
    """Writes the logs of each epoch as a line of a CSV file: "epoch", then the values in the order of their names.

    What is missing in an epoch is "NA". Where the first epoch has no validation, there are columns for one.

    Parameters
    ----------
    filename : str or path
    separator : str, default ","
    append : bool, default False
        Go on with a file that there is, without a second header.

    Raises
    ------
    TypeError, ValueError
        The separator is not one character; no path.
    OSError
        At the start of the fit: the file cannot be written.
    """

    filename: str
    separator: str
    append: bool

    def __init__(self, filename: str | PathLike[str], separator: str = ",", append: bool = False) -> None:
        if not isinstance(filename, str | PathLike):
            raise TypeError(f"filename must be a str or a path, got {filename!r}.")
        if not isinstance(separator, str) or len(separator) != 1:
            raise ValueError(f"separator must be one character, got {separator!r}.")
        self.filename = os.fspath(filename)
        self.separator = separator
        self.append = append
        self._file: TextIO | None = None
        self._writer: csv.DictWriter[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        paths.require_writable(self.filename, "filename", in_place=True)
        self.abandon()
        goes_on = self.append and os.path.exists(self.filename) and os.path.getsize(self.filename) > 0
        self._file = open(self.filename, "a" if self.append else "w", newline="", encoding="utf-8")  # noqa: SIM115
        self._needs_header = not goes_on

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        assert self._file is not None
        if self._writer is None:
            keys = sorted(logs)
            if not any(key.startswith("val_") for key in keys):
                keys += [f"val_{key}" for key in keys]
            self._writer = csv.DictWriter(self._file, ["epoch", *keys], delimiter=self.separator)
            if self._needs_header:
                self._writer.writeheader()
        own = [str(key) for key in self._writer.fieldnames]
        row: dict[str, Any] = {key: logs.get(key, "NA") for key in own}
        self._writer.writerow(row | {"epoch": epoch})
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self.abandon()

    def abandon(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = self._writer = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_file": None, "_writer": None}
