"""Cross-checks: classic denoisers on the field's own test sets, beside the published values."""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from bench.report import comparison as c
from bench.report.names import printed
from bench.report.paper import Printed, lookup, published
from bench.report.rows import RunLike, asked, fault_notes, floating, integer, ok, true
from bench.report.verdicts import Label, Verdict, missing, not_comparable

TABLE = "classics"
FLOOR = "identity"
CLOSED_FORM = "closed form"
PUBLISHED = {"dncnn-kair-25": "DnCNN-S", "bm3d": "BM3D", "bm3d-torch": "BM3D"}
"""Denoiser -> what the literature calls it; on colour pictures a C stands before BM3D."""
METHODS = {
    "dncnn-kair-25": "DnCNN-S (published weights)",
    "bm3d": "BM3D (the package)",
    "bm3d-torch": "BM3D (ours, torch)",
}
TOLERANCE = {"DnCNN-S": 0.05, "BM3D": 0.15, "CBM3D": 0.15, FLOOR: 0.05}
"""In dB: what noise draws and, for BM3D, implementations are apart."""
SETS = {"set12": "Set12", "bsd68": "BSD68", "cbsd68": "CBSD68"}
COLUMNS = (
    *("denoiser", "testset", "sigma_255", "sigma", "seed", "n", "pictures", "same_data"),
    *("channels", "psnr", "psnr_low", "psnr_high", "psnr_unrounded", "psnr_of_noisy"),
    *("ssim", "ssim_low", "ssim_high"),
)


@dataclass(frozen=True)
class Check:
    """One denoiser on one set at one level, beside the value that is known."""

    row: pd.Series
    known: Printed | None

    @property
    def method(self) -> str:
        """How the table calls the denoiser."""
        name = str(self.row["denoiser"])
        return METHODS.get(name) or printed(name)

    @property
    def testset(self) -> str:
        """How the literature calls the set."""
        name = str(self.row["testset"])
        return SETS.get(name, name)

    @property
    def level(self) -> str:
        """The noise level, in grey levels."""
        return f"{float(self.row['sigma_255']):g}"

    @property
    def psnr(self) -> c.Value:
        """The measured mean, with its interval over pictures."""
        ends = (floating(self.row[f"psnr_{end}"]) for end in ("low", "high"))
        keys = (str(self.row["key"]),)
        return c.Value(floating(self.row["psnr"]), *ends, integer(self.row["n"]), keys)

    @property
    def difference(self) -> float | None:
        """Ours less the known value, in dB."""
        ours = self.psnr.value
        return None if self.known is None or ours is None else ours - self.known.value

    @property
    def verdict(self) -> Verdict:
        """Whether ours is within the tolerance of the known value."""
        if self.known is None or self.difference is None:
            return missing("no published value")
        unlike = self._unlike()
        if unlike and self.row["denoiser"] != FLOOR:
            return not_comparable(unlike)
        allowed = TOLERANCE[_published_row(self.row)]
        within = abs(self.difference) <= allowed
        words = f"{self.difference:+.3f} dB, {'within' if within else 'beyond'} {allowed:g} dB"
        return Verdict(Label.REPRODUCED if within else Label.DIFFERS, f"{words} of the known value")

    def _unlike(self) -> str:
        """Return in which way the pictures are not those of the published value."""
        if not true(self.row["same_data"]):
            return "other pictures than the published set's"
        n, whole = integer(self.row["n"]), integer(self.row["pictures"])
        return f"the first {n} of {whole} pictures" if n != whole else ""


def classics(run: RunLike) -> c.Table | None:
    """Return the table, None for a run that measured none of it."""
    if not asked(run, TABLE):
        return None
    found = _checks(run)
    header = [("", "", name) for name in ("Method", "Set", "σ·255")]
    header += [("PSNR (dB)", "", "published"), ("PSNR (dB)", "", "ours (95 %)")]
    header += [("PSNR (dB)", "", "difference"), ("SSIM", "", "ours")]
    header += [("", "", "verdict"), ("", "", "N")]
    return c.Table(
        TABLE,
        "Classics: published values of denoisers on the field's own test sets",
        "Whole pictures with Gaussian noise that is never clipped; mean PSNR of estimates that are "
        "clipped and rounded to 8 bits, as the published values are. The noisy input's PSNR is "
        "known in closed form, and stands for a published value.",
        c.tidy(_line(run, check) for check in found),
        c.layout(header, [_cells(check) for check in found]),
        3,
        (*_notes(found), *fault_notes(run, (TABLE,), table=TABLE)),
    )


def told(run: RunLike) -> list[str]:
    """Return a line for each value that is known, for a terminal; none for a run without them."""
    if not asked(run, TABLE):
        return []
    return [
        f"{one.method}, {one.testset}, sigma {one.level}: {one.psnr.value:.3f} dB; "
        f"{CLOSED_FORM if one.row['denoiser'] == FLOOR else 'published'} {one.known.text} "
        f"({one.difference:+.3f}): {one.verdict}"
        for one in _checks(run)
        if one.known is not None and one.difference is not None
    ]


def _checks(run: RunLike) -> list[Check]:
    """Return what was measured, in the order of the table."""
    rows = ok(run, "classics", COLUMNS, table=TABLE)
    known = lookup(TABLE)
    return sorted((Check(row, _known(row, known)) for _, row in rows.iterrows()), key=_place)


def _published_row(row: pd.Series) -> str:
    """Return under which name the literature has a denoiser on such pictures."""
    name = str(row["denoiser"])
    known = PUBLISHED.get(name, name)
    return f"C{known}" if known == "BM3D" and integer(row["channels"]) == 3 else known


def _known(row: pd.Series, known: dict[tuple[str, str, str], Printed]) -> Printed | None:
    if row["denoiser"] == FLOOR:
        floor = floating(row["psnr_of_noisy"])
        return None if floor is None else Printed(floor, f"{floor:.3f}")
    return known.get((_published_row(row), f"{row['testset']} {float(row['sigma_255']):g}", "psnr"))


def _place(check: Check) -> tuple[int, str, float, int, str]:
    """Return what the lines are sorted by: set, level, method; the floor first."""
    sets, methods = list(SETS), [FLOOR, *PUBLISHED]
    testset, denoiser = str(check.row["testset"]), str(check.row["denoiser"])
    return (
        sets.index(testset) if testset in sets else len(sets),
        testset,
        float(check.row["sigma_255"]),
        methods.index(denoiser) if denoiser in methods else len(methods),
        denoiser,
    )


def _cells(check: Check) -> list[str]:
    value = check.psnr
    ours = c.number(value.value, 3)
    if value.low is not None and value.high is not None:
        ours += f" ({value.low:.2f} to {value.high:.2f})"
    known = check.known.text if check.known else c.DASH
    if check.known and check.row["denoiser"] == FLOOR:
        known += f" ({CLOSED_FORM})"
    gap = c.DASH if check.difference is None else f"{check.difference:+.3f}"
    verdict = str(check.verdict) if check.known else c.DASH
    ssim = c.number(floating(check.row["ssim"]), 4)
    place = [check.method, check.testset, check.level]
    return [*place, known, ours, gap, ssim, verdict, str(value.n)]


def _line(run: RunLike, check: Check) -> c.Line:
    words = (
        f"sigma {check.level}/255, unclipped noise of seed {integer(check.row['seed'])}; "
        "8-bit estimates; interval: bootstrap over pictures"
    )
    place = c.Place(TABLE, check.method, f"{check.testset} {check.level}", words)
    judged = (check.known, check.verdict)
    return c.line(run, place, ("psnr", "dB"), ours=check.psnr, judged=judged)


def _notes(found: Iterable[Check]) -> list[str]:
    found = list(found)
    if not found:
        return []
    costs = [
        floating(check.row["psnr_unrounded"]) - check.psnr.value
        for check in found
        if floating(check.row["psnr_unrounded"]) is not None and check.psnr.value is not None
    ]
    used = {(_published_row(one.row), f"{one.row['testset']} {one.level}") for one in found}
    sources = [row.source for row in published(TABLE).itertuples() if (row.row, row.column) in used]
    tolerances = ", ".join(
        f"{name} {TOLERANCE[name]:g}" for name in ("DnCNN-S", "BM3D", "CBM3D") if name in TOLERANCE
    )
    notes = [
        f"Reproduced: |difference| at most, in dB: {tolerances}, noisy input {TOLERANCE[FLOOR]:g}. "
        "The interval is over pictures and says how much they differ, not how near ours is.",
    ]
    if costs:
        notes.append(f"Rounding to 8 bits takes at most {max(costs):.4f} dB of a mean.")
    if sources:
        notes.append(f"Published: {'; '.join(dict.fromkeys(sources))}.")
    return notes
