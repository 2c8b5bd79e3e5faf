"""`nnfast run`: a Keras script as it is, with nnfast in the place of Keras and TensorFlow.

The script finds what it would find under `python script.py`: its arguments, its folder first on the path, its
own `__main__`, standard input, exit codes, Ctrl-C. A traceback shows its lines only.
"""

from __future__ import annotations

import builtins
import io
import os
import runpy
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path

from ..compat import install

USAGE = "usage: nnfast run SCRIPT [ARGUMENT ...] | -m MODULE [ARGUMENT ...] | -c CODE [ARGUMENT ...] | - [ARGUMENT ...]"

FULL_TRACEBACK = "NNFAST_FULL_TRACEBACK"
"""Set to show nnfast's own lines of a traceback too."""

_PACKAGE = str(Path(__file__).resolve().parents[1])


def run(arguments: Sequence[str]) -> int:
    """Run a script, a module (`-m`), code (`-c`) or standard input (`-`) with the arguments that follow.

    Returns
    -------
    int
        0, or 2 where there is no such script. What the script raises goes through, SystemExit too.
    """
    if arguments and arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    kind, rest = (
        (arguments[0], arguments[1:]) if arguments and arguments[0] in ("-m", "-c") else ("", arguments)
    )
    if not rest or (not kind and rest[0].startswith("-") and rest[0] != "-"):
        print(USAGE, file=sys.stderr)
        return 2
    try:
        work = _work(kind, rest[0], rest[1:])
    except OSError as error:
        print(
            f"nnfast: can't open file {os.path.abspath(rest[0])!r}: [Errno {error.errno}] {error.strerror}",
            file=sys.stderr,
        )
        return 2
    install()
    try:
        work()
    except SystemExit:
        raise
    except BaseException as error:
        _hide_own_lines(error)
        raise
    return 0


def _work(kind: str, what: str, arguments: Sequence[str]) -> Callable[[], object]:
    """What is to be done, once the arguments and the path are as Python would have them."""
    if kind == "-m":
        _begin([what, *arguments], os.getcwd())
        return lambda: runpy.run_module(what, run_name="__main__", alter_sys=True)
    if kind == "-c":
        _begin(["-c", *arguments], "")
        return lambda: _execute(what, "<string>", None)
    if what == "-":
        source: str | bytes = sys.stdin.read()
        _begin(["-", *arguments], "")
        return lambda: _execute(source, "<stdin>", None)
    path = os.path.abspath(what)
    if os.path.isdir(path) or path.endswith((".zip", ".pyz", ".pyc")):
        os.stat(path)
        _begin([what, *arguments], path if not path.endswith(".pyc") else os.path.dirname(path))
        return lambda: runpy.run_path(path, run_name="__main__")
    with io.open_code(path) as file:
        source = file.read()
    _begin([what, *arguments], os.path.dirname(os.path.realpath(path)))
    return lambda: _execute(source, path, path)


def _begin(argv: list[str], folder: str) -> None:
    sys.argv[:] = argv
    if not sys.flags.safe_path:  # the first place is that of `nnfast` itself or of `python -m`
        sys.path[0] = folder


def _execute(source: str | bytes, filename: str, file: str | None) -> None:
    """Run source as the module `__main__`, which stays there to the end of the process."""
    main = types.ModuleType("__main__")
    vars(main).update(__builtins__=builtins, __spec__=None, __loader__=None)
    if file is not None:
        vars(main).update(__file__=file, __cached__=None)
    sys.modules["__main__"] = main
    exec(compile(source, filename, "exec", dont_inherit=True), vars(main))


def _hide_own_lines(error: BaseException) -> None:
    """Have the traceback that Python will print show the script's lines only."""
    if os.environ.get(FULL_TRACEBACK):
        return
    hook = sys.excepthook

    def print_shortened(
        kind: type[BaseException], value: BaseException, _: types.TracebackType | None
    ) -> None:
        for each in _chain(value):
            each.__traceback__ = _without_own(each.__traceback__)
        hook(kind, value, value.__traceback__)

    sys.excepthook = print_shortened


def _chain(error: BaseException) -> list[BaseException]:
    """An exception, its causes, and those that came before it."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and all(each is not other for other in found):
            found.append(each)
            waiting += [each.__cause__, each.__context__]
    return found


def _without_own(traceback: types.TracebackType | None) -> types.TracebackType | None:
    """A traceback without the lines of nnfast, of what started the script, and of all before these."""
    kept: list[types.TracebackType] = []
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if file == __file__:
            kept.clear()
        elif not file.startswith((_PACKAGE + os.sep, "<frozen ")):
            kept.append(traceback)
        traceback = traceback.tb_next
    shortened = None
    for each in reversed(kept):
        shortened = types.TracebackType(shortened, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return shortened
