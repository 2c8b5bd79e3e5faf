"""The command `nnfast`: run, train, compare, predict, thesis, info.

Mistakes of a user end in one line on standard error and exit code 2, Ctrl-C in 130; a traceback is a bug of nnfast.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..names import shortened
from .errors import UserError
from .parser import parser

__all__ = ["main"]

LONGEST_MESSAGE = 2000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["run"]:  # what follows is the script's, and its errors are its own
        from .run import run

        return run(given[1:])
    parsed = parser().parse_args(given)
    if getattr(parsed, "verbose", "auto") != "auto":
        parsed.verbose = int(parsed.verbose)
    try:
        return int(parsed.run(parsed))
    except KeyboardInterrupt as error:
        print("\nnnfast: interrupted" + (f". {error}" if str(error) else ""), file=sys.stderr)
        return 130
    except (UserError, ValueError, TypeError, OSError, ImportError, ArithmeticError, MemoryError) as error:
        message = shortened(" ".join(str(error).split()) or type(error).__name__, LONGEST_MESSAGE)
        print(f"nnfast: {message}", file=sys.stderr)
        return 2
