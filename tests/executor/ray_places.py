"""A Ray cluster of several nodes on this machine, with a token."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from bench.registry import HOME

PLUGIN = HOME / "tests" / "plugin"


def prepare_environment():
    """Set what Ray reads when it is imported; all tests of one process use the same."""
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"


class Places:
    """The nodes; the first has the head, and is the driver's."""

    def __init__(self, folder):
        self._folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # holds sockets: short
        self._log = Path(folder)
        self._log.mkdir(parents=True, exist_ok=True)
        self._nodes = []
        self.address = None

    def add(self, cpus, resources='{"timing": 1}', environment=None):
        """Start a node; return its number."""
        head = ["--head", "--port=0", "--include-dashboard=false"]
        where = head if self.address is None else [f"--address={self.address}"]
        with (self._log / f"node-{len(self._nodes)}.log").open("wb") as log:
            node = subprocess.Popen(
                [
                    *(sys.executable, "-m", "ray.scripts.scripts", "start", *where, "--block"),
                    *(f"--num-cpus={cpus}", "--num-gpus=0", f"--resources={resources}"),
                    *("--object-store-memory=80000000", f"--temp-dir={self._folder}"),
                    *("--dashboard-agent-listen-port=0", "--disable-usage-stats"),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        self._nodes.append(node)
        number = len(self._nodes) - 1
        late = time.monotonic() + 60
        address = self._folder / "ray_current_cluster"
        while not (address.exists() and "Ray runtime started" in self.said(number)):
            assert node.poll() is None and time.monotonic() < late, self.said(number)
            time.sleep(0.05)
        if self.address is None:
            self.address = address.read_text().strip()
        return number

    def said(self, number):
        return (self._log / f"node-{number}.log").read_text()

    def kill(self, number, *, alone=False):
        """Kill a node's raylet, as the kernel would; alone, and its other processes live on."""
        if alone:
            self._nodes[number].send_signal(signal.SIGSTOP)
        for child in psutil.Process(self._nodes[number].pid).children(recursive=True):
            if child.name() == "raylet":
                child.kill()

    def close(self):
        for node in reversed(self._nodes):
            family = psutil.Process(node.pid).children(recursive=True) if not node.poll() else []
            node.send_signal(signal.SIGCONT)
            node.terminate()
            try:
                node.wait(10)
            except subprocess.TimeoutExpired:
                node.kill()
                node.wait()
            for process in family:
                with contextlib.suppress(psutil.Error):
                    process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


@contextlib.contextmanager
def places(*cpus, folder):
    """Start nodes with so many processors each."""
    prepare_environment()  # before the import
    pytest.importorskip("ray", reason="Ray is not installed")
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HOME), str(PLUGIN)])
    cluster = Places(folder)
    try:
        for count in cpus:
            cluster.add(count)
        yield cluster
    finally:
        cluster.close()
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
