"""The version, which nothing needs the engine to know."""

__version__ = "0.1.0"
