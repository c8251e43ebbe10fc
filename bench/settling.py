"""One cell -> its record: taken from the store, skipped with a reason, or measured by a worker."""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bench import provenance
from bench.disk import LARGEST_LOG, open_log
from bench.errors import BenchError, StorageError
from bench.executor.executor import Answer, Progress, Seat
from bench.inputs import printable
from bench.jobs import Share
from bench.plan import Planned
from bench.pool import Stopped
from bench.renewal import Renewal
from bench.shared.seam import BLOBS
from bench.shared.sharing import REUSED as REUSED
from bench.shared.sharing import Sharing, Unshared
from bench.store import Record, Store, validated
from bench.wire import data_of
from bench.worker import LONGEST_REASON, PAUSED

UNMET = "needs"
"""How the reason of a cell begins that could not run because of another."""
LOCK_POLL_S = 0.5


@dataclass(frozen=True)
class Limits:
    """What a cell is measured with, none of which changes its numbers."""

    seconds: float
    memory_gib: float | None
    """Most memory of one cell; by default its part of the machine's."""


@dataclass(frozen=True)
class Settled:
    """What became of a cell in this run."""

    record: Record
    """The one in the store."""
    measured: bool = False
    attempt: Record | None = None
    """One that failed, and so did not replace the record."""


@dataclass(frozen=True)
class Settler:
    """Settles cells; any number of threads may."""

    store: Store
    device: str
    limits: Limits
    renewal: Renewal | None
    """Of a fresh run: everything that it has not yet done is measured."""
    read_from: frozenset[str]
    """Keys of cells whose files a cell that is not settled will read."""
    go_on: Callable[[], None]
    """Raises `Stopped` once the run is being stopped."""
    awaits: Callable[[Planned], Callable[[], None]]
    """Gives what is called, as `go_on`, while another run over this store measures a cell."""
    sharing: Sharing = field(default_factory=Unshared)

    def settle(
        self,
        planned: Planned,
        used: Mapping[str, Record],
        taken: Callable[[], contextlib.AbstractContextManager[Seat]],
        progress: Progress,
    ) -> Settled:
        """Return a cell's record.

        Args:
            planned: The cell.
            used: Records of the cells that it uses.
            taken: Gives a seat once one is free.
            progress: Told how far the cell is.

        Raises:
            Stopped: If the run is being stopped and the cell has no record.
            StorageError: If results cannot be written.
        """
        known = self.known(planned)
        here = None if known is None else self.sharing.offered(self.store, known)
        if here is not None:
            return Settled(here)
        reason = planned.unavailable or _unmet(planned, used)
        with self._cell_lock(planned):
            known = self.known(planned, locked=True)  # another run may have made it
            if known is not None:
                return Settled(self.sharing.taken_over(self.store, known))
            if reason:
                return self._skip(planned, reason)
            with taken() as seat:
                return self._made_elsewhere(planned) or self._measure(planned, seat, progress)

    def help(
        self,
        planned: Planned,
        used: Mapping[str, Record],
        share: Share,
        taken: Callable[[], contextlib.AbstractContextManager[Seat]],
        progress: Progress,
    ) -> None:
        """Have a share of a cell's parts made and kept; whatever fails is left to the cell.

        The cell's lock is not held: another run may make the same parts, or finish the cell.

        Raises:
            Stopped: If the run is being stopped.
        """
        if planned.unavailable or _unmet(planned, used) or self.known(planned) is not None:
            return
        folder = self.store.partial(planned.key) / f"share-{share[0]}"
        try:
            self._begin(planned.key)
            with taken() as seat:
                self.go_on()
                request = {**self._request(planned, folder), "share": list(share)}
                answer = seat.run(request, progress)
        except Stopped:
            raise
        except Exception as fault:
            answer = {"status": "failed", "reason": f"{type(fault).__name__}: {fault}"}
        if answer["status"] != PAUSED:
            self.go_on()  # a worker that this run ended is no fault of the share
            self._log(planned, share, answer)

    def _log(self, planned: Planned, share: Share, answer: Answer) -> None:
        words = f"{answer['status']}: {answer['reason']}"
        line = f"{planned.key} {planned.cell.label}: share {share[0] + 1} of {share[1]} {words}"
        with contextlib.suppress(StorageError):
            with open_log(self.store.root / "logs" / "shards.log", LARGEST_LOG) as file:
                file.write(f"{printable(line, LONGEST_REASON)}\n".encode())

    def known(self, planned: Planned, *, locked: bool = False) -> Record | None:
        """Return the record that this run takes over, if there is one.

        Files that others have come here only where the cell's lock is held.
        """
        if self.renewal is not None and not self.renewal.is_done(planned.key):
            return None
        return self._whole(planned.key, locked=locked)

    def _whole(self, key: str, *, locked: bool) -> Record | None:
        read = key in self.read_from
        record = self.store.get(key)
        if record is not None and record["status"] in REUSED:
            if (self.store.is_sound if read else self.store.is_whole)(record):
                return record
        return self.sharing.known(self.store, key, read=read and locked)

    def _made_elsewhere(self, planned: Planned) -> Settled | None:
        """Look whether another machine made a cell while this one waited for a seat."""
        read = planned.key in self.read_from
        if self.renewal is not None:
            return None
        known = self.sharing.known(self.store, planned.key, read=read, again=True)
        return None if known is None else Settled(self.sharing.taken_over(self.store, known))

    @contextlib.contextmanager
    def _cell_lock(self, planned: Planned) -> Iterator[None]:
        """Hold the lock of a cell, which another run over this store may have."""
        lock, go_on = FileLock(self.store.lock(planned.key)), self.awaits(planned)
        while True:
            go_on()
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=LOCK_POLL_S)
                break
        try:
            self.store.recover(planned.key)
            yield
        finally:
            lock.release()

    def _measure(self, planned: Planned, seat: Seat, progress: Progress) -> Settled:
        self.go_on()
        answer = self._ask(planned, seat, progress)
        if answer["status"] == PAUSED:
            self.go_on()  # raises where the run is being stopped; the cell goes on in another then
            reason = "it paused, but nobody had asked it to"
            answer |= {"status": "failed", "reason": reason, "rows": []}
        if answer["status"] in ("crashed", "oom"):
            self.go_on()  # a worker that this run ended is no fault of the cell, whatever it seems
        settled = self._keep(planned, answer)
        shutil.rmtree(self.store.work(planned.key), ignore_errors=True)
        if answer["status"] == "ok":
            self._drop_parts(planned.key)
        if self.renewal is not None:
            self.renewal.done(planned.key)
        return settled

    def _ask(self, planned: Planned, seat: Seat, progress: Progress) -> Answer:
        """Have a cell measured into an empty folder."""
        self._begin(planned.key)
        return seat.run(self._request(planned, self.store.work(planned.key)), progress)

    def _begin(self, key: str) -> None:
        """Drop what is half done of a cell that a fresh run comes to for the first time."""
        if self.renewal is not None:
            self.renewal.begin(key, lambda: self._drop_parts(key))

    def _drop_parts(self, key: str) -> None:
        shutil.rmtree(self.store.partial(key), ignore_errors=True)
        self.sharing.drop_parts(key)

    def _request(self, planned: Planned, folder: Path) -> dict[str, Any]:
        """Return what a worker is told of a cell, which finds the folder empty."""
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise StorageError(f"cannot make {folder}: {error.strerror or error}") from error
        address = self.sharing.address
        return {
            **({} if address is None else {"shared": address}),
            "key": planned.key,
            "cell": data_of(planned.cell),
            "keys": list(planned.uses),
            "planned": {name: planned.basis.get(name) for name in ("modules", "code", "data")},
            "store": str(self.store.root),
            "folder": str(folder),
            "device": self.device,
            "threads": 1,
            "limit_s": self.limits.seconds,
            "memory_gib": self.limits.memory_gib,
            "alone": planned.cell.timing,
        }

    def _skip(self, planned: Planned, reason: str) -> Settled:
        """Say why a cell is not measured, unless it was at another time."""
        made = provenance.made(self.device, 0.0)
        record = _completed(planned, {"status": "skipped", "reason": reason, "made": made})
        return self._unless_known(planned, record, measured=False)

    def _keep(self, planned: Planned, answer: Answer) -> Settled:
        """Write an answer as a record; what failed does not replace what is whole."""
        files, folder = answer["files"], Path(answer["folder"])
        record = _completed(planned, answer)
        try:
            if record["status"] == "ok":
                if BLOBS in answer:  # the files are in the shared store alone
                    content, _ = validated({**record, "files": answer[BLOBS]})
                    record = self.store.adopt(planned.key, content, None)
                else:
                    record = self.store.replace(record, folder, files)
                return Settled(self._given(record), measured=True)
            validated(record)
        except StorageError:
            raise
        except BenchError as unfit:  # what no record can hold: the cell's fault
            told = {"status": "failed", "reason": str(unfit), "made": answer["made"]}
            record = _completed(planned, told)
        return self._unless_known(planned, record, measured=True)

    def _unless_known(self, planned: Planned, record: Record, *, measured: bool) -> Settled:
        earlier = self._whole(planned.key, locked=True)
        if earlier is not None and earlier["status"] == "ok":
            earlier = self.sharing.taken_over(self.store, earlier)
            return Settled(earlier, measured, attempt=record)
        return Settled(self._given(self.store.put(record)), measured)

    def _given(self, record: Record) -> Record:
        replace = self.renewal is not None
        return self.sharing.given(self.store, record, replace=replace)


def _completed(planned: Planned, answer: Mapping[str, Any]) -> Record:
    """Return the record that an answer stands for, its files left out."""
    told = {name: value for name, value in answer.items() if name not in (BLOBS, "folder")}
    return {
        "rows": [],
        **told,
        "files": {},
        "key": planned.key,
        "task": planned.cell.task,
        "label": planned.cell.label,
        "spec": dict(planned.cell.spec),
        "uses": list(planned.uses),
        "basis": dict(planned.basis),
        "timing": planned.cell.timing,
    }


def _unmet(planned: Planned, used: Mapping[str, Record]) -> str:
    """Return why a cell cannot run: the cell at the root of it that is not ok."""
    for key in planned.uses:
        record = used[key]
        if record["reason"].startswith(UNMET):
            reason: str = record["reason"]
            return reason
        if record["status"] != "ok":
            return f"{UNMET} '{record['label']}', which is {record['status']}: {record['reason']}"
    return ""
