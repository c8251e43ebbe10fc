"""Every number of `docs/findings.md` is held against the committed file that it is from.

A finding names its evidence, each a line of a committed file, and a number says what it is of it::

    2.90<!-- c.paper --> of 7.21<!-- u.paper -->, 40.2<!-- 100 * c.paper / u.paper --> %

    <!-- evidence
    u: digits-smoke/table5 | U-Net [unet] | 3x64x64 | gflops
    call: digits-smoke/cells | latency | backbone=cunet | scale=1.0
    -->

`RUN/TABLE` is a tidy table of a run: row, column, metric, then what the protocol has to contain.
`RUN/cells` are its records: the task, then values of the record or of the row. `paper/TABLE` are
the published numbers. `course/SET/NETWORK` is how a network of the package got where it is: the
update, at which held-out images were denoised. Exactly one line must match. A value is what is
printed where it lies within half a unit of the last printed digit.
"""

import ast
import csv
import functools
import json
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

NUMBER = r"-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?"
MARKED = re.compile(rf"({NUMBER})<!-- (.+?) -->")
EVIDENCE = re.compile(r"<!-- evidence\n(.*?)\n-->", flags=re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", flags=re.DOTALL)
NAMES_NO_NUMBER = [
    re.compile(r"```.*?```", flags=re.DOTALL),
    re.compile(r"`[^`\n]+`"),
    re.compile(r"\]\([^)\n]+\)"),
    re.compile(r"“[^”]+”"),  # the paper's own words
    re.compile(r"\b(Equation|Figure|Proposition|Section|Table)(s \d+ and \d+\b| \d+(\.\d+)*)"),
    re.compile(r"\b[tσ] = \d[\d.]*(, \d+)*( and \d+)?\b"),
    re.compile(r"\b95 %\s+intervals?\b"),
    re.compile(r"\bBM3D\b"),
    re.compile(r"\barXiv [\d.]+\b|\bet al\. \d{4}\b"),
]
"""Where digits are a name, a place in the paper or a setting, and not a finding."""
SIGNS: Mapping[type, Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
}
FUNCTIONS: Mapping[str, Callable[..., float]] = {"exp": math.exp, "max": max, "min": min}
UNITS = (1, 100, 1000)
"""The only numbers that a mark may add: shares, percents, and thousandths."""

Line = Mapping[str, object]


class Fault(Exception):
    """Why a number of the page does not stand."""


def faults(text: str, home: Path) -> list[str]:
    """Return what does not stand on a page of findings, in the order of the page."""
    found = []
    for section in re.split(r"^(?=## )", text, flags=re.MULTILINE):
        title = section.partition("\n")[0].lstrip("# ")
        found += [f"{title}: {fault}" for fault in _of_section(section, home)]
    return found


def _of_section(section: str, home: Path) -> Iterator[str]:
    named: dict[str, Line] = {}
    for line in "\n".join(EVIDENCE.findall(section)).splitlines():
        name, _, place = line.partition(": ")
        try:
            named[name] = evidence(place, home)
        except Fault as fault:
            yield f"{name}: {fault}"
    marks = MARKED.findall(section)
    yield from _of_marks(marks, named)
    for name in named:
        if not any(re.search(rf"\b{name}\.", mark) for _, mark in marks):
            yield f"{name}: no number is of this evidence"
    rest = COMMENT.sub("", MARKED.sub("", section))
    for name_of in NAMES_NO_NUMBER:
        rest = name_of.sub("", rest)
    for number in re.findall(NUMBER, rest):
        yield f"{number} says not what it is from"


def _of_marks(marks: Sequence[tuple[str, str]], named: Mapping[str, Line]) -> Iterator[str]:
    for printed, mark in marks:
        try:
            tree = ast.parse(mark.strip(), mode="eval")
            value = worth(tree.body, named)
            if not any(isinstance(node, ast.Attribute) for node in ast.walk(tree)):
                raise Fault("no evidence is named")
            if not stands(printed, value):
                raise Fault(f"{printed} is printed, {value:.6g} is measured")
        except (Fault, SyntaxError, ZeroDivisionError) as fault:
            yield f"{printed} ({mark}): {fault}"


def stands(printed: str, value: float) -> bool:
    """Whether a value rounds to what is printed; the decimals that are shown decide."""
    shown = Decimal(printed.replace(",", ""))
    half = 0.5 * 10.0 ** int(shown.as_tuple().exponent)
    return abs(value - float(shown)) <= half * (1 + 1e-9)


def worth(node: ast.expr, named: Mapping[str, Line]) -> float:
    """Return the value of a mark: names with a field, arithmetic, and nothing else.

    Raises:
        Fault: If it is something else, or names what is not there.
    """
    match node:
        case ast.Constant(value=int(value)) if value in UNITS:
            return float(value)
        case ast.Attribute(value=ast.Name(id=name), attr=field) if field in named.get(name, {}):
            try:
                return float(str(named[name][field]))
            except ValueError:
                raise Fault(f"{name} has no {field}") from None
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in SIGNS:
            return SIGNS[type(sign)](worth(left, named), worth(right, named))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -worth(operand, named)
        case ast.Call(func=ast.Name(id=name), args=values) if name in FUNCTIONS:
            return FUNCTIONS[name](*(worth(value, named) for value in values))
    raise Fault(f"'{ast.unparse(node)}' is no evidence of this finding")


def evidence(place: str, home: Path) -> Line:
    """Return the one line of a committed file.

    Raises:
        Fault: If none matches, or several do.
    """
    source, *keys = place.split(" | ")
    matching = [line for line in _lines(source, home) if _matches(line, source, keys)]
    if len(matching) != 1:
        raise Fault(f"{len(matching)} lines of {source} are '{' | '.join(keys)}'")
    return matching[0]


def _matches(line: Line, source: str, keys: list[str]) -> bool:
    if source.endswith("/cells"):
        task, *pairs = keys
        asked = dict(pair.split("=", 1) for pair in pairs)
        return line["task"] == task and all(str(line.get(k)) == v for k, v in asked.items())
    if source.startswith("course/"):
        return [line["update"]] == keys
    named = [line["row"], line["column"], line["metric"]]
    return named == keys[:3] and all(part in str(line["protocol"]) for part in keys[3:])


@functools.cache
def _lines(source: str, home: Path) -> list[Line]:
    run, _, table = source.partition("/")
    folder = home / "results" / ("paper" if run == "paper" else f"reference/{run}")
    if table == "cells":
        records = [json.loads(path.read_text()) for path in folder.glob("cells/*.json")]
        return [
            {**_named(record["spec"]), **row, "task": record["task"]}
            for record in records
            for row in record["rows"]
        ]
    path = folder / (f"{table}.csv" if run == "paper" else f"tables/{table}.tidy.csv")
    if run == "course":
        path = home / "models" / "checkpoints" / table / "validation.csv"
    if not path.is_file():
        raise Fault(f"{source} is not committed")
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def _named(spec: Line) -> Line:
    """Return a record's settings with the name alone of what it built."""
    return {k: v.get("name", v) if isinstance(v, dict) else v for k, v in spec.items()}
