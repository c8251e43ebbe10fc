"""A run on disk: its manifest `run.json` (which cells, with which settings) and its rows.

Reading one needs no torch. `bench.load(folder)` is this module's `load`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import canonical
from bench.api import BenchError
from bench.store import Record, Store, write_atomically

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "run.json"
MISSING = "missing"
DIFFUSION = "diffusion:"


@dataclass(frozen=True)
class Run:
    """One run: what was asked for, and what came out."""

    folder: Path
    manifest: Mapping[str, Any]
    records: tuple[Record, ...]
    store: Store

    @property
    def rows(self) -> "pd.DataFrame":
        """Every row of every record; a record without rows still has one, with its status."""
        import pandas as pd

        return pd.DataFrame([row for record in self.records for row in _flat(record)])

    def file(self, key: str, name: str) -> Path:
        """Return a file that a cell of this run made."""
        return self.store.file(key, name)


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write `run.json`."""
    write_atomically(folder / MANIFEST, (canonical.dumps(manifest) + "\n").encode())


def load_run(folder: Path | str) -> Run:
    """Return the run in a folder.

    Raises:
        BenchError: If there is none.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    if not path.is_file():
        raise BenchError(
            f"no run in {folder}: expected {MANIFEST} there; name the --out folder of a run, or a "
            "folder below results/"
        )
    try:
        manifest = canonical.loads(path.read_bytes())
        store = Store((folder / manifest["store"]).resolve())
        keys = list(manifest["cells"])
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{path} is not a run manifest ({error}); run the command again") from None
    records = [store.peek(key) or _absent(key) for key in keys]
    return Run(folder, manifest, tuple(records), store)


def _absent(key: str) -> Record:
    """Return what stands for a record that is not there or damaged: a row that says so."""
    return {
        "key": key,
        "task": "unknown",
        "label": f"record {key[:12]}",
        "status": MISSING,
        "reason": "the record is missing or damaged; run the command again",
        "spec": {},
        "rows": [],
        "files": {},
    }


def load(folder: Path | str) -> "pd.DataFrame":
    """Return the rows of a run as a DataFrame; columns carry their unit."""
    return load_run(folder).rows


def _flat(record: Record) -> list[dict[str, Any]]:
    """Return a record's rows with its identity and specification as columns."""
    about = {name: record[name] for name in ("key", "task", "label", "status", "reason")}
    return [{**about, **_columns(record["spec"]), **row} for row in record["rows"] or [{}]]


def _columns(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a specification as columns: plug-ins by name, groups of settings left out."""
    columns: dict[str, Any] = {}
    for name, value in spec.items():
        if isinstance(value, Mapping):
            if "name" in value:
                columns[name] = value["name"]
            for inner in ("image_size", "scale", "recipe"):
                if inner in value:
                    columns[inner] = value[inner]
        elif not isinstance(value, list):
            columns[name] = value
    denoiser = columns.get("denoiser", "")
    if isinstance(denoiser, str) and denoiser.startswith(DIFFUSION):
        columns["backbone"] = denoiser.removeprefix(DIFFUSION)
    return columns
