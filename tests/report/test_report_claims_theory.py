"""The theory's findings as rows of the report's list of claims."""

from dataclasses import replace

import pandas as pd
import pytest
from report_builder import FakeRun

from bench.report import claims as claims_module
from bench.report.again import claim_again
from bench.report.claims import claims
from bench.report.claims_theory import THEORY
from bench.report.paper import published
from bench.report.theory import findings
from bench.report.verdicts import Label


def found(*rows: tuple[str, str, str], budget: str = "smoke") -> FakeRun:
    """Return a run whose checks found (check, place, verdict)."""
    table = pd.DataFrame(
        {
            "task": "theory",
            "status": "ok",
            "key": [f"{i:02}" * 32 for i in range(len(rows))],
            "part": "claim",
            "check": [row[0] for row in rows],
            "place": [row[1] for row in rows],
            "text": "It is so.",
            "holds": [row[2] for row in rows],
            "found": [f"Found {i}." for i in range(len(rows))],
            "numbers": [{} for _ in rows],
        }
    )
    return FakeRun({"budget": budget}, table, folder=None)


def judged(run: FakeRun, claim: str):
    return next(one for one in claims(run) if one.id == claim)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("holds", "label"),
    [
        ("holds", Label.REPRODUCED),
        ("does not hold", Label.CONTRADICTED),
        ("holds in part", Label.DIFFERS),
        ("not decided", Label.TIE),
        ("a word of another version", Label.TIE),
    ],
)
def test_a_finding_without_a_trained_network_is_judged_in_every_budget(holds, label):
    claim = judged(found(("crossing", "Section 3.3", holds)), "beyond-homeomorphisms")
    assert (claim.verdict.label, claim.measured) == (label, "Found 0.")


def test_several_findings_are_judged_by_the_least_favourable():
    run = found(
        ("second-order", "Equations 3 and 4", "holds"),
        ("second-order", "Equations 3 and 4, in the released code", "does not hold"),
        ("second-order", "Section 3.1, the solvers of the block", "does not hold"),
    )
    claim = judged(run, "second-order")
    assert claim.verdict.label is Label.CONTRADICTED
    assert claim.measured == (
        "1 of 2 hold: Equations 3 and 4; not so: Equations 3 and 4, in the released code. "
        "Found 0. Found 1."
    )
    assert "1 contradicted, 1 reproduced" in claim.verdict.reason


def test_what_trained_networks_show_counts_in_the_paper_budget_alone(monkeypatch):
    def of_networks(run):
        return [replace(one, exact=False) for one in findings(run)]

    monkeypatch.setattr(claims_module, "findings", of_networks)
    row = ("crossing", "Section 3.3", "does not hold")
    narrow, whole = (
        judged(found(row, budget=b), "beyond-homeomorphisms") for b in ("smoke", "paper")
    )
    assert narrow.verdict.label is Label.NOT_COMPARABLE
    assert narrow.verdict.seen is Label.CONTRADICTED
    assert whole.verdict.label is Label.CONTRADICTED


def test_what_was_not_measured_says_how_to_measure_it(empty):
    claim = judged(empty, "constant-memory")
    assert claim.verdict.label is Label.MISSING
    assert claim.verdict.reason.endswith("its command does")
    assert claim_again(empty, "constant-memory").startswith("python -m bench run theory --only ")


def test_every_claim_has_its_words():
    assert set(THEORY) <= set(published("claims")["id"])
