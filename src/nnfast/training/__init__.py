"""Training: what `compile` makes, the fit loop, and whether it still works."""

from __future__ import annotations

from .trainer import Trainer

__all__ = ["Trainer"]
