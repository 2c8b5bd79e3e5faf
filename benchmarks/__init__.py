"""Benchmarks: `pytest benchmarks/` for single rows, `python -m benchmarks.report` for the table of the README."""
