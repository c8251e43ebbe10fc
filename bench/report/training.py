"""Training: one-step denoising of held-out images against the Wiener filter, by noise."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.report import comparison as c
from bench.report.names import DIFFUSION, ordered, printed
from bench.report.paired import paired_mean
from bench.report.rows import RunLike, asked, data_words, fault_notes, integer, listed, ok

TABLE = "training"
READS = ("train", "denoise")
FLOOR = "wiener"
STEPS = 1000
"""Steps of every schedule."""
THIRDS = ("little noise", "medium noise", "much noise")
COLUMNS = ("denoiser", "dataset", "recipe", "schedule", "t", "sigma", "n", "mse_per_image")


@dataclass(frozen=True)
class Third:
    """One network in one third of the noise range, beside the Wiener filter."""

    name: str
    levels: tuple[int, ...]
    mse: float
    floor: float
    ratio: c.Value
    """Of the two, with the interval of the paired difference over images."""

    @property
    def verdict(self) -> str:
        """Whether the network is better than the filter, by that interval."""
        if self.ratio.high is None or self.ratio.low is None:
            return "unknown"
        if self.ratio.high < 1:
            return "yes"
        return "no" if self.ratio.low > 1 else "tie"


def training(run: RunLike) -> c.Table | None:
    """Return the table, None for a run that measured none of it."""
    if not asked(run, TABLE):
        return None
    rows = ok(run, "denoise", COLUMNS, table=TABLE)
    rows = rows[rows["t"].notna()]
    found = {
        (dataset, recipe, name): thirds
        for dataset, here in rows.groupby("dataset")
        for recipe, name in _networks(here)
        if (thirds := _thirds(here[(here["recipe"] == recipe) | (here["denoiser"] == FLOOR)], name))
    }
    header = [("", "", name) for name in ("Data", "Recipe", "Backbone")]
    for name in THIRDS:
        header += [(name, "MSE", "ours"), (name, "Wiener's", "ours")]
        header += [(name, "ratio (95 %)", "ours"), (name, "beats it", "ours")]
    header.append(("", "beats it everywhere", "ours"))
    return c.Table(
        TABLE,
        "Training: held-out denoising in one call against the Wiener filter",
        "Mean squared error of images that training never saw, clipped to [0, 1], averaged over "
        "two levels in each third of the noise range. The Wiener filter is the best linear "
        "denoiser, fitted to the training images in closed form; a network that has learnt "
        "something has a ratio below 1.",
        c.tidy(line for key, thirds in found.items() for line in _lines(run, key, thirds)),
        c.layout(header, [_row(run, key, thirds) for key, thirds in found.items()]),
        3,
        (*_notes(rows), *fault_notes(run, READS, table=TABLE)),
    )


def _networks(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Return (recipe, backbone) of every network, in the order of tables."""
    named = rows[rows["denoiser"].str.startswith(DIFFUSION)]
    pairs = set(zip(named["recipe"], named["denoiser"].str.removeprefix(DIFFUSION), strict=True))
    order = ordered(name for _, name in pairs)
    return sorted(pairs, key=lambda pair: (str(pair[0]), order.index(pair[1])))


def _thirds(rows: pd.DataFrame, backbone: str) -> list[Third]:
    """Return what can be compared: levels at which both were measured."""
    mine, floor = (_by_level(rows, name) for name in (f"{DIFFUSION}{backbone}", FLOOR))
    shown = rows[rows["denoiser"].isin([f"{DIFFUSION}{backbone}", FLOOR])]
    keys, thirds = tuple(map(str, shown["key"])), []
    for i, name in enumerate(THIRDS):
        common = [t for t in sorted(mine.keys() & floor.keys()) if third_of(t) == i]
        if common:
            pair = [np.mean([one[t] for t in common], axis=0) for one in (mine, floor)]
            thirds.append(_compared(name, tuple(common), *pair, keys=keys))
    return thirds


def third_of(t: int) -> int:
    """Return in which third of the noising steps 1..T a step lies: 0, 1 or 2."""
    return (3 * t - 1) // STEPS


def _by_level(rows: pd.DataFrame, denoiser: str) -> dict[int, list[float]]:
    """Return noising step -> squared errors by image."""
    here = rows[rows["denoiser"] == denoiser]
    values = {int(row.t): listed(row.mse_per_image) for row in here.itertuples()}
    return {t: errors for t, errors in values.items() if errors}


def _compared(
    name: str,
    levels: tuple[int, ...],
    mine: Sequence[float],
    floor: Sequence[float],
    *,
    keys: tuple[str, ...],
) -> Third:
    mse, least = float(np.mean(mine)), float(np.mean(floor))
    gap = paired_mean(mine, floor)
    ends = (None, None) if gap is None else (1 + gap[1] / least, 1 + gap[2] / least)
    return Third(name, levels, mse, least, c.Value(mse / least, *ends, len(mine), keys))


def _row(run: RunLike, key: tuple[str, str, str], thirds: list[Third]) -> list[str]:
    dataset, recipe, backbone = key
    cells = [data_words(run, dataset), str(recipe), printed(backbone)]
    by_name = {third.name: third for third in thirds}
    for name in THIRDS:
        one = by_name.get(name)
        if one is None:
            cells += [c.DASH] * 4
            continue
        ratio = c.number(one.ratio.value, 3)
        if one.ratio.low is not None:
            ratio += f" ({one.ratio.low:.3f} to {one.ratio.high:.3f})"
        cells += [c.number(one.mse, 4), c.number(one.floor, 4), ratio, one.verdict]
    everywhere = len(thirds) == len(THIRDS) and all(one.verdict == "yes" for one in thirds)
    return [*cells, "yes" if everywhere else "no"]


def _lines(run: RunLike, key: tuple[str, str, str], thirds: list[Third]) -> list[c.Line]:
    dataset, recipe, backbone = key
    lines = []
    for one in thirds:
        levels = " and ".join(str(t) for t in one.levels)
        words = f"recipe {recipe}; t = {levels}; one network call; interval: paired bootstrap"
        place = c.Place(TABLE, printed(backbone), data_words(run, dataset), words)
        values = {
            f"MSE, {one.name}": c.Value(one.mse, n=one.ratio.n, keys=one.ratio.keys),
            f"MSE of the Wiener filter, {one.name}": c.Value(
                one.floor, n=one.ratio.n, keys=one.ratio.keys
            ),
            f"MSE / Wiener's, {one.name}": one.ratio,
        }
        lines += [
            c.line(run, place, (metric, "1"), ours=value, judged=(None, None))
            for metric, value in values.items()
        ]
    return lines


def _notes(rows: pd.DataFrame) -> list[str]:
    levels = rows[["t", "sigma", "schedule"]].drop_duplicates().sort_values("t")
    places = ", ".join(f"{int(t)} (σ = {sigma:.3g})" for t, sigma in levels.values[:, :2])
    schedule = " and ".join(sorted({str(name) for name in levels["schedule"]}))
    if rows.empty:
        return []
    return [
        f"N = {integer(rows['n'].max())} held-out images, the same noise for every denoiser; "
        f"noising steps of the {schedule} schedule: {places}.",
        "The interval is of the paired difference over images, by bootstrap, on the scale of the "
        "ratio; yes: all of it below 1, no: all above, tie: neither.",
    ]


def unequal_notes(run: RunLike, datasets: Iterable[str]) -> list[str]:
    """Return of each data set whose networks had not as many updates how many each had."""
    rows = ok(run, "train", ("denoiser", "dataset", "updates")).astype({"denoiser": str})
    rows = rows[rows["denoiser"].str.startswith(DIFFUSION)]
    notes = []
    for dataset in datasets:
        here = rows[rows["dataset"] == dataset]
        names = here["denoiser"].str.removeprefix(DIFFUSION)
        mine = here["updates"].astype(float).groupby(names).max()
        if mine.nunique() > 1:
            had = ", ".join(f"{printed(name)} {mine[name]:,.0f}" for name in ordered(mine.index))
            notes.append(f"{dataset}: trained unequally, in updates: {had}.")
    return notes
