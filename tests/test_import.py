"""`import nnfast` where the engine is not built, or built for another Python, says so and what to do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import nnfast

PACKAGE = Path(nnfast.__file__).parent
ANOTHER = "_core.cpython-27-x86_64-linux-gnu.so"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """The package as it lies in a clone, without an engine."""
    compiled = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    return shutil.copytree(PACKAGE, tmp_path / "src" / "nnfast", ignore=compiled)


@pytest.mark.parametrize(
    "code", ["import nnfast", "from nnfast import kernels", "import nnfast.datasets.digits"]
)
def test_sources_without_an_engine(sources: Path, code: str) -> None:
    """With the sources' folder as the current one, which comes first on the path."""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=sources.parent, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    error = run.stderr.splitlines()[-1]
    assert error.startswith(
        f"ImportError: nnfast: the compiled engine is missing: {sources} has only its source"
    )
    assert "-m pip install ." in error
    assert "circular" not in run.stderr


def test_engine_of_another_python(sources: Path) -> None:
    (sources / ANOTHER).touch()
    run = subprocess.run(
        [sys.executable, "-c", "import nnfast"],
        cwd=sources.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"has only {ANOTHER}, built for another Python, and this is Python 3." in run.stderr
    assert "-m pip install ." in run.stderr


def test_an_engine_that_is_there_and_fails_keeps_its_own_error(sources: Path) -> None:
    (sources / "_core.py").write_text("raise ImportError('no such symbol')\n", encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-c", "import nnfast"],
        cwd=sources.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stderr.splitlines()[-1] == "ImportError: no such symbol"
