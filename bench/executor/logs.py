"""The end of a worker's log, where a cell failed on another machine."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.disk import write_atomically
from bench.errors import StorageError
from bench.worker import LONGEST_REASON

TOLD = ("failed", "crashed", "oom", "timeout")
"""Statuses whose log is brought home."""
MOST_BYTES, MOST_LINES = 2**16, 200


def length(log: Path) -> int:
    """Return the bytes of a log so far."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def tail(log: Path, begun: int) -> str:
    """Return the last lines that a log has gained since it was `begun` bytes long.

    A log that has become shorter was begun anew; all of it counts then.
    """
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            since = begun if begun <= size else 0
            start = max(since, size - MOST_BYTES)
            file.seek(start)
            lines = file.read(MOST_BYTES).decode("utf-8", "replace").splitlines(keepends=True)
    except OSError:
        return ""
    if start > since and len(lines) > 1:
        lines = lines[1:]  # it begins within a line
    return "".join(lines[-MOST_LINES:])


def brought_home(answer: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer without the log that came with it, which is written beside the store.

    Its reason names that file, `<store>/logs/<key>.log` with 12 characters of the key.
    """
    told = {name: value for name, value in answer.items() if name not in ("log", "log_name")}
    if "log_name" in answer:  # of the node, where nobody will look
        told["reason"] = told["reason"].replace(f"; see {answer['log_name']}", "")
    if answer.get("log"):
        name = f"{request['key'][:12]}.log"
        log = answer["log"].encode("utf-8", "replace")
        with contextlib.suppress(StorageError):  # a log is no reason to lose an answer
            write_atomically(Path(request["store"]) / "logs" / name, log)
            told["reason"] = f"{told['reason'][: LONGEST_REASON - 100]}; see logs/{name}"
    return told
