"""A stranger's plug-ins: torch-free tasks, good and bad, found through an entry point."""

import ctypes
import os
import sys
import time

from bench.api import BenchError, Cell, Invalid, Kind, Outcome, Skip, register

SOURCE = "the harness's own tests"


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


def _raise(error):
    raise error


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
}


def number(value, act=None, uses=(), timing=False):
    return Cell("toy", {"number": value, "act": act}, tuple(uses), timing)


@register(Kind.EXPERIMENT, "toys", source=SOURCE)
def toys(study):
    """Three cells in a chain and one apart."""
    first = number(1)
    second = number(2, uses=[first])
    return [second, number(4, uses=[first, second]), number(8, act="print"), number(9, timing=True)]


@register(Kind.EXPERIMENT, "broken-toys", source=SOURCE)
def broken_toys(study):
    """One cell per fault, one that depends on a fault, and a good one."""
    bad = [number(i, act) for i, act in enumerate(ACTS) if act not in ("sleep", "print")]
    return [*bad, number(100, uses=[bad[3]]), number(200)]
