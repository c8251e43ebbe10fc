"""What a run says about one claim."""

from dataclasses import dataclass

from bench.report.verdicts import Verdict, missing


@dataclass(frozen=True, slots=True)
class Evidence:
    """The measured values in words, how many there are, and the verdict."""

    measured: str
    n: str
    verdict: Verdict


NOTHING = Evidence("-", "-", missing())
