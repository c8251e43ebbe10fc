"""Measuring a cell in a worker process of the machine that this runs on, whoever asked for it."""

import time
from collections.abc import Mapping
from typing import Any

from bench import provenance
from bench.executor.executor import Answer, Progress
from bench.limits import memory_limit
from bench.pool import Worker


def measured(
    worker: Worker,
    request: Mapping[str, Any],
    progress: Progress,
    *,
    sharing: int,
    apart: bool = False,
) -> Answer:
    """Have a worker measure a cell and say on what machine it did.

    Args:
        worker: Of this machine.
        request: As `bench.executor.executor.Seat.run` gets it.
        progress: Told how far the cell is.
        sharing: Cells that share this machine's memory; a timing cell shares it with none.
        apart: Whether the run's folders are out of reach here, and all goes by the shared store
            that the request names.

    Raises:
        Stopped: If the worker was closed meanwhile.
        StorageError: If a used cell's files are in a shared store and cannot be fetched.
    """

    def measure(asked: Mapping[str, Any]) -> Answer:
        return _measured(worker, asked, progress, sharing)

    if "shared" not in request:
        return measure(request)
    from bench.shared import node

    if apart:
        return node.measured(request, measure)
    node.pull_used(request)
    return measure(request)


def _measured(
    worker: Worker, request: Mapping[str, Any], progress: Progress, sharing: int
) -> Answer:
    limit = memory_limit(request["memory_gib"], 1 if request["alone"] else sharing)
    started = time.monotonic()
    asked = {**request, "limit_bytes": limit}
    asked.pop("shared", None)  # an address may hold a password, which no cell needs
    answer = worker.run(asked, progress, limit_s=request["limit_s"])
    took = time.monotonic() - started
    made = provenance.made(request["device"], took, answer.pop("peak_rss_mib", 0))
    return {**answer, "folder": request["folder"], "made": made}
