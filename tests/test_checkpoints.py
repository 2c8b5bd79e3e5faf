"""Callbacks that write files: what is in them, when they are written, and that a fit goes on from them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnfast as nn
from nnfast import callbacks, layers, optimizers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(22, 3)).astype(np.float32)
Y = X @ [[1.0], [-2.0], [0.5]]


def make(optimizer: Any = "adam") -> nn.Sequential:
    model = nn.Sequential([layers.Input((3,)), layers.Dense(4, "relu"), layers.Dense(1)], seed=3)
    model.compile(optimizer, "mse")
    return model


def fit(model: nn.Sequential, *chosen: callbacks.Callback, epochs: int = 3, **more: Any) -> callbacks.History:
    return model.fit(X, Y, batch_size=4, epochs=epochs, verbose=0, callbacks=list(chosen), **more)


class Script(callbacks.Callback):
    """Puts the values of "val_loss" into the logs."""

    def __init__(self, *values: float) -> None:
        self.values = values

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["val_loss"] = self.values[epoch]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_each_epoch_under_its_name(tmp_path: Path) -> None:
    path = tmp_path / "new" / "m-{epoch:02d}-{val_loss:.2f}.safetensors"
    model = make()
    fit(model, Script(3, 1, 2), callbacks.ModelCheckpoint(path))
    assert files(path.parent) == ["m-01-3.00.safetensors", "m-02-1.00.safetensors", "m-03-2.00.safetensors"]
    last = nn.load_model(path.parent / "m-03-2.00.safetensors")
    assert np.array_equal(last.predict(X), model.predict(X))


@pytest.mark.parametrize(
    ("values", "settings", "saved"),
    [
        ([3, 1, 2], {}, [1, 2]),
        ([3, 1, 2], {"mode": "max"}, [1]),
        ([3, 1, 2], {"initial_value_threshold": 1.5}, [2]),
        ([3, 1, 2], {"initial_value_threshold": 1}, []),
        ([float("nan"), 1, 2], {}, [2]),
    ],
)
def test_only_the_best(
    tmp_path: Path, values: list[float], settings: dict[str, Any], saved: list[int]
) -> None:
    checkpoint = callbacks.ModelCheckpoint(tmp_path / "{epoch}", save_best_only=True, **settings)
    fit(make(), Script(*values), checkpoint)
    assert files(tmp_path) == list(map(str, saved))


def test_a_missing_value_warns_and_saves(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="monitors 'val_loss', which is not there"):
        fit(make(), callbacks.ModelCheckpoint(tmp_path / "m", save_best_only=True), epochs=1)
    assert files(tmp_path) == ["m"]


def test_batches_are_counted_over_epochs(tmp_path: Path) -> None:
    fit(make(), callbacks.ModelCheckpoint(tmp_path / "{epoch}-{batch}", save_freq=4))  # 6 batches an epoch
    assert files(tmp_path) == ["1-4", "2-2", "2-6", "3-4"]


def test_it_says_what_it_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(
        make(),
        Script(3, 4),
        callbacks.ModelCheckpoint(tmp_path / "m", save_best_only=True, verbose=1),
        epochs=2,
    )
    said = capsys.readouterr().out
    assert f"Epoch 1: val_loss improved from None to 3.00000, saving model to {tmp_path / 'm'}" in said
    assert "Epoch 2: val_loss did not improve from 3.00000" in said


def test_weights_only(tmp_path: Path) -> None:
    model = make()
    fit(model, callbacks.ModelCheckpoint(tmp_path / "w", save_weights_only=True))
    other = make()
    other.load_weights(tmp_path / "w")
    assert other.optimizer.iterations == model.optimizer.iterations == 18
    for each in (model, other):
        each.fit(X, Y, shuffle=False, verbose=0)
    assert np.array_equal(other.predict(X), model.predict(X))


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.weights.h5", "m-{epoch}.hdf5"])
def test_paths_of_other_formats(name: str) -> None:
    with pytest.raises(ValueError, match="a model is saved as a safetensors file"):
        callbacks.ModelCheckpoint(name)


@pytest.mark.parametrize(
    "refused",
    [
        lambda folder: callbacks.ModelCheckpoint(folder),
        lambda folder: callbacks.ModelCheckpoint(folder / "file" / "m"),
        lambda folder: callbacks.BackupAndRestore(folder / "file"),
        lambda folder: callbacks.CSVLogger(folder),
        lambda folder: callbacks.CSVLogger(folder / "none" / "log.csv"),
    ],
)
def test_paths_are_tried_before_training(
    tmp_path: Path, refused: Callable[[Path], callbacks.Callback]
) -> None:
    (tmp_path / "file").touch()
    model = make()
    before = model.get_weights()
    with pytest.raises(OSError, match="cannot be written"):
        fit(model, refused(tmp_path))
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_place_that_the_logs_do_not_fill(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"cannot be filled in \(KeyError: 'val_acc'\)\. It may have .* epoch, loss"
    ):
        fit(make(), callbacks.ModelCheckpoint(tmp_path / "{val_acc}"))


@pytest.mark.parametrize("save_freq", [0, "batch", 2.0, True, None])
@pytest.mark.parametrize("cls", [callbacks.ModelCheckpoint, callbacks.BackupAndRestore])
def test_frequencies(cls: Any, save_freq: object) -> None:
    with pytest.raises(ValueError, match="save_freq must be 'epoch' or a whole number"):
        cls("m", save_freq=save_freq)


class Interrupt(callbacks.Callback):
    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.parametrize("optimizer", [lambda: optimizers.SGD(0.05, momentum=0.9), optimizers.Adam])
def test_a_fit_goes_on_where_it_was_interrupted(tmp_path: Path, optimizer: Any) -> None:
    whole = make(optimizer())
    fit(whole, epochs=6)
    with pytest.raises(KeyboardInterrupt):
        fit(make(optimizer()), callbacks.BackupAndRestore(tmp_path / "b"), Interrupt(4), epochs=6)
    resumed = make(optimizer())
    assert fit(resumed, callbacks.BackupAndRestore(tmp_path / "b"), epochs=6).epoch == [4, 5]
    assert all(np.array_equal(a, b) for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True))
    assert files(tmp_path) == []
    assert fit(
        make(), callbacks.BackupAndRestore(tmp_path / "b", delete_checkpoint=False), epochs=2
    ).epoch == [0, 1]
    assert len(files(tmp_path / "b")) == 2
    assert fit(make(), callbacks.BackupAndRestore(tmp_path / "b"), epochs=2).epoch == []


def test_a_backup_by_batches_begins_the_epoch_anew(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(make(), callbacks.BackupAndRestore(tmp_path, save_freq=4), Interrupt(2), epochs=4)
    model = make()
    assert fit(model, callbacks.BackupAndRestore(tmp_path, save_freq=4), epochs=4).epoch == [1, 2, 3]
    assert model.optimizer.iterations == 12 + 18


def test_what_else_is_in_the_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    fit(make(), callbacks.BackupAndRestore(tmp_path))
    assert files(tmp_path) == ["mine"]


def test_lines_of_the_logs(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    logger = callbacks.CSVLogger(path, separator=";", append=True)
    history = fit(make(), logger, validation_data=(X, Y), validation_freq=2)
    fit(make(), logger, epochs=1)
    rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines(), delimiter=";"))
    assert rows[0] == ["epoch", "loss", "val_loss"]
    assert [row[0] for row in rows[1:]] == ["0", "1", "2", "0"]
    assert [float(row[1]) for row in rows[1:4]] == history.history["loss"]
    assert [row[2] for row in rows[1:]] == ["NA", str(history.history["val_loss"][0]), "NA", "NA"]
    fit(make(), callbacks.CSVLogger(path), epochs=1)
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2


def test_what_is_out_says_so() -> None:
    with pytest.raises(ValueError, match="RemoteMonitor is out"):
        callbacks.RemoteMonitor("http://localhost")
    with pytest.raises(ValueError, match="TensorBoard is out"):
        callbacks.TensorBoard(log_dir="logs")


def test_the_progress_logger_shows_nothing_twice(capsys: pytest.CaptureFixture[str]) -> None:
    fit(make(), callbacks.ProgbarLogger())
    assert capsys.readouterr().out == ""
