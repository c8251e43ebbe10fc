"""Books: what every part of a network costs, and whether the parts add up. Not of the paper."""

from dataclasses import dataclass, field

from bench.report import comparison as c
from bench.report.costs import MIB, measured
from bench.report.names import ordered, printed
from bench.report.rows import RunLike, fault_notes, floating, ok

NAME = "books"
BLOCK, UNEXPLAINED, WHOLE = "block", "unexplained", "whole"
WATCHING = "cost of watching"
COUNTED = ("macs_torch", "parameters", "bytes_moved", "activation_bytes")
FURTHER = ("macs_authors", "evaluations", "trained_parameters", "frozen_parameters")
ALONE = "macs_by_torch_alone"
TIME, UNWATCHED = "time_s", "unwatched_s"


@dataclass(slots=True)
class Book:
    """One network: what its parts cost, and what it costs as a whole."""

    backbone: str
    blocks: dict[str, dict[str, float]] = field(default_factory=dict)
    """By block; what was not measured is not there."""
    groups: dict[str, str] = field(default_factory=dict)
    """The group of each block."""
    whole: dict[str, float] = field(default_factory=dict)
    unexplained: float | None = None
    """Seconds of a call that no part accounts for."""
    unwatched: float | None = None
    """Seconds of a call whose parts nobody watches."""
    keys: dict[str, str] = field(default_factory=dict)
    """The record of each kind of number."""

    @property
    def watching(self) -> float | None:
        """Seconds that watching the parts adds to a call."""
        watched = self.whole.get(TIME)
        return None if watched is None or self.unwatched is None else watched - self.unwatched

    def add(self, block: str, group: str, values: dict[str, float | None]) -> None:
        """Enter what is known of one part."""
        there = {name: value for name, value in values.items() if value is not None}
        self.blocks.setdefault(block, {}).update(there)
        self.groups.setdefault(block, group)

    def share(self, block: str, column: str) -> float | None:
        """Return a part's share of the whole."""
        value, whole = self.blocks[block].get(column), self.whole.get(column)
        return None if value is None or not whole else value / whole

    def by_group(self, column: str) -> dict[str, float]:
        """Return the sums over groups, in the network's order."""
        sums: dict[str, float] = {}
        for block, values in self.blocks.items():
            group = self.groups[block]
            sums[group] = sums.get(group, 0.0) + values.get(column, 0.0)
        return sums

    def faults(self) -> list[str]:
        """Return where the parts do not add up to the whole, in words; counts must do exactly."""
        found = []
        for column in (*COUNTED, *FURTHER):
            if column in self.whole:
                total = sum(values.get(column, 0.0) for values in self.blocks.values())
                if total != self.whole[column]:
                    found.append(f"{column}: parts {total:,.0f}, whole {self.whole[column]:,.0f}")
        alone = self.whole.get(ALONE)
        if alone is not None and alone != self.whole.get("macs_torch"):
            found.append(f"torch's own counter: {alone:,.0f} multiply-adds")
        if TIME in self.whole:
            total = sum(values.get(TIME, 0.0) for values in self.blocks.values())
            rest = self.unexplained or 0.0
            if abs(total + rest - self.whole[TIME]) > 1e-6 * self.whole[TIME]:
                found.append(f"time: parts and rest {total + rest:.4g} s, {self.whole[TIME]:.4g} s")
        return found


def books(run: RunLike) -> list[Book]:
    """Return the books of every network that has some, the paper's pair first."""
    counted = ok(run, "books", ("backbone", "part", "block", "group", ALONE, *COUNTED, *FURTHER))
    times = ok(run, "block_times", ("backbone", "part", "block", "group", TIME, UNWATCHED))
    found: dict[str, Book] = {}
    for rows, columns in ((counted, (*COUNTED, *FURTHER, ALONE)), (times, (TIME,))):
        for row in rows.to_dict("records"):
            book = found.setdefault(str(row["backbone"]), Book(str(row["backbone"])))
            book.keys |= dict.fromkeys(columns, str(row["key"]))
            values = {column: floating(row[column]) for column in columns}
            if row["part"] == WHOLE:
                book.whole |= {k: v for k, v in values.items() if v is not None}
                if TIME in values:
                    book.unwatched = floating(row[UNWATCHED])
            elif row["part"] == UNEXPLAINED:
                book.unexplained = values[TIME]
            else:
                book.add(str(row["block"]), str(row["group"]), values)
    return [found[name] for name in ordered(found)]


def books_table(run: RunLike) -> c.Table | None:
    """Return the table, None for a run that did not ask for the ledger."""
    if not measured(run):
        return None
    found = books(run)
    header = [("", "", "Network"), ("", "", "Block")]
    header += [("Multiply-adds", name, "ours") for name in ("GMACs", "share")]
    header += [("Parameters", name, "ours") for name in ("trained", "frozen", "share")]
    header += [("Memory traffic (MiB)", name, "ours") for name in ("moved", "activations")]
    header += [("ODE", "evaluations", "ours")]
    header += [("Time", name, "ours") for name in ("ms", "share")]
    return c.Table(
        NAME,
        "Books: what every part of a network costs",
        "Full width, 3x64x64, one call of batch 1. Parts are the network's own modules; what runs "
        "outside all of them (resizing, concatenation) is 'functional'.",
        c.tidy(line for book in found for line in _lines(run, book)),
        c.layout(header, [cells for book in found for cells in _body(book)]),
        2,
        (*_notes(found), *fault_notes(run, ("books", "block_times"))),
    )


def _body(book: Book) -> list[list[str]]:
    name = printed(book.backbone)
    body = [[name, block, *_cells(book, values)] for block, values in book.blocks.items()]
    if book.unexplained is not None:
        values = {TIME: book.unexplained}
        body.append([name, UNEXPLAINED, *_cells(book, values)])
    if book.whole:
        body.append([name, WHOLE, *(c.bold(text) for text in _cells(book, book.whole))])
    return body


def _cells(book: Book, values: dict[str, float]) -> list[str]:
    def scaled(column: str, factor: float, digits: int) -> str:
        value = values.get(column)
        return c.number(None if value is None else value * factor, digits)

    def share(column: str) -> str:
        value, whole = values.get(column), book.whole.get(column)
        return c.DASH if value is None or not whole else f"{value / whole:.1%}"

    return [
        scaled("macs_torch", 1e-9, 4),
        share("macs_torch"),
        scaled("trained_parameters", 1, 0),
        scaled("frozen_parameters", 1, 0),
        share("parameters"),
        scaled("bytes_moved", 1 / MIB, 2),
        scaled("activation_bytes", 1 / MIB, 2),
        scaled("evaluations", 1, 0),
        scaled(TIME, 1e3, 2),
        share(TIME),
    ]


def _lines(run: RunLike, book: Book) -> list[c.Line]:
    units = {"bytes_moved": "bytes", "activation_bytes": "bytes", TIME: "s"}
    named = {**book.blocks, WHOLE: book.whole}
    if book.unexplained is not None:
        named[UNEXPLAINED] = {TIME: book.unexplained}
    if book.watching is not None:
        named[WATCHING] = {TIME: book.watching}
    return [
        c.line(
            run,
            c.Place(NAME, f"{printed(book.backbone)}, {block}", "3x64x64", "full width; batch 1"),
            (column, units.get(column, "1")),
            ours=c.Value(value, keys=(book.keys.get(column, ""),)),
            judged=(None, None),
        )
        for block, values in named.items()
        for column, value in values.items()
    ]


def _notes(found: list[Book]) -> list[str]:
    if not found:
        return []
    faults = [f"{book.backbone}: {fault}" for book in found for fault in book.faults()]
    if faults:
        notes = [f"The books do not close - {'; '.join(faults)}."]
    else:
        notes = ["The books close: every column of counts adds up to the whole, to the integer."]
    notes += _time_notes(found)
    without = [printed(book.backbone) for book in found if TIME not in book.whole]
    if without:
        notes.append(f"No time per block was measured for {', '.join(without)}.")
    return notes


def _time_notes(found: list[Book]) -> list[str]:
    """Return what no part explains, and what it costs to look."""
    notes = []
    rests = [
        f"{printed(book.backbone)} {book.unexplained / book.whole[TIME]:.1%}"
        for book in found
        if book.unexplained is not None and book.whole.get(TIME)
    ]
    if rests:
        notes.append(
            "Unexplained: time of the same call that lies in no part, such as resizing and the "
            f"solvers' own arithmetic ({', '.join(rests)})."
        )
    costs = [
        f"{printed(book.backbone)} {1e3 * book.watching:+.2f} ms "
        f"({book.watching / book.unwatched:+.1%})"
        for book in found
        if book.watching is not None and book.unwatched
    ]
    if costs:
        notes.append(
            "Cost of watching, in the times above: a call whose parts are watched against one "
            f"whose parts are not ({', '.join(costs)})."
        )
    return notes
