"""Tables 2 and 3: ties, variants and the authors' own protocol."""

import numpy as np
import pandas as pd
import pytest

from bench.report import restoration as r
from bench.report.comparison import Value
from bench.report.table2 import Restorations, _shortest, table2, table3


def cells(table, block):
    return [list(map(str, row)) for row in table.layout.to_numpy() if row[0] == block]


def best(value, images):
    about = {"best_value": value, "best_low": value - 0.3, "best_high": value + 0.3, "n": 2}
    return r.Best(pd.Series({**about, "key": "k", "per_image": images}))


def test_steps_are_cut_at_the_level_where_the_way_begins_and_nowhere_else():
    """Noise of t = 400 by the linear schedule is level 707 of a network of the sigmoid one."""

    def steps(calls, whole, stride=1):
        about = {"t": 400, "stride": stride, "n": 4, "key": "k", "total_calls": whole}
        ends = dict.fromkeys(("best_calls", "best_calls_low", "best_calls_high"), calls)
        return r.Best(pd.Series({**about, **ends})).steps.value

    assert steps(600, 707) == 600
    assert steps(400, 400) == steps(40, 40, stride=10) == 400
    assert steps(58, 58, stride=7) == 400, "the last call goes on by one"


# ------------------------------------------------------------------ ties


def test_a_difference_that_images_do_not_agree_on_is_a_tie():
    a = np.linspace(0.7, 0.9, 40)
    wobble = np.tile([0.05, -0.049], 20)
    pair = {"unet": best(a.mean(), list(a)), "cunet": best((a - wobble).mean(), list(a - wobble))}
    assert r.leader(pair, largest=True) is None
    surely = {**pair, "cunet": best(a.mean() - 0.01, list(a - 0.01 - wobble / 50))}
    assert r.leader(surely, largest=True) == "unet"
    assert r.leader(surely, largest=False) == "cunet"


def test_alone_or_without_images_nothing_leads():
    one = best(0.8, [0.7, 0.9])
    assert r.leader({"unet": one}, largest=True) is None
    assert r.leader({"unet": one, "cunet": best(0.7, [])}, largest=True) is None
    assert r.leader({"unet": one, "cunet": one}, largest=True) is None


def test_a_tie_is_never_bold_and_is_counted(changed):
    """Of equal scores no one is better, whatever the means' last digits say."""

    def tied(rows: pd.DataFrame) -> pd.DataFrame:
        chosen = (rows["part"] == "best") & (rows["metric"] == "ssim")
        flat = [[0.8, 0.9] * 8 for _ in range(int(chosen.sum()))]
        rows.loc[chosen, "per_image"] = pd.Series(flat, index=rows.index[chosen])
        return rows

    table = table2(changed(tied))
    rows = cells(table, "digits, sigmoid, current")
    assert not any("**" in row[4] for row in rows)
    assert any("**" in row[6] for row in rows), "LPIPS has leaders still"
    notes = " ".join(table.notes)
    assert "SSIM: U-Net better at 0, cU-Net better at 0, a tie at 3" in notes
    assert "LPIPS: U-Net better at 0, cU-Net better at 3, a tie at 0" in notes


def test_the_range_of_a_time_holds_the_range_of_its_steps(run):
    all_ = Restorations(run)
    for one in r.best_of(all_.rows, all_.blocks[0]).values():
        seconds, latency = all_.seconds(one), all_.latency(one)
        assert seconds.value == one.calls * latency.seconds
        assert seconds.low == one.row["best_calls_low"] * latency.low
        assert seconds.high == one.row["best_calls_high"] * latency.high


def test_networks_are_compared_without_hindsight():
    images = np.linspace(0.4, 0.6, 20)
    told = r.Best(
        pd.Series({
            "best_value": 0.6, "per_image": list(images + 0.1), "per_image_disjoint": list(images)
        })
    )  # fmt: skip
    assert told.per_image == list(images)
    assert r.leader({"unet": told, "cunet": best(0.5, list(images))}, largest=True) is None


def test_halves_that_choose_different_steps_leave_the_networks_own_intervals():
    """Scores of one half at the other's choice depend on both: no paired test takes them."""
    ends = {"best_value": 0.5, "best_low": 0.4, "best_high": 0.6, "n": 20, "key": "k"}
    mine = {**ends, "per_image": [0.5] * 20, "per_image_disjoint": [0.5] * 20}
    theirs = {**mine, "best_value": 0.4, "per_image_disjoint": [0.4] * 20}
    same = [r.Best(pd.Series({**row, "disjoint_calls": [3, 3]})) for row in (mine, theirs)]
    other = r.Best(pd.Series({**mine, "disjoint_calls": [2, 3]}))
    assert r.compared(*same) == pytest.approx((0.1, 0.1, 0.1))
    assert other.per_image == []
    low, high = r.compared(other, same[1])[1:]
    assert low < 0 < high
    assert r.leader({"unet": same[0], "cunet": same[1]}, largest=True) == "unet"
    assert r.leader({"unet": other, "cunet": same[1]}, largest=True) is None


def test_the_last_call_may_go_on_by_fewer_steps():
    row = {"best_calls": 3, "best_calls_low": 2, "best_calls_high": 3, "stride": 20, "t": 50}
    steps = r.Best(pd.Series({**row, "n": 4, "key": "00"})).steps
    assert (steps.value, steps.low, steps.high) == (50, 40, 50)


def test_a_time_is_shorter_only_where_ranges_are_apart():
    times = {"unet": Value(1.0, 0.9, 1.1), "cunet": Value(1.3, 1.05, 1.5)}
    assert _shortest(times) is None
    assert _shortest({**times, "cunet": Value(1.3, 1.2, 1.5)}) == "unet"
    assert _shortest({"unet": times["unet"], "cunet": Value(None)}) is None


# ------------------------------------------------------------------ protocols apart


def test_the_authors_protocol_stands_in_blocks_of_its_own(run):
    for table, shown in ((table2(run), "0.97 / 0.97"), (table3(run), "30 / 30")):
        (row,) = cells(table, "digits, authors' notebook: one network followed")
        assert row[1:5] == ["100", "0.100", "-", shown]
        assert not any("**" in cell for cell in row)
        lines = table.comparison
        theirs = lines[lines["protocol"].str.startswith("authors-notebook")]
        assert len(theirs) and theirs["paper"].isna().all()
        assert set(theirs["verdict"]) == {"not comparable"}
        assert theirs["row"].str.startswith("notebook ").all()
    assert any("best SSIM as in the other blocks" in note for note in table2(run).notes)
    assert any("0.61 / 0.63" in note for note in table2(run).notes)


def test_clipped_noise_is_a_block_of_its_own_and_last(changed):
    def with_clipped(rows: pd.DataFrame) -> pd.DataFrame:
        twin = rows[(rows["task"] == "restore") & (rows["estimate"] != "x0")]
        twin = twin.assign(clipped=True, key=twin["key"] + "c", best_value=0.5)
        return pd.concat([rows.assign(clipped=False), twin], ignore_index=True)

    run = changed(with_clipped)
    blocks = Restorations(run).blocks
    assert [block.clipped for block in blocks] == [False, False, True]
    table = table2(run)
    plain = cells(table, "digits, sigmoid, current")
    assert plain == cells(table2(changed(lambda rows: rows)), "digits, sigmoid, current")
    (row,) = [row for row in cells(table, f"{blocks[-1].title}") if row[1] == "50"]
    assert row[4].replace("*", "") == "0.50 / 0.50"
    assert blocks[-1].title.endswith("noisy images clipped")
    reasons = table.comparison.loc[table.comparison["protocol"].str.contains("clipped"), "reason"]
    assert reasons.str.contains("noisy images clipped instead of not clipped").any()


def test_disjoint_steps_are_said(run):
    lines = table2(run).comparison
    assert lines["protocol"].str.contains("calls chosen on disjoint images").any()


def test_a_run_without_restorations_still_has_tables(empty):
    for table in (table2(empty), table3(empty)):
        assert not any("notebook" in str(row[0]) for row in table.layout.to_numpy())
        assert not table.comparison["ours"].notna().any()


@pytest.mark.parametrize("backbone", ["unet", "cunet"])
def test_a_block_keeps_to_its_conditions(run, backbone):
    rows = r.restored(run, "curve")
    block = r.Block("digits", "sigmoid", "x0")
    here = r.within(rows[rows["backbone"] == backbone], block)
    assert set(here["estimate"]) == {"x0"}
    both = r.within(rows[rows["backbone"] == backbone], block, any_estimate=True)
    assert len(both) == 2 * len(here)
