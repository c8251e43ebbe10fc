"""What a judge says of generated images: how sure it is, and how evenly the classes come."""

from collections.abc import Mapping

import pandas as pd

from bench.report.comparison import Value
from bench.report.curves import Curve, block_of
from bench.report.rows import RunLike, floating, integer, ok, once

SHARES = ("confident", "tv_uniform")
ABOUT = ("backbone", "dataset", "recipe", "sampler", "spacing", "steps")
COLUMNS = (
    *ABOUT,
    *(f"{name}{end}" for name in SHARES for end in ("", "_low", "_high")),
    *("tv_uniform_floor", "n_generated", "judge_sha"),
)
JUDGE_COLUMNS = (
    *(f"{name}{end}" for name in ("accuracy", "confident") for end in ("", "_low", "_high")),
    *("weights_sha", "dataset", "n_train", "n_test", "label_smoothing", "threshold"),
)
CONFIDENT, UNEVEN = SHARES
REAL, FLOOR = "confident_real", "tv_uniform_floor"


def classes_of(run: RunLike, curve: Curve) -> Mapping[str, Value]:
    """Return what was judged of a network's images at its best number of steps; seeds averaged."""
    found = _at_best(run, curve)
    if found.empty:
        return {}
    keys = tuple(map(str, found["key"]))
    n = integer(found["n_generated"].iloc[0])
    values = {name: _value(found, name, n, keys) for name in SHARES}
    values[FLOOR] = Value(_mean(found, FLOOR), n=n, keys=keys)
    judge = judge_of(run, curve)
    if judge is not None:
        about = pd.DataFrame([judge])
        values[REAL] = _value(about, CONFIDENT, integer(judge["n_test"]), (str(judge["key"]),))
    return values


def judge_of(run: RunLike, curve: Curve) -> pd.Series | None:
    """Return the row of the judge of a network's images; None where nobody judged them."""
    found, judges = _at_best(run, curve), ok(run, "judge", JUDGE_COLUMNS)
    if found.empty:
        return None
    same = judges[judges["weights_sha"] == found["judge_sha"].iloc[0]]
    return None if same.empty else same.iloc[0]


def words_of(run: RunLike, found: list[Curve]) -> list[str]:
    """Return who judged, how well, and how to read it, for the lines beneath a table."""
    judges = {}
    for curve in found:
        judge = judge_of(run, curve)
        if judge is not None:
            judges[str(judge["weights_sha"])] = judge
    notes = [_about(judge) for judge in judges.values()]
    if notes:
        notes.append(
            "Classes are counted by the judge's likeliest one; 'real' are held-out real images. "
            "TV: half the sum of differences from equal shares, 0 to 1; its floor is what N images "
            "drawn evenly have on average. A judge can be sure of images that show nothing: "
            "believe it beside precision and the distances only."
        )
    return notes


def _about(judge: pd.Series) -> str:
    words = f"Judge of {judge['dataset']}: a small network that learnt "
    words += f"{integer(judge['n_train']):,} labelled training images"
    smoothing = floating(judge["label_smoothing"])
    words += "" if smoothing else ", without label smoothing"
    right = " to ".join(f"{100 * judge[f'accuracy_{end}']:.1f}" for end in ("low", "high"))
    return (
        f"{words}; right on {100 * judge['accuracy']:.1f} % ({right}) of "
        f"{integer(judge['n_test']):,} held-out real images. Confident: a probability above "
        f"{judge['threshold']:g}."
    )


@once
def _judged(run: RunLike) -> pd.DataFrame:
    rows = ok(run, "judged", COLUMNS)
    rows = rows[rows["confident"].notna() & rows["steps"].notna()]
    return rows if rows.empty else rows.assign(block=block_of(rows))


def _at_best(run: RunLike, curve: Curve) -> pd.DataFrame:
    rows = _judged(run)
    if rows.empty:
        return rows
    same = (rows["dataset"] == curve.dataset) & (rows["block"] == curve.recipe)
    same &= (rows["backbone"] == curve.backbone) & (rows["steps"] == curve.best["steps"])
    return rows[same]


def _value(rows: pd.DataFrame, name: str, n: int | None, keys: tuple[str, ...]) -> Value:
    return Value(*(_mean(rows, f"{name}{end}") for end in ("", "_low", "_high")), n=n, keys=keys)


def _mean(rows: pd.DataFrame, name: str) -> float | None:
    return floating(rows[name].astype(float).mean())
