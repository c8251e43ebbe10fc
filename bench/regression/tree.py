"""One tree and the process that measures it; a process that dies is replaced by a fresh one."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.child import ending
from bench.errors import BenchError
from bench.inputs import printable

SCRIPT = Path(__file__).with_name("child.py")
LIMIT_S = 300.0
"""How long one answer may take."""
CHUNK = 2**16
LAYOUTS = (".", "src")
"""Where in a tree its packages may lie."""


class Fault(Exception):
    """A benchmark failed in a tree; the message says how."""


class Absent(Exception):
    """A benchmark says that it cannot be measured in a tree."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A benchmark, as a tree's process names it."""

    name: str
    kind: str
    unit: str


def packages(root: Path, suite: str) -> set[str]:
    """Return the names of what can be imported from a tree, the suite and the like left out."""
    found = set()
    for folder in (root / layout for layout in LAYOUTS):
        found |= {p.stem for p in folder.glob("*.py")}
        found |= {p.parent.name for p in folder.glob("*/__init__.py")}
    return {name for name in found - {suite} - sys.stdlib_module_names if name.isidentifier()}


class Tree:
    """A tree whose benchmarks can be asked for; a context manager that ends the process.

    Args:
        label: What messages call it.
        root: Its folder.
        suite: The folder of benchmarks, which need not be its own.
        names: The packages that must come from it.
        log: Where its process's errors go.
    """

    def __init__(self, label: str, root: Path, *, suite: Path, names: set[str], log: Path):
        self.label = label
        self.root = root
        self._about = {
            "roots": [str((root / layout).resolve()) for layout in reversed(LAYOUTS)],
            "names": sorted(names),
            "suite": str(suite),
        }
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.end()

    def listed(self) -> tuple[dict[str, Listed], dict[str, str]]:
        """Return the benchmarks by name, and why modules of the suite cannot be imported here."""
        said = self.ask("list")
        return {line[0]: Listed(*line) for line in said["benchmarks"]}, dict(said["broken"])

    def verify(self) -> int:
        """Return how many modules of the tree its process has imported.

        Raises:
            BenchError: If it imported a package of the tree's from elsewhere.
        """
        said = self.ask("verify")
        if said["strange"]:
            raise BenchError(
                f"{self.label}: {printable(said['strange'][0])} is not the code below "
                f"{printable(self.root)}; nothing was judged: uninstall what puts it first"
            )
        return int(said["own"])

    def ask(self, do: str, **about: Any) -> Any:
        """Return the answer of the tree's process, which is started where there is none.

        Raises:
            Fault: If the benchmark fails, ends its process or takes too long.
            Absent: If it says that it cannot be measured here.
        """
        process = self._process or self._started()
        assert process.stdin
        try:
            process.stdin.write(json.dumps({"do": do, **about}).encode() + b"\n")
            process.stdin.flush()
            said = self._answer(process)
        except OSError:
            said = None
        if said is None:
            raise Fault(self._death(process))
        if "absent" in said:
            raise Absent(printable(said["absent"], 200))
        if "fault" in said:
            raise Fault(printable(said["fault"], 200))
        return said["value"]

    def end(self) -> None:
        """End the process and all that it started; the next question starts another."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                assert pipe
                pipe.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _started(self) -> "subprocess.Popen[bytes]":
        inherited = filter(None, [os.environ.get("PYTHONPATH")])
        threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS")}
        env = {
            **os.environ, **threads, "PYTHONHASHSEED": "0",
            "PYTHONPATH": os.pathsep.join([*self._about["roots"], *inherited]),
        }  # fmt: skip
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", str(SCRIPT)], cwd=self._log.parent, env=env, stderr=log,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C reaches the parent, which decides
            )  # fmt: skip
        self._process = process
        assert process.stdin
        process.stdin.write(json.dumps(self._about).encode() + b"\n")
        return process

    def _answer(self, process: "subprocess.Popen[bytes]") -> dict[str, Any] | None:
        """Return what the process says; None where it says nothing more, or not in time."""
        assert process.stdout
        held, end = b"", time.monotonic() + LIMIT_S
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not held.endswith(b"\n"):
                if not selector.select(max(0.0, end - time.monotonic())):
                    return None
                chunk = os.read(process.stdout.fileno(), CHUNK)
                if not chunk:
                    return None
                held += chunk
        return dict(json.loads(held))

    def _death(self, process: "subprocess.Popen[bytes]") -> str:
        """End what is left of a process, and return how it came to that."""
        try:
            how = ending(process.wait(1.0))
        except subprocess.TimeoutExpired:
            how = f"no answer within {LIMIT_S:g} s"
        self.end()
        said = self._log.read_text(errors="replace").strip().splitlines()
        return f"its process ended: {how}" + (f" ({printable(said[-1], 160)})" if said else "")
