"""Measuring a cell in a worker process of the machine that this runs on, whoever asked for it."""

import time
from collections.abc import Mapping
from typing import Any

from bench import provenance
from bench.executor.executor import Answer, Progress
from bench.limits import memory_limit
from bench.pool import Worker


def measured(
    worker: Worker, request: Mapping[str, Any], progress: Progress, *, sharing: int
) -> Answer:
    """Have a worker measure a cell and say on what machine it did.

    Args:
        worker: Of this machine.
        request: As `bench.executor.executor.Seat.run` gets it.
        progress: Told how far the cell is.
        sharing: Cells that share this machine's memory; a timing cell shares it with none.

    Raises:
        Stopped: If the worker was closed meanwhile.
    """
    limit = memory_limit(request["memory_gib"], 1 if request["alone"] else sharing)
    started = time.monotonic()
    asked = {**request, "limit_bytes": limit}
    answer = worker.run(asked, progress, limit_s=request["limit_s"])
    took = time.monotonic() - started
    made = provenance.made(request["device"], took, answer.pop("peak_rss_mib", 0))
    return {**answer, "folder": request["folder"], "made": made}
