"""Reading one array of pictures from a .npz, .npy or .safetensors file that somebody else wrote.

No pickle is ever read; what a header claims is checked before memory is set aside for it.
"""

import math
import os
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np
import psutil

from bench.api import BenchError, Missing
from bench.data._arrays import raw_header
from bench.data._files import ENCRYPTED, LARGEST_DIRECTORY, METHODS, _directory_size
from bench.inputs import open_regular, printable, unreadable

WANTED = "images"
"""The array that is taken where a file holds several."""
SUFFIXES = (".npz", ".npy", ".safetensors")
SHARE = 0.5
"""Of the free memory, that one array may take."""
MOST_NAMED = 5


def read_array_file(path: Path) -> np.ndarray:
    """Return the one array of a file, or the one called `images` where there are several.

    Raises:
        Missing: If too little memory is free.
        BenchError: If it cannot be read, or which array is meant is not clear.
    """
    read = {".npz": _npz, ".npy": _npy, ".safetensors": _safetensors}[path.suffix.lower()]
    try:
        with open_regular(path) as file:
            return read(path, file)
    except OSError as error:
        raise unreadable(path, error, "a file of pictures") from error
    except BenchError:
        raise
    except Exception as error:  # crafted headers: anything can come out
        raise BenchError(
            f"{printable(path)} is not a readable {path.suffix.lower()} file "
            f"({printable(error, 150)}); write it again, as one array of numbers"
        ) from error


def _npy(path: Path, file: BinaryIO) -> np.ndarray:
    shape, kind, fortran = _header(file)
    start, count = file.tell(), math.prod(shape)
    size = os.fstat(file.fileno()).st_size
    if size != start + count * kind.itemsize:
        raise ValueError(
            f"it has {size} bytes, its header promises {start + count * kind.itemsize}"
        )
    if count == 0:
        return np.empty(shape, kind)
    return np.memmap(file, kind, "r", start, shape, order="F" if fortran else "C")


def _npz(path: Path, file: BinaryIO) -> np.ndarray:
    if _directory_size(file) > LARGEST_DIRECTORY:
        raise ValueError("its table of contents is too long")
    with zipfile.ZipFile(file) as archive:
        found = {i.filename: i for i in archive.infolist() if i.filename.endswith(".npy")}
        name = _chosen(path, [name.removesuffix(".npy") for name in found])
        info = found[f"{name}.npy"]
        if info.flag_bits & ENCRYPTED or info.compress_type not in METHODS:
            raise ValueError(f"its array '{printable(name, 60)}' is encrypted or packed strangely")
        _refuse_too_large(path, info.file_size)
        with archive.open(info) as entry:
            shape, kind, fortran = _header(entry)
            data = entry.read(math.prod(shape) * kind.itemsize + 1)
    if len(data) != math.prod(shape) * kind.itemsize:
        raise ValueError("it has another length than its header promises")
    return np.frombuffer(data, kind).reshape(shape, order="F" if fortran else "C")


def _safetensors(path: Path, file: BinaryIO) -> np.ndarray:
    from safetensors import safe_open

    with safe_open(path, framework="np") as tensors:
        name = _chosen(path, list(tensors.keys()))
        _refuse_too_large(path, os.fstat(file.fileno()).st_size)
        array: np.ndarray = tensors.get_tensor(name)
    return array


def _header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype, bool]:
    """Return shape, type and whether the order is Fortran's; of numbers only, never of objects."""
    shape, kind, fortran = raw_header(file)
    if kind.hasobject or kind.kind not in "buif" or any(side < 0 for side in shape):
        raise ValueError(f"it holds {kind} {shape}, expected numbers")
    return shape, kind, fortran


def _chosen(path: Path, names: list[str]) -> str:
    if WANTED in names:
        return WANTED
    if len(names) == 1:
        return names[0]
    shown = ", ".join(printable(name, 60) for name in names[:MOST_NAMED]) or "none"
    raise BenchError(
        f"{printable(path)} holds {len(names)} arrays ({shown}), none of them called '{WANTED}'; "
        f"expected one array, or one of that name"
    )


def _refuse_too_large(path: Path, size: int) -> None:
    free = psutil.virtual_memory().available
    if size > SHARE * free:
        raise Missing(  # and not the file's fault: more may be free the next time
            f"{printable(path)} claims {size / 2**30:.1f} GiB of pictures, and {free / 2**30:.1f} "
            "GiB of memory are free; give fewer pictures, or a .npy file, which is read in parts"
        )
