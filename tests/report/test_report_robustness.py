"""Verdicts on robustness: planted ratios are found, ties are not decided, gaps are no crash."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.checked import Holds
from bench.report.fig_robustness import draw_robustness
from bench.report.ratios import Judged, Versus, geometric, ratio
from bench.report.robustness import robustness
from bench.report.theory import SOURCES, TASKS, theory

SIZES, LEVELS, N = (0.001, 0.1), (50, 400), 12
ROBUST, WORST, BOUNDED, CALM, GRONWALL = range(5)


def cells(
    *, factors=None, power=(1.0, 1.0), stretch=(2.0, 2.0), field=3.0, backbones=("unet", "cunet")
):
    """Return the rows of both tasks; `factors`: (level, size) -> cU-Net / U-Net."""
    rng = np.random.default_rng(0)
    rows = []
    for t in LEVELS:
        image = rng.lognormal(0, 0.5, N)  # what both networks share
        for name in backbones:
            ours = name == "cunet"
            about = {"status": "ok", "reason": "", "dataset": "digits", "t": t, "n": N}
            about |= {"denoiser": f"diffusion:{name}", "backbone": name, "sigma": 0.1}
            own = {"key": f"r{name}{t}", "task": "robustness", "label": f"robustness {name} {t}"}

            def add(own=own, about=about, **columns):
                rows.append({**own, **about, **columns})

            for direction in ("random", "worst"):
                for size in SIZES:
                    factor = (factors or {}).get((t, size), 1.0) if ours else 1.0
                    values = size * image * factor * rng.lognormal(0, 0.01, N)
                    how = {
                        "direction": direction,
                        "size": size,
                        "change_per_image": values.tolist(),
                    }
                    for of in ("x0", "output"):
                        add(part="change", of=of, **how)
            for factor in (10.0, 100.0, 1000.0):
                grown = (factor ** power[ours] * rng.lognormal(0, 0.001, N)).tolist()
                add(part="grown", of="output", factor=factor, growth_per_image=grown)
            own = {"key": f"l{name}{t}", "task": "lipschitz", "label": f"lipschitz {name} {t}"}
            for place in range(3):
                values = (stretch[ours] * image * rng.lognormal(0, 0.01, N)).tolist()
                slope = [field] * N if ours else None
                more = {"stretch_per_image": values, "field_per_image": slope}
                more["gain_per_image"] = [2 * value for value in values]
                told = {"converged": 1.0, "residual": 0.01, "tolerance": 0.1}
                add(own=own, place=place, block=f"b{place}", **more, **told)
    return SimpleNamespace(
        manifest={"budget": {}}, rows=pd.DataFrame(rows), file=lambda key, name: None
    )


def claims(**planted):
    return [finding.claim for finding in robustness(cells(**planted))]


CONDITIONS = [(t, size) for t in LEVELS for size in SIZES]


@pytest.mark.parametrize(
    ("factors", "holds"),
    [
        (dict.fromkeys(CONDITIONS, 0.8), Holds.YES),
        (dict.fromkeys(CONDITIONS, 1.2), Holds.NO),
        ({CONDITIONS[0]: 0.8, CONDITIONS[1]: 1.2}, Holds.PARTLY),
        ({}, Holds.OPEN),
    ],
)
def test_the_verdict_on_perturbations_is_that_of_the_planted_ratios(factors, holds):
    found = claims(factors=factors)
    assert (found[ROBUST].holds, found[WORST].holds) == (holds, holds)
    for t, size in CONDITIONS:
        told = found[ROBUST].numbers[f"change of x0, step {t}, size {size:g}"]
        assert told == pytest.approx(factors.get((t, size), 1.0), rel=0.02)
    assert f"N = {N} images" in found[ROBUST].found


@pytest.mark.parametrize(
    ("power", "holds"),
    [((1.0, 1.0), Holds.NO), ((1.0, 0.0), Holds.YES), ((0.0, 0.0), Holds.PARTLY)],
)
def test_bounded_is_what_does_not_grow_with_its_input(power, holds):
    claim = claims(power=power)[BOUNDED]
    assert claim.holds is holds
    assert claim.numbers["power, cU-Net, step 50"] == pytest.approx(power[1], abs=0.005)
    assert claim.numbers["power, U-Net, step 400"] == pytest.approx(power[0], abs=0.005)


@pytest.mark.parametrize(
    ("stretch", "holds"),
    [((2.0, 1.5), Holds.YES), ((2.0, 6.0), Holds.NO), ((2.0, 2.0), Holds.OPEN)],
)
def test_blocks_are_compared_by_their_geometric_mean(stretch, holds):
    claim = claims(stretch=stretch)[CALM]
    assert claim.holds is holds
    expected = pytest.approx(stretch[1] / stretch[0], rel=0.02)
    assert claim.numbers["stretch of blocks, step 50"] == expected
    assert claim.numbers["relative stretch of blocks, step 50"] == expected
    assert "100.0% of the iterations converged" in claim.found


def test_a_level_at_which_a_block_stretches_nothing_is_left_out():
    run = cells(stretch=(2.0, 1.5))
    rows = run.rows
    dead = rows.index[rows["stretch_per_image"].notna() & (rows["t"] == LEVELS[0])][0]
    rows.at[dead, "stretch_per_image"] = [0.0] * N
    claim = [finding.claim for finding in robustness(run)][CALM]
    assert claim.holds is Holds.YES
    assert [name for name in claim.numbers if name.startswith("stretch")] == [
        f"stretch of blocks, step {LEVELS[1]}"
    ]


@pytest.mark.parametrize(
    ("field", "holds"), [(12.0, Holds.PARTLY), (2.0, Holds.YES), (0.01, Holds.NO)]
)
def test_gronwalls_bound_is_held_against_what_was_measured(field, holds):
    claim = claims(field=field, stretch=(1.0, 1.0))[GRONWALL]
    if holds is Holds.YES:  # images differ, so that the planted bound must clear the largest
        assert math.exp(field) > 1
    assert claim.holds is holds
    assert claim.numbers["median L"] == field


@pytest.mark.parametrize("backbones", [("unet",), ("cunet",), ("cunet-released", "unet"), ()])
def test_a_missing_partner_is_no_comparison_and_no_crash(backbones, tmp_path):
    run = cells(backbones=backbones)
    told = [finding.claim.text for finding in robustness(run)]
    assert len(told) == (1 if "cunet" in backbones else 0), "Gronwall's bound takes one network"
    if not backbones:
        assert "python -m bench run theory" in draw_robustness(run, tmp_path)
    if backbones == ("unet",):
        assert len(draw_robustness(run, tmp_path)) == 2


def test_a_cell_that_failed_takes_its_comparison_with_it():
    run = cells()
    failed = run.rows["key"] == "rcunet50"
    bad = run.rows[failed].iloc[:1].assign(status="invalid", reason="no derivative")
    run.rows = pd.concat([run.rows[~failed], bad], ignore_index=True)
    first = robustness(run)[ROBUST].claim
    assert {name.split(", ")[1] for name in first.numbers} == {"step 400"}
    table = theory(run)
    assert any("no derivative" in note for note in table.notes)


def test_the_theory_tells_and_draws_it(tmp_path):
    assert robustness in SOURCES
    assert {"robustness", "lipschitz"} <= set(TASKS)
    png, svg = draw_robustness(cells(), tmp_path)
    assert png.stat().st_size > 10_000
    assert svg.is_file()


@given(st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=9), st.floats(0.1, 10))
def test_geometric_means_scale_with_their_values_and_lie_in_their_intervals(values, factor):
    value, low, high = geometric(values)
    assert low <= value * (1 + 1e-12)
    assert value <= high * (1 + 1e-12)
    assert value == pytest.approx(math.prod(values) ** (1 / len(values)))
    scaled = ratio([factor * one for one in values], values)
    assert scaled == pytest.approx((factor,) * 3)
    wider = geometric(values, 10)
    assert wider[2] >= high * (1 - 1e-12)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 0.0], [1.0, math.nan], [1.0, math.inf]])
def test_what_has_no_geometric_mean_is_none(values):
    assert geometric(values) is None
    assert ratio(values, [1.0] * len(values)) is None
    assert ratio([1.0, 2.0], values) is None


@pytest.mark.parametrize(
    ("less", "more", "tied", "holds"),
    [(1, 0, 0, Holds.YES), (2, 0, 1, Holds.YES), (1, 0, 15, Holds.OPEN), (0, 1, 1, Holds.OPEN),
     (0, 3, 2, Holds.NO), (1, 1, 14, Holds.PARTLY), (0, 0, 2, Holds.OPEN)],
)  # fmt: skip
def test_where_most_comparisons_are_undecided_nothing_is_said(less, more, tied, holds):
    ends = [(0.5, 0.4, 0.6)] * less + [(2.0, 1.5, 2.5)] * more + [(1.0, 0.9, 1.1)] * tied
    assert Judged([(str(place), one) for place, one in enumerate(ends)]).holds is holds


def test_a_comparison_that_cannot_be_made_is_left_out():
    judged = Judged.of([Versus("a", [1.0, 2.0], [0.0, 1.0]), Versus("b", [3.0, 3.1], [1.0, 1.0])])
    assert [condition for condition, _ in judged.known] == ["b"]
