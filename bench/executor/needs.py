"""What a cell needs of a node, and what nodes offer. Knows nothing of Ray."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.api import Cell
from bench.limits import GIB
from bench.shipped import CHECKPOINT

TIMING = "timing"
"""A resource of which every node offers one: a timing cell takes it whole."""
BESIDE_OTHERS = 0.001
"""Of `TIMING`, that a quality cell takes: none begins beside a timing cell, nor it beside one."""


def processes_of(cell: Cell) -> int:
    """Return how many processes work on a cell: several where one is trained in as many.

    A network that is taken from a set is not trained, in however many it was.
    """
    training = cell.spec.get("training")
    asked = training.get("processes", 1) if isinstance(training, Mapping) else 1
    return asked if isinstance(asked, int) and CHECKPOINT not in cell.spec else 1


@dataclass(frozen=True)
class Needs:
    """What one cell takes of one node while it is measured."""

    cpus: int = 1
    gpus: int = 0
    memory_bytes: int = 0
    """0 where no limit was asked for: the node's own memory is shared then."""
    timing: float = BESIDE_OTHERS

    @classmethod
    def of(
        cls, cell: Cell, *, device: str, memory_gib: float | None = None, threads: int = 1
    ) -> "Needs":
        """Return the needs of a cell; training in several processes takes a share for each."""
        processes = processes_of(cell)
        return cls(
            cpus=max(threads, processes),
            gpus=processes if device == "cuda" else 0,
            memory_bytes=0 if memory_gib is None else int(memory_gib * GIB),
            timing=1.0 if cell.timing else BESIDE_OTHERS,
        )


@dataclass(frozen=True)
class Offer:
    """What one node has, used or not."""

    node: str
    """Its id."""
    name: str
    """Of its machine, for people."""
    cpus: float
    gpus: float
    memory_bytes: float
    timing: float

    @classmethod
    def of(cls, node: str, name: str, resources: Mapping[str, Any]) -> "Offer":
        """Return what a node says that it has."""
        words = ("CPU", "GPU", "memory", TIMING)
        return cls(node, name, *(float(resources.get(word, 0)) for word in words))

    def room(self, needs: Needs) -> int:
        """Return how many cells with these needs it can measure at once."""
        have = (self.cpus, self.gpus, self.memory_bytes, self.timing)
        want = (needs.cpus, needs.gpus, needs.memory_bytes, needs.timing)
        return min(int(has / wants + 1e-9) for has, wants in zip(have, want, strict=True) if wants)


def lacking(needs: Needs, offers: Iterable[Offer]) -> str:
    """Return what no node has for a cell, or an empty text where one can measure it.

    Where each need is met by some node but no node meets them all, that is what is said.
    """
    offers = list(offers)
    if any(offer.room(needs) for offer in offers):
        return ""

    def most(values: Iterable[float]) -> float:
        return max(values, default=0)

    cpus, gpus = most(o.cpus for o in offers), most(o.gpus for o in offers)
    memory = most(o.memory_bytes for o in offers)
    if most(o.timing for o in offers) < needs.timing:
        return (
            "needs a node that offers the resource 'timing', and none does; start each with "
            f"--resources='{{\"{TIMING}\": 1}}'"
        )
    if gpus < needs.gpus:
        return f"needs {_count(needs.gpus, 'GPU')} on one node, the most is {gpus:g}"
    if cpus < needs.cpus:
        return f"needs {_count(needs.cpus, 'CPU')} on one node, the most is {cpus:g}"
    if memory < needs.memory_bytes:
        return (
            f"needs {needs.memory_bytes / GIB:.2f} GiB of memory on one node, the most is "
            f"{memory / GIB:.2f}; lower cell_memory_gib"
        )
    asked = [_count(needs.cpus, "CPU")]
    asked += [_count(needs.gpus, "GPU")] if needs.gpus else []
    asked += [f"{needs.memory_bytes / GIB:.2f} GiB"] if needs.memory_bytes else []
    return f"needs {', '.join(asked)} on one node, and no node has all of that"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
