"""`utils.plot_model` writes the file that it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

import nnfast as nn

pytest.importorskip("matplotlib")


@pytest.mark.parametrize("name", ["model.png", "model.svg"])
def test_plot_model(tmp_path: Path, name: str) -> None:
    model = nn.Sequential([nn.layers.Input((3,)), nn.layers.Dense(2)], seed=0)
    nn.utils.plot_model(model, to_file=tmp_path / name, show_shapes=True, rankdir="LR")
    assert (tmp_path / name).stat().st_size > 1000
