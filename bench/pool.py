"""Warm worker processes: each is started once, used for many cells, and replaced when it dies."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from bench import canonical
from bench.child import Child, ending
from bench.limits import MIB, Watch
from bench.worker import PAUSE

Progress = Callable[[int, int], None]
ANSWER: dict[str, type] = {
    "status": str, "reason": str, "rows": list, "files": dict, "retire": bool,
}  # fmt: skip
SIGKILL = -9


class Stopped(Exception):
    """The run is being stopped: what has not begun must not, what was cut short has no record."""


@dataclass
class Worker:
    """One worker process; `run` blocks the calling thread and never raises for a cell's fault."""

    log: Path
    _child: Child | None = field(default=None, init=False)
    _changing: threading.Lock = field(default_factory=threading.Lock, init=False)
    """Held while the process is started or given up."""
    _closed: bool = field(default=False, init=False)
    _pausing: bool = field(default=False, init=False)
    _numbers: "count[int]" = field(default_factory=count, init=False)

    def run(self, request: dict[str, Any], progress: Progress, *, limit_s: float) -> dict[str, Any]:
        """Have a cell measured.

        Returns:
            {"status", "reason", "rows", "files", "peak_rss_mib"} and, where the cell changed its
            process, "side_effects".

        Raises:
            Stopped: If the worker was closed meanwhile.
        """
        child, limit = self._started(request["threads"]), request["limit_bytes"]
        with Watch(child.pid, child.kill, limit_s=limit_s, limit_bytes=limit) as watch:
            answer = self._talk(child, request, progress)
        if answer is None:
            code = self._give_up(child)
            answer = _fault(*(watch.verdict or self._diagnosed(code, watch)))
        elif answer.pop("retire"):
            child.kill()
            self._give_up(child)
        return {**answer, "peak_rss_mib": round(watch.peak_bytes / MIB)}

    def _diagnosed(self, code: int, watch: Watch) -> tuple[str, str]:
        """Return status and reason for a process that ended without an answer."""
        if code == SIGKILL and watch.killed_for_memory():
            held = f"it held {watch.peak_bytes / MIB:.0f} MiB"
            return "oom", f"the system killed it for want of memory; {held}"
        return "crashed", f"the worker ended with {ending(code)}; see {self.log.name}"

    def _talk(
        self, child: Child, request: dict[str, Any], progress: Progress
    ) -> dict[str, Any] | None:
        """Return the answer, or None where the process died."""
        number = next(self._numbers)
        child.send(canonical.dumps({**request, "number": number}))
        if self._pausing:  # asked for while the process was being started
            child.send(PAUSE)
        for line in child.lines():
            event = _parsed(line)
            if event is None or event.pop("of") != number:
                return {**_fault("crashed", "it wrote where only answers belong"), "retire": True}
            if event.pop("event") == "done":
                return event
            progress(event["done"], event["total"])
        return None

    def pause(self) -> None:
        """Ask the cell at hand to save its place and stop; one that cannot finishes."""
        self._pausing = True
        child = self._child
        if child is not None:
            child.send(PAUSE)

    def _started(self, threads: int) -> Child:
        with self._changing:
            if self._closed:
                raise Stopped("the run is being stopped")
            if self._child is None or not self._child.is_alive():
                if self._child is not None:
                    self._child.end()
                self._child = Child(self.log, threads)
            return self._child

    def _give_up(self, child: Child) -> int:
        """End a process for good and return its exit code."""
        with self._changing:
            if self._child is child:
                self._child = None
        return child.end()

    @property
    def is_closed(self) -> bool:
        """Whether it was stopped for good, and takes no more cells."""
        return self._closed

    def close(self) -> None:
        """Stop for good; any thread may call it, the one that waits for an answer included."""
        with self._changing:
            self._closed = True
            child = self._child
        if child is not None:
            child.kill()

    def release(self) -> None:
        """Give the process back to the system, once no thread uses it."""
        self.close()
        if self._child is not None:
            self._give_up(self._child)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return an event, or None where the line is none: a plug-in may write anywhere."""
    try:
        event = canonical.loads(line.decode("utf-8", "surrogatepass"))
        kind, fields = event["event"], ANSWER
        if kind == "progress":
            fields = {"done": int, "total": int}
        if type(event["of"]) is int and all(type(event[n]) is t for n, t in fields.items()):
            return dict(event)
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    return None


def _fault(status: str, reason: str) -> dict[str, Any]:
    return {"status": status, "reason": reason, "rows": [], "files": {}}
