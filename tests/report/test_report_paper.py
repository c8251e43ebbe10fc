"""The published numbers: all there, as printed."""

import pytest

from bench.api import BenchError
from bench.report.paper import NAMES, half_unit, lookup, published

COUNTS = {"table1": 18, "table2": 32, "table3": 64, "table4": 30, "table5": 10, "figure6": 6}


@pytest.mark.parametrize(("table", "count"), COUNTS.items())
def test_every_number_is_there_once(table, count):
    rows = published(table)
    assert len(rows) == count
    assert not rows.duplicated(["row", "column", "metric"]).any()
    assert (rows["table"] == table).all()


@pytest.mark.parametrize("table", COUNTS)
def test_value_is_the_text(table):
    for row in published(table).itertuples():
        factor = 1e6 if row.text.endswith("M") else 1
        assert float(row.text.rstrip("M").replace(",", "")) * factor == pytest.approx(row.value)


@pytest.mark.parametrize(
    ("table", "key", "text"),
    [
        ("table1", ("cU-Net", "MNIST", "steps"), "5"),
        ("table1", ("U-Net", "LSUN Church", "time"), "12.14"),
        ("table2", ("50", "cU-Net", "best_ssim"), "0.90"),
        ("table2", ("800", "U-Net", "best_lpips"), "0.419"),
        ("table3", ("800", "cU-Net", "lpips_time"), "39.05"),
        ("table3", ("400", "U-Net", "ssim_step"), "368"),
        ("table4", ("BM3D", "400", "lpips"), "0.977"),
        ("table4", ("Diff cU-Net", "50", "lpips"), "0.019"),
        ("table5", ("cU-Net", "3x64x64", "gflops"), "2.90"),
        ("table5", ("cU-Net wo/A/R", "3x64x64", "mb"), "88.4"),
        ("figure6", ("U-Net", "authors notebook", "parameters"), "35,710,339"),
    ],
)
def test_spot_values(table, key, text):
    assert lookup(table)[key].text == text


def test_paper_contradicts_its_own_abstract():
    """Table 5 gives 40.2 % of the FLOPs where the abstract says 30 %."""
    table = lookup("table5")
    ratio = table["cU-Net", "3x64x64", "gflops"].value / table["U-Net", "3x64x64", "gflops"].value
    assert ratio == pytest.approx(0.402, abs=5e-4)
    claims = published("claims").set_index("id")
    assert float(claims.loc["flops-30", "value"]) == 0.30


@pytest.mark.parametrize(
    ("text", "half"),
    [("3.61", 0.005), ("47", 0.5), ("0.019", 0.0005), ("8.8M", 50_000), ("8,811,875", 0.5)],
)
def test_half_unit_is_half_of_the_last_digit(text, half):
    assert half_unit(text) == pytest.approx(half)


def test_claims_are_unique_and_known():
    assert published("claims")["id"].is_unique
    assert "claims" in NAMES


def test_unknown_table_is_one_line():
    with pytest.raises(BenchError, match="did you mean 'table5'"):
        published("tabel5")
