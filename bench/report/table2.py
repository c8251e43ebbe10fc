"""Tables 2 and 3: best SSIM and LPIPS of the restoration, and the steps and time to get there."""

from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd

from bench.report import comparison as c
from bench.report import notebook
from bench.report import restoration as r
from bench.report.latency import Latency, latency_of, timings
from bench.report.names import NETWORK_NOTE, PAIR, printed
from bench.report.paper import Printed, lookup
from bench.report.rows import RunLike, fault_notes
from bench.report.verdicts import Verdict, magnitude, missing, not_comparable

READS = ("train", "restore", "notebook")
LEVELS = (50, 100, 150, 200, 250, 400, 600, 800)
Key = tuple[int, str, str]


@dataclass(frozen=True)
class Restorations:
    """The restorations of a run, and the timings that turn their calls into seconds."""

    run: RunLike

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The best points."""
        return r.restored(self.run, "best")

    @cached_property
    def times(self) -> pd.DataFrame:
        """The timings of single network calls."""
        return timings(self.run)

    @cached_property
    def blocks(self) -> list[r.Block]:
        """The blocks; the paper's own where the run has none."""
        return r.blocks(self.rows) or [r.Block("celeba", r.DEFAULT_SCHEDULE, r.DEFAULT_ESTIMATE)]

    def latency(self, best: r.Best) -> Latency | None:
        """Return the latency of the network behind a best point."""
        return latency_of(self.times, best.row["backbone"], best.row)

    def seconds(self, best: r.Best) -> c.Value:
        """Return the time to a best point: calls x latency.

        Its interval goes from the fewest calls at the least latency to the most at the largest.
        """
        latency, calls = self.latency(best), best.calls
        if latency is None or calls is None:
            return c.Value(None)
        fewest, most = best.calls_between
        ends = fewest * latency.low, most * latency.high
        keys = (*best.value.keys, latency.key)
        return c.Value(calls * latency.seconds, *ends, latency.repeats, keys)

    def judge(self, paper: Printed | None, best: r.Best, *, ours: c.Value, unit: str) -> Verdict:
        """Return the verdict on one number of Tables 2 or 3."""
        if ours.value is None:
            return missing("no timing of this network" if unit == "s" else "not measured")
        if paper is None:
            return missing("the paper has no such number")
        unlike = r.unlike_paper(self.run, best.row)
        if unit == "s":
            unlike = "; ".join(part for part in ("seconds of another machine", unlike) if part)
        if unlike:
            return not_comparable(unlike, paper.value, ours.value)
        return magnitude(paper, ours.value, low=ours.low, high=ours.high)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of Table 2 or 3: what it shows of a best point."""

    metric: str
    """The metric whose best point it is: ssim or lpips."""
    name: str
    """The column's name in the published tables."""
    title: str
    unit: str
    digits: int
    best: str = ""
    """Which value is set in bold: "largest", "smallest" or none."""

    def value(self, all_: Restorations, best: r.Best) -> c.Value:
        """Return what the column shows."""
        if self.unit == "s":
            return all_.seconds(best)
        return best.steps if self.unit == "steps" else best.value

    def text(self, value: float | None) -> str:
        """Return a value as the column prints it."""
        return c.seconds(value) if self.unit == "s" else c.number(value, self.digits)


TABLE2 = (
    Column("ssim", "best_ssim", "Best SSIM", "1", 2, "largest"),
    Column("lpips", "best_lpips", "Best LPIPS", "1", 3, "smallest"),
)
TABLE3 = (
    Column("ssim", "ssim_step", "Best SSIM step", "steps", 0),
    Column("ssim", "ssim_time", "Time SSIM (s)", "s", 2, "smallest"),
    Column("lpips", "lpips_step", "Best LPIPS step", "steps", 0),
    Column("lpips", "lpips_time", "Time LPIPS (s)", "s", 2, "smallest"),
)


def _lines(
    all_: Restorations, name: str, columns: tuple[Column, ...], block: r.Block
) -> list[c.Line]:
    """Return the tidy lines of one block, the paper's numbers without a match included."""
    paper, found = lookup(name), r.best_of(all_.rows, block)
    keys = sorted({(t, b) for t, b, _ in found} | {(t, b) for t in LEVELS for b in PAIR})
    lines = []
    for t, backbone in keys:
        for column in columns:
            best = found.get((t, backbone, column.metric))
            printed_number = paper.get((str(t), printed(backbone), column.name))
            if best is None:
                if printed_number is not None:
                    place = c.Place(name, str(t), printed(backbone), f"block {block.title}")
                    judged = (printed_number, missing())
                    lines.append(_line(all_, place, column, ours=c.Value(None), judged=judged))
                continue
            sigma = r.sigma_of(all_.rows, block, t)
            place = c.Place(name, str(t), printed(backbone), r.protocol(block, best, sigma))
            ours = column.value(all_, best)
            verdict = all_.judge(printed_number, best, ours=ours, unit=column.unit)
            lines.append(_line(all_, place, column, ours=ours, judged=(printed_number, verdict)))
    return lines


def _line(
    all_: Restorations, place: c.Place, column: Column, *, ours: c.Value, judged: tuple
) -> c.Line:
    return c.line(all_.run, place, (column.name, column.unit), ours=ours, judged=judged)


def _paper_texts(theirs: list[Printed | None], column: Column) -> str:
    values = [p and p.value for p in theirs]
    texts = [p.text if p else c.DASH for p in theirs]
    if column.best:
        texts = c.mark_best(values, texts, largest=column.best == "largest")
    return r.pair_text(texts)


def _our_texts(all_: Restorations, best: dict[str, r.Best | None], column: Column) -> str:
    """Return the cell of several networks; bold is what leads beyond doubt, a tie is not."""
    values = {name: column.value(all_, one) if one else c.Value(None) for name, one in best.items()}
    first = None
    if column.best and column.unit == "s":
        first = _shortest(values)
    elif column.best:
        there = {name: one for name, one in best.items() if one}
        first = r.leader(there, largest=column.best == "largest")
    texts = {name: column.text(value.value) for name, value in values.items()}
    return r.pair_text([c.bold(text) if name == first else text for name, text in texts.items()])


def _shortest(times: dict[str, c.Value]) -> str | None:
    """Return whose time is shorter than all others, intervals apart; None where none is."""
    there = {name: value.triple for name, value in times.items() if value.triple}
    if len(there) < 2:
        return None
    first = min(there, key=lambda name: there[name][0])
    others = [low for name, (_, low, _) in there.items() if name != first]
    return first if there[first][2] < min(others) else None


def _body(
    all_: Restorations, name: str, columns: tuple[Column, ...], block: r.Block
) -> list[list[str]]:
    """Return the rows of one block, in the paper's form: one noise level a row."""
    paper, found = lookup(name), r.best_of(all_.rows, block)
    names = r.backbones(found)
    body = []
    for t in sorted({t for t, _, _ in found} | set(LEVELS)):
        sigma = r.sigma_of(all_.rows, block, t)
        cells = [block.title, str(t), c.number(sigma, 3)]
        for column in columns:
            theirs = [paper.get((str(t), printed(b), column.name)) for b in PAIR]
            cells.append(_paper_texts(theirs, column))
            best = {b: found.get((t, b, column.metric)) for b in names}
            cells.append(_our_texts(all_, best, column))
        body.append(cells)
    return body


def _notebook(
    all_: Restorations, name: str, columns: tuple[Column, ...]
) -> tuple[list[c.Line], list[list[str]]]:
    """Return the lines and rows of the authors' own protocol, which stand apart from all others."""
    lines, body = [], []
    for case in notebook.cases(all_.run):
        cells = [case.title, str(case.t), c.number(case.sigma, 3)]
        for column in columns:
            best = {b: case.best.get((b, notebook.METRIC[column.metric])) for b in case.backbones}
            cells += [c.DASH, _our_texts(all_, best, replace(column, best=""))]
            for backbone, one in best.items():
                if one is not None:
                    place = c.Place(name, case.row, printed(backbone), case.protocol)
                    ours = column.value(all_, one)
                    why = "seconds of another machine; " if column.unit == "s" else ""
                    judged = (None, not_comparable(f"{why}one image, by another protocol"))
                    lines.append(_line(all_, place, column, ours=ours, judged=judged))
        body.append(cells)
    return lines, body


def _notes(all_: Restorations, lines: list[c.Line]) -> list[str]:
    notes = []
    for block in all_.blocks:
        if not (found := r.best_of(all_.rows, block)):
            continue
        order = r.pair_title(r.backbones(found))
        n = sorted({best.value.n for best in found.values() if best.value.n})
        images = f"; N = {', '.join(map(str, n))} images" if n else ""
        said = f"{_contest(found)}{_hindsight(found)}"
        notes.append(f"Block {block.title}: ours {order}{images}.{said}")
    return [*notes, *notebook.notes(all_.run), NETWORK_NOTE, c.tally(lines)]


def _contest(found: dict[tuple[int, str, str], r.Best]) -> str:
    """Return how often either network of the pair restores better, in a sentence."""
    parts = []
    for metric, (title, largest, _) in r.METRICS.items():
        pairs = [
            {b: found[t, b, metric] for b in PAIR}
            for t in sorted({t for t, _, _ in found})
            if all((t, b, metric) in found for b in PAIR)
        ]
        if pairs:
            won = [r.leader(pair, largest=largest) for pair in pairs]
            counts = [f"{printed(b)} better at {won.count(b)}" for b in PAIR]
            parts.append(f"{title}: {', '.join(counts)}, a tie at {won.count(None)}")
    how = "paired over images, unpaired where a network's halves of them choose different steps"
    return f" Of the levels, {how}: {'; '.join(parts)}." if parts else ""


def _hindsight(found: dict[tuple[int, str, str], r.Best]) -> str:
    """Return what choosing the step on the scored images is worth at most, in a sentence."""
    parts = []
    for metric, (title, _, digits) in r.METRICS.items():
        gains = [best.hindsight for (_, _, m), best in found.items() if m == metric]
        known = [gain for gain in gains if gain is not None]
        if known:
            parts.append(f"{max(known):.{digits + 1}f} of {title}")
    return (
        f" The step is chosen on the scored images; where each half of them is scored at the step "
        f"that the other half chooses, at most {' and '.join(parts)} is lost."
        if parts
        else ""
    )


def _table(run: RunLike, name: str, columns: tuple[Column, ...], words: tuple[str, str]) -> c.Table:
    all_ = Restorations(run)
    lines = [line for block in all_.blocks for line in _lines(all_, name, columns, block)]
    header = [("", "", "Block"), ("", "", "Noising steps"), ("", "", "σ")]
    for column in columns:
        header += [(column.title, "", "paper"), (column.title, "", "ours")]
    body = [row for block in all_.blocks for row in _body(all_, name, columns, block)]
    theirs, apart = _notebook(all_, name, columns)
    tasks = (*READS, "latency") if name == "table3" else READS
    notes = (*_notes(all_, lines), *fault_notes(run, tasks))
    return c.Table(name, *words, c.tidy(lines + theirs), c.layout(header, body + apart), 3, notes)


def table2(run: RunLike) -> c.Table:
    """Return Table 2 of a run: best SSIM and LPIPS by noise level."""
    return _table(
        run,
        "table2",
        TABLE2,
        (
            "Table 2: best restoration by noise level",
            "Best mean score over the steps of the restoration, U-Net / cU-Net. SSIM: higher is "
            "better; LPIPS: lower is better. Bold: better beyond the 95 % interval of the paired "
            "difference over images; a tie is not. Block: data, schedule, and the estimate that "
            "is scored (the current sample, or the predicted clean image x0).",
        ),
    )


def table3(run: RunLike) -> c.Table:
    """Return Table 3 of a run: the steps to the best score, and their time."""
    return _table(
        run,
        "table3",
        TABLE3,
        (
            "Table 3: steps and time to the best restoration",
            "Reverse steps (network calls x stride) to the best mean score, and the time of the "
            "calls (calls x latency), U-Net / cU-Net; a shorter time in bold where the ranges are "
            "apart.",
        ),
    )
