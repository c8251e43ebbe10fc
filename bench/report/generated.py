"""The images that a distance is of: their row is found by what both rows say."""

from collections.abc import Iterable

import pandas as pd

from bench.cell import UNIFORM
from bench.report.rows import RunLike, ok

SAME = (
    *("backbone", "dataset", "recipe", "sampler", "spacing", "generator", "start", "student"),
    *("steps", "n_generated", "image_size", "scale"),
)
"""What a distance and the images that it is of have in common, of whichever seed."""


def completed(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of distances or images with the spacing said where it is the usual one."""
    spacing = rows["spacing"].astype(object)
    return rows.assign(spacing=spacing.where(spacing.notna(), UNIFORM))


def same(row: pd.Series) -> tuple:
    """Return what a completed row has in common with the other one."""
    return tuple(None if pd.isna(row[name]) else row[name] for name in SAME)


def images(run: RunLike, columns: Iterable[str]) -> dict[tuple, pd.Series]:
    """Return the rows of generated images, with these columns, by what distances say of them."""
    rows = completed(ok(run, "sample", (*SAME, *columns)))
    return {same(row): row for _, row in rows.iterrows()}
