"""What became of the questions about solvers: on the authors' list of things to do, and our own."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from bench.checked import Claim, Holds
from bench.report.finding import Finding
from bench.report.names import printed
from bench.report.paired import Triple
from bench.report.rows import RunLike
from bench.report.solving import EACH, TASK, TIMES, Level, Way, by_network, gap, measured_in

TASKS = (TASK, TIMES)
CHECK = "solvers"
ORDERS = {"euler": 1, "midpoint": 2, "rk4": 4, "rk4-classic": 4}
ROUNDING = 2e-5
"""Nearer to the solution than this the rounding of float32 counts as well."""
NEAR = 0.3
"""Of an order, on the finest steps that rounding leaves."""
TO_DO = "The authors' list of things to do: solvers"
EQUATIONS = "Section 3.1, equations 3 and 4"
Verdict = tuple[Holds, str, dict[str, float]]
"""Of one level: what became of the claim, the words, the numbers."""


def findings(run: RunLike) -> list[Finding]:
    """Return the claims about solvers that a run decided."""
    return [
        Finding(CHECK, claim, measured_in(run, backbone, dataset))
        for (backbone, dataset), here in by_network(run).items()
        for place, text, judge in QUESTIONS
        if (claim := _claim(f"{place}; {printed(backbone)}", text, here, judge))
    ]


def _claim(
    place: str, text: str, here: list[Level], judge: Callable[[Level], Verdict | None]
) -> Claim | None:
    judged = [(level, verdict) for level in here if (verdict := judge(level)) is not None]
    if not judged:
        return None
    all_holds = {holds for _, (holds, _, _) in judged}
    holds = all_holds.pop() if len(all_holds) == 1 else Holds.PARTLY
    words = [f"step {level.t} (sigma {level.sigma:.3g}): {told}" for level, (_, told, _) in judged]
    numbers = {
        f"{name}, step {level.t}": value
        for level, (_, _, found) in judged
        for name, value in found.items()
    }
    return Claim(place, text, holds, "; ".join(words) + ".", numbers)


def _converges(level: Level) -> Verdict | None:
    """Judge whether outputs near the solution as steps grow, at the order of each solver."""
    told, numbers, near, falling = [], {}, [], []
    for solver, order in ORDERS.items():
        ways = [way for way in level.of(solver) if way.distance]
        gaps = [gap(a.distance, b.distance) for a, b in pairwise(ways) if b.far > ROUNDING]
        falling += [one is not None and one[1] > 0 for one in gaps]
        last = [(a, b) for a, b in pairwise(ways) if b.far > ROUNDING and b.steps == 2 * a.steps]
        measured = _order(*last[-1]) if last else None
        if measured is not None:
            near.append(abs(measured[0] - order) <= NEAR)
            told.append(f"{solver} {_interval(measured)} for {order}")
            numbers[f"order of {solver}"] = measured[0]
    if not told:
        return None
    holds = Holds.YES if all(near) and all(falling) else Holds.PARTLY if any(falling) else Holds.NO
    trained = level.trained
    if trained:
        numbers["distance as trained"] = trained.far
        told.append(f"as trained ({trained.words}) it is {100 * trained.far:.2g} % from it")
    count = len(level.ways[0].distance)
    return holds, f"orders measured {', '.join(told)}, N = {count}", numbers


def _order(coarse: Way, fine: Way) -> Triple | None:
    if min(*coarse.distance, *fine.distance) <= 0:
        return None
    return gap(np.log2(coarse.distance).tolist(), np.log2(fine.distance).tolist())


def _finer_is_better(level: Level) -> Verdict | None:
    """Judge whether the solution denoises better than what the network was trained with."""
    trained, finest = level.trained, min(level.ways, key=lambda way: way.far)
    known = trained is not None and finest is not trained and bool(finest.distance)
    found = gap(finest.psnr, trained.psnr) if known else None
    if trained is None or found is None:
        return None
    holds = Holds.YES if found[1] > 0 else Holds.NO if found[2] < 0 else Holds.OPEN
    words = (
        f"{finest.words} against {trained.words}: {_interval(found, '+.3f')} dB for "
        f"{finest.nfe:.0f} instead of {trained.nfe:.0f} evaluations, N = {len(trained.psnr)}"
    )
    return holds, words, {"PSNR of the solution less as trained (dB)": found[0]}


def _best_as_trained(level: Level) -> Verdict | None:
    """Judge whether no other way denoises better than the one of training."""
    trained = level.trained
    others = [way for way in level.ways if not way.trained]
    if trained is None or not others:
        return None
    gaps = {way: found for way in others if (found := gap(way.psnr, trained.psnr))}
    better = [way for way, found in gaps.items() if found[1] > 0]
    worse = [way for way, found in gaps.items() if found[2] < 0]
    decided = len(better) + len(worse)
    if better and worse:
        holds = Holds.PARTLY
    elif decided <= len(gaps) - decided:
        holds = Holds.OPEN
    else:
        holds = Holds.NO if better else Holds.YES
    told = [
        f"of {len(gaps)} other ways {len(worse)} are worse than {trained.words} and {len(better)} "
        "better"
    ]
    for ways, word, pick in ((worse, "worst", min), (better, "best", max)):
        if ways:
            end = pick(ways, key=lambda way: gaps[way][0])
            told.append(f"{word} is {end.words} with {_interval(gaps[end], '+.3f')} dB")
    return holds, f"{', '.join(told)}, N = {len(trained.psnr)}", {
        "other ways that are worse": len(worse), "other ways that are better": len(better),
    }  # fmt: skip


def _adaptive_is_cheaper(level: Level) -> Verdict | None:
    """Judge whether no fixed steps come as near with as few evaluations as adaptive ones."""
    fixed = [way for way in level.ways if way.tolerance is None]
    verdicts, told, numbers = [], [], {}
    for way in level.of("dopri5") if level.ways[0].distance else ():
        gaps = [gap(one.distance, way.distance) for one in fixed if one.nfe <= way.nfe]
        nearer = [one for one in gaps if one is not None and one[2] < 0]
        farther = [one for one in gaps if one is not None and one[1] > 0]
        cheaper = [one for one in fixed if one.nfe <= way.nfe]
        if not cheaper:
            continue
        lost, won = bool(nearer), len(farther) == len(gaps)
        verdicts.append(Holds.NO if lost else Holds.YES if won else Holds.OPEN)
        best = min(cheaper, key=lambda one: one.far)
        told.append(
            f"{way.words} {way.far:.1e} from the solution with {way.nfe:.0f} evaluations, "
            f"{best.words} {best.far:.1e} with {best.nfe:.0f}"
        )
        numbers[f"evaluations of {way.words}"] = way.nfe
    if not verdicts:
        return None
    holds = verdicts[0] if len(set(verdicts)) == 1 else Holds.PARTLY
    return holds, f"{'; '.join(told)} (N = {len(level.ways[0].distance)})", numbers


def _neighbours_matter(level: Level) -> Verdict | None:
    """Judge whether adaptive steps of a whole batch make an image depend on its neighbours."""
    floor = level.trained
    ways = [way for way in level.of("dopri5") if way.coupling]
    if floor is None or not floor.coupling or not ways:
        return None
    gaps = [gap(way.coupling, floor.coupling) for way in ways]
    more = [found is not None and found[1] > 0 for found in gaps]
    holds = Holds.YES if all(more) else Holds.PARTLY if any(more) else Holds.OPEN
    told = [f"{_parts(way)} at {way.tolerance:g}{_evaluations(way)}" for way in ways]
    words = (
        f"an image alone differs from itself among {level.batch} by {', '.join(told)}; with "
        f"{floor.words} by {_parts(floor)}, which is rounding; N = {len(floor.coupling)}"
    )
    return holds, words, {f"change of {way.words}": float(np.mean(way.coupling)) for way in ways}


def _alone_is_safe(level: Level) -> Verdict | None:
    """Judge whether steps of its own take an image's neighbours out of its result."""
    shared = {way.tolerance: way for way in level.of("dopri5") if way.coupling}
    pairs = [
        (way, shared[way.tolerance])
        for way in level.of(EACH)
        if way.coupling and way.tolerance in shared
    ]
    if not pairs:
        return None
    gaps = [gap(other.coupling, own.coupling) for own, other in pairs]
    less = [found is not None and found[1] > 0 for found in gaps]
    holds = Holds.YES if all(less) else Holds.PARTLY if any(less) else Holds.OPEN
    told = [
        f"{_parts(own)} instead of {_parts(other)} at {own.tolerance:g}{_evaluations(own)}"
        for own, other in pairs
    ]
    count = len(pairs[0][0].coupling)
    return holds, f"an image changes by {', '.join(told)}; N = {count}", {
        f"change of {own.words}": float(np.mean(own.coupling)) for own, _ in pairs
    }  # fmt: skip


QUESTIONS: tuple[tuple[str, str, Callable[[Level], Verdict | None]], ...] = (
    (
        EQUATIONS,
        "The trained network is an ODE: with smaller steps its output nears the solution, at the "
        "solver's order.",
        _converges,
    ),
    (
        TO_DO,
        "A more exact solution of the trained network's ODEs denoises better.",
        _finer_is_better,
    ),
    (
        "Ott et al. 2021, section 3",
        "A network denoises best with the solver that it was trained with; others make another "
        "network of it.",
        _best_as_trained,
    ),
    (
        TO_DO,
        "Adaptive steps come nearer to the solution than fixed ones with as many evaluations.",
        _adaptive_is_cheaper,
    ),
    (
        "Adaptive steps shared by a batch",
        "Where a batch shares its adaptive steps, an image's result depends on its neighbours.",
        _neighbours_matter,
    ),
    (
        "Adaptive steps for each image",
        "With adaptive steps of its own, an image depends on its neighbours less.",
        _alone_is_safe,
    ),
)


def _evaluations(way: Way) -> str:
    if not way.nfe_alone or way.nfe_together is None:
        return ""
    least, most = min(way.nfe_alone), max(way.nfe_alone)
    alone = f"{least:.0f}" if least == most else f"{least:.0f} to {most:.0f}"
    return f" ({alone} evaluations alone, {way.nfe_together:.0f} together)"


def _parts(way: Way) -> str:
    return f"{float(np.mean(way.coupling)):.1e}"


def _interval(found: Triple, digits: str = ".2f") -> str:
    value, low, high = (format(one, digits) for one in found)
    return f"{value} ({low} to {high})"
