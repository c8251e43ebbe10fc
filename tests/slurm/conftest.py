"""A Slurm of two nodes on this machine: Debian's packages, everything in a scratch folder.

`apt-get install slurm-wlm munge` installs it (`systemctl disable --now slurmctld slurmd munge`
where the packages start services of their own; these here use other ports, keys and sockets).
It runs as whoever runs the tests, on loopback alone, and ends with them, killed or not.
"""

import contextlib
import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from bench.registry import HOME

NEEDED = ("slurmctld", "slurmd", "munged", "sbatch", "setpriv")
SCRIPT = HOME / "docs" / "slurm" / "bench.sbatch"
NODES = ("one", "two")
CPUS = 2
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={home}/munge.socket,cred_expire=5
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool-%n
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
SlurmdParameters=config_overrides
ReturnToService=2
FirstJobId={first}
KillWait=5
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
"""


@dataclass(frozen=True)
class Job:
    """A job that was submitted."""

    cluster: "Cluster"
    number: str

    @property
    def output(self) -> str:
        """What it has written."""
        path = self.cluster.home / f"{self.number}.out"
        return path.read_text() if path.exists() else ""

    def field(self, name: str) -> str:
        """Return what Slurm says of it."""
        words = self.cluster.ask("scontrol", "show", "job", self.number, "--oneliner").split()
        return dict(word.partition("=")[::2] for word in words)[name]

    def wait_for(self, text: str, limit_s: float = 90.0) -> None:
        """Wait until it has written something."""
        self.cluster.until(lambda: text in self.output or self.ended(), limit_s, text)
        assert text in self.output, self.output

    def code(self, limit_s: float = 120.0) -> int:
        """Return its exit code, once it has ended."""
        self.cluster.until(self.ended, limit_s, "an end")
        return int(self.field("ExitCode").partition(":")[0])

    def ended(self) -> bool:
        """Return whether it has ended."""
        return self.field("JobState") in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT")

    def signal(self, name: str) -> None:
        """Send a signal to the script alone, as `--signal=B:` does before the time limit."""
        self.cluster.ask("scancel", "--batch", f"--signal={name}", self.number)


@dataclass(frozen=True)
class Cluster:
    """Slurm's daemons, and how to reach them."""

    home: Path
    environment: dict[str, str]

    def ask(self, *command: str) -> str:
        """Return what one of Slurm's commands answers."""
        return subprocess.run(
            command, env=self.environment, check=True, capture_output=True, text=True, timeout=60
        ).stdout

    def submit(self, *words: str, options: tuple[str, ...] = (), **environment: str) -> Job:
        """Submit the script with words behind it and Slurm's options before it."""
        answer = subprocess.run(
            ["sbatch", "--parsable", f"--output={self.home}/%j.out", f"--chdir={self.home}",
             *options, str(SCRIPT), *words],
            env=self.environment | environment, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return Job(self, answer.stdout.strip())

    @staticmethod
    def until(found, limit_s: float, otherwise: str) -> None:
        """Wait until something is so."""
        last = time.monotonic() + limit_s
        while not found():
            assert time.monotonic() < last, f"not within {limit_s:g} s: {otherwise}"
            time.sleep(0.2)

    def processes(self) -> list[psutil.Process]:
        """Return the daemons, and what runs in jobs."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("SLURM_CONF") == self.environment["SLURM_CONF"]:
                    found.append(process)
        return found


def _ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        servers = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [server.getsockname()[1] for server in servers]


@contextlib.contextmanager
def _started(home: Path) -> Iterator[Cluster]:
    ports, host = _ports(3), socket.gethostname().partition(".")[0]
    (home / "state").mkdir()
    text = CONFIGURATION.format(
        home=home, ports=ports, host=host, user=getpass.getuser(),
        first=1 + secrets.randbelow(10**7),  # jobs name folders, and two Slurms may be tested here
    )  # fmt: skip
    for name, port in zip(NODES, ports[1:], strict=True):
        text += f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={CPUS}\n"
    (home / "slurm.conf").write_text(text + "PartitionName=all Nodes=ALL Default=YES\n")
    key = home / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"SLURM_CONF": str(home / "slurm.conf"), "PATH": path}
    environment["PYTHONPATH"] = str(HOME)
    cluster = Cluster(home, environment)
    munge = [f"--{name}={home}/munge.{name.partition('-')[0]}" for name in (
        "key-file", "socket", "pid-file", "seed-file", "log-file",
    )]  # fmt: skip
    daemons = [
        ["munged", "--foreground", "--force", *munge],
        ["slurmctld", "-D"],
        *(["slurmd", "-D", "-N", name] for name in NODES),
    ]
    try:
        for command in daemons:
            _daemon(command, cluster)
        cluster.until(lambda: _idle(cluster), 30.0, "idle nodes")
        yield cluster
    finally:
        _end(cluster)


def _daemon(command: list[str], cluster: Cluster) -> None:
    with (cluster.home / f"{command[0]}.log").open("a") as log:
        # It hears the end of the process that started it, however that ends.
        subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command], env=cluster.environment,
            stdout=log, stderr=log, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    if command[0] == "munged":
        cluster.until((cluster.home / "munge.socket").exists, 10.0, "munge's socket")


def _idle(cluster: Cluster) -> bool:
    with contextlib.suppress(subprocess.CalledProcessError):
        states = cluster.ask("sinfo", "--Node", "--noheader", "--format=%T").split()
        return states == ["idle"] * len(NODES)
    return False


def _end(cluster: Cluster) -> None:
    with contextlib.suppress(subprocess.SubprocessError, AssertionError):
        cluster.ask("scancel", "--full", "--signal=KILL", f"--user={getpass.getuser()}")
        cluster.until(lambda: not cluster.ask("squeue", "--noheader"), 10.0, "an empty queue")
    for process in cluster.processes():
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGKILL)
    psutil.wait_procs(cluster.processes(), timeout=10)


@pytest.fixture(scope="session")
def slurm():
    """A running Slurm; skipped where it is not installed."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)} here: apt-get install slurm-wlm munge")
    pytest.importorskip("ray", reason="needs the extra 'ray'")
    home = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # short: it holds sockets
    try:
        with _started(home) as cluster:
            yield cluster
    finally:
        shutil.rmtree(home, ignore_errors=True)
