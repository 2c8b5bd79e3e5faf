"""A mistake that one line can explain."""

from __future__ import annotations


class UserError(Exception):
    """A mistake that one line can explain."""
