"""What one item of the report is: what the thesis says, what nnfast finds, and whether the two agree."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..plot.style import require_matplotlib


@dataclass(frozen=True)
class Row:
    """One comparison. `printed` and `computed` are numbers or words; `within` says how far apart numbers may be, None that nothing is asked."""

    what: str
    printed: Any
    computed: Any
    within: float | None = None
    note: str = ""

    @property
    def difference(self) -> float | None:
        """computed - printed, of numbers."""
        if isinstance(self.printed, int | float) and isinstance(self.computed, int | float):
            return float(self.computed) - float(self.printed)
        return None

    @property
    def agrees(self) -> bool:
        """Whether what is asked holds."""
        if self.within is None:
            return True
        if self.difference is None:
            return bool(self.printed == self.computed)
        return abs(self.difference) <= self.within


@dataclass
class Findings:
    """What making an item gives."""

    rows: list[Row] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    """Name -> matplotlib figure."""
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Name -> rows of a table with everything in it, for CSV and JSON."""
    notes: list[str] = field(default_factory=list)

    def check(
        self, what: str, printed: Any, computed: Any, within: float | None = 0.0, note: str = ""
    ) -> None:
        """Add a row."""
        self.rows.append(Row(what, printed, computed, within, note))


@dataclass(frozen=True)
class Item:
    """One entry of the source."""

    id: str
    title: str
    says: str
    """What the thesis says, in a sentence or two."""
    make: Callable[[Any], Findings]


@dataclass
class Made:
    """An item that has been made."""

    item: Item
    findings: Findings
    seconds: float

    @property
    def agrees(self) -> bool:
        return all(row.agrees for row in self.findings.rows)


def make(item: Item, laboratory: Any) -> Made:
    """Make one item, and time it."""
    begin = time.perf_counter()
    findings = item.make(laboratory)
    for figure in findings.figures.values():
        require_matplotlib().close(figure)  # pyplot need not keep it; it can be written all the same
    return Made(item, findings, time.perf_counter() - begin)


def total(values: Sequence[float]) -> str:
    """Seconds as h:mm:ss, or as seconds where they are few."""
    seconds = sum(values)
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02} min"
