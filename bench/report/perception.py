"""Every restoration as a point: its distortion, its LPIPS, and its distance as a set."""

import pandas as pd

from bench.report import restoration as r
from bench.report.rows import RunLike, ok, true
from bench.report.table4 import denoised

PATH, COMBINATION, CLASSIC = "path", "combination", "classic"
DISTANCES = {"kid": "kernel distance", "frechet": "Fréchet distance"}
ENDS = ("", "_low", "_high")
COLUMNS = (
    *("denoiser", "backbone", "dataset", "schedule", "t", "sigma", "clipped", "features"),
    *("n", "psnr", "mse", "ssim", "lpips"),
)
SETS = (
    *COLUMNS,
    *("part", "calls", "share_of_mean", "leads", "n_real"),
    *(f"{name}{end}" for name in DISTANCES for end in ENDS),
)
POINT = (
    *("name", "kind", "order", "t", "sigma", "n", "mse", "loss", "lpips"),
    *("leads", "n_real", "features", *(f"{name}{end}" for name in DISTANCES for end in ENDS)),
)
"""Columns of points: who restored, how (`kind`), which of its states (`order`: network calls, or
the share of the posterior mean), mean squared error, `loss` = 1 - SSIM, LPIPS, and distances."""


def points(run: RunLike, block: r.Block) -> pd.DataFrame:
    """Return all that a block restored, with the columns of `POINT`."""
    paths, between = r.restored(run, "curve"), r.restored(run, COMBINATION)
    sets = _plain(ok(run, "perception", SETS))
    parts = [
        _joined(r.within(paths, block), r.within(sets, block), PATH, order="calls"),
        _joined(
            r.within(between, block), r.within(sets, block), COMBINATION, order="share_of_mean"
        ),
        _joined(r.within(_classics(run), block), r.within(sets, block), CLASSIC, order=""),
    ]
    found = pd.concat([part for part in parts if len(part)] or [pd.DataFrame(columns=POINT)])
    return found[found["lpips"].notna() & found["ssim"].notna()].assign(
        loss=lambda rows: 1 - rows["ssim"].astype(float)
    )[list(POINT)]


def sets(run: RunLike, block: r.Block) -> pd.DataFrame:
    """Return the distances of what lies between posterior mean and sample, by `name` and `t`."""
    found = r.within(_plain(ok(run, "perception", SETS)), block)
    return found[(found["part"] == COMBINATION) & found["share_of_mean"].notna()]


def clean(run: RunLike, block: r.Block) -> pd.DataFrame:
    """Return the distances of the clean images themselves, the floor, with their `t`."""
    sets = r.within(_plain(ok(run, "perception", SETS)), block)
    return sets[sets["part"] == "clean"].drop_duplicates("t")


def _plain(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with a schedule and a name each, and `clipped` said."""
    rows = rows[rows["t"].notna()].copy()
    default = r.DEFAULT_SCHEDULE
    rows["schedule"] = rows["schedule"].astype(object).where(rows["schedule"].notna(), default)
    rows["clipped"] = rows["clipped"].map(true).astype(bool)
    backbone = rows["backbone"].astype(object)
    network = backbone.map(lambda name: isinstance(name, str) and bool(name)).astype(bool)
    return rows.assign(name=backbone.where(network, rows["denoiser"]), network=network)


def _classics(run: RunLike) -> pd.DataFrame:
    """Return the classic denoisers as they are meant (`denoised`).

    What a network makes in one call is a combination already.
    """
    rows = _plain(ok(run, "denoise", COLUMNS))
    return rows.loc[rows.index.intersection(denoised(run).index)].drop_duplicates(
        ["dataset", "schedule", "name", "t"]
    )


def _joined(rows: pd.DataFrame, sets: pd.DataFrame, kind: str, *, order: str) -> pd.DataFrame:
    """Return scored restorations with the distances of the same sets, where they were measured."""
    rows = rows.assign(kind=kind)
    if "name" not in rows:
        rows = rows.assign(name=rows["backbone"])
    sets = sets[sets["part"] == ("restored" if kind == CLASSIC else kind)]
    on = ["name", "t", *([order] if order else [])]
    measured = sets[[*on, "leads", "n_real", "features", *_distance_columns()]]
    measured = measured.drop_duplicates(on)
    rows = rows.drop(columns=[one for one in measured.columns if one in rows and one not in on])
    for column in (*on[1:],):
        rows[column], measured[column] = rows[column].astype(float), measured[column].astype(float)
    whole = rows.merge(measured, on=on, how="left")
    return whole.assign(order=whole[order] if order else 0.0)


def _distance_columns() -> list[str]:
    return [f"{name}{end}" for name in DISTANCES for end in ENDS]
