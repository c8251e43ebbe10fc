"""The executor `ray`: each cell is a task on a cluster, which names what it needs of a node.

What a node does with a cell is in `bench.executor.ray_node`, what becomes of a task whose node dies
in `bench.executor.ray_attempts`, and what is asked of Ray in `bench.executor.ray_cluster`.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.disk import unwritable
from bench.errors import BenchError, StorageError
from bench.executor import fitness, ray_joined
from bench.executor.executor import Answer, Progress
from bench.executor.logs import brought_home
from bench.executor.needs import Needs, lacking
from bench.executor.ray_attempts import Attempts
from bench.executor.ray_cluster import Cluster
from bench.executor.ray_nodes import Nodes
from bench.plan import Plan, Planned
from bench.store import Store


@dataclass
class Ray:
    """Measures cells on the nodes of a Ray cluster; timing cells alone on theirs."""

    _cluster: Cluster
    _nodes: Nodes
    _device: str = field(default="cpu", init=False)
    _attempts: Attempts = field(init=False)

    def __post_init__(self) -> None:
        self._attempts = Attempts(self._cluster, self._nodes)

    @classmethod
    def connected(cls, address: str | None, workers: int) -> "Ray":
        """Join the cluster at an address, or start one of this machine alone.

        Args:
            address: "auto" or HOST:PORT; None to start one.
            workers: Cells measured side by side on a cluster that is started here.

        Raises:
            BenchError: If Ray is missing, cannot be reached, or a node differs from this machine.
        """
        cluster = ray_joined.opened(address, workers)
        try:
            return cls(cluster, Nodes.of(cluster))
        except BaseException:
            cluster.leave()
            raise

    @property
    def seats(self) -> int:
        """Quality cells that all nodes measure at once; nodes may come and go."""
        return max(1, self._nodes.room(self._needs()))

    @property
    def timing_seats(self) -> int:
        """Nodes that timing cells are measured on."""
        return max(1, len(self._nodes.for_timing(self._needs(timing=True))))

    def device(self, asked: str) -> str:
        """Return the device that cells run on: CUDA where a node has a GPU, unless told not to.

        Raises:
            BenchError: If the device is unknown, or no node has a GPU and CUDA is asked for.
        """
        if asked not in ("auto", "cpu", "cuda"):
            raise BenchError(f"--device {asked}: expected auto, cpu or cuda")
        there = any(offer.gpus >= 1 for offer in self._nodes.fit())
        if asked == "cuda" and not there:
            raise BenchError("--device cuda: no node of the cluster has a GPU; use --device cpu")
        self._device = "cuda" if there and asked != "cpu" else "cpu"
        return self._device

    def machine(self) -> Mapping[str, Any]:
        """Return what timing cells run on: this kind of machine, or else the first node's."""
        return self._nodes.timed_on(self._needs(timing=True))

    def words(self) -> list[str]:
        """Return what a person is told before the cells begin."""
        return self._nodes.words(self._needs(timing=True))

    def prepare(self, plan: Plan, store: Store, *, memory_gib: float | None = None) -> None:
        """See that every cell has a node that could measure it, and that nodes see the store.

        Raises:
            BenchError: If a cell needs what no node has.
            StorageError: If a node does not see the store, or cannot write to it.
        """
        self._refuse_unmet(plan, store, memory_gib)
        if store.supply is None and not self._cluster.own:
            self._refuse_unseen(store)
        self._attempts.begin()

    def _refuse_unmet(self, plan: Plan, store: Store, memory_gib: float | None) -> None:
        """Refuse needs that no node has, unless the cell is measured already."""
        self.machine()
        offers = self._nodes.fit()
        for planned in plan:
            needs = Needs.of(planned.cell, device=self._device, memory_gib=memory_gib)
            missing = "" if planned.unavailable else lacking(needs, offers)
            if missing:
                record = store.peek(planned.key)
                if record is None or record["status"] != "ok":
                    raise BenchError(f"'{planned.cell.label}' {missing}")

    def _refuse_unseen(self, store: Store) -> None:
        self._nodes.store = store.root  # for nodes that join from now on
        try:
            path, token = fitness.token_file(store.root)
        except OSError as error:
            raise unwritable(store.root, error) from error
        try:
            said = self._nodes.asked(fitness.store_fault, str(path), token)
        finally:
            path.unlink(missing_ok=True)
        for host, fault in said:
            if fault:
                raise StorageError(
                    f"{store.root} {fault}, on node {host}; expected a folder that all nodes share "
                    "and can write to: choose another --out"
                )

    @contextlib.contextmanager
    def seat(self, planned: Planned, go_on: Callable[[], None]) -> Iterator["_Seat"]:
        """Give a seat at once: the cluster has the task wait until a node is free for it."""
        go_on()
        yield _Seat(self._attempts, planned)

    def wind_up(self) -> None:
        """Ask the cells at hand to save their place; those that have not begun never will."""
        self._attempts.pause()

    def close(self) -> None:
        """End the cells at hand."""
        self._attempts.end()

    def release(self) -> None:
        """Leave the cluster; one that was started here ends."""
        self._attempts.close()
        self._nodes.close()
        self._cluster.leave()

    def _needs(self, *, timing: bool = False) -> Needs:
        """Return the needs of an ordinary cell."""
        gpus = int(self._device == "cuda")
        return Needs(gpus=gpus, timing=1.0) if timing else Needs(gpus=gpus)


@dataclass(frozen=True)
class _Seat:
    attempts: Attempts
    planned: Planned

    def run(self, request: Mapping[str, Any], progress: Progress) -> Answer:
        needs = Needs.of(
            self.planned.cell,
            device=request["device"],
            memory_gib=request["memory_gib"],
            threads=request["threads"],
        )
        return brought_home(self.attempts.measured(request, needs, progress), request)
