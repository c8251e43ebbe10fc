"""The table of classic denoisers on published test sets: verdicts, order, notes."""

import pandas as pd
import pytest
from report_builder import FakeRun

from bench.report.classics import PUBLISHED, TOLERANCE, classics, told
from bench.report.paper import lookup, published
from bench.report.tables import tables

WHOLE = {"set12": 12, "bsd68": 68, "cbsd68": 68}


def row(denoiser="dncnn-kair-25", testset="set12", sigma=25, psnr=30.43, **columns):
    return {
        "key": f"{denoiser}-{testset}-{sigma}",
        "task": "classics",
        "status": "ok",
        "reason": "",
        "label": f"classics {denoiser} {testset} sigma_255={sigma}",
        "table": "classics",
        "denoiser": denoiser,
        "testset": testset,
        "sigma_255": sigma,
        "seed": 0,
        "n": WHOLE[testset],
        "pictures": WHOLE[testset],
        "channels": 3 if testset == "cbsd68" else 1,
        "same_data": True,
        "psnr": psnr,
        "psnr_low": psnr - 0.5,
        "psnr_high": psnr + 0.6,
        "psnr_unrounded": psnr + 0.006,
        "psnr_of_noisy": 20.34,
        "ssim": 0.86,
        **columns,
    }


def made(*rows):
    return classics(FakeRun({}, pd.DataFrame(list(rows)), folder=None))


def cells(table):
    return [list(one) for one in table.layout.itertuples(index=False, name=None)]


def verdict(*rows):
    (line,) = made(*rows).comparison.to_dict("records")
    return line["verdict"]


def test_a_line_says_published_ours_difference_verdict_and_n():
    table = made(row(psnr=30.409))
    assert cells(table) == [
        [
            *("DnCNN-S (published weights)", "Set12", "25", "30.436", "30.409 (29.91 to 31.01)"),
            *("-0.027", "0.8600", "reproduced", "12"),
        ]
    ]
    (line,) = table.comparison.to_dict("records")
    assert (line["paper"], line["ours"], line["n"], line["unit"]) == (30.436, 30.409, 12, "dB")
    assert "-0.027 dB, within 0.05 dB" in line["reason"] and "unclipped" in line["protocol"]


@pytest.mark.parametrize(
    ("denoiser", "testset", "known"),
    [
        ("dncnn-kair-25", "set12", 30.436),
        ("dncnn-kair-25", "bsd68", 29.23),
        ("bm3d", "set12", 29.969),
        ("bm3d-torch", "bsd68", 28.57),
        ("bm3d", "cbsd68", 30.71),
    ],
)
def test_within_the_tolerance_it_is_reproduced_and_beyond_it_differs(denoiser, testset, known):
    allowed = 0.05 if denoiser.startswith("dncnn") else 0.15
    for sign in (-1, 1):
        near, far = known + sign * (allowed - 0.001), known + sign * (allowed + 0.001)
        assert verdict(row(denoiser, testset, psnr=near)) == "reproduced"
        assert verdict(row(denoiser, testset, psnr=far)) == "differs"


def test_the_noisy_input_is_compared_with_its_closed_form():
    (line,) = cells(made(row("identity", psnr=20.35)))
    assert line[3] == "20.340 (closed form)" and line[7] == "reproduced"
    assert verdict(row("identity", psnr=20.45)) == "differs"
    assert verdict(row("identity", psnr=20.35, n=3, same_data=False)) == "reproduced"


@pytest.mark.parametrize(
    ("columns", "words"),
    [({"same_data": False}, "other pictures"), ({"n": 4}, "the first 4 of 12 pictures")],
)
def test_other_pictures_are_not_comparable(columns, words):
    (line,) = made(row(psnr=30.436, **columns)).comparison.to_dict("records")
    assert line["verdict"] == "not comparable" and words in line["reason"]
    assert line["paper"] == 30.436


def test_what_nobody_published_has_a_dash():
    (line,) = cells(made(row("wiener", psnr=27.0)))
    assert line[0] == "Wiener" and line[3] == line[5] == line[7] == "-"
    (line,) = cells(made(row("bm3d", sigma=30, psnr=28.0)))
    assert line[3] == "-"


def test_colour_pictures_have_the_values_of_cbm3d():
    assert cells(made(row("bm3d", "cbsd68", 50, psnr=27.4)))[0][3] == "27.38"
    assert cells(made(row("bm3d", "bsd68", 50, psnr=25.6)))[0][3] == "25.62"


def test_a_terminal_is_told_each_value_beside_the_known_one(run):
    rows = [row(psnr=30.409), row("identity", psnr=20.35), row("wiener", psnr=27.0)]
    assert told(FakeRun({}, pd.DataFrame(rows), None)) == [
        "Noisy input, Set12, sigma 25: 20.350 dB; closed form 20.340 (+0.010): reproduced",
        "DnCNN-S (published weights), Set12, sigma 25: 30.409 dB; published 30.436 (-0.027): "
        "reproduced",
    ]
    assert told(run) == []


def test_lines_are_sorted_by_set_level_and_method():
    table = made(
        row("bm3d", "bsd68", 25), row("other", "set12", 25), row("bm3d", "set12", 50),
        row("bm3d", "set12", 25), row("identity", "set12", 25), row("bm3d", "set12", 15),
    )  # fmt: skip
    places = [(line[1], line[2], line[0]) for line in cells(table)]
    assert places == [
        ("Set12", "15", "BM3D (the package)"),
        ("Set12", "25", "Noisy input"),
        ("Set12", "25", "BM3D (the package)"),
        ("Set12", "25", "other"),
        ("Set12", "50", "BM3D (the package)"),
        ("BSD68", "25", "BM3D (the package)"),
    ]


def test_notes_name_sources_tolerances_rounding_and_what_is_not_there():
    missing = row("bm3d", "bsd68", status="skipped", reason="bsd68 is not on this machine")
    notes = " ".join(made(row(), row("identity", psnr=20.3), missing).notes)
    assert "Zhang et al. 2017, arXiv:1608.03981, Table III." in notes and "1710.04026" not in notes
    assert "DnCNN-S 0.05, BM3D 0.15" in notes and "0.0060 dB" in notes
    assert "classics bm3d bsd68 sigma_255=25: skipped (bsd68 is not on this machine)" in notes


def test_a_run_without_it_has_no_such_table(run, empty):
    assert classics(empty) is None and classics(run) is None
    assert "classics" in [t.name for t in tables(FakeRun({}, pd.DataFrame([row()]), None))]


def test_the_published_numbers_are_as_printed_and_have_a_source():
    rows = published("classics")
    assert len(rows) == len(lookup("classics")) == 11
    assert (rows["source"].str.contains("arXiv")).all()
    assert all(float(one.text) == one.value for one in rows.itertuples())
    assert set(rows["row"]) <= set(TOLERANCE) and set(PUBLISHED.values()) <= set(TOLERANCE)
    for name in ("DnCNN-S", "BM3D", "CBM3D"):  # more noise, fewer dB
        values = rows[rows["row"] == name].sort_values("column")
        by_set = values.groupby(values["column"].str.split().str[0])["value"]
        assert by_set.apply(lambda one: one.is_monotonic_decreasing).all()
