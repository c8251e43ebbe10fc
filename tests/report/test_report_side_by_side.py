"""Work in several processes: the same results in the same order, and no child left behind."""

import multiprocessing
import os
import threading
from functools import partial

import pytest

from bench.report import side_by_side as module
from bench.report.side_by_side import processes, side_by_side


@pytest.fixture
def two(monkeypatch):
    monkeypatch.setattr(module, "processes", lambda: 2)


def test_results_come_in_order_and_from_other_processes(two):
    jobs = [lambda i=i: (i, os.getpid()) for i in range(5)]
    found = side_by_side(jobs)
    assert [i for i, _ in found] == list(range(5))
    assert os.getpid() not in {pid for _, pid in found}
    assert multiprocessing.active_children() == []


def test_a_fault_is_the_callers(two):
    jobs = [partial(int, "1"), partial(int, "no number"), partial(int, "3")]
    with pytest.raises(ValueError, match="no number"):
        side_by_side(jobs)
    assert multiprocessing.active_children() == []


def test_a_killed_child_costs_time_and_no_result(two):
    here = os.getpid()

    def job() -> int:
        if os.getpid() != here:
            os._exit(9)
        return 7

    assert side_by_side([job, job]) == [7, 7]


def test_nothing_forks_beside_another_thread():
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert processes() == 1
    finally:
        done.set()
        thread.join()


def test_one_job_stays_here():
    assert side_by_side([os.getpid]) == [os.getpid()]
    assert side_by_side([]) == []
