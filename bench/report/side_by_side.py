"""Work that is done in several processes at once: figures know nothing of each other."""

import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Result = TypeVar("Result")
MOST = 4
"""Processes at most: each needs as much memory as a drawing, about 200 MiB."""

_jobs: Sequence[Callable[[], object]] = ()
"""In a child: what its parent gave it when it forked, without a copy."""


def side_by_side(jobs: Sequence[Callable[[], Result]]) -> list[Result]:
    """Return what each job returns; where that is safe, several run at once.

    Jobs are begun in order, so the longest should come first. What they return is pickled.

    Raises:
        Exception: What the first of the failing jobs raised.
    """
    workers = min(len(jobs), processes())
    if workers < 2:
        return [job() for job in jobs]
    context = multiprocessing.get_context("fork")
    gc.freeze()  # children neither look through what they were given nor copy it for that
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(jobs,))
    try:
        return list(pool.map(_do, range(len(jobs))))
    except BrokenProcessPool:  # one was killed, for want of memory say: one after another, then
        return [job() for job in jobs]
    finally:
        gc.unfreeze()
        pool.shutdown(cancel_futures=True)


def processes() -> int:
    """Return how many processes may work at once; one where a fork would not be safe."""
    alone = threading.active_count() == 1 and not multiprocessing.current_process().daemon
    if not sys.platform.startswith("linux") or not alone:
        return 1
    return min(MOST, len(os.sched_getaffinity(0)))


def _begin(jobs: Sequence[Callable[[], object]]) -> None:
    """Take over the jobs, and leave it to the parent to answer to the keyboard."""
    global _jobs
    _jobs = jobs
    gc.set_threshold(100_000, 50, 50)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _do(number: int) -> object:
    return _jobs[number]()
