"""Warm worker processes: each is started once, used for many cells, and replaced when it dies."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench import canonical
from bench.limits import MIB, Watch
from bench.registry import HOME
from bench.worker import PAUSE

Progress = Callable[[int, int], None]
LOG_BYTES = 2**24
"""A log that has grown beyond this is begun anew when its worker starts."""


@dataclass
class Worker:
    """One worker process; `run` blocks the calling thread and never raises for a cell's fault."""

    log: Path
    _process: subprocess.Popen[str] | None = field(default=None, init=False)
    _lifeline: int | None = field(default=None, init=False)
    _writing: threading.Lock = field(default_factory=threading.Lock, init=False)
    _ending: threading.Lock = field(default_factory=threading.Lock, init=False)
    _closed: bool = field(default=False, init=False)

    def run(
        self,
        request: dict[str, Any],
        progress: Progress,
        *,
        limit_s: float,
        limit_bytes: int,
    ) -> dict[str, Any]:
        """Have a cell measured.

        Returns:
            {"status", "reason", "rows", "files", "peak_rss_mib"} and, where the cell changed its
            process, "side_effects".
        """
        process = self._started(request["threads"])
        with Watch(process.pid, self.stop, limit_s=limit_s, limit_bytes=limit_bytes) as watch:
            answer = self._talk(process, request, progress)
        if answer is None:
            code = _ended(process)
            self.stop()
            answer = _fault(*(watch.verdict or self._diagnosed(code, watch)))
        elif answer.pop("retire"):
            self.stop()
        return {**answer, "peak_rss_mib": round(watch.peak_bytes / MIB)}

    def _diagnosed(self, code: int, watch: Watch) -> tuple[str, str]:
        """Return status and reason for a process that ended without an answer."""
        if code == -signal.SIGKILL and watch.killed_for_memory():
            held = f"it held {watch.peak_bytes / MIB:.0f} MiB"
            return "oom", f"the system killed it for want of memory; {held}"
        return "crashed", f"the worker ended with {_ending(code)}; see {self.log.name}"

    def _talk(
        self, process: subprocess.Popen[str], request: dict[str, Any], progress: Progress
    ) -> dict[str, Any] | None:
        assert process.stdout
        try:
            self._send(process, canonical.dumps(request))
            for line in process.stdout:
                event: dict[str, Any] = canonical.loads(line)
                if event.pop("event") == "done":
                    return event
                progress(event["done"], event["total"])
        except (OSError, ValueError):
            pass  # it died while talking; the caller asks for its exit code
        return None

    def _send(self, process: subprocess.Popen[str], line: str) -> None:
        assert process.stdin
        with self._writing:
            process.stdin.write(line + "\n")
            process.stdin.flush()

    def pause(self) -> None:
        """Ask the cell at hand to save its place and stop; one that cannot finishes."""
        process = self._process
        if process is not None:
            with contextlib.suppress(OSError, ValueError):  # it is ending by itself
                self._send(process, PAUSE)

    def _started(self, threads: int) -> subprocess.Popen[str]:
        """Return the process, started if need be.

        Raises:
            InterruptedError: If the worker was closed meanwhile.
        """
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.stop()
        with self._ending:
            if self._closed:
                raise InterruptedError("the run is being stopped")
            self.log.parent.mkdir(parents=True, exist_ok=True)
            fresh = self.log.exists() and self.log.stat().st_size > LOG_BYTES
            lifeline, self._lifeline = os.pipe()
            try:
                with self.log.open("w" if fresh else "a") as log:
                    self._process = subprocess.Popen(
                        [sys.executable, "-P", "-m", "bench.worker", str(lifeline)],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=log,
                        text=True,
                        encoding="utf-8",
                        env=_environment(threads),
                        pass_fds=(lifeline,),
                        start_new_session=True,  # Ctrl-C reaches the runner, which decides
                    )
            finally:
                os.close(lifeline)
            return self._process

    def close(self) -> None:
        """Stop for good."""
        self._closed = True
        self.stop()

    def stop(self) -> None:
        """End the process and everything that it started; may be called from any thread."""
        with self._ending:
            if self._lifeline is not None:
                os.close(self._lifeline)  # the worker's guard ends the whole group
                self._lifeline = None
            process, self._process = self._process, None
            if process is None:
                return
            _kill_tree(process)
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError, ValueError):  # unsent bytes, or in use
                    if pipe is not None:
                        pipe.close()


def _environment(threads: int) -> dict[str, str]:
    inherited = filter(None, [os.environ.get("PYTHONPATH")])
    return {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join([str(HOME), *inherited]),
    }


def _kill_tree(process: subprocess.Popen[str]) -> None:
    """Kill a process, its group, and children that left the group."""
    if process.poll() is not None:
        return
    with contextlib.suppress(psutil.Error):
        family = psutil.Process(process.pid).children(recursive=True)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        for child in family:
            with contextlib.suppress(psutil.Error):
                child.kill()
    process.kill()


def _ended(process: subprocess.Popen[str], patience_s: float = 5.0) -> int:
    """Return the exit code of a process that went silent; killed if it does not end by itself."""
    try:
        return process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _fault(status: str, reason: str) -> dict[str, Any]:
    return {"status": status, "reason": reason, "rows": [], "files": {}}
