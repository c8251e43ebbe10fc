"""The best point of step-by-step restorations, shared by Tables 2, 3 and 4."""

from dataclasses import dataclass

import pandas as pd

from bench.report.comparison import Value
from bench.report.names import PAPER_RECIPE, ordered, paper_column, printed
from bench.report.rows import (
    RunLike,
    budget_measured,
    data_words,
    floating,
    integer,
    listed,
    ok,
    text_of,
)
from bench.report.verdicts import differences

COLUMNS = (
    "backbone",
    "dataset",
    "t",
    "schedule",
    "sigma",
    "stride",
    "n",
    "part",
    "estimate",
    "recipe",
    "calls",
    "psnr",
    "ssim",
    "lpips",
    "metric",
    "best_value",
    "best_low",
    "best_high",
    "best_calls",
    "best_calls_low",
    "best_calls_high",
    "disjoint_calls",
    "disjoint_value",
    "total_calls",
    "per_image",
    "image_size",
    "channels",
    "scale",
)
DEFAULT_ESTIMATE = "current"
DEFAULT_SCHEDULE = "sigmoid"
PAPER_IMAGES = 300
PAPER_DATASET = "CelebA"
METRICS = {"ssim": ("SSIM", True, 2), "lpips": ("LPIPS", False, 3)}
"""Metric -> name, whether larger is better, the paper's decimals."""


@dataclass(frozen=True)
class Best:
    """The best point of one network's restoration at one noise level, by one metric."""

    row: pd.Series

    @property
    def value(self) -> Value:
        """The best score with its interval."""
        r = self.row
        return Value(
            floating(r["best_value"]),
            floating(r["best_low"]),
            floating(r["best_high"]),
            integer(r["n"]),
        )

    @property
    def steps(self) -> Value:
        """The reverse steps made until then: calls x stride."""
        r, stride = self.row, self.stride
        ends = (floating(r[f"best_calls{end}"]) for end in ("", "_low", "_high"))
        return Value(*(None if x is None else x * stride for x in ends), n=integer(r["n"]))

    @property
    def calls(self) -> float | None:
        """Network calls made until then."""
        return floating(self.row["best_calls"])

    @property
    def stride(self) -> int:
        """Reverse steps per network call."""
        return integer(self.row["stride"]) or 1


@dataclass(frozen=True, slots=True)
class Block:
    """One block of Tables 2 and 3: data, schedule of the noise, and the estimate that is scored."""

    dataset: str
    schedule: str
    estimate: str

    @property
    def title(self) -> str:
        """The block in words."""
        return f"{self.dataset}, {self.schedule}, {self.estimate}"


def restored(run: RunLike, part: str) -> pd.DataFrame:
    """Return the `curve` or `best` rows of the restorations, with a name for what is not said."""
    rows = ok(run, "restore", COLUMNS)
    rows = rows[(rows["part"] == part) & rows["t"].notna()].copy()
    for column, default in (("schedule", DEFAULT_SCHEDULE), ("estimate", DEFAULT_ESTIMATE)):
        rows[column] = rows[column].astype(object).where(rows[column].notna(), default)
    return rows


def blocks(rows: pd.DataFrame) -> list[Block]:
    """Return the blocks in a run: the paper's data, its schedule and the default estimate first."""
    found = {Block(r.dataset, r.schedule, r.estimate) for r in rows.itertuples()}
    return sorted(
        found,
        key=lambda b: (
            paper_column(b.dataset) != PAPER_DATASET,
            b.dataset,
            b.schedule != DEFAULT_SCHEDULE,
            b.schedule,
            b.estimate != DEFAULT_ESTIMATE,
        ),
    )


def best_of(rows: pd.DataFrame, block: Block) -> dict[tuple[int, str, str], Best]:
    """Return the best points of a block by (noising step, backbone, metric)."""
    here = rows[
        (rows["dataset"] == block.dataset)
        & (rows["schedule"] == block.schedule)
        & (rows["estimate"] == block.estimate)
        & rows["best_value"].notna()
    ]
    return {(int(r["t"]), r["backbone"], r["metric"]): Best(r) for _, r in here.iterrows()}


def backbones(found: dict[tuple[int, str, str], Best]) -> list[str]:
    """Return the networks of a block, the paper's pair first and always there."""
    return ordered(["unet", "cunet", *(backbone for _, backbone, _ in found)])


def sigma_of(rows: pd.DataFrame, block: Block, t: int) -> float | None:
    """Return the noise's standard deviation at a noising step of a block's schedule."""
    here = rows[(rows["schedule"] == block.schedule) & (rows["t"] == t) & rows["sigma"].notna()]
    return None if here.empty else float(here["sigma"].iloc[0])


def unlike_paper(run: RunLike, row: pd.Series) -> str:
    """Return where a restoration's or a denoiser's conditions differ from the paper's.

    Another schedule, estimate or recipe is one such condition: else the paper's numbers would be
    judged once per block.
    """
    conditions = {
        "budget": (budget_measured(run), "paper"),
        "data": (data_words(run, str(row["dataset"])), PAPER_DATASET),
        "schedule": (text_of(row["schedule"]), DEFAULT_SCHEDULE),
        "images": (integer(row["n"]), PAPER_IMAGES),
    }
    for name, default in (("estimate", DEFAULT_ESTIMATE), ("recipe", PAPER_RECIPE)):
        if text_of(row.get(name)) is not None:
            conditions[name] = (text_of(row[name]), default)
    if integer(row.get("stride")) is not None:
        conditions["reverse steps per call"] = (integer(row["stride"]), 1)
    if integer(row.get("image_size")) is not None:
        conditions["image size"] = (integer(row["image_size"]), 64)
    return differences(conditions)


def protocol(block: Block, best: Best, sigma: float | None) -> str:
    """Return in words how a best point came about."""
    row = best.row
    text = f"data {block.dataset}; schedule {block.schedule}; estimate {block.estimate}"
    if sigma is not None:
        text += f"; sigma {sigma:.3f}"
    text += f"; stride {best.stride}; best on the scored images"
    calls, value = listed(row["disjoint_calls"]), floating(row["disjoint_value"])
    if calls and value is not None:
        chosen = "/".join(f"{one:g}" for one in calls)
        text += f" (calls chosen on disjoint images: {chosen}, value {value:.4g})"
    return text


def pair_text(texts: list[str]) -> str:
    """Return the cells of several networks as the paper prints a pair."""
    return " / ".join(texts)


def pair_title(names: list[str]) -> str:
    """Return the networks of a cell in the order that they are printed."""
    return " / ".join(printed(name) for name in names)
