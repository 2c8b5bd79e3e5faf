"""The documentation: its examples run, its links lead somewhere, every public name has a place."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

import nnfast as nn

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="the pages are not in this copy of the tree")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=named)
def test_examples(page: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    code = "".join(block for block in blocks if ">>>" in block)
    test = doctest.DocTestParser().get_doctest(code, {}, named(page), str(page), 0)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    said: list[str] = []
    assert runner.run(test, out=said.append).failed == 0, "".join(said)


def test_the_pages_to_learn_from_have_examples() -> None:
    for name in ("backpropagation", "optimizers", "dying-relus"):
        assert ">>>" in (DOCS / "learn" / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_navigation() -> None:
    listed = re.findall(r"- ([\w/-]+\.md)", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert sorted(listed) == [str(page.relative_to(DOCS)) for page in PAGES]


def test_every_module_has_a_place() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md"))
    modules = set(re.findall(r"::: (nnfast[\w.]*)", text))
    for name in nn.__all__:
        value = getattr(nn, name)
        home = (
            value.__name__ if hasattr(value, "__path__") or hasattr(value, "__spec__") else value.__module__
        )
        assert any(module == home or module.startswith(f"{home}.") for module in modules), (name, home)
