"""Model files: a model to disk, and back.

`save_model(model, path)` is `model.save(path)`. What is in a file is in `files.saving`.
"""

from __future__ import annotations

from .files.saving import save_model
from .models import load_model

__all__ = ["load_model", "save_model"]
