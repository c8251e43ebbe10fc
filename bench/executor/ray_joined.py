"""How a Ray cluster is joined, or started on this machine for one run.

One that is started here listens on the loopback interface alone, asks every caller for a token,
has no dashboard and reports nothing to anybody.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.errors import BenchError, Missing
from bench.executor.needs import TIMING
from bench.executor.ray_cluster import JOIN_S, Cluster, line_of
from bench.executor.ray_home import Home
from bench.inputs import printable
from bench.registry import HOME
from bench.stopping import SIGNALS

CONNECT_S = 10.0
OBJECTS = 80 * 2**20
"""Bytes of Ray's own store: cells pass results on by the store of records."""
LONGEST_FOLDER = 40
"""Characters; Ray puts sockets below it, whose names may have 107."""
OURS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
ALONE = {
    "RAY_AUTH_MODE": "token",
    # Despite its name: "0" has Ray listen on the loopback interface only, on any system.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}
"""What a Ray of our own is started with; Ray reads it when it is imported."""


def opened(address: str | None, workers: int) -> Cluster:
    """Join a cluster, or start one on this machine where no address is given.

    Raises:
        Missing: If Ray is not installed, or nothing answers at the address.
        BenchError: If it refuses this driver: another version, another token.
    """
    cluster = started(workers) if address is None else joined(address)
    try:
        cluster.home = Home.of(cluster.ray)
    except BaseException:
        cluster.leave()
        raise
    return cluster


def started(workers: int) -> Cluster:
    """Start Ray on this machine, for this run alone."""
    token = {} if _has_token() else {"RAY_AUTH_TOKEN": secrets.token_hex(32)}
    ray = _imported({**OURS, **ALONE, **token})
    base = tempfile.gettempdir()
    base = base if len(base) <= LONGEST_FOLDER else "/tmp"
    folder = Path(tempfile.mkdtemp(prefix="mub-", dir=base))
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HOME), before]))
    try:
        settings = {
            "num_cpus": workers,
            "resources": {TIMING: 1},
            "object_store_memory": OBJECTS,
            "_temp_dir": str(folder),
        }
        context = _begun(ray, {**settings, "include_dashboard": False}, "Ray on this machine")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return Cluster(ray, context.dashboard_url or "", folder)


def joined(address: str) -> Cluster:
    """Join a cluster that runs already."""
    if address != "auto":
        _reach(address)
    ray = _imported(OURS)
    context = _begun(ray, {"address": address}, f"the Ray cluster at {printable(address)}")
    return Cluster(ray, context.dashboard_url or "")


def _has_token() -> bool:
    return any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))


def _imported(settings: Mapping[str, str]) -> Any:
    """Import Ray; what it reads from the environment is set before."""
    os.environ.update({name: value for name, value in settings.items() if name in ALONE})
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise Missing(
            "--executor ray: Ray is not installed; pip install 'missing-u-bench[ray]', or use "
            "--executor local"
        ) from error
    _silence()
    return ray


def _silence() -> None:
    """Keep Ray off the standard output, which is ours: it would print a dead node's own log."""
    with contextlib.suppress(ImportError):
        from ray._private import worker

        worker.print_to_stdstream = lambda *about, **how: None


def _reach(address: str) -> None:
    """Find out in seconds whether anything listens at an address."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise BenchError(f"--address {printable(address)}: expected auto or HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise Missing(
            f"nothing answers at --address {printable(address)} ({why}); expected the head of a "
            "Ray cluster: `ray start --head` there"
        ) from error


def _begun(ray: Any, settings: Mapping[str, Any], what: str) -> Any:
    """Call `ray.init`.

    To join a cluster, in a thread of its own: it may wait for minutes. To start one, in this
    thread: what it starts would end with the thread.

    Raises:
        Missing: If it does not answer in time, or there is none.
        BenchError: If it refuses.
    """
    outcome: list[Any] = []

    def begin() -> None:
        quiet = {"log_to_driver": False, "logging_level": "error", "configure_logging": True}
        try:
            outcome.append(ray.init(**settings, **quiet))
        except Exception as error:
            outcome.append(error)

    if "address" in settings:
        thread = threading.Thread(target=begin, daemon=True)
        thread.start()
        thread.join(JOIN_S)
    else:
        with _signals_kept():
            begin()
    if not outcome:
        raise Missing(f"{what} did not answer in {JOIN_S:.0f} s; expected the head of a cluster")
    if isinstance(outcome[0], Exception):
        raise refusal(outcome[0], what) from outcome[0]
    return outcome[0]


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Keep the answer to signals that ask a program to end: Ray brings its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def refusal(error: BaseException, what: str) -> BenchError:
    """Return, in one line for people, why Ray could not be joined or started."""
    text = line_of(error)
    if type(error).__name__ == "AuthenticationError":
        return BenchError(
            f"{what} refused this run's token; expected the cluster's own in RAY_AUTH_TOKEN or "
            "RAY_AUTH_TOKEN_PATH, with RAY_AUTH_MODE=token"
        )
    if "ersion mismatch" in text:
        return BenchError(f"{what} has another version: {text}; install the same on every machine")
    if isinstance(error, ConnectionError) and "ould not find" not in text:  # something is there
        return BenchError(
            f"{what} answers, but not to this run: {text}; expected a Ray cluster whose token is "
            "in RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, with RAY_AUTH_MODE=token"
        )
    if isinstance(error, ConnectionError):
        return Missing(f"{what} was not found: {text}")
    return BenchError(f"{what} could not be used: {type(error).__name__}: {text}")
