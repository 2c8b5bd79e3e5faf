"""NumPy is set up before anything imports it."""

from . import environment  # noqa: F401
