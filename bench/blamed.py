"""What a fault is, and where in a plug-in it came from."""

import sysconfig
import traceback
from pathlib import Path

FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    TypeError,
    ValueError,
)
"""Of code; a full disk or a lack of memory is none."""


def told(error: BaseException) -> str:
    """Return a fault's type and words, and where in a plug-in it came from."""
    return f"{type(error).__name__}: {error}{_place(error)}"


def _place(error: BaseException) -> str:
    """Return the last line of a plug-in that a fault came through, without its folder.

    Nothing where it came through none.
    """
    from bench.code import is_installed
    from bench.registry import HOME, OPEN

    python = Path(sysconfig.get_paths()["stdlib"])
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(HOME):
            shown = path.relative_to(HOME)
            theirs = shown.parts[0] in OPEN
        else:
            shown = Path(path.name)
            theirs = path.is_file() and not path.is_relative_to(python) and not is_installed(path)
        if theirs:
            return f" ({shown.as_posix()}:{frame.lineno})"
    return ""
