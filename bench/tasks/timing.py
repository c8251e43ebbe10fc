"""What all timing cells share: the conditions, and going on where one network of several fails."""

import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

from bench.api import BenchError, Context, Invalid, Row, Skip

T = TypeVar("T")
OWN_WORDS = (BenchError, Invalid, Skip)
"""Faults whose messages need no name of their kind in front."""
LONGEST = 300


@contextmanager
def conditions(spec: Row, context: Context) -> Iterator[Row]:
    """Set the number of threads, and float32 to mean float32; yield the columns that say so.

    By default a GPU runs convolutions, but not matrix products, of float32 numbers in TF32, with
    10 bits of fraction instead of 23. All is put back afterwards. Threads are not bound to
    processors: on a machine that others use that made times of one thread noisier, not quieter.

    Raises:
        Skip: If CUDA is asked for where there is none.
    """
    if context.device.startswith("cuda") and not torch.cuda.is_available():
        raise Skip("no CUDA device on this machine")
    threads, products = torch.get_num_threads(), torch.get_float32_matmul_precision()
    convolutions = torch.backends.cudnn.allow_tf32
    torch.set_num_threads(spec["threads"])
    # What `torch.backends.cuda.matmul.allow_tf32 = False` does, but to be put back to any value.
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield {
            "device": context.device,
            "threads": torch.get_num_threads(),
            "cpus": _cpus(),
            "tf32": torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32,
        }
    finally:
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)
        torch.set_num_threads(threads)


@dataclass(frozen=True, slots=True)
class Faulty:
    """A network that cannot be measured here."""

    spec: Row
    error: Exception

    @property
    def row(self) -> Row:
        """What its row says in place of numbers."""
        words = " ".join(str(self.error).split())
        if not isinstance(self.error, OWN_WORDS):
            words = f"{type(self.error).__name__}: {words}"
        skipped = isinstance(self.error, Skip)
        return {**named(self.spec), "fault": words[:LONGEST], "skipped": skipped}


def attempt(
    make: Callable[[], T], spec: Row, *, passing: tuple[type[Exception], ...] = ()
) -> T | Faulty:
    """Return what `make` returns, or that this network cannot be measured; the others still can.

    Args:
        make: Does something with one network.
        spec: That network.
        passing: Faults that are not the network's own.
    """
    try:
        return make()
    except passing:
        raise
    except Exception as error:
        _forget_tensors(error)
        return Faulty(spec, error)


def without_faulty(found: Sequence[T | Faulty]) -> list[T]:
    """Return what could be measured.

    Raises:
        Exception: The first network's fault, where all have one.
    """
    good = [one for one in found if not isinstance(one, Faulty)]
    if not good and isinstance(found[0], Faulty):
        raise found[0].error
    return good


def named(spec: Row) -> Row:
    """Return the columns that name a network."""
    return {"backbone": spec["name"], "scale": spec.get("scale")}


def _forget_tensors(error: BaseException | None) -> None:
    """Free what the functions held that a fault has passed: it will be kept, with their frames."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _cpus() -> str | None:
    """Return the processors that this process may use; None where the system does not say."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    return ",".join(map(str, sorted(os.sched_getaffinity(0))))
