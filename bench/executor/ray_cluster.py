"""A connection to a Ray cluster: what is asked of Ray while cells are measured."""

import atexit
import contextlib
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.executor.needs import TIMING, Needs, Offer
from bench.executor.ray_home import Home
from bench.inputs import printable

JOIN_S = 30.0
ASK_S = 120.0
"""Longest wait for what a node says of itself: its first Ray worker has to start."""
LEAVE_S = 15.0
"""Longest wait for Ray to leave a cluster whose node here is dead."""


class Lost(Exception):
    """A node or its process ended before the answer was there."""


class Unfit(Lost):
    """A node could not use what it needs, so that it measures no cell."""


class Cancelled(Exception):
    """The task was cancelled by us."""


@dataclass
class Cluster:
    """A connection to a cluster, which a process can have one of."""

    ray: Any
    dashboard: str
    """Its address, if it has one."""
    folder: Path | None = None
    """Of a Ray that was started here."""
    home: Home | None = None
    """The node that this process is attached to."""

    @property
    def own(self) -> bool:
        """Whether it was started by this run, on this machine."""
        return self.folder is not None

    def is_cut_off(self, *, now: bool = False) -> bool:
        """Return whether the node that this process is attached to is dead; calls no Ray."""
        return self.home is not None and self.home.is_gone(now=now)

    def offers(self) -> list[Offer]:
        """Return what the living nodes offer, in an order that does not change."""
        found = [
            Offer.of(one["NodeID"], one["NodeManagerHostname"], one["Resources"])
            for one in self.ray.nodes()
            if one["Alive"]
        ]
        return sorted(found, key=lambda offer: (offer.name, offer.node))

    def ask(self, function: Callable[..., Any], node: str, *told: Any) -> Any:
        """Begin a short task on a node; return what `answer` takes."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        remote = self.ray.remote(function)
        there = NodeAffinitySchedulingStrategy(node, soft=False)
        return remote.options(num_cpus=0, max_retries=1, scheduling_strategy=there).remote(*told)

    def answer(self, asked: Any) -> Any:
        """Wait for what a short task returns; raises what Ray raises."""
        return self.ray.get(asked, timeout=ASK_S)

    def actor(self, kind: type) -> Any:
        """Start an actor on the driver's node, which takes no processor for itself."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        node = self.ray.get_runtime_context().get_node_id()
        there = NodeAffinitySchedulingStrategy(node, soft=False)
        remote = self.ray.remote(kind)
        return remote.options(num_cpus=0, max_restarts=-1, scheduling_strategy=there).remote()

    def call(self, method: Any, *told: Any, patience_s: float = JOIN_S) -> Any:
        """Return what an actor's method returns; None where it does not answer."""
        if self.is_cut_off():
            return None
        with contextlib.suppress(Exception):  # Ray has many
            return self.ray.get(method.remote(*told), timeout=patience_s)
        return None

    def tell(self, method: Any, *told: Any) -> None:
        """Call an actor's method and wait for nothing."""
        with contextlib.suppress(Exception):  # it is no matter where there is nobody to tell
            if not self.is_cut_off():
                method.remote(*told)

    def begin(
        self, function: Callable[..., Any], told: Sequence[Any], needs: Needs, nodes: Sequence[str]
    ) -> Any:
        """Begin a cell's task on one of these nodes, once it has what the cell needs.

        Raises:
            Lost: If Ray takes no task.
        """
        remote = self.ray.remote(function)
        options: dict[str, Any] = {
            "num_cpus": needs.cpus,
            "num_gpus": needs.gpus,
            "resources": {TIMING: needs.timing},
            "label_selector": {"ray.io/node-id": f"in({','.join(nodes)})"},
            "max_retries": 0,  # another attempt has another name, and may have other nodes
        }
        if needs.memory_bytes:
            options["memory"] = needs.memory_bytes
        try:
            return remote.options(**options).remote(*told)
        except self.ray.exceptions.RayError as error:
            raise Lost(f"{type(error).__name__}: {line_of(error)}") from error

    def is_there(self, task: Any, patience_s: float) -> bool:
        """Return whether a task has ended, after waiting for it."""
        try:
            return bool(self.ray.wait([task], timeout=patience_s)[0])
        except self.ray.exceptions.RayError:
            return True  # its outcome is that it is lost

    def outcome(self, task: Any) -> Any:
        """Return what a task that has ended returned.

        Raises:
            Lost: If its node or its process ended before it did.
            Cancelled: If it was cancelled.
        """
        known = self.ray.exceptions
        try:
            return self.ray.get(task, timeout=ASK_S)  # it has ended; only its answer may be far
        except known.TaskCancelledError as error:
            raise Cancelled from error
        except known.RayTaskError as error:
            raise Lost(line_of(error.cause)) from error
        except known.RayError as error:
            raise Lost(f"{type(error).__name__}: {line_of(error)}") from error

    def cancel(self, task: Any) -> None:
        """End a task, and its process where it has begun."""
        with contextlib.suppress(Exception):  # it has ended by itself, or Ray has
            if not self.is_cut_off():
                self.ray.cancel(task, force=True)

    def leave(self) -> None:
        """Leave the cluster, and end it where it is our own; once is enough."""
        if self.ray is not None:
            if self.is_cut_off(now=True):
                _bounded(self.ray.shutdown)
            else:
                self.ray.shutdown()
            self.ray = None
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def _bounded(shutdown: Callable[[], None]) -> None:
    """Have Ray shut down, and go on without it where it does not come to an end."""
    thread = threading.Thread(target=shutdown, daemon=True)
    thread.start()
    thread.join(LEAVE_S)
    if thread.is_alive():
        from ray._private import worker

        atexit.unregister(worker.shutdown)  # it would wait again


def line_of(error: BaseException | None) -> str:
    """Return what an exception says, as one line."""
    return printable(" ".join(str(error).split()), 300)
