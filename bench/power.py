"""How many images, and how many seeds, it takes to see a difference of a given size. No torch.

From the spread that a run measured: what was left out of a jackknife (`leave_one_out` of a
distance), or one score per image (`per_image` of a restoration). Spread over images falls as 1/N;
the bias of a Fréchet distance does so too, is common to both networks, and no averaging removes it.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist
from typing import Any

import numpy as np

from bench.api import BenchError
from bench.errors import unknown
from bench.runs import DIFFUSION, Run
from bench.statistics import Jackknife, t_quantile

POWER, LEVEL = 0.8, 0.05
FEWEST_SEEDS = 6
"""A test over seeds means something from so many on (protocol, Verdicts)."""
MOST = 10**12
BEST = "best"
EXPERIMENTS = {
    "table1": "frechet", "table2": "restore", "table3": "restore", "table4": "restore",
}  # fmt: skip
"""Experiment -> the task whose rows hold its scores."""
METRICS = {"frechet": ("frechet",), "restore": ("psnr", "ssim", "lpips")}
_cumulative = NormalDist().cdf


@dataclass(frozen=True, slots=True)
class Need:
    """What one comparison needs."""

    experiment: str
    metric: str
    about: str
    """What is compared, under which condition."""
    paired: bool
    """Whether it is the difference of two networks over the same images; else one value alone."""
    difference: float | None
    """As the run measured it, where it is one."""
    standard_error: float
    n_measured: int
    n_needed: int
    floor: float | None
    """The distance of real from real images at the number needed, where the run measured one."""
    seeds_measured: int
    seeds_needed: int | None
    """None where fewer than two seeds were measured: then nobody knows."""


def power_of_t(shift: float, freedom: int, level: float = LEVEL) -> float:
    """Return the power of a two-sided t test.

    Args:
        shift: The true difference in standard errors.
        freedom: Degrees of freedom of the standard error's estimate.
        level: Of the test.

    Source: the definition of Student's non-central distribution: (Z + shift) / sqrt(V / freedom).
    """
    reach = t_quantile(freedom, 1 - level)
    scale = np.linspace(1e-6, 1 + 10 / math.sqrt(freedom), 801)  # sqrt(V / freedom)
    log_density = (freedom - 1) * np.log(scale) - freedom * scale**2 / 2
    weights = np.exp(log_density - log_density.max())
    weights[[0, -1]] /= 2  # the trapezoidal rule
    above = [_cumulative(shift - reach * s) + _cumulative(-shift - reach * s) for s in scale]
    return float(weights @ above / weights.sum())


def shift_needed(freedom: int, power: float = POWER, level: float = LEVEL) -> float:
    """Return the difference, in standard errors, that a t test finds with this power."""
    low, high = 0.0, 1e3
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if power_of_t(middle, freedom, level) < power else (low, middle)
    return high


def images_needed(deviation: float, difference: float) -> int:
    """Return how many pairs of images a t test of their mean difference needs.

    Args:
        deviation: Standard deviation of the difference over images.
        difference: The mean difference to be seen.
    """
    return _smallest(lambda n: difference / (deviation / math.sqrt(n)) if deviation else math.inf)


def blocks_needed(error: float, measured: int, blocks: int, difference: float) -> int:
    """Return how many images a delete-block jackknife needs, whose error falls as 1/sqrt(N).

    Args:
        error: The jackknife's standard error at `measured` images.
        measured: That number.
        blocks: Of the jackknife; its t test has one degree of freedom less.
        difference: To be seen.
    """
    wanted = difference / shift_needed(blocks - 1)
    return min(MOST, max(2 * blocks, math.ceil(measured * (error / wanted) ** 2)))


def _smallest(shift: Callable[[int], float]) -> int:
    """Return the least n from 2 on at which a t test over n values has the power."""

    def enough(n: int) -> bool:
        # t_quantile is a finite sum as long as the degrees of freedom; 2,000 are as good as more.
        return power_of_t(min(shift(n), 1e3), min(n - 1, 2000)) >= POWER

    high = 2
    while not enough(high):
        if high >= MOST:
            return MOST
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


# ------------------------------------------------------------------ from a run's rows

Score = Mapping[str, Any]
Condition = tuple[Any, ...]


def needs(
    runs: Sequence[Run], experiments: Sequence[str], difference: float, *, metric: str | None
) -> list[Need]:
    """Return what it takes to resolve a difference in some experiments.

    Args:
        runs: Measured with equal settings but for the seed; the first one gives the spread.
        experiments: Of which tables.
        difference: In the metric's units.
        metric: By default Fréchet distance in Table 1 and PSNR elsewhere.

    Raises:
        BenchError: If an experiment has no such scores, or the runs have not measured them.
    """
    if not 0 < difference < math.inf:
        raise BenchError(f"--resolve {difference:g}: expected a difference above 0")
    found = []
    for experiment in experiments:
        if experiment not in EXPERIMENTS:
            raise unknown("experiment with a difference to resolve", experiment, list(EXPERIMENTS))
        task = EXPERIMENTS[experiment]
        chosen = metric or METRICS[task][0]
        if chosen not in METRICS[task]:
            raise unknown(f"metric of {experiment}", chosen, list(METRICS[task]))
        scores = [_scores(run, task, chosen) for run in runs]
        if not scores or not scores[0]:
            name = runs[0].folder if runs else "no run"
            raise BenchError(
                f"{name} has not measured {chosen} of {experiment}; run {experiment} first, or "
                "name another run with --run"
            )
        found += [_need(experiment, chosen, one, scores, difference) for one in _pairs(scores[0])]
    return found


def _scores(run: Run, task: str, metric: str) -> dict[Condition, dict[str, Score]]:
    """Return condition -> backbone -> its row."""
    scores: dict[Condition, dict[str, Score]] = defaultdict(dict)
    for record in run.records:
        name = (record["spec"].get("denoiser") or record["spec"].get("samples") or {}).get("name")
        other = "table" in record["spec"]  # of an experiment with conditions of its own
        if record["task"] != task or record["status"] != "ok" or name is None or other:
            continue
        for row in record["rows"]:
            wanted = task == "frechet" or (row.get("part"), row.get("metric")) == (BEST, metric)
            if wanted and len(row.get("leave_one_out", row.get("per_image", []))) > 1:
                scores[_condition(record["spec"], row)][name.removeprefix(DIFFUSION)] = row
    return dict(scores)


def _condition(spec: Mapping[str, Any], row: Score) -> Condition:
    """Return in words what scores must share to be compared."""
    about = [f"{word}={spec[word]}" for word in ("steps", "t") if spec.get(word) is not None]
    other = spec.get("features", {}).get("name"), spec.get("clipped") and "clipped"
    return (*about, *filter(None, (row.get("estimate"), *other)))


def _pairs(
    scores: Mapping[Condition, Mapping[str, Score]],
) -> Iterable[tuple[Condition, tuple[str, ...]]]:
    """Yield each condition with each pair of networks, or with the only one there is."""
    for condition, rows in scores.items():
        names = list(rows)
        pairs = list(combinations(names, 2)) or [(names[0],)]
        yield from ((condition, pair) for pair in pairs)


def _need(
    experiment: str,
    metric: str,
    one: tuple[Condition, tuple[str, ...]],
    scores: Sequence[Mapping[Condition, Mapping[str, Score]]],
    difference: float,
) -> Need:
    condition, names = one
    rows = [scores[0][condition][name] for name in names]
    value, error, measured, needed = _over_images(rows, difference)
    seeds = [_value(other[condition], names) for other in scores if _has(other, condition, names)]
    floor = None
    if rows[0].get("floor") is not None and rows[0].get("floor_n"):
        floor = rows[0]["floor"] * rows[0]["floor_n"] / needed
    return Need(
        experiment,
        metric,
        f"{' against '.join(names)}, {', '.join(condition) or 'all'}",
        len(names) == 2,
        value if len(names) == 2 else None,
        error,
        measured,
        needed,
        floor,
        len(seeds),
        _seeds_needed(seeds, difference),
    )


def _over_images(rows: Sequence[Score], difference: float) -> tuple[float, float, int, int]:
    """Return value (a difference, of two), its error, the images it took, and those needed."""
    if "leave_one_out" in rows[0]:
        parts = [Jackknife(row["frechet"], tuple(row["leave_one_out"])) for row in rows]
        if len({len(part.deleted) for part in parts}) > 1:
            raise BenchError("the runs' rows have different numbers of blocks; measure them alike")
        whole = parts[0] - parts[1] if len(parts) == 2 else parts[0]
        measured = min(min(row["n_generated"], row["n_real"]) for row in rows)
        error = whole.standard_error
        needed = blocks_needed(error, measured, len(whole.deleted), difference)
        return whole.value, error, measured, needed
    scores = [np.array(row["per_image"], dtype=np.float64) for row in rows]
    if len({len(one) for one in scores}) > 1:
        raise BenchError("the runs' rows are of different numbers of images; measure them alike")
    over = scores[0] - scores[1] if len(scores) == 2 else scores[0]
    deviation = float(over.std(ddof=1))
    error = deviation / math.sqrt(len(over))
    return float(over.mean()), error, len(over), images_needed(deviation, difference)


def _has(
    scores: Mapping[Condition, Mapping[str, Score]], condition: Condition, names: Sequence[str]
) -> bool:
    return set(names) <= set(scores.get(condition, {}))


def _value(rows: Mapping[str, Score], names: Sequence[str]) -> float:
    """Return one seed's value: a difference, of two networks."""
    values = [
        row["frechet"] if "leave_one_out" in row else float(np.mean(row["per_image"]))
        for row in (rows[name] for name in names)
    ]
    return values[0] - values[1] if len(values) == 2 else values[0]


def _seeds_needed(values: Sequence[float], difference: float) -> int | None:
    if len(values) < 2:
        return None
    return max(FEWEST_SEEDS, images_needed(float(np.std(values, ddof=1)), difference))


def words(found: Sequence[Need], difference: float) -> list[str]:
    """Return what was found in lines for people."""
    lines = [
        f"to see a difference of {difference:g} with {POWER:.0%} power at the {LEVEL:.0%} level:"
    ]
    for one in found:
        times = one.n_needed / one.n_measured
        floor = "" if one.floor is None else f"; floor there about {one.floor:.3g}"
        seeds = "seeds unknown"
        if one.seeds_needed:
            seeds = f"{one.seeds_needed} seeds (from {one.seeds_measured})"
        error = f"standard error {one.standard_error:.3g} at N = {one.n_measured}"
        now = "" if one.difference is None else f"difference {one.difference:+.4g}, "
        far = f" ({times:.1f} times what was measured)" if times > 1 else ""
        lines.append(
            f"  {one.experiment} {one.metric}, {one.about}: {one.n_needed} images{far}, {seeds}; "
            f"{now}{error}{floor}"
        )
    lines.append("an extrapolation: the spread over images is taken to fall as 1/N from one run")
    if any(one.floor is not None for one in found):
        lines.append(
            "the floor is a bias: it falls as 1/N, is in every distance, and averaging leaves it; "
            "compare equal N only"
        )
    if any(one.seeds_needed is None for one in found):
        lines.append(
            "seeds: one was measured, which says nothing of their spread; name runs of other seeds "
            f"(--run, several times), and plan {FEWEST_SEEDS} or more"
        )
    return lines
