"""The best point of step-by-step restorations, shared by Tables 2, 3 and 4."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from bench.report.comparison import Value
from bench.report.names import PAPER_RECIPE, ordered, paper_column, printed
from bench.report.paired import Triple, paired_mean, separate
from bench.report.rows import (
    RunLike,
    budget_measured,
    data_words,
    floating,
    integer,
    listed,
    ok,
    text_of,
    true,
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
    "per_image_disjoint",
    "mse",
    "share_of_mean",
    "clipped",
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
            (str(r["key"]),),
        )

    @property
    def steps(self) -> Value:
        """The reverse steps made until then: calls x stride, no more than the whole way has."""
        r, stride = self.row, self.stride
        ends = (floating(r[f"best_calls{end}"]) for end in ("", "_low", "_high"))
        # The last call may go on by fewer, where the way begins at the noising step itself: for
        # noise of another schedule it begins at the network's own level, which no column holds.
        t, whole = floating(r["t"]), floating(r.get("total_calls"))
        elsewhere = not t or (whole is not None and math.ceil(t / stride) != whole)
        most = math.inf if elsewhere else t
        steps = (x if x is None else min(x * stride, most) for x in ends)
        return Value(*steps, n=integer(r["n"]), keys=(str(r["key"]),))

    @property
    def calls(self) -> float | None:
        """Network calls made until then."""
        return floating(self.row["best_calls"])

    @property
    def calls_between(self) -> tuple[float, float]:
        """The fewest and the most calls that resampled images choose."""
        ends = (floating(self.row[f"best_calls{end}"]) for end in ("_low", "_high"))
        low, high = (self.calls or 0.0 if end is None else end for end in ends)
        return low, high

    @property
    def hindsight(self) -> float | None:
        """What the score loses at a step that other images choose; None where it is not known."""
        ours, theirs = floating(self.row["best_value"]), floating(self.row["disjoint_value"])
        return None if ours is None or theirs is None else abs(ours - theirs)

    @property
    def per_image(self) -> list[float]:
        """Every image's score at the step that the other half of the images chooses.

        Without hindsight, so that a curve with more steps has no advantage in a comparison; runs of
        early versions have the scores at the best step only. Nothing where the halves choose
        different steps: the scores of one then depend on the images of the other, and a test that
        takes them for independent finds a winner among equals up to one time in four.
        """
        if len(set(listed(self.row.get("disjoint_calls")))) > 1:
            return []
        return listed(self.row.get("per_image_disjoint")) or listed(self.row["per_image"])

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
    clipped: bool = False
    """Whether the noisy images were clipped to [0, 1]: a variant, never the default."""

    @property
    def title(self) -> str:
        """The block in words."""
        variant = ", noisy images clipped" if self.clipped else ""
        return f"{self.dataset}, {self.schedule}, {self.estimate}{variant}"


def restored(run: RunLike, part: str) -> pd.DataFrame:
    """Return rows of the restorations, with a name for what is not said.

    Args:
        run: The run.
        part: "curve", "best" or "combination".
    """
    rows = ok(run, "restore", COLUMNS)
    rows = rows[(rows["part"] == part) & rows["t"].notna()].copy()
    for column, default in (("schedule", DEFAULT_SCHEDULE), ("estimate", DEFAULT_ESTIMATE)):
        rows[column] = rows[column].astype(object).where(rows[column].notna(), default)
    rows["clipped"] = rows["clipped"].map(true).astype(bool)
    return rows


def blocks(rows: pd.DataFrame) -> list[Block]:
    """Return the blocks in a run: the paper's data, its schedule and the default estimate first."""
    found = {Block(r.dataset, r.schedule, r.estimate, r.clipped) for r in rows.itertuples()}
    return sorted(
        found,
        key=lambda b: (
            b.clipped,
            paper_column(b.dataset) != PAPER_DATASET,
            b.dataset,
            b.schedule != DEFAULT_SCHEDULE,
            b.schedule,
            b.estimate != DEFAULT_ESTIMATE,
        ),
    )


def within(rows: pd.DataFrame, block: Block, *, any_estimate: bool = False) -> pd.DataFrame:
    """Return the rows of a block, by whichever of its conditions they have columns of."""
    for name in ("dataset", "schedule", "estimate", "clipped"):
        if name in rows and not (any_estimate and name == "estimate"):
            rows = rows[rows[name] == getattr(block, name)]
    return rows


def best_of(rows: pd.DataFrame, block: Block) -> dict[tuple[int, str, str], Best]:
    """Return the best points of a block by (noising step, backbone, metric)."""
    here = within(rows, block)
    here = here[here["best_value"].notna()]
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
    if true(row.get("clipped")):
        conditions["noisy images"] = ("clipped", "not clipped")
    if integer(row.get("stride")) is not None:
        conditions["reverse steps per call"] = (integer(row["stride"]), 1)
    if integer(row.get("image_size")) is not None:
        conditions["image size"] = (integer(row["image_size"]), 64)
    return differences(conditions)


def protocol(block: Block, best: Best, sigma: float | None) -> str:
    """Return in words how a best point came about."""
    row = best.row
    text = f"data {block.dataset}; schedule {block.schedule}; estimate {block.estimate}"
    if block.clipped:
        text += "; noisy images clipped"
    if sigma is not None:
        text += f"; sigma {sigma:.3f}"
    text += f"; stride {best.stride}; best on the scored images"
    calls, value = listed(row["disjoint_calls"]), floating(row["disjoint_value"])
    if calls and value is not None:
        chosen = "/".join(f"{one:g}" for one in calls)
        text += f" (calls chosen on disjoint images: {chosen}, value {value:.4g})"
    return text


def leader(found: Mapping[str, Best], *, largest: bool) -> str | None:
    """Return the network that restores best beyond doubt, None where that is a tie.

    It is better than every other one on the same images: the 95 % interval of each paired
    difference excludes 0.

    Args:
        found: Network -> its best point; one alone is no leader.
        largest: Whether the largest score is best.
    """
    if len(found) < 2:
        return None
    scores = {name: float(best.row["best_value"]) for name, best in found.items()}
    first = (max if largest else min)(scores, key=lambda name: scores[name])
    others = [best for name, best in found.items() if name != first]
    gaps = [compared(found[first], other) for other in others]
    surely = [gap is not None and (gap[1] > 0 if largest else gap[2] < 0) for gap in gaps]
    return first if all(surely) else None


def compared(a: Best, b: Best) -> Triple | None:
    """Return the mean of a - b over the images that both restored, with its 95 % interval.

    Each image at the step that the other half of the images chooses for that network; by the two
    networks' own intervals where there are no such scores.
    """
    return paired_mean(a.per_image, b.per_image) or separate(a.value.ranged, b.value.ranged)


def pair_text(texts: list[str]) -> str:
    """Return the cells of several networks as the paper prints a pair."""
    return " / ".join(texts)


def pair_title(names: list[str]) -> str:
    """Return the networks of a cell in the order that they are printed."""
    return " / ".join(printed(name) for name in names)
