"""Warm worker processes: each is started once, used for many cells, and replaced when it dies."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import canonical
from bench.registry import HOME

Progress = Callable[[int, int], None]


@dataclass
class Worker:
    """One worker process; `run` blocks the calling thread and never raises for a cell's fault."""

    log: Path
    _process: subprocess.Popen[str] | None = field(default=None, init=False)

    def run(self, request: dict[str, Any], limit_s: float, progress: Progress) -> dict[str, Any]:
        """Have a cell measured; return {"status", "reason", "rows", "files"}."""
        process = self._started(request["threads"])
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            self.stop()

        watchdog = threading.Timer(limit_s, expire)
        watchdog.start()
        try:
            answer = self._talk(process, request, progress)
        finally:
            watchdog.cancel()
        if answer is not None:
            return answer
        code = _ended(process)
        self.stop()
        if expired.is_set():
            return _fault("timeout", f"stopped after its limit of {limit_s:g} s")
        if code == -signal.SIGKILL:
            return _fault("oom", "the worker was killed (SIGKILL), most often for want of memory")
        return _fault("crashed", f"the worker ended with {_ending(code)}; see {self.log.name}")

    def _talk(
        self, process: subprocess.Popen[str], request: dict[str, Any], progress: Progress
    ) -> dict[str, Any] | None:
        assert process.stdin and process.stdout
        try:
            process.stdin.write(canonical.dumps(request) + "\n")
            process.stdin.flush()
            for line in process.stdout:
                event: dict[str, Any] = canonical.loads(line)
                if event.pop("event") == "done":
                    return event
                progress(event["done"], event["total"])
        except (OSError, ValueError):
            pass  # it died while talking; the caller asks for its exit code
        return None

    def _started(self, threads: int) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        count = str(threads)
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": count,
            "MKL_NUM_THREADS": count,
            "PYTHONPATH": os.pathsep.join(
                [str(HOME), *filter(None, [os.environ.get("PYTHONPATH")])]
            ),
        }
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "bench.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                env=environment,
                start_new_session=True,  # Ctrl-C reaches the runner, which decides
            )
        return self._process

    def stop(self) -> None:
        """End the process and everything that it started."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass  # unsent bytes for a process that is gone
        self._process = None


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
