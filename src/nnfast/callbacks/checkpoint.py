"""Callbacks that write model files while a model is trained: checkpoints, and a backup to go on from.

What is in a file is in `files.saving`; every file is whole or not there.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from os import PathLike
from pathlib import Path

import numpy as np

from ..files import paths
from .base import Callback, Logs
from .monitor import Monitor, checked_number


class ModelCheckpoint(Monitor):
    """Saves the model after each epoch, or after so many batches.

    Parameters
    ----------
    filepath : str or path
        A safetensors file. It may have places for "epoch" (from 1), "batch" (from 1, where batches are counted)
        and the values of the logs: "best-{epoch:02d}-{val_loss:.2f}.safetensors". Folders are made.
    monitor : str, default "val_loss"
    verbose : int, default 0
        1 says when it acts.
    save_best_only : bool, default False
        Only where `monitor` is better than it ever was. Where it is missing, that warns and the model is saved.
    save_weights_only : bool, default False
        Both forms have the weights and the state of the optimizer, and both can be loaded as model and as weights.
    mode : {"auto", "min", "max"}, default "auto"
        As in `EarlyStopping`.
    save_freq : "epoch" or int, default "epoch"
        A number: of batches, which are counted over the epochs.
    initial_value_threshold : float, optional
        What has to be beaten at first.

    Raises
    ------
    TypeError, ValueError
        The path is none, or ends in .keras, .h5 or the suffix of another format; `save_freq` is neither.

    Examples
    --------
    >>> best = ModelCheckpoint("best.safetensors", save_best_only=True)
    """

    filepath: str
    verbose: int
    save_best_only: bool
    save_weights_only: bool
    save_freq: str | int

    def __init__(
        self,
        filepath: str | PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, 0)
        if not isinstance(filepath, str | PathLike) or not os.fspath(filepath):
            raise TypeError(f"filepath must be a str or a path, got {filepath!r}.")
        paths.check_suffix(filepath)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = _checked_frequency(save_freq)
        if initial_value_threshold is not None:
            self.best = checked_number("initial_value_threshold", initial_value_threshold, -math.inf)
        self._batches = _Batches()
        self._epoch = 0
        if save_freq != "epoch":
            self.on_train_batch_end = self._on_batch  # type: ignore[method-assign]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        path = Path(self.filepath)
        if "{" not in str(path.parent):
            paths.make_folder(path.parent, "filepath")
            if "{" not in path.name:
                paths.require_writable(path, "filepath")

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def _on_batch(self, batch: int, logs: Logs | None = None) -> None:
        if self._batches.reached(batch, self.save_freq):
            self._save(self._epoch, {"batch": batch + 1, **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_best_only:
            self._direction()
        if self.save_freq == "epoch":
            self._save(epoch, dict(logs or {}))

    def _save(self, epoch: int, logs: Logs) -> None:
        path = self._path(epoch, logs)
        if not self._is_due(epoch, logs, path):
            return
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        self._say(epoch, f"finished saving model to {path}")

    def _path(self, epoch: int, logs: Logs) -> str:
        values = {"epoch": epoch + 1, **logs}
        try:
            return self.filepath.format(**values)
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(
                f"filepath {self.filepath!r} cannot be filled in ({type(error).__name__}: {error}). "
                f"It may have places for {', '.join(values)}."
            ) from None

    def _is_due(self, epoch: int, logs: Logs, path: str) -> bool:
        if not self.save_best_only:
            self._say(epoch, f"saving model to {path}")
            return True
        value = self._value(logs)
        if value is None:
            return True
        best = "None" if self.best is None else f"{self.best:.5f}"
        if not self._improves(value, self.best):
            self._say(epoch, f"{self.monitor} did not improve from {best}")
            return False
        self._say(epoch, f"{self.monitor} improved from {best} to {value:.5f}, saving model to {path}")
        self.best = value
        return True

    def _say(self, epoch: int, text: str) -> None:
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: {text}")


class BackupAndRestore(Callback):
    """Keeps the last state of a fit in a folder, from which the same fit goes on after it was interrupted: with the
    weights, the state of the optimizer, the epoch, and the place in the random stream.

    Parameters
    ----------
    backup_dir : str or path
        A folder of its own for this fit; made where there is none.
    save_freq : "epoch" or int, default "epoch"
        A number: of batches. A fit that was interrupted within an epoch begins that epoch anew, with the weights
        that it had reached.
    double_checkpoint : bool, default False
        Without effect: a backup takes the place of the one before only when it is whole.
    delete_checkpoint : bool, default True
        The backup is removed when the fit ends well.

    Raises
    ------
    TypeError, ValueError
        `backup_dir` is empty or no path; `save_freq` is neither.
    """

    backup_dir: str
    save_freq: str | int
    double_checkpoint: bool
    delete_checkpoint: bool
    resumes_at: int
    """Epoch in which the fit goes on; 0 where there was no backup."""

    def __init__(
        self,
        backup_dir: str | PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        if not isinstance(backup_dir, str | PathLike):
            raise TypeError(f"backup_dir must be a str or a path, got {backup_dir!r}.")
        if not os.fspath(backup_dir):
            raise ValueError("backup_dir must name a folder, got an empty name.")
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq = _checked_frequency(save_freq)
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self.resumes_at = 0
        self._batches = _Batches()
        self._epoch = 0
        if save_freq != "epoch":
            self.on_train_batch_end = self._on_batch  # type: ignore[method-assign]

    @property
    def _notes(self) -> Path:
        return Path(self.backup_dir, "training_metadata.json")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        folder = paths.make_folder(self.backup_dir, "backup_dir")
        self.resumes_at = 0
        if self._notes.exists():
            notes = json.loads(paths.read_file(self._notes, 1 << 16))
            self.model.load_weights(folder / str(notes["weights"]))
            self.model.trainer.set_state(notes["state"])
            self.resumes_at = int(notes["epoch"])
        self._epoch = self.resumes_at

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def _on_batch(self, batch: int, logs: Logs | None = None) -> None:
        if self._batches.reached(batch, self.save_freq):
            self._save(self._epoch)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch + 1)

    def _save(self, epoch: int) -> None:
        trainer = self.model.trainer
        name = f"update-{trainer.iterations}.safetensors"
        self.model.save_weights(Path(self.backup_dir, name))
        notes = {"epoch": epoch, "weights": name, "state": trainer.state()}
        paths.write_file(self._notes, json.dumps(notes).encode())
        self._remove(but=name)

    def _remove(self, but: str = "") -> None:
        for file in Path(self.backup_dir).glob("update-*.safetensors"):
            if file.name != but:
                file.unlink(missing_ok=True)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.delete_checkpoint:
            self._notes.unlink(missing_ok=True)
            self._remove()
            with contextlib.suppress(OSError):  # a folder that has other files stays
                Path(self.backup_dir).rmdir()


class _Batches:
    """Counts batches over the epochs, as Keras does."""

    def __init__(self) -> None:
        self.seen = 0

    def reached(self, batch: int, every: str | int) -> bool:
        self.seen += 1
        if every == "epoch" or self.seen < int(every):
            return False
        self.seen = 0
        return True


def _checked_frequency(save_freq: object) -> str | int:
    if save_freq == "epoch":
        return "epoch"
    if isinstance(save_freq, bool) or not isinstance(save_freq, int | np.integer) or save_freq < 1:
        raise ValueError(f"save_freq must be 'epoch' or a whole number of batches > 0, got {save_freq!r}.")
    return int(save_freq)
