"""Reading a run: its rows by task, its faults, and who measured it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from bench.report.names import DIFFUSION

OK = "ok"


class RunLike(Protocol):
    """What a report needs of a run."""

    manifest: Mapping[str, Any]
    """Name, budget, data, settings, machine, versions, command."""
    rows: pd.DataFrame
    """One line per row of each record; `key, task, status, reason, label` for every cell."""

    def file(self, key: str, name: str) -> Path:
        """Return a file of a record."""
        ...


@dataclass(frozen=True)
class Snapshot:
    """A run whose rows are put together once; a `RunLike`."""

    manifest: Mapping[str, Any]
    rows: pd.DataFrame
    file: Callable[[str, str], Path]


def snapshot(run: RunLike) -> Snapshot:
    """Return a run with its rows fixed, so that no table or figure reads them again."""
    return run if isinstance(run, Snapshot) else Snapshot(run.manifest, run.rows, run.file)


def ok(run: RunLike, task: str, columns: Iterable[str] = ()) -> pd.DataFrame:
    """Return the good rows of a task; other columns are left out, absent ones empty."""
    rows = run.rows
    wanted = ["key", "task", "status", "reason", "label", *columns]
    if not {"task", "status"} <= set(rows.columns):
        return pd.DataFrame(columns=wanted)
    found = rows[(rows["task"] == task) & (rows["status"] == OK)].reset_index(drop=True)
    return _plain(found).reindex(columns=list(dict.fromkeys(wanted)))


def _plain(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows in which `backbone` names the network behind a `diffusion:<backbone>`."""
    if "denoiser" not in rows:
        return rows
    named = rows["denoiser"].astype(object).where(rows["denoiser"].notna(), "").astype(str)
    given = rows.get("backbone", pd.Series(None, index=rows.index, dtype=object)).astype(object)
    inner = named.where(named.str.startswith(DIFFUSION)).str.removeprefix(DIFFUSION)
    return rows.assign(backbone=given.where(given.notna(), inner))


def faults(run: RunLike, tasks: Iterable[str] | None = None) -> pd.DataFrame:
    """Return the cells that did not succeed, one line each: label, status, reason, task."""
    columns = ["label", "status", "reason", "task", "key"]
    rows = run.rows
    if not {"task", "status"} <= set(rows.columns):
        return pd.DataFrame(columns=columns)
    bad = rows[rows["status"] != OK]
    if tasks is not None:
        bad = bad[bad["task"].isin(list(tasks))]
    bad = bad.reindex(columns=columns).drop_duplicates(subset=["key", "label"])
    return bad.fillna("").sort_values(["task", "label", "key"]).reset_index(drop=True)


def fault_notes(run: RunLike, tasks: Iterable[str], limit: int = 12) -> list[str]:
    """Return the reasons for cells that are not there, for the lines beneath a table."""
    bad = faults(run, tasks)
    notes = [f"{r.label}: {r.status} ({r.reason or 'no reason given'})" for r in bad.itertuples()]
    more = len(notes) - limit
    return [*notes[:limit], f"and {more} more, listed among the failures"] if more > 0 else notes


def text_of(value: Any) -> str | None:
    """Return a value as text, None where it is missing."""
    return None if _absent(value) else str(value)


def integer(value: Any) -> int | None:
    """Return a count as int, None where it is missing."""
    return None if _absent(value) else int(value)


def floating(value: Any) -> float | None:
    """Return a number as float, None where it is missing."""
    return None if _absent(value) else float(value)


def listed(value: Any) -> list[float]:
    """Return a cell that holds several numbers as a list; empty where it is missing."""
    if isinstance(value, list | tuple):
        return [float(one) for one in value]
    return [] if _absent(value) else [float(value)]


def plural(count: int | None, word: str) -> str:
    """Return a count with its word, an empty text where there is none."""
    return f"{count} {word}{'' if count == 1 else 's'}" if count else ""


def _absent(value: Any) -> bool:
    return value is None or (not isinstance(value, list | tuple) and bool(pd.isna(value)))


def present(frame: pd.DataFrame, column: str) -> list[Any]:
    """Return the values that a column takes, sorted, without the missing ones."""
    return sorted(frame[column].dropna().unique().tolist()) if column in frame.columns else []


def run_name(run: RunLike) -> str:
    """Return the run's name."""
    return str(run.manifest.get("run") or run.manifest.get("name") or "run")


def budget(run: RunLike) -> str:
    """Return the name of the run's budget."""
    found = run.manifest.get("budget", "unknown")
    return str(found.get("name", "unknown") if isinstance(found, Mapping) else found)


def settings(run: RunLike) -> Mapping[str, Any]:
    """Return the run's effective settings."""
    found = run.manifest.get("settings") or run.manifest.get("budget")
    return found if isinstance(found, Mapping) else {}


def dataset(run: RunLike) -> str:
    """Return the name of the run's data set."""
    return str(run.manifest.get("dataset") or settings(run).get("dataset") or "unknown")


def machine(run: RunLike) -> str:
    """Return the machine in one line."""
    about = run.manifest.get("machine") or {}
    cores = about.get("cores")
    threads = about.get("threads")
    gpu = about.get("gpu")
    gpus = ", ".join(map(str, gpu)) if isinstance(gpu, list | tuple) else gpu
    parts = [
        about.get("cpu"),
        plural(cores, "core"),
        plural(threads, "thread"),
        about.get("os") or about.get("system"),
        gpus,
    ]
    return ", ".join(str(part) for part in parts if part) or "unknown machine"
