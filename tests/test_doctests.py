"""The examples in the docstrings of the installed package run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import nnfast

MODULES = ["nnfast", *(found.name for found in pkgutil.walk_packages(nnfast.__path__, "nnfast."))]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)
