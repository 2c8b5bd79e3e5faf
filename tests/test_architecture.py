"""The shape of the package: imports go one way, and no file is longer than one can keep in mind.

Every import counts, those within functions and under TYPE_CHECKING too. A layer of a model adds ops, so that `graph`
lies below `layers`; `network` is structure and weights, on which training works, and `models` what a user holds.
`files.paths` knows of paths and bytes only, and lies below the callbacks that write files.
"""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import nnfast

PACKAGE = Path(nnfast.__file__).parent
LONGEST = 500

ORDER = (
    (
        "version",
        "scope",
        "names",
        "arguments",
        "attributes",
        "errors",
        "unbuilt",
        "graph",
        "seeds",
        "_core",
        "threads",
        "files.paths",
    ),
    ("data", "kernels"),
    ("reference",),
    ("activations", "losses", "metrics", "optimizers", "initializers"),
    ("layers", "ops"),
    ("backend",),
    ("callbacks",),
    ("network", "older"),
    ("training",),
    ("files",),
    ("models",),
    ("saving", "trainer", "descent", "datasets", "info"),
    ("compare",),
    ("plot",),
    ("utils",),
    ("compat", "wrappers"),
    ("thesis",),
    ("",),  # the package itself, which knows all names
    ("cli", "__main__"),
)
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(("nnfast", *(part for part in parts if part != "__init__")))


FILES = {module_of(path): path for path in sorted([*PACKAGE.rglob("*.py"), PACKAGE / "_core.pyi"])}


def imports(module: str) -> Iterator[str]:
    """The modules of nnfast that a module imports, anywhere in its source."""
    path = FILES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] == "nnfast")
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")
            base = above[: len(above) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            if source.partition(".")[0] == "nnfast":
                inner = (f"{source}.{alias.name}" for alias in node.names)
                yield from (name if name in FILES else source for name in inner)


GRAPH = {module: {name for name in imports(module) if name != module} for module in FILES}


def level(module: str) -> int:
    own = module.partition(".")[2]
    return LEVEL[own if own in LEVEL else own.partition(".")[0]]


def test_the_source_is_seen() -> None:
    assert "nnfast.layers" in GRAPH["nnfast.network"]
    assert "nnfast.callbacks" in GRAPH["nnfast.network"]  # under TYPE_CHECKING
    assert "nnfast.files.saving" in GRAPH["nnfast.models"]  # within a function


def test_no_circle() -> None:
    tuple(graphlib.TopologicalSorter(GRAPH).static_order())


@pytest.mark.parametrize("module", FILES)
def test_no_arrow_upward(module: str) -> None:
    assert [name for name in GRAPH[module] if level(name) > level(module)] == []


def test_no_file_is_too_long() -> None:
    sources = [path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".pyi", ".pyx", ".pxi"}]
    assert len(sources) >= len(FILES)
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in sources}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}
