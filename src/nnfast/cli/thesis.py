"""`nnfast thesis`."""

from __future__ import annotations

import argparse
import sys

from .. import thesis
from ..callbacks import progress
from .errors import UserError


def run(arguments: argparse.Namespace) -> int:
    """Regenerate the source thesis."""
    try:
        report = thesis.run(
            arguments.out,
            arguments.only,
            arguments.quick,
            verbose=1 if progress.is_open(sys.stderr) and sys.stderr.isatty() else 0,
            tell=_tell,
        )
    except ValueError as error:
        if "Unknown item" not in str(error):
            raise
        raise UserError(f"--only: {error}") from None
    verdict = "everything that is compared agrees" if report.agrees else "some values DIFFER"
    print(f"{report.path}: made in {report.seconds:.1f} s; {verdict}")
    return 0 if report.agrees else 1


def _tell(line: str) -> None:
    print(line, flush=True)
