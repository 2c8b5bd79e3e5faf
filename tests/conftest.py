"""What holds for all tests: they take nothing from outside the clone by accident, and what they skip is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nnfast import _core
from nnfast.datasets import fetch

from .published import DATA_DIR

CLOSED = "http://127.0.0.1:9/"
"""A server that refuses at once."""


@pytest.fixture(scope="session", autouse=True)
def nothing_from_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Data sets come from NNFAST_DATA_DIR or not at all: neither from the user's cache nor from a publisher."""
    empty: Path = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        if DATA_DIR:  # absolute, as tests change the current folder
            patch.setenv(fetch.DATA_DIR_VARIABLE, str(DATA_DIR))
        patch.setattr(fetch, "cache_dir", lambda: empty)
        for dataset in fetch.PUBLISHERS:
            patch.setitem(fetch.PUBLISHERS, dataset, (CLOSED,))
        yield


@pytest.fixture
def use_threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of threads; afterwards it is what it was."""
    before = _core.num_threads()
    yield _core.set_num_threads
    _core.set_num_threads(before)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many tests were skipped, by reason."""
    reports = terminalreporter.stats.get("skipped", [])
    reasons = Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in reports)
    if reasons:
        terminalreporter.section(f"{reasons.total()} skipped")
        for reason, count in reasons.most_common():
            terminalreporter.line(f"{count:5}  {reason}")
