"""The present tree beside a revision: measure both, taking turns, and judge."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.errors import BenchError
from bench.inputs import printable
from bench.locks import holders, machine_lock, patient
from bench.regression.judge import COMPARED, Finding, Limits, Pair, Verdict, judged, suspects
from bench.regression.mann_whitney import least_p
from bench.regression.tree import Fault, Listed, Tree, packages
from bench.regression.trees import SUITE, Trees, both_listed, notes, once
from bench.regression.turns import Say, timed_pairs
from bench.regression.worktree import BASE, Repository

ROUNDS = 8
EXIT_REGRESSED, EXIT_NOTHING = 3, 5
ONCE = ("peakmem", "track")
"""Kinds measured once, memory first: its processes are forked before anything else has run."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What to compare, and how."""

    revision: str
    rounds: int = ROUNDS
    only: str | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Compared:
    """What came out."""

    base: str
    """The commit."""
    dirty: bool
    """Whether the present tree held changes that are not committed."""
    rounds: int
    limits: Limits
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    seconds: float

    @property
    def exit_code(self) -> int:
        """3 where something regressed, 5 where nothing could be compared, else 0."""
        verdicts = {one.verdict for one in self.findings}
        if Verdict.REGRESSED in verdicts:
            return EXIT_REGRESSED
        return 0 if verdicts & set(COMPARED) else EXIT_NOTHING


def compare_with(asked: Asked, folder: Path, say: Say) -> Compared:
    """Measure the tree around a folder, as it is now, beside a revision of it, and judge.

    Args:
        asked: What to compare.
        folder: Anywhere in a git repository whose top holds a folder `asv_bench`.
        say: Told what is being done.

    Raises:
        BenchError: If there is no repository, revision or suite, or a tree's code is not its own.
    """
    begun = time.monotonic()
    repository = Repository.around(folder)
    suite = repository.top / SUITE
    if not suite.is_dir():
        raise BenchError(f"no folder {SUITE}/ in {printable(repository.top)}: nothing to measure")
    commit, dirty = repository.commit(asked.revision), repository.is_dirty()
    say("checking the base out")
    with repository.checked_out(commit) as scratch:
        roots = {"base": scratch / BASE, "head": repository.top}
        names = set().union(*(packages(root, SUITE) for root in roots.values()))
        with contextlib.ExitStack() as ending:
            opened = {
                label: ending.enter_context(
                    Tree(label, root, suite=suite, names=names, log=scratch / f"{label}.log")
                )
                for label, root in roots.items()
            }
            trees = both_listed(opened["base"], opened["head"])
            findings = _measured(trees, asked, say)
    return Compared(
        commit, dirty, asked.rounds, asked.limits, tuple(findings), tuple(notes(trees)),
        time.monotonic() - begun,
    )  # fmt: skip


def _measured(trees: Trees, asked: Asked, say: Say) -> list[Finding]:
    chosen = trees.chosen(asked.only)
    _check_rounds(sum(one.kind.startswith("time") for one in chosen), asked)
    used = _verified(trees)
    pairs: dict[str, Pair] = {}
    for one in sorted(chosen, key=lambda one: ONCE.index(one.kind) if one.kind in ONCE else 2):
        if one.kind in ONCE:
            say(one.name)
            sides = {tree.label: once(trees, tree, one) for tree in trees}
            pairs[one.name] = Pair(one.name, one.kind, one.unit, **sides)
    timed = [one for one in chosen if one.kind not in ONCE]
    with _alone(say) if timed else contextlib.nullcontext():
        pairs |= timed_pairs(trees, timed, asked.rounds, say)
        used = max(used, _verified(trees))
        findings = judged((pairs[one.name] for one in chosen), asked.limits)
        again = set(suspects(findings))
        if again:
            findings = _confirmed(trees, [one for one in timed if one.name in again],
                                  (pairs, findings), asked, say)  # fmt: skip
    inside = ("track", "time")  # others run in processes of their own, which look themselves
    ran = any(pair.head.samples for pair in pairs.values() if pair.kind in inside)
    if ran and not max(used, _verified(trees)):
        raise BenchError(
            f"the benchmarks imported nothing from {printable(trees.head.root)}, so another "
            "copy was measured: uninstall that, or import the project's own packages"
        )
    return findings


def _check_rounds(count: int, asked: Asked) -> None:
    """Refuse rounds with which no difference, however large, could be told from chance."""
    if not count:
        return
    enough = next(n for n in range(1, 99) if least_p(2 * n) * max(1, count) < asked.limits.alpha)
    if asked.rounds < enough:
        raise BenchError(
            f"--rounds {asked.rounds} cannot tell a slower one of {count} times from chance at "
            f"--alpha {asked.limits.alpha:g}; expected --rounds {enough} or more"
        )


def _verified(trees: Trees) -> int:
    """Return how many modules of its tree head has imported; refuse what is from elsewhere."""
    used = 0
    for tree in trees:
        with contextlib.suppress(Fault):
            used = tree.verify()
    return used


@contextlib.contextmanager
def _alone(say: Say) -> Iterator[None]:
    """Hold the machine's lock alone; tell when it has to be waited for."""

    def tell() -> None:
        say(f"waiting until nothing else measures on this machine{holders()}", note=True)

    with machine_lock(alone=True, wanted=patient(lambda: None, tell, after_s=0.0)):
        yield


def _confirmed(
    trees: Trees,
    timed: list[Listed],
    found: tuple[dict[str, Pair], list[Finding]],
    asked: Asked,
    say: Say,
) -> list[Finding]:
    """Measure what seems slower again, in fresh processes; it is only if it is so twice.

    Where a process's memory happens to lie makes its times differ by some per cent from those of
    the next process of the same code, which no number of samples from one process can tell.
    """
    pairs, findings = found
    for tree in trees:
        tree.end()
    second = judged(
        {**pairs, **timed_pairs(trees, timed, asked.rounds, say)}.values(), asked.limits
    )
    by_name = {one.name: one for one in second}
    again = {one.name for one in timed}
    return [_both(one, by_name[one.name]) if one.name in again else one for one in findings]


def _both(first: Finding, second: Finding) -> Finding:
    if second.verdict is Verdict.REGRESSED:
        return second
    if second.ratio is None:
        return replace(first, reason=f"could not be measured again: {second.reason or 'no word'}")
    reason = f"slower once (x{first.ratio:.3f}), not when measured again in fresh processes"
    return replace(second, verdict=Verdict.SAME, reason=reason)
