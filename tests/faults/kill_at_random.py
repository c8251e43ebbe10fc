"""Kill a run, or one of its workers, at random instants; go on; compare with an undisturbed run.

    python tests/faults/kill_at_random.py --kills 1000                     torch-free cells
    python tests/faults/kill_at_random.py --kills 25 --real OUT            `run all`, smoke budget

After every kill: no record that was there is gone or has changed, no process of the run is left.
After every resumed run: no cell was measured again whose record was there. In the end: the same
cells as an undisturbed run, every deterministic column byte for byte.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench import canonical
from bench.store import Store

HERE = Path(__file__).resolve().parent
PLUGIN = HERE.parent / "plugin"
MARK = "BENCH_KILLED_RUN"
LEDGER = "BENCH_TOY_LEDGER"
GONE_WITHIN_S = 5.0
REAL_SPAN_S, TOY_SPAN_S = 40.0, 0.8


@dataclass
class Tally:
    """What was done and found."""

    kills: dict[str, int] = field(default_factory=lambda: {"run": 0, "worker": 0})
    rounds: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """All kills."""
        return sum(self.kills.values())


@dataclass
class Trial:
    """One kind of run, killed again and again over one store."""

    command: list[str]
    store: Store
    scratch: Path
    span_s: float
    rng: random.Random
    tally: Tally = field(default_factory=Tally)
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def ledger(self) -> Path:
        """Where torch-free cells say that they were measured."""
        return self.scratch / "ledger.txt"

    def start(self) -> subprocess.Popen[bytes]:
        """Start the run; its processes carry a mark in their environment."""
        self.ledger.write_text("")
        environment = {
            **os.environ,
            MARK: self.mark,
            LEDGER: str(self.ledger),
            "PYTHONPATH": os.pathsep.join([str(PLUGIN), str(HERE.parent.parent)]),
            "BENCH_LOCK_DIR": str(self.scratch),
        }
        with (self.scratch / "output.txt").open("a") as output:
            return subprocess.Popen(
                self.command, env=environment, stdout=output, stderr=output, cwd=self.scratch
            )

    def left_behind(self) -> list[psutil.Process]:
        """Return the processes that carry the mark."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark:
                    found.append(process)
            except psutil.Error:
                continue
        return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]

    def records(self) -> dict[str, bytes]:
        """Return the content of every record that says ok."""
        found = {}
        for path in self.store.root.glob("cells/*.json"):
            record = self.store.peek(path.stem)
            if record is None:
                self.tally.faults.append(f"{path.name} is damaged")
            elif record["status"] == "ok":
                found[path.stem] = path.read_bytes()
        return found

    def until_done(self, kills: int) -> None:
        """Kill and go on until the run is done or there were enough kills; then let it finish."""
        known = self.records()
        while True:
            killing = self.tally.total < kills
            code = self._one_run(killing)
            known = self._check(known, killed=code == -signal.SIGKILL)
            if code == 0:
                self.tally.rounds += 1
                return
            if not killing and code != 0:
                self.tally.faults.append(f"the run that nothing disturbed ended with {code}")
                return

    def _one_run(self, killing: bool) -> int:
        """Run once, with kills; return the exit code."""
        process = self.start()
        while killing:
            try:
                return process.wait(self.rng.uniform(0, self.span_s))
            except subprocess.TimeoutExpired:
                pass
            workers = psutil.Process(process.pid).children()
            if workers and self.rng.random() < 0.5:
                try:
                    self.rng.choice(workers).kill()
                    self.tally.kills["worker"] += 1
                except psutil.Error:
                    pass
                continue
            process.kill()
            self.tally.kills["run"] += 1
            break
        return process.wait()

    def _check(self, known: dict[str, bytes], *, killed: bool) -> dict[str, bytes]:
        """Compare the store with what it held before this run."""
        deadline = time.monotonic() + GONE_WITHIN_S
        while (left := self.left_behind()) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.tally.faults += [f"process {process} was left behind" for process in left]
        for process in left:
            process.kill()
        now = self.records()
        for key, content in known.items():
            if now.get(key) != content:
                self.tally.faults.append(f"record {key} was {'changed' if key in now else 'lost'}")
        again = self.ledger.read_text().split()
        held = {str(canonical.loads(content)["spec"].get("number")) for content in known.values()}
        self.tally.faults += [f"cell {number} was measured twice" for number in held & set(again)]
        return now


def essence(record: dict) -> dict:
    """Return what must not depend on how often a run was killed: all but when, where, how long."""
    return {name: value for name, value in record.items() if name not in ("made", "checksum")}


def compare(trial: Trial, reference: Store) -> None:
    """Compare a store with that of an undisturbed run, byte for byte, timings apart."""
    mine = {path.stem for path in trial.store.root.glob("cells/*.json")}
    theirs = {path.stem for path in reference.root.glob("cells/*.json")}
    if mine != theirs:
        trial.tally.faults.append(f"the cells differ: {len(mine ^ theirs)}")
    for key in mine & theirs:
        one, two = trial.store.peek(key), reference.peek(key)
        if one is None or two is None or one["timing"]:
            continue
        if canonical.dumps(essence(one)) != canonical.dumps(essence(two)):
            trial.tally.faults.append(f"'{one['label']}' differs from the undisturbed run")


def torch_free(kills: int, seed: int, scratch: Path) -> Tally:
    """Kill runs of forty torch-free cells, store after store, until there were enough kills."""
    driver = [sys.executable, "-P", str(HERE / "driver.py"), "many-toys"]
    rng = random.Random(seed)
    reference = Store(scratch / "reference")
    tally = Tally()
    calm = Trial([*driver, str(reference.root)], reference, scratch, TOY_SPAN_S, rng, tally)
    calm.until_done(0)
    while tally.total < kills and not tally.faults:
        store = Store(scratch / "store")
        trial = Trial([*driver, str(store.root)], store, scratch, TOY_SPAN_S, rng, tally)
        trial.until_done(kills)
        compare(trial, reference)
        shutil.rmtree(store.root)
    return tally


def real(kills: int, seed: int, out: Path, words: list[str]) -> Tally:
    """Kill `run` with the smoke budget; OUT keeps the undisturbed run for another time."""
    command = [sys.executable, "-P", "-m", "bench", "run", *words]
    rng = random.Random(seed)
    tally = Tally()
    out.mkdir(parents=True, exist_ok=True)
    calm, killed = out / "undisturbed", out / f"killed-{seed}"
    one, two = (
        [*command, "--out", str(place), "--workers", workers]
        for place, workers in ((calm, "1"), (killed, "2"))  # the numbers must not depend on it
    )
    Trial(one, Store(calm), out, REAL_SPAN_S, rng, tally).until_done(0)
    trial = Trial(two, Store(killed), out, REAL_SPAN_S, rng, tally)
    trial.until_done(kills)
    compare(trial, Store(calm))
    return tally


def main() -> int:
    """Parse, kill, tell."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--real", type=Path, metavar="OUT")
    parser.add_argument("--words", nargs="+", default=["all"])
    chosen = parser.parse_args()
    started = time.monotonic()
    if chosen.real:
        tally = real(chosen.kills, chosen.seed, chosen.real.resolve(), chosen.words)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            tally = torch_free(chosen.kills, chosen.seed, Path(scratch))
    took = time.monotonic() - started
    print(
        f"{tally.kills['run']} runs and {tally.kills['worker']} workers killed in {took:.0f} s; "
        f"{tally.rounds} runs completed; {len(tally.faults)} faults"
    )
    print("\n".join(tally.faults[:20]))
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
