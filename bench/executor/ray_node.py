"""What runs on a node of a Ray cluster: it looks at the node, and has cells measured there.

A cell is measured by a worker process of the node's own (`bench.worker`), as on one machine, so
that its limits, its crash and its want of memory are an answer and no fault of Ray's. The Ray
worker that waits for it imports no torch.
"""

import contextlib
import functools
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.disk import unwritable
from bench.errors import BenchError, StorageError
from bench.executor import here, logs
from bench.executor.board import END, GO_ON, PAUSE
from bench.executor.executor import Answer
from bench.locks import machine_lock
from bench.pool import Stopped, Worker
from bench.worker import PAUSED

LOST = "lost"
"""The status of an answer that is none: the cell was to stop at once, or its node is not fit."""
UNFIT = "unfit"
"""In such an answer: why the node can measure no cell, where it cannot."""
BEAT_S = 1.0
PATIENCE_S = 30.0
"""A node that has not reached the board for so long ends its cell: the driver is gone."""
SEEN_S = 5.0
"""What the driver has just made is seen by a node that shares its folders, so much later at most.
"""


class Beats:
    """Tells the board how a cell is getting on, and the cell's worker what the board says."""

    def __init__(self, board: Any, attempt: str):
        self._board, self._attempt = board, attempt
        self._place = (0, 0)
        self._word = GO_ON
        self._heard = time.monotonic()
        self._done = threading.Event()
        self._changing = threading.Lock()
        self._worker: Worker | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> "Beats":
        """Begin."""
        self.beat()
        self._thread.start()
        return self

    def __exit__(self, *fault: object) -> None:
        """Be silent from now on; what a beat that is on its way hears is not the next cell's."""
        self._done.set()
        with self._changing:
            self._worker = None

    @property
    def ended(self) -> bool:
        """Whether the cell was to stop at once; its worker is closed for good then."""
        return self._word == END

    def progress(self, done: int, total: int) -> None:
        """Note how far the cell is."""
        self._place = (done, total)

    def go_on(self) -> None:
        """Raise `Stopped` where the cell need not begin."""
        if self._word != GO_ON:
            raise Stopped("the run is being stopped")

    def of(self, worker: Worker) -> None:
        """Pass on what the board says to this worker, too."""
        with self._changing:
            self._worker = worker
            self._pass_on()

    def beat(self) -> None:
        """Tell the board once, and heed what it says."""
        import ray

        try:
            word = ray.get(self._board.beat.remote(self._attempt, *self._place), timeout=PATIENCE_S)
        except Exception:  # Ray has many; none of them is the cell's
            gone = time.monotonic() - self._heard > PATIENCE_S
            word = END if gone else self._word
        else:
            self._heard = time.monotonic()
        with self._changing:
            self._word = word
            self._pass_on()

    def _pass_on(self) -> None:
        if self._worker is not None and self._word == PAUSE:
            self._worker.pause()
        elif self._worker is not None and self._word == END:
            self._worker.close()

    def _follow(self) -> None:
        while not self._done.wait(BEAT_S):
            self.beat()


class _Held:
    """The worker of this process, warm from one cell to the next."""

    worker: Worker | None = None
    kind: tuple[Any, ...] = ()


def measure(
    request: Mapping[str, Any], attempt: str, board: Any, sharing: Mapping[str, int]
) -> Answer:
    """Measure a cell on this node, in a folder of this attempt's own.

    Args:
        request: As `bench.executor.executor.Seat.run` gets it.
        attempt: A name that no other attempt at any cell has.
        board: Where to tell how far it is.
        sharing: Node -> cells that it measures at once, at most.

    Returns:
        The cell's answer. Where this node cannot use the store, or is not set up as it should be,
        its status is `LOST` and `UNFIT` says why.
    """
    try:
        return _measured(request, attempt, board, sharing)
    except BenchError as fault:
        return {"status": LOST, UNFIT: str(fault), "node": _node()}


def _measured(
    request: Mapping[str, Any], attempt: str, board: Any, sharing: Mapping[str, int]
) -> Answer:
    folder = Path(request["folder"]) / attempt
    asked = {**request, "folder": str(folder)}
    with Beats(board, attempt) as beats:
        try:
            with machine_lock(alone=request["alone"], wanted=beats.go_on):
                apart = "shared" in request and not folder.is_dir()
                if not apart:
                    _make(folder, Path(request["store"]))
                with _warm(request["threads"], beats) as worker:
                    begun = logs.length(worker.log)
                    answer = here.measured(
                        worker,
                        asked,
                        beats.progress,
                        sharing=sharing.get(_node(), 1),
                        apart=apart,
                    )
                    answer["made"]["node"] = socket.gethostname()
                    if answer["status"] in logs.TOLD:
                        answer["log"] = logs.tail(worker.log, begun)
                        answer["log_name"] = worker.log.name
        except Stopped:
            answer = {"status": PAUSED, "reason": "", "rows": [], "files": {}, "made": {}}
    if beats.ended:
        answer |= {"status": LOST}
    return {"folder": str(folder), **answer}


def _make(folder: Path, store: Path) -> None:
    """Make an attempt's folder below the cell's, which the driver made: it is not made here.

    Raises:
        StorageError: If the store is not seen from here, or cannot be written.
        FileNotFoundError: If the cell's folder is gone from it.
    """
    late = time.monotonic() + SEEN_S
    while True:
        try:
            return folder.mkdir(exist_ok=True)
        except FileNotFoundError as error:
            if time.monotonic() > late:
                if store.is_dir():
                    raise
                raise StorageError(f"it does not see the run's folder {store}") from error
        except OSError as error:
            raise unwritable(folder, error) from error
        time.sleep(BEAT_S / 4)


@contextlib.contextmanager
def _warm(threads: int, beats: Beats) -> Iterator[Worker]:
    """Give the worker of this process; another GPU or another log needs another worker.

    So does the cell after one that was stopped, whose worker is closed for good.
    """
    log = _log_folder() / f"bench-{os.getpid()}.log"
    kind = (log, threads, os.environ.get("CUDA_VISIBLE_DEVICES"))
    if _Held.worker is not None and (_Held.kind != kind or _Held.worker.is_closed):
        _Held.worker.release()
        _Held.worker = None
    if _Held.worker is None:
        _Held.worker, _Held.kind = Worker(log), kind
    worker = _Held.worker
    beats.of(worker)
    yield worker
    if beats.ended:  # closed for good
        _Held.worker = None
        worker.release()


@functools.cache
def _node() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


@functools.cache
def _log_folder() -> Path:
    """Return where Ray keeps the logs of this session, which are a person's to look through."""
    import ray

    context = ray.get_runtime_context()
    return Path(context.get_temp_dir(), context.get_session_name(), "logs")
