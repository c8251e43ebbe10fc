"""How long a run will take: work by the specification, pace by the clock, schedule by the graph."""

import json
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.api import Kind
from bench.cli import run_command_line
from bench.forecast import forecast as forecasting
from bench.forecast.calls import calls_of_restoring, calls_of_sampling
from bench.forecast.forecast import Forecast, duration, forecast
from bench.forecast.pace import BATCH, Pace, Seconds
from bench.forecast.schedule import makespan
from bench.forecast.work import Work, work_of
from bench.plan import make_plan, study_for
from bench.registry import build
from bench.registry import sampler as registered_sampler
from bench.runner import Listener
from bench.session import chosen_budget, settle

TINY = ("scale=0.05", "image_size=16", "train.updates=6", "train.batch=4", "train.passes=0")


def plan_of(*words, overrides=TINY):
    budget = chosen_budget("smoke", dataset=None, settings=None, overrides=overrides)
    return make_plan(study_for(budget), words)


def cell(key, uses=(), timing=False):
    return SimpleNamespace(key=key, uses=tuple(uses), cell=SimpleNamespace(timing=timing))


@st.composite
def graphs(draw):
    """Cells, each using some of those before it, and their seconds."""
    count = draw(st.integers(1, 12))
    cells, seconds = [], {}
    for i in range(count):
        uses = draw(st.lists(st.integers(0, i - 1), max_size=2, unique=True)) if i else []
        cells.append(cell(str(i), [str(j) for j in uses]))
        seconds[str(i)] = draw(st.floats(0, 100))
    return cells, seconds


@given(graphs(), st.integers(1, 4))
def test_no_schedule_beats_the_work_or_the_longest_chain_and_this_is_within_grahams_bound(
    graph, workers
):
    cells, seconds = graph
    ends = {}
    for one in cells:
        ends[one.key] = seconds[one.key] + max((ends[used] for used in one.uses), default=0)
    least = max(sum(seconds.values()) / workers, max(ends.values()))
    most = sum(seconds.values()) / workers + (1 - 1 / workers) * max(ends.values())
    assert least - 1e-6 <= makespan(cells, seconds, workers) <= most + 1e-6


def test_timing_cells_run_alone():
    cells = [cell("a"), cell("b"), cell("t", timing=True)]
    assert makespan(cells, {"a": 3.0, "b": 5.0, "t": 2.0}, workers=2) == 7.0


class Counting(torch.nn.Module):
    """Counts the calls of the network."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x_t, step):
        self.calls += 1
        return x_t


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "heun", "dpmpp-2m", "euler"])
def test_calls_of_sampling_are_those_that_are_made(sampler):
    network = Counting()
    denoiser = build("denoiser", "diffusion:unet").__class__(network)
    x, function = torch.zeros(1, 1, 4, 4), registered_sampler(sampler)
    list(denoiser.generate(x, torch.zeros_like, steps=7, sampler=function))
    spec = {"sampler": {"name": sampler}, "denoiser": {"recipe": "authors"}, "steps": 7}
    assert calls_of_sampling(spec) == network.calls


@pytest.mark.parametrize("stride", [1, 7, 50])
def test_calls_of_restoring_are_those_that_are_made(stride):
    network = Counting()
    denoiser = build("denoiser", "diffusion:unet").__class__(network)
    level = build("schedule", "sigmoid").level(50)
    list(denoiser.restore(torch.zeros(1, 1, 4, 4), level, torch.zeros_like, stride=stride))
    spec = {
        "schedule": {"name": "sigmoid"},
        "denoiser": {"recipe": "authors"},
        "t": 50,
        "stride": stride,
    }
    assert calls_of_restoring(spec) == network.calls


def test_work_counts_padding_passes_and_what_is_watched():
    plan = plan_of("table2", overrides=[*TINY, "train.passes=2", "denoising.n_images=20"])
    work = {planned.cell.label: work_of(planned) for planned in plan}
    training = work["train diffusion:unet digits"]
    assert training.updates == 2 * 1400
    assert training.forward == 4 * 397 + 8 * 3 * 12  # the held-out loss, and 8 validations
    restored = work["restore diffusion:unet digits sigmoid t=50"]
    # 20 images in two batches of 16; both readings of 5 states, and 5 combinations
    assert restored == Work(forward=32 * 5, scored=32 * (2 * 5 + 5))
    assert work["canary quality euler midpoint rk4 rk4-classic linear cosine sigmoid"] is None


def test_a_forecast_is_the_work_at_the_pace(monkeypatch):
    monkeypatch.setattr(Pace, "of_denoiser", lambda *_: Seconds(call=0.5, update=2.0))
    monkeypatch.setattr(Pace, "of_scoring", lambda *_: Seconds(call=0.25))
    plan = plan_of("table2", overrides=[*TINY, "denoising.levels=50", "backbones=unet"])
    told = forecast(plan, list(plan.cells), device="cpu", workers=2)
    trained = 0.5 * (4 * 397 + 8 * 3 * 12) + 2.0 * 6 * 4
    restored = 0.5 * 16 * 5 + 0.25 * 16 * (2 * 5 + 5)
    notebook = 0.5 * 4 * 10 + 0.25 * 4 * 11  # four ways, ten calls from step 100 by stride 10
    known = {"canary": 2.0}
    assert told.by_task == known | {"train": trained, "restore": restored, "notebook": notebook}
    assert told.wall_s == trained + restored  # one after the other, the notebook beside
    assert told.untold == 0


@pytest.mark.parametrize(("cores", "places"), [(8, 4), (2, 2)])
def test_processes_of_a_training_share_its_work_as_far_as_there_are_cores(
    monkeypatch, cores, places
):
    monkeypatch.setattr(forecasting, "usable_cores", lambda: cores)
    monkeypatch.setattr(Pace, "of_denoiser", lambda *_: Seconds(call=0.5, update=2.0))
    words = ("denoising.levels=50", "backbones=unet", "train.processes=4", "train.batch=4")
    plan = plan_of("table2", overrides=[*TINY, *words])
    (trained,) = (one.key for one in plan if one.cell.task == "train")
    told = forecast(plan, [trained], device="cpu", workers=2)
    assert told.wall_s == told.seconds[trained] / places == told.by_task["train"] / places


def test_what_is_measured_already_is_not_told():
    plan = plan_of("table2")
    told = forecast(plan, [], device="cpu", workers=2)
    assert (told.seconds, told.wall_s, told.words()) == ({}, 0.0, "")


def test_the_pace_is_that_of_calls_and_updates():
    pace = Pace("cpu")
    spec = {"name": "diffusion:unet", "scale": 0.1, "recipe": "authors"}
    small, large = (pace.of_denoiser(Kind.DENOISER, spec, (1, size)) for size in (16, 64))
    assert 0 < small.call < large.call < large.update
    assert pace.of_denoiser(Kind.DENOISER, dict(spec), (1, 16)) is small
    assert pace.of_denoiser(Kind.DENOISER, {"name": "wiener"}, (1, 16)).update == 0
    assert pace.of_scoring((1, 32)).call > 0
    assert BATCH > 1


def test_what_cannot_be_built_is_not_told_and_the_rest_is():
    plan = plan_of(
        "table4",
        overrides=["denoising.classics=identity,conv-ae", "image_size=24", "backbones=unet"],
    )
    told = forecast(plan, list(plan.cells), device="cpu", workers=1)
    labels = {plan.cells[key].cell.label for key in told.seconds}
    assert "denoise identity digits sigmoid t=50" in labels
    assert "train conv-ae digits sigmoid" not in labels  # 24 is no multiple of 16


@pytest.mark.parametrize("fault", [ZeroDivisionError("a fault of its own"), SystemExit(7)])
def test_a_strangers_fault_is_its_cells_and_not_the_forecasts(monkeypatch, fault, capsys):
    tried = []

    def broken(*_):
        print("what a stranger prints")
        tried.append(1)
        raise fault

    monkeypatch.setattr(Pace, "_denoiser", broken)
    plan = plan_of("table2", overrides=[*TINY, "denoising.levels=50", "backbones=unet"])
    told = forecast(plan, list(plan.cells), device="cpu", workers=2)
    assert (set(told.by_task), told.untold) == ({"canary"}, len(plan) - 1)
    assert len(tried) == 1, "what failed once is not tried again for every cell"
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_a_fresh_run_measures_everything_again(tmp_path):
    budget = chosen_budget(
        "smoke", dataset=None, settings=None, overrides=[*TINY, "backbones=unet"]
    )
    session = settle(["table5"], budget, device="cpu", only="cost unet", out=tmp_path)
    session.measure(Listener(), workers=1, fresh=False)
    assert session.forecast(1).seconds == {}
    assert len(session.forecast(1, fresh=True).seconds) == 1


def test_words():
    told = Forecast({"k": 1.0}, {"train": 7200.0, "restore": 100.0}, 5400.0, 2, 3)
    assert told.words() == (
        "about 1.5 h with 2 workers, from a few calls timed now (train 2.0 h, restore 2 min); "
        "3 other cells, mostly short, are not counted"
    )
    assert [duration(s) for s in (4, 200, 3 * 86400)] == ["4 s", "3 min", "3.0 days"]


def test_a_dry_run_prints_it(capsys, tmp_path):
    sets = [f"--set={one}" for one in (*TINY, "denoising.levels=50", "backbones=cunet")]
    assert run_command_line(["run", "table2", "--dry-run", f"--out={tmp_path}", *sets]) == 0
    assert "with 2 workers, from a few calls timed now (" in capsys.readouterr().out
    argv = ["plan", "table2", "--json", "--workers=1", f"--out={tmp_path}", *sets]
    assert run_command_line(argv) == 0
    lines = json.loads(capsys.readouterr().out)
    told = {line["label"]: line["forecast_s"] for line in lines}
    assert told["train diffusion:cunet digits"] > 0
    assert told["canary quality euler midpoint rk4 rk4-classic linear cosine sigmoid"] == 2.0
