"""What is read out of rows about the posterior mean and lost detail: verdicts, curves, figure."""

import numpy as np
import pandas as pd
import pytest
from report_builder import Builder, FakeRun, as_bytes

from bench.checked import Holds
from bench.report import posterior, shares, smoothing, theory
from bench.report.fig_smoothing import draw_smoothing
from bench.report.shares import share

N = 64
NETWORKS = ("diffusion:unet", "diffusion:cunet", "dncnn")
CLEAN = 1 + 0.1 * np.random.default_rng(0).standard_normal(N)
OWN = np.random.default_rng(1)


def around(mean: float, spread: float = 0.02) -> np.ndarray:
    return mean * CLEAN + spread * OWN.standard_normal(N)


def octave(builder: Builder, task: str, key: str, kept: float, **about) -> None:
    """Add the rows of three octaves; the last holds too little power to count."""
    for low, share_of in ((0.0625, 0.5), (0.125, 0.05), (0.25, 0.001)):
        finest = low == 0.125
        builder.add(
            task, key, part="octave", low_cycles_per_pixel=low, high_cycles_per_pixel=2 * low,
            clean_share=share_of, clean_power_per_image=list(CLEAN),
            power_per_image=list(around(kept if finest else 7.0)),
            common_per_image=list(around(about.pop("common", kept) if finest else 7.0)), **about,
        )  # fmt: skip


def lost_detail(folder, kept: dict[str, float], restored: float = 1.0, **common) -> FakeRun:
    """Return a run in which networks keep so much of the power."""
    builder = Builder(folder, "digits", 1, N)
    for name, share_kept in kept.items():
        for t, sigma in ((50, 0.066), (400, 0.358)):
            about = {"denoiser": name, "dataset": "digits", "t": t, "sigma": sigma, "n": N}
            about["shown"] = t == 400
            key = f"smoothing-{name[-5:]}"
            octave(
                builder, "smoothing", key, share_kept, estimate="one call",
                common=common.get(name[-5:], share_kept), **about,
            )  # fmt: skip
            ends = ["one call"]
            if t == 400 and name != "dncnn":
                octave(builder, "smoothing", key, restored, estimate="restored", **about)
                ends.append("restored")
            for end in ends:
                density = [1.0, 0.3, 0.01, 0.001]
                builder.add(
                    "smoothing", key, part="spectrum", estimate=end, **about,
                    power_density=density, clean_power_density=density,
                )  # fmt: skip
            images = as_bytes(builder.images(3))
            shown = {kind: images for kind in ("clean", "noisy", "one", "end")}
            builder.save(key, "examples.safetensors", shown)
    return FakeRun({}, pd.DataFrame(builder.rows), folder)


def mixture(folder, excess: dict[int, float], gap: float = 0.0, kept: float = 0.3) -> FakeRun:
    """Return a run whose networks have that excess risk after so many updates."""
    builder = Builder(folder, "gaussian", 1, N)
    for name in NETWORKS:
        for updates, far in excess.items():
            about = {"denoiser": name, "dataset": "gaussian", "n": N, "updates": updates}
            for t, sigma in ((50, 0.066), (400, 0.358)):
                about |= {"t": t, "sigma": sigma, "shown": t == 400}
                key = f"posterior-{name[-5:]}-{updates}"
                bayes, mean = around(1.0), around(far)
                builder.add(
                    "posterior", key, part="risk", **about,
                    mse_to_clean_per_image=list(bayes + mean + around(gap)),
                    mse_to_posterior_mean_per_image=list(mean),
                    mse_to_posterior_sample_per_image=list(mean + 1),
                    mse_of_posterior_mean_per_image=list(bayes),
                    mse_of_posterior_sample_per_image=list(2 * bayes),
                    posterior_variance_per_image=[1.0] * N,
                )  # fmt: skip
                for estimate, power in (
                    ("one call", kept), ("posterior mean", 0.3), ("posterior sample", 1.0),
                ):  # fmt: skip
                    octave(builder, "posterior", key, power, estimate=estimate, **about)
    return FakeRun({}, pd.DataFrame(builder.rows), folder)


def verdicts(findings) -> list[Holds]:
    return [one.claim.holds for one in findings]


def test_a_share_has_the_interval_of_students_t_and_a_wider_one_among_many():
    values = np.arange(8.0)
    found = share(values, np.ones(8))
    reach = 2.3646 * values.std(ddof=1) / np.sqrt(8)
    assert found == pytest.approx((3.5, 3.5 - reach, 3.5 + reach), rel=1e-4)
    assert share(values, np.ones(8), together=10)[1] < found[1]
    assert share(3 * CLEAN, CLEAN) == pytest.approx((3, 3, 3))
    assert share(values, np.ones(7)) is None and share(values, np.zeros(8)) is None


def test_shares_cover_the_truth_as_often_as_they_say():
    rng, hits = np.random.default_rng(0), 0
    for _ in range(1000):
        of = rng.gamma(4, 0.25, 24)
        _, low, high = share(0.4 * of + 0.2 * rng.standard_normal(24), of)
        hits += low <= 0.4 <= high
    assert 925 <= hits <= 970


@pytest.mark.parametrize(
    ("excess", "holds", "learns"),
    [
        ({0: 9.0, 60: 3.0, 240: 0.05}, Holds.YES, Holds.YES),
        ({0: 9.0, 60: 3.0, 240: 1.5}, Holds.OPEN, Holds.YES),
        ({0: 9.0, 60: 3.0, 240: 4.0}, Holds.OPEN, Holds.PARTLY),
        ({0: 2.0, 240: 4.0}, Holds.OPEN, Holds.NO),
    ],
)
def test_the_posterior_mean_is_reached_approached_or_missed(tmp_path, excess, holds, learns):
    found = posterior.posterior(mixture(tmp_path, excess))
    assert verdicts(found) == [holds, learns, Holds.YES, Holds.YES]
    assert f"U-Net {excess[240]:.2f}"[:9] in found[0].claim.found


def test_a_posterior_that_does_not_add_up_is_noticed(tmp_path):
    found = posterior.posterior(mixture(tmp_path, {0: 9.0, 240: 0.05}, gap=0.1))
    assert found[2].claim.holds is Holds.NO
    assert "0 of 12 cases" in found[2].claim.found


def test_networks_sharper_than_the_exact_mean_explain_less(tmp_path):
    found = posterior.posterior(mixture(tmp_path, {0: 9.0, 240: 0.05}, kept=0.6))
    assert found[3].claim.holds is Holds.PARTLY
    assert found[3].claim.numbers["power beyond it, U-Net, t = 50"] == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize(
    ("lost", "kept", "gap", "holds"),
    [
        ((0.5, 0.4, 0.6), (0.01, -0.05, 0.07), (0.0, -0.05, 0.05), Holds.YES),
        ((0.5, 0.4, 0.6), (0.01, -0.05, 0.07), (0.3, 0.2, 0.4), Holds.PARTLY),
        ((0.5, 0.4, 0.6), (0.01, -0.05, 0.07), (0.1, -0.2, 0.4), Holds.OPEN),
        ((0.01, -0.02, 0.04), (0.01, -0.05, 0.07), (0.0, -0.05, 0.05), Holds.OPEN),
        ((0.5, 0.4, 0.6), (0.2, -0.3, 0.7), (0.0, -0.05, 0.05), Holds.OPEN),
        ((0.5, 0.4, 0.6), (0.3, 0.2, 0.4), (0.0, -0.05, 0.05), Holds.NO),
        ((-0.1, -0.2, 0.0), (0.01, -0.05, 0.07), (0.0, -0.05, 0.05), Holds.NO),
    ],
)
def test_what_is_not_decided_refutes_nothing(lost, kept, gap, holds):
    assert posterior._explained([lost], [kept], [gap]) is holds


def test_one_training_alone_says_nothing_of_learning(tmp_path):
    found = posterior.posterior(mixture(tmp_path, {240: 0.05}))
    assert verdicts(found) == [Holds.YES, Holds.YES, Holds.YES]


@pytest.mark.parametrize(
    ("unet", "cunet", "restored", "in_place", "expected"),
    [
        (0.5, 0.7, 1.0, 0.7, [Holds.YES, Holds.YES, Holds.YES]),
        (0.5, 0.7, 0.8, 0.5, [Holds.YES, Holds.PARTLY, Holds.OPEN]),
        (0.7, 0.5, 0.2, 0.3, [Holds.YES, Holds.NO, Holds.NO]),
        (1.3, 0.7, 1.0, 0.7, [Holds.PARTLY, Holds.PARTLY, Holds.NO]),
    ],
)
def test_detail_is_lost_kept_and_restored(tmp_path, unet, cunet, restored, in_place, expected):
    kept = {"diffusion:unet": unet, "diffusion:cunet": cunet, "dncnn": 0.4}
    found = smoothing.smoothing(lost_detail(tmp_path, kept, restored, cunet=in_place))
    assert verdicts(found) == expected
    lost = found[0].claim.numbers["lost power, cU-Net, t = 400"]
    assert lost == pytest.approx(1 - cunet, abs=0.02)


def test_only_the_finest_octave_with_power_counts(tmp_path):
    found = smoothing.details(lost_detail(tmp_path, {"dncnn": 0.4}), "smoothing")
    assert {one.octave for one in found} == {(0.125, 0.25)}


def test_a_missing_partner_leaves_its_claim_out(tmp_path, empty):
    found = smoothing.smoothing(lost_detail(tmp_path, {"dncnn": 0.4}))
    assert verdicts(found) == [Holds.YES]
    other = smoothing.smoothing(lost_detail(tmp_path, {"diffusion:unet": 0.4}))
    assert verdicts(other) == [Holds.YES, Holds.YES]
    for read in (posterior.posterior, posterior.drawn, smoothing.smoothing, smoothing.drawn):
        assert read(empty) == []


def test_curves_are_lost_decibels_with_their_references(tmp_path):
    curves = smoothing.drawn(lost_detail(tmp_path, {"diffusion:unet": 0.5, "dncnn": 2.0}))
    ends = {curve.label: curve for curve in curves}
    assert list(ends) == ["U-Net", "DnCNN", "U-Net, restored"]
    assert ends["U-Net"].y == pytest.approx((3.01, 3.01), abs=0.2)
    assert ends["DnCNN"].y == pytest.approx((-3.01, -3.01), abs=0.2)
    assert len(ends["U-Net, restored"].x) == 1
    found = posterior.drawn(mixture(tmp_path, {0: 9.0, 240: 0.5}))
    assert len({curve.panel for curve in found}) == 3
    assert [c.label for c in found if c.reference] == [
        "a posterior sample", "exact posterior mean", "exact posterior sample",
    ]  # fmt: skip
    for curve in (one for one in found if not one.reference):
        ends = zip(curve.low, curve.y, curve.high, strict=True)
        assert all(low <= y <= high for low, y, high in ends)


def test_the_figure_shows_what_there_is(tmp_path, empty):
    run = lost_detail(tmp_path, {"diffusion:unet": 0.5, "dncnn": 0.4})
    (tmp_path / "smoothing-dncnn" / "examples.safetensors").unlink()
    png, svg = draw_smoothing(run, tmp_path / "figures")
    assert png.stat().st_size > 5000
    assert all(f"{name}" in svg.read_text() for name in ("<svg", "<image"))
    assert "no over-smoothing in this run" in draw_smoothing(empty, tmp_path)


def test_levels_that_networks_share_are_named_once(tmp_path):
    run = lost_detail(tmp_path, {"diffusion:unet": 0.5, "diffusion:cunet": 0.5})
    found = smoothing.chosen(smoothing.details(run, "smoothing"), "one call")
    told = shares.by_network([(one, (0.5, 0.4, 0.6)) for one in found])
    assert told == (
        "at σ 0.066, 0.358: U-Net 0.50 (0.40 to 0.60), 0.50 (0.40 to 0.60); "
        "cU-Net 0.50 (0.40 to 0.60), 0.50 (0.40 to 0.60)"
    )


def test_findings_name_the_records_that_they_were_read_from(tmp_path):
    run = lost_detail(tmp_path, {"diffusion:unet": 0.5, "diffusion:cunet": 0.8, "dncnn": 0.4})
    found = smoothing.smoothing(run)
    assert found and all(set(one.keys) == set(run.rows["key"]) for one in found)
    lines = theory.theory(run).comparison
    own = {"U-Net": "smoothing-:unet", "cU-Net": "smoothing-cunet", "DnCNN": "smoothing-dncnn"}
    lost = lines[lines["metric"].str.startswith("lost power, ")]
    assert len(lost) == 6
    for line in lost.itertuples():
        assert line.records == own[line.metric.split(", ")[1]], line.metric
    both = lines[lines["metric"].str.startswith("more power in place")]  # of no network alone
    assert len(both) == 2
    assert all(set(each.split()) == set(own.values()) for each in both["records"])
