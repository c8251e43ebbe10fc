"""Several processes of this machine that train one network: `train.processes`.

The first is the task's own. It starts the others (`bench.peer`), each of which runs the training of
the same cell with the same seeds, on a graphics card or a share of the threads of its own. They end
with it: they are children of its group, and end by themselves once it does not hold their input.
"""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from bench import canonical, peer
from bench.api import BenchError, Cell, Context, Paused
from bench.registry import HOME
from bench.stopping import held_up
from bench.wire import data_of

HOST = "127.0.0.1"
PATIENCE = timedelta(minutes=10)
"""How long a process waits for the others."""
START_S = 300.0
END_S = 10.0
LOST_S = 20.0
"""How long this process has, once another died, to find out by itself, as it does on the CPU."""
LOOK_S = 0.5
POLL_S = 0.02
NETWORK = {"linux": "lo", "darwin": "lo0"}
"""The network of the machine itself."""


@contextlib.contextmanager
def peers(cell: Cell, context: Context, count: int) -> Iterator[None]:
    """Start `count` - 1 processes that run `bench.tasks.train.trained` on a cell, and join them.

    Raises:
        BenchError: If there are fewer graphics cards than processes, or one of these ends early.
    """
    if count == 1:
        yield
        return
    _check_device(context.device, count)
    threads = torch.get_num_threads()
    with contextlib.ExitStack() as undo:
        undo.callback(torch.set_num_threads, threads)
        torch.set_num_threads(max(1, threads // count))
        store = _store(count)
        children: list[subprocess.Popen[str]] = []
        undo.callback(_end, children)
        for rank in range(1, count):
            children.append(_started(cell, context, rank, count, store.port))
        _wait(store, children, context)
        try:
            with joined(store, 0, count, context.device), _watched(children):
                yield
        except RuntimeError as error:  # this process's own, or it misses another
            if reason := _reason(store, children):
                raise reason from error
            raise


def _store(count: int) -> distributed.TCPStore:
    """Return the place where the processes find each other, for this machine alone.

    Left to itself it would listen to all networks, and believe whoever calls.
    """
    with socket.create_server((HOST, 0)) as server:
        port, listening = server.getsockname()[1], server.detach()
    return distributed.TCPStore(
        HOST, port, count, is_master=True, timeout=PATIENCE, wait_for_workers=False,
        master_listen_fd=listening,
    )  # fmt: skip


@contextlib.contextmanager
def joined(store: Any, rank: int, count: int, device: str) -> Iterator[None]:
    """Be one of the processes that train together."""
    on_cpu = torch.device(device).type == "cpu"
    name = "GLOO_SOCKET_IFNAME"
    given = os.environ.get(name)
    os.environ[name] = given or NETWORK.get(sys.platform, "")
    try:
        distributed.init_process_group(
            "gloo" if on_cpu else "nccl", store=store, rank=rank, world_size=count, timeout=PATIENCE
        )
        yield
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()
        if given is None:
            del os.environ[name]


def _check_device(device: str, count: int) -> None:
    if torch.device(device).type == "cpu":
        return
    cards = torch.cuda.device_count() if torch.device(device).type == "cuda" else 0
    if cards < count:
        raise BenchError(
            f"train.processes={count}: there are {cards} graphics cards for them; expected one "
            "each, or --device cpu"
        )


def _started(
    cell: Cell, context: Context, rank: int, count: int, port: int
) -> "subprocess.Popen[str]":
    with held_up():
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", peer.__name__],
            stdin=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": _path()},
        )
    order = {
        "cell": data_of(cell),
        "partial": str(context.partial),
        "planned": getattr(context, "planned", None),
        "device": context.device if context.device == "cpu" else f"cuda:{rank}",
        "rank": rank,
        "count": count,
        "port": port,
        "threads": torch.get_num_threads(),
    }
    assert child.stdin
    with contextlib.suppress(OSError):  # it has ended: its exit is seen soon
        child.stdin.write(canonical.dumps(order) + "\n")
        child.stdin.flush()
    return child


def _path() -> str:
    known = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(Path(HOME)), *([known] if known else [])])


def _wait(store: Any, children: Sequence["subprocess.Popen[str]"], context: Context) -> None:
    """Wait until every process is there; one that ends instead is a fault."""
    last = time.monotonic() + START_S
    for rank, child in enumerate(children, start=1):
        while not store.check([f"ready{rank}"]):
            if context.pause_wanted():
                raise Paused
            if child.poll() is not None or time.monotonic() > last:
                why = f"it did not start in {START_S:g} s"
                raise _reason(store, children) or BenchError(f"a process of the training: {why}")
            time.sleep(POLL_S)


def _reason(store: Any, children: Sequence["subprocess.Popen[str]"]) -> Exception | None:
    """Return why a process ended, where one did."""
    for rank, child in enumerate(children, start=1):
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(1.0)  # the connection closes a little before
        if child.poll() is None:
            continue
        said = store.get(f"fault{rank}").decode() if store.check([f"fault{rank}"]) else ""
        why = said or f"it ended with exit code {child.returncode}"
        kind = MemoryError if store.check([f"memory{rank}"]) else BenchError
        return kind(f"process {rank + 1} of {len(children) + 1} of the training: {why}")
    return None


@contextlib.contextmanager
def _watched(children: Sequence["subprocess.Popen[str]"]) -> Iterator[None]:
    """End this process where another died and it waits for that one, as graphics cards do.

    To break off what the cards do together would let it go on with sums that are none.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_S):
            ends = [(rank, child.poll()) for rank, child in enumerate(children, start=2)]
            dead = [(rank, code) for rank, code in ends if code]
            if dead and not over.wait(LOST_S):
                rank, code = dead[0]
                print(
                    f"bench: process {rank} of {len(children) + 1} of the training ended with exit "
                    f"code {code}, and the first waits for it in vain; run again",
                    file=sys.stderr, flush=True,
                )  # fmt: skip
                os._exit(1)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _end(children: Sequence["subprocess.Popen[str]"]) -> None:
    for child in children:
        assert child.stdin
        with contextlib.suppress(OSError):
            child.stdin.close()
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(END_S)
        if child.poll() is None:
            child.kill()
            child.wait()
