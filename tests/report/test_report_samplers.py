"""Samplers and training: tables, figures, and what may stand on a Pareto front."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_builder import FakeRun
from report_sampled import sampled_run

from bench.report import fig_samplers
from bench.report.fig_samplers import draw_sampler_images, draw_samplers
from bench.report.fig_samples import draw_samples
from bench.report.formats import to_csv, to_latex, to_markdown
from bench.report.pareto import front
from bench.report.samplers import samplers
from bench.report.table1 import table1
from bench.report.table4 import denoised
from bench.report.tables import tables
from bench.report.training import THIRDS, third_of, training
from bench.report.ways import tried

few = st.integers(0, 4).map(float)
points = st.lists(st.tuples(few, few) | st.tuples(st.floats(0, 9), st.floats(-9, 9)), max_size=12)


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    return sampled_run(tmp_path_factory.mktemp("sampled"))


@pytest.fixture(scope="module")
def found(sampled):
    (group,) = tried(sampled).values()
    return group


def body(table):
    return [dict(zip(table.layout.columns, row, strict=True)) for row in table.layout.values]


# ------------------------------------------------------------------ Pareto


@given(points)
def test_the_front_is_what_nothing_beats(them):
    def beats(a, b):
        return a[0] <= b[0] and a[1] <= b[1] and a != b

    expected = {i for i, b in enumerate(them) if not any(beats(a, b) for a in them)}
    got = front(them)
    assert set(got) == expected and len(got) == len(expected)
    assert [them[i][0] for i in got] == sorted(them[i][0] for i in got)


@given(points, st.randoms())
def test_the_front_does_not_depend_on_the_order(them, random):
    shuffled = random.sample(them, len(them))
    assert sorted(them[i] for i in front(them)) == sorted(shuffled[i] for i in front(shuffled))


# ------------------------------------------------------------------ samplers


def test_time_is_calls_times_the_latency_of_the_same_network(found, sampled):
    rows = sampled.rows[(sampled.rows["task"] == "latency") & (sampled.rows["image_size"] == 32)]
    latency = rows.set_index("backbone")["latency_s"]
    for one in found:
        assert one.time.value == pytest.approx(one.calls * latency[one.backbone])
        assert one.time.low < one.time.value < one.time.high
        assert one.evaluations == (36 * one.calls if one.backbone == "cunet" else 0)
    heun = [one for one in found if one.name == "Heun"]
    assert [(one.steps, one.calls) for one in heun[:3]] == [(5, 9), (10, 19), (20, 39)]


def test_controls_win_nothing_and_are_named(found, sampled):
    leaking = [one for one in found if one.leaks]
    assert len(leaking) == 6 and not any(one.optimal for one in leaking)
    table = samplers(sampled)
    shown = [row for row in body(table) if "(control: leaks)" in row["", "", "Sampler"]]
    assert len(shown) == 6
    assert {row["", "Pareto-optimal", "ours"] for row in shown} == {"control"}
    assert not any("**" in text for row in shown for text in row.values())
    assert any("leakage" in note for note in table.notes)


def test_a_control_that_would_win_does_not(sampled):
    rows = sampled.rows.copy()
    rows.loc[rows["generator"] == "blurred-train", ["kid", "frechet"]] = 1e-9
    (group,) = tried(FakeRun(sampled.manifest, rows, sampled.folder)).values()
    best = [one for one in group if one.optimal]
    assert best and not any(one.leaks for one in best)


def test_the_front_is_by_hand(found):
    """Made up: distance (3 + rank) / steps, the student 0.5 at 4 steps, the cU-Net 0.1 worse."""
    by_calls = [(one.backbone, one.name, one.steps) for one in found if "calls" in one.optimal]
    assert by_calls == [("unet", "DDPM", 10), ("unet", "DDPM", 20), ("unet", "DDIM, distilled", 4)]


def test_the_kernel_distance_leads_where_images_are_few(sampled):
    table = samplers(sampled)
    first = body(table)[0]
    assert first["Fréchet distance (alexnet)", "value", "ours"] == "(60.00)"
    assert first["KID (alexnet)", "value", "ours"] == "0.6000"
    assert any("KID leads" in note for note in table.notes)


def test_names_say_everything_that_differs(found):
    names = {one.name for one in found}
    assert {
        "DPM-Solver++(2M) (clip=false, log-snr)",
        "ES-DDPM from vae, T' = 400",
        "DDIM, distilled",
    } <= names
    assert len(names) == 7


def test_what_other_tables_show_stays_as_it_was(sampled, tmp_path):
    """Rows for the samplers' and the training's tables are in no other one."""
    assert all(table1(sampled).comparison["ours"].isna())
    assert denoised(sampled).empty
    assert isinstance(draw_samples(sampled, tmp_path), str)
    assert [table.name for table in tables(sampled)][-2:] == ["samplers", "training"]


def test_runs_without_them_have_neither_table(run, tmp_path):
    assert samplers(run) is None and training(run) is None
    assert isinstance(draw_samplers(run, tmp_path), str)
    assert isinstance(draw_sampler_images(run, tmp_path), str)


def test_without_timings_there_is_still_a_front(sampled, tmp_path):
    rows = sampled.rows[sampled.rows["task"] != "latency"]
    bare = FakeRun(sampled.manifest, rows, sampled.folder)
    (group,) = tried(bare).values()
    assert {one.optimal for one in group} == {(), ("calls",)}
    assert len(draw_samplers(bare, tmp_path)) == 2


def test_the_images_are_drawn(sampled, tmp_path):
    assert [path.suffix for path in draw_sampler_images(sampled, tmp_path)] == [".png", ".svg"]


@pytest.mark.slow
@pytest.mark.parametrize("draw", [draw_samplers, draw_sampler_images])
def test_a_figure_is_drawn_alike_each_time(sampled, tmp_path, draw):
    one, two = (draw(sampled, tmp_path / name) for name in "ab")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


# ------------------------------------------------------------------ training


@given(st.integers(1, 1000))
def test_thirds_are_equal_parts_of_the_steps(t):
    assert third_of(t) == np.searchsorted([1000 / 3, 2000 / 3], t)


def test_a_network_must_beat_the_filter_in_every_third(sampled):
    unet, cunet = body(training(sampled))
    key = [(third, "beats it", "ours") for third in THIRDS]
    assert [unet[k] for k in key] == ["yes"] * 3
    everywhere = ("", "beats it everywhere", "ours")
    assert unet[everywhere] == cunet[everywhere] == "yes"


def test_the_ratio_and_its_paired_interval(sampled):
    rows = sampled.rows[
        (sampled.rows["table"] == "training") & (sampled.rows["t"].isin([583, 416]))
    ]
    values = {(r.denoiser, int(r.t)): np.array(r.mse_per_image) for r in rows.itertuples()}
    mine, floor = (
        (values[name, 416] + values[name, 583]) / 2 for name in ("diffusion:unet", "wiener")
    )
    lines = training(sampled).comparison
    lines = lines[(lines["row"] == "U-Net") & (lines["metric"] == f"MSE / Wiener's, {THIRDS[1]}")]
    (line,) = lines.itertuples()
    assert line.ours == pytest.approx(mine.mean() / floor.mean())
    error = 1.96 * (mine - floor).std() / len(mine) ** 0.5 / floor.mean()
    assert line.high - line.low == pytest.approx(2 * error, rel=0.1)
    assert line.low < line.ours < line.high


def test_a_worse_network_is_told_so(sampled):
    rows = sampled.rows.copy()
    worse = (
        (rows["denoiser"] == "diffusion:cunet") & (rows["table"] == "training") & (rows["t"] > 700)
    )
    rows["mse_per_image"] = rows["mse_per_image"].where(
        ~worse,
        rows["mse_per_image"].map(lambda v: [2 * x for x in v] if isinstance(v, list) else v),
    )
    _, cunet = body(training(FakeRun(sampled.manifest, rows, sampled.folder)))
    assert cunet["much noise", "beats it", "ours"] == "no"
    assert cunet["", "beats it everywhere", "ours"] == "no"


def test_images_stand_below_their_own_number_of_steps(monkeypatch):
    """A set that is missing leaves its place white; the others do not move up."""
    made = {steps: np.full((3, 1, 4, 4), steps, np.uint8) for steps in (5, 20)}
    monkeypatch.setattr(
        fig_samplers.p, "arrays", lambda run, key, name: {"images": made[key]} if key else {}
    )
    sets = [SimpleNamespace(steps=5, images=5), SimpleNamespace(steps=20, images=20)]
    strip = fig_samplers._strip(None, sets, [5, 10, 20])
    third = strip.shape[1] // 3
    assert [strip[0, third // 3 + i * third, 0] for i in range(3)] == [5, 255, 20]
    students = [SimpleNamespace(steps=20, images=20)]
    assert fig_samplers._strip(None, students, [5, 10])[0, 2, 0] == 20


@pytest.mark.parametrize("build", [samplers, training])
def test_where_all_failed_the_reasons_stand_below_an_empty_table(sampled, build):
    task = "frechet" if build is samplers else "denoise"
    rows = sampled.rows.copy()
    mine = (rows["task"] == task) & rows["table"].notna()
    assert mine.any()
    rows.loc[mine, ["status", "reason"]] = ["failed", "it broke"]
    table = build(replace(sampled, rows=rows))
    assert "it broke" in " ".join(table.notes)
    for write in (to_csv, to_markdown, to_latex):
        assert isinstance(write(table), str)
