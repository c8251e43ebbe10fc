import os
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import temporary
from bench.api import Cell, Kind
from bench.budget import load_budget
from bench.jobs import LEAST, Job, Shown, jobs_of, order_of, shares_of
from bench.plan import Planned, study_for
from bench.registry import entries, find
from bench.renewal import Renewal
from bench.shards import BLOCKS, count_of, share_of
from bench.temporary import temporary_beside


@given(st.integers(0, 2000), st.integers(1, 200))
def test_shares_are_all_blocks_in_order_and_equal_but_for_one(blocks, shares):
    parts = [share_of(blocks, index, shares) for index in range(shares)]
    assert [block for part in parts for block in part] == list(range(blocks))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(0, 1000), st.integers(1, 99))
def test_blocks_are_counted_as_they_are_cut(items, size):
    assert count_of(items, size) == len(range(0, items, size))


# ------------------------------------------------------------------ which cells


def test_a_cell_has_no_more_shares_than_its_blocks_are_worth(toys):
    found = [shares_of(toys.shares(blocks), 5) for blocks in range(0, 26)]
    assert found == [0] * 2 * LEAST + [2] * 4 + [3] * 4 + [4] * 4 + [5] * 6


def test_some_cells_have_none(toys):
    plain, timed = toys.shares(64), Cell("toy-shares", dict(toys.shares(64).spec), timing=True)
    assert shares_of(plain, 4) == 4
    assert shares_of(timed, 4) == 0
    assert shares_of(toys.number(1), 4) == 0  # declares nothing
    assert shares_of(Cell("toy-shares", {}), 4) == 0  # whose rule fails


def test_every_rule_knows_every_cell_that_experiments_plan():
    """A rule that fails is passed over: nobody would hear of it."""
    study, seen = study_for(load_budget("smoke")), {}
    for entry in entries(Kind.EXPERIMENT):
        todo = list(find(Kind.EXPERIMENT, entry.name).build(study))
        known = set()
        while todo:
            cell = todo.pop()
            if id(cell) in known:
                continue
            known.add(id(cell))
            todo += cell.uses
            rule = getattr(find(Kind.TASK, cell.task).build, BLOCKS, None)
            if rule is not None:
                seen.setdefault(cell.task, set()).add(int(rule(cell)))
    declared = {e.name for e in entries(Kind.TASK) if hasattr(e.build, BLOCKS)}
    assert seen.keys() == declared >= {"sample", "features", "restore", "denoise"}
    assert all(min(found) >= 1 for found in seen.values())


def planned(key, cell, *uses):
    return Planned(key, cell, uses, frozenset())


def test_shares_come_after_what_the_cell_uses_and_before_it(toys):
    cells = [planned("a", toys.number(1)), planned("b", toys.shares(8), "a", "elsewhere")]
    cells.append(planned("c", toys.shares(8), "b"))
    jobs = jobs_of(cells, 2, lambda planned: planned.key != "c")
    assert order_of(jobs) == {
        "a": set(), "b 0": {"a"}, "b 1": {"a"}, "b": {"a", "b 0", "b 1"}, "c": {"b"},
    }  # fmt: skip
    assert jobs["b 1"] == Job(cells[1], (1, 2))
    assert list(jobs_of(cells, 1, lambda planned: True)) == ["a", "b", "c"]


def test_progress_of_shares_adds_up(toys):
    cell, shown = planned("a", toys.shares(8)), Shown()
    first, second = (Job(cell, (index, 2)) for index in range(2))
    assert [shown.is_first("a"), shown.is_first("a"), shown.is_first("b")] == [True, False, True]
    told = [shown.done(first, 3), shown.done(second, 2), shown.done(first, 4)]
    assert told == [3, 5, 6] and shown.done(Job(cell), 1) == 1


def test_what_is_half_done_is_dropped_once_however_many_begin(tmp_path):
    dropped, renewal = [], Renewal(tmp_path / "renewal")
    begin = threading.Barrier(8)

    def drop():
        time.sleep(0.02)
        dropped.append(1)

    def share():
        begin.wait()
        renewal.begin("key", drop)

    threads = [threading.Thread(target=share) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    Renewal(tmp_path / "renewal").begin("key", drop)  # the same run, begun again
    assert dropped == [1]


# ------------------------------------------------------------------ temporary files


def left_by(path, owner):
    left = path.with_name(f".{path.name}.{owner}.part")
    left.write_bytes(b"half")
    return left


@pytest.fixture
def dead():
    """Return the number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


def test_processes_write_under_different_names(tmp_path):
    path = tmp_path / "0.safetensors"
    code = "import sys; from pathlib import Path; from bench.temporary import temporary_beside; "
    code += "print(temporary_beside(Path(sys.argv[1])))"
    told = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    mine = temporary_beside(path)
    assert told.stdout.strip() and told.stdout.strip() != str(mine)
    assert mine == temporary_beside(path) and mine.parent == tmp_path


def test_what_killed_processes_left_goes_and_what_others_write_stays(tmp_path, dead):
    path, here = tmp_path / "0.safetensors", temporary._here()
    own = left_by(path, f"{here}-{os.getpid()}")
    killed = left_by(path, f"{here}-{dead}")
    alive = left_by(path, f"{here}-{os.getppid()}")
    elsewhere, old = left_by(path, f"0123abcd-{dead}"), left_by(path, f"4567abcd-{dead}")
    strange = left_by(path, "what is this")
    long_ago = time.time() - temporary.STALE_S - 9
    os.utime(old, (long_ago, long_ago))
    other = left_by(tmp_path / "1.safetensors", f"{here}-{dead}")
    assert temporary_beside(path) == own
    assert not any(one.exists() for one in (own, killed, old))
    assert all(one.exists() for one in (alive, elsewhere, strange, other))
