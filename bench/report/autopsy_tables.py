"""Gap autopsy as tables: what every choice of protocol contributes to a number, one table each."""

from collections.abc import Callable, Sequence

from bench.report import comparison as c
from bench.report.autopsy import DISTANCE, TASK, Step, Waterfall, waterfalls
from bench.report.rows import RunLike, budget_measured, data_words, fault_notes, same_data

METRICS = {"ssim": ("SSIM", 3), "lpips": ("LPIPS", 3), "frechet": ("Fréchet distance", 2)}
"""How a metric is called, and its decimals."""
TITLES = {
    "table1": "Gap autopsy: Table 1, generated images",
    "table2": "Gap autopsy: Table 2, restored images",
    "table4": "Gap autopsy: Table 4, BM3D",
}
TASKS = {"table1": (DISTANCE,), "table2": (TASK,), "table4": (TASK,)}
COMMAND = "python -m bench run autopsy"
GUESSED = (
    "The linear schedule and the sigma of 0.05 were guessed by their fit to the paper's numbers at "
    "t = 50; the other alternatives were fixed beforehand."
)


def name_of(table: str) -> str:
    """Return the name of the autopsy of one of the paper's tables."""
    return f"autopsy_{table}"


def metric_name(metric: str) -> str:
    """Return how a metric is called."""
    return METRICS[metric][0]


def digits_of(metric: str) -> int:
    """Return the decimals that are shown."""
    return METRICS[metric][1]


def autopsy_of(table: str) -> Callable[[RunLike], c.Table | None]:
    """Return what builds the autopsy of one of the paper's tables."""

    def build(run: RunLike) -> c.Table | None:
        found = waterfalls(run, table)
        return _table(run, table, found) if found else None

    return build


def signed(value: float, digits: int, *, sure: bool = True) -> str:
    """Return a contribution with its sign; in brackets where its interval has 0 in it."""
    text = f"{value:+,.{digits}f}"
    text = text if float(text.replace(",", "")) else text[1:]
    return text if sure else f"({text})"


def _table(run: RunLike, table: str, found: Sequence[Waterfall]) -> c.Table:
    choices = list(dict.fromkeys(step.choice for one in found for step in one.steps))
    header = [("", "", name) for name in ("Data", "Row", "Column", "Metric")]
    header += [("", "", "paper"), ("", "", "ours"), ("", "", "of what was kept")]
    header += [("Contribution of", "", name) for name in choices]
    header += [("", "", "all otherwise"), ("", "", "unexplained"), ("", "", "all combinations")]
    measured = budget_measured(run)
    return c.Table(
        name_of(table),
        TITLES[table],
        "The same images scored by other protocols. A contribution is what a choice changes when "
        "it is made otherwise, averaged over all orders of making the choices (Shapley value), so "
        "that they add up exactly; in brackets where the 95 % interval has 0 in it. What is left "
        f"to the paper's number is unexplained: data, training and networks ({measured} budget) "
        f"among it. Command: {COMMAND}.",
        c.tidy(line for one in found for line in _lines(run, one)),
        c.layout(header, [_body(one, choices) for one in found]),
        4,
        (
            *_choices(found),
            *_told(run, found),
            *((GUESSED,) if table == "table4" else ()),
            *fault_notes(run, TASKS[table]),
        ),
    )


def _body(one: Waterfall, choices: Sequence[str]) -> list[str]:
    digits = digits_of(one.metric)
    steps = {step.choice: signed(step.value, digits, sure=not step.undecided) for step in one.steps}
    low, high = one.reach
    return [
        *(one.dataset, one.row, one.column, metric_name(one.metric)),
        one.paper.text,
        c.number(one.ours.value, digits),
        c.number(one.start, digits),
        *(steps.get(choice, c.DASH) for choice in choices),
        c.number(one.end, digits),
        signed(one.unexplained, digits),
        f"{c.number(low, digits)} to {c.number(high, digits)}",
    ]


def _lines(run: RunLike, one: Waterfall) -> list[c.Line]:
    name = metric_name(one.metric)
    place = c.Place(name_of(one.table), one.row, one.column, f"data {one.dataset}; {one.kept}")

    def line(
        what: str, value: float, low: float | None = None, high: float | None = None
    ) -> c.Line:
        ours = c.Value(value, low, high, one.n, one.keys)
        return c.line(run, place, (f"{name}, {what}", "1"), ours=ours, judged=(None, None))

    low, high = one.reach
    lines = [c.line(run, place, (name, "1"), ours=one.ours, judged=(one.paper, None))]
    lines.append(line("of what was kept", one.start))
    lines += [
        line(f"contribution of {step.choice}", step.value, step.low, step.high)
        for step in one.steps
    ]
    lines += [line("all choices otherwise", one.end), line("unexplained", one.unexplained)]
    lines += [line("least of all combinations", low), line("largest of all combinations", high)]
    return [*lines, *(line(f"in {name}", value) for name, value in one.others.items())]


# ------------------------------------------------------------------ notes


def _choices(found: Sequence[Waterfall]) -> list[str]:
    """Return what each choice is, ours and otherwise."""
    told: dict[str, dict[str, None]] = {}
    for one in found:
        for step in one.steps:
            told.setdefault(step.choice, {})[f"{step.alternative} instead of {step.ours}"] = None
    words = "; of ".join(f"{choice}: {' or '.join(ways)}" for choice, ways in told.items())
    kept = " or ".join(dict.fromkeys(one.kept for one in found))
    return [f"Otherwise is, of {words}. Kept: {kept}."]


def _told(run: RunLike, found: Sequence[Waterfall]) -> list[str]:
    """Return the findings, of each metric one."""
    metrics = dict.fromkeys(one.metric for one in found)
    return [finding(run, [one for one in found if one.metric == metric]) for metric in metrics]


def finding(run: RunLike, found: Sequence[Waterfall]) -> str:
    """Return in words how far protocol moves the numbers of one metric, and what is left."""
    digits = digits_of(found[0].metric)
    ranges = [one.reach[1] - one.reach[0] for one in found]
    widest = found[ranges.index(max(ranges))]
    steps = [(abs(step.value), step, one) for one in found for step in one.steps]
    _, step, where = max(steps, key=lambda item: item[0])
    inside = sum(one.inside for one in found)
    low, high = (c.number(end, digits) for end in widest.reach)
    parts = [
        f"{metric_name(widest.metric)}: choices alone move one number by up to "
        f"{c.number(max(ranges), digits)} ({place_words(widest)}: {low} to {high} over "
        f"{len(widest.values)} combinations, N = {widest.n})",
        f"the largest contribution is {signed(step.value, digits)}{_between(step, digits)} "
        f"of {step.choice} ({step.alternative} instead of {step.ours}; {place_words(where)})",
        f"the paper's number lies within what the combinations span for {inside} of {len(found)}",
        _one_for_all(found, digits),
    ]
    other = [data_words(run, one.dataset) for one in found if not same_data(run, one.dataset)]
    if other:
        names = ", ".join(dict.fromkeys(other))
        parts.append(f"other images ({names}) and trainings are no protocol, and stay unexplained")
    return "; ".join(part for part in parts if part) + "."


def _one_for_all(found: Sequence[Waterfall], digits: int) -> str:
    """Return in words which one combination brings all numbers nearest to the paper's."""
    common = frozenset.intersection(*(frozenset(one.values) for one in found))
    if not common or len(found) < 2:
        return ""

    def gap(names: frozenset[str]) -> float:
        return sum(abs(one.values[names] - one.paper.value) for one in found) / len(found)

    best = min(common, key=lambda names: (gap(names), len(names), sorted(names)))
    if not best:
        return "no one combination brings all of them nearer to the paper's than ours"
    values = ", ".join(c.number(one.values[best], digits) for one in found)
    papers = ", ".join(one.paper.text for one in found)
    return (
        f"of combinations for all of them, chosen with hindsight, the nearest to the paper's "
        f"({papers}) is {' with '.join(sorted(best))} otherwise ({values}): on average "
        f"{c.number(gap(best), digits)} away, ours {c.number(gap(frozenset()), digits)}"
    )


def place_words(one: Waterfall) -> str:
    """Return which of the paper's numbers it is."""
    if one.table == "table1":
        return one.row
    t, name = (one.row, one.column) if one.table == "table2" else (one.column, one.row)
    return f"{name}, t = {t}"


def _between(step: Step, digits: int) -> str:
    if step.low is None or step.high is None:
        return ""
    return f" ({signed(step.low, digits)} to {signed(step.high, digits)})"
