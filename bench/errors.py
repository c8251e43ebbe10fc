"""What can go wrong, for people: each kind of fault and the exit code that it stands for."""

import difflib


class BenchError(Exception):
    """A fault that the person at the keyboard can mend; shown as one line, without a traceback.

    The message says what happened, what was expected and what to do.
    """

    exit_code = 2


class Missing(BenchError):
    """Something that is needed - data, weights, a library - is not on this machine."""

    exit_code = 69


class StorageError(BenchError):
    """Reading or writing results failed."""

    exit_code = 74


class Skip(Exception):
    """Raised inside a cell that cannot be measured here; the reason becomes a `skipped` row."""


class Invalid(Exception):
    """Raised inside a cell whose result breaks a rule (a NaN, say); becomes an `invalid` row."""


class Paused(BaseException):
    """Raised inside a cell that was asked to stop, once its work so far is safe in `partial`.

    Not an Exception, so that a plug-in's `except Exception` cannot swallow it.
    """


def unknown(what: str, name: str, known: list[str]) -> BenchError:
    """Return the error for a name that is not known, with the nearest one that is."""
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return BenchError(f"no {what} named '{name}'; {hint}known: {', '.join(known)}")
