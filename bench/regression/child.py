"""A process that measures one tree: `python -P child.py`, told what to do by lines of JSON.

Run as a script and never imported by the harness: of `bench`, this process has the tree's own copy
alone, which may be any old one. So nothing here imports anything but the standard library and the
files beside this one.
"""

import contextlib
import ctypes
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

WARM_S = 0.05
DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of Linux's prctl."""
RAW = """
import sys, timeit
seconds = timeit.timeit({code!r}, number=1)
roots, names = {roots!r}, {names!r}
tops = [(n, m) for n, m in list(sys.modules.items()) if n in names]
for name, module in tops:
    if not (module.__file__ or "").startswith(tuple(r + "/" for r in roots)):
        sys.exit(f"{{name}} was imported from {{module.__file__}}")
print(seconds)
"""


class OwnCode(importlib.abc.MetaPathFinder):
    """Finds a project's packages in one tree and nowhere else, whatever is installed."""

    def __init__(self, names: Iterable[str], roots: list[str]):
        self.names = frozenset(names)
        self.roots = roots

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return where a package of ours lies in the tree; None for anybody else's.

        Raises:
            ModuleNotFoundError: If it is ours and the tree does not hold it.
        """
        if path is not None or name not in self.names:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, self.roots)
        if spec is None:
            raise ModuleNotFoundError(f"No module named '{name}' in this tree", name=name)
        return spec

    def imported(self, suite: str) -> tuple[int, list[str]]:
        """Return how many of the tree's modules were imported, and what came from elsewhere."""
        own, strange = 0, []
        for name, module in list(sys.modules.items()):
            top = name.partition(".")[0]
            if top == suite:
                continue
            file = getattr(module, "__file__", None)
            inside = file is not None and any(
                Path(file).resolve().is_relative_to(root) for root in self.roots
            )
            own += inside and top in self.names
            if top in self.names and file is not None and not inside:
                strange.append(f"{name} from {file}")
        return own, strange


class Server:
    """Answers requests about the benchmarks of one suite."""

    def __init__(self, code: OwnCode, folder: Path):
        self.code = code
        self.folder = folder
        self.peak = _beside("peak")
        found, self.broken = _beside("suite").load(folder)
        self.known = {one.name: one for one in found}
        self.sample: Callable[[int], float] | None = None
        self.close = lambda: None

    def do_list(self) -> Any:
        """Return the benchmarks and the modules that cannot be imported."""
        return {
            "benchmarks": [[one.name, one.kind, one.unit] for one in self.known.values()],
            "broken": self.broken,
        }

    def do_verify(self) -> Any:
        """Return how many modules of the tree were used, and which came from elsewhere."""
        own, strange = self.code.imported(self.folder.name)
        return {"own": own, "strange": strange}

    def do_peakmem(self, name: str) -> Any:
        """Return a benchmark's peak memory."""
        if not hasattr(os, "fork"):
            raise NotImplementedError("this system has no fork")
        said = self.peak.peak_mib(self.known[name])
        if "absent" in said:
            raise NotImplementedError(said["absent"])
        if "fault" in said:
            raise Told(said["fault"])
        return said["value"]

    def do_track(self, name: str) -> Any:
        """Return the number that a benchmark tracks."""
        ready = self.known[name].ready()
        try:
            value = ready.call()
        finally:
            ready.end()
        if type(value) not in (int, float):
            value = float(value)  # a number of numpy's or torch's
        if not math.isfinite(value):
            raise Told(f"it tracks {value}, expected a finite number")
        return value

    def do_open(self, name: str) -> Any:
        """Set a benchmark up, warm it, and return the seconds of one call."""
        self.do_close()
        benchmark = self.known[name]
        ready = benchmark.ready()
        self.close = ready.end
        if benchmark.kind == "timeraw":
            self.sample = lambda number: self._raw(ready.call(), number)
            self.sample(1)
            return self.sample(1)
        self.sample = lambda number: _timed(ready.call, number)
        spent, last = 0.0, self.sample(1)
        while spent < WARM_S:
            last = self.sample(1)
            spent += last
        return last

    def do_sample(self, number: int) -> Any:
        """Return the mean seconds of `number` calls of the benchmark that is open."""
        assert self.sample is not None
        return self.sample(number)

    def do_close(self) -> Any:
        """Tear down what is open."""
        close, self.close, self.sample = self.close, lambda: None, None
        close()

    def _raw(self, code: Any, number: int) -> float:
        """Time code in fresh processes, whose packages must be the tree's too."""
        text = textwrap.dedent(code)
        script = RAW.format(code=text, roots=self.code.roots, names=sorted(self.code.names))
        total = 0.0
        for _ in range(number):
            done = subprocess.run(
                [sys.executable, "-P", "-c", script], capture_output=True, text=True
            )
            if done.returncode:
                raise Told(f"its process: {(done.stderr.strip() or 'no word').splitlines()[-1]}")
            total += float(done.stdout.split()[-1])
        return total / number


class Told(Exception):
    """A fault whose message needs no name of its kind in front."""


def _timed(call: Callable[[], Any], number: int) -> float:
    collecting = gc.isenabled()
    gc.disable()
    try:
        start = time.perf_counter()
        for _ in range(number):
            call()
        return (time.perf_counter() - start) / number
    finally:
        if collecting:
            gc.enable()


def _beside(name: str) -> Any:
    """Import a file beside this one under a name that no tree has."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"_regression_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _answer(server: Server, request: dict[str, Any]) -> dict[str, Any]:
    do = request.pop("do")
    try:
        return {"value": getattr(server, f"do_{do}")(**request)}
    except NotImplementedError as error:
        return {"absent": str(error)[:300] or "it says that it cannot be measured here"}
    except Told as error:
        return {"fault": str(error)[:300]}
    except (Exception, SystemExit) as error:
        return {"fault": f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]}


def _end_with_the_parent() -> None:
    """Linux alone; elsewhere the end of the input does it, once the benchmark is over."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)


def main() -> None:
    """Serve until the input ends. The first line names the roots, our packages and the suite."""
    _end_with_the_parent()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what benchmarks print is no answer
    about = json.loads(sys.stdin.readline())
    code = OwnCode(about["names"], about["roots"])
    sys.meta_path.insert(0, code)
    server = Server(code, Path(about["suite"]))
    for line in sys.stdin:
        answers.write(json.dumps(_answer(server, json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
