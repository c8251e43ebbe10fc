"""Table 4: its rows, blocks, variants and ties."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.comparison import Value
from bench.report.perception import points
from bench.report.restoration import DEFAULT_ESTIMATE, Block
from bench.report.table4 import blocks, denoised, label_of, methods, table4
from bench.report.table4_pairs import PAIRS, Method, compared, duel_note, duels, leaders
from bench.report.verdicts import Label

SSIM = (50, "ssim")
MINE = Block("digits", "sigmoid", DEFAULT_ESTIMATE)


def more(rows: pd.DataFrame, like: str, **columns) -> pd.DataFrame:
    """Return rows with those of a denoiser once more, changed."""
    mine = rows[(rows["task"] == "denoise") & (rows["denoiser"] == like)]
    return pd.concat([rows, mine.assign(**columns)], ignore_index=True)


def body(run) -> list[list[str]]:
    return [[str(x) for x in row] for row in table4(run).layout.to_numpy().tolist()]


def method(label: str, images: list[float], key=SSIM) -> Method:
    """Return a row with the scores of some images."""
    row = pd.Series({"dataset": "digits", "schedule": "sigmoid", "n": len(images)})
    value = Value(float(np.mean(images)), min(images), max(images), len(images))
    return Method(label, None, {key: value}, {key[0]: row}, "", {key: images})


@pytest.mark.parametrize(
    ("denoiser", "trained", "label"),
    [
        ("dncnn", "one", "DnCNN (one level)"),
        ("conv-ae", "elsewhere", "Conv AE (elsewhere)"),
        ("diffusion:cunet", "-", "Diff cU-Net, one step"),
        ("bm3d-torch+assumed_sigma=0.05", "-", "BM3D (torch), told σ = 0.05"),
        ("strange+depth=3", "-", "strange+depth=3"),
    ],
)
def test_names_of_rows(denoiser, trained, label):
    assert label_of(denoiser, trained) == label


def test_the_training_of_the_notebook_stands_beside_the_paper(changed):
    def trainings(rows):
        rows = more(rows, "dncnn", trained="one", trained_sigma=0.101, ssim=0.5)
        return more(rows, "dncnn", trained="level", ssim=0.6)

    run = changed(trainings)
    found = [row for row in body(run) if row[1].startswith("DnCNN")]
    assert [row[1] for row in found] == ["DnCNN (one level)", "DnCNN (per level)", "DnCNN (blind)"]
    assert [row[2].strip("*") for row in found] == ["0.89", "-", "-"]
    assert [row[3].strip("*") for row in found][:2] == ["0.50", "0.60"]
    lines = table4(run).comparison
    beside = lines[(lines["row"] == "DnCNN") & lines["paper"].notna()]
    assert len(beside) == 6
    assert beside["protocol"].str.contains("trained one at sigma 0.101").all()
    assert not beside["reason"].str.contains("trained").any()
    assert set(denoised(run).query("denoiser == 'dncnn'")["trained"]) == {"one"}


def test_another_training_in_its_place_is_not_comparable(paper_run):
    rows = paper_run.rows.assign(trained=paper_run.rows["trained"].replace("one", "blind"))
    run = type(paper_run)(paper_run.manifest, rows, paper_run.folder)
    lines = table4(run).comparison
    mine = lines[(lines["row"] == "DnCNN") & lines["paper"].notna()]
    assert set(mine["reason"]) == {"trained blind instead of at one level"}
    assert set(mine["verdict"]) == {Label.NOT_COMPARABLE.value}


def test_one_step_stands_beneath_the_restorations(changed):
    def one_step(rows):
        for name in ("cunet", "unet"):
            rows = more(rows, "wiener", denoiser=f"diffusion:{name}", backbone=name)
            rows.loc[rows["denoiser"] == f"diffusion:{name}", "trained"] = "-"
        return rows

    labels = [row[1] for row in body(changed(one_step))]
    assert labels[-6:] == [
        "Diff U-Net", "Diff cU-Net", "Diff U-Net, one step", "Diff cU-Net, one step",
        "Noisy input", "Wiener",
    ]  # fmt: skip


def test_a_wrong_sigma_is_a_row_of_its_own(changed):
    wrong = "bm3d-torch+assumed_sigma=0.05"

    def told(rows):
        rows = more(rows, "bm3d", denoiser=wrong, assumed_sigma=0.05, ssim=0.3)
        return more(rows, "bm3d", denoiser=wrong, assumed_sigma=0.05, schedule="linear", ssim=0.2)

    run = changed(told)
    found = {(row[0], row[1]): [x.strip("*") for x in row[2:4]] for row in body(run)}
    name = "BM3D (torch), told σ = 0.05"
    assert found["digits, sigmoid", "BM3D"][0] == "0.74"
    assert found["digits, sigmoid", name] == ["-", "0.30"]
    assert found["digits, linear", name] == ["0.74", "0.20"], "alone, it is held against the paper"
    assert [row[1] for row in body(run) if row[0] == "digits, linear"] == [name]
    reasons = table4(run).comparison.query("row == 'BM3D' and ours == 0.2")["reason"]
    assert reasons.str.contains("schedule linear instead of sigmoid").all()
    assert reasons.str.contains("told sigma 0.05 instead of the noise's own").all()
    assert wrong not in set(denoised(run)["denoiser"])
    assert wrong not in set(points(run, MINE)["name"]), "it is no point of the trade"


def test_clipped_images_have_a_block_of_their_own(run, changed):
    def clipped(rows):
        return more(more(rows, "bm3d", clipped=True, ssim=0.99), "identity", clipped=True)

    both = changed(clipped)
    assert [block.clipped for block in blocks(both)] == [False, True]
    titles = {row[0]: [r[1] for r in body(both) if r[0] == row[0]] for row in body(both)}
    assert titles["digits, sigmoid, noisy images clipped"] == ["BM3D", "Noisy input"]
    assert body(both)[: len(body(run))] == body(run)
    assert len(denoised(both)) == len(denoised(run))
    assert blocks(both)[0] == blocks(run)[0], "claims are judged there"
    lines = table4(both).comparison
    ours = lines[lines["ours"] == 0.99]
    assert ours["protocol"].str.contains("noisy images clipped").all()
    assert ours["reason"].str.contains("noisy images clipped instead of not clipped").any()


def test_what_ties_with_the_best_is_bold_too():
    rng = np.random.default_rng(0)
    hard = rng.normal(0.5, 0.2, 60)  # images differ by far more than the methods
    best, tied, worse = (
        method(name, (hard + gap + rng.normal(0, 0.01, 60)).tolist())
        for name, gap in (("best", 0.0), ("tied", -0.0005), ("worse", -0.02))
    )
    assert leaders([worse, best, tied], SSIM) == [False, True, True]
    assert leaders([best, tied], SSIM) == [False, False], "all tie: nothing is best"
    assert leaders([best], SSIM) == [False]
    assert leaders([worse, best], (50, "lpips")) == [False, False], "not measured"


def test_without_single_scores_separate_intervals_decide():
    a, b, c = (
        Method(n, None, {SSIM: Value(v, v - w, v + w, 9)}, {}, "", {})
        for n, v, w in (("a", 0.9, 0.01), ("b", 0.895, 0.01), ("c", 0.5, 0.01))
    )
    assert leaders([a, b, c], SSIM) == [True, True, False]


@given(
    st.lists(st.lists(st.floats(0, 1, width=16), min_size=4, max_size=4), min_size=2, max_size=5),
    st.randoms(use_true_random=False),
)
def test_leaders_do_not_depend_on_the_order(images, random):
    found = [method(str(i), one) for i, one in enumerate(images)]
    best = {m.label for m, yes in zip(found, leaders(found, SSIM), strict=True) if yes}
    means = [np.mean(one) for one in images]
    if best and means.count(max(means)) == 1:
        assert str(int(np.argmax(means))) in best
        random.shuffle(found)
        assert best == {m.label for m, yes in zip(found, leaders(found, SSIM), strict=True) if yes}
    assert len(best) < len(found)


@pytest.mark.parametrize(
    ("key", "gap", "winner"),
    [
        (SSIM, 0.01, "Diff U-Net"),
        (SSIM, -0.01, "BM3D"),
        ((50, "lpips"), 0.01, "BM3D"),
        (SSIM, 0.0, None),
    ],
)
def test_duels_are_fought_image_by_image(key, gap, winner):
    rng = np.random.default_rng(1)
    hard = rng.normal(0.5, 0.3, 40)
    theirs = method("BM3D", hard.tolist(), key)
    ours = method("Diff U-Net", (hard + gap + rng.normal(0, 0.001, 40)).tolist(), key)
    pair = ("Diff U-Net", "BM3D")
    (duel,) = duels([ours, theirs], [50, 150], pair)
    assert duel.winner == winner
    note = duel_note([duel])
    counts = {
        "Diff U-Net": "1 for Diff U-Net, 0 for BM3D, no tie",
        "BM3D": "0 for Diff U-Net, 1 for BM3D, no tie",
        None: "0 for Diff U-Net, 0 for BM3D, 1 tie",
    }
    assert counts[winner] in note and note.endswith(f"{winner or 'a tie'}.")
    assert duels([ours], [50], pair) == [] and duels([ours, theirs], [150], pair) == []
    assert duel_note([]) == ""


def test_every_other_network_is_compared_with_the_cunet():
    labels = [
        "BM3D",
        "Diff U-Net",
        "Diff cU-Net",
        "Diff discrete-tied",
        "Diff discrete-tied, one step",
    ]
    assert compared([method(label, [0.5]) for label in labels]) == [
        *PAIRS,
        ("Diff discrete-tied", "Diff cU-Net"),
    ]


def test_a_run_tells_who_wins(run):
    """In the synthetic run the U-Net has the better SSIM, the cU-Net the better LPIPS."""
    table = table4(run)
    pair, *against_bm3d = [n for n in table.notes if "paired" in n]
    assert "3 for Diff U-Net, 3 for Diff cU-Net, no tie" in pair
    assert [n.split(", mean")[0] for n in against_bm3d] == [
        "Diff U-Net - BM3D",
        "Diff cU-Net - BM3D",
    ]
    lines = table.comparison[table.comparison["metric"].str.endswith("_difference")]
    assert len(lines) == 18 and set(lines["verdict"]) == {Label.NOT_COMPARABLE.value}
    assert set(lines["low"] <= lines["ours"]) == {True}
    lines = lines[lines["row"] == "Diff U-Net - Diff cU-Net"]
    assert len(lines) == 6
    seen = dict(zip(lines["column"] + lines["metric"], lines["reason"], strict=True))
    assert seen["50ssim_difference"].endswith("seen here: the opposite")
    assert seen["400ssim_difference"].endswith("seen here: as the paper says")
    assert set(lines["low"] <= lines["ours"]) == {True}


def test_the_block_of_the_paper_keeps_its_rows_without_a_measurement(changed):
    run = changed(lambda rows: rows[rows["task"] != "denoise"])
    assert [m.label for m in methods(run, MINE)] == [
        "BM3D", "Conv AE", "DnCNN", "Diff U-Net", "Diff cU-Net",
    ]  # fmt: skip
