"""Long work in parts that are kept as they are made, so that an interrupted cell goes on.

A part is what a task makes of one block of its items. Parts are saved several to a file where they
are quick, one to a file where they are slow: saving takes about `SHARE` of the time. A file that
is damaged, or that another cell made, counts as absent and its parts are made again. What is read
back is bit for bit what was made, hence so is the result, wherever the work was cut.

A context that has a `share` makes those parts only and stops: the cell finds them (`bench.shards`).
"""

import contextlib
import hashlib
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bench.api import Context, Paused, StorageError
from bench.batches import blocks
from bench.disk import sync_folder
from bench.seeds import seed_globals
from bench.shards import count_of, share_of
from bench.temporary import temporary_beside

SHARE = 0.01
"""Of the time, that saving may take."""
HEADER = "kept"
Part = dict[str, Tensor]


# ------------------------------------------------------------------ parts


def home_of(context: Context) -> Path:
    """Return where the half-done work of a cell lies: one place for what made it.

    The cells that it uses may be measured anew meanwhile, by `--fresh`, and leave other bytes on
    another machine; what was made from the earlier ones must not be joined to what these make.
    """
    made_from = getattr(context, "made_from", "")
    return context.partial / made_from if made_from else context.partial


def in_parts(
    context: Context,
    make: Callable[[range], Mapping[str, Tensor]],
    *,
    count: int,
    size: int,
    name: str = "parts",
) -> Iterator[Part]:
    """Yield what `make` makes of each block of `size` of `count` items: kept, or made now.

    Of a share of the cell nothing is yielded: its parts are kept, and that is all.

    Args:
        context: Of the cell; told how far the work is, of a share that share of the whole.
        make: Called without gradients, with the global random generators seeded by cell and block.
        count: Number of items.
        size: Items in a block; the last may be shorter.
        name: Of the work, where a cell has several.

    Raises:
        Paused: If the run is being stopped, or the share is done; what is done is safe.
    """
    shelf = _Shelf(home_of(context) / name, of=f"{context.partial.name}/{name}")
    share = getattr(context, "share", None)
    mine = share_of(count_of(count, size), *(share or (0, 1)))
    done = 0
    for block in list(blocks(count, size))[mine.start : mine.stop]:
        part = shelf.take(block.start)
        if part is None:
            _stop_if_wanted(context, shelf)
            seed_globals("part", shelf.of, block.start)
            with torch.inference_mode():
                made = make(block)
            # Like what comes back from a file: on the CPU, contiguous, without inference mode.
            part = {key: _plain(value).clone() for key, value in made.items()}
            shelf.put(block.start, part)
        done += len(block)
        context.progress(done, count)
        if share is None:
            yield part
    if share is not None:
        shelf.save()
        raise Paused
    _stop_if_wanted(context, shelf)


def joined(parts: Iterable[Mapping[str, Tensor]]) -> Part:
    """Return the parts' tensors joined along the first dimension, name by name."""
    pieces: dict[str, list[Tensor]] = defaultdict(list)
    for part in parts:
        for name, value in part.items():
            pieces[name].append(value)
    return {name: torch.cat(values) for name, values in pieces.items()}


def _stop_if_wanted(context: Context, shelf: "_Shelf") -> None:
    if context.pause_wanted():
        shelf.save()
        raise Paused


@dataclass
class Pace:
    """Says when to save again: when the last time, at its cost, is `share` of the time since."""

    share: float = SHARE
    cost: float = 0.0
    """Seconds that saving took last, or is thought to take."""
    _last: float = field(default_factory=lambda: time.monotonic())

    def due(self) -> bool:
        """Return whether to save now."""
        return (time.monotonic() - self._last) * self.share >= self.cost

    def spend(self, save: Callable[[], None]) -> None:
        """Save and note what it cost."""
        started = time.monotonic()
        save()
        self._last = time.monotonic()
        self.cost = self._last - started


@dataclass
class _Shelf:
    """The parts of one piece of work: on disk, and waiting to be."""

    folder: Path
    of: str
    _pace: Pace = field(default_factory=Pace)
    _found: dict[int, Part] = field(default_factory=dict)
    """Read from a file and not yet asked for."""
    _waiting: dict[int, Part] = field(default_factory=dict)

    def take(self, start: int) -> Part | None:
        """Return the part that begins at an item, or None where none is kept."""
        if start not in self._found:
            tensors, _ = read_kept(self._path(start), of=self.of) or ({}, {})
            for name, value in tensors.items():
                first, _, rest = name.partition("/")
                if first.isdecimal():  # else it is none of ours
                    self._found.setdefault(int(first), {})[rest] = value.clone()
        part = self._found.pop(start, None)
        if part is not None:
            self.save()  # what is in a file follows each other, and is found by its first
        return part

    def put(self, start: int, part: Part) -> None:
        """Keep a part, at once or with the next ones."""
        self._waiting[start] = part
        if self._pace.due():
            self.save()

    def save(self) -> None:
        """Put on disk what waits."""
        if self._waiting:
            tensors = {
                f"{start}/{name}": value
                for start, part in self._waiting.items()
                for name, value in part.items()
            }
            path = self._path(min(self._waiting))
            self._pace.spend(lambda: keep(path, tensors, of=self.of, facts={}))
            self._waiting.clear()

    def _path(self, start: int) -> Path:
        return self.folder / f"{start:08d}.safetensors"


# ------------------------------------------------------------------ files


def keep(path: Path, tensors: Mapping[str, Tensor], *, of: str, facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON-able facts, fsynced, whole or not at all; an old file stays till then.

    Args:
        path: Of the file; of two who write it at once, one is the last.
        tensors: Name -> tensor.
        of: What they belong to; `read_kept` asks for the same.
        facts: Whatever else.

    Raises:
        StorageError: If it cannot be written.
    """
    plain = {name: _plain(value) for name, value in tensors.items()}
    body = {"of": of, "facts": dict(facts)}
    header = json.dumps({**body, "sha256": _digest(plain, body)})
    write_tensors(path, plain, {HEADER: header})


def read_kept(path: Path, *, of: str) -> tuple[Part, dict[str, Any]] | None:
    """Return the tensors and facts that `keep` wrote, or None where they are not there whole.

    The tensors are views of the file: copy what outlives it.
    """
    try:
        tensors, metadata = read_tensors(path)
        header = json.loads(metadata[HEADER])
        claimed = header.pop("sha256")
        whole = header["of"] == of and claimed == _digest(tensors, header)
        return (tensors, header["facts"]) if whole else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file as `bench.disk.write_atomically` does.

    Straight from the tensors' memory: for a network at full width that is four times as fast as
    making the file's bytes first.

    Raises:
        StorageError: If it cannot be written.
    """
    temporary = temporary_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(_unshared(tensors), temporary, metadata=dict(metadata))
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or error
        raise StorageError(
            f"cannot write {path}: {reason}; earlier results are untouched; "
            "free space or choose another --out"
        ) from error


def read_tensors(path: Path) -> tuple[Part, dict[str, str]]:
    """Return tensors and metadata of a safetensors file; the tensors are views of it.

    Raises:
        ValueError: If it is missing or is not one, with the reason.
    """
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            raise ValueError("no such file")
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
    except Exception as error:  # whatever its reader makes of a damaged file
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


def _plain(value: Tensor) -> Tensor:
    return value.detach().cpu().contiguous()


def _unshared(tensors: Mapping[str, Tensor]) -> Part:
    """Return tensors of which no two share memory, which the format has no notion of."""
    seen: set[int] = set()
    result = {}
    for name, value in tensors.items():
        place = value.untyped_storage().data_ptr()
        result[name] = value.clone() if place in seen else value
        seen.add(place)
    return result


def _digest(tensors: Mapping[str, Tensor], body: Mapping[str, Any]) -> str:
    """Return the sha256 of what a file says and holds."""
    sha = hashlib.sha256(json.dumps(body, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        sha.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        sha.update(memoryview(value.reshape(-1).view(torch.uint8).numpy()))
    return sha.hexdigest()
