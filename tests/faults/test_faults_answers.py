"""Answers that stand for no record are the fault of their cell; the run goes on."""

import contextlib
import resource
import threading

import pytest

from bench import provenance
from bench.executor.logs import brought_home
from bench.limits import open_files
from bench.runner import Runner
from bench.store import Store


class Place:
    """Answers for the cell with number 1 as it is told, for others as they should be."""

    timing_seats = 1

    def __init__(self, answer, seats=2):
        self.answer, self.seats = answer, seats
        self.all_here = threading.Barrier(seats)

    def prepare(self, plan, store, *, memory_gib=None):
        pass

    @contextlib.contextmanager
    def seat(self, planned, go_on):
        yield self

    def run(self, request, progress):
        self.all_here.wait(20)
        number = request["cell"][-1]["spec"]["number"]
        whole = {
            "status": "ok", "reason": "", "rows": [{"value": number}], "files": {},
            "folder": request["folder"], "made": provenance.made("cpu", 1.0),
        }  # fmt: skip
        return {**whole, **(self.answer if number == 1 else {})}

    def wind_up(self):
        pass

    close = release = wind_up


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "splendid"},
        {"status": "paused"},
        {"status": "failed", "rows": [3]},
        {"status": "failed", "side_effects": ["\ud800"]},
        {"side_effects": ["\ud800"]},
        {"files": {"../elsewhere": "x"}},
        {"blobs": 3},
        {"blobs": {"x": {"sha256": "a" * 64, "bytes": 1, "more": "\ud800"}}},
    ],
)
def test_an_answer_that_no_record_can_hold_fails_its_cell_alone(answer, toys, plan_of, tmp_path):
    plan = plan_of(toys.number(1), toys.number(2))
    bad, good = Runner(Store(tmp_path), executor=Place(answer)).run(plan).values()
    assert bad["status"] == "failed" and bad["reason"] and bad["rows"] == []
    assert good["status"] == "ok" and good["rows"] == [{"value": 2}]


@pytest.fixture
def few_files():
    """Let this process hold few files open, though the system would let it hold more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (160, before[1]))
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_more_cells_at_once_than_files_may_be_open(few_files, toys, plan_of, tmp_path):
    """Each holds its lock; a cluster has thousands of seats, many systems let 1,024 files."""
    cells = [toys.number(number) for number in range(2, 202)]
    records = Runner(Store(tmp_path), executor=Place({}, seats=200)).run(plan_of(*cells))
    assert {record["status"] for record in records.values()} == {"ok"}


def test_room_for_files_is_no_more_than_the_system_gives(few_files):
    assert open_files(100) == 100
    assert open_files(few_files + 1) == few_files
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (few_files, few_files)


def test_a_log_that_cannot_be_written_loses_no_answer(tmp_path):
    (tmp_path / "logs").write_text("in the way")
    answer = {"status": "failed", "reason": "a bug", "log": "Traceback", "log_name": "bench-7.log"}
    told = brought_home(answer, {"key": "a" * 64, "store": str(tmp_path)})
    assert told == {"status": "failed", "reason": "a bug"}
