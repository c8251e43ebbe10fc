"""The options of the command line that several commands share."""

import enum
import os
from pathlib import Path
from typing import Annotated

import typer

from bench.errors import BenchError


class BudgetName(enum.StrEnum):
    """The budgets."""

    SMOKE = "smoke"
    SMALL = "small"
    PAPER = "paper"


class ExecutorName(enum.StrEnum):
    """Where cells are measured."""

    LOCAL = "local"
    RAY = "ray"


Words = Annotated[
    list[str],
    typer.Argument(metavar="EXPERIMENT...", help="all, or names: `bench list experiment`"),
]
BudgetOption = Annotated[BudgetName, typer.Option("--budget", help="How much work to do.")]
DatasetOption = Annotated[
    str | None, typer.Option("--dataset", metavar="NAME", help="The budget's own by default.")
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", help="Everything into one folder; else results/, reports/."
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Overrule a setting (train.updates=200)."),
]
SettingsOption = Annotated[
    Path | None,
    typer.Option("--settings", metavar="FILE", help="A TOML file of settings; --set overrules it."),
]
OnlyOption = Annotated[
    list[str] | None, typer.Option("--only", metavar="GLOB", help="Only cells with such a label.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
EngineOption = Annotated[
    str | None,
    typer.Option("--engine", metavar="NAME", help="Runs all timed networks: `bench list engine`."),
]
CheckpointOption = Annotated[
    str | None,
    typer.Option("--checkpoint", metavar="SET", help="Take its networks instead of training."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
OfflineOption = Annotated[
    bool, typer.Option("--offline", help="Open no connection, not even for an extractor's weights.")
]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=1, help="Cells measured side by side.")
]
ExecutorOption = Annotated[
    ExecutorName, typer.Option("--executor", help="Where: this machine, or a Ray cluster.")
]
AddressOption = Annotated[
    str | None,
    typer.Option("--address", metavar="HOST:PORT", help="Of the cluster, or auto; else one here."),
]
ShardsOption = Annotated[
    int,
    typer.Option("--shards", min=1, help="Shares of a long cell's images made side by side."),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store", metavar="ADDRESS", help="Shares results: s3://bucket/prefix, file:///mount/dir."
    ),
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Measure again what is there.")]
WORKERS = max(1, min(4, os.cpu_count() or 1))


def one_pattern(only: list[str] | None) -> str | None:
    """Return the pattern of `--only`, which names the run's folder.

    Raises:
        BenchError: If there are several: the last would silently overrule the others.
    """
    if only and len(only) > 1:
        raise BenchError(
            f"--only stands {len(only)} times; expected one pattern, as '[ds]*' for the labels "
            "that begin with d or s"
        )
    return only[0] if only else None
