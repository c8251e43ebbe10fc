"""Over-smoothing: how much fine detail one estimate of a network loses, and a restoration keeps."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.checked import Claim, Curve, Holds
from bench.report.finding import Finding, keys_of
from bench.report.names import DIFFUSION, ordered, printed
from bench.report.paired import Triple
from bench.report.rows import RunLike, listed, ok
from bench.report.shares import at_levels, by_network, share

TASK = "smoothing"
ONE_CALL, SAMPLE = "one call", "restored"
LEAST = 0.01
"""Share of the clean images' power below which an octave holds no detail of theirs."""
COLUMNS = (
    *("part", "denoiser", "dataset", "estimate", "t", "sigma", "n", "updates"),
    *("low_cycles_per_pixel", "high_cycles_per_pixel", "clean_share"),
    *("power_per_image", "common_per_image", "clean_power_per_image"),
)
PLACE = "Section 4.2, equation 15"


@dataclass(frozen=True)
class Detail:
    """The power of a network's estimates in the finest octave that holds any, at one level."""

    network: str
    estimate: str
    dataset: str
    t: int
    sigma: float
    octave: tuple[float, float]
    """Cycles a pixel."""
    power: np.ndarray
    """[N images]"""
    common: np.ndarray
    """The part of it that is the clean image's, [N]."""
    clean: np.ndarray
    """Power of the clean images, [N]."""

    def lost(self, together: int = 1) -> Triple | None:
        """Return the lost share of the clean images' power, with its interval."""
        return share(self.clean - self.power, self.clean, together=together)

    def beyond(self, other: "Detail", *, common: bool = False, together: int = 1) -> Triple | None:
        """Return how much more power it has than another, as a share of the clean images'."""
        a, b = (one.common if common else one.power for one in (self, other))
        return share(a - b, self.clean, together=together) if len(a) == len(b) else None


def details(run: RunLike, task: str) -> list[Detail]:
    """Return what a task measured of each network, of the longest training, level by level."""
    rows = ok(run, task, COLUMNS)
    rows = rows[(rows["part"] == "octave") & rows["t"].notna()]
    rows = rows[rows["updates"].isna() | (rows["updates"] == rows["updates"].max())]
    found = []
    for dataset, here in rows.groupby("dataset"):
        # The same of every estimate of a data set, and so of no network's making.
        held = here.groupby("low_cycles_per_pixel")["clean_share"].max()
        full = held[held >= LEAST]
        if full.empty:
            continue
        finest = here[here["low_cycles_per_pixel"] == max(full.index)]
        names = ordered(_plain(name) for name in finest["denoiser"])
        found += [
            _detail(str(dataset), row)
            for name in names
            for row in finest.sort_values("t").to_dict("records")
            if _plain(row["denoiser"]) == name
        ]
    return found


def _plain(denoiser: Any) -> str:
    return str(denoiser).removeprefix(DIFFUSION)


def _detail(dataset: str, row: Mapping[str, Any]) -> Detail:
    powers = [np.asarray(listed(row[f"{n}_per_image"])) for n in ("power", "common", "clean_power")]
    octave = float(row["low_cycles_per_pixel"]), float(row["high_cycles_per_pixel"])
    about = _plain(row["denoiser"]), str(row["estimate"]), dataset
    return Detail(*about, int(row["t"]), float(row["sigma"]), octave, *powers)


def chosen(found: Iterable[Detail], estimate: str, network: str = "") -> list[Detail]:
    """Return those of one estimate, and of one network where it is named."""
    return [one for one in found if one.estimate == estimate and network in ("", one.network)]


def smoothing(run: RunLike) -> list[Finding]:
    """Return the claims about over-smoothing that a run decided, of each data set."""
    found, rows = details(run, TASK), ok(run, TASK, COLUMNS)
    return [
        Finding("over-smoothing", claim, keys_of(rows[rows["dataset"] == name]))
        for name in dict.fromkeys(one.dataset for one in found)
        for claim in _claims([one for one in found if one.dataset == name])
    ]


def _claims(found: list[Detail]) -> Iterator[Claim]:
    yield _smooths(chosen(found, ONE_CALL))
    pairs = [
        (end, one)
        for end in chosen(found, SAMPLE)
        for one in chosen(found, ONE_CALL, end.network)
        if one.t == end.t
    ]
    if pairs:
        yield _restores(pairs)
    ours = {one.t: one for one in chosen(found, ONE_CALL, "cunet")}
    theirs = {one.t: one for one in chosen(found, ONE_CALL, "unet")}
    if ours.keys() & theirs.keys():
        yield _preserves([(ours[t], theirs[t]) for t in sorted(ours.keys() & theirs.keys())])


def where(one: Detail) -> str:
    """Return which images and frequencies a number is about, and how many images."""
    low, high = one.octave
    return f"{one.dataset}, {low:g} to {high:g} cycles a pixel, N = {len(one.clean)}"


def _smooths(found: Sequence[Detail]) -> Claim:
    lost = [(one, one.lost(len(found))) for one in found]
    known = [(one, interval) for one, interval in lost if interval is not None]
    return Claim(
        PLACE,
        "Networks trained with a distance-based loss give over-smoothed images in one call.",
        judged([interval for _, interval in known]),
        f"Lost share of the clean images' power ({where(found[0])}; intervals hold together): "
        f"{by_network(known)}. Below 0: more power than the clean images have.",
        numbers("lost power", known),
    )


def judged(intervals: Sequence[Triple]) -> Holds:
    """Return whether all of some differences are above 0, some, or none."""
    above = [low > 0 for _, low, _ in intervals]
    if above and all(above):
        return Holds.YES
    if any(above):
        return Holds.PARTLY
    return Holds.NO if any(high < 0 for _, _, high in intervals) else Holds.OPEN


def numbers(what: str, known: Sequence[tuple[Detail, Triple]]) -> dict[str, float]:
    """Return the values by name, network and level."""
    return {f"{what}, {printed(one.network)}, t = {one.t}": i[0] for one, i in known}


def _restores(pairs: Sequence[tuple[Detail, Detail]]) -> Claim:
    count = 2 * len(pairs)
    gained = [(end, end.beyond(one, together=count)) for end, one in pairs]
    left = [(end, end.lost(count)) for end, _ in pairs]
    gains = [(end, interval) for end, interval in gained if interval is not None]
    lacks = [(end, interval) for end, interval in left if interval is not None]
    holds = judged([interval for _, interval in gains])
    if holds is Holds.YES and any(low > 0 for _, (_, low, _) in lacks):
        holds = Holds.PARTLY
    return Claim(
        PLACE,
        "A restoration to the end, a sample, has the detail that one estimate loses.",
        holds,
        f"Power beyond that of one call, as a share of the clean images' ({where(gains[0][0])}): "
        f"{by_network(gains)}; what the end still lacks of the clean images: {by_network(lacks)}.",
        numbers("regained power", gains) | numbers("lacking power", lacks),
    )


def _preserves(pairs: Sequence[tuple[Detail, Detail]]) -> Claim:
    """Return whether the continuous network keeps more of the image's own detail.

    Power that is not where the clean image has it is noise that was left or made, and no detail.
    """
    more = [(a, a.beyond(b, together=len(pairs))) for a, b in pairs]
    true = [(a, a.beyond(b, common=True, together=len(pairs))) for a, b in pairs]
    power = [(one, interval) for one, interval in more if interval is not None]
    common = [(one, interval) for one, interval in true if interval is not None]
    return Claim(
        "Section 4.2, after equation 15",
        "The cU-Net preserves detail where the U-Net prefers smoothness.",
        judged([i for _, i in common]),
        "cU-Net less U-Net, one call, paired, as a share of the clean images' power "
        f"({where(common[0][0])}), of what is where the clean image has it "
        f"{at_levels(common)}; of all power {at_levels(power)}.",
        {
            f"{what}, cU-Net - U-Net, t = {one.t}": interval[0]
            for what, known in (("more power in place", common), ("more power", power))
            for one, interval in known
        },
    )


def drawn(run: RunLike) -> list[Curve]:
    """Return the curves of lost power against noise."""
    found, curves = details(run, TASK), []
    for dataset in dict.fromkeys(one.dataset for one in found):
        here = [one for one in found if one.dataset == dataset]
        title = f"Lost detail, {dataset}"
        for estimate in (ONE_CALL, SAMPLE):
            for network in dict.fromkeys(one.network for one in here):
                points = chosen(here, estimate, network)
                label = printed(network) + ("" if estimate == ONE_CALL else ", restored")
                curves += lost_curve(points, title, label)
    return curves


def lost_curve(
    points: Sequence[Detail], panel: str, label: str, *, reference: bool = False
) -> list[Curve]:
    """Return the curve of lost power in dB through some levels; none where there is no level."""
    known = [(one, interval) for one in points if (interval := one.lost())]
    if not known:
        return []
    first, last = known[0][0].octave
    y, low, high = (tuple(_decibels(i[place]) for _, i in known) for place in range(3))
    return [
        Curve(
            panel,
            label,
            x=tuple(one.sigma for one, _ in known),
            y=y,
            x_axis="noise level σ",
            y_axis=f"lost at {first:g} to {last:g} cycles/pixel, dB",
            low=() if reference else low,
            high=() if reference else high,
            logarithmic="x",
            reference=reference,
        )
    ]


def _decibels(lost: float) -> float:
    """Return a lost share of the power in dB; at most 40, as an interval may reach all of it."""
    return -10 * math.log10(max(1 - lost, 1e-4))
