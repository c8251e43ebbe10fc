"""The timing tasks on several networks, some of them broken."""

import gc
import itertools

import pytest
from tasks_timed import FAILING, NETWORK, TIRING, Context, Halved, Halving, Machine, rows_of

from bench.api import Invalid, Kind, Skip
from bench.metrics.memory import reset_peak_rss
from bench.tasks import latency as latency_task
from bench.tasks.block_times import block_times
from bench.tasks.latency import latency


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    """Leave out the collections around each measurement: they take longer than what is timed."""
    monkeypatch.setattr(gc, "collect", lambda: 0)


@pytest.fixture
def clock(monkeypatch):
    """Let only networks take time."""

    def stopwatch(call):
        start = Machine.now
        call()
        return Machine.now - start

    monkeypatch.setattr(latency_task, "stopwatch_for", lambda device: stopwatch)


def test_two_of_one_name_are_both_timed(clock):
    slow, fast = rows_of(latency, {**NETWORK, "seconds": 3.0}, NETWORK)
    assert (slow["latency_s"], fast["latency_s"]) == pytest.approx((3, 1))
    assert (slow["ratio"], fast["ratio"]) == (1, pytest.approx(1 / 3))
    assert slow["ratio_to"] == fast["ratio_to"] == "network"


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (FAILING, "Failing failed on inputs [1, 3, 8, 8], [1]: RuntimeError"),
        (TIRING, "ValueError: no longer at all"),
    ],
)
def test_a_broken_network_leaves_the_others_their_times(clock, broken, words):
    bad, first, second = rows_of(latency, broken, NETWORK, {**NETWORK, "seconds": 2.0})
    assert set(bad) == {"backbone", "scale", "fault", "skipped"} and not bad["skipped"]
    assert bad["fault"].startswith(words) and "\n" not in bad["fault"]
    assert (first["fault"], first["ratio"], first["ratio_to"]) == ("", 1, "network")
    assert second["ratio"] == pytest.approx(2)

    bad, *blocks = rows_of(block_times, broken, NETWORK)
    assert bad["fault"].startswith(words)
    assert {(row["backbone"], row["fault"]) for row in blocks} == {("network", "")}


@pytest.mark.parametrize("task", [latency, block_times])
def test_where_all_are_broken_the_first_says_how(clock, task):
    with pytest.raises(Invalid, match="Failing failed"):
        rows_of(task, FAILING, TIRING)
    with pytest.raises(ValueError, match="no longer"):
        rows_of(task, TIRING, FAILING)


def test_a_network_that_cannot_be_audited_is_no_loss_to_the_others(clock):
    class Once(Context):
        asked = 0

        def build(self, kind, spec):
            self.asked += kind is Kind.BACKBONE
            if self.asked == 3:  # the twin of the first
                raise OSError("gone")
            return super().build(kind, spec)

    unaudited, good = rows_of(latency, NETWORK, NETWORK, context=Once())
    assert "'network' cannot be built for images of 8x8: OSError: gone" in unaudited["fault"]
    assert good["latency_s"] == pytest.approx(1)


def test_evaluations_that_depend_on_the_input_are_no_number_here(clock):
    fixed, adaptive = rows_of(latency, {"name": "solving"}, {"name": "adapting"})
    assert (fixed["nfe"], fixed["latency_per_evaluation_s"]) == (4, pytest.approx(1 / 4))
    assert (adaptive["nfe"], adaptive["latency_per_evaluation_s"]) == (None, None)


def test_memory_is_a_networks_own_whichever_comes_first(clock):
    if not reset_peak_rss():
        pytest.skip("this system does not reset the high-water mark")
    large, small = {**NETWORK, "weights": 12, "needs": 24}, {**NETWORK, "weights": 48}
    first, between, last = rows_of(latency, large, small, large)
    for row in (first, last):
        assert row["peak_memory_mib"] == pytest.approx(36, abs=6)
        assert row["peak_rss_rise_mib"] == pytest.approx(24, abs=6)
    assert first["peak_memory_mib"] == pytest.approx(last["peak_memory_mib"], rel=0.1, abs=2)
    assert between["peak_memory_mib"] == pytest.approx(48, abs=6)
    assert first["peak_rss_reset"] and first["cuda_allocated_mib"] is None


def test_blocks_of_two_of_one_name_add_up(monkeypatch):
    # Every reading lies further from the one before: no two medians are equal by chance.
    readings = itertools.count(1)
    monkeypatch.setattr(
        "bench.tasks.block_times._clock", lambda device: lambda: 1000 * next(readings) ** 3
    )
    rows = rows_of(block_times, NETWORK, NETWORK)
    for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
        *parts, whole = (row["time_s"] for row in half)
        assert sum(parts) == pytest.approx(whole)
        assert [row["block"] for row in half] == ["layer", "unexplained", "whole"]
        assert min(parts) > 0
    assert rows[0]["time_s"] != rows[3]["time_s"]


def test_every_network_may_have_an_engine_of_its_own(clock):
    slow = {**NETWORK, "seconds": 3.0}
    engines = [{"name": "eager"}, {"name": "halving"}, {"name": "eager"}]
    rows = rows_of(latency, slow, slow, NETWORK, engine=engines)
    assert [row["engine"] for row in rows] == ["eager", "halving", "eager"]
    assert [row["latency_s"] for row in rows] == pytest.approx([3, 1.5, 1])
    assert [row["place"] for row in rows] == ["0", "1", "2"]
    assert rows[1]["ratio_to_places"]["2"][0] == pytest.approx(1.5)
    assert set(rows[2]["ratio_to_places"]) == {"0", "1"}
    assert rows[0]["options"] == "seconds=3.0"
    # Rounding of its own is no fault of an engine; it would be one of the plain one.
    assert all(row["audit_passed"] for row in rows)
    assert rows[1]["audit_output_error"] > 1e-6


@pytest.mark.parametrize(("off", "passes"), [(1 + 1e-5, True), (1 + 1e-3, False)])
def test_an_engine_that_says_no_tolerance_may_sum_in_another_order(clock, monkeypatch, off, passes):
    monkeypatch.delattr(Halving, "tolerance")
    monkeypatch.setattr(Halved, "forward", lambda self, x, step: off * self.network(x, step))
    (row,) = rows_of(latency, NETWORK, engine={"name": "halving"})
    assert row["fault"] == "" and row["audit_passed"] is passes


def test_an_engine_that_is_wrong_fails_its_audit(clock, monkeypatch):
    monkeypatch.setattr(Halved, "forward", lambda self, x, step: 1.01 * self.network(x, step))
    (row,) = rows_of(latency, NETWORK, engine={"name": "halving"})
    assert not row["audit_passed"] and "differs from the scored one" in row["audit_fault"]


def test_an_engine_that_cannot_run_here_is_no_loss_to_the_others(clock, monkeypatch):
    def refuse(network, *inputs):
        raise Skip("engine 'halving' needs a GPU")

    monkeypatch.setattr(Halving, "prepare", refuse)
    good, bad = rows_of(latency, NETWORK, NETWORK, engine=[{"name": "eager"}, {"name": "halving"}])
    assert good["fault"] == "" and bad["fault"] == "engine 'halving' needs a GPU"
    assert bad["skipped"]
