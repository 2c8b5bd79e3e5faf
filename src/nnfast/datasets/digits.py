"""Digits: 1,797 handwritten digits of 8 x 8 pixels, part of the package and so always there.

The test set of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998, doi:10.24432/C50P49;
CC BY 4.0), the one that scikit-learn ships; digits.txt beside this file says more.
"""

from __future__ import annotations

import gzip
from importlib.resources import files

import numpy as np

from . import idx


def load_data() -> idx.Splits:
    """Load the digits, a quarter of them held out.

    Of each digit every fourth image, in the order of the file, is for testing. The split is therefore always
    the same and has each digit in the same share, but both parts have the hands of the same 13 writers: it
    measures how well other images of theirs are read, not other people's.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        uint8: x_train (1352, 8, 8) with 0 for paper and 16 for ink, y_train (1352,) with 0 to 9;
        x_test (445, 8, 8), y_test (445,).

    Examples
    --------
    >>> (x, y), (x_test, y_test) = load_data()
    >>> x.shape, y.shape, x_test.shape, y_test.shape
    ((1352, 8, 8), (1352,), (445, 8, 8), (445,))
    >>> print(x[0])
    [[ 0  0  5 13  9  1  0  0]
     [ 0  0 13 15 10 15  5  0]
     [ 0  3 15  2  0 11  8  0]
     [ 0  4 12  0  0  8  8  0]
     [ 0  5  8  0  0  9  8  0]
     [ 0  4 11  0  1 12  7  0]
     [ 0  2 14  5 10 12  0  0]
     [ 0  0  6 13 10  0  0  0]]
    """
    text = gzip.decompress(files(__package__).joinpath("digits.csv.gz").read_bytes()).decode("ascii")
    table = np.loadtxt(text.splitlines(), np.uint8, delimiter=",")
    x, y = table[:, :-1].reshape(-1, 8, 8), table[:, -1].copy()
    test = np.zeros(len(y), np.bool_)
    for digit in range(10):
        test[np.flatnonzero(y == digit)[3::4]] = True
    return (x[~test], y[~test]), (x[test], y[test])
