"""What could not be put into a shared store so far: tried again, ever more rarely, until it is."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bench.errors import BenchError

WAITS_S = (0.2, 1.0, 4.0)
"""After a fault and the first tries; a cell that may read what is owed waits for these."""
LATER_S = 60.0
"""Between the tries after those; nothing waits for them."""
MOST_FAILED = 3
"""Records that are not taken, in one try, before the rest is left to the next."""


@dataclass
class Debts:
    """Why results are not shared at the moment, and which; any number of threads may use it."""

    note: Callable[[str], None]
    fault: BenchError | None = None
    """None while the store can be used and nothing is owed."""
    _owed: dict[str, Callable[[], bool]] = field(default_factory=dict)
    """Key -> what puts it, and returns whether it is done with."""
    _tries: int = 0
    _due: float = 0.0
    _changing: threading.Lock = field(default_factory=threading.Lock)
    _paying: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def tolerated(self) -> Iterator[None]:
        """Go on without the shared store where it cannot be used; the first fault is told."""
        try:
            yield
        except BenchError as error:
            with self._changing:
                self._begin(error)

    def owe(self, key: str, put: Callable[[], bool], why: BenchError) -> None:
        """Keep what puts a record for later."""
        with self._changing:
            self._owed[key] = put
            self._begin(why)

    def pay(self, probe: Callable[[], None], *, waiting: bool = False, but: str = "") -> None:
        """Put what is owed, if it is time to try again; without a fault this costs nothing.

        Args:
            probe: Raises where the store cannot be written.
            waiting: Whether to wait for the next try, where a record is owed.
            but: A key that is not waited for, because its lock is held here.
        """
        if self.fault is None:
            return
        with self._paying:
            if self.fault is None or not self._is_time(waiting, but):
                return
            try:
                probe()
                self._put_all()
            except BenchError:
                self._later()
                return
            with self._changing:
                if not self._owed:
                    self.fault, self._tries = None, 0
                    self.note("the shared store is in use again, and has what had stayed local")
            if self.fault is not None:
                self._later()

    def _begin(self, error: BenchError) -> None:
        if self.fault is None:
            self.fault, self._due = error, time.monotonic() + _wait(0)
            self.note(f"from here on results stay local: {error}")

    def _is_time(self, waiting: bool, but: str) -> bool:
        left = self._due - time.monotonic()
        if left > 0 and (not waiting or self._tries >= len(WAITS_S) or not {*self._owed} - {but}):
            return False
        time.sleep(max(0.0, left))
        return True

    def _later(self) -> None:
        self._tries += 1
        self._due = time.monotonic() + _wait(self._tries)

    def _put_all(self) -> None:
        with self._changing:
            owed = dict(self._owed)
        failed = 0
        for key, put in owed.items():
            try:
                done = put()
            except BenchError:
                done, failed = False, failed + 1
            with self._changing:
                del self._owed[key]
                if not done:
                    self._owed[key] = put  # at the end: the next try begins with others
            if failed == MOST_FAILED:
                return


def _wait(tries: int) -> float:
    return WAITS_S[tries] if tries < len(WAITS_S) else LATER_S
