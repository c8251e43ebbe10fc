"""What `docs/findings.md` says is in the committed results; a number that is not is noticed."""

import itertools
import re
import shlex
from pathlib import Path

import pytest
from findings_marks import Fault, evidence, faults, stands

from bench import registry
from bench.api import ENTRIES, Kind

HOME = Path(__file__).resolve().parent.parent.parent
PAGE = (HOME / "docs" / "findings.md").read_text()
FINDINGS = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
VERDICTS = {"reproduced", "differs", "contradicted", "tie", "not comparable"}

FINDING = """## A cheaper call

Table 5 and Section 4.3 have it, at t = 50, in `cunet` as “2.90”.

- **Measured:** 2.90<!-- whole.paper --> of 7.21<!-- unet.ours -->,
  40.2<!-- 100 * whole.paper / unet.paper --> %.

<!-- evidence
unet: digits-smoke/table5 | U-Net [unet] | 3x64x64 | gflops
whole: digits-smoke/table5 | cU-Net [cunet] | 3x64x64 | gflops
-->
"""


def test_every_number_of_the_page_is_in_the_committed_results():
    assert len(FINDINGS) >= 12
    assert faults(PAGE, HOME) == []


@pytest.mark.parametrize(
    ("right", "wrong", "noticed"),
    [
        ("40.2<", "40.3<", "40.3 is printed, 40.2219 is measured"),
        ("7.21<", "7.207<", "7.207 is printed, 7.20626 is measured"),
        ("2.90<!-- whole.paper -->", "2.90", "2.90 says not what it is from"),
        ("2.90<!-- whole.paper -->", "2.90<!-- 2.90 -->", "'2.9' is no evidence"),
        ("2.90<!-- whole.paper -->", "1<!-- 100 / 100 -->", "no evidence is named"),
        ("whole.paper -->", "whole.text -->", "'whole.text' is no evidence"),
        ("whole.paper -->", "whole.low -->", "whole has no low"),
        ("whole.paper -->", "whole.paper + -->", "invalid syntax"),
        ("whole.paper -->", "open('x').paper -->", "is no evidence"),
        ("whole.paper / unet.paper", "whole.paper / (unet.ours - unet.ours)", "division by zero"),
        ("U-Net [unet]", "U-Net [other]", "0 lines of digits-smoke/table5"),
        ("digits-smoke/table5 | U", "digits-large/table5 | U", "digits-large/table5 is not comm"),
        ("-->\n", "more: paper/table1 | U-Net | MNIST | fid\n-->\n", "more: no number is of this"),
        ("at t = 50", "at 50", "50 says not what it is from"),
        (" and Section", ", 3, and Section", "3 says not what it is from"),
    ],
)
def test_a_fault_on_the_page_is_noticed(right, wrong, noticed):
    assert faults(FINDING, HOME) == []
    head, _, tail = FINDING.rpartition(right) if right == "-->\n" else FINDING.partition(right)
    found = faults(head + wrong + tail, HOME)
    assert any(noticed in fault for fault in found), found


def test_several_lines_are_no_evidence_until_their_protocol_tells_them_apart():
    place = "digits-smoke/table2 | 50 | cU-Net | best_ssim"
    with pytest.raises(Fault, match="2 lines"):
        evidence(place, HOME)
    assert evidence(f"{place} | estimate current", HOME)["paper"] == "0.9"


def test_a_record_is_found_by_its_settings_and_its_row():
    place = "digits-smoke/cells | latency | backbone=unet"
    with pytest.raises(Fault, match="2 lines"):
        evidence(place, HOME)
    assert evidence(f"{place} | scale=1.0", HOME)["image_size"] == 64


def test_the_course_of_a_training_is_evidence_update_by_update():
    assert float(evidence("course/mnist-32/unet | 10000", HOME)["low"]) < 0.001
    with pytest.raises(Fault, match="0 lines"):
        evidence("course/mnist-32/unet | 10001", HOME)
    with pytest.raises(Fault, match="is not committed"):
        evidence("course/mnist-32/other | 10000", HOME)


@pytest.mark.parametrize(
    ("printed", "value", "right"),
    [
        ("0.55", 0.5549, True),
        ("0.55", 0.5551, False),
        ("35,710,339", 35710339.0, True),
        ("35,710,339", 35710340.0, False),
        ("9.3e-06", 9.34e-06, True),
        ("9.3e-06", 9.36e-06, False),
        ("-3.7", -3.70612, True),
        ("3.7", -3.70612, False),
        ("1.00", 0.9951, True),
        ("1.00", float("nan"), False),
    ],
)
def test_the_decimals_that_are_shown_decide(printed, value, right):
    assert stands(printed, value) == right


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: finding.splitlines()[0])
def test_a_finding_has_numbers_a_command_and_the_verdict_of_the_overview(finding):
    title = finding.splitlines()[0]
    assert re.search(r"^- \*\*Measured", finding, flags=re.MULTILINE)
    (command,) = re.findall(r"^- \*\*Regenerate:\*\* `([^`]+)`$", finding, flags=re.MULTILINE)
    said = re.findall(
        r"^- \*\*Verdict against the paper:\*\* \*\*([^*]+)\*\*", finding, re.MULTILINE
    )
    assert set(said) <= VERDICTS
    slug = re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
    assert "--" not in slug, "hosts name such a heading differently"
    assert f"| [{title}](#{slug}) | {said[0] if said else '-'}" in PAGE
    _has_a_command_that_exists(command)


def _has_a_command_that_exists(command):
    words = shlex.split(command)
    if words[0] == "pytest":
        assert (HOME / words[1]).is_file()
        assert len(words) == 2 or words[3] in (HOME / words[1]).read_text()
        return
    assert words[:4] == ["python", "-m", "bench", "run"]
    registry.discover()
    assert (Kind.EXPERIMENT, words[4]) in ENTRIES
    settings = [after for word, after in itertools.pairwise(words) if word == "--set"]
    assert all("=" in setting for setting in settings)
