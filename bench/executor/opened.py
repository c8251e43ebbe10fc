"""The executor that a person names."""

import contextlib
from collections.abc import Iterator

from bench.errors import BenchError
from bench.executor.executor import Executor
from bench.executor.local import Local


@contextlib.contextmanager
def opened(name: str, address: str | None, workers: int) -> Iterator[Executor]:
    """Open an executor, and give back to the system what it holds.

    Args:
        name: "local" or "ray".
        address: Of a Ray cluster; None to start one on this machine.
        workers: Cells measured side by side on this machine; a cluster's nodes have their own.

    Raises:
        BenchError: If an address goes with no cluster, Ray is missing, or it cannot be reached.
    """
    if name == "local":
        if address is not None:
            raise BenchError("--address belongs to --executor ray; without it, cells run here")
        yield Local(workers)
        return
    from bench.executor.ray import Ray

    place = Ray.connected(address, workers)
    try:
        yield place
    finally:
        place.release()
