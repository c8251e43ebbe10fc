"""The report in Markdown, for places that render it beside the code."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.report.claims import Claim
from bench.report.figure import Drawn
from bench.report.formats import escape_markdown, to_markdown
from bench.report.selfcheck import SelfCheck
from bench.report.told import Tables, counted, sorted_claims

CLAIM_COLUMNS = ("The paper says", "Its number", "Ours", "N", "Budget", "Verdict", "Why", "Run it")
ELSEWHERE_COLUMNS = ("The paper says", "Its number", "Why", "Run it")
UNTESTED_COLUMNS = ("The paper says", "Its number", "Verdict", "Why")


def table_text(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table of cells that are escaped already."""
    lines = [list(header), ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in lines) + "\n"


def verdict_words(claim: Claim) -> str:
    """Return a verdict in words, with what was seen under other conditions."""
    seen = f" (here: {claim.verdict.seen_words})" if claim.verdict.seen_words else ""
    return f"{claim.verdict}{seen}"


def _claims(facts: Mapping[str, Any], judged: Sequence[Claim]) -> str:
    """Return one row per claim: those with a number of this run first, the others apart.

    Args:
        facts: About the run: `printed` and `commands` by claim.
        judged: The claims.
    """
    told = sorted_claims(judged)
    parts = [f"{counted(told)}\n"]
    for heading, columns, some in (
        ("", CLAIM_COLUMNS, told.measured),
        ("Left to other commands", ELSEWHERE_COLUMNS, told.elsewhere),
        ("Tested by nothing here", UNTESTED_COLUMNS, told.untested),
    ):
        if some:
            rows = [[_cell(facts, claim)[column] for column in columns] for claim in some]
            parts += [f"### {heading}\n"] * bool(heading) + [table_text(columns, rows)]
    return "\n".join(parts)


def _cell(facts: Mapping[str, Any], claim: Claim) -> dict[str, str]:
    """Return what each column says of a claim."""
    return {
        "The paper says": escape_markdown(f"{claim.sentence} ({claim.section})"),
        "Its number": escape_markdown(facts["printed"].get(claim.id, "-")),
        "Ours": escape_markdown(claim.measured),
        "N": escape_markdown(claim.n),
        "Budget": escape_markdown(claim.budget),
        "Verdict": f"**{escape_markdown(verdict_words(claim))}**",
        "Why": escape_markdown(claim.verdict.reason),
        "Run it": code(facts["commands"].get(claim.id, "")),
    }


def code(command: str) -> str:
    """Return a command as it is typed, for a cell of a table; "-" where there is none."""
    plain = command.replace("`", "").replace("-->", "").replace("|", "\\|").replace("\n", " ")
    return f"`{plain.strip()}`" if plain.strip() else "-"


def _figures(drawn: Sequence[Drawn], pictures: Mapping[str, str]) -> str:
    parts = []
    for one in drawn:
        figure = one.figure
        if figure.title in pictures:
            parts.append(
                f"### {figure.title}\n\n![{figure.alt}]({pictures[figure.title]})\n\n"
                f"{escape_markdown(figure.caption)}\n"
            )
    gaps = [
        f"- {one.figure.title}: {escape_markdown(one.reason)}" for one in drawn if not one.files
    ]
    if gaps:
        parts.append("Not drawn:\n\n" + "\n".join(gaps) + "\n")
    return "\n".join(parts)


def _left_tables(tables: Tables) -> list[str]:
    lines = [
        f"- {escape_markdown(title)}: {code(command)}\n" for title, command in tables.elsewhere
    ]
    return ["## Tables that this run has no numbers of\n", "".join(lines)] if lines else []


def report_markdown(
    facts: Mapping[str, Any],
    judged: Sequence[Claim],
    tables: Tables,
    *,
    drawn: Sequence[Drawn],
    pictures: Mapping[str, str],
) -> str:
    """Return the report.

    Args:
        facts: About the run.
        judged: The paper's claims with verdicts.
        tables: Tables 1 to 5, and those of our own; those without a number are only named.
        drawn: The figures, or why there are none.
        pictures: Figure title -> path of its picture, relative to the report.
    """
    counts = ", ".join(f"{n} {status}" for status, n in sorted(facts["counts"].items()))
    title = escape_markdown(facts["title"])
    check: SelfCheck = facts["selfcheck"]
    parts = [
        f"# {title}\n",
        f"A measurement of [{facts['paper']}]({facts['paper_url']}): paper, ours, verdict.\n",
        table_text(
            ["Budget", "Data", "Machine", "Cells"],
            [[escape_markdown(facts[k]) for k in ("budget", "dataset", "machine")] + [counts]],
        ),
        *([f"**{escape_markdown(check.warning)}**\n"] if check.warning else []),
        "## Claims\n",
        _claims(facts, judged),
        *[to_markdown(table) for table in tables.shown],
        *_left_tables(tables),
        "## Figures\n",
        _figures(drawn, pictures),
    ]
    if facts["findings"]:
        notes = [
            f"- {escape_markdown(f.get('name', ''))}: {escape_markdown(f.get('note', ''))}"
            for f in facts["findings"]
        ]
        parts += ["## Findings about the networks\n", "\n".join(notes) + "\n"]
    if check:
        parts += ["## Self-check\n", _selfcheck(check)]
    parts += ["## Failures and skips\n", _faults(facts["faults"])]
    rows = [[name, escape_markdown(value)] for name, value in facts["provenance"].items()]
    parts += ["## Provenance\n", table_text(["What", "Value"], rows)]
    return "\n".join(parts)


def _selfcheck(check: SelfCheck) -> str:
    rows = [
        [
            escape_markdown(text)
            for text in (one.name, one.expected, one.measured, one.tolerance, one.verdict)
        ]
        for one in check.checks
    ]
    header = ["Check", "Expected", "Measured", "Tolerance", "Result"]
    return f"{escape_markdown(check.summary)}.\n\n{table_text(header, rows)}"


def _faults(faults: Sequence[Mapping[str, Any]]) -> str:
    if not faults:
        return "None: every cell was measured.\n"
    rows = [[escape_markdown(f[k]) for k in ("label", "status", "reason")] for f in faults]
    return table_text(["Cell", "Status", "Reason"], rows)
