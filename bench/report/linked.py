"""Which line of the tidy table a number in a layout is: what to show beside it, and where to go.

A layout is text. A number in it is one of the lines if that line rounds to it and has the words of
its row; of several such lines that with most words of its place. Where the records of the best
ones differ the number is nobody's, and stays plain: a wrong link is worse than none.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.report.comparison import Table
from bench.report.records import anchor

NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.%])")
WORD = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a number of a layout comes from."""

    anchor: str
    words: str
    """The number in full, its interval, N, and how it was measured."""


@dataclass(frozen=True)
class Lines:
    """The lines of a table that have records, ready to be asked."""

    lines: Sequence[Mapping[str, Any]]
    row: Sequence[frozenset[str]]
    words: Sequence[frozenset[str]]

    def find(self, text: str, place: frozenset[str]) -> Source | None:
        """Return the source of a number in a place, None where that is not sure."""
        value, step = _read(text)
        fitting = [
            i
            for i, line in enumerate(self.lines)
            if abs(float(line["ours"]) - value) <= step * (0.5 + 1e-9) and self.row[i] <= place
        ]
        if not fitting:
            return None
        scores = [len(self.words[i] & place) for i in fitting]
        best = [i for i, score in zip(fitting, scores, strict=True) if score == max(scores)]
        if len({(self.lines[i]["records"], self.lines[i]["metric"]) for i in best}) > 1:
            return None
        return source(self.lines[best[0]])


def lines_of(table: Table) -> Lines:
    """Return the lines of a table in the form that can be asked."""
    there = table.comparison
    there = there[there["ours"].notna() & (there["records"] != "")]
    lines = there.astype(object).where(there.notna(), None).to_dict("records")
    said = [_words(" ".join(str(line[k]) for k in ("row", "column", "metric"))) for line in lines]
    more = [_words(str(line["protocol"])) for line in lines]
    return Lines(
        lines,
        [_words(str(line["row"])) for line in lines],
        [a | b for a, b in zip(said, more, strict=True)],
    )


def place_of(names: Sequence[str], header: Sequence[str]) -> frozenset[str]:
    """Return the words of a cell's place: of its row's names and of the headings above it."""
    return _words(" ".join([*names, *header]))


def numbers(text: str) -> Iterator[re.Match[str]]:
    """Yield the numbers of a cell's text."""
    yield from NUMBER.finditer(text)


def source(line: Mapping[str, Any]) -> Source:
    """Return the source of a line: of several records the first."""
    first = str(line["records"]).split()[0]
    return Source(anchor(first), in_words(line))


def in_words(line: Mapping[str, Any]) -> str:
    """Return a line's number in full, with its interval, N and protocol."""
    unit = "" if line["unit"] in ("1", None) else f" {line['unit']}"
    parts = [f"{line['metric']} = {float(line['ours']):.6g}{unit}"]
    if line["low"] is not None and line["high"] is not None:
        parts.append(f"95 % interval {float(line['low']):.4g} to {float(line['high']):.4g}")
    if line["n"] is not None:
        parts.append(f"N = {int(line['n']):,}")
    return "; ".join([*parts, *([str(line["protocol"])] if line["protocol"] else [])])


def _words(text: str) -> frozenset[str]:
    return frozenset(WORD.findall(text.lower().replace("_", " ")))


def _read(text: str) -> tuple[float, float]:
    """Return a number as it is printed, and the unit of its last digit."""
    digits, _, power = text.replace(",", "").partition("e")
    decimals = len(digits.partition(".")[2])
    value = float(text.replace(",", ""))
    return value, math.pow(10, int(power or 0) - decimals)
