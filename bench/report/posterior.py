"""Equation 15 on a mixture of Gaussians: how far a trained network is from the posterior mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from bench.checked import Claim, Curve, Holds
from bench.report.finding import Finding, keys_of
from bench.report.names import DIFFUSION, ordered, printed
from bench.report.paired import Triple
from bench.report.rows import RunLike, listed, ok
from bench.report.shares import at_levels, by_network, share
from bench.report.smoothing import ONE_CALL, PLACE, Detail, chosen, details, lost_curve, where

TASK = "posterior"
CHECK = "posterior-mean"
MEAN, SAMPLE = "posterior mean", "posterior sample"
NEAR = 0.1
"""Excess risk below which a network is the posterior mean in practice: a sample has 1."""
ALIKE = 0.1
"""Difference of the lost shares of power below which they are the same."""
DISTANCES = {
    "clean": "mse_to_clean",
    "mean": "mse_to_posterior_mean",
    "sample": "mse_to_posterior_sample",
    "bayes": "mse_of_posterior_mean",
    "sampled": "mse_of_posterior_sample",
    "variance": "posterior_variance",
}
COLUMNS = (
    *("part", "denoiser", "dataset", "t", "sigma", "n", "updates", "shown"),
    *(f"{name}_per_image" for name in DISTANCES.values()),
)


@dataclass(frozen=True)
class Risk:
    """Mean squared distances per value of one network's estimates at one level, by image."""

    network: str
    updates: int
    t: int
    sigma: float
    shown: bool
    """Whether it is the level of the pictures."""
    of: Mapping[str, np.ndarray]
    """Name in `DISTANCES` -> [N images]."""

    def excess(self, together: int = 1) -> Triple | None:
        """Return the excess risk: the distance to the exact mean, in posterior variances."""
        return share(self.of["mean"], self.of["variance"], together=together)

    def gap(self, together: int = 1) -> Triple | None:
        """Return by how much error and distance fail to add up: 0 for the true posterior mean."""
        rest = self.of["clean"] - self.of["bayes"] - self.of["mean"]
        return share(rest, self.of["variance"], together=together)

    def beyond(self, other: "Risk", together: int = 1) -> Triple | None:
        """Return how much farther it is from the exact mean than another."""
        if len(self.of["mean"]) != len(other.of["mean"]):
            return None
        gap = self.of["mean"] - other.of["mean"]
        return share(gap, self.of["variance"], together=together)


def risks(run: RunLike) -> list[Risk]:
    """Return what a run measured: networks in the order of tables, by updates, then by level."""
    rows = ok(run, TASK, COLUMNS)
    rows = rows[(rows["part"] == "risk") & rows["t"].notna() & rows["updates"].notna()]
    found = [_risk(row) for row in rows.to_dict("records")]
    order = ordered(one.network for one in found)
    return sorted(found, key=lambda one: (order.index(one.network), one.updates, one.t))


def _risk(row: Mapping[str, Any]) -> Risk:
    of = {name: np.asarray(listed(row[f"{c}_per_image"])) for name, c in DISTANCES.items()}
    name = str(row["denoiser"]).removeprefix(DIFFUSION)
    return Risk(
        name, int(row["updates"]), int(row["t"]), float(row["sigma"]), bool(row["shown"]), of
    )


def posterior(run: RunLike) -> list[Finding]:
    """Return the claims about equation 15 that a run decided."""
    found = risks(run)
    claims = []
    if found:
        last = max(one.updates for one in found)
        claims += [_is_mean([one for one in found if one.updates == last])]
        claims += [c for c in (_approaches(found),) if c is not None]
        claims += [_adds_up(found)]
    claims += [c for c in (_explains(details(run, TASK)),) if c is not None]
    keys = keys_of(ok(run, TASK, COLUMNS))
    return [Finding(CHECK, claim, keys) for claim in claims]


def _is_mean(last: Sequence[Risk]) -> Claim:
    known = [(one, i) for one in last if (i := one.excess(len(last))) is not None]
    near = [i[2] < NEAR for _, i in known]
    far = [i[1] > NEAR for _, i in known]
    holds = Holds.YES if near and all(near) else Holds.PARTLY if any(near) else Holds.OPEN
    short = (
        f" Where it is above {NEAR:g} this training is too short to say."
        if any(far) or holds is Holds.OPEN
        else ""
    )
    return Claim(
        PLACE,
        "A network trained with the L2 loss computes the posterior mean.",
        holds,
        f"After {last[0].updates:,} updates the squared distance to the exact posterior mean of a "
        f"mixture of Gaussians is, in posterior variances (0: the mean itself, 1: as far as a "
        f"sample; N = {len(last[0].of['mean'])}): {by_network(known)}.{short}",
        {f"excess risk, {printed(one.network)}, t = {one.t}": i[0] for one, i in known},
    )


def _approaches(found: Sequence[Risk]) -> Claim | None:
    """Return whether training leads towards the posterior mean, at every level."""
    lengths = sorted({one.updates for one in found})
    at = {(one.network, one.t, one.updates): one for one in found}
    steps = [
        (at[name, t, before], at[name, t, after])
        for name, t in dict.fromkeys((one.network, one.t) for one in found)
        for before, after in pairwise(lengths)
        if (name, t, before) in at and (name, t, after) in at
    ]
    falls = [f for a, b in steps if (f := a.beyond(b, len(steps))) is not None]
    if not falls:
        return None
    down, up = sum(low > 0 for _, low, _ in falls), sum(high < 0 for _, _, high in falls)
    holds = Holds.YES if down == len(falls) else Holds.PARTLY if down else Holds.OPEN
    if up and not down:
        holds = Holds.NO
    mean = {
        length: float(np.median([i[0] for o in found if o.updates == length if (i := o.excess())]))
        for length in lengths
    }
    told = ", ".join(f"{value:.2f} after {length:,}" for length, value in mean.items())
    return Claim(
        PLACE,
        "Training leads the estimate towards the posterior mean.",
        holds,
        f"From {' to '.join(f'{length:,}' for length in lengths)} updates the distance falls in "
        f"{down} and rises in {up} of {len(falls)} steps of a network at a level (paired, "
        f"intervals hold together); the median over networks and levels is {told} updates.",
        {f"median excess risk, {length} updates": value for length, value in mean.items()},
    )


def _adds_up(found: Sequence[Risk]) -> Claim:
    """Return whether the exact mean is the point from which errors add up."""
    gaps = [i for one in found if (i := one.gap(len(found))) is not None]
    worst = max(gaps, key=lambda i: abs(i[0]), default=(0.0, 0.0, 0.0))
    wide = max((high - low for _, low, high in gaps), default=0.0)
    fits = sum(low <= 0 <= high for _, low, high in gaps)
    first = {(one.t): one for one in found}.values()
    drawn = [share(one.of["sampled"], one.of["variance"]) for one in first]
    sampled = ", ".join(f"{i[0]:.2f}" for i in drawn if i is not None)
    return Claim(
        PLACE,
        "The mean squared error is the posterior variance and the squared distance to the "
        "posterior mean: nothing is gained by being anything else.",
        Holds.YES if fits == len(gaps) > 0 else Holds.NO if gaps else Holds.OPEN,
        f"They add up in {fits} of {len(gaps)} cases (all networks, trainings and levels; "
        f"intervals hold together), within {abs(worst[0]):.3f} posterior variances at worst "
        f"({worst[1]:.3f} to {worst[2]:.3f}). A sample's error is {sampled} variances where the "
        "theory says 2.",
        {"largest gap, variances": worst[0], "widest interval, variances": wide},
    )


def _explains(found: Sequence[Detail]) -> Claim | None:
    """Return whether the posterior mean's loss of detail is the networks'."""
    exact = {one.t: one for one in chosen(found, MEAN)}
    samples = {one.t: one for one in chosen(found, SAMPLE)}
    networks = [one for one in chosen(found, ONE_CALL) if one.t in exact]
    count = len(exact) + len(samples)
    lost = [(one, i) for one in exact.values() if (i := one.lost(count)) is not None]
    kept = [i for one in samples.values() if (i := one.lost(count)) is not None]
    gaps = [
        (one, i)
        for one in networks
        if (i := one.beyond(exact[one.t], together=len(networks))) is not None
    ]
    if not (lost and kept and gaps):
        return None
    return Claim(
        PLACE,
        "That the network is the posterior mean explains the observed over-smoothing.",
        _explained([i for _, i in lost], kept, [i for _, i in gaps]),
        f"The exact posterior mean loses, of the clean images' power ({where(lost[0][0])}), "
        f"{at_levels(lost)}; an exact posterior sample loses {max(abs(i[0]) for i in kept):.2f} at "
        f"most. The networks have, beyond the exact mean's power: {by_network(gaps)}.",
        {f"lost power, exact mean, t = {one.t}": i[0] for one, i in lost}
        | {f"power beyond it, {printed(o.network)}, t = {o.t}": i[0] for o, i in gaps},
    )


def _explained(lost: Sequence[Triple], kept: Sequence[Triple], gaps: Sequence[Triple]) -> Holds:
    """Return whether the mean loses detail, a sample keeps it, and networks have the mean's."""
    smooth = [
        Holds.YES if low > 0 else Holds.NO if high <= 0 else Holds.OPEN for _, low, high in lost
    ] + [_alike(one) for one in kept]
    if Holds.NO in smooth:
        return Holds.NO
    networks = [_alike(one) for one in gaps]
    if Holds.OPEN in smooth or (Holds.OPEN in networks and Holds.NO not in networks):
        return Holds.OPEN
    return Holds.PARTLY if Holds.NO in networks else Holds.YES


def _alike(gap: Triple) -> Holds:
    """Return whether a difference of lost shares is within `ALIKE`, by all of its interval."""
    _, low, high = gap
    if -ALIKE < low and high < ALIKE:
        return Holds.YES
    return Holds.NO if low > ALIKE or high < -ALIKE else Holds.OPEN


def drawn(run: RunLike) -> list[Curve]:
    """Return the curves of excess risk, and of the detail that the exact mean must lose."""
    found = risks(run)
    curves = [*_excess(found), *_learning(found)]
    lost = details(run, TASK)
    panel = "Lost detail, mixture of Gaussians"
    for name in dict.fromkeys(one.network for one in chosen(lost, ONE_CALL)):
        curves += lost_curve(chosen(lost, ONE_CALL, name), panel, printed(name))
    for estimate in (MEAN, SAMPLE):
        points = {one.t: one for one in chosen(lost, estimate)}  # the same beside each network
        curves += lost_curve(list(points.values()), panel, f"exact {estimate}", reference=True)
    return curves


DISTANCE = "squared distance, posterior variances"


def _excess(found: Sequence[Risk]) -> list[Curve]:
    last = max((one.updates for one in found), default=0)
    panel, x_axis = "Distance to the exact posterior mean", "noise level σ"
    curves = []
    for name in dict.fromkeys(one.network for one in found):
        here = [one for one in found if (one.network, one.updates) == (name, last)]
        known = [(one.sigma, i) for one in here if (i := one.excess()) is not None]
        curves += _curve(known, panel, printed(name), x_axis)
    if curves:
        sigmas = sorted({one.sigma for one in found})
        ends, label = (sigmas[0], sigmas[-1]), "a posterior sample"
        curves.append(Curve(panel, label, ends, (1.0, 1.0), x_axis, DISTANCE, reference=True))
    return curves


def _learning(found: Sequence[Risk]) -> list[Curve]:
    """Return the excess risk against updates at the level of the pictures."""
    curves = []
    for name in dict.fromkeys(one.network for one in found):
        here = [one for one in found if one.network == name and one.shown]
        known = [(float(one.updates), i) for one in here if (i := one.excess()) is not None]
        if len(known) > 1:
            panel = f"Distance along the training, σ {here[0].sigma:.3g}"
            curves += _curve(known, panel, printed(name), "updates", logarithmic="y")
    return curves


def _curve(
    known: Sequence[tuple[float, Triple]],
    panel: str,
    label: str,
    x_axis: str,
    *,
    logarithmic: str = "xy",
) -> list[Curve]:
    """Return the curve through some points, none where there is none."""
    x = tuple(at for at, _ in known)
    y, low, high = (tuple(max(i[place], 1e-6) for _, i in known) for place in range(3))
    made = Curve(panel, label, x, y, x_axis, DISTANCE, low, high, logarithmic)
    return [made] if known else []
