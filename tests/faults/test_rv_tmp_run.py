import contextlib, threading, time, resource
from pathlib import Path
import pytest
from bench import provenance
from bench.runner import Runner
from bench.store import Store
from bench.pool import Stopped

class One:
    seats = 4; timing_seats = 1
    def __init__(self, answer, seats=4): self.answer=answer; self.seats=seats
    def prepare(self, plan, store, *, memory_gib=None): pass
    @contextlib.contextmanager
    def seat(self, planned, go_on): yield self
    def run(self, request, progress):
        time.sleep(getattr(self, "rest", 0.01))
        n = request["cell"][-1]["spec"]["number"]
        base = {"status": "ok", "reason": "", "rows": [{"value": n}], "files": {}, "folder": request["folder"], "made": provenance.made("cpu", 1.0)}
        return {**base, **(self.answer if n == 1 else {})}
    def wind_up(self): pass
    def close(self): pass
    def release(self): pass

@pytest.mark.parametrize("answer", [
    {"status": "weird"}, {"status": "paused"}, {"status": "failed", "rows": [3]}, {"blobs": 3}, {"blobs": {"x": {"sha256": "a"*64, "bytes": 1, "s": "\ud800"}}},
    {"side_effects": ["\ud800"]}, {"side_effects": [float("nan")]},{"files": {"../x": "y"}},{"status":"failed","reason":"x\ud800"},
])
def test_answers(toys, plan_of, tmp_path, answer):
    records = list(Runner(Store(tmp_path/"s"), executor=One(answer)).run(plan_of(toys.number(1), toys.number(2))).values())
    assert [r["rows"] for r in records if r["status"] == "ok"][-1:] == [[{"value": 2}]]
    print(records[0]["status"], records[0]["reason"])

def test_files(toys, plan_of, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    one = One({}, seats=600); one.rest = 1.5
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        records = Runner(Store(tmp_path/"s"), executor=one).run(plan_of(*[toys.number(i) for i in range(2, 602)]))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(records) == 600
