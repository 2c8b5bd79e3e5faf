"""What stands in a file beside a model that was trained on a table, for predictions on others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..files import paths
from ..names import shortened
from .errors import UserError
from .tables import SCALINGS, TASKS, Array

LONGEST_NOTES = 2**28
"""Bytes beside a model; a million inputs take a fifth of that."""


def notes_path(model: str | Path) -> Path:
    """Beside the model: what `predict` must know of the table that it was trained on."""
    return Path(model).with_suffix(".json")


def read_notes(beside: Path, outputs: int | None) -> dict[str, Any]:
    """What the file beside a model of so many outputs says; what it says of a model without one."""
    notes: dict[str, Any] = {"scaling": "none", "classes": None, "target": None, "task": None}
    if not beside.exists():
        return notes
    try:
        found = json.loads(paths.read_file(beside, LONGEST_NOTES))
        if not isinstance(found, dict):
            raise TypeError(f"a {type(found).__name__}")
        notes |= found
        wrong = [
            name
            for name, right in {
                "scaling": notes["scaling"] in SCALINGS,
                "task": notes["task"] in (None, *TASKS),
                "target": isinstance(notes["target"], str | None),
                "classes": notes["classes"] is None or _are_names(notes["classes"], outputs),
            }.items()
            if not right
        ]
        if notes["scaling"] in {"max", "standard"}:
            for name in ("shift", "spread"):
                notes[name] = np.asarray(notes[name], np.float64)
                if not np.isfinite(notes[name]).all() or (name == "spread" and not notes[name].all()):
                    wrong.append(name)
        if wrong:
            raise ValueError(f"another kind of {' and '.join(wrong)}")
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise UserError(
            f"{beside}: expected the notes that `nnfast train --save` wrote, received "
            f"{shortened(str(error), 300)}"
        ) from error
    return notes


def _are_names(classes: Any, outputs: int | None) -> bool:
    """Whether this is a list of names of classes, one or more for each output."""
    strings = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    return strings and outputs is not None and len(classes) >= outputs


def shifted(x: Array, notes: dict[str, Any]) -> Array:
    """Inputs as the net sees them."""
    for name in ("shift", "spread"):
        if notes[name].shape not in {(), x.shape[1:]}:
            raise UserError(
                f"file: expected rows of shape {notes[name].shape}, as the model was trained on, received {x.shape[1:]}"
            )
    shifted: Array = (x - notes["shift"]) / notes["spread"]
    return shifted
