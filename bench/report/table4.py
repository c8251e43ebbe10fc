"""Table 4: the networks' restoration beside classic denoisers, on the same noisy images."""

from dataclasses import replace

import pandas as pd

from bench.cell import ASSUMED
from bench.named_options import options_of
from bench.report import comparison as c
from bench.report import restoration as r
from bench.report import table4_pairs as pairs
from bench.report.names import DIFFUSION, NETWORK_NOTE, ordered, paper_column, printed
from bench.report.paper import Printed, lookup
from bench.report.rows import (
    RunLike,
    fault_notes,
    floating,
    integer,
    listed,
    ok,
    text_of,
    true,
)
from bench.report.table4_pairs import NETWORKS, ONE_STEP, Method, diffusion_row
from bench.report.verdicts import Verdict, magnitude, missing, not_comparable

NAME = "table4"
READS = ("train", "denoise", "restore")
LEVELS = (50, 150, 400)
CLASSICS = {"BM3D": ("bm3d", "bm3d-torch"), "Conv AE": ("conv-ae",), "DnCNN": ("dncnn",)}
"""The paper's rows -> ours; the first that a run has stands beside the paper's numbers."""
TRAINED = {"one": "one level", "level": "per level", "blind": "blind"}
"""How the training of a classic is called; the first that a run has stands in the paper's row: the
authors' notebook trains at the one level sigma = 0.1."""
FLOORS = ("identity", "wiener")
COLUMNS = (
    "denoiser",
    "dataset",
    "t",
    "schedule",
    "sigma",
    "clipped",
    "trained",
    "trained_sigma",
    ASSUMED,
    "recipe",
    "n",
    "lpips_resize",
    "image_size",
    "seconds_per_image",
    *(f"{m}{end}" for m in ("psnr", "ssim", "lpips") for end in ("", "_low", "_high")),
    *(f"{m}_per_image" for m in ("ssim", "lpips", "mse")),
)


def every_denoised(run: RunLike) -> pd.DataFrame:
    """Return the scores of all one-call denoisers, with a name for what is not said.

    Those are classic ones, those told a wrong sigma, networks, and all of them on clipped images.
    """
    rows = ok(run, "denoise", COLUMNS)
    rows = rows[rows["t"].notna() & rows["denoiser"].notna()].copy()
    for column, default in (("schedule", r.DEFAULT_SCHEDULE), ("trained", "-")):
        rows[column] = rows[column].astype(object).where(rows[column].notna(), default)
    rows["clipped"] = rows["clipped"].map(true).astype(bool)
    return rows


def denoised(run: RunLike) -> pd.DataFrame:
    """Return the scores of the classic denoisers as they are meant: one row for each and level.

    Told the noise's own sigma, on images that are not clipped; of several trainings the first of
    `TRAINED`, as in the paper's row.
    """
    rows = every_denoised(run)
    network = rows["denoiser"].astype(str).str.startswith(DIFFUSION)
    rows = rows[~network & rows[ASSUMED].isna() & ~rows["clipped"]]
    first = rows["denoiser"].map(
        {name: _variants(rows, name)[0] for name in rows["denoiser"].unique()}
    )
    return rows[rows["trained"] == first]


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
            (str(row["key"]),),
        )
        for m in r.METRICS
    }


def label_of(denoiser: str, trained: str = "-") -> str:
    """Return how a row of Table 4 is called."""
    if denoiser.startswith(DIFFUSION):
        return diffusion_row(denoiser.removeprefix(DIFFUSION)) + ONE_STEP
    name, options = options_of(denoiser)
    sigma = options.pop(ASSUMED, None)
    words = [printed("+".join([name, *(f"{k}={v}" for k, v in options.items())]))]
    if sigma is not None:
        words.append(f"told σ = {sigma:g}")
    label = ", ".join(words)
    return label if trained == "-" else f"{label} ({TRAINED.get(trained, trained)})"


def _called_once(rows: pd.DataFrame, name: str, trained: str, paper_row: str | None) -> Method:
    here = rows[(rows["denoiser"] == name) & (rows["trained"] == trained)]
    by_level = {int(row["t"]): row for _, row in here.iloc[::-1].iterrows()}
    scores = {(t, m): value for t, row in by_level.items() for m, value in _scores(row).items()}
    images = {
        (t, m): listed(row[f"{m}_per_image"]) for t, row in by_level.items() for m in r.METRICS
    }
    protocol = _protocol(here, by_level, trained)
    return Method(label_of(name, trained), paper_row, scores, by_level, protocol, images)


def _protocol(here: pd.DataFrame, by_level: dict[int, pd.Series], trained: str) -> str:
    """Return in words how a row of scores came about."""
    words = [f"trained {trained}"]
    sigmas = sorted({s for row in by_level.values() for s in listed(row["trained_sigma"])})
    if sigmas:
        joint = " to " if trained == "blind" else ", "
        words[0] += f" at sigma {joint.join(f'{s:.3f}' for s in sigmas)}"
    told = sorted({float(v) for v in here[ASSUMED].dropna()})
    if told:
        words.append(f"told sigma {', '.join(f'{s:g}' for s in told)} whatever the noise is")
    if len(here) > len(by_level):
        words.append(f"first of {len(here) - len(by_level) + 1} rows")
    resize = sorted({text_of(v) or "" for v in here["lpips_resize"]} - {""})
    if resize:
        words.append(f"LPIPS at {', '.join(resize)}")
    return "; ".join(words)


def _diffusion(found: dict[tuple[int, str, str], r.Best], backbone: str) -> Method:
    mine = {(t, m): best for (t, b, m), best in found.items() if b == backbone}
    label = diffusion_row(backbone)
    return Method(
        label,
        label if label in NETWORKS else None,
        {key: best.value for key, best in mine.items()},
        {t: best.row for (t, _), best in mine.items()},
        "best over the steps of the restoration, chosen per metric on the scored images",
        {key: best.per_image for key, best in mine.items()},
    )


def methods(run: RunLike, block: r.Block) -> list[Method]:
    """Return the rows of Table 4 for one block: the paper's five, variants, then floors.

    In the default block what was not measured has a row of dashes beside the paper's numbers.
    """
    rows = r.within(every_denoised(run), block)
    found = r.best_of(r.restored(run, "best"), block)
    names = ordered(rows["denoiser"].unique())
    networks = [n.removeprefix(DIFFUSION) for n in names if n.startswith(DIFFUSION)]
    once = [f"{DIFFUSION}{backbone}" for backbone in ordered(networks)]
    wrong = [n for n in names if ASSUMED in options_of(n)[1]]
    out = []
    for paper_row, ours in CLASSICS.items():
        there = [n for n in (*ours, *wrong) if n in names and options_of(n)[0] in ours] or ours[:1]
        for name in there:
            for trained in _variants(rows, name) or ["-"]:
                out.append(_called_once(rows, name, trained, paper_row))
                paper_row = None
    taken = {m.label for m in out}
    others = [n for n in names if n not in (*once, *FLOORS)]
    more = [(n, v) for n in others for v in _variants(rows, n) if label_of(n, v) not in taken]
    out += [_called_once(rows, name, trained, None) for name, trained in more]
    out += [_diffusion(found, backbone) for backbone in r.backbones(found)]
    out += [_called_once(rows, n, v, None) for n in once for v in _variants(rows, n)]
    out += [_called_once(rows, n, v, None) for n in FLOORS for v in _variants(rows, n)]
    default = block.schedule == r.DEFAULT_SCHEDULE and not block.clipped
    return [m for m in out if m.scores or (default and m.paper_row)]


def blocks(run: RunLike) -> list[r.Block]:
    """Return the blocks of Table 4: data, schedule and clipping, the default estimate only."""
    there = [replace(b, estimate=r.DEFAULT_ESTIMATE) for b in r.blocks(r.restored(run, "best"))]
    there += [
        r.Block(row.dataset, row.schedule, r.DEFAULT_ESTIMATE, row.clipped)
        for row in every_denoised(run).itertuples()
    ]
    found = sorted(
        dict.fromkeys(there),
        key=lambda b: (
            b.clipped,
            paper_column(b.dataset) != r.PAPER_DATASET,
            b.dataset,
            b.schedule != r.DEFAULT_SCHEDULE,
            b.schedule,
        ),
    )
    return found or [r.Block("celeba", r.DEFAULT_SCHEDULE, r.DEFAULT_ESTIMATE)]


def _unlike(run: RunLike, row: pd.Series) -> str:
    """Return where a row's conditions differ from the paper's, its training and sigma included."""
    words = [r.unlike_paper(run, row)]
    trained, told = text_of(row.get("trained")), floating(row.get(ASSUMED))
    if trained in TRAINED and trained != "one":
        words.append(f"trained {TRAINED[trained]} instead of at one level")
    if told is not None:
        words.append(f"told sigma {told:g} instead of the noise's own")
    return "; ".join(word for word in words if word)


def _judge(run: RunLike, method: Method, t: int, paper: Printed | None, ours: c.Value) -> Verdict:
    if ours.value is None:
        return missing()
    if paper is None:
        return missing("the paper has no such number")
    unlike = _unlike(run, method.rows[t])
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


def _title(block: r.Block) -> str:
    clipped = ", noisy images clipped" if block.clipped else ""
    return f"{block.dataset}, {block.schedule}{clipped}"


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
            best = pairs.leaders(found, (t, metric))
            columns.append([c.bold(x) if b else x for x, b in zip(texts, best, strict=True)])
    rows = zip(*columns, strict=True)
    return [[_title(block), m.label, *cells] for m, cells in zip(found, rows, strict=True)]


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
            notes.append(f"{_title(block)}: N = {', '.join(map(str, n))} images.")
        for pair in pairs.compared(found):
            fought = pairs.duels(found, LEVELS, pair)
            lines += pairs.duel_lines(run, fought, lookup(NAME), block.title)
            notes.append(pairs.duel_note(fought))
    notes += [NETWORK_NOTE, c.tally(lines), *fault_notes(run, READS)]
    return c.Table(
        NAME,
        "Table 4: diffusion against classic denoisers",
        "Mean scores on the same noisy images. The diffusion rows are the best over the steps of "
        'Table 2; "one step" is the posterior mean, one network call. SSIM: higher is better; '
        "LPIPS: lower is better. In bold: the best of each column and all that tie with it (the "
        "95 % interval of the paired difference contains 0), unless all do.",
        c.tidy(lines),
        c.layout(header, body),
        2,
        tuple(note for note in notes if note),
    )
