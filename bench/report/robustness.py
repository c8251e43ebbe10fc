"""Robust and bounded? What perturbations of the input, and of blocks' states, do to the output."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from bench.checked import Claim, Holds
from bench.report.finding import Finding, keys_of
from bench.report.names import PAIR, printed
from bench.report.paired import Triple
from bench.report.ratios import Judged, Versus, geometric
from bench.report.rows import RunLike, listed, ok
from bench.report.shares import words

TASK, BLOCKS = "robustness", "lipschitz"
CHECK = "robustness"
RANDOM, WORST, X0, OUTPUT = "random", "worst", "x0", "output"
CHANGED = (
    *("part", "backbone", "dataset", "t", "direction", "of", "size", "factor", "n"),
    *("change_per_image", "growth_per_image", "stretch_per_image"),
    *("converged", "residual", "tolerance"),
)
STRETCHED = (
    *("backbone", "dataset", "t", "n", "place", "block", "type", "ode"),
    *("stretch_per_image", "gain_per_image", "field_per_image"),
    *("converged", "residual", "tolerance"),
)
PLACE = "Section 2, Continuous U-Net"
BOUNDED = 0.1
"""An output that grows by a smaller power of its input's size is bounded for practical purposes."""
VACUOUS = 10.0
"""A bound that is more than so many times what it bounds says nothing."""


# ------------------------------------------------------------------ rows


def changes(run: RunLike) -> pd.DataFrame:
    """Return what was measured of whole networks."""
    return ok(run, TASK, CHANGED)


def stretched(run: RunLike) -> pd.DataFrame:
    """Return what was measured of blocks, in their order."""
    return ok(run, BLOCKS, STRETCHED).sort_values(["t", "place"], kind="stable")


def robustness(run: RunLike) -> list[Finding]:
    """Return the claims on robustness that a run decided, of each data set."""
    outputs, blocks = changes(run), stretched(run)
    names = dict.fromkeys([*outputs["dataset"], *blocks["dataset"]])
    return [
        Finding(CHECK, claim, keys_of(rows))
        for name in names
        for measured, claims in ((outputs, (_robust, _bounded)), (blocks, (_calmer, _gronwall)))
        for rows in [measured[measured["dataset"] == name]]
        for read in claims
        for claim in read(rows)
    ]


def _compared(rows: pd.DataFrame, by: Sequence[str], column: str) -> Iterator[Versus]:
    """Yield the pair's numbers under every condition under which both have them."""
    for key, here in rows.groupby(list(by)):
        mine = {
            name: listed(here[here["backbone"] == name][column].iloc[0])
            for name in PAIR
            if (here["backbone"] == name).any()
        }
        if len(mine) == len(PAIR):
            told = [f"{_word(name)} {value:g}" for name, value in zip(by, key, strict=True)]
            yield Versus(", ".join(told), mine["cunet"], mine["unet"])


def _word(name: str) -> str:
    return "step" if name == "t" else name


# ------------------------------------------------------------------ claims


def _robust(rows: pd.DataFrame) -> Iterator[Claim]:
    """Yield what random and worst perturbations of the input do to the predicted clean image."""
    for direction, how in (
        (RANDOM, "random perturbations of its input"),
        (WORST, "the worst perturbation of its input"),
    ):
        here = rows[(rows["part"] == "change") & (rows["direction"] == direction)]
        x0, output = (
            list(_compared(here[here["of"] == of], ("t", "size"), "change_per_image"))
            for of in (X0, OUTPUT)
        )
        found, raw = Judged.of(x0), Judged.of(output)
        if not found.known:
            continue
        also = f"; of the network's own output: {raw.words}" if raw.known else ""
        first = "; worst for small ones, by power iteration" if direction == WORST else ""
        yield Claim(
            PLACE,
            f"The continuous U-Net is more robust than the U-Net to {how}.",
            found.holds,
            f"Relative change of the predicted clean image, cU-Net / U-Net (one training each, "
            f"paired over N = {len(x0[0].ours)} images; steps times sizes, relative to the "
            f"input{first}; intervals hold together): {found.words}{also}.",
            found.numbers("change of x0") | raw.numbers("change of output"),
        )


def _bounded(rows: pd.DataFrame) -> Iterator[Claim]:
    """Yield whether the output stays in some range when the input grows: by which power it does."""
    here = rows[rows["part"] == "grown"]
    powers: dict[str, list[Triple]] = {}
    numbers, count = {}, 0
    for (name, t), one in here.groupby(["backbone", "t"]):
        one = one.sort_values("factor").iloc[-2:]
        if len(one) == 2 and name in PAIR:
            before, after = (np.asarray(listed(v)) for v in one["growth_per_image"])
            grown = geometric(after / before, 2 * here["t"].nunique())
            if grown is not None:
                base = math.log(float(one["factor"].iloc[1] / one["factor"].iloc[0]))
                power = tuple(math.log(end) / base for end in grown)
                powers.setdefault(str(name), []).append(power)
                numbers[f"power, {printed(str(name))}, step {t:g}"] = power[0]
                count = len(after)
    if set(powers) != set(PAIR):
        return
    ends = here["factor"].sort_values().unique()[-2:]
    told = "; ".join(
        f"{printed(name)} {', '.join(words(power) for power in powers[name])}" for name in PAIR
    )
    yield Claim(
        PLACE,
        "The continuous U-Net is always bounded by some range, unlike CNNs.",
        _bounded_verdict(powers),
        f"From {ends[0]:g} to {ends[1]:g} times the input the output grows by this power of it (0: "
        f"bounded, 1: in proportion; N = {count} images, step by step, intervals hold together): "
        f"{told}.",
        numbers,
    )


def _bounded_verdict(powers: dict[str, list[Triple]]) -> Holds:
    """Return YES where the cU-Net alone is bounded, PARTLY where the U-Net is as well."""
    bounded = {name: all(high < BOUNDED for _, _, high in found) for name, found in powers.items()}
    grows = any(low > BOUNDED for _, low, _ in powers["cunet"])
    if bounded["cunet"]:
        return Holds.PARTLY if bounded["unet"] else Holds.YES
    return Holds.NO if grows else Holds.OPEN


def _calmer(rows: pd.DataFrame) -> Iterator[Claim]:
    """Yield whether the blocks of one network stretch changes of their states less."""
    stretch, gain = (
        list(_of_blocks(rows, column)) for column in ("stretch_per_image", "gain_per_image")
    )
    found, relative = Judged.of(stretch), Judged.of(gain)
    if not found.known:
        return
    told = {condition for condition, _ in found.known}
    there = [one for one in stretch if one.condition in told]
    means = (
        ("unet", [one.theirs for one in there]),
        ("cunet", [one.ours for one in there]),
    )
    each = "; ".join(
        f"{printed(name)} {', '.join(f'{geometric(values)[0]:.2f}' for values in of_step)} over "
        f"{rows[rows['backbone'] == name]['place'].nunique()} blocks"
        for name, of_step in means
    )
    also = f"; relative to state and result: {relative.words}" if relative.known else ""
    yield Claim(
        PLACE,
        "Dynamic blocks stretch a perturbation of their state less than the U-Net's blocks.",
        found.holds,
        f"Largest singular value of a block's Jacobian where it works, geometric means (lower "
        f"bounds on Lipschitz constants; N = {len(there[0].ours)} images, step by step): {each}; "
        f"cU-Net / U-Net {found.words}{also}. {_converged(rows)}",
        found.numbers("stretch of blocks") | relative.numbers("relative stretch of blocks"),
    )


def _of_blocks(rows: pd.DataFrame, column: str) -> Iterator[Versus]:
    """Yield both networks' geometric means over blocks, of each image, level by level."""
    for t, here in rows.groupby("t"):
        mine = {name: here[here["backbone"] == name][column] for name in PAIR}
        if all(len(one) for one in mine.values()):
            both = {name: _mean_of_blocks(one) for name, one in mine.items()}
            yield Versus(f"step {t:g}", both["cunet"], both["unet"])


def _mean_of_blocks(column: pd.Series) -> list[float]:
    """Return every image's geometric mean over blocks; empty where they are not of one set."""
    values = [listed(value) for value in column]
    if len({len(value) for value in values}) != 1 or not all(v > 0 for one in values for v in one):
        return []
    return np.exp(np.log(values).mean(axis=0)).tolist()


def _converged(rows: pd.DataFrame) -> str:
    """Return how many of the iterations came to their end."""
    share = float(rows["converged"].astype(float).mean())
    return f"{share:.1%} of the iterations converged (residual below {rows['tolerance'].max():g})."


def _gronwall(rows: pd.DataFrame) -> Iterator[Claim]:
    """Yield whether the field's Lipschitz constant bounds its block, and what that is worth."""
    solved = [
        (np.asarray(listed(row["stretch_per_image"])), np.asarray(listed(row["field_per_image"])))
        for row in rows[rows["backbone"] == "cunet"].to_dict("records")
        if len(listed(row["field_per_image"]))
    ]
    if not solved:
        return
    stretch, slope = (np.stack(values) for values in zip(*solved, strict=True))
    excess = slope - np.log(stretch)  # log of the bound over what it bounds
    held, vacuous = float((excess >= 0).mean()), float((excess > math.log(VACUOUS)).mean())
    middle = math.exp(float(np.median(excess)))
    holds = Holds.NO if held < 1 else Holds.PARTLY if middle > VACUOUS else Holds.YES
    yield Claim(
        PLACE,
        "A dynamic block is bounded: the Lipschitz constant L of its field limits how far it "
        "stretches a perturbation, by e^L (Gronwall).",
        holds,
        f"The bound holds in {held:.1%} of {excess.size} cases (blocks, levels, images); it is "
        f"{middle:.3g} times what was measured in the median, and more than {VACUOUS:g} times in "
        f"{vacuous:.0%}. L is {np.median(slope):.3g} in the median, {slope.max():.3g} at most "
        "(local, at the solver's own states).",
        {
            "median of bound / measured": middle,
            "share of cases where it holds": held,
            "median L": float(np.median(slope)),
            "largest L": float(slope.max()),
            "median stretch": float(np.median(stretch)),
        },
    )
