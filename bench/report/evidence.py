"""What a run says about one claim."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bench.report.verdicts import Label, Verdict, missing, overall


@dataclass(frozen=True, slots=True)
class Evidence:
    """The measured values in words, how many there are, and the verdict."""

    measured: str
    n: str
    verdict: Verdict


NOTHING = Evidence("-", "-", missing())


def whole(found: Evidence, absent: Collection[str]) -> Evidence:
    """Return the evidence on a claim about several things, undecided where some were not measured.

    That some speak for the claim and some against it is so whatever the others say.
    """
    seen = found.verdict.seen or found.verdict.label
    if not absent or found is NOTHING or seen in (Label.DIFFERS, Label.MISSING):
        return found
    names = ", ".join(sorted(absent))
    lacking = missing(f"not measured in this run: {names}; its command does")
    return Evidence(found.measured, found.n, lacking)


def gathered(texts: Sequence[str], verdicts: Sequence[Verdict], n: Sequence[str]) -> Evidence:
    """Return the evidence of several parts, judged by the least favourable one."""
    if not verdicts:
        return NOTHING
    counted = ", ".join(dict.fromkeys(n)) or "-"
    return Evidence("; ".join(texts) or "-", counted, overall(verdicts))


def share(agree: int, tie: int, opposite: int) -> Verdict:
    """Return the verdict on a claim about many comparisons.

    Where some are as the paper says and some are not, it differs; where most are undecided and
    none speaks against the others, it is a tie.
    """
    reason = f"{agree} as the paper says, {tie} undecided, {opposite} the other way"
    if not agree + tie + opposite:
        return missing()
    if agree and opposite:
        return Verdict(Label.DIFFERS, reason)
    if agree + opposite > tie:
        return Verdict(Label.REPRODUCED if agree else Label.CONTRADICTED, reason)
    return Verdict(Label.TIE, reason)
