"""`nnfast predict`."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from .. import utils
from ..files import archives
from ..models import load_model
from .errors import UserError
from .notes import notes_path, read_notes, shifted
from .tables import numbers, read_csv


def run(arguments: argparse.Namespace) -> int:
    """Print the predictions of a saved model."""
    model = load_model(arguments.model)
    notes = read_notes(notes_path(arguments.model), model.output_shape[-1])
    path = Path(arguments.file)
    if path.suffix == ".csv":
        header, rows = read_csv(path)
        x = numbers(path, header, rows, [c for c, name in enumerate(header) if name != notes["target"]])
    elif path.suffix in {".npz", ".npy"}:
        x = archives.read_npz(path, ("x",))[0] if path.suffix == ".npz" else archives.read_npy(path)
    else:
        raise UserError(f"file: expected .csv, .npz or .npy, received {arguments.file!r}")
    if notes["scaling"] == "l2":
        x = utils.normalize(x, axis=1)
    elif notes["scaling"] != "none":
        x = shifted(np.asarray(x, np.float64), notes)
    outputs = model.predict(x, verbose=0)
    if notes["task"] == "classification":
        labels = notes["classes"] or range(outputs.shape[1])
        for label in outputs.argmax(axis=1):
            print(labels[label])
    else:
        for row in outputs:
            print(",".join(f"{value:.6g}" for value in row))
    return 0
