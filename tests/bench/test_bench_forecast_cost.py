"""What a plan costs, held against committed records; what an earlier run tells; `bench plan`."""

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.api import BenchError, Cell, Kind
from bench.cli import run_command_line
from bench.executor.needs import processes_of
from bench.forecast.cluster import Cluster
from bench.forecast.cost import Cost, Rates, costs_of
from bench.forecast.earlier import earlier, stated
from bench.forecast.macs import Macs
from bench.forecast.pace import Pace, Seconds
from bench.forecast.scaling import jobs_of, scaled
from bench.forecast.simulation import simulate
from bench.plan import Plan, Planned, make_plan, study_for
from bench.runs import Run, load_run
from bench.session import chosen_budget

REFERENCE = Path(__file__).resolve().parents[2] / "results/reference/digits-smoke"
LEAVING_FILES = ("train", "distil", "sample", "features", "restore", "denoise")
SMALL = ("scale=0.05", "image_size=16", "train.updates=6", "train.batch=4", "train.passes=0")
SETS = [f"--set={one}" for one in SMALL]


@pytest.fixture(autouse=True)
def _paced(monkeypatch):
    """Time nothing: what is asked here is the arithmetic."""
    monkeypatch.setattr(Pace, "_denoiser", lambda *_: Seconds(0.1, 0.3))
    monkeypatch.setattr(Pace, "_scoring", lambda *_: Seconds(0.01))
    monkeypatch.setattr(Pace, "of_features", lambda *_: Seconds(0.01))
    monkeypatch.setattr(Pace, "of_pair", lambda *_: 1e-9)


def plan_of(*words, overrides=SMALL):
    budget = chosen_budget("smoke", dataset=None, settings=None, overrides=overrides)
    return make_plan(study_for(budget), words)


@pytest.fixture(scope="module")
def reference():
    """Return the committed run, and its cells as a plan."""
    run = load_run(REFERENCE)
    records, cells, plan = {r["key"]: r for r in run.records}, {}, Plan()

    def cell(key):
        if key not in cells:
            one = records[key]
            uses = tuple(cell(used) for used in one["uses"])
            cells[key] = Cell(one["task"], one["spec"], uses, timing=one["timing"])
        return cells[key]

    for key, one in records.items():
        made = cell(key)
        plan.cells[key] = Planned(
            key, made, tuple(one["uses"]), frozenset(), basis=one.get("basis", {})
        )
    return run, plan


@pytest.fixture(scope="module")
def macs():
    """Return what is counted once for all of these tests."""
    return Macs()


def few_of_each(plan):
    """Return the first cells of each task that leaves files."""
    of = {task: [one for one in plan if one.cell.task == task] for task in LEAVING_FILES}
    return [one for cells in of.values() for one in cells[:2]]


def test_disk_is_that_of_the_committed_records(reference, macs):
    run, plan = reference
    costs = costs_of(few_of_each(plan), Rates("cpu", macs=macs))
    told, kept = defaultdict(int), defaultdict(int)
    for record in (one for one in run.records if one["key"] in costs):
        told[record["task"]] += costs[record["key"]].kept
        kept[record["task"]] += sum(one["bytes"] for one in record["files"].values())
        kept[record["task"]] += run.store.path(record["key"]).stat().st_size
    for task in LEAVING_FILES:
        assert told[task] == pytest.approx(kept[task], rel=0.08), task


@pytest.mark.parametrize(
    ("name", "published"),
    [("cunet", 2.90e9), pytest.param("unet", 7.21e9, marks=pytest.mark.slow)],
)
def test_macs_are_the_papers(name, published, macs):
    """Table 5, counted by the authors' rule, which leaves some out."""
    spec = {"name": f"diffusion:{name}", "scale": 1.0, "recipe": "authors"}
    found = macs.of_denoiser(Kind.DENOISER, spec, (3, 64))
    assert found.call == pytest.approx(published, rel=0.02)
    assert found.update == pytest.approx(3 * found.call, rel=0.01)
    assert macs.of_denoiser(Kind.DENOISER, dict(spec), (3, 64)) is found


def test_what_is_no_network_makes_no_macs_and_what_fails_is_not_told(macs):
    assert macs.of_denoiser(Kind.DENOISER, {"name": "bm3d-torch"}, (1, 16)).call == 0
    assert macs.of_denoiser(Kind.DENOISER, {"name": "conv-ae"}, (1, 24)) is None
    vae = macs.of_denoiser(Kind.GENERATOR, {"name": "vae", "scale": 0.1}, (1, 16))
    assert vae.update > vae.call > 0


def test_a_throughput_turns_macs_into_seconds_and_leaves_filters_on_the_cpu():
    plan = plan_of(
        "table4", overrides=[*SMALL, "backbones=unet", "denoising.classics=bm3d-torch,dncnn"]
    )
    costs = {
        plan.cells[key].cell.label: cost
        for key, cost in costs_of(plan, Rates("cpu", macs_per_s=1e6)).items()
    }
    trained = costs["train diffusion:unet digits"]
    assert trained.macs > 0 and trained.seconds == pytest.approx(trained.macs / 1e6)
    assert trained.host_s == 0
    filtered = costs["denoise bm3d-torch digits sigmoid t=50"]
    assert filtered.seconds == filtered.host_s == pytest.approx(16 * 0.1 + 16 * 0.01)


def test_what_is_taken_from_a_set_takes_one_worker():
    training = {"training": {"processes": 8}}
    assert processes_of(Cell("train", training)) == 8
    assert processes_of(Cell("train", {**training, "checkpoint": {}})) == 1, "it is not trained"


def test_data_that_are_not_here_cost_what_they_would(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    overrides = [*SMALL, "dataset=celeba"]
    plan = plan_of("table1", overrides=overrides)
    assert any(planned.unavailable for planned in plan)
    costs = costs_of(plan, Rates("cpu", macs_per_s=1e9))
    assert all(cost.seconds is not None for cost in costs.values())
    assert sum(cost.images for cost in costs.values()) > 0


# ------------------------------------------------------------------ earlier runs


def test_an_earlier_run_gives_the_times_of_its_cells(reference, macs):
    run, plan = reference
    found = earlier([run], plan, device="cpu")
    assert found.seconds == {
        r["key"]: r["made"]["seconds"] for r in run.records if r["made"]["seconds"] > 0
    }
    assert found.throughput is None
    assert earlier([run], plan, device="cuda").seconds == {}
    costs = costs_of(few_of_each(plan), Rates("cpu", known=found.seconds, macs=macs))
    assert {key: cost.seconds for key, cost in costs.items()}.items() <= found.seconds.items()
    assert all(cost.measured for cost in costs.values())


def test_a_training_in_several_processes_is_foretold_as_long_as_it_took():
    """Its record says how long all of them were at work."""
    plan = plan_of("table4", overrides=[*SMALL, "backbones=unet", "train.processes=4"])
    label = "train diffusion:unet digits"
    (trained,) = (one for one in plan if one.cell.label == label)
    costs = costs_of([trained], Rates("cpu", macs_per_s=1e6, known={trained.key: 30.0}))
    assert costs[trained.key].seconds == 120.0
    (job,) = jobs_of(Plan({trained.key: trained}), costs)
    assert Cluster(workers=4).piece_s(job) == 30.0
    assert Cluster(workers=2).piece_s(job) == 60.0
    assert simulate([job], Cluster(workers=8)).wall_s == 30.0


def test_cells_are_known_again_by_what_they_are_and_not_by_their_code(reference):
    run, plan = reference
    names = {key: f"{number:064x}" for number, key in enumerate(plan.cells)}
    other = Plan()
    for one in plan:
        key, uses = names[one.key], tuple(names[used] for used in one.uses)
        other.cells[key] = replace(one, key=key, uses=uses)
    found = earlier([run], other, device="cpu").seconds
    expected = earlier([run], plan, device="cpu").seconds
    assert found == {names[key]: value for key, value in expected.items()}


def record(**more):
    about = {"key": "0" * 64, "task": "latency", "spec": {}, "uses": [], "status": "ok"}
    return {**about, "made": {"device": "cuda", "seconds": 1.0}, "rows": [], **more}


def run_of(*records):
    return Run(Path("a-run"), {}, tuple(records), SimpleNamespace())


def test_a_gpus_throughput_is_the_highest_that_was_timed_as_it_is():
    rows = [
        {"engine": "eager", "gmacs_torch": 7.0, "latency_s": 0.01, "batch": 1, "backbone": "unet"},
        {"engine": "eager", "gmacs_torch": 700.0, "latency_s": 0.1, "batch": 100},
        {"engine": "packed+dtype=bfloat16", "gmacs_torch": 7000.0, "latency_s": 0.1},
        {"engine": "eager", "gmacs_torch": None, "latency_s": 0.0},
        {"engine": "eager", "gmacs_torch": "7", "latency_s": True},
    ]
    found = earlier([run_of(record(rows=rows))], plan_of("table5"), device="cpu").throughput
    assert found.macs_per_s == pytest.approx(7e12)
    assert "timed on a GPU by a-run" in found.source and "batches of 100" in found.source


@pytest.mark.parametrize(
    "strange",
    [
        record(made={"device": "cpu", "seconds": 1.0}, rows=[{"engine": "eager"}]),
        record(uses=["0" * 64]),  # uses itself
        record(uses=["1" * 64]),
        record(status="failed"),
    ],
)
def test_a_run_that_says_nothing_about_the_plan_is_refused(strange):
    with pytest.raises(BenchError, match="--run a-run: none of its 1 cells is in this plan of"):
        earlier([run_of(strange)], plan_of("table5", overrides=[*SMALL]), device="cpu")


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "fast", "1e13 MAC/s", ""])
def test_a_throughput_is_a_number_above_0(text):
    with pytest.raises(BenchError, match="expected the multiply-adds that one device makes"):
        stated(text)


# ------------------------------------------------------------------ what limits


def test_what_limits_is_named():
    plan = plan_of("table1", overrides=[*SMALL, "backbones=unet", "generation.steps=5"])
    labels = {one.key: one.cell.label for one in plan}

    def limit(workers, seconds=None, **about):
        times = seconds or {}
        costs = {
            one.key: Cost(
                seconds=times.get(one.cell.task, 0.0), parts=10 if one.cell.task == "sample" else 1
            )
            for one in plan
        }
        found = scaled(jobs_of(plan, costs), labels, Cluster(1, per_node=4, **about), [workers])
        return found[0].limit

    assert limit(1, {"train": 5.0}) == "the work itself"
    assert limit(4, {"train": 7200.0, "sample": 60.0}) == (
        "one cell: train diffusion:unet digits, 2.0 h of a chain of 2.0 h"
    )
    assert limit(4, {"train": 60.0, "sample": 60.0, "features": 60.0}).startswith(
        "a chain of 3 min: train diffusion:unet digits > sample"
    )
    timed = limit(4, {"train": 1.0, "latency": 100.0})
    assert timed == "timings, each alone on a node: 2 min, 2 cells"
    failing = {"failures_per_hour": 2.0, "seed": 1}
    assert limit(1, {"train": 7200.0}, **failing).startswith("failures: ")


def test_copies_share_what_does_not_depend_on_data():
    plan = plan_of("table1")
    costs = dict.fromkeys(plan.cells, Cost(seconds=1.0))
    once, thrice = (jobs_of(plan, costs, copies=copies) for copies in (1, 3))
    apart = {"canary", "latency"}
    shared = sum(one.cell.task in apart for one in plan)
    assert len(thrice) == 3 * (len(once) - shared) + shared
    keys = {job.key for job in thrice}
    assert len(keys) == len(thrice)
    assert all(used in keys for job in thrice for used in job.uses)


# ------------------------------------------------------------------ the command


def planned(capsys, *words):
    code = run_command_line(["plan", *words])
    return code, capsys.readouterr()


def test_a_long_plan_is_summed_up_and_a_short_one_listed(capsys, tmp_path, monkeypatch):
    out = f"--out={tmp_path}"
    code, said = planned(capsys, "table5", out)
    assert code == 0
    assert "cost unet " in said.out and "together" in said.out
    assert "GPU-hours need --throughput" in said.out
    monkeypatch.setattr("bench.commands.planning.FEW", 5)
    code, said = planned(capsys, "table5", out)
    assert "cost unet " not in said.out and "16 cells, 16 to do" in said.out
    code, said = planned(capsys, "table5", "--cells", out)
    assert "cost unet " in said.out


@pytest.mark.slow
def test_gpus_are_played_through(capsys, tmp_path):
    words = ("table1", "--throughput=1e6", "--gpus=1,8", f"--out={tmp_path}", *SETS)
    code, said = planned(capsys, *words, "--shards=4", "--failures=0.001", "--kept=5", "--copies=2")
    assert code == 0
    assert "2 times over" in said.out and "times: 1e+06 MAC/s, as --throughput states" in said.out
    assert "8 GPUs: cells cut into up to 4 shards, 0.001 failures of a node an hour" in said.out
    code, said = planned(capsys, *words, "--json")
    whole = json.loads(said.out)
    assert {"cells", "tasks", "scaling", "untold", "times"} <= whole.keys()
    first, last = whole["scaling"]
    assert (first["workers"], last["workers"]) == (1, 8)
    assert first["busy"] > 0.99 and last["wall_s"] < first["wall_s"]
    assert sum(one["macs"] for one in whole["cells"]) == pytest.approx(
        sum(one["macs"] for one in whole["tasks"].values())
    )


@pytest.mark.slow
def test_a_plot_is_written(capsys, tmp_path):
    file = tmp_path / "scaling.svg"
    words = ("table1", "--throughput=1e6", "--gpus=1,8", f"--out={tmp_path}", *SETS)
    failing = ("--failures=0.01", "--kept=5")
    assert planned(capsys, *words, *failing, f"--plot={file}")[0] == 0
    assert file.read_text().startswith("<?xml")
    code, said = planned(capsys, *words, f"--plot={tmp_path / 'scaling.gif'}")
    assert code == 2 and "expected a name that ends in .svg" in said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--throughput=0"], "expected the multiply-adds"),
        (["--throughput=fast"], "expected the multiply-adds"),
        (["--gpus=0"], "--gpus '0': expected numbers from 1"),
        (["--gpus=1,,8"], "expected numbers from 1"),
        (["--gpus=8", "--failures=-1", "--throughput=1e9"], "failures -1.0 an hour"),
        (["--gpus=8", "--kept=0", "--throughput=1e9"], "expected a time above 0"),
        (["--failures=-1"], "failures -1.0 an hour"),
        (["--failures=nan"], "failures nan an hour"),
        (["--kept=-5"], "expected a time above 0"),
        (["--per-node=0"], "--per-node"),
        (["--only=nothing-like-it"], "matches no cell"),
        (["--run=/nowhere"], "no run in /nowhere"),
        ([f"--run={REFERENCE}", "--set=seed=7", "--only=latency*"], "is in this plan of"),
    ],
)
def test_what_cannot_be_asked_is_one_line(words, said, capsys, tmp_path):
    code, told = planned(capsys, "table1", f"--out={tmp_path}", *SETS, *words)
    assert code == 2
    assert said in told.err and told.err.count("\n") == 1
