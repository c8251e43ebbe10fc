"""The distance curve over sampling steps: mean over seeds, its minimum, and the common level."""

from dataclasses import dataclass

import pandas as pd

from bench.cell import UNIFORM
from bench.report.comparison import Value
from bench.report.generated import SAME, completed, images, same
from bench.report.names import PAPER_RECIPE, ordered
from bench.report.paired import Triple
from bench.report.rows import RunLike, floating, integer, listed, ok, settings, text_of
from bench.statistics import Jackknife, best_of_jackknife, gap_of_best

COLUMNS = (
    "backbone",
    "dataset",
    "sampler",
    "spacing",
    "steps",
    "recipe",
    "seed",
    "frechet",
    "low",
    "high",
    "kid",
    "kid_se",
    "features",
    "weights_sha",
    "resize",
    "n_generated",
    "n_real",
    "floor",
    "floor_n",
    "floor_against",
    "infinity",
    "infinity_low",
    "infinity_high",
    "infinity_se",
    "infinity_n",
    "precision",
    "recall",
    "density",
    "coverage",
    "n_manifold",
    "nearest_training",
    "nearest_training_held_out",
    "nearest_share",
    "n_training",
    "n_held_out",
    "leads",
    "dimension",
    "image_size",
    "channels",
    "scale",
    "leave_one_out",
    "kid_leave_one_out",
)
NUMBERS = (
    *("frechet", "low", "high", "kid", "kid_se", "floor"),
    *("infinity", "infinity_low", "infinity_high", "infinity_se"),
    *("precision", "recall", "density", "coverage"),
    *("nearest_training", "nearest_training_held_out", "nearest_share"),
)
"""Of which the seeds' mean is taken."""
PRIMARY = "inception"
"""The only features whose Frechet distance may be called FID."""


def kernel_name(features: str) -> str:
    """Return what the kernel distance in these features is called."""
    return "KID" if features == PRIMARY else f"KID ({features})"


def distance_name(features: str) -> str:
    """Return what a Frechet distance in these features is called."""
    return "FID" if features == PRIMARY else f"Fréchet distance ({features})"


@dataclass(frozen=True)
class Curve:
    """One network's distance over sampling steps on one data set."""

    dataset: str
    recipe: str
    features: str
    backbone: str
    points: pd.DataFrame
    """One line per number of steps, sorted; seeds averaged."""
    seeds: pd.DataFrame
    """The lines before averaging."""

    @property
    def best(self) -> pd.Series:
        """The line of the smallest mean distance (of equals, the fewest steps)."""
        return self.points.loc[self.points["frechet"].idxmin()]

    @property
    def value(self) -> Value:
        """The smallest mean distance with its interval."""
        row = self.best
        return Value(
            float(row["frechet"]),
            floating(row["low"]),
            floating(row["high"]),
            integer(row["n_generated"]),
            (str(row["key"]),),
        )

    @property
    def keys(self) -> tuple[str, ...]:
        """The records behind its points, all of which the best one was chosen from."""
        return tuple(map(str, self.points["key"]))

    @property
    def small_sample(self) -> bool:
        """Whether the kernel distance leads: a side has no more images than feature dimensions.

        The covariance of n images has rank n - 1 at most.
        """
        said = text_of(self.best["leads"])
        if said is not None:
            return said == "kid"
        dimension = integer(self.best["dimension"])
        sides = [integer(self.best[name]) for name in ("n_generated", "n_real")]
        counts = [n for n in sides if n is not None]
        return dimension is not None and bool(counts) and min(counts) <= dimension

    @property
    def limit(self) -> Value:
        """The best distance at N to infinity; nothing where a side has too few images for a line.

        Below as many images as dimensions the distance is not yet a line in 1 / N: over features
        whose variance is spread evenly the intercept is far above the truth, and sure of itself.
        """
        if self.small_sample:
            return Value(None)
        ends = (floating(self.best[f"infinity{end}"]) for end in ("", "_low", "_high"))
        return Value(*ends, keys=self.value.keys)

    @property
    def protocol(self) -> str:
        """How the distance was measured, in words."""
        row = self.best
        words = {
            "recipe": self.recipe,
            "features": self.features,
            "weights": (text_of(row["weights_sha"]) or "")[:12],
            "resize": text_of(row["resize"]),
            "generated": integer(row["n_generated"]),
            "real": integer(row["n_real"]),
            "seeds": int(self.seeds["seed"].nunique()) or 1,
        }
        return "; ".join(f"{k} {v}" for k, v in words.items() if v)

    @property
    def best_steps(self) -> Value:
        """The best number of steps, with the 95 % range that the images' sampling error gives.

        The minimum is sought anew in curves redrawn with their jackknife covariance; the minima of
        the few jackknife curves themselves lie too close together. No range for several seeds.
        """
        best = float(self.best["steps"])
        whole = self.jackknives
        if not whole:
            return Value(best, n=self.value.n, keys=self.keys)
        _, *ends = best_of_jackknife(whole)
        low, high = (float(self.points["steps"].iloc[end]) for end in ends)
        return Value(best, min(best, low), max(best, high), self.value.n, self.keys)

    @property
    def best_calls(self) -> Value:
        """The network calls that the best number of steps takes, with the range of it."""
        steps = self.best_steps
        ends = (steps.value, steps.low, steps.high)
        ends = (None if end is None else self.calls_at(end) for end in ends)
        return Value(*ends, n=steps.n, keys=steps.keys)

    def calls_at(self, steps: float) -> float:
        """Return the network calls of a measured number of steps; some samplers make two a step."""
        return float(self.points.loc[self.points["steps"] == steps, "calls"].iloc[0])

    @property
    def jackknives(self) -> list[Jackknife]:
        """The points with each block left out; none for several seeds or unequal blocks."""
        deleted = [listed(cell) for cell in self.points["leave_one_out"]]
        single = len(self.seeds) == len(self.points)
        if not single or len(deleted[0]) < 2 or len({len(d) for d in deleted}) != 1:
            return []
        values = self.points["frechet"].tolist()
        return [Jackknife(v, tuple(d)) for v, d in zip(values, deleted, strict=True)]

    def steps_beyond(self, other: "Curve") -> Triple | None:
        """Return how many more steps this network's best takes, with the interval of that.

        Both curves are redrawn together: their blocks hold the same starting noise and the same
        real images, so what both share cancels. None where the blocks are not the same.
        """
        mine, theirs = self.jackknives, other.jackknives
        same = self.value.n == other.value.n and mine and theirs
        if not same or len(mine[0].deleted) != len(theirs[0].deleted):
            return None
        gap = float(self.best["steps"]) - float(other.best["steps"])
        steps = [curve.points["steps"].tolist() for curve in (self, other)]
        low, high = gap_of_best((mine, theirs), (steps[0], steps[1]))
        return gap, min(gap, low), max(gap, high)

    def steps_to(self, level: float) -> int | None:
        """Return the fewest measured steps whose mean distance is at most `level`."""
        reached = self.points[self.points["frechet"] <= level]
        return None if reached.empty else int(reached["steps"].min())


def block_of(rows: pd.DataFrame) -> pd.Series:
    """Return the block of a table that each row belongs to: recipe, sampler, spacing of steps."""
    recipe = rows["recipe"].astype(object).where(rows["recipe"].notna(), PAPER_RECIPE).astype(str)
    sampler = rows["sampler"].astype(object).where(rows["sampler"].notna(), "").astype(str)
    spacing = completed(rows)["spacing"].astype(str)
    spaced = (" with " + spacing + " steps").where(spacing != UNIFORM, "")
    return (recipe + ", " + sampler).str.removesuffix(", ") + spaced


def _calls(run: RunLike, rows: pd.DataFrame) -> list[float]:
    """Return the network calls behind each distance: as its images say, else one a step."""
    known = {what: floating(made["calls"]) for what, made in images(run, ("calls",)).items()}
    return [known.get(same(row)) or float(row["steps"]) for _, row in completed(rows).iterrows()]


def curves(run: RunLike) -> list[Curve]:
    """Return every distance curve of a run, in the order of tables and figures."""
    rows = ok(run, "frechet", (*COLUMNS, *SAME))
    rows = rows[rows["frechet"].notna() & rows["steps"].notna()]
    if rows.empty:
        return []
    rows = rows.assign(block=block_of(rows), calls=_calls(run, rows))
    rows[["steps", *NUMBERS]] = rows[["steps", *NUMBERS]].astype(float)
    found = []
    for (dataset, block, features), part in rows.groupby(["dataset", "block", "features"]):
        for backbone in ordered(part["backbone"]):
            seeds = part[part["backbone"] == backbone].sort_values("steps")
            first = seeds.groupby("steps", as_index=False).first()
            mean = seeds.groupby("steps")[list(NUMBERS)].mean()
            points = first.assign(**{name: mean[name].to_numpy() for name in NUMBERS})
            found.append(Curve(dataset, block, features, backbone, points, seeds))
    return found


def primary(run: RunLike, found: list[Curve]) -> list[Curve]:
    """Return the curves of one feature extractor per data set.

    Inception where it is there, else the one that the run goes by, else the first by name.
    """
    asked = (settings(run).get("generation") or {}).get("features")
    chosen: dict[str, str] = {}
    for curve in found:
        old = chosen.get(curve.dataset, curve.features)
        order = {PRIMARY: 0, asked: 1}
        chosen[curve.dataset] = min(old, curve.features, key=lambda f: (order.get(f, 2), f))
    return [curve for curve in found if curve.features == chosen[curve.dataset]]
