"""The paper's claims about denoising beside other methods, and about the scores themselves."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from bench.named_options import options_of
from bench.report import perception
from bench.report import restoration as r
from bench.report.evidence import NOTHING, Evidence, gathered, share, whole
from bench.report.names import PAIR
from bench.report.paired import paired_mean, separate, side
from bench.report.paper import lookup
from bench.report.rows import RunLike, floating, integer, listed, ok, plural, text_of
from bench.report.table2 import Restorations
from bench.report.table4 import LEVELS, TRAINED, blocks, every_denoised, methods
from bench.report.table4_pairs import Key, Method, diffusion_row, gap
from bench.report.verdicts import Label, Verdict, direction, under

LEARNT = ("conv-ae", "dncnn")
STRONG = 0.7
"""A rank correlation that is called strong; the paper names no number."""
COMBINED = ("backbone", "t", "clipped", "share_of_mean", "psnr", "psnr_low", "psnr_high")
PER_IMAGE = ("mse_per_image", "ssim_per_image", "lpips_per_image")
ENDS = (1.0, 0.0)
"""Shares of the posterior mean: the mean itself, and a sample."""
MOST_FEW = 5
"""So many methods at the least, as in Table 4, have ranks that can be compared."""


def _told(count: int, of: int, what: str) -> str:
    return f"{count} of {plural(of, 'comparison')} {what}"


def _sides(pairs: Iterable[tuple[Method, Method, Key, int]]) -> list[int]:
    """Return for each (a, b, level and metric, sign of a - b) 1 where it is so, -1 or 0."""
    found = []
    for a, b, key, sign in pairs:
        ends = gap(a, b, key)
        if ends is not None:
            found.append(side(ends, sign))
    return found


def _counted(run: RunLike, sides: list[int], method: Method, what: str) -> Evidence:
    """Return evidence of comparisons, each of which a paired 95 % interval decides."""
    if not sides:
        return NOTHING
    agree, tie, opposite = (sides.count(sign) for sign in (1, 0, -1))
    row = next(iter(method.rows.values()))
    verdict = under(r.unlike_paper(run, row), share(agree, tie, opposite))
    text = f"{_told(agree, len(sides), what)}, {tie} tied, {opposite} the other way"
    return Evidence(text, plural(integer(row["n"]), "image") or "-", verdict)


def generalises(run: RunLike) -> Evidence:
    """Return how often both U-Nets beat the learnt denoisers that no one trained for a level.

    One comparison for each network, rival, noise level and metric of Table 4.
    """
    found = methods(run, blocks(run)[0])
    labels = [diffusion_row(name) for name in PAIR]
    nets = [m for m in found if m.label in labels and m.scores]
    rivals = [m for m in found if m.scores and _general(m)]
    if len(nets) < len(PAIR) or not rivals:
        return NOTHING
    sides = _sides(
        (net, rival, (t, metric), 1 if r.METRICS[metric][1] else -1)
        for net in nets
        for rival in rivals
        for t in LEVELS
        for metric in r.METRICS
    )
    names = ", ".join(rival.label for rival in rivals)
    evidence = _counted(run, sides, nets[0], f"won by the U-Nets against {names}")
    learnt = {name for rival in rivals for name in _plugins(rival)}
    return whole(evidence, set(LEARNT) - learnt)


def _general(method: Method) -> bool:
    """Return whether it is a learnt classic, trained at one level or over all of them."""
    trained = {text_of(row.get("trained")) for row in method.rows.values()}
    return bool(_plugins(method) & set(LEARNT)) and trained <= set(TRAINED) - {"level"}


def _plugins(method: Method) -> set[str]:
    rows = method.rows.values()
    return {options_of(str(row.get("denoiser") or "-"))[0] for row in rows}


def ranks(run: RunLike) -> Evidence:
    """Return how many pairs of Table 4's five methods are in the paper's order, by column."""
    paper = lookup("table4")
    found = [m for m in methods(run, blocks(run)[0]) if m.paper_row and m.scores and not m.assumed]
    pairs = []
    for i, a in enumerate(found):
        for b in found[i + 1 :]:
            for key in ((t, metric) for t in LEVELS for metric in r.METRICS):
                ours, theirs = (paper.get((str(m.paper_row), str(key[0]), key[1])) for m in (a, b))
                if ours is None or theirs is None or ours.value == theirs.value:
                    continue
                pairs.append((a, b, key, 1 if ours.value > theirs.value else -1))
    sides = _sides(pairs)
    absent = {row for row, *_ in paper} - {str(m.paper_row) for m in found}
    return (
        whole(_counted(run, sides, found[0], "in the paper's order"), absent) if pairs else NOTHING
    )


def matches(run: RunLike) -> Evidence:
    """Return at how many levels and metrics of Table 2 the cU-Net is better."""
    all_ = Restorations(run)
    found = r.best_of(all_.rows, all_.blocks[0])
    sides, row = [], None
    for (t, backbone, metric), best in found.items():
        base = found.get((t, "unet", metric))
        ends = r.compared(best, base) if backbone == "cunet" and base else None
        if ends is None or metric not in r.METRICS:
            continue
        sign, row = 1 if r.METRICS[metric][1] else -1, best.row
        sides.append(side(ends, sign))
    if row is None:
        return NOTHING
    won, tied, lost = (sides.count(sign) for sign in (1, 0, -1))
    reason = '"often" is read as: in at least half of the comparisons it wins'
    label = Label.TIE
    if 2 * won >= len(sides):
        label = Label.REPRODUCED
    elif 2 * lost > len(sides):
        label, reason = Label.CONTRADICTED, "the U-Net wins more than half of the comparisons"
    text = f"{_told(won, len(sides), 'won by the cU-Net')}, {tied} tied, {lost} won by the U-Net"
    verdict = under(r.unlike_paper(run, row), Verdict(label, reason))
    return Evidence(text, plural(integer(row["n"]), "image") or "-", verdict)


# ------------------------------------------------------------------ levels and scores


def noise_grows(run: RunLike) -> Evidence:
    """Return whether noise grows with the noising steps, on every schedule of Figure 4."""
    rows = ok(run, "ladder", ("schedule", "t", "sigma")).dropna(subset=["t", "sigma"])
    texts, verdicts, n = [], [], []
    for schedule, part in rows.groupby("schedule"):
        levels = part.drop_duplicates("t").sort_values("t")
        sigmas = levels["sigma"].astype(float).to_numpy()
        if len(sigmas) < 2:
            continue
        label = Label.REPRODUCED if (np.diff(sigmas) > 0).all() else Label.CONTRADICTED
        first, last = levels["t"].iloc[0], levels["t"].iloc[-1]
        texts.append(
            f"{schedule}: sigma {sigmas[0]:.3g} at t={first:.0f} to {sigmas[-1]:.3g} at "
            f"t={last:.0f}, in [0, 1] units"
        )
        verdicts.append(Verdict(label, "computed, without sampling error"))
        n.append(f"{len(sigmas)} levels")
    return gathered(texts, verdicts, n)


def ssim_psnr(run: RunLike) -> Evidence:
    """Return how alike SSIM and PSNR rank the methods of Table 4, and LPIPS and PSNR.

    Spearman's rank correlation over the methods of one call, for each noisy image; mean over images
    and levels, with the interval of that over images. The noisy image itself is no method.
    """
    rows = r.within(every_denoised(run), blocks(run)[0])
    rows = rows[rows["denoiser"] != "identity"]
    with_ssim, with_lpips, methods_, levels = [], [], [], 0
    for _, part in rows.groupby("t"):
        scores = [[listed(cell) for cell in part[name]] for name in PER_IMAGE]
        if len(part) < MOST_FEW or len({len(one) for kind in scores for one in kind} - {0}) != 1:
            continue
        known = [i for i in range(len(part)) if all(kind[i] for kind in scores)]
        if len(known) < MOST_FEW:
            continue
        errors, ssim, lpips = (_ranked([kind[i] for i in known]) for kind in scores)
        with_ssim.append(-_correlations(errors, ssim))
        with_lpips.append(_correlations(errors, lpips))
        methods_.append(len(known))
        levels += 1
    if not with_ssim or len({len(one) for one in with_ssim}) != 1:
        return NOTHING
    alike = np.nanmean(with_ssim, axis=0)
    ends = paired_mean(alike.tolist(), [0.0] * len(alike))
    if ends is None or not np.isfinite(ends).all():
        return NOTHING
    value, low, high = ends
    other = float(np.nanmean(with_lpips))
    text = f"SSIM {value:.2f} (95 %: {low:.2f} to {high:.2f}), LPIPS {other:.2f}"
    verdict = direction(low - STRONG, high - STRONG, paper_sign=1)
    reason = f"strong is read as more than {STRONG:g}; {verdict.reason}"
    n = f"{len(alike)} images, {min(methods_)} methods of one call, {plural(levels, 'level')}"
    judged = Verdict(verdict.label, reason)
    return Evidence(text, n, under(r.unlike_paper(run, rows.iloc[0]), judged))


def _ranked(scores: list[list[float]]) -> np.ndarray:
    """Return the methods' ranks [methods, images] for each image."""
    return np.asarray(pd.DataFrame(scores).rank())


def _correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the correlation of two [methods, images] for each image; NaN where one is constant."""
    a, b = (one - one.mean(axis=0) for one in (a, b))
    size = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((a * b).sum(axis=0) / size)


def blur(run: RunLike) -> Evidence:
    """Return whether the posterior mean is nearer to the image, and farther from natural ones.

    Against a sample of the posterior, the end of the restoration, for each network and noise
    level: PSNR, and the distance of the set of restored images to clean ones.
    """
    block = Restorations(run).blocks[0]
    scores = r.within(_combined(run), block, any_estimate=True)
    sets = perception.sets(run, block)
    sides, gains, n, unlike = [], [], 0, ""
    for (name, t), part in sets.groupby(["name", "t"]):
        metric = text_of(part["leads"].iloc[0]) or "kid"
        own = scores[(scores["backbone"] == name) & (scores["t"] == t)]
        far = [one for share_ in ENDS if (one := _triple(part, share_, metric)) is not None]
        near = [one for share_ in ENDS if (one := _triple(own, share_, "psnr")) is not None]
        if len(far) < len(ENDS) or len(near) < len(ENDS):
            continue
        sides.append((side(separate(*near)), side(separate(*far))))
        gains.append(near[0][0] - near[1][0])
        unlike, n = r.unlike_paper(run, own.iloc[0]), integer(own["n"].iloc[0]) or n
    if not sides:
        return NOTHING
    worst_of = [min(pair) for pair in sides]
    counts = [worst_of.count(sign) for sign in (1, 0, -1)]
    blurred, distant = ([pair[i] for pair in sides].count(1) for i in (0, 1))
    nearer = [pair[1] for pair in sides].count(-1)
    told = (
        f"the mean against a sample: PSNR {min(gains):+.2g} to {max(gains):+.2g} dB, higher beyond "
        f"doubt in {blurred} of {len(sides)} restorations; farther from clean images in {distant}, "
        f"nearer in {nearer}"
    )
    return Evidence(told, plural(n, "image") or "-", under(unlike, share(*counts)))


def _combined(run: RunLike) -> pd.DataFrame:
    rows = ok(run, "restore", (*r.COLUMNS, *COMBINED))
    rows = rows[(rows["part"] == perception.COMBINATION) & rows["t"].notna()].copy()
    schedule = rows["schedule"].astype(object)
    return rows.assign(schedule=schedule.where(schedule.notna(), r.DEFAULT_SCHEDULE)).drop(
        columns="clipped"
    )


def _triple(rows: pd.DataFrame, share_: float, metric: str) -> tuple[float, float, float] | None:
    """Return a value with its interval at a share of the posterior mean; None without one."""
    here = rows[rows["share_of_mean"].astype(float) == share_]
    if here.empty:
        return None
    value, low, high = (floating(here.iloc[0].get(f"{metric}{end}")) for end in perception.ENDS)
    return None if value is None or low is None or high is None else (value, low, high)
