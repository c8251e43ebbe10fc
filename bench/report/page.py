"""The report: one HTML page that needs nothing beside it, and the same in Markdown."""

import base64
import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
from PIL import Image

from bench.report.again import claim_again
from bench.report.claims import HEADLINE, Claim, claims
from bench.report.comparison import Table
from bench.report.figure import Drawn
from bench.report.formats import shortened, to_html
from bench.report.markdown import report_markdown
from bench.report.paper import published
from bench.report.properties import undeclared
from bench.report.records import Panel, anchor, panels
from bench.report.rows import (
    RunLike,
    budget,
    counts,
    dataset,
    faults,
    floating,
    machine,
    settings,
)
from bench.report.selfcheck import selfcheck
from bench.report.side_by_side import side_by_side
from bench.report.title import run_title
from bench.report.told import Tables, counted, sorted_claims, sorted_tables
from bench.report.verdicts import Label

TEMPLATE = "page.html.j2"
PARTS = ("page.css", "page.js")
CSS_PER_PIXEL = 0.66
"""Figures have 200 pixels an inch, and 8 point letters: about 15 pixels high on the page."""
LIMIT = 3_800_000
"""Bytes of all pictures in the page together, encoded; with the rest it stays below 5 MiB."""
LONG = 80
"""Characters of a fact that is written once and linked, where several records have it."""
PAPER = "The Missing U for Efficient Diffusion Models"
PAPER_URL = "https://arxiv.org/abs/2310.20092"


def write_pages(
    run: RunLike, tables: Sequence[Table], drawn: Sequence[Drawn], folder: Path
) -> list[Path]:
    """Write report.html and report.md."""
    folder.mkdir(parents=True, exist_ok=True)
    judged = claims(run, tables)
    facts = facts_of(run, judged)
    told = sorted_tables(run, tables)
    html = render(facts, judged, told, drawn, panels=panels(run))
    page, text = folder / "report.html", folder / "report.md"
    page.write_text(html, encoding="utf-8", newline="\n")
    pictures = {one.figure.title: _relative(one.png, folder) for one in drawn if one.png}
    markdown = report_markdown(facts, judged, told, drawn=drawn, pictures=pictures)
    text.write_text(markdown, encoding="utf-8", newline="\n")
    return [page, text]


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def facts_of(run: RunLike, judged: Sequence[Claim] = ()) -> dict[str, Any]:
    """Return what a reader must know about a run beside its numbers, and its verdicts."""
    missing = {claim.id for claim in judged if claim.verdict.label is Label.MISSING}
    m = run.manifest
    versions: Mapping[str, Any] = m.get("versions") or {}
    git: Mapping[str, Any] = m.get("git") or {}
    changed = " (files changed since)" if git.get("changed") else ""
    return {
        "title": run_title(run),
        "paper": PAPER,
        "paper_url": PAPER_URL,
        "budget": budget(run),
        "dataset": dataset(run),
        "machine": machine(run),
        "command": str(m.get("command", "unknown")),
        "commands": {
            name: claim_again(run, name, missing=name in missing)
            for name, why in published("claims")[["id", "why"]].to_numpy()
            if not why
        },
        "printed": printed_claims(),
        "counts": counts(run),
        "findings": [*(m.get("findings") or []), *undeclared(run)],
        "faults": faults(run).to_dict("records"),
        "selfcheck": selfcheck(run),
        "provenance": {
            "Command": str(m.get("command", "unknown")),
            "Started": str(m.get("started", "unknown")),
            "Took": _took(run),
            "Machine": machine(run),
            "Commit": f"{git.get('commit', 'unknown')}{changed}",
            **({"Plug-ins of others": found} if (found := _guests(m.get("guests"))) else {}),
            "Versions": ", ".join(f"{k} {v}" for k, v in versions.items()) or "unknown",
        },
        "settings": json.dumps(settings(run), indent=1, sort_keys=True, default=str),
    }


def _took(run: RunLike) -> str:
    """Return how long the last call took, and the work of all cells, in earlier ones, too."""
    last = run.manifest.get("seconds")
    made = [floating(one.get("made", {}).get("seconds")) for one in getattr(run, "records", ())]
    work = sum(one for one in made if one is not None)
    called = f"{float(last):,.0f} s (the last call)" if last is not None else "unknown"
    return f"{called}; its cells together {work:,.0f} s of work" if work else called


def _guests(found: Any) -> str:
    """Return which plug-ins are no part of this project, in words."""
    return "; ".join(
        f"{one['kind']} {one['name']} of {one['distribution']} {one['version']} ({one['source']})"
        for one in found or ()
    )


def render(
    facts: Mapping[str, Any],
    judged: Sequence[Claim],
    tables: Tables,
    drawn: Sequence[Drawn],
    *,
    panels: Sequence[Panel] = (),
) -> str:
    """Return the page.

    Its own style and script are the only ones that a browser accepts: the policy in its head names
    their hashes, and nothing may be loaded.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    claims = sorted_claims(judged)
    in_order = [claim for some in claims for claim in some]
    environment.filters |= {"anchor": anchor, "shortened": shortened}
    style, script = ((Path(__file__).parent / name).read_text("utf-8") for name in PARTS)
    pictures = [one for one in drawn if one.png]
    uris = dict(zip([id(one) for one in pictures], embedded(pictures), strict=True))
    return environment.get_template(TEMPLATE).render(
        facts=facts,
        style=markupsafe.Markup(style),
        style_hash=policy_hash(style),
        script=markupsafe.Markup(script),
        script_hash=policy_hash(script),
        panels=panels,
        shared=shared_facts(panels),
        counted=counted(claims),
        headline=[c for c in in_order if c.id in HEADLINE],
        further=[c for c in in_order if c.id not in HEADLINE],
        # Our own writer escapes every cell of a layout (formats.py).
        tables=[
            (table, markupsafe.Markup(to_html(table)), judged_lines(table))
            for table in tables.shown
        ],
        left_tables=tables.elsewhere,
        figures=[(one, uris[id(one)], css_width(one.png)) for one in pictures],
        missing=[one for one in drawn if not one.png],
    )


def shared_facts(panels: Sequence[Panel]) -> dict[tuple[str, str], int]:
    """Return the long facts that several records have, by name and value, with their numbers."""
    found = Counter(fact for panel in panels for fact in panel.facts if len(fact[1]) >= LONG)
    return {fact: i for i, fact in enumerate(sorted(f for f, n in found.items() if n > 1), 1)}


def policy_hash(text: str) -> str:
    """Return how a content security policy names a style or script."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def printed_claims() -> dict[str, str]:
    """Return what the paper gives for each of its claims: a number, or which way a sign goes."""
    words = published("claims").to_dict("records")
    return {str(row["id"]): _printed(str(row["quantity"]), str(row["value"])) for row in words}


def _printed(quantity: str, value: str) -> str:
    if not value:
        return "-"
    of = quantity.removeprefix("sign of ")
    if of == quantity:
        return f"{float(value):,g} ({quantity})"
    return f"{of} {'below' if float(value) < 0 else 'above'} 0"


def css_width(png: Path) -> int:
    """Return a picture's width on the page, the same scale - and so letter size - for all."""
    with Image.open(png) as image:
        return round(image.width * CSS_PER_PIXEL)


def judged_lines(table: Table) -> list[dict[str, Any]]:
    """Return the lines that carry a paper's number or ours, for the details below a table."""
    lines = table.comparison
    kept = lines[lines["ours"].notna()]
    return kept.astype(object).where(kept.notna(), None).to_dict("records")


def embedded(pictures: Sequence[Drawn]) -> list[str]:
    """Return the pictures as data URIs, drawn in lines where that is smaller than in dots.

    Where they are too large together, the largest are reduced.
    """
    whole = [one.png.read_bytes() for one in pictures if one.png]
    lines = [one.svg.read_bytes() if one.svg else None for one in pictures if one.png]
    contents = [min(filter(None, pair), key=len) for pair in zip(lines, whole, strict=True)]
    for share in (1.0, 0.8, 0.64, 0.5, 0.4, 0.3, 0.2):
        chosen = _too_large(contents)
        small = side_by_side([partial(reduced, whole[i], share) for i in chosen])
        for i, content in zip(chosen, small, strict=True):
            contents[i] = min(contents[i], content, key=len)
    return [_uri(content) for content in contents]


def _uri(picture: bytes) -> str:
    kind = "svg+xml" if picture.startswith(b"<svg") else "png"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def _too_large(contents: Sequence[bytes]) -> list[int]:
    """Return which pictures, the largest first, to halve for all to fit; none where they do."""
    excess = sum(map(len, contents)) - LIMIT * 3 / 4
    chosen = []
    for i in sorted(range(len(contents)), key=lambda i: -len(contents[i])):
        if excess <= 0:
            break
        chosen.append(i)
        excess -= len(contents[i]) / 2
    return chosen


def reduced(png: bytes, share: float) -> bytes:
    """Return a picture with `share` of its width and a palette of 256 colours; never larger.

    One that moves stays as it is.
    """
    with Image.open(io.BytesIO(png)) as image:
        if getattr(image, "is_animated", False):
            return png
        size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
        small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.quantize(256, dither=Image.Dither.NONE).save(out, "PNG")
    return min(png, out.getvalue(), key=len)
