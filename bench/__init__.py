"""The reference benchmark and reproduction harness for efficient diffusion backbones."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__version__ = "0.1.0"


def load(run: Path | str) -> "pd.DataFrame":
    """Return the rows of a run as a DataFrame (see `bench.runs.load`)."""
    from bench.runs import load as read

    return read(run)
