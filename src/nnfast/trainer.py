"""The fit loop on its own, under its public name; it lives in `training`."""

from __future__ import annotations

from .training import Trainer

__all__ = ["Trainer"]
