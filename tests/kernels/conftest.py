"""Every test here that asks for `isa` runs once on each instruction set of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import pytest

from nnfast import _core

T = TypeVar("T")

WITH_FMA = [name for name in _core.available_instruction_sets() if name != "baseline"]


@pytest.fixture(params=_core.available_instruction_sets())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    before = _core.instruction_set()
    _core.set_instruction_set(request.param)
    yield request.param
    _core.set_instruction_set(before)


@pytest.fixture
def on_each_set() -> Iterator[Callable[[Callable[[], T]], list[T]]]:
    """Calls a function on every instruction set with FMA and returns the results: they must be the same bits."""
    before = _core.instruction_set()

    def run(function: Callable[[], T]) -> list[T]:
        results = []
        for name in WITH_FMA:
            _core.set_instruction_set(name)
            results.append(function())
        return results

    yield run
    _core.set_instruction_set(before)


@pytest.fixture
def set_paths() -> Iterator[Callable[[str], None]]:
    """Turns fast paths off; afterwards all are on that the environment does not turn off."""
    yield _core.set_paths
    _core.set_paths(os.environ.get("NNFAST_PATHS", ""))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261123)
