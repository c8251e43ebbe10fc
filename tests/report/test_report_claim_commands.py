"""The command beside a claim measures what decides it; a row without a number says what would."""

import shlex
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest
from report_builder import FakeRun

from bench.checked import Holds
from bench.report.again import ABLATIONS, CONTRACTS, RUN, again, claim_again
from bench.report.claims import claims
from bench.report.claims_theory import PARTS, SAID, THEORY, judge, part_of
from bench.report.page import facts_of
from bench.report.paper import published
from bench.report.theory import findings
from bench.report.verdicts import Label
from bench.runs import Run, load_run

HOME = Path(__file__).resolve().parents[2]
TESTED = list(published("claims").query("why == ''")["id"])


@pytest.fixture(scope="module")
def reference() -> Run:
    return load_run(HOME / "results" / "reference" / "digits-smoke")


@pytest.fixture(scope="module")
def judged(reference):
    """All claims of the reference run; takes seconds."""
    return {claim.id: claim for claim in claims(reference)}


def narrowed(run: Run, labels) -> Run:
    """Return a run with the cells of such labels and whatever they use."""
    known = {record["key"]: record for record in run.records}
    kept, todo = set(), [key for key, record in known.items() if labels(record["label"])]
    while todo:
        key = todo.pop()
        todo += [] if key in kept else known[key]["uses"]
        kept.add(key)
    return replace(run, records=tuple(record for record in run.records if record["key"] in kept))


@pytest.mark.slow
def test_a_pattern_takes_all_that_decides_a_claim_and_less_than_the_run(reference):
    for name in ("noise-robust", "posterior-mean", "second-order"):
        words = shlex.split(claim_again(reference, name))
        only = words[words.index("--only") + 1]
        part = narrowed(reference, lambda label, only=only: fnmatchcase(label, only))
        assert 0 < len(part.records) < len(reference.records) / 4
        found = judge(part, name, findings(part))
        assert found == judge(reference, name, findings(reference))
        assert found.verdict.label is not Label.MISSING


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TESTED if name not in CONTRACTS])
def test_each_command_plans_what_decides_its_claim(reference, judged, name):
    words = shlex.split(claim_again(reference, name))
    only = words[words.index("--only") + 1] if "--only" in words else None
    sets = tuple(words[i + 1] for i, word in enumerate(words) if word == "--set")
    labels = planned(words[4], only, sets)
    assert labels
    part = narrowed(reference, labels.__contains__)
    found = next(claim for claim in claims(part) if claim.id == name)
    assert (found.measured, found.verdict) == (judged[name].measured, judged[name].verdict)


@cache
def planned(experiment: str, only: str | None, sets: tuple[str, ...]) -> set[str]:
    from bench.session import chosen_budget, settle

    budget = chosen_budget("smoke", dataset="digits", settings=None, overrides=sets)
    session = settle([experiment], budget, device="cpu", only=only, out=Path("never-written"))
    return {line["label"] for line in session.lines()}


def test_every_row_without_a_verdict_has_a_cause(run):
    for claim in claims(run):
        if claim.verdict.label in (Label.NOT_COMPARABLE, Label.MISSING):
            assert claim.verdict.reason, claim.id


def test_what_a_plain_run_lacks_has_the_command_that_fills_it(empty):
    judged = {claim.id: claim for claim in claims(empty)}
    assert len(judged) == 61
    for name in TESTED:
        assert judged[name].verdict.label is Label.MISSING
        assert claim_again(empty, name).startswith(("python -m bench run", "pytest"))
    for name in ("converges-faster", "noise-robust", "compatible"):
        assert judged[name].verdict.reason.endswith("its command does")


def test_the_whole_command_keeps_the_pattern_and_a_claims_does_not():
    command = "python -m bench run table1 theory --set a=1 --only '[!s]*' --out x"
    run = FakeRun({"command": command}, None, HOME)
    assert again(run, []) == "python -m bench run table1 theory --set a=1 --only '[!s]*'"
    assert "[!s]" not in claim_again(run, "converges-faster")


@pytest.mark.parametrize("spelt", ["--set backbones={}", "--set=backbones={}"])
def test_a_run_without_the_pair_lacks_what_decides_a_claim_on_the_pair(spelt):
    def command(networks, claim, **how):
        words = f"{' '.join(RUN)} table2 {spelt.format(networks)} --set a=1 --out x"
        return claim_again(FakeRun({"command": words}, None, HOME), claim, **how)

    assert command("cunet,cunet-no-skip", "ssim-unet", missing=True) == (
        "python -m bench run table2 --set a=1"
    )
    other = spelt.format("cunet,cunet-no-skip")
    assert command("cunet,cunet-no-skip", "ssim-psnr") == (
        f"python -m bench run table4 {other} --set a=1"
    ), "what these networks have decided, they decide again"
    with_more = spelt.format("cunet,toy,unet")
    assert with_more in command("cunet,toy,unet", "ssim-unet", missing=True)
    for missing in (False, True):
        assert command("unet,cunet", "ablation", missing=missing) == (
            f"python -m bench run table1 --set a=1 --set backbones={ABLATIONS}"
        )


def test_a_run_of_fewer_classics_lacks_what_decides_a_claim_on_all():
    words = f"{' '.join(RUN)} table4 --set denoising.classics={{}} --set b=2"
    fewer, more = (
        FakeRun({"command": words.format(names)}, None, HOME)
        for names in ("identity,bm3d", "identity,bm3d,conv-ae,dncnn")
    )
    for name in ("generalises", "high-noise-lpips"):
        asked = claim_again(fewer, name, missing=True)
        assert asked == "python -m bench run table4 --set b=2"
        assert "classics" in claim_again(fewer, name)
        assert "classics" in claim_again(more, name, missing=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["celeba-32-ablation", "mnist-longer"])
def test_a_missing_claim_of_a_run_of_other_networks_is_not_sent_back_to_them(name):
    run = load_run(HOME / "results" / "reference" / name)
    judged = [claim for claim in claims(run) if claim.id == "lpips-cunet"]
    assert [claim.verdict.label for claim in judged] == [Label.MISSING]
    assert "backbones" not in facts_of(run, judged)["commands"]["lpips-cunet"]


def test_a_claim_of_several_findings_begins_with_how_they_came_out(reference):
    """The verdict is that of the least favourable one; the row does not hide the others."""
    claim = judge(reference, "converges-faster", findings(reference))
    assert claim.verdict.seen is Label.TIE
    assert claim.measured.startswith(
        "1 of 3 hold: equal multiply-adds; not decided: equal updates, equal time. After 200 "
    )
    alone = judge(reference, "bounded", findings(reference))
    assert alone.measured.startswith("From 100 to 1000 times"), "nothing to split"
    assert set(SAID) == set(Holds)


def test_findings_of_a_claim_have_names_that_tell_them_apart(reference):
    there = findings(reference)
    for name, asked in THEORY.items():
        found = [
            one for one in there for ask in asked
            if one.check == ask.check
            and one.claim.place.startswith(ask.place) and one.claim.text.startswith(ask.text)
        ]  # fmt: skip
        names = [part_of(one) for one in found]
        assert len(set(names)) == len(names), name
        assert len(found) < 2 or set(names) <= set(PARTS.values()), name
