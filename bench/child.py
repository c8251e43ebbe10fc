"""One child process of the runner: its pipes, its lifeline, its end."""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil

from bench.disk import LARGEST_LOG, open_log
from bench.registry import HOME

POLL_S = 0.2
CHUNK = 2**16
LONGEST_LINE = 2**26
"""Bytes of one answer; a process that says more is taken for broken."""
PATIENCE_S = 5.0
"""How long a process that went silent may take to end by itself."""


class Child:
    """A worker process. One thread sends a request and reads; any thread may send and `kill`."""

    def __init__(self, log: Path, threads: int):
        self._sending = threading.Lock()
        self._lifeline: int | None
        lifeline, self._lifeline = os.pipe()
        try:
            with open_log(log, LARGEST_LOG) as output:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "bench.worker", str(lifeline)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=output,
                    env=_environment(threads),
                    pass_fds=(lifeline,),
                    start_new_session=True,  # Ctrl-C reaches the runner, which decides
                )
        except BaseException:
            os.close(self._lifeline)
            raise
        finally:
            os.close(lifeline)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Return whether the process still runs."""
        return self._process.poll() is None

    def send(self, line: str) -> None:
        """Write a line; one that the process no longer hears is dropped."""
        assert self._process.stdin
        with self._sending, contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(line.encode("utf-8", "surrogatepass") + b"\n")
            self._process.stdin.flush()

    def lines(self) -> Iterator[bytes]:
        """Yield what the process says, line by line, until it ends.

        Its end is seen also where a child that it forked keeps the pipe open.
        """
        assert self._process.stdout
        held: list[bytes] = []
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while True:
                if not selector.select(POLL_S):
                    if not self.is_alive():
                        return
                    continue
                chunk = os.read(self._process.stdout.fileno(), CHUNK)
                first, *rest = chunk.split(b"\n")
                held.append(first)
                for piece in rest:
                    yield b"".join(held)
                    held = [piece]
                if not chunk or sum(map(len, held)) > LONGEST_LINE:
                    return

    def kill(self) -> None:
        """Kill the process, its group, and children that left the group."""
        if not self.is_alive():
            return
        with contextlib.suppress(psutil.Error):
            family = psutil.Process(self.pid).children(recursive=True)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            for child in family:
                with contextlib.suppress(psutil.Error):
                    child.kill()
        self._process.kill()

    def end(self) -> int:
        """Let the process end, kill it if it does not, and return its exit code.

        Only for the thread that reads: the pipes are closed.
        """
        assert self._process.stdin and self._process.stdout
        with self._sending, contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            code = self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self._process.wait()
        self._process.stdout.close()
        if self._lifeline is not None:
            os.close(self._lifeline)  # the guard ends what is left of the group
            self._lifeline = None
        return code


def _environment(threads: int) -> dict[str, str]:
    inherited = filter(None, [os.environ.get("PYTHONPATH")])
    return {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "PYTHONHASHSEED": "0",  # the order of a set of names must not differ between workers
        "PYTHONPATH": os.pathsep.join([str(HOME), *inherited]),
    }


def ending(code: int) -> str:
    """Return what an exit code says."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
