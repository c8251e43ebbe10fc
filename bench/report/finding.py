"""What a source of claims returns: a claim, and what decided it."""

from dataclasses import dataclass

import pandas as pd

from bench.checked import Claim


@dataclass(frozen=True, slots=True)
class Finding:
    """A claim and the check that decided it."""

    check: str
    claim: Claim
    keys: tuple[str, ...] = ()
    """Of the records that it was read from."""
    exact: bool = False
    """Whether no trained network had a part in it: then it holds whatever the budget is."""


def keys_of(*rows: pd.DataFrame) -> tuple[str, ...]:
    """Return the keys of the records that some rows are of, each once."""
    return tuple(dict.fromkeys(str(key) for one in rows for key in one["key"]))
