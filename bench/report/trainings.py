"""Small trainings of two networks, looked at on the way; and what equal effort is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.report.curves import distance_name, kernel_name
from bench.report.names import ordered, printed
from bench.report.rows import RunLike, floating, integer, ok, text_of

TASK, PACE = "convergence", "training_pace"
COLUMNS = (
    *("part", "backbone", "dataset", "features", "seed", "image_size", "scale"),
    *("updates", "updates_most", "steps", "kid", "kid_se", "frechet", "leads"),
    *("n_generated", "n_real", "n", "mse_low", "mse_middle", "mse_high"),
)
PACES = (
    *("backbone", "macs_forward", "macs_update", "update_s", "rounds"),
    *("time_ratio", "time_ratio_low", "time_ratio_high"),
)
THIRDS = ("mse_low", "mse_middle", "mse_high")


@dataclass(frozen=True)
class Training:
    """One training of a network."""

    snapshots: np.ndarray
    """Updates after which images were made, rising."""
    distance: np.ndarray
    """[snapshots, steps]."""
    spread: np.ndarray
    """Its standard error over images, likewise; 0 where it is not known."""
    looks: np.ndarray
    """Updates after which held-out images were restored, rising."""
    error: np.ndarray
    """[looks]: mean over the thirds of the noise range of the logarithm of the squared error."""

    def at(self, update: float) -> tuple[np.ndarray, np.ndarray, float] | None:
        """Return distances and their errors [steps], and the held-out error, after some updates.

        Between two looks they are interpolated along the logarithm of the updates; None where it
        is before the first of them.
        """
        if not max(self.snapshots[0], self.looks[0]) <= update <= self.snapshots[-1]:
            return None
        along = np.log(update)
        known = np.log(self.snapshots)
        distance, spread = (
            np.array([np.interp(along, known, column) for column in values.T])
            for values in (self.distance, self.spread)
        )
        return distance, spread, self.error_at(update)

    def error_at(self, update: float) -> float:
        """Return the held-out error after some updates; before the first look it is that one's."""
        return float(np.interp(np.log(update), np.log(self.looks), self.error))


@dataclass(frozen=True)
class Trainings:
    """All trainings of a run."""

    steps: tuple[int, ...]
    most: int
    """Updates of every training."""
    networks: Mapping[str, Mapping[int, Training]]
    """Network -> seed -> training."""
    distance_name: str
    dataset: str
    n_generated: int
    n_real: int
    n_held_out: int

    def seeds(self, names: Sequence[str]) -> list[int]:
        """Return the seeds with which all of these networks were trained."""
        return sorted(set.intersection(*(set(self.networks[name]) for name in names)))


@dataclass(frozen=True, slots=True)
class Effort:
    """A measure of how much a training takes."""

    name: str
    axis: str
    cost: Mapping[str, float]
    """Network -> effort of one update, in the unit of the axis."""
    note: str = ""

    def equal(self, names: Sequence[str], most: int) -> dict[str, float]:
        """Return network -> updates of equal effort; the cheapest makes `most` of them."""
        least = min(self.cost[name] for name in names)
        # Not even a rounding error more than were made.
        return {name: min(float(most), most * least / self.cost[name]) for name in names}


def trainings(run: RunLike) -> Trainings | None:
    """Return the trainings of a run, None where there are none."""
    rows = ok(run, TASK, COLUMNS)
    far = rows[rows["part"] == "distance"]
    if far.empty:
        return None
    first = far.iloc[0]
    leads = text_of(first["leads"]) or "kid"
    name = (kernel_name if leads == "kid" else distance_name)(text_of(first["features"]) or "")
    steps = tuple(sorted({int(step) for step in far["steps"]}))
    networks: dict[str, dict[int, Training]] = {}
    for backbone in ordered(far["backbone"]):
        own = rows[rows["backbone"] == backbone]
        found = {int(seed): _training(one, steps, leads) for seed, one in own.groupby("seed")}
        networks[backbone] = {seed: one for seed, one in found.items() if one is not None}
    return Trainings(
        steps,
        int(first["updates_most"]),
        networks,
        name,
        text_of(first["dataset"]) or "",
        *(integer(first[column]) or 0 for column in ("n_generated", "n_real", "n")),
    )


def trained(run: RunLike) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows that trainings, and what they take, are read from."""
    return ok(run, TASK, COLUMNS), ok(run, PACE, PACES)


def _training(rows: pd.DataFrame, steps: Sequence[int], metric: str) -> Training | None:
    """Return one training; None where a part of it is missing."""
    far, course = rows[rows["part"] == "distance"], rows[rows["part"] == "course"]
    course = course.sort_values("updates")
    distance, spread = (
        far.astype({column: float}).pivot_table(index="updates", columns="steps", values=column)
        for column in (metric, "kid_se")
    )
    if distance.empty or course.empty or distance.shape[1] < len(steps):
        return None
    if distance.isna().any(axis=None):
        return None
    known = metric == "kid" and distance.shape == spread.shape
    error = np.log(course[list(THIRDS)].astype(float).to_numpy()).mean(axis=1)
    return Training(
        distance.index.to_numpy(float),
        distance.to_numpy(),
        spread.fillna(0.0).to_numpy() if known else np.zeros(distance.shape),
        course["updates"].to_numpy(float),
        error,
    )


def efforts(run: RunLike, names: Sequence[str]) -> list[Effort]:
    """Return the measures of effort that a run knows of these networks: updates, at the least."""
    found = [Effort("updates", "updates", dict.fromkeys(names, 1.0))]
    rows = {row["backbone"]: row for row in ok(run, PACE, PACES).to_dict("records")}
    if not set(names) <= set(rows):
        return found
    macs = _known(rows, names, "macs_update")
    if macs:
        giga = {name: value / 1e9 for name, value in macs.items()}
        note = _told("multiply-adds", names, macs[names[-1]] / macs[names[0]])
        found.append(Effort("multiply-adds", "10⁹ multiply-adds", giga, note))
    times = _times(rows, names)
    if times:
        found.append(times)
    return found


Paces = Mapping[str, Mapping[str, Any]]
"""Network -> its row."""


def _known(rows: Paces, names: Sequence[str], column: str) -> dict[str, float]:
    """Return a number of each network; none where one has none."""
    found = {name: floating(rows[name][column]) for name in names}
    return {name: value for name, value in found.items() if value} if all(found.values()) else {}


def _times(rows: Paces, names: Sequence[str]) -> Effort | None:
    """Return the time of an update: the first network's, and the others' ratios to it."""
    unit = next((row["update_s"] for row in rows.values() if row["time_ratio"] == 1.0), None)
    ratios, seconds = _known(rows, names, "time_ratio"), floating(unit)
    if not seconds or not ratios:
        return None
    reach = ""
    other = rows[names[-1]]
    if ratios[names[0]] == 1.0 and floating(other["time_ratio_low"]) is not None:
        low, high = (float(other[f"time_ratio_{end}"]) for end in ("low", "high"))
        reach = f" ({low:.3g} to {high:.3g}, {integer(other['rounds'])} rounds)"
    note = _told("time", names, ratios[names[-1]] / ratios[names[0]]) + reach
    cost = {name: value * seconds for name, value in ratios.items()}
    return Effort("wall-clock time", "seconds", cost, note)


def _told(what: str, names: Sequence[str], ratio: float) -> str:
    first, last = printed(names[0]), printed(names[-1])
    return f"an update of {last} takes x{ratio:.3g} the {what} of one of {first}"
