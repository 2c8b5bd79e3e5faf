"""Draws the descents of the page on optimizers that are not figures of the thesis; `make pictures` runs it. The same bytes each time."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

from nnfast import plot
from nnfast.descent import Descent, minimize

PICTURES = Path(__file__).parent / "img"
FIGURE_1 = np.poly1d([0.000017, -0.001133, 0.029241, -0.36691, 2.234115, -5.510020, 4.722197])
"""The function of Fig. 1 of the thesis."""

EVERYTHING, FIRST_MINIMUM = (-1.0, 24.0), (-0.5, 5.5)


def descend(method: str = "gd", rate: float | None = None, **settings: object) -> Descent:
    return minimize(FIGURE_1, 0.0, FIGURE_1.deriv(), method, rate, **settings)  # type: ignore[arg-type]


def main() -> None:
    # Text as text keeps a picture small; no date and a fixed salt keep its bytes.
    mpl.use("Agg")
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "nnfast", "font.family": "sans-serif"})
    for name, span, descents in (
        ("line-search", EVERYTHING, {
            "rate 0.1": descend(rate=0.1),
            "exact": descend(line_search="exact"),
            "Armijo from 8": descend(rate=8.0, line_search="armijo"),
        }),
        ("nesterov", FIRST_MINIMUM, {
            "momentum 0.9": descend("momentum", 0.1, momentum=0.9),
            "Nesterov 0.9": descend("nesterov", 0.1, momentum=0.9),
        }),
        ("rmsprop", EVERYTHING, {
            "rate 0.1": descend("rmsprop", 0.1),
            "rate 1": descend("rmsprop", 1.0),
            "rate 5": descend("rmsprop", 5.0, max_iter=40),
        }),
    ):  # fmt: skip
        figure = plot.descent(descents, FIGURE_1, spans=span)
        figure.savefig(PICTURES / f"{name}.svg", metadata={"Date": None})
        plt.close(figure)


if __name__ == "__main__":
    main()
