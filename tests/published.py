"""The published data sets that some tests train on: where they lie, and the mark that skips a test without them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nnfast.datasets import fetch

_FOLDER = os.environ.get(fetch.DATA_DIR_VARIABLE)
DATA_DIR = Path(_FOLDER).expanduser().resolve() if _FOLDER else None
"""The folder with the data, absolute because tests change the current one; None where the variable is not set, or empty."""


def files_of(dataset: str) -> list[Path]:
    """The files of a data set in `DATA_DIR`; empty unless all are there."""
    if DATA_DIR is None:
        return []
    found = [next(fetch.candidates(DATA_DIR, dataset, name), None) for name in fetch.FILES[dataset]]
    return [] if None in found else [path for path in found if path]


def needs(*datasets: str) -> pytest.MarkDecorator:
    """Skip a test where `DATA_DIR` lacks one of the data sets."""
    missing = [dataset for dataset in datasets if not files_of(dataset)]
    reason = f"{fetch.DATA_DIR_VARIABLE} names no folder with {' and '.join(missing)}"
    return pytest.mark.skipif(bool(missing), reason=reason)
