"""Shared by all tests: no network, the machine's lock, a stranger's plug-ins on request."""

import os
import signal
import socket
import sys
from pathlib import Path

import hypothesis
import pytest
import torch

from bench import plan, registry
from bench.locks import machine_lock

hypothesis.settings.register_profile("shared machine", deadline=None)
hypothesis.settings.load_profile("shared machine")

PLUGIN = Path(__file__).parent / "plugin"


@pytest.fixture(scope="session", autouse=True)
def _signals_arrive():
    """Heed the signals that a suite in the background (`&`) inherits as ignored; but nohup's.

    So would every program that the tests start, and programs leave an ignored signal ignored.
    """
    defaults = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    for number, default in defaults.items():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, default)


@pytest.fixture(scope="session", autouse=True)
def _one_machine(tmp_path_factory):
    """Keep timing cells of other runs off while the suite works; its own runs use another lock."""
    with machine_lock(alone=False):
        os.environ["BENCH_LOCK_DIR"] = str(tmp_path_factory.mktemp("locks"))
        yield
        del os.environ["BENCH_LOCK_DIR"]


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Leave the person's cache alone; the processes of one suite share theirs."""
    place = tmp_path_factory.getbasetemp()
    place = place.parent if "PYTEST_XDIST_WORKER" in os.environ else place
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE_DIR", str(place / "cache"))
        yield


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    """Refuse every connection that leaves this machine."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family == socket.AF_UNIX or str(address[0]) in ("127.0.0.1", "::1", "localhost"):
            return connect(self, address)
        raise AssertionError(f"a test opened a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Compute in one thread: what is tested is small, and several workers share the machine."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded():
    """Draw the same numbers whatever tests ran before."""
    torch.manual_seed(0)


@pytest.fixture
def toys(monkeypatch):
    """Install the plug-ins of tests/plugin, here and in worker processes."""
    registry.discover()
    known = dict(registry.ENTRIES)
    monkeypatch.syspath_prepend(str(PLUGIN))
    monkeypatch.setenv("PYTHONPATH", str(PLUGIN))
    registry._discover_entry_points.cache_clear()
    registry.discover()
    yield sys.modules["toys"]
    registry.ENTRIES.clear()
    registry.ENTRIES.update(known)
    sys.modules.pop("toys", None)
    registry._discover_entry_points.cache_clear()


@pytest.fixture
def plan_of():
    """Return what makes a plan of some cells."""
    return lambda *cells: plan.plan_of(cells, purpose="test")
