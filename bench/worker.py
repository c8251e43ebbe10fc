"""The process that cells run in: one request a line on standard input, one event a line back.

Started with `python -P -m bench.worker`. Whatever a plug-in prints goes to standard error, which
the runner sends to a log file; the events have a channel of their own. A request is
{"cell": ..., "key": ..., "keys": [...], "store": ..., "device": ..., "threads": ...}; the events
are {"event": "progress", "done", "total"} and, last, {"event": "done", "status", "reason", "rows",
"files"}.
"""

import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any, TextIO

from bench import canonical
from bench.api import BenchError, Cell, Invalid, Kind, Missing, Skip

PROGRESS_EVERY_S = 0.25


def main() -> None:
    """Serve requests until standard input ends."""
    events = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # from here on, print() goes to the log
    for line in sys.stdin:
        request = canonical.loads(line)
        answer = measure(request, events)
        print(canonical.dumps({"event": "done", **answer}), file=events)


def cell_of(data: dict[str, Any]) -> Cell:
    """Return the cell of its JSON form."""
    uses = tuple(cell_of(used) for used in data["uses"])
    return Cell(data["task"], data["spec"], uses, data["timing"])


def data_of(cell: Cell) -> dict[str, Any]:
    """Return the JSON form of a cell."""
    return {
        "task": cell.task,
        "spec": cell.spec,
        "uses": [data_of(used) for used in cell.uses],
        "timing": cell.timing,
    }


def measure(request: dict[str, Any], events: TextIO) -> dict[str, Any]:
    """Measure one cell; every exception becomes a status with its reason."""
    try:
        outcome = _run(request, events)
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
    except Exception as error:
        traceback.print_exc()
        status = "oom" if type(error).__name__ == "OutOfMemoryError" else "failed"
        return _answer(status, f"{type(error).__name__}: {error}".splitlines()[0])
    files = {name: str(path) for name, path in outcome.files.items()}
    return {**_answer("ok", ""), "rows": list(outcome.rows), "files": files}


def _answer(status: str, reason: str) -> dict[str, Any]:
    return {"status": status, "reason": reason, "rows": [], "files": {}}


def _run(request: dict[str, Any], events: TextIO) -> Any:
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
        now = time.monotonic()
        if now - last[0] >= PROGRESS_EVERY_S:
            last[0] = now
            event = {"event": "progress", "done": done, "total": total}
            print(canonical.dumps(event), file=events)

    keys = {id(used): key for used, key in zip(cell.uses, request["keys"], strict=True)}
    context = TaskContext(cell, keys, store, folder, partial, request["device"], progress)
    task = find(Kind.TASK, cell.task).build
    if "torch" in sys.modules:  # a task that computes has imported it by now
        _settle_torch(request["threads"], deterministic=not cell.timing)
    return task(cell, context)


def _settle_torch(threads: int, *, deterministic: bool) -> None:
    import torch

    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # costs time, and hides nothing
    torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
