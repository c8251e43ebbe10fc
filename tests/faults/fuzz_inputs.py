"""Hand damaged inputs of every kind to the code.

    python tests/faults/fuzz_inputs.py --count 10000 --seed 0

Each must be accepted, count as absent, or be refused by one printable line. Anything else is a
finding, as is a file written elsewhere, a program started, a connection, or minutes spent.
"""

import argparse
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HOME))
sys.dont_write_bytecode = True

from bench.api import BenchError, Invalid  # noqa: E402 - found once the project is on the path

SLOW_S = 20
"""An input that takes longer is a finding."""
ROOM = 2 * 2**30
"""Address space that inputs may take beyond what the libraries have."""
WORDS = ("accepted", "absent", "refused")
ABSENT = "absent"
"""What a reader returns where damage counts as absence, and the work is done again."""
HEADS = ("inputs", *WORDS, "findings", "seconds")
LONGEST = 2000
"""Characters of a message."""
STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork")
STARTS += ("pty.spawn", "socket.connect", "socket.bind", "socket.sendto", "pickle.find_class")
CHANGES = {"os.rename": 2, "os.link": 2, "os.symlink": 2, "os.remove": 1, "os.rmdir": 1}
CHANGES |= {"os.mkdir": 1, "os.chmod": 1, "os.chown": 1, "os.truncate": 1, "shutil.rmtree": 1}
"""Events that change files, with the number of paths that come first."""


class Watch:
    """An audit hook: tells of what an input made the code do beside reading."""

    def __init__(self, root: Path):
        self.root = root.resolve()
        self.active = False
        self.seen: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, details: tuple) -> None:
        if not self.active:
            return
        if event in STARTS:
            self.seen.append(f"{event} {details[:2]!r}"[:200])
        elif event == "open":
            path, mode, flags = details
            writes = (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writes or any(sign in (mode or "") for sign in "wax+"):
                self._inside(event, path)
        elif event in CHANGES:
            for path in details[: CHANGES[event]]:
                self._inside(event, path)

    def _inside(self, event: str, path: object) -> None:
        if isinstance(path, int):
            return  # open already, and heard of when it was opened
        parent = Path(os.fsdecode(path)).absolute().parent.resolve()  # the file may be a link
        if not parent.is_relative_to(self.root):
            self.seen.append(f"{event} {path!r}"[:200])


def outcome(kind, data: object, watch: Watch) -> str:
    """Return one of WORDS, or what is wrong."""
    watch.seen.clear()
    watch.active = True
    signal.setitimer(signal.ITIMER_REAL, SLOW_S)
    try:
        answer = kind.read(data)
        found = ABSENT if isinstance(answer, str) and answer == ABSENT else "accepted"
    except BenchError as error:
        message = str(error)
        found = "refused"
        if not message.isprintable() or not message or len(message) > LONGEST:
            found = f"message that is no printable line: {message!r}"[:300]
    except Invalid:
        found = "refused"  # a cell may end so; its reason goes into a record
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [f"{Path(f.filename).name}:{f.lineno}" for f in frames if "bench" in f.filename]
        found = f"{type(error).__name__} at {' '.join(ours[-2:])}: {error!s}"[:300]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        watch.active = False
    return f"did {watch.seen[0]}" if watch.seen else found


def _too_slow(signum, frame):
    raise TimeoutError(f"more than {SLOW_S} s")


def run(count: int, seed: int, root: Path, *, only: str = "", but: str = "") -> int:
    """Fuzz, print the table, and return the number of findings."""
    found = [kind for kind in _kinds(root / "inputs") if only in kind.name]
    found = [kind for kind in found if not but or but not in kind.name]
    watch = Watch(root)
    signal.signal(signal.SIGALRM, _too_slow)
    _limit_memory()
    findings: dict[tuple[str, str], tuple[int, str, object]] = {}
    print(f"{'kind':<16}" + "".join(f"{word:>10}" for word in HEADS))
    total = Counter()
    for kind in found:
        counts, seconds = Counter(), 0.0
        for i in range(-(-count // len(found))):
            data = kind.make(random.Random(f"{kind.name} {seed} {i}"))
            (root / "last").write_text(f"{kind.name} --seed {seed}, input {i}")
            started = time.perf_counter()
            word = outcome(kind, data, watch)
            seconds += time.perf_counter() - started
            known = word in WORDS
            counts[word if known else "findings"] += 1
            if not known:
                findings.setdefault((kind.name, word.partition(": ")[0]), (i, word, data))
        _line(kind.name, counts, seconds)
        total += counts
        total["ms"] += round(1000 * seconds)
    _line("all", total, total.pop("ms") / 1000)
    for (name, _), (i, word, data) in findings.items():
        print(f"FINDING {name}, input {i}: {word}\n    {data[:100]!r}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(findings)} kinds of findings; memory at most {peak:.0f} MiB")
    return len(findings)


def _kinds(root: Path) -> list:
    """Return all kinds, with their files below `root`."""
    import fuzz_data as data
    import fuzz_store as store
    from fuzz_kind import new_folder

    makers = (store.records, store.manifests, store.weights, store.checkpoints, store.parts)
    makers += (data.idx, data.pictures, data.zips, data.tars, data.arrays, data.settings)
    return [kind for make in makers for kind in make(new_folder(root / make.__name__))]


def _line(name: str, counts: Counter, seconds: float) -> None:
    numbers = [counts[word] for word in (*WORDS, "findings")]
    told = [sum(numbers), *numbers, f"{seconds:.1f}"]
    print(f"{name:<16}" + "".join(f"{number:>10}" for number in told))


def _limit_memory() -> None:
    """Turn an allocation of a bomb's size into a MemoryError."""
    status = Path("/proc/self/statm")
    if status.exists():
        used = int(status.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, resource.RLIM_INFINITY))


def main() -> int:
    """Read the command line; exit 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    parser.add_argument("--but", default="", help="leave out kinds whose name holds this")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        root = Path(folder).resolve()
        os.environ["BENCH_CACHE_DIR"] = str(root / "cache")
        with (root / "stderr").open("w") as quiet:  # libtiff prints there
            kept = os.dup(2)
            os.dup2(quiet.fileno(), 2)
            try:
                return (
                    1
                    if run(chosen.count, chosen.seed, root, only=chosen.only, but=chosen.but)
                    else 0
                )
            finally:
                os.dup2(kept, 2)


if __name__ == "__main__":
    sys.exit(main())
