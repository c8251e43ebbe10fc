"""Reading a run: its rows by task, its faults, and who measured it."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pandas as pd

from bench.report.names import DIFFUSION, PAPER_DATA, paper_column, printed

Found = TypeVar("Found")
OK = "ok"
FAULT = "fault"
"""Why a row has no numbers although its cell has: that network failed alone."""
CANARY = "canary"
"""The task whose faults are answers, and stay in its rows."""


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
    records: Sequence[Mapping[str, Any]] = ()
    """As they are kept, where the run has them."""
    known: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)
    """What was already read out of the rows; see `once`."""


def snapshot(run: RunLike) -> Snapshot:
    """Return a run with its rows fixed, so that no table or figure reads them again."""
    if isinstance(run, Snapshot):
        return run
    return Snapshot(run.manifest, run.rows, run.file, tuple(getattr(run, "records", ())))


def once(read: Callable[[RunLike], Found]) -> Callable[[RunLike], Found]:
    """Return a function that reads a snapshot's rows the first time only; not to be changed."""

    @functools.wraps(read)
    def inside(run: RunLike) -> Found:
        if not isinstance(run, Snapshot):
            return read(snapshot(run))
        if read not in run.known:
            run.known[read] = read(run)
        return run.known[read]

    return inside


def ok(
    run: RunLike, task: str, columns: Iterable[str] = (), *, table: str | None = None
) -> pd.DataFrame:
    """Return the good rows of a task; other columns are left out, absent ones empty.

    A row with a fault of its own is none of them. Rows that were measured for one table alone say
    so in a column `table`, and are found only by its name.
    """
    rows = run.rows
    wanted = list(dict.fromkeys(["key", "task", "status", "reason", "label", *columns]))
    if not {"task", "status"} <= set(rows.columns):
        return pd.DataFrame(columns=wanted)
    known = run.known if isinstance(run, Snapshot) else {}
    if (task, table) not in known:
        known[task, table] = _ok(rows, task, table)
    return known[task, table].reindex(columns=wanted)


def _ok(rows: pd.DataFrame, task: str, table: str | None) -> pd.DataFrame:
    found = rows[(rows["task"] == task) & (rows["status"] == OK)]
    if FAULT in found and task != CANARY:
        found = found[~found[FAULT].map(_said)]
    meant = found.get("table", pd.Series(None, index=found.index, dtype=object))
    found = found[meant.isna() if table is None else meant == table].reset_index(drop=True)
    return _plain(found)


def _plain(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows in which `backbone` names the network behind a `diffusion:<backbone>`."""
    if "denoiser" not in rows:
        return rows
    named = rows["denoiser"].astype(object).where(rows["denoiser"].notna(), "").astype(str)
    given = rows.get("backbone", pd.Series(None, index=rows.index, dtype=object)).astype(object)
    inner = named.where(named.str.startswith(DIFFUSION)).str.removeprefix(DIFFUSION)
    return rows.assign(backbone=given.where(given.notna(), inner))


def faults(run: RunLike, tasks: Iterable[str] | None = None) -> pd.DataFrame:
    """Return the cells that did not succeed, one line each: label, status, reason, task, table."""
    columns = ["label", "status", "reason", "task", "key", "table"]
    rows = run.rows
    if not {"task", "status"} <= set(rows.columns):
        return pd.DataFrame(columns=columns)
    bad = rows[rows["status"] != OK]
    if tasks is not None:
        bad = bad[bad["task"].isin(list(tasks))]
    bad = bad.reindex(columns=columns).drop_duplicates(subset=["key", "label"])
    return (
        bad.astype(object).fillna("").sort_values(["task", "label", "key"]).reset_index(drop=True)
    )


def asked(run: RunLike, table: str) -> bool:
    """Return whether a run was asked for a table that has cells of its own, however they ended."""
    return "table" in run.rows and bool((run.rows["table"] == table).any())


def fault_notes(
    run: RunLike, tasks: Iterable[str], limit: int = 12, *, table: str = ""
) -> list[str]:
    """Return the reasons for cells that are not there, for the lines beneath a table.

    Those that were meant for another table alone stand beneath that one.
    """
    bad = faults(run, tasks)
    bad = bad[bad["table"].isin(["", table])]
    notes = [f"{r.label}: {r.status} ({r.reason or 'no reason given'})" for r in bad.itertuples()]
    notes += _left_out(run, tasks)
    more = len(notes) - limit
    return [*notes[:limit], f"and {more} more, listed among the failures"] if more > 0 else notes


def _left_out(run: RunLike, tasks: Iterable[str]) -> list[str]:
    """Return the rows that failed alone, in words."""
    rows = run.rows
    if not {FAULT, "task", "status"} <= set(rows.columns):
        return []
    tasks = set(tasks) - {CANARY}
    bad = rows[rows["task"].isin(tasks) & (rows["status"] == OK) & rows[FAULT].map(_said)]
    return [
        f"{row['label']}: {printed(str(row.get('backbone')))} is left out ({row[FAULT]})"
        for row in bad.to_dict("records")
    ]


def _said(value: Any) -> bool:
    return bool(text_of(value))


def text_of(value: Any) -> str | None:
    """Return a value as text, None where it is missing."""
    return None if _absent(value) else str(value)


def integer(value: Any) -> int | None:
    """Return a count as int, None where it is missing."""
    return None if _absent(value) else int(value)


def counted(value: Any) -> str:
    """Return a count in words, "?" where a run does not tell it."""
    found = integer(value)
    return "?" if found is None else str(found)


def floating(value: Any) -> float | None:
    """Return a number as float, None where it is missing."""
    return None if _absent(value) else float(value)


def true(value: Any) -> bool:
    """Return a flag as bool (tables hold numpy's, which is not `True`); a missing one is False."""
    return not _absent(value) and bool(value)


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


def budget(run: RunLike) -> str:
    """Return the name of the run's budget."""
    found = run.manifest.get("budget", "unknown")
    return str(found.get("name", "unknown") if isinstance(found, Mapping) else found)


def budget_measured(run: RunLike, most: int = 3) -> str:
    """Return the budget that a comparison must name: with the settings that were changed in it.

    A budget under the paper's name with other settings is another budget.
    """
    found = run.manifest.get("changed_settings") or []
    names = [str(name) for name in (found if isinstance(found, list | tuple) else [found])]
    if not names:
        return budget(run)
    words = ", ".join([*names[:most], *(["..."] if len(names) > most else [])])
    return f"{budget(run)} with {words} changed"


def settings(run: RunLike) -> Mapping[str, Any]:
    """Return the run's effective settings."""
    found = run.manifest.get("settings") or run.manifest.get("budget")
    return found if isinstance(found, Mapping) else {}


def dataset(run: RunLike) -> str:
    """Return the name of the run's data set."""
    return str(run.manifest.get("dataset") or settings(run).get("dataset") or "unknown")


def same_data(run: RunLike, name: str) -> bool:
    """Return whether a data set is one of the paper's, whole; the manifest knows its own best."""
    decided = run.manifest.get("same_data") if name == dataset(run) else None
    return name in PAPER_DATA and (decided is None or bool(decided))


def data_words(run: RunLike, name: str) -> str:
    """Return what a data set is called beside the paper's: its name there only if it is the same.

    A subset under the name of the paper's data is "a part of" it.
    """
    if same_data(run, name):
        return PAPER_DATA[name]
    return f"a part of {paper_column(name)}" if name in PAPER_DATA else name


def counts(run: RunLike) -> dict[str, int]:
    """Return the number of cells by status."""
    rows = run.rows
    if not {"key", "status"} <= set(rows.columns):
        return {}
    cells = rows[["key", "status"]].fillna("unknown").drop_duplicates()
    return {str(status): int(n) for status, n in cells["status"].value_counts().items()}


def machine(run: RunLike) -> str:
    """Return the machine in one line."""
    return machine_words(run.manifest.get("machine") or {}) or "unknown machine"


def machine_words(about: Mapping[str, Any]) -> str:
    """Return what is known of a machine in one line; "" where nothing is."""
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
    return ", ".join(str(part) for part in parts if part)
