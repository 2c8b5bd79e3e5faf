"""Files, memory and processes that mean harm: an error that says why, or success; never a crash, a hang or a lie.

The short forms run with the suite; `make attack-files` (NNFAST_LONG=1) runs the long ones.
"""

from __future__ import annotations

import io
import json
import os
import random
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
from safetensors.numpy import load, save

import nnfast as nn
from nnfast import saving
from nnfast.errors import ModelFileError

LONG = bool(os.environ.get("NNFAST_LONG"))
LINUX = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory limits are tried on Linux")


# Memory

LIMITED = """
import resource, sys
import nnfast as nn

what, path, extra = sys.argv[1], sys.argv[2], int(sys.argv[3])
if what == "save":
    model = nn.load_model(path)
with open("/proc/self/statm") as file:
    size = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + extra * 2**20, size + extra * 2**20))
try:
    if what == "save":
        model.save(path + ".copy")
    else:
        nn.load_model(path)
except MemoryError:
    print("no memory")
else:
    print("done")
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file of 108 MB."""
    path = tmp_path_factory.mktemp("large") / "model"
    nn.Sequential([nn.layers.Input((5196,)), nn.layers.Dense(5196)], seed=0).save(path)
    assert path.stat().st_size > 108_000_000
    return path


def limited(what: str, path: Path, megabytes: int) -> str:
    process = subprocess.run(
        [sys.executable, "-c", LIMITED, what, str(path), str(megabytes)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


@LINUX
def test_saving_needs_no_copy_of_the_weights(large: Path) -> None:
    for megabytes in range(20, 461, 10) if LONG else (20,):
        assert limited("save", large, megabytes) == "done"
        assert Path(f"{large}.copy").read_bytes() == large.read_bytes()


@LINUX
def test_loading_in_little_memory_ends_in_a_memory_error(large: Path) -> None:
    outcomes = [limited("load", large, megabytes) for megabytes in (range(20, 461, 10) if LONG else (20, 90, 250, 460))]
    assert set(outcomes) == {"no memory", "done"}
    assert outcomes == sorted(outcomes, reverse=True)  # once there is enough, there is
    assert outcomes[-1] == "done"
