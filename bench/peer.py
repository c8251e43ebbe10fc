"""One of the processes that train a network together, not the first: see `bench.peers`.

Started with `python -P -m bench.peer`, signals held up; one order comes on standard input, whose
end is its own.
"""

import os
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from bench import canonical
from bench.api import BenchError, Invalid, Paused
from bench.imported import refuse_changed
from bench.inputs import printable
from bench.process_state import settle
from bench.stopping import leave_to_the_run
from bench.wire import cell_of

LONGEST_REASON = 500


def main() -> None:
    """Train as ordered."""
    leave_to_the_run()  # a scheduler sends its signal to every process of a job
    order = canonical.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    import torch
    from torch import distributed

    from bench.peers import HOST, PATIENCE

    store = distributed.TCPStore(HOST, order["port"], timeout=PATIENCE)
    if order["device"] != "cpu":
        torch.cuda.set_device(order["device"])
    try:
        _train(order, store)
    except Paused:
        pass
    except (BenchError, Invalid) as reason:  # the first process says why, if it is the same there
        store.set(f"fault{order['rank']}", printable(str(reason), LONGEST_REASON))
        sys.exit(1)
    except Exception as error:
        traceback.print_exc()
        text = printable(f"{type(error).__name__}: {error}", LONGEST_REASON)
        if isinstance(error, MemoryError | torch.OutOfMemoryError):
            store.set(f"memory{order['rank']}", "")
        store.set(f"fault{order['rank']}", text)
        sys.exit(1)


def _train(order: dict[str, Any], store: Any) -> None:
    from bench.context import TaskContext
    from bench.peers import joined
    from bench.store import Store
    from bench.tasks.train import trained

    cell, partial, planned = cell_of(order["cell"]), Path(order["partial"]), order["planned"]
    settle(partial.name, order["threads"], deterministic=not cell.timing)
    context = TaskContext(
        cell, {}, Store(partial.parent.parent), partial, partial, order["device"],
        progress=lambda done, total: None, pause_wanted=lambda: False,
        planned=planned,
    )  # fmt: skip
    if planned is not None:  # the first process may have imported what was edited since
        refuse_changed(planned["modules"], planned["code"])
    store.set(f"ready{order['rank']}", "")
    with joined(store, order["rank"], order["count"], order["device"]):
        trained(cell, context)


def _end_with_the_first() -> None:
    while os.read(0, 1):  # not `sys.stdin`, whose lock Python wants when it ends
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
