"""Waterfalls: they end at the paper's number, find what was planted, and gaps are no crash."""

from itertools import chain, combinations

import numpy as np
import pandas as pd
import pytest
from report_builder import FakeRun

from bench.report.autopsy import RELEASED, TABLES, waterfalls
from bench.report.autopsy_tables import autopsy_of, signed
from bench.report.fig_autopsy import draw_autopsy
from bench.report.formats import to_html, to_latex, to_markdown
from bench.shapley import shapley

EFFECTS = {"window": 0.01, "data range": 0.05, "images": 0.0, "step": -0.02}
OURS, KEPT = 0.801, 0.8
HEAD = {"status": "ok", "reason": "", "dataset": "digits", "schedule": "sigmoid"}


def subsets(names):
    sizes = range(len(names) + 1)
    return [sorted(s) for s in chain.from_iterable(combinations(names, k) for k in sizes)]


def scored(denoiser, t, effects, *, metric="ssim", base=KEPT, key="", spread=0.004):
    """Return the rows of one autopsy whose choices act independently."""
    about = {**HEAD, "key": key or f"a{denoiser}{t}", "task": "autopsy", "denoiser": denoiser}
    about |= {"label": f"autopsy {denoiser} {t}", "t": t, "n": 16, "states": 7, "metric": metric}
    found = [
        {
            **about,
            "part": "choice",
            "otherwise": names,
            "value": base + sum(effects[n] for n in names),
        }
        for names in subsets(effects)
    ]
    for name, effect in effects.items():
        ends = {"contribution": effect, "low": effect - spread, "high": effect + spread}
        words = {"choice": name, "ours": f"ours <{name}>", "alternative": f"other {name}"}
        row = {**about, "part": "contribution", **words, **ends}
        each = {"contribution_of_each": [-0.01, 0.02]} if name == "images" else {}
        found.append({**row, **each})
    return found


def restored(backbone, t, *, metric="ssim"):
    about = {**HEAD, "key": f"r{backbone}{t}", "task": "restore", "label": "restore", "t": t}
    best = {"best_value": OURS, "best_low": OURS - 0.01, "best_high": OURS + 0.01, "n": 16}
    named = {"denoiser": f"diffusion:{backbone}", "estimate": "current", "metric": metric}
    return {**about, **named, **best, "part": "best", "clipped": False}


def distances(backbone, features, *, base=20.0, effects=(5.0, -8.0), blocks=4):
    about = {**HEAD, "key": f"d{backbone}{features}", "task": "autopsy_distance", "steps": 10}
    about |= {"denoiser": f"diffusion:{backbone}", "features": features, "label": "distance"}
    planted = dict(zip(("real images", "N"), effects, strict=True))
    found = []
    for names in subsets(planted):
        value = base + sum(planted[n] for n in names)
        left = (value + 0.1 * np.arange(blocks)).tolist()
        more = {"part": "choice", "metric": "frechet", "n": 192, "n_real": 192}
        found.append({**about, **more, "otherwise": names, "value": value, "leave_one_out": left})
    return found


def run_of(*rows, features="alexnet"):
    manifest = {"budget": "smoke", "settings": {"generation": {"features": features}}}
    return FakeRun(manifest, pd.DataFrame(list(rows)), folder=None)


def whole():
    rows = []
    for name in ("unet", "cunet"):
        for t in (50, 150, 400):
            rows += [*scored(f"diffusion:{name}", t, EFFECTS), restored(name, t)]
        rows += [*distances(name, "alexnet"), *distances(name, "vgg16", base=60.0)]
    told = {"told sigma": -0.4, "schedule": -0.1, "images": 0.0}
    for t in (50, 400):
        rows += scored("bm3d-torch", t, told)
    return run_of(*rows)


# ------------------------------------------------------------------ waterfalls


def test_they_begin_at_ours_and_end_at_the_papers_number():
    for table in TABLES:
        for one in waterfalls(whole(), table):
            reached = one.start + sum(step.value for step in one.steps) + one.unexplained
            assert reached == pytest.approx(one.paper.value)
            assert one.end == pytest.approx(one.values[max(one.values, key=len)])
            assert one.reach[0] <= one.start <= one.reach[1]


def test_planted_effects_are_shown_as_they_are():
    found = waterfalls(whole(), "table2")
    assert [(one.row, one.column) for one in found] == [
        (t, name) for t in ("50", "150", "400") for name in ("U-Net", "cU-Net")
    ]
    one = found[0]
    assert (one.paper.text, one.ours.value, one.start) == ("0.88", OURS, KEPT)
    assert {step.choice: step.value for step in one.steps} == EFFECTS
    assert [step.choice for step in one.steps] == ["window", "data range", "step", "images"]
    assert [step.undecided for step in one.steps] == [False, False, False, True]
    assert one.reach == pytest.approx((0.78, 0.86)) and not one.inside
    assert one.nearest == (frozenset({"window", "data range"}), pytest.approx(0.86))
    assert one.kept == "8-bit images of 7 steps"


def test_the_released_network_is_a_choice_of_the_cunet_alone():
    rows = [
        *scored("diffusion:cunet", 50, EFFECTS),
        *scored(f"diffusion:{RELEASED}", 50, EFFECTS, base=KEPT - 0.3),
        *scored("diffusion:unet", 50, EFFECTS),
    ]
    found = {one.column: one for one in waterfalls(run_of(*rows), "table2")}
    assert set(found) == {"U-Net", "cU-Net"}
    steps = {step.choice: step for step in found["cU-Net"].steps}
    assert steps["network"].value == pytest.approx(-0.3) and steps["network"].low is None
    assert steps["window"].value == pytest.approx(0.01)
    assert "network" not in {step.choice for step in found["U-Net"].steps}
    assert len(found["cU-Net"].values) == 32


def test_features_are_a_choice_across_cells():
    one = waterfalls(whole(), "table1")[0]
    assert {step.choice: step.value for step in one.steps} == pytest.approx(
        {"features": 40.0, "real images": 5.0, "N": -8.0}
    )
    assert one.others == {"vgg16": 60.0} and one.paper.text == "3.61"
    step = next(step for step in one.steps if step.choice == "N")
    assert step.low == pytest.approx(-8) == step.high, "the blocks move all alike: no spread"
    assert shapley(one.values) == pytest.approx({s.choice: s.value for s in one.steps})


def test_without_other_features_the_rest_is_told():
    one = waterfalls(run_of(*distances("unet", "alexnet")), "table1")[0]
    assert [step.choice for step in one.steps] == ["real images", "N"]
    assert waterfalls(run_of(*distances("unet", "vgg16")), "table1") == []


def test_another_extractor_with_other_blocks_is_no_choice():
    """Its values cannot be subtracted block by block, so intervals would be wrong."""
    rows = [*distances("unet", "alexnet"), *distances("unet", "vgg16", blocks=8)]
    one = waterfalls(run_of(*rows), "table1")[0]
    assert "features" not in {step.choice for step in one.steps}


# ------------------------------------------------------------------ tables


def test_the_tables_say_what_moves_a_number():
    table = autopsy_of("table4")(whole())
    assert table.name == "autopsy_table4"
    row = dict(zip([c[2] for c in table.layout.columns], table.layout.iloc[0], strict=True))
    assert row["told sigma"] == "-0.400" and row["images"] == "(0.000)"
    assert (row["paper"], row["unexplained"]) == ("0.74", "+0.440")
    note = table.notes[1]
    assert "up to 0.500" in note and "-0.400 (-0.404 to -0.396) of told sigma" in note
    assert "other images (digits) and trainings are no protocol" in note
    lines = table.comparison.set_index(["column", "metric"])
    assert lines.loc[("50", "SSIM, contribution of told sigma"), "low"] == pytest.approx(-0.404)
    assert lines.loc[("50", "SSIM, unexplained"), "ours"] == pytest.approx(0.44)
    assert set(table.comparison["records"]) >= {"abm3d-torch50"}


def test_one_combination_for_all_numbers_is_named():
    effects = {"told sigma": -0.2, "images": 0.0}
    rows = [
        *scored("bm3d-torch", 50, effects, base=0.94),
        *scored("bm3d-torch", 150, effects, base=0.46),
    ]
    note = autopsy_of("table4")(run_of(*rows)).notes[1]
    assert "the nearest to the paper's (0.74, 0.26) is told sigma otherwise (0.740, 0.260)" in note
    assert "on average 0.000 away, ours 0.200" in note and "with hindsight" in note


def test_every_format_takes_names_with_special_characters():
    table = autopsy_of("table2")(whole())
    assert "ours <window>" not in to_markdown(table)
    assert "<window>" not in to_html(table) + to_latex(table)


def test_signs():
    assert [signed(v, 2) for v in (0.1, -0.1, 0.0, -0.001)] == ["+0.10", "-0.10", "0.00", "0.00"]
    assert signed(-1234.5, 1, sure=False) == "(-1,234.5)"


@pytest.mark.parametrize("table", TABLES)
def test_a_run_without_any_has_no_table(run, empty, table):
    assert autopsy_of(table)(run) is None
    assert autopsy_of(table)(empty) is None
    assert waterfalls(run_of(restored("unet", 50)), table) == []


def test_what_failed_is_told_below():
    bad = {**HEAD, "key": "x", "task": "autopsy_distance", "label": "autopsy_distance inception"}
    bad |= {"status": "skipped", "reason": "the weights 'inception' are not on this machine"}
    table = autopsy_of("table1")(run_of(*distances("unet", "alexnet"), bad))
    assert any("weights 'inception' are not" in note for note in table.notes)


def test_a_record_that_lacks_a_combination_is_left_out():
    few = [*scored("diffusion:unet", 50, EFFECTS)[1:], *distances("unet", "alexnet")[:3]]
    few += scored("bm3d-torch", 50, {"told sigma": 0.1})[1:]
    assert [waterfalls(run_of(*few), table) for table in TABLES] == [[], [], []]


def test_numbers_that_the_paper_does_not_have_are_left_out():
    rows = [*scored("diffusion:unet", 77, EFFECTS), *scored("diffusion:mine", 50, EFFECTS)]
    assert waterfalls(run_of(*rows), "table2") == []


# ------------------------------------------------------------------ figure


def test_a_figure_for_every_metric_of_every_table(tmp_path):
    drawn = draw_autopsy(whole(), tmp_path)
    assert list(drawn) == ["Table 1, Fréchet distance", "Table 2, SSIM", "Table 4, SSIM"]
    assert all(path.is_file() for files in drawn.values() for path in files)


def test_nothing_to_draw(run, tmp_path):
    assert "bench run autopsy" in draw_autopsy(run, tmp_path)
