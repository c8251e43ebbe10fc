"""What Ray costs and what a dead node costs, on a cluster of two nodes on this machine.

Not collected by pytest. Run from the root of the project:

    python tests/executor/benchmark_ray.py rows      # a smoke run, the same rows as `local`
    python tests/executor/benchmark_ray.py death     # a node is killed in the middle
    python tests/executor/benchmark_ray.py overhead  # cells of five seconds, against `local`
    python tests/executor/benchmark_ray.py empty     # a thousand empty cells, both ways
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import ray_places

from bench import plan, registry
from bench.executor.local import Local
from bench.executor.ray import Ray
from bench.runner import Runner
from bench.store import Store

SMALL = (
    *("train.updates=20", "train.validations=1", "train.batch=8", "scale=0.25"),
    *("generation.steps=[2,3]", "generation.n_generated=20", "generation.n_real=20"),
    *("generation.blocks=2", "timing.repeats=3", "timing.most_s=1"),
)
MEASURED = ("seconds", "step_s", "images_per_s", "milliseconds")


def main():
    """Run the named measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="+", choices=list(WAYS))
    with tempfile.TemporaryDirectory(prefix="ray-") as scratch:
        os.environ.setdefault("BENCH_LOCK_DIR", scratch)
        _install_toys()
        for what in parser.parse_args().what:
            folder = Path(scratch) / what
            folder.mkdir()
            WAYS[what](folder)


def _install_toys():
    sys.path.insert(0, str(ray_places.PLUGIN))
    os.environ["PYTHONPATH"] = str(ray_places.PLUGIN)
    registry.discover()


def timed(executor, cells, folder):
    """Return the seconds that cells take once the executor is there, and their records."""
    runner = Runner(Store(folder), executor=executor)
    started = time.perf_counter()
    records = runner.run(plan.plan_of(cells, purpose="benchmark"))
    return time.perf_counter() - started, records


def both(cells, folder, workers=2):
    """Time cells on this machine's workers and on a Ray of as many."""
    local, records = timed(Local(workers), cells, folder / "local")
    with ray_places.places(1, 1, folder=folder / "r") as cluster:
        there, other = timed(Ray.connected(cluster.address, 1), cells, folder / "ray")
    for each in (records, other):
        assert {record["status"] for record in each.values()} == {"ok"}, each
    return local, there


def overhead(folder, cells=8, seconds=5.0):
    """Print what Ray adds to cells of five seconds."""
    toys = sys.modules["toys"]
    listed = [toys.steps(1, seconds + i / 1000) for i in range(cells)]
    local, there = both(listed, folder)
    print(
        f"overhead: {cells} cells of {seconds:g} s on 2 seats: local {local:.2f} s, "
        f"ray {there:.2f} s, {100 * (there / local - 1):+.1f} %"
    )


def empty(folder, cells=1000):
    """Print what a thousand cells cost that do nothing."""
    toys = sys.modules["toys"]
    local, there = both([toys.number(i) for i in range(cells)], folder)
    print(f"empty: {cells} cells on 2 seats: local {local:.1f} s, ray {there:.1f} s")


def death(folder, cells=24, seconds=1.0):
    """Kill a node while its cells are measured; print what became of the records."""
    toys = sys.modules["toys"]
    listed = [toys.steps(10, seconds / 10 + i / 1e5) for i in range(cells)]
    with ray_places.places(1, 1, folder=folder / "r") as cluster:
        place = Ray.connected(cluster.address, 1)
        print(place.words()[0])
        killer = threading.Timer(6.0, cluster.kill, [1])
        killer.start()
        took, records = timed(place, listed, folder / "store")
    store = Store(folder / "store")
    there = sorted(path.stem for path in (folder / "store" / "cells").iterdir())
    assert there == sorted(records) and len(there) == cells
    assert all(store.get(key)["status"] == "ok" for key in there)
    left = [path for part in ("work", "partial") for path in (folder / "store" / part).iterdir()]
    again = [r["label"] for r in records.values() if r["rows"][0]["taken"] < 10]
    print(
        f"death: {len(records)} cells in {took:.1f} s, {len(there)} records, 0 lost, 0 doubled, "
        f"{len(left)} leftovers; {len(again)} cells went on where the dead node had left them"
    )


def rows(folder, only=os.environ.get("ONLY")):
    """Compare a smoke run on two nodes with the same on this machine, column by column."""
    from bench.session import chosen_budget, settle

    found = {}
    for name in ("local", "ray"):
        budget = chosen_budget("smoke", dataset=None, settings=None, overrides=SMALL)
        with ray_places.places(1, 1, folder=folder / f"r-{name}") as cluster:
            place = Ray.connected(cluster.address, 1) if name == "ray" else Local(2)
            session = settle(
                ["table1", "table5"], budget, device="cpu", only=only, out=folder / name,
                place=place,
            )  # fmt: skip
            for line in place.words():
                print(line)
            started = time.perf_counter()
            run = session.measure(_Silent(), workers=2, fresh=False)
            print(f"rows: {name} took {time.perf_counter() - started:.1f} s")
        found[name] = {record["key"]: record for record in run.records}
    compare(found["local"], found["ray"])


def compare(here, there):
    """Print how the records of two runs differ in what is deterministic."""
    assert here.keys() == there.keys()
    values = differing = 0
    columns = set()
    for key, record in here.items():
        other = there[key]
        assert record["status"] == other["status"], (record, other)
        assert record["files"] == other["files"], record["label"]
        assert len(record["rows"]) == len(other["rows"])
        if record["timing"]:
            continue
        for one, two in zip(record["rows"], other["rows"], strict=True):
            assert one.keys() == two.keys()
            for name in one:
                values += 1
                if one[name] != two[name]:
                    differing += 1
                    columns.add((record["task"], name))
    print(
        f"rows: {len(here)} records on either side, same statuses and files; {values} values of "
        f"quality cells, {differing} differ: {sorted(columns)}"
    )


class _Silent:
    def __getattr__(self, name):
        return lambda *about: None


WAYS = {"rows": rows, "death": death, "overhead": overhead, "empty": empty}

if __name__ == "__main__":
    main()
