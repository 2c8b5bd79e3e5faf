"""The documentation: its examples run, its links lead somewhere, every public name has a place."""

from __future__ import annotations

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

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
    listed = re.findall(r"- (?:[\w ]+: )?([\w/-]+\.md)", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(str(page.relative_to(DOCS)) for page in PAGES)


def reference() -> str:
    return "".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md"))


def shown(documented: str, name: str, value: object) -> bool:
    """Whether this entry is the object, or a module that has it among its names."""
    module, _, last = documented.rpartition(".")
    if last == name:
        return getattr(importlib.import_module(module), name, None) is value
    try:
        return getattr(importlib.import_module(documented), name, None) is value
    except ModuleNotFoundError:  # a class
        return False


def test_every_public_name_has_a_place() -> None:
    documented = re.findall(r"^::: (nnfast[\w.]*)$", reference(), re.MULTILINE)
    assert len(documented) == len(set(documented))
    for name in nn.__all__:
        value = getattr(nn, name)
        if isinstance(value, ModuleType):
            found = any(f"{one}.".startswith(f"{value.__name__}.") for one in documented)
        else:
            found = any(shown(one, name, value) for one in documented)
        assert found, name


def test_methods_that_a_model_has_from_its_trainer_have_a_place() -> None:
    """They are made by a call, which mkdocstrings, reading the source, cannot see through."""
    own = vars(nn.Sequential).items()
    taken = [
        name for name, value in own if getattr(value, "__wrapped__", value) is vars(nn.Trainer).get(name)
    ]
    assert "fit" in taken
    for name in taken:
        assert f"[{name}][nnfast.Trainer.{name}]" in reference()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_what_scripts_write_is_there(page: Path) -> None:
    """Between the comments, which `put` of docs/from_thesis.py looks for."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(
        r"^<!-- ([\w-]+): made by docs/(\w+\.py) -->\n(.*?)<!-- end of \1 -->$",
        text,
        re.MULTILINE | re.DOTALL,
    )
    assert len(blocks) == text.count(": made by docs/")
    for name, script, content in blocks:
        assert content.strip()
        assert f'"{name}"' in (DOCS / script).read_text(encoding="utf-8")


def test_the_site_can_be_read_without_a_network(tmp_path: Path) -> None:
    for tool in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        pytest.importorskip(tool)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    for page in tmp_path.rglob("*.html"):
        fetched = re.findall(r"<(?:script|link|img)\b[^>]*https?://[^>]*>", page.read_text(encoding="utf-8"))
        assert not fetched, page.name
