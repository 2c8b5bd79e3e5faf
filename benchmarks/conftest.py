"""NumPy is set up before anything imports it."""

from . import environment

environment.free_openblas()
