"""Table 4: the networks' restoration beside classic denoisers, on the same noisy images."""

from dataclasses import dataclass

import pandas as pd

from bench.report import comparison as c
from bench.report import restoration as r
from bench.report.names import NETWORK_NOTE, ordered, paper_column, printed
from bench.report.paper import Printed, lookup
from bench.report.rows import RunLike, fault_notes, floating, integer, ok, text_of
from bench.report.verdicts import Verdict, magnitude, missing, not_comparable

NAME = "table4"
READS = ("train", "denoise", "restore")
LEVELS = (50, 150, 400)
CLASSICS = ("bm3d", "conv-ae", "dncnn")
TRAINED = {"level": "per level", "blind": "blind", "one": "one level"}
"""How the training of a classic is called; the first that a run has stands in the paper's row."""
FLOORS = ("identity", "wiener")
COLUMNS = (
    "denoiser",
    "dataset",
    "t",
    "schedule",
    "sigma",
    "trained",
    "n",
    "lpips_resize",
    "image_size",
    "seconds_per_image",
    *(f"{m}{end}" for m in ("psnr", "ssim", "lpips") for end in ("", "_low", "_high")),
)


@dataclass(frozen=True)
class Method:
    """One row of Table 4: how it is called, and its scores by (noising step, metric)."""

    label: str
    paper_row: str | None
    scores: dict[tuple[int, str], c.Value]
    rows: dict[int, pd.Series]
    protocol: str


def denoised(run: RunLike) -> pd.DataFrame:
    """Return the scores of the classic denoisers, with a name for what is not said."""
    rows = ok(run, "denoise", COLUMNS)
    rows = rows[rows["t"].notna() & rows["denoiser"].notna()].copy()
    for column, default in (("schedule", r.DEFAULT_SCHEDULE), ("trained", "-")):
        rows[column] = rows[column].astype(object).where(rows[column].notna(), default)
    return rows


def _variants(rows: pd.DataFrame, name: str) -> list[str]:
    order = [*TRAINED, "-"]
    there = rows.loc[rows["denoiser"] == name, "trained"].unique().tolist()
    return sorted(there, key=lambda v: (order.index(v) if v in order else len(order), v))


def _scores(row: pd.Series) -> dict[str, c.Value]:
    return {
        m: c.Value(
            floating(row[m]),
            floating(row[f"{m}_low"]),
            floating(row[f"{m}_high"]),
            integer(row["n"]),
        )
        for m in r.METRICS
    }


def _classic(rows: pd.DataFrame, name: str, trained: str, paper_row: str | None) -> Method:
    here = rows[(rows["denoiser"] == name) & (rows["trained"] == trained)]
    by_level = {int(row["t"]): row for _, row in here.iloc[::-1].iterrows()}
    scores = {(t, m): value for t, row in by_level.items() for m, value in _scores(row).items()}
    label = printed(name)
    if trained != "-":
        label += f" ({TRAINED.get(trained, trained)})"
    repeats = len(here) - len(by_level)
    extra = f"; first of {repeats + 1} rows" if repeats else ""
    resize = sorted({text_of(v) or "" for v in here["lpips_resize"]} - {""})
    protocol = f"trained {trained}{extra}" + (f"; LPIPS at {', '.join(resize)}" if resize else "")
    return Method(label, paper_row, scores, by_level, protocol)


def _diffusion(found: dict[tuple[int, str, str], r.Best], backbone: str) -> Method:
    mine = {(t, m): best for (t, b, m), best in found.items() if b == backbone}
    label = f"Diff {printed(backbone)}"
    return Method(
        label,
        label if backbone in ("unet", "cunet") else None,
        {key: best.value for key, best in mine.items()},
        {t: best.row for (t, _), best in mine.items()},
        "best over the steps of the restoration, chosen per metric on the scored images",
    )


def methods(run: RunLike, block: r.Block) -> list[Method]:
    """Return the rows of Table 4 for one block: the paper's five, variants, then floors."""
    rows = denoised(run)
    rows = rows[(rows["dataset"] == block.dataset) & (rows["schedule"] == block.schedule)]
    found = r.best_of(r.restored(run, "best"), block)
    out = []
    names = [*CLASSICS, *(n for n in ordered(rows["denoiser"]) if n not in (*CLASSICS, *FLOORS))]
    for name in names:
        for i, trained in enumerate(_variants(rows, name) or ["-"]):
            paper_row = printed(name) if i == 0 and name in CLASSICS else None
            out.append(_classic(rows, name, trained, paper_row))
    out += [_diffusion(found, backbone) for backbone in r.backbones(found)]
    there = [name for name in FLOORS if (rows["denoiser"] == name).any()]
    return out + [_classic(rows, name, v, None) for name in there for v in _variants(rows, name)]


def blocks(run: RunLike) -> list[r.Block]:
    """Return the blocks of Table 4: data and schedule, the default estimate only."""
    pairs = r.blocks(r.restored(run, "best"))
    rows = denoised(run)
    pairs += sorted(
        {r.Block(row.dataset, row.schedule, r.DEFAULT_ESTIMATE) for row in rows.itertuples()},
        key=lambda b: (paper_column(b.dataset) != r.PAPER_DATASET, b.title),
    )
    seen = dict.fromkeys(r.Block(b.dataset, b.schedule, r.DEFAULT_ESTIMATE) for b in pairs)
    return list(seen) or [r.Block("celeba", r.DEFAULT_SCHEDULE, r.DEFAULT_ESTIMATE)]


def _judge(run: RunLike, method: Method, t: int, paper: Printed | None, ours: c.Value) -> Verdict:
    if ours.value is None:
        return missing()
    if paper is None:
        return missing("the paper has no such number")
    unlike = r.unlike_paper(run, method.rows[t])
    if unlike:
        return not_comparable(unlike, paper.value, ours.value)
    return magnitude(paper, ours.value, low=ours.low, high=ours.high)


def _lines(run: RunLike, method: Method, block: r.Block) -> list[c.Line]:
    paper = lookup(NAME)
    lines = []
    for t in sorted({t for t, _ in method.scores} | set(LEVELS)):
        for metric in r.METRICS:
            printed_number = paper.get((method.paper_row or "", str(t), metric))
            ours = method.scores.get((t, metric), c.Value(None))
            if printed_number is None and ours.value is None:
                continue
            place = c.Place(
                NAME, method.paper_row or method.label, str(t), f"{block.title}; {method.protocol}"
            )
            judged = (printed_number, _judge(run, method, t, printed_number, ours))
            lines.append(c.line(run, place, (metric, "1"), ours=ours, judged=judged))
    return lines


def _body(found: list[Method], block: r.Block) -> list[list[str]]:
    paper = lookup(NAME)
    columns = []
    for t in LEVELS:
        for metric, (_, largest, digits) in r.METRICS.items():
            theirs = [paper.get((m.paper_row or "", str(t), metric)) for m in found]
            values = [p and p.value for p in theirs]
            texts = [p.text if p else c.DASH for p in theirs]
            columns.append(c.mark_best(values, texts, largest=largest))
            ours = [m.scores.get((t, metric), c.Value(None)).value for m in found]
            texts = [c.number(v, digits) for v in ours]
            columns.append(c.mark_best(ours, texts, largest=largest))
    rows = zip(*columns, strict=True)
    title = f"{block.dataset}, {block.schedule}"
    return [[title, m.label, *cells] for m, cells in zip(found, rows, strict=True)]


def table4(run: RunLike) -> c.Table:
    """Return Table 4 of a run."""
    header = [("", "", "Block"), ("", "", "Method")]
    for t in LEVELS:
        for name, *_ in r.METRICS.values():
            header += [(f"{t} noising steps", name, "paper"), (f"{t} noising steps", name, "ours")]
    lines, body, notes = [], [], []
    for block in blocks(run):
        found = methods(run, block)
        body += _body(found, block)
        lines += [line for method in found for line in _lines(run, method, block)]
        n = sorted({v.n for m in found for v in m.scores.values() if v.n})
        if n:
            notes.append(f"{block.dataset}: N = {', '.join(map(str, n))} images.")
    notes += [NETWORK_NOTE, c.tally(lines), *fault_notes(run, READS)]
    return c.Table(
        NAME,
        "Table 4: diffusion against classic denoisers",
        "Mean scores on the same noisy images. The diffusion rows are the best over the steps of "
        "Table 2. SSIM: higher is better; LPIPS: lower is better; best of each column in bold.",
        c.tidy(lines),
        c.layout(header, body),
        2,
        tuple(notes),
    )
