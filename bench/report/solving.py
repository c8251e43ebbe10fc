"""Solvers of a trained continuous network: what the rows of `solvers` and `solver_times` say."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.report.finding import keys_of
from bench.report.names import DIFFUSION
from bench.report.paired import Triple, paired_mean
from bench.report.rows import RunLike, floating, integer, listed, ok, true

TASK, TIMES = "solvers", "solver_times"
EACH = "dopri5-each"
WAY = ("solver", "solver_steps", "tolerance", "is_trained")
ABOUT = ("denoiser", "dataset", "recipe", "t", "sigma", "n", "batch", "part", *WAY)
SOLVED = ("mse_per_image", "psnr", "distance_per_image", "nfe")
COUPLED = ("coupling_per_image", "nfe_together", "nfe_alone_per_image")
LEAST = 1e-12
"""Squared error of an image that was restored exactly, in place of 0: it has a PSNR then."""


@dataclass(frozen=True)
class Way:
    """One way to solve the ODEs of a network, and what it gave at one level."""

    solver: str
    steps: int | None
    tolerance: float | None
    trained: bool
    """Whether the network was trained with it."""
    nfe: float
    """Evaluations of a call, of all blocks."""
    psnr: tuple[float, ...]
    """Of every image, in dB."""
    distance: tuple[float, ...]
    """From the solution, relative, of the images of the first batch."""
    coupling: tuple[float, ...] = ()
    """How far an image restored alone is from itself in a batch, relative."""
    nfe_alone: tuple[float, ...] = ()
    """Evaluations of a call, of images restored alone."""
    nfe_together: float | None = None
    """Evaluations of a call on their batch."""

    @property
    def words(self) -> str:
        """What it is called in a sentence."""
        if self.tolerance is not None:
            return f"{self.solver} at {self.tolerance:g}"
        return f"{self.solver} in {self.steps} step{'' if self.steps == 1 else 's'}"

    @property
    def far(self) -> float:
        """The mean distance from the solution; infinite where none is known."""
        return float(np.mean(self.distance)) if self.distance else math.inf


@dataclass(frozen=True)
class Level:
    """All ways to solve one network's ODEs on the images of one noise level."""

    backbone: str
    dataset: str
    t: int
    sigma: float
    n: int
    batch: int
    ways: tuple[Way, ...]

    @property
    def trained(self) -> Way | None:
        """The way that the network was trained with."""
        return next((way for way in self.ways if way.trained), None)

    def of(self, solver: str) -> list[Way]:
        """Return the ways of a solver, from the coarsest to the finest."""
        found = [way for way in self.ways if way.solver == solver]
        return sorted(found, key=lambda way: (way.steps or 0, -(way.tolerance or 0)))

    @property
    def solvers(self) -> list[str]:
        """The solvers, in the order in which they were asked for, but that of training."""
        return list(dict.fromkeys(way.solver for way in (*self.ways[1:], *self.ways[:1])))


def levels(run: RunLike) -> list[Level]:
    """Return what was measured, network by network and level by level."""
    rows = ok(run, TASK, (*ABOUT, *SOLVED, *COUPLED))
    rows = rows[rows["t"].notna() & rows["denoiser"].notna()]
    found = []
    for (denoiser, dataset, t), here in rows.groupby(["denoiser", "dataset", "t"], sort=True):
        ways = _ways(here)
        if ways:
            name = str(denoiser).removeprefix(DIFFUSION)
            first = here.iloc[0]
            n, batch = integer(first["n"]) or 0, integer(first["batch"]) or 0
            sigma = floating(first["sigma"]) or 0.0
            found.append(Level(name, str(dataset), int(t), sigma, n, batch, ways))
    return found


def by_network(run: RunLike) -> dict[tuple[str, str], list[Level]]:
    """Return (backbone, data set) -> its levels, from the least noise to the most."""
    found: dict[tuple[str, str], list[Level]] = {}
    for level in levels(run):
        found.setdefault((level.backbone, level.dataset), []).append(level)
    return found


def measured_in(run: RunLike, backbone: str, dataset: str) -> tuple[str, ...]:
    """Return the keys of the records that a network's ways were read from."""
    rows = ok(run, TASK, ("denoiser", "dataset"))
    named = rows["denoiser"].astype(str).str.removeprefix(DIFFUSION)
    return keys_of(rows[(named == backbone) & (rows["dataset"] == dataset)])


def _ways(rows: pd.DataFrame) -> tuple[Way, ...]:
    """Return each way once; the one of training is in every cell."""
    beside = {_key(row): row for row in _of(rows, "neighbours")}
    ways: dict[tuple, Way] = {}
    for row in _of(rows, "solver"):
        if not listed(row["mse_per_image"]) or _key(row)[1:] == (None, None):
            continue
        near = beside.get(_key(row), {})
        mse = np.maximum(listed(row["mse_per_image"]), LEAST)
        ways.setdefault(
            _key(row),
            Way(
                str(row["solver"]), integer(row["solver_steps"]), floating(row["tolerance"]),
                true(row["is_trained"]), floating(row["nfe"]) or 0.0,
                tuple(-10 * np.log10(mse)), tuple(listed(row["distance_per_image"])),
                tuple(listed(near.get("coupling_per_image"))),
                tuple(listed(near.get("nfe_alone_per_image"))),
                floating(near.get("nfe_together")),
            ),
        )  # fmt: skip
    return tuple(ways.values())


def _of(rows: pd.DataFrame, part: str) -> list[dict]:
    return rows[rows["part"] == part].to_dict("records")


def _key(row: dict) -> tuple:
    return str(row["solver"]), integer(row["solver_steps"]), floating(row["tolerance"])


def gap(a: Sequence[float], b: Sequence[float]) -> Triple | None:
    """Return the mean of a - b over the images that both have, with its interval."""
    count = min(len(a), len(b))
    return paired_mean(a[:count], b[:count])


def seconds(run: RunLike) -> dict[tuple, dict[tuple, list[float]]]:
    """Return (backbone, data set) -> way (solver, steps, tolerance) -> seconds of a call."""
    rows = ok(run, TIMES, ("denoiser", "dataset", *WAY, "samples_s"))
    found: dict[tuple, dict[tuple, list[float]]] = {}
    for row in rows[rows["denoiser"].notna()].to_dict("records"):
        name = str(row["denoiser"]).removeprefix(DIFFUSION), str(row["dataset"])
        samples = listed(row["samples_s"])
        if samples:
            found.setdefault(name, {}).setdefault(_key(row), samples)
    return found


def key_of(way: Way) -> tuple:
    """Return what tells a way from the others, as in `seconds`."""
    return way.solver, way.steps, way.tolerance
