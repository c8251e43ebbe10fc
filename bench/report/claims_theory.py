"""The paper's claims about why it should work, as the checks of the theory found them."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.checked import Holds
from bench.report.evidence import NOTHING, Evidence
from bench.report.finding import Finding
from bench.report.rows import RunLike, budget_measured
from bench.report.verdicts import Label, Verdict, differences, overall, under

LABELS = {
    Holds.YES: Label.REPRODUCED,
    Holds.NO: Label.CONTRADICTED,
    Holds.PARTLY: Label.DIFFERS,
    Holds.OPEN: Label.TIE,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """Which findings decide a claim: those of a check whose place and text begin so."""

    check: str
    place: str = ""
    text: str = ""


PARTS = {
    "for as many updates": "equal updates",
    "with as many multiply-adds": "equal multiply-adds",
    "Trained for as long": "equal time",
    "with equal updates": "equal updates",
    "with equal multiply-adds": "equal multiply-adds",
    "with equal wall-clock time": "equal time",
    "random perturbations": "random perturbations",
    "the worst perturbation": "the worst perturbation",
    "released network": "the released network",
    "A block is a second-order ODE": "the block as described",
    "the right start": "the right start",
    "too wide": "a start too wide",
    "solvers of the block": "solvers of the block",
    "samplers": "samplers",
    "squared error and Wasserstein-2": "squared error",
    "Combinations": "combinations as bounds",
    "With total variation": "total variation",
}
"""What a finding's text or place holds -> which of a claim's findings it is, in a few words."""
SAID = {
    Holds.YES: "hold",
    Holds.PARTLY: "in part",
    Holds.NO: "not so",
    Holds.OPEN: "not decided",
}
"""How the findings of a claim came out, in the order in which a row tells it."""
THEORY: dict[str, tuple[Asked, ...]] = {
    "converges-faster": (Asked("convergence", "Abstract"),),
    "noise-robust": (Asked("robustness", text="The continuous U-Net is more robust"),),
    "bounded": (Asked("robustness", text="The continuous U-Net is always bounded"),),
    "second-order": (Asked("second-order", "Equations 3 and 4"),),
    "constant-memory": (Asked("adjoint", "Section 2"),),
    "beyond-homeomorphisms": (Asked("crossing"),),
    "sde-split": (Asked("reverse-sde", "Equations 5 to 9"),),
    "ode-less-accurate": (Asked("reverse-sde", "After equation 9"),),
    "first-order-adjoint": (Asked("adjoint", "Proposition 3.1"),),
    "adjoint-cheaper": (Asked("adjoint", "Section 3.3"),),
    "local-global": (Asked("local-error"),),
    "fewer-steps-trained": (Asked("convergence", "Section 4.2"),),
    "posterior-mean": (Asked("posterior-mean", text="A network trained with the L2 loss"),),
    "over-smoothing": (Asked("over-smoothing", text="Networks trained with a distance"),),
    "detail": (Asked("over-smoothing", text="The cU-Net preserves detail"),),
    "trade-off-convex": (Asked("perception-distortion", "Equations 16 to 18"),),
}
"""Claim -> what decides it; in the order of the report."""


def judge(run: RunLike, claim: str, there: Sequence[Finding]) -> Evidence:
    """Return the evidence on one of the claims of `THEORY`.

    Args:
        run: The run.
        claim: The claim.
        there: All findings of the run (`findings`).
    """
    found = _deciding(claim, there)
    if not found:
        return NOTHING
    texts = " ".join([*_split(found), *(one.claim.found for one in found)])
    return Evidence(texts, _counted(found), overall([_verdict(run, one) for one in found]))


def is_exact(claim: str, there: Sequence[Finding]) -> bool:
    """Return whether a claim is decided without a trained network, whatever the budget is."""
    return claim in THEORY and all(one.exact for one in _deciding(claim, there))


def _deciding(claim: str, there: Sequence[Finding]) -> list[Finding]:
    return [one for one in there if any(_answers(one, ask) for ask in THEORY[claim])]


def _answers(finding: Finding, asked: Asked) -> bool:
    claim = finding.claim
    begins = claim.place.startswith(asked.place) and claim.text.startswith(asked.text)
    return finding.check == asked.check and begins


def _split(found: Sequence[Finding]) -> list[str]:
    """Return in a sentence which of several findings hold; the verdict is the least favourable."""
    if len(found) < 2:
        return []
    told = []
    for holds, words in SAID.items():
        names = [part_of(one) for one in found if one.claim.holds is holds]
        if names or holds is Holds.YES:
            head = f"{len(names)} of {len(found)} {words}" if holds is Holds.YES else words
            told.append(f"{head}: {', '.join(names)}" if names else head)
    return [f"{'; '.join(told)}."]


def part_of(finding: Finding) -> str:
    """Return which of a claim's findings one is, in a few words; else where it is said."""
    said = f"{finding.claim.place} {finding.claim.text}"
    return next((words for part, words in PARTS.items() if part in said), finding.claim.place)


def _counted(found: list[Finding]) -> str:
    checks = ", ".join(dict.fromkeys(one.check for one in found))
    return f"check {checks}" if len(found) == 1 else f"{len(found)} findings of {checks}"


def _verdict(run: RunLike, finding: Finding) -> Verdict:
    verdict = Verdict(LABELS[finding.claim.holds], finding.claim.holds.value)
    if finding.exact:
        return verdict
    return under(differences({"budget": (budget_measured(run), "paper")}), verdict)
