"""Which studies have a judge, what its key is made of, and what it is forecast to take."""

from types import SimpleNamespace

import pytest

from bench.budget import load_budget
from bench.data.digits import Digits
from bench.forecast.cost import Rates, costs_of
from bench.forecast.macs import Macs
from bench.forecast.pace import Pace, Seconds
from bench.forecast.work import Work, work_of
from bench.outcome import exit_code, lacking
from bench.plan import Plan, make_plan, study_for
from bench.registry import names

TASKS = ("judge", "judged")


def planned(*settings, experiment="table1"):
    return make_plan(study_for(load_budget("smoke", settings)), [experiment])


@pytest.fixture(scope="module")
def plan():
    return planned()


def of(plan, *tasks):
    return [one for one in plan if one.cell.task in tasks]


def test_every_set_of_table_1_is_judged_by_one_judge(plan):
    (judge,) = of(plan, "judge")
    cells = of(plan, "judged")
    about = {(one.cell.spec["denoiser"]["name"], one.cell.spec["steps"]) for one in cells}
    networks = ("diffusion:unet", "diffusion:cunet")
    assert about == {(name, steps) for name in networks for steps in (5, 10, 20, 50)}
    assert len(cells) == 8
    for one in cells:
        used, made = one.uses
        assert used == judge.key
        assert plan.cells[made].cell.task == "sample"
        assert plan.cells[made].cell.spec["steps"] == one.cell.spec["steps"]


@pytest.mark.parametrize("name", sorted({*names("dataset")} - {"folder", "gaussian"}))
def test_only_data_with_labels_have_a_judge(name, monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path))
    expected = name in ("digits", "mnist", "fashion-mnist", "cifar10")
    assert bool(of(planned(f"dataset={name}"), *TASKS)) == expected


def test_labels_are_in_the_keys_of_what_reads_them_alone(plan, monkeypatch):
    monkeypatch.setattr(
        Digits, "labels_manifest", lambda self: {"files": {"x": "0"}, "classes": 10}
    )
    other = planned()
    mine, theirs = ({one.key for one in of(p, *TASKS)} for p in (plan, other))
    assert len(mine) == len(theirs) == 9 and not mine & theirs
    assert set(plan.cells) - mine == set(other.cells) - theirs


def test_a_judge_is_no_matter_of_the_budgets_seed_or_width(plan):
    (one,), (other,) = (of(p, "judge") for p in (plan, planned("seed=3", "scale=0.1")))
    assert one.key == other.key


def test_its_work_is_told(plan, monkeypatch):
    monkeypatch.setattr(Pace, "of_judge", lambda *_: Seconds(call=0.001, update=0.01))
    (judge,), judged = of(plan, "judge"), of(plan, "judged")
    assert work_of(judge) == Work(judged=397, taught=8 * 1400)
    assert {work_of(one) for one in judged} == {Work(judged=192)}
    some = Plan({one.key: one for one in (judge, judged[0])})
    for rates in (Rates("cpu"), Rates("cuda", macs_per_s=1e12)):  # on the CPU either way
        cost, one = costs_of(some, rates).values()
        assert cost.seconds == cost.host_s == pytest.approx(0.397 + 112)
        assert one.seconds == pytest.approx(0.192)
        assert cost.images == 397 + 8 * 1400
        assert cost.macs > 1e9 and cost.kept == pytest.approx(366_000, rel=0.02)


def test_the_pace_and_the_sums_are_those_of_its_network():
    counted = Macs().of_judge((1, 32))
    # 16x16 outputs of 5x5, 8x8 of 3x3 on 16 and 32 channels, 1024 x 64, 64 x 10
    assert counted.call == 256 * 400 + 64 * (32 * 144 + 64 * 288) + 1024 * 64 + 640
    assert 2.5 * counted.call < counted.update < 3 * counted.call
    timed = Pace("cpu").of_judge((1, 64))
    assert 0 < timed.call < timed.update


def test_labels_that_are_not_here_are_told_and_make_the_exit_code_69():
    session = SimpleNamespace(plan=[], shared=None)
    good = {"key": "a", "task": "sample", "status": "ok", "uses": [], "reason": ""}
    reason = "no mnist/train-labels-idx1-ubyte.gz; run `python -m bench fetch mnist`"
    judge = {**good, "key": "b", "task": "judge", "status": "skipped", "reason": reason}
    for records, missing in (([good], []), ([good, judge], [reason])):
        run = SimpleNamespace(records=records, manifest={})
        assert lacking(session, run) == missing
        assert exit_code(session, run) == (69 if missing else 0)
