"""Which counts of one run are larger in another: numbers that chance has no part in."""

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

from bench.inputs import printable

if TYPE_CHECKING:
    import pandas as pd

COUNTS = (
    "parameters", "gmacs_authors", "gmacs_fvcore", "gmacs_torch", "nfe", "checkpoint_mib",
)  # fmt: skip
BESIDE = ("measure", "measured_first", "measured_second", "ratio")


def grown(table: "pd.DataFrame") -> list[str]:
    """Return a line for each count that is larger in the second run.

    Args:
        table: What `bench.check.side_by_side` returns.
    """
    counted = table[table["measure"].isin(COUNTS)]
    larger = counted[counted["measured_second"] > counted["measured_first"]]
    return [_line(row) for row in larger.to_dict("records")]


def _line(row: Mapping[Hashable, Any]) -> str:
    known = [value for name, value in row.items() if name not in BESIDE and value not in ("", None)]
    about = " ".join(printable(value, 40) for value in known)
    first, second = row["measured_first"], row["measured_second"]
    return f"{about}: {row['measure']} {first:.12g} -> {second:.12g}"
