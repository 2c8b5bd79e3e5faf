"""Fashion-MNIST: 70,000 pictures of clothes, 28 x 28 pixels, in the format of MNIST.

Xiao, Rasul and Vollgraf, 2017, arXiv:1708.07747; MIT licence.
"""

from __future__ import annotations

from . import fetch, idx


def load_data(*, data_dir: fetch.Folder | None = None) -> idx.Splits:
    """Load Fashion-MNIST, from where it lies or from its publisher.

    Looked for in `data_dir`, in the folder named by the environment variable NNFAST_DATA_DIR, in the user's
    cache; then downloaded into the cache (needs the extra `data`). Only the published bytes are accepted
    (sha256 after decompression).

    Parameters
    ----------
    data_dir : path, optional
        A folder with train-images-idx3-ubyte.gz and the other three, packed or not, in it or in
        `fashion-mnist/`. MNIST's files of the same names are passed over.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        uint8: x_train (60000, 28, 28), y_train (60000,), x_test (10000, 28, 28), y_test (10000,). Labels:
        0 T-shirt or top, 1 trousers, 2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt, 7 sneaker, 8 bag,
        9 ankle boot.

    Raises
    ------
    ValueError
        A file in `data_dir` or NNFAST_DATA_DIR is not the published one.
    FileNotFoundError
        It is nowhere to be had; the message lists every place tried and what to do.

    Examples
    --------
    >>> (x, y), (x_test, y_test) = load_data()  # doctest: +SKIP
    >>> x.shape, x_test.shape  # doctest: +SKIP
    ((60000, 28, 28), (10000, 28, 28))
    """
    return idx.splits(fetch.load("fashion-mnist", data_dir))
