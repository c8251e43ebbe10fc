"""Attempts at cells on a cluster: begun, waited for, and begun again where a node was lost.

Every attempt has a name and a folder that no other has, so that one that lives on unseen, on a node
that was cut off, harms nothing; only the answer that arrives here counts.
"""

import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import provenance
from bench.disk import unwritable
from bench.errors import Missing, StorageError
from bench.executor import ray_node
from bench.executor.board import END, GO_ON, PAUSE, Board
from bench.executor.executor import Answer, Progress
from bench.executor.needs import Needs, lacking
from bench.executor.ray_cluster import Cancelled, Cluster, Lost, Unfit
from bench.executor.ray_nodes import Nodes
from bench.pool import Stopped

ATTEMPTS = 4
"""A cell that is lost so often is lost by its own fault."""
WATCH_S = 0.5
LOOK_S = 5.0
"""Between looks at whether a task that waits has a node left that could take it."""
GOES_ON = "cells at hand have no record, and the same command goes on"
PATIENCE_S = 60.0
"""A cell that no node could take for so long has failed."""


@dataclass
class Attempts:
    """All attempts of a run; any number of threads may have cells measured."""

    cluster: Cluster
    nodes: Nodes
    _board: Any = None
    _at_hand: dict[str, "_Attempt"] = field(default_factory=dict)
    _changing: threading.Lock = field(default_factory=threading.Lock)
    """Held while an attempt is begun or forgotten, and while all are told to end."""
    _word: str = GO_ON
    _over: threading.Event = field(default_factory=threading.Event)
    _watcher: threading.Thread | None = None

    def begin(self) -> None:
        """Put up the board, and begin to read it."""
        self._board = self.cluster.actor(Board)
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def measured(self, request: Mapping[str, Any], needs: Needs, progress: Progress) -> Answer:
        """Have a cell measured, again where its node is lost.

        Raises:
            Stopped: If the run is being stopped and there is no answer.
            BenchError: If no node is left, or no answer can arrive: the run is over.
        """
        lost: list[str] = []
        while len(lost) < ATTEMPTS:
            try:
                return self._tried(request, needs, progress)
            except Unfit:
                self._refuse_stopped()  # no fault of the cell's, and that node is asked no more
            except Lost as how:
                self._refuse_stopped()
                self._refuse_cut_off()
                lost.append(str(how))
            except Cancelled:
                self._refuse_stopped()  # or else its nodes are gone; others may have come
        reason = f"lost {len(lost)} times with its node or Ray worker; last: {lost[-1]}"
        made = provenance.made(request["device"], 0.0)
        answer = {"status": "crashed", "reason": reason, "rows": [], "files": {}, "made": made}
        return {**answer, "folder": request["folder"]}

    def pause(self) -> None:
        """Ask the cells at hand to save their place; those that have not begun never will."""
        self._tell_all(PAUSE)
        begun = None if self._board is None else self.cluster.call(self._board.say, PAUSE)
        with self._changing:
            known = {name for name, attempt in self._at_hand.items() if attempt.has_begun}
        self._cancel(known.union(begun or {}))  # a board may not answer

    def end(self) -> None:
        """End the cells at hand."""
        self._tell_all(END)
        self._cancel(set())

    def close(self) -> None:
        """End the cells at hand and read the board no more."""
        self.end()
        self._over.set()
        if self._watcher is not None:
            self._watcher.join(2 * LOOK_S)
            self._watcher = None

    def _tried(self, request: Mapping[str, Any], needs: Needs, progress: Progress) -> Answer:
        name = f"{request['key'][:12]}-{secrets.token_hex(4)}"
        attempt = self._begun(name, request, needs, progress)
        try:
            while not self.cluster.is_there(attempt.task, LOOK_S):
                if self._word == END:
                    raise Stopped("the run is being stopped")
                self._refuse_cut_off(now=False)
                if not attempt.has_begun and not self.nodes.able(attempt.nodes):
                    self.cluster.cancel(attempt.task)
                    raise Cancelled
            answer: Answer = self.cluster.outcome(attempt.task)
        finally:
            with self._changing:
                del self._at_hand[name]
            self.cluster.tell(self._board.end, name)
        if ray_node.UNFIT in answer:
            self.nodes.exclude(answer["node"], answer[ray_node.UNFIT])
            raise Unfit(answer[ray_node.UNFIT])
        if answer["status"] == ray_node.LOST:
            raise Lost("its node could not reach the driver")
        return answer

    def _begun(
        self, name: str, request: Mapping[str, Any], needs: Needs, progress: Progress
    ) -> "_Attempt":
        nodes = self._able(needs)
        with self._changing:
            self._refuse_stopped()
            _make(Path(request["folder"]) / name)
            told = (dict(request), name, self._board, self.nodes.sharing(needs))
            task = self.cluster.begin(ray_node.measure, told, needs, nodes)
            attempt = _Attempt(task, nodes, progress)
            self._at_hand[name] = attempt
        return attempt

    def _able(self, needs: Needs) -> list[str]:
        """Return the nodes that can take a cell, after waiting for one where there is none.

        Raises:
            Lost: If none came in time, while others are there.
            BenchError: If none is left at all.
        """
        late = time.monotonic() + PATIENCE_S
        while True:
            offers = self.nodes.for_timing(needs) if needs.timing == 1 else self.nodes.fit()
            able = [offer.node for offer in offers if offer.room(needs)]
            if able:
                return able
            self._refuse_stopped()
            self._refuse_cut_off(now=False)
            if self.nodes.excluded and not self.nodes.fit():
                raise StorageError(
                    "no node of the cluster is left that can measure; the last was "
                    f"{self.nodes.excluded}; mend it, and the same command goes on"
                )
            if time.monotonic() > late:
                if not self.nodes.fit():
                    raise Missing(f"no node of the cluster is left; {GOES_ON}")
                why = lacking(needs, offers) or "needs the kind of machine that timings are for"
                raise Lost(f"no node is left for it: it {why}")
            time.sleep(WATCH_S)

    def _refuse_cut_off(self, *, now: bool = True) -> None:
        """End the run, rather than its cells, where no answer can arrive any more."""
        if self.cluster.is_cut_off(now=now):
            raise Missing(f"the Ray node of this machine is gone; start it again: {GOES_ON}")

    def _refuse_stopped(self) -> None:
        if self._word != GO_ON:
            raise Stopped("the run is being stopped")

    def _tell_all(self, word: str) -> None:
        with self._changing:
            if self._word != END:
                self._word = word

    def _cancel(self, but: set[str]) -> None:
        with self._changing:
            ended = [attempt for name, attempt in self._at_hand.items() if name not in but]
        for attempt in ended:
            self.cluster.cancel(attempt.task)

    def _watch(self) -> None:
        """Pass on, again and again, what is wanted of the cells and how far they are."""
        while not self._over.wait(WATCH_S):
            places = self.cluster.call(self._board.say, self._word, patience_s=LOOK_S) or {}
            with self._changing:
                known = dict(self._at_hand)
            for name in places.keys() & known.keys():
                known[name].advance(*places[name])


@dataclass
class _Attempt:
    """A task that a cell is measured by."""

    task: Any
    nodes: list[str]
    """Those that may take it."""
    progress: Progress
    has_begun: bool = False
    _last: tuple[int, int] = (0, 0)

    def advance(self, done: int, total: int) -> None:
        """Say how far it is, where that has changed."""
        self.has_begun = True
        if total and (done, total) != self._last:
            self._last = (done, total)
            self.progress(done, total)


def _make(folder: Path) -> None:
    """Make an attempt's folder, by which its node also knows that it sees the store."""
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise unwritable(folder, error) from error
