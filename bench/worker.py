"""The process that cells run in: one request a line on standard input, one event a line back.

Started with `python -P -m bench.worker LIFELINE`. Whatever a plug-in prints goes to standard
error, which the runner sends to a log file; the events have a channel of their own. A request is
{"number": ..., "cell": ..., "key": ..., "keys": [...], "planned": {"modules", "code", "data"},
"store": ..., "device": ..., "threads": ...}, with "share": [i, k] where only a share of the cell's
parts is to be made and kept, or the word PAUSE, which asks the cell at hand to save its place and
stop; the events are
{"event": "progress", "of", "done", "total"} and, last, {"event": "done", "of", "status", "reason",
"rows", "files", "retire"}, where "of" is the request's number.
"""

import contextlib
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from bench import canonical
from bench.api import BenchError, Invalid, Kind, Missing, Paused, Skip
from bench.blamed import told
from bench.imported import CHANGED, refuse_changed
from bench.inputs import printable
from bench.process_state import Changes, preserved, settle
from bench.stopping import SIGNALS, leave_to_the_run
from bench.wire import cell_of

PROGRESS_EVERY_S = 0.25
PAUSE = "pause"
PAUSED = "paused"
"""The status of an answer that stands for no record: the cell goes on in another run, or what was
asked for was a share of it."""

LONGEST_REASON = 2000
SPARE = 4
"""A worker that keeps more than this part of a cell's memory is replaced."""

_pausing = threading.Event()


def main() -> None:
    """Serve requests until standard input ends."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    _guard(int(sys.argv[1]))
    leave_to_the_run()
    events = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8", errors="surrogatepass")
    orders = os.fdopen(os.dup(0), encoding="utf-8", errors="surrogatepass")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(2, 1)  # from here on, print() goes to the log,
    os.dup2(nothing, 0)  # and a plug-in, or what it starts, cannot read the runner's orders
    requests: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(orders, requests), daemon=True).start()
    itself = os.getpid()
    while (line := requests.get()) is not None:
        request = canonical.loads(line)
        answer = measure(request, events)
        if os.getpid() != itself:
            os._exit(1)  # a fork that a cell made and let return: the answer is not its to give
        done = {"event": "done", "of": request["number"], **answer}
        print(canonical.dumps(done), file=events)


def _guard(lifeline: int) -> None:
    """Start a process that ends this one and its children once the runner is gone.

    It waits for the end of a pipe whose other end only the runner holds. A thread would not do:
    compiled code that hangs may never let it run.
    """
    if os.fork():
        os.close(lifeline)
        return
    with contextlib.suppress(OSError):
        for stream in (0, 1, 2):  # the runner must see this process's streams end with the worker
            os.close(stream)
        os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)


def _listen(stream: TextIO, requests: "queue.SimpleQueue[str | None]") -> None:
    for line in stream:
        if line.strip() == PAUSE:
            _pausing.set()
        else:
            requests.put(line)
    requests.put(None)


def measure(request: dict[str, Any], events: TextIO) -> dict[str, Any]:
    """Measure one cell; every exception becomes a status with its reason."""
    changes = Changes()
    answer = _answer_to(request, events, changes)
    if changes.restored or changes.lasting:
        answer["side_effects"] = sorted([*changes.restored, *changes.lasting])
    return {**answer, "retire": _is_worn(answer, changes)}


def _is_worn(answer: dict[str, Any], changes: Changes) -> bool:
    """Return whether the process should be replaced before the next cell."""
    worn = answer["status"] in ("crashed", "oom") or answer["reason"] == CHANGED
    return bool(changes.lasting) or worn


def _answer_to(request: dict[str, Any], events: TextIO, changes: Changes) -> dict[str, Any]:
    try:
        outcome = _run(request, events, changes)
        files = _checked(outcome.files, Path(request["folder"]))
        text = canonical.dumps(list(outcome.rows))
        rows = canonical.loads(text.encode())  # here, where a bad row is the cell's own fault
    except Paused:
        unasked = _answer("failed", "the task raised Paused, but nobody had asked it to")
        return _answer(PAUSED, "") if _pausing.is_set() or "share" in request else unasked
    except (Skip, Missing) as skip:
        return _answer("skipped", str(skip))
    except (Invalid, ArithmeticError) as invalid:  # a rule broken, or a solver that diverged
        return _answer("invalid", str(invalid))
    except SystemExit as end:
        return _answer("crashed", f"it ended the process with exit code {end.code}")
    except MemoryError as error:
        return _answer("oom", str(error) or "the process ran out of memory")
    except BenchError as error:
        return _answer("failed", str(error))
    except BaseException as error:
        traceback.print_exc()
        status = "oom" if type(error).__name__ == "OutOfMemoryError" else "failed"
        return _answer(status, told(error))
    return {**_answer("ok", ""), "rows": rows, "files": files}


def _checked(files: Mapping[str, Path], folder: Path) -> dict[str, str]:
    """Return the files of an outcome; each must lie in the cell's folder under its own name."""
    for name, path in files.items():
        path = Path(path)
        if path != folder / name or path.is_symlink() or not path.is_file():
            raise BenchError(
                f"the task named the file '{name}', but made no such file in its folder"
            )
    return {name: str(path) for name, path in files.items()}


def _answer(status: str, reason: str) -> dict[str, Any]:
    """Return an answer; its reason is one line that a terminal can show."""
    shown = printable(" ".join(reason.split()), LONGEST_REASON)
    return {"status": status, "reason": shown, "rows": [], "files": {}}


def _run(request: dict[str, Any], events: TextIO, changes: Changes) -> Any:
    from bench.context import TaskContext
    from bench.registry import find
    from bench.store import Store

    cell = cell_of(request["cell"])
    store = Store(Path(request["store"]))
    folder = Path(request["folder"])
    partial = store.partial(request["key"])
    partial.mkdir(parents=True, exist_ok=True)
    last = [0.0]

    def progress(done: int, total: int) -> None:
        done, total = int(done), int(total)
        now = time.monotonic()
        if now - last[0] >= PROGRESS_EVERY_S:
            last[0] = now
            event = {"event": "progress", "of": request["number"], "done": done, "total": total}
            print(canonical.dumps(event), file=events)

    keys = {id(used): key for used, key in zip(cell.uses, request["keys"], strict=True)}
    share, planned = tuple(request["share"]) if "share" in request else None, request["planned"]
    context = TaskContext(
        cell, keys, store, folder, partial, request["device"], progress, _pausing.is_set, share,
        planned,
    )  # fmt: skip
    task = find(Kind.TASK, cell.task).build
    refuse_changed(planned["modules"], planned["code"])
    settle(request["key"], request["threads"], deterministic=not cell.timing)
    # It begins here: what importing the task has changed stays.
    try:
        with preserved(changes, spare_bytes=request["limit_bytes"] // SPARE):
            return task(cell, context)
    finally:  # what it imported on its way may have been edited meanwhile
        refuse_changed(planned["modules"], planned["code"])


if __name__ == "__main__":
    main()
