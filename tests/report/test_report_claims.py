"""Claims that a number decides: planted answers on the paper's side, on the other, on neither."""

import numpy as np
import pandas as pd
import pytest
from report_builder import Builder, FakeRun
from report_sampled import sampled_run
from report_synthetic import manifest
from test_report_convergence import SNAPSHOTS, run_of
from test_report_convergence import rows as trained

from bench.report import claims_denoising, claims_quality, claims_synthesis, claims_tables
from bench.report.claims import HEADLINE, Claim, claims
from bench.report.claims_costs import faster, ratio_of_times, smaller
from bench.report.evidence import share
from bench.report.latency import Latency
from bench.report.paper import published
from bench.report.verdicts import Label


@pytest.fixture(scope="module")
def judged(run) -> list[Claim]:
    return claims(run)


def of(judged, name):
    return next(claim for claim in judged if claim.id == name)


def with_rows(run: FakeRun, rows: pd.DataFrame, **about) -> FakeRun:
    return FakeRun({**run.manifest, **about}, rows, run.folder)


@pytest.mark.parametrize(
    ("ours", "read", "label"),
    [(50.0, True, Label.REPRODUCED), (96.0, True, Label.TIE), (104.0, True, Label.TIE),
     (150.0, True, Label.CONTRADICTED), (99.9, False, Label.REPRODUCED),
     (100.1, False, Label.CONTRADICTED)],
)  # fmt: skip
def test_readings_of_memory_as_near_as_two_of_one_network_decide_nothing(ours, read, label):
    assert smaller(ours, 100.0, read=read).label is label


# ------------------------------------------------------------------ the list


def test_headlines_come_first_and_the_rest_in_the_papers_order(judged):
    found = [claim.id for claim in judged]
    assert tuple(found[: len(HEADLINE)]) == HEADLINE
    assert found[len(HEADLINE) :] == [i for i in published("claims")["id"] if i not in HEADLINE]
    sections = [claim.section for claim in judged[len(HEADLINE) :]]
    parts = list(dict.fromkeys(part.split(".")[0] for part in sections))
    order = ["Abstract", "Section 1", "Section 2", "Section 3", "Section 4", "Appendix C"]
    assert parts == [part for part in order if part in parts]


def test_every_claim_of_the_paper_has_words_and_a_quantity_or_a_reason():
    for row in published("claims").itertuples():
        assert row.sentence and row.section, row.id
        assert row.why or (row.quantity and row.value not in ("", None)), row.id
    places = " ".join(published("claims")["section"] + " " + published("claims")["sentence"])
    for place in ("Abstract", "3.1", "3.2", "3.3", "4.1", "4.2", "4.3", "Appendix C"):
        assert place in places
    for i in range(1, 6):
        assert f"Table {i}" in places
    for figure in ("Figure 3", "Figure 4", "Figures 10 and 11"):
        assert figure in places


def test_a_count_depends_on_no_budget(judged):
    budgets = {claim.id: claim.budget for claim in judged}
    assert budgets["flops-30"] == budgets["faster"] == budgets["time-embedding"] == "any"
    assert budgets["similar-fid"] == "smoke"
    assert budgets["cited-2000"] == "-"


# ------------------------------------------------------------------ costs


def test_faster_has_the_interval_of_the_paired_ratio(run):
    found = faster(run)
    rows = run.rows[(run.rows["task"] == "latency") & (run.rows["scale"] == 1.0)]
    times = rows.set_index("backbone")["samples_s"]
    ratios = np.sort(np.divide(times["cunet"], times["unet"]))
    low, high = ratios[3], ratios[-4]  # of 15: the binomial distribution leaves out three each side
    assert f"(95 %: {low:.3g} to {high:.3g};" in found.measured
    assert f"x{np.median(ratios):.2f} " in found.measured


def test_without_rounds_the_ratio_is_between_the_ends_of_the_medians():
    ours, base = Latency(1.0, 0.9, 1.2, 9, ""), Latency(2.0, 1.8, 2.4, 9, "")
    assert ratio_of_times(ours, base) == pytest.approx((0.5, 0.9 / 2.4, 1.2 / 1.8))


# ------------------------------------------------------------------ images


def scaled(run: FakeRun, factor: float) -> FakeRun:
    """Return the run with the cU-Net's distances a multiple of the U-Net's at the same steps."""
    rows = run.rows.copy()
    mine = rows["task"] == "frechet"
    base = rows[mine & (rows["denoiser"] == "diffusion:unet")].set_index("steps")
    for i in rows[mine & (rows["denoiser"] == "diffusion:cunet")].index:
        like = base.loc[rows.loc[i, "steps"]]
        rows.at[i, "frechet"] = factor * like["frechet"]
        rows.at[i, "leave_one_out"] = [factor * value for value in like["leave_one_out"]]
    return with_rows(run, rows)


@pytest.mark.parametrize(
    ("factor", "seen"),
    [(1.0, Label.REPRODUCED), (1.15, Label.REPRODUCED), (0.5, Label.CONTRADICTED),
     (1.5, Label.CONTRADICTED)],
)  # fmt: skip
def test_similar_is_what_the_paper_itself_calls_so(run, factor, seen):
    assert claims_synthesis.similar_at_most() == pytest.approx(3.61 / 2.98)
    verdict = claims_synthesis.similar(scaled(run, factor)).verdict
    assert (verdict.label, verdict.seen) == (Label.NOT_COMPARABLE, seen)


def test_with_few_images_the_kernel_distance_is_told_beside(run):
    few = scaled(run, 1.0).rows
    few.loc[few["task"] == "frechet", "leads"] = "kid"
    mine = few["denoiser"].eq("diffusion:cunet") & few["task"].eq("frechet")
    few.loc[mine, "kid"] = 1.5 * few.loc[mine, "kid"]
    base = few[few["denoiser"].eq("diffusion:unet") & few["task"].eq("frechet")]
    best = base.loc[base["frechet"].idxmin()]
    ratio = few.loc[mine & few["steps"].eq(best["steps"]), "kid"].iloc[0] / best["kid"]
    told = claims_synthesis.similar(with_rows(run, few)).measured
    assert told.endswith(f"; the kernel distance, which leads with so few images, x{ratio:.3g}")
    assert "kernel" not in claims_synthesis.similar(scaled(run, 1.0)).measured


def test_the_largest_saving_of_time_is_steps_times_latency(run):
    found = claims_quality.least_time(run)
    rows = run.rows[(run.rows["task"] == "latency") & (run.rows["scale"] == 0.125)]
    times = rows.set_index("backbone")["latency_s"]
    saved = 1 - 20 * times["cunet"] / (50 * times["unet"])
    assert found.measured.startswith(f"digits: {saved:.0%} of the time saved (the ranges of ")


def test_a_share_of_time_is_told_with_the_ranges_of_steps_and_latency(run, monkeypatch):
    told = claims_quality.less_time(run).measured
    assert "; the ranges of both: x" in told
    monkeypatch.setattr(claims_quality, "worst_ratio", lambda ours, base: (0.5, 0.25, 1.5))
    assert "; the ranges of both: x0.25 to x1.50)" in claims_quality.less_time(run).measured
    monkeypatch.setattr(claims_quality, "worst_ratio", lambda ours, base: None)
    assert "ranges" not in claims_quality.less_time(run).measured


def test_a_range_from_nothing_saved_to_the_papers_share_decides_nothing(run, monkeypatch):
    def saving(low, high):
        ends = (1 - (low + high) / 2, 1 - high, 1 - low)
        monkeypatch.setattr(claims_quality, "worst_ratio", lambda ours, base: ends)
        return claims_quality.least_time(run).verdict.seen

    assert saving(-3.5, 0.83) is saving(0.0, 0.81) is Label.TIE
    assert saving(0.1, 0.83) is Label.REPRODUCED
    assert saving(-3.5, 0.7) is Label.DIFFERS


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    return sampled_run(tmp_path_factory.mktemp("sampled"))


def gained(run: FakeRun, gap: float, ways: int | None = None) -> FakeRun:
    """Return the run in which techniques' distance is DDIM's at as many calls, and a gap more."""
    rows = run.rows.copy()
    rows["kid_leave_one_out"] = pd.Series([None] * len(rows), dtype=object)
    rng = np.random.default_rng(0)
    count = 0
    for i in rows.index[(rows["task"] == "frechet") & (rows["denoiser"] == "diffusion:cunet")]:
        usual = rows.loc[i, "sampler"] == "ddim" and pd.isna(rows.loc[i, "student"])
        more = 0.0 if usual or (ways is not None and count >= ways) else gap
        count += not usual
        rows.at[i, "kid"] = 1 + more
        rows.at[i, "kid_leave_one_out"] = (1 + more + 0.001 * rng.normal(size=8)).tolist()
    about = {"settings": {**run.manifest["settings"], "generation": {"sampler": "ddim"}}}
    return with_rows(run, rows, **about)


@pytest.mark.parametrize(
    ("gap", "ways", "seen"),
    [(-0.5, None, Label.REPRODUCED), (-0.5, 1, Label.REPRODUCED), (0.5, None, Label.CONTRADICTED),
     (0.0, None, Label.TIE)],
)  # fmt: skip
def test_a_technique_is_compatible_where_it_improves_images_at_equal_calls(
    sampled, gap, ways, seen
):
    found = claims_synthesis.compatible(gained(sampled, gap, ways))
    assert found.verdict.seen is seen, found
    if ways == 1:
        assert "1 of" in found.measured


def test_the_recipes_sampler_is_known_however_it_is_spelt(sampled):
    def judged(spelt, rows):
        settings = {**run.manifest["settings"], "generation": {"sampler": spelt}}
        return claims_synthesis.compatible(with_rows(run, rows, settings=settings))

    run = gained(sampled, -0.5)
    usual = claims_synthesis.compatible(run)
    assert usual.verdict.seen is Label.REPRODUCED
    assert judged("ddim+spacing=uniform", run.rows) == usual
    main = pd.DataFrame([{"task": "frechet", "status": "ok", "key": "k", "sampler": "ddim"}])
    with_table1 = pd.concat([run.rows, main], ignore_index=True)
    assert judged("ddim+eta=0", with_table1) == usual, "as Table 1 calls it"


def test_controls_that_leak_are_no_technique(sampled):
    rows = gained(sampled, 0.0).rows
    leaks = (rows["task"] == "frechet") & (rows["generator"] == "blurred-train")
    rows.loc[leaks, "kid"] = 1e-9
    found = claims_synthesis.compatible(with_rows(gained(sampled, 0.0), rows))
    assert found.verdict.seen is Label.TIE


def engines_run(folder, device: str, theirs: float) -> FakeRun:
    b = Builder(folder, "digits", 1, 0)
    for place, (options, seconds) in enumerate((("", 1.0), ("solver_path=torchdiffeq", theirs))):
        other = str(1 - place)
        ratio = seconds / (theirs if place == 0 else 1.0)
        b.add(
            "latency", "latency-engines", table="engines", backbone="cunet", engine="eager",
            options=options, place=str(place), latency_s=seconds, batch=1, device=device,
            ratio_to_places={other: [ratio, 0.95 * ratio, 1.05 * ratio]}, repeats=9, fault="",
            image_size=64, channels=3, scale=1.0, threads=1, noisy=False, noisy_reason="",
        )  # fmt: skip
    return FakeRun(manifest("digits", "smoke"), pd.DataFrame(b.rows), folder)


@pytest.mark.parametrize(
    ("device", "theirs", "label", "seen"),
    [
        ("cuda:0", 2.0, Label.REPRODUCED, None),
        ("cuda:0", 0.5, Label.CONTRADICTED, None),
        ("cuda:0", 1.0, Label.TIE, None),
        ("cpu", 2.0, Label.NOT_COMPARABLE, Label.REPRODUCED),
    ],
)
def test_solvers_on_a_gpu_are_judged_on_a_gpu(tmp_path, device, theirs, label, seen):
    found = claims_synthesis.gpu_solvers(engines_run(tmp_path, device, theirs))
    assert (found.verdict.label, found.verdict.seen) == (label, seen)
    assert f"x{theirs:.3g} of our solver's time" in found.measured
    assert ("--device cuda" in found.verdict.reason) == (device == "cpu")


def test_without_a_gpu_the_claim_says_where_to_run_it(run):
    found = claims_synthesis.gpu_solvers(run)
    assert found.verdict.label is Label.MISSING
    assert "python -m bench run speed --device cuda" in found.verdict.reason


def trainings(*, turned: bool) -> FakeRun:
    """Return trainings that denoise better and better, with images better, or worse, and worse."""
    found = trained(noise=0.01, best=20, paces=False)
    for row in found:
        if turned and row["part"] == "distance":
            row["updates"] = SNAPSHOTS[0] + SNAPSHOTS[-1] - row["updates"]
    return run_of(found)


SIDES = [(False, Label.REPRODUCED), (True, Label.CONTRADICTED)]


@pytest.mark.parametrize(("turned", "seen"), SIDES)
def test_a_better_denoiser_needs_fewer_steps_or_more(turned, seen):
    found = claims_synthesis.better_denoiser(trainings(turned=turned))
    assert found.verdict.seen is seen
    assert found.n == "6 trainings of each network, late / early"
    told = "squared error of one call x0.54"
    assert found.measured.count(told) == 2, "(60 / 200) ** 0.5: of the early network compared"


def test_networks_are_not_pooled_where_a_better_denoiser_saves_steps():
    """One network's images grow better, the other's worse: no number of trainings is their mean."""
    found = trained(noise=0.01, best=20, paces=False)
    for row in found:
        if row["part"] == "distance" and row["denoiser"] == "diffusion:cunet":
            row["updates"] = SNAPSHOTS[0] + SNAPSHOTS[-1] - row["updates"]
    judged = claims_synthesis.better_denoiser(run_of(found))
    assert judged.verdict.seen is Label.CONTRADICTED, "the least favourable one"
    (base, ours) = judged.measured.split("; ")
    assert base.startswith("U-Net: ") and ours.startswith("cU-Net: ")


def test_few_trainings_save_no_steps_by_chance():
    """Of four trainings all signs agree once in eight times."""
    few = [row for row in trained(noise=0.01, best=20, paces=False) if row["seed"] < 4]
    found = claims_synthesis.better_denoiser(run_of(few))
    assert found.verdict.seen is Label.TIE
    assert "p = 0.12 by flipped signs" in found.measured


def test_trainings_that_teach_nothing_decide_nothing():
    rows = trained(noise=0.01, paces=False)
    for row in rows:
        if row["part"] == "course":
            worse = 0.1 + 0.0001 * row["updates"]
            row |= dict.fromkeys(("mse_low", "mse_middle", "mse_high"), worse)
    assert claims_synthesis.better_denoiser(run_of(rows)).verdict.label is Label.MISSING


def test_what_was_learnt_before_the_early_network_is_not_counted():
    """Better than at the first look, and worse than the network whose images are compared."""
    rows = trained(noise=0.01, best=20, paces=False)
    for row in rows:
        if row["part"] == "course":
            error = 1.0 if row["updates"] < SNAPSHOTS[0] else 0.1 + 0.0001 * row["updates"]
            row |= dict.fromkeys(("mse_low", "mse_middle", "mse_high"), error)
    assert claims_synthesis.better_denoiser(run_of(rows)).verdict.label is Label.MISSING


# ------------------------------------------------------------------ denoising


def best_of(rows: pd.DataFrame) -> pd.Index:
    """Return where the best points of the paper's two metrics are."""
    best = (rows["task"] == "restore") & (rows["part"] == "best")
    return rows.index[best & rows["metric"].isin(["ssim", "lpips"])]


def images_of(run: FakeRun, net: float, rival: float) -> FakeRun:
    """Return the run in which networks and learnt classics have these scores of every image."""
    rows = run.rows.copy()
    wobble = np.linspace(-0.001, 0.001, 16)
    for name in ("ssim_per_image", "lpips_per_image", "mse_per_image"):
        rows[name] = pd.Series([None] * len(rows), dtype=object)
    for i in best_of(rows):
        good = net if rows.loc[i, "metric"] == "ssim" else 1 - net
        rows.at[i, "per_image"] = (good + wobble).tolist()
        rows.at[i, "best_value"] = good
    for i in rows.index[(rows["task"] == "denoise")]:
        score = rival if rows.loc[i, "denoiser"] in ("conv-ae", "dncnn") else 0.2
        rows.at[i, "ssim_per_image"] = (score + wobble[::-1]).tolist()
        rows.at[i, "lpips_per_image"] = (1 - score + wobble[::-1]).tolist()
        rows.loc[i, ["ssim", "lpips"]] = [score, 1 - score]
    return with_rows(run, rows)


@pytest.mark.parametrize(
    ("net", "rival", "seen"),
    [(0.9, 0.5, Label.REPRODUCED), (0.5, 0.9, Label.CONTRADICTED), (0.7, 0.7, Label.TIE)],
)
def test_generalising_is_to_beat_the_learnt_denoisers(run, net, rival, seen):
    found = claims_denoising.generalises(images_of(run, net, rival))
    assert found.verdict.seen is seen
    assert "24 comparisons" in found.measured and "DnCNN (blind)" in found.measured


def test_equal_networks_match_but_do_not_surpass(run):
    found = claims_denoising.matches(images_of(run, 0.7, 0.7))
    assert found.verdict.seen is Label.TIE and "6 tied" in found.measured


def test_ranks_are_the_papers_where_scores_are_the_papers(run):
    paper = published("table4").set_index(["row", "column", "metric"])["value"]
    rows = images_of(run, 0.5, 0.5).rows
    labels = {"bm3d": "BM3D", "conv-ae": "Conv AE", "dncnn": "DnCNN"}
    flat = np.zeros(16)
    for i in rows.index[(rows["task"] == "denoise") & rows["denoiser"].isin(list(labels))]:
        for metric in ("ssim", "lpips"):
            value = paper[labels[rows.loc[i, "denoiser"]], str(int(rows.loc[i, "t"])), metric]
            rows.at[i, f"{metric}_per_image"] = (value + flat).tolist()
            rows.loc[i, metric] = value
    for i in best_of(rows):
        row, net = rows.loc[i], {"diffusion:unet": "Diff U-Net", "diffusion:cunet": "Diff cU-Net"}
        value = paper[net[row["denoiser"]], str(int(row["t"])), row["metric"]]
        rows.at[i, "per_image"] = (value + flat).tolist()
        rows.at[i, "best_value"] = value
    found = claims_denoising.ranks(with_rows(run, rows))
    assert found.verdict.seen is Label.REPRODUCED
    assert found.measured.startswith("59 of 59 comparisons in the paper's order")


@pytest.mark.parametrize(
    ("sigmas", "label"),
    [([0.1, 0.2, 0.4], Label.REPRODUCED), ([0.1, 0.4, 0.2], Label.CONTRADICTED)],
)
def test_noise_grows_or_it_does_not(sigmas, label):
    ladder = {"task": "ladder", "status": "ok", "key": "k", "schedule": "linear"}
    rows = pd.DataFrame([{**ladder, "t": 50 * i, "sigma": s} for i, s in enumerate(sigmas, 1)])
    assert claims_denoising.noise_grows(FakeRun({}, rows, None)).verdict.label is label


@pytest.mark.parametrize(("sign", "label"), [(-1, Label.REPRODUCED), (1, Label.CONTRADICTED)])
def test_ssim_that_ranks_as_psnr_does_is_correlated(sign, label):
    """Six methods on sixteen images: SSIM a falling or a rising function of the squared error."""
    rng, rows = np.random.default_rng(1), []
    for name in ("identity", "bm3d", "wiener", "conv-ae", "dncnn", "other"):
        error = rng.uniform(0.1, 1, 16)
        rows.append(
            {
                "task": "denoise", "status": "ok", "key": name, "denoiser": name, "t": 50,
                "dataset": "digits", "n": 16, "mse_per_image": error.tolist(),
                "ssim_per_image": (sign * error).tolist(),
                "lpips_per_image": rng.uniform(0, 1, 16).tolist(), "ssim": 0.5, "lpips": 0.5,
            }
        )  # fmt: skip
    found = claims_denoising.ssim_psnr(FakeRun({}, pd.DataFrame(rows), None))
    assert (found.verdict.label, found.verdict.seen) == (Label.NOT_COMPARABLE, label)
    assert found.n == "16 images, 5 methods of one call, 1 level", "the noisy image is no method"
    fewer = FakeRun({}, pd.DataFrame(rows[:5]), None)
    assert claims_denoising.ssim_psnr(fewer).verdict.label is Label.MISSING
    assert f"SSIM {-sign:.2f} (95 %: {-sign:.2f} to {-sign:.2f})" in found.measured


def test_the_mean_is_nearer_and_less_natural_as_planted(run):
    rows = run.rows.copy()
    for name in ("psnr_low", "psnr_high"):
        rows[name] = rows["psnr"] + (0.01 if name.endswith("high") else -0.01)
    found = claims_denoising.blur(with_rows(run, rows))
    assert found.verdict.seen is Label.REPRODUCED
    assert "higher beyond doubt in 6 of 6 restorations; farther from clean images in 6" in (
        found.measured
    )


@pytest.mark.parametrize(
    ("counts", "label"),
    [
        ((3, 0, 0), Label.REPRODUCED),
        ((0, 0, 3), Label.CONTRADICTED),
        ((2, 0, 1), Label.DIFFERS),
        ((0, 3, 0), Label.TIE),
        ((1, 5, 0), Label.TIE),
        ((0, 0, 0), Label.MISSING),
    ],
)
def test_many_comparisons_are_judged_together(counts, label):
    assert share(*counts).label is label


# ------------------------------------------------------------------ tables


def test_table_5s_numbers_are_those_of_one_of_its_networks(judged):
    found = of(judged, "table5-numbers")
    assert found.verdict.label is Label.DIFFERS
    assert found.measured == "15 of them measured, 15 comparable, 13 reached"
    assert of(judged, "table5-memory").verdict.label is Label.REPRODUCED
    memory = of(judged, "table5-memory").measured
    assert "U-Net [unet] 545.4 MiB" in memory and "cU-Net [cunet-released-a5] 137." in memory
    assert of(judged, "table1-numbers").verdict.label is Label.NOT_COMPARABLE


def test_the_time_embedding_is_judged_by_what_a_contract_test_found(run, judged):
    assert of(judged, "time-embedding").verdict.label is Label.CONTRADICTED
    bare = with_rows(run, run.rows, findings=[{"name": "cunet-released", "note": "licensed"}])
    assert claims_tables.time_embedding(bare).verdict.label is Label.MISSING


@pytest.mark.parametrize(
    ("factors", "seen", "told"),
    [
        ((0.5, 1.0, 2.0), Label.DIFFERS, "1 as the paper says, 1 tied, 1 the other way"),
        ((2.0, 2.0, 1.0), Label.REPRODUCED, "2 as the paper says, 1 tied, 0 the other way"),
        ((0.5, 0.5, 0.5), Label.CONTRADICTED, "0 as the paper says, 0 tied, 3 the other way"),
    ],
)
def test_ablations_decide_together(run, factors, seen, told):
    rows = [run.rows]
    full = run.rows[run.rows["denoiser"].eq("diffusion:cunet") & run.rows["task"].eq("frechet")]
    for name, factor in zip(claims_quality.ABLATIONS, factors, strict=True):
        mine = full.assign(denoiser=f"diffusion:{name}", backbone=name)
        mine["frechet"] = factor * mine["frechet"]
        mine["leave_one_out"] = [[factor * v for v in cell] for cell in mine["leave_one_out"]]
        rows.append(mine)
    found = claims_quality.ablation(with_rows(run, pd.concat(rows, ignore_index=True)))
    assert found.verdict.seen is seen
    assert found.measured.endswith(f": {told}")
