"""The published numbers: tidy records of every table of the paper, and of other papers' values.

Source: *The Missing U for Efficient Diffusion Models*, arXiv 2310.20092, Tables 1-5 and Figure 6;
for `classics`, the papers that its column `source` names.
"""

import functools
import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.api import Missing
from bench.errors import unknown

NAMES = ("table1", "table2", "table3", "table4", "table5", "figure6", "claims", "classics")
SUFFIX = {"M": 1e6, "%": 0.01}
"""What a printed unit beside the digits multiplies them by."""


@dataclass(frozen=True, slots=True)
class Printed:
    """One number as the paper prints it."""

    value: float
    text: str

    @property
    def half_unit(self) -> float:
        """Half of the last printed digit: how far rounding may have moved the number."""
        return half_unit(self.text)


def half_unit(text: str) -> float:
    """Return half of the last digit of a printed number, in the number's own unit."""
    factor = SUFFIX.get(text[-1:], 1.0)
    digits = text.rstrip("M%").replace(",", "")
    decimals = len(digits.partition(".")[2])
    return 0.5 * math.pow(10.0, -decimals) * factor


def folder() -> Path:
    """Return where the published numbers lie: in the wheel, else in the checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_paper"
    return installed if installed.is_dir() else package.parent / "results" / "paper"


@functools.cache
def _read(table: str) -> pd.DataFrame:
    path = folder() / f"{table}.csv"
    if not path.is_file():
        raise Missing(
            f"the published numbers of {table} are not at {path}; expected them beside the "
            "package: install it again"
        )
    words = ["table", "row", "column", "metric", "unit", "text", "id", "section", "sentence"]
    words += ["source", "why"]
    return pd.read_csv(path, dtype=dict.fromkeys(words, str), keep_default_na=False)


def published(table: str) -> pd.DataFrame:
    """Return the published numbers of `table1`..`table5`, `figure6`, `claims` or `classics`.

    Raises:
        BenchError: If there is no such table.
    """
    if table not in NAMES:
        raise unknown("published table", table, list(NAMES))
    return _read(table).copy()


def lookup(table: str) -> dict[tuple[str, str, str], Printed]:
    """Return a table's published numbers by (row, column, metric)."""
    return {
        (r.row, r.column, r.metric): Printed(float(r.value), r.text)
        for r in published(table).itertuples(index=False)
    }
