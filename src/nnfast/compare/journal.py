"""The file of a grid: JSON lines, the first of which says of which grid the others are the runs.

How it is read, repaired and appended to; what a run is, is in `compare`.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

from ..files import paths
from ..names import shortened

try:
    import fcntl
except ImportError:  # not a system of the POSIX kind: two processes are not kept from one file
    fcntl = None  # type: ignore[assignment]

FORMAT = "nnfast grid"
FORMAT_VERSION = 1
LONGEST_LINE = 2**28
"""Bytes; the history of some million epochs."""

Record: TypeAlias = dict[str, Any]


class Contents(NamedTuple):
    """What a file holds."""

    header: dict[str, Any]
    records: dict[int, Record]
    end: int  # length of what is whole
    missing: bool  # whether the newline of the last whole line is not there
    torn: bool  # whether a run stands in the line of the header


class Journal:
    """The file of a grid, held by this process. A run is there when `add` has returned, whatever happens then.

    Where a crash came in the middle of `add`, the last line is incomplete; it is cut off.

    Parameters
    ----------
    path : str or path
        Made where it is not there.
    identity : dict
        All that the results depend on, part by part; a file with others is refused.
    header : dict
        "axes" and "cells", as `Comparison` has them.
    check : callable (number, record), optional
        ValueError for a record that cannot be of the run of that number.

    Raises
    ------
    ValueError
        Another file, one of another grid, or one that another process has open.
    OSError
        The file cannot be written, or is a folder, a pipe, a device or a socket.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        identity: dict[str, Any],
        header: dict[str, Any],
        check: Callable[[int, Record], None] | None = None,
    ) -> None:
        self.path = Path(path)
        whole = _line({"format": FORMAT, "format_version": FORMAT_VERSION, "identity": identity, **header})
        if not os.path.lexists(os.path.realpath(self.path)):
            paths.require_writable(self.path, "path")
            with contextlib.suppress(FileExistsError):  # another process is to have it
                paths.write_file(self.path, whole, overwrite=False)
        self._open()
        try:
            contents = self._repaired(whole)
            own, found = json.loads(_line(identity)), contents.header["identity"]
            others = [part for part in own if found.get(part) != own[part]]
            if others:
                raise ValueError(
                    f"path: {path} holds the runs of another grid; what differs: {', '.join(others)}. "
                    "Pass another path, or remove the file."
                )
            for number, record in contents.records.items():
                with _naming(self.path, f"run {number}"):
                    if check is not None:
                        check(number, record)
            self.records = contents.records
            self.end = contents.end
            os.ftruncate(self.file, self.end)
            if contents.missing:
                self._append(b"\n")
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        """Open the file and keep other processes from it."""
        while True:
            self.file = paths.open_regular(self.path, os.O_RDWR)
            try:
                if fcntl is not None:
                    fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(self.file), os.stat(self.path)):
                    return
            except BlockingIOError:
                self.close()
                raise ValueError(
                    f"path: {self.path} is in use by another process. Wait for it, or pass another path."
                ) from None
            self.close()  # another process has repaired it meanwhile: that is another file

    def _repaired(self, whole: bytes) -> Contents:
        """What the file holds; it is written anew where its first line was cut, or has a run behind the header."""
        with open(self.file, "rb", closefd=False) as file:
            start = file.read(len(whole))
            begun = start.startswith(_line({"format": FORMAT})[:-2]) and whole.startswith(start)
            if begun and len(start) < len(whole) - 1:
                content = whole  # no run can be lost
            else:
                file.seek(0)
                contents = read(file, self.path)
                lines = [contents.header, *({"run": n, "record": r} for n, r in contents.records.items())]
                content = b"".join(map(_line, lines)) if contents.torn else b""
            if content:
                paths.write_file(self.path, content)
                self.close()
                self._open()
        with open(self.file, "rb", closefd=False) as file:
            file.seek(0)
            return read(file, self.path)

    def close(self) -> None:
        """Leave the file to others."""
        if self.file >= 0:
            os.close(self.file)
        self.file = -1

    def add(self, number: int, record: Record) -> None:
        """Append a run and wait until it is on the disk; all or nothing."""
        self._append(_line({"run": number, "record": record}))
        self.records[number] = record

    def _append(self, line: bytes) -> None:
        try:
            os.lseek(self.file, self.end, os.SEEK_SET)
            paths.write_all(self.file, line)
            os.fsync(self.file)
        except BaseException:
            with contextlib.suppress(OSError):
                os.ftruncate(self.file, self.end)
            raise
        self.end += len(line)


def load(path: str | PathLike[str]) -> Contents:
    """What a file holds.

    Raises
    ------
    ValueError
        Not such a file, or one of another version.
    OSError
        It cannot be read, or is no regular file.
    """
    with os.fdopen(paths.open_regular(path), "rb") as file:
        return read(file, Path(path))


def read(file: BinaryIO, path: Path) -> Contents:
    """The same of an open file. A last line that was cut off is passed over, as is a run that comes twice."""
    with _naming(path, "line 1"):
        line = file.readline(LONGEST_LINE)
        if not line.startswith(b"{"):
            raise ValueError("it does not begin with a brace")
        text = line.decode()
        header, end = json.JSONDecoder().raw_decode(text)
        _check_header(header)
        behind = text[end:].strip()
    contents = Contents(header, {}, len(line), not line.endswith(b"\n"), bool(behind))
    if behind:
        contents = _with_run(contents, behind.encode(), line[-1:], path, 1)
    number = 1
    while line := file.readline(LONGEST_LINE):
        number += 1
        contents = _with_run(contents, line, line[-1:], path, number)
    return contents


def _with_run(contents: Contents, line: bytes, last: bytes, path: Path, number: int) -> Contents:
    whole = last == b"\n"
    if not line.strip():
        return contents._replace(end=contents.end + len(line)) if whole else contents
    with _naming(path, f"line {number}"):
        try:
            run = json.loads(line)
        except ValueError:
            if whole or len(line) == LONGEST_LINE:
                raise
            return contents  # cut off by a crash
        known = contents.records
        cell, record = run["run"], run["record"]
        cells = contents.header["cells"]
        if not _is_count(cell) or cell >= cells:
            raise ValueError(f"run must be a number from 0 to {cells - 1}, got {cell!r}")
        _check_record(record, contents.header["axes"])
        if cell in known and known[cell] != record:
            warnings.warn(
                f"path: {path}, line {number}: run {cell} comes again and is passed over.", stacklevel=4
            )
        known.setdefault(cell, record)
    behind = number > 1
    return contents._replace(end=contents.end + behind * len(line), missing=not whole)


def _check_header(header: Any) -> None:
    if header["format"] != FORMAT:
        raise ValueError("it does not name this format")
    if header["format_version"] != FORMAT_VERSION:
        raise ValueError(f"its format version is {header['format_version']!r}")
    axes = header["axes"]
    if not isinstance(header["identity"], dict) or not isinstance(axes, dict):
        raise TypeError("identity and axes must be objects")
    if not all(isinstance(values, list) and values for values in axes.values()):
        raise TypeError("the values of an axis must be a list")
    if not {"optimizer", "batch_size", "repeat"} <= set(axes):
        raise ValueError("its axes must be optimizer, batch_size, repeat and more")
    if not _is_count(header["cells"]) or not header["cells"]:
        raise ValueError(f"cells must be a whole number > 0, got {header['cells']!r}")


def _check_record(record: Any, axes: Mapping[str, list[Any]]) -> None:
    """ValueError, TypeError or KeyError for what `compare` could not make a table or a picture of."""
    for name, values in axes.items():
        if not any(type(record[name]) is type(value) and record[name] == value for value in values):
            raise ValueError(f"{name} must be one of {values}, got {record[name]!r}")
    for name in ("seed", "rows", "epochs"):
        if not _is_count(record[name]):
            raise ValueError(f"{name} must be a whole number, got {record[name]!r}")
    history, dead = record["history"], record["dead_units"]
    if not isinstance(record["diverged"], bool):
        raise TypeError(f"diverged must be true or false, got {record['diverged']!r}")
    if not isinstance(history, dict) or "loss" not in history or not isinstance(dead, dict):
        raise TypeError("history and dead_units must be objects, and history must have the loss")
    for name, values in history.items():
        if not isinstance(values, list) or len(values) != record["epochs"] or not values:
            raise ValueError(f"the history of {name} must have a value for each of {record['epochs']} epochs")
    rest = [
        value for name, value in record.items() if name not in (*axes, "history", "dead_units", "diverged")
    ]
    numbers = [record[name] for name in history] + rest + list(dead.values())
    for value in (*numbers, *(value for values in history.values() for value in values)):
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise TypeError(f"a number was expected, got {value!r}")
    if not 0 <= record["seconds"] < math.inf:
        raise ValueError(f"seconds must be at least 0, got {record['seconds']!r}")


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**64


@contextlib.contextmanager
def _naming(path: Path, place: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"path: {path} is not a file that compare.grid of this version wrote ({place}: "
            f"{type(error).__name__}: {shortened(str(error))}). Pass another path, or remove the file."
        ) from None


def _line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
