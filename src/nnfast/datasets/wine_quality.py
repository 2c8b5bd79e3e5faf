"""Wine Quality (white): 4,898 Portuguese wines, 11 measurements each, and the grade that tasters gave them.

Cortez, Cerdeira, Almeida, Matos and Reis, 2009, doi:10.24432/C56S3T; CC BY 4.0.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import fetch

Floats: TypeAlias = NDArray[np.float64]

TRAIN_FRACTION = 0.75


def load_data(*, data_dir: fetch.Folder | None = None) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Load the wines, the first 75 % to train and the rest to test, in the order of the file.

    Looked for in `data_dir`, in the folder named by the environment variable NNFAST_DATA_DIR, in the user's
    cache; then downloaded into the cache (needs the extra `data`). Only the published bytes are accepted
    (sha256 after decompression).

    Parameters
    ----------
    data_dir : path, optional
        A folder with winequality-white.csv, in it or in `wine-quality/`.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        float64: x_train (3673, 11) in the units of the file, y_train (3673,) grades from 3 to 9;
        x_test (1225, 11), y_test (1225,).

    Raises
    ------
    ValueError
        The file in `data_dir` or NNFAST_DATA_DIR is not the published one.
    FileNotFoundError
        It is nowhere to be had; the message lists every place tried and what to do.

    Examples
    --------
    >>> (x, y), (x_test, y_test) = load_data()  # doctest: +SKIP
    >>> x.shape, x_test.shape  # doctest: +SKIP
    ((3673, 11), (1225, 11))
    """
    _, table = load_table(data_dir=data_dir)
    x, y = table[:, :-1].copy(), table[:, -1].copy()
    train = int(TRAIN_FRACTION * len(table))
    return (x[:train], y[:train]), (x[train:], y[train:])


def load_table(*, data_dir: fetch.Folder | None = None) -> tuple[tuple[str, ...], Floats]:
    """Load the whole table with the names of its columns.

    Parameters
    ----------
    data_dir : path, optional
        As for `load_data`, which also says what is raised.

    Returns
    -------
    columns : tuple of 12 str
        "fixed acidity", ..., "alcohol", and last "quality", the grade.
    table : ndarray of float64, (4898, 12)

    Examples
    --------
    >>> columns, table = load_table()  # doctest: +SKIP
    >>> table[0, columns.index("alcohol")]  # doctest: +SKIP
    8.8
    """
    (content,) = fetch.load("wine-quality", data_dir).values()
    header, *rows = content.decode("ascii").splitlines()
    return tuple(header.replace('"', "").split(";")), np.loadtxt(rows, np.float64, delimiter=";")
