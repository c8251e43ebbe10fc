"""A run on disk: its manifest `run.json` (which cells, with which settings) and its rows.

Reading one needs no torch. `bench.load(folder)` is this module's `load`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import canonical
from bench.api import BenchError, StorageError
from bench.inputs import escaped
from bench.record import is_key
from bench.store import FOLDERS, Record, Store, write_atomically

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "run.json"
PAGES = ("report.html", "report.md")
MISSING = "missing"
DIFFUSION = "diffusion:"
ABOUT = ("key", "task", "label", "status", "reason")
"""Columns that every row has."""
PARTS: dict[str, type] = {
    "cells": list, "store": str, "report": str, "name": str, "counts": dict, "budget": dict,
    "experiments": list, "machine": dict, "versions": dict, "git": dict, "merkle_root": str,
    "findings": list, "changed_settings": list, "shared": str,
}  # fmt: skip
"""Types of a manifest's parts, where it has them."""
NEEDED = ("cells", "store")
BESIDE = ("generator",)
"""Plug-ins of a specification that stand beside a network."""


@dataclass(frozen=True)
class Run:
    """One run: what was asked for, and what came out."""

    folder: Path
    manifest: Mapping[str, Any]
    records: tuple[Record, ...]
    store: Store

    @property
    def lost(self) -> list[Record]:
        """What stands for the records that are not there, or damaged."""
        return [record for record in self.records if record["status"] == MISSING]

    @property
    def rows(self) -> "pd.DataFrame":
        """Every row of every record; a record without rows still has one, with its status."""
        import pandas as pd

        rows = [row for record in self.records for row in flat(record)]
        return pd.DataFrame(rows, columns=None if rows else list(ABOUT))

    @property
    def report(self) -> Path:
        """Where the page and the figures are.

        Raises:
            BenchError: If the manifest names a place that is neither in the run's folder nor, for
                one below a folder `results`, in the folder `reports` beside that.
        """
        home = self.folder.resolve()
        place = (home / str(self.manifest.get("report", "."))).resolve()
        results = next((parent for parent in home.parents if parent.name == "results"), None)
        beside = None if results is None else results.parent / "reports"
        if place.is_relative_to(home) or (beside is not None and place.is_relative_to(beside)):
            return place
        raise BenchError(
            f"{self.folder / MANIFEST} says that its report is at {escaped(str(place))}, which is "
            "no place of this run; name a folder with --out"
        )

    def file(self, key: str, name: str) -> Path:
        """Return a file that a cell of this run made."""
        return self.store.file(key, name)


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write `run.json`."""
    write_atomically(folder / MANIFEST, (canonical.dumps(manifest) + "\n").encode())


def refuse_others_files(out: Path) -> None:
    """Refuse a folder whose files are called as a run's and are none's: they would be lost.

    Raises:
        BenchError: If there are such.
    """
    if (out / FOLDERS[0]).is_dir():
        return
    for name in (MANIFEST, *PAGES):
        if (out / name).exists():
            raise BenchError(
                f"{out} holds {name} and no run, which would be overwritten; choose another "
                "--out, or move it away"
            )


def load_run(folder: Path | str) -> Run:
    """Return the run in a folder.

    Raises:
        BenchError: If there is none.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    try:
        if not path.is_file():
            raise _no_run(folder)
        manifest = _checked(canonical.loads(path.read_bytes()))
        store = Store((folder / manifest["store"]).resolve())
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise BenchError(
            f"{path} is not a run manifest ({escaped(str(error))[:200]}); run the command again"
        ) from None
    records = [_look(store, key) for key in manifest["cells"]]
    return Run(folder, manifest, tuple(records), store)


def _no_run(folder: Path) -> BenchError:
    """Return what to say of a folder without a manifest, which a run writes when it ends."""
    if all((folder / name).is_dir() for name in FOLDERS):
        kept = sum(path.suffix == ".json" for path in (folder / "cells").iterdir())
        return BenchError(
            f"the run in {folder} has not ended: {kept} cells are kept, and no {MANIFEST} yet; its "
            "command goes on with it: run it again, or wait where it still runs"
        )
    return BenchError(
        f"no run in {folder}: expected {MANIFEST} there; name the --out folder of a run, "
        "or a folder below results/"
    )


def _checked(manifest: Any) -> dict[str, Any]:
    """Return a manifest after checking what it is made of.

    Raises:
        ValueError: If a part is missing or of another type.
    """
    if type(manifest) is not dict:
        raise ValueError("expected a mapping")
    for name, kind in PARTS.items():
        if type(manifest.get(name)) is not kind and (name in manifest or name in NEEDED):
            raise ValueError(f"expected a {kind.__name__} as '{name}'")
    keys = manifest["cells"]
    if not all(is_key(key) for key in keys) or len(set(keys)) != len(keys):
        raise ValueError("expected keys as 'cells', each once")
    return manifest


def _look(store: Store, key: str) -> Record:
    """Return a record, or what stands for one that is not there or damaged: a row that says so."""
    record, reason = store.look(key)
    if record is not None:
        return record
    why = f" ({reason})" if reason else ""
    return {
        "key": key,
        "task": "unknown",
        "label": f"record {key[:12]}",
        "status": MISSING,
        "reason": f"the record is missing or damaged{why}; run the command again",
        "spec": {},
        "uses": [],
        "timing": False,
        "made": {},
        "rows": [],
        "files": {},
    }


def load(folder: Path | str) -> "pd.DataFrame":
    """Return the rows of a run, of one that was published too, as a DataFrame.

    One line per row of each record, a record without rows included; columns carry their unit.
    Types follow what the records hold, whatever is missing: counts are `Int64`, flags `boolean`,
    numbers `float64`, text `str`, lists and tables `object`.

    Raises:
        BenchError: If there is no run in the folder.
    """
    return frame(load_run(folder).records)


def frame(records: Iterable[Record]) -> "pd.DataFrame":
    """Return the rows of records with the types of their values (`load`)."""
    import pandas as pd

    rows = [row for record in records for row in flat(record)]
    names = list(dict.fromkeys(name for row in rows for name in row)) or list(ABOUT)
    columns = {name: [row.get(name) for row in rows] for name in names}
    return pd.DataFrame(
        {name: pd.Series(values, dtype=_type_of(values)) for name, values in columns.items()}
    )


def _type_of(values: Iterable[Any]) -> str:
    """Return the type of a column by the values in it.

    One that holds several, or an integer that 64 bits do not hold, stays as it is.
    """
    values = list(values)
    kinds = {type(value) for value in values if value is not None}
    if any(type(value) is int and not -(2**63) <= value < 2**63 for value in values):
        return "object"
    if kinds == {int}:
        return "Int64"
    if kinds == {bool}:
        return "boolean"
    if kinds and kinds <= {int, float}:
        return "float64"
    return "str" if kinds == {str} else "object"


def flat(record: Record) -> list[dict[str, Any]]:
    """Return a record's rows with its identity and specification as columns."""
    about = {name: record[name] for name in ABOUT}
    columns = _columns(record["spec"])
    return [{**about, **columns, **row, **about} for row in record["rows"] or [{}]]


def _columns(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a specification as columns: plug-ins by name, groups of settings left out."""
    columns: dict[str, Any] = {}
    for name, value in spec.items():
        if isinstance(value, Mapping):
            if "name" in value:
                columns[name] = value["name"]
            if name in BESIDE:  # its size is not that of the network that the row is about
                continue
            for inner in ("image_size", "scale", "recipe"):
                if inner in value:
                    columns[inner] = value[inner]
        elif not isinstance(value, list):
            columns[name] = value
    denoiser = columns.get("denoiser", "")
    if isinstance(denoiser, str) and denoiser.startswith(DIFFUSION):
        columns["backbone"] = denoiser.removeprefix(DIFFUSION)
    return columns
