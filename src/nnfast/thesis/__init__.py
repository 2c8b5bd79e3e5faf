"""The source thesis, live: every algorithm, example, figure and table, computed by nnfast and laid beside what is printed.

`items` says what there is, `run` makes it and writes the report; `nnfast thesis` is `run` on the command line. What belongs to an item is in `theory`
(sections 2 and 4.1) and `experiments` (3 and 4.2); how it is written down in `report`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from ..files.paths import make_folder
from ..names import unknown_name
from ..plot.style import require_matplotlib
from . import experiments, report, theory
from .item import Findings, Item, Made, Row, make

__all__ = ["Findings", "Item", "Made", "Report", "Row", "items", "run"]

ITEMS: dict[str, Item] = {item.id: item for item in (*theory.ITEMS, *experiments.ITEMS)}


class Report(NamedTuple):
    """What `run` returns: the items as made, where the report is, and the seconds it took."""

    made: list[Made]
    path: Path
    seconds: float

    @property
    def agrees(self) -> bool:
        """Whether all values that are compared agree."""
        return all(one.agrees for one in self.made)


def items() -> dict[str, str]:
    """Id and title of each item, in the order of the thesis.

    Examples
    --------
    >>> list(items())[:3]
    ['A1', 'E1', 'N1']
    """
    return {key: item.title for key, item in ITEMS.items()}


def run(
    out: str | PathLike[str] = "thesis",
    only: Iterable[str] | None = None,
    quick: bool = False,
    verbose: int = 0,
    tell: Callable[[str], object] | None = None,
) -> Report:
    """Make the items and write report.html, the pictures as PNG and SVG, the tables as CSV, and report.json.

    Parameters
    ----------
    out : path, default "thesis"
        A folder. The long grids keep their finished runs in it, so that an interrupted call goes on where it was.
    only : iterable of str, optional
        Ids of items, as `items` gives them; by default all.
    quick : bool, default False
        Fewer rows and epochs; nothing that needs the full length is compared.
    verbose : {0, 1, 2}, default 0
        Progress of the grids, as of `fit`.
    tell : callable (str), optional
        Called with a line for each item as it is done.

    Raises
    ------
    ValueError
        An id that is not known.
    ImportError
        Without matplotlib.
    OSError
        `out` cannot be written.
    RuntimeError
        MNIST or wine are neither at hand nor to be had; see `datasets`.
    """
    chosen = list(ITEMS) if only is None else [str(key).upper() for key in only]
    for key in chosen:
        if key not in ITEMS:
            raise unknown_name("item", key, ITEMS)
    require_matplotlib()
    folder = make_folder(out, "out")
    laboratory = experiments.Laboratory(quick, folder, verbose)
    begin = time.perf_counter()
    made = []
    for key, item in ITEMS.items():
        if key not in chosen:
            continue
        one = make(item, laboratory)
        made.append(one)
        if tell is not None:
            wrong = sum(not row.agrees for row in one.findings.rows)
            compared = sum(row.within is not None for row in one.findings.rows)
            tell(
                f"{key:4} {one.seconds:7.2f} s  {'agrees' if not wrong else f'{wrong} DIFFER'} ({compared} values)  {one.item.title}"
            )
            for row in one.findings.rows:
                if not row.agrees:
                    tell(
                        f"     {row.what}: printed {row.printed}, computed {row.computed}, allowed {row.within}"
                    )
    seconds = time.perf_counter() - begin
    return Report(made, report.write(made, folder, quick, seconds), seconds)
