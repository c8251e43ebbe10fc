"""What a report is about, in a line."""

from collections.abc import Sequence

from bench.report.names import DIFFUSION, ordered, printed
from bench.report.rows import OK, RunLike, dataset, settings

MOST = 4
"""Methods that a title names; of more it names one less, and counts the rest."""


def run_title(run: RunLike) -> str:
    """Return which methods were measured on which data; where the run lies is no part of it.

    Networks that the settings name come first. Where none was measured, classic denoisers are
    what the run is about.
    """
    measured = _measured(run)
    wanted = settings(run).get("backbones")
    wanted = [str(name) for name in wanted] if isinstance(wanted, list | tuple) else []
    networks = [name for name in wanted if DIFFUSION + name in measured]
    names = networks or ordered(name.removeprefix(DIFFUSION) for name in measured)
    words = _listed([printed(name) for name in names])
    return f"{words}, measured on {dataset(run)}" if words else f"A run on {dataset(run)}"


def _measured(run: RunLike) -> set[str]:
    """Return the denoisers, and backbones as denoisers, of which a cell succeeded."""
    rows = run.rows.reindex(columns=["status", "denoiser", "backbone"])
    good = rows[rows["status"] == OK]
    backbones = (DIFFUSION + str(name) for name in good["backbone"].dropna())
    return {*map(str, good["denoiser"].dropna()), *backbones}


def _listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them."""
    if len(names) > MOST:
        names = [*names[: MOST - 1], f"{len(names) - MOST + 1} more"]
    *most, last = names or [""]
    return f"{', '.join(most)} and {last}" if most else last
