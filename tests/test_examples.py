"""The scripts of examples/ run as they stand; only the number of epochs is cut."""

from __future__ import annotations

import functools
import runpy
from pathlib import Path
from typing import Any

import pytest

import nnfast as nn

from .published import needs
from .tolerances import WINE_LOSS_ATOL, WINE_RMSE_ATOL

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run an example with at most so many epochs; its names at the end."""
    pytest.importorskip("matplotlib").use("Agg")
    import matplotlib.pyplot as plt

    def run(name: str, epochs: int) -> dict[str, Any]:
        real = nn.Sequential.fit

        @functools.wraps(real)
        def fit(*args: Any, **kwargs: Any) -> Any:
            return real(*args, **(kwargs | {"epochs": min(epochs, kwargs["epochs"])}))

        monkeypatch.setattr(nn.Sequential, "fit", fit)
        monkeypatch.chdir(tmp_path)
        try:
            return runpy.run_path(str(EXAMPLES / name))
        finally:
            plt.close("all")

    return run


def test_quickstart(run: Any) -> None:
    run("quickstart.py", 1)


@needs("mnist")
def test_thesis_listing_mnist(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    names = run("thesis_listing_mnist.py", 2)
    assert len(names["time_callback"].times) == 2
    assert [weight.shape for weight in names["model"].get_weights()] == [(784, 128), (128,), (128, 10), (10,)]
    assert names["mdl"].history["accuracy"][-1] > 0.85
    assert names["val_acc"] > 0.85
    out = capsys.readouterr().out
    assert "Number of Epochs: 2, Training loss: 0." in out
    assert "Evaluation loss: 0." in out


@needs("wine-quality")
def test_thesis_listing_wine(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """In full: figures 16 and 17."""
    pytest.importorskip("pandas")
    pytest.importorskip("sklearn")
    names = run("thesis_listing_wine.py", 1000)
    assert names["x_train"].shape == (3673, 11)
    epochs = len(names["mdl"].history["loss"])
    assert len(names["time_callback"].times) == epochs < 1000
    assert abs(names["mdl"].history["loss"][-1] - 0.778) < WINE_LOSS_ATOL
    out = capsys.readouterr().out
    assert f"number of epochs: {epochs}, training time: 0:00:0" in out
    train, test = (float(value) for value in out.splitlines()[-1].strip("()").split(","))
    assert abs(train - 0.880) < WINE_RMSE_ATOL
    assert abs(test - 0.779) < WINE_RMSE_ATOL
