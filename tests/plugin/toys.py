"""A stranger's plug-ins: torch-free tasks, good and bad, found through an entry point."""

import ctypes
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from bench.api import BenchError, Cell, Invalid, Kind, Outcome, Paused, Skip, register
from bench.shards import shardable, share_of

SOURCE = "the harness's own tests"
LEDGER = "BENCH_TOY_LEDGER"
"""Names a file to which every measured cell adds a line."""


@register(Kind.TASK, "toy", source=SOURCE)
def toy(cell, context):
    """Do what the spec's `act` says; else write a number to a file and a row."""
    ACTS.get(cell.spec.get("act"), lambda: None)()
    base = sum(float(context.file(used, "number.txt").read_text()) for used in cell.uses)
    value = base + cell.spec["number"]
    path = context.folder / "number.txt"
    path.write_text(repr(value))
    context.progress(1, 1)
    return Outcome([{"value": value, "pid": os.getpid()}], {"number.txt": path})


@register(Kind.TASK, "toy-steps", source=SOURCE)
def toy_steps(cell, context):
    """Take `steps` steps of `seconds` each, every one kept; says how many this call took."""
    kept = context.partial / "steps.txt"
    total = cell.spec["steps"]
    taken = 0
    while (done := len(kept.read_text()) if kept.exists() else 0) < total:
        time.sleep(cell.spec["seconds"])
        kept.write_text("x" * (done + 1))
        taken += 1
        context.progress(done + 1, total)
        if context.pause_wanted() and done + 1 < total:
            raise Paused
    return Outcome([{"steps": total, "taken": taken}])


@register(Kind.TASK, "toy-shares", source=SOURCE)
@shardable(lambda cell: cell.spec["blocks"])
def toy_shares(cell, context):
    """Keep a file for every block, or for those of a share; what a file should hold is known."""
    spec, total = cell.spec, cell.spec["blocks"]
    mine = share_of(total, *(context.share or (0, 1)))
    for block in mine:
        kept = context.partial / f"{block}.txt"
        if not kept.exists() or kept.read_text() != f"{block * spec['number']}":
            if context.pause_wanted():
                raise Paused
            if context.share is not None and block == spec.get("fatal"):
                ACTS[spec["act"]]()
            time.sleep(spec["seconds"])
            kept.write_text(f"{block * spec['number']}")
            _enter_in_ledger(f"{block} {context.share} {os.getpid()}")
        context.progress(block - mine.start + 1, total)
    if context.share is not None:
        raise Paused
    path = context.folder / "blocks.txt"
    path.write_text(" ".join((context.partial / f"{b}.txt").read_text() for b in range(total)))
    return Outcome([{"sum": sum(map(int, path.read_text().split()))}], {path.name: path})


@register(Kind.TASK, "toy-sum", source=SOURCE)
def toy_sum(cell, context):
    """Draw a number, add those of the used cells, write both; nothing in it depends on the run."""
    _enter_in_ledger(cell.spec["number"])
    rng = random.Random(cell.spec["number"])
    time.sleep(rng.uniform(0, 0.04))
    drawn = [rng.random() for _ in range(1000)]
    used = [float(context.file(cell, "sum.txt").read_text()) for cell in cell.uses]
    path = context.folder / "sum.txt"
    path.write_text(repr(sum(drawn) + sum(used)))
    return Outcome(
        [{"number": cell.spec["number"], "sum": sum(drawn) + sum(used)}], {path.name: path}
    )


@register(Kind.TASK, "toy-draws", source=SOURCE)
def toy_draws(cell, context):
    """Draw from the generators that everybody shares, of libraries imported here."""
    warm = "torch" in sys.modules
    import numpy
    import torch

    drawn = [random.random(), float(numpy.random.rand()), float(torch.rand(()))]
    return Outcome([{"drawn": drawn, "warm": warm}])


def _enter_in_ledger(what):
    if LEDGER in os.environ:
        with Path(os.environ[LEDGER]).open("a") as ledger:
            ledger.write(f"{what}\n")


def _raise(error):
    raise error


def _fork_and_let_it_return():
    os.fork()


def _fork_and_crash():
    if os.fork() == 0:
        time.sleep(600)
    os.kill(os.getpid(), signal.SIGSEGV)


def _fork_out_of_the_session():
    if os.fork() == 0:
        os.setsid()
        time.sleep(30)
        os._exit(0)
    time.sleep(600)


def _answer_for_the_worker():
    for number in range(3, 20):
        try:
            os.write(number, b'{"event":"done","of":0}\nnonsense\n')
        except OSError:
            continue


def _end_a_child():
    subprocess.run(["timeout", "5", "true"], check=True)
    child = subprocess.Popen(["sleep", "600"])
    child.terminate()
    assert child.wait(5) == -signal.SIGTERM


def _set_timers():
    """Have the next cell struck by signals that it did not ask for."""
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    signal.setitimer(signal.ITIMER_PROF, 0.3)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})


def _replace_the_output():
    with Path("elsewhere.txt").open("w") as file:
        os.dup2(file.fileno(), 2)
    Path("elsewhere.txt").unlink()


def _set_limits():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def _import_torch_and_change_it():
    import torch

    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")


def _share_memory():
    """Hold 300 MiB in four processes that share them."""
    held = b"x" * (300 * 2**20)
    for _ in range(3):
        if os.fork() == 0:
            time.sleep(2)
            os._exit(len(held) % 2)
    for _ in range(3):
        os.wait()


def _fail_if_asked():
    if "BENCH_TOY_FAIL" in os.environ:
        raise ValueError("as asked")


def _change_everything():
    """Leave the process as no cell should."""
    os.chdir("/")
    os.environ["LEFT_BEHIND"] = "yes"
    os.umask(0)
    sys.path.insert(0, "/nowhere")
    sys.setrecursionlimit(500)
    sys.stdout = None
    random.seed(4)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _hang_for_good():
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(1)


def _hoard():
    held = []
    while True:
        held.append(b"x" * 2**25)
        time.sleep(0.01)


def _leave_a_child():
    subprocess.Popen(["sleep", "600"])
    os.kill(os.getpid(), signal.SIGSEGV)


def _remove_the_directory():
    here = Path("gone")
    here.mkdir(exist_ok=True)
    os.chdir(here)
    here = Path.cwd()
    here.rmdir()


def _read_the_orders():
    assert sys.stdin.read() == ""
    assert subprocess.run(["cat"], capture_output=True).stdout == b""


ACTS = {
    "skip": lambda: _raise(Skip("not here")),
    "invalid": lambda: _raise(Invalid("a NaN in image 3")),
    "bench-error": lambda: _raise(BenchError("the folder is empty")),
    "bug": lambda: _raise(KeyError("typo")),
    "exit": lambda: sys.exit(3),
    "kill": lambda: os.kill(os.getpid(), 9),
    "segfault": lambda: ctypes.string_at(0),
    "sleep": lambda: time.sleep(60),
    "print": lambda: print("noise on standard output"),
    "memory": lambda: _raise(MemoryError("1 TiB asked for")),
    "interrupt": lambda: _raise(KeyboardInterrupt()),
    "pause": lambda: _raise(Paused()),
    "exit-at-once": lambda: os._exit(0),
    "abort": os.abort,
    "close-all": lambda: os.closerange(0, 100),
    "change-everything": _change_everything,
    "remove-directory": _remove_the_directory,
    "leave-a-thread": lambda: threading.Thread(target=time.sleep, args=(600,)).start(),
    "read-orders": _read_the_orders,
    "fail-if-asked": _fail_if_asked,
    "fork": _fork_and_let_it_return,
    "fork-and-crash": _fork_and_crash,
    "fork-away": _fork_out_of_the_session,
    "answer": _answer_for_the_worker,
    "end-a-child": _end_a_child,
    "rest": lambda: time.sleep(0.4),
    "set-timers": _set_timers,
    "close-output": lambda: (sys.stdout.close(), sys.stderr.close()),
    "replace-output": _replace_the_output,
    "break-names": lambda: (setattr(sys, "path", None), setattr(os, "environ", {})),
    "set-limits": _set_limits,
    "be-nice": lambda: os.nice(1),
    "choose-cores": lambda: os.sched_setaffinity(0, {max(os.sched_getaffinity(0))}),
    "change-torch": _import_torch_and_change_it,
    "keep-a-child": lambda: subprocess.Popen(["sleep", "600"]),
    "keep-a-daemon": lambda: threading.Thread(target=time.sleep, args=(9,), daemon=True).start(),
    "share-memory": _share_memory,
    "escape": lambda: _raise(BenchError("red \x1b[31m\x07 text\nand more")),
    "hang": _hang_for_good,
    "hoard": _hoard,
    "leave-a-child": _leave_a_child,
}

PLAIN = (
    "skip", "invalid", "bench-error", "bug", "exit", "kill", "segfault", "memory",
)  # fmt: skip


def number(value, act=None, uses=(), timing=False):
    return Cell("toy", {"number": value, "act": act}, tuple(uses), timing)


def draws(value):
    return Cell("toy-draws", {"number": value})


def steps(count, seconds):
    return Cell("toy-steps", {"steps": count, "seconds": seconds})


def shares(blocks=16, seconds=0.0, number=3, **more):
    spec = {"blocks": blocks, "seconds": seconds, "number": number, **more}
    return Cell("toy-shares", spec)


@register(Kind.EXPERIMENT, "toys", source=SOURCE)
def toys(study):
    """Three cells in a chain and one apart."""
    first = number(1)
    second = number(2, uses=[first])
    return [second, number(4, uses=[first, second]), number(8, act="print"), number(9, timing=True)]


@register(Kind.EXPERIMENT, "broken-toys", source=SOURCE)
def broken_toys(study):
    """One cell per fault, one that depends on a fault, and a good one."""
    bad = [number(i, act) for i, act in enumerate(PLAIN)]
    return [*bad, number(100, uses=[bad[3]]), number(200)]


@register(Kind.EXPERIMENT, "long-toys", source=SOURCE)
def long_toys(study):
    """Two cells that take seconds and can go on later."""
    return [steps(20, 0.1), steps(21, 0.1)]


@register(Kind.EXPERIMENT, "many-toys", source=SOURCE)
def many_toys(study):
    """Forty cells, each of which uses two earlier ones."""
    made = []
    for i in range(40):
        uses = sorted({i // 2, i // 3}) if i > 3 else []
        made.append(Cell("toy-sum", {"number": i}, tuple(made[used] for used in uses)))
    return made


@register(Kind.EXPERIMENT, "hanging-toys", source=SOURCE)
def hanging_toys(study):
    """Two cells that take a minute and cannot save their place."""
    return [number(1, "sleep"), number(2, "sleep")]


class _Denoiser:
    """Needs no torch to be found; `spoilt` is what it makes of the noisy images."""

    def __init__(self, channels=3, image_size=64, scale=1.0):
        pass

    def fit(self, clean, levels, trainer, seed):
        pass

    def denoise(self, y, level, noise):
        return self.spoilt(y)


@register(Kind.DENOISER, "toy-nan", source=SOURCE)
class NotANumber(_Denoiser):
    """Returns what is no number in one image of every batch."""

    def spoilt(self, y):
        y[1] *= float("nan")
        return y


@register(Kind.DENOISER, "toy-half", source=SOURCE)
class Half(_Denoiser):
    """Returns every other row."""

    def spoilt(self, y):
        return y[:, :, ::2]


@register(Kind.DENOISER, "toy-echo", source=SOURCE)
class Echo(_Denoiser):
    """Returns the noisy images."""

    def spoilt(self, y):
        return y


@register(Kind.DENOISER, "toy-signed", source=SOURCE)
class Signed(_Denoiser):
    """Returns images in [-1, 1]."""

    def spoilt(self, y):
        return 2 * y - 1


@register(Kind.DENOISER, "toy-bytes", source=SOURCE)
class Bytes(_Denoiser):
    """Returns bytes."""

    def spoilt(self, y):
        return y.byte()


@register(Kind.DENOISER, "toy-grey", source=SOURCE)
class Grey(_Denoiser):
    """Writes a constant into the noisy images."""

    def spoilt(self, y):
        return y.fill_(0.5)
