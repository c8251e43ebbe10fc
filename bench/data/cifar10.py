"""CIFAR-10 from its binary version; the Python version is a set of pickles, which can run code."""

import gzip
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench import assets
from bench.api import BenchError, Kind, register
from bench.data._arrays import cached, check_size, check_split, resize_rule, resized
from bench.inputs import open_regular, printable, read_whole, unreadable

ARCHIVE = "cifar10/cifar-10-binary.tar.gz"
FOLDER = "cifar10/cifar-10-batches-bin"
PICKLES = ("cifar10/cifar-10-python.tar.gz", "cifar10/cifar-10-batches-py")
SIDE = 32
CLASSES = 10
RECORD = 1 + 3 * SIDE * SIDE
"""One label, then the red, green and blue planes."""
PER_FILE = 10_000
LARGEST = 256 * 2**20
"""More than the whole archive unpacks to (184 MB)."""
FILES = {
    "train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    "test": ("test_batch.bin",),
}
Decoder = Callable[[bytes, str], np.ndarray]
"""Takes one part out of a binary batch that lies at that place."""


def decode(data: bytes, where: str) -> np.ndarray:
    """Return the images [10000,3,32,32] of one binary batch.

    Raises:
        BenchError: If its length or a label is impossible.
    """
    return _records(data, where)[:, 1:].reshape(PER_FILE, 3, SIDE, SIDE)


def decode_labels(data: bytes, where: str) -> np.ndarray:
    """Return the labels [10000] of one binary batch, int64; raises as `decode` does."""
    return _records(data, where)[:, 0].astype(np.int64)


def _records(data: bytes, where: str) -> np.ndarray:
    if len(data) != PER_FILE * RECORD:
        raise BenchError(
            f"{where} has {len(data)} bytes, expected {PER_FILE * RECORD}; "
            "it is damaged: get it again"
        )
    records = np.frombuffer(data, np.uint8).reshape(PER_FILE, RECORD)
    if records[:, 0].max() >= CLASSES:
        raise BenchError(f"{where} holds a label above {CLASSES - 1}; it is not a CIFAR-10 batch")
    return records


def _read_batch(path: Path, take: Decoder = decode) -> np.ndarray:
    try:
        return take(read_whole(path, PER_FILE * RECORD), printable(path))
    except OSError as error:
        raise unreadable(path, error, f"{PER_FILE * RECORD} bytes") from error


class _Capped:
    """What an archive unpacks to, up to a limit: neither memory nor time is without one."""

    def __init__(self, file: gzip.GzipFile):
        self._file = file
        self._left = LARGEST

    def read(self, size: int) -> bytes:
        data = self._file.read(min(size, self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise BenchError(
                f"the archive of CIFAR-10 unpacks to more than {LARGEST} bytes; it is another "
                "file: get it again"
            )
        return data


def read_archive(path: Path, names: tuple[str, ...], take: Decoder = decode) -> list[np.ndarray]:
    """Return the images (or labels) of some batches of the .tar.gz, without unpacking it to disk.

    Raises:
        BenchError: If the archive is damaged or a batch is missing.
    """
    found: dict[str, bytes] = {}
    shown = printable(path)
    try:
        with open_regular(path) as packed, gzip.GzipFile(fileobj=packed) as plain:
            with tarfile.open(fileobj=_Capped(plain), mode="r|") as archive:
                for member in archive:
                    name = Path(member.name).name
                    if name not in names or not member.isreg() or member.issparse():
                        continue  # a link or a device of that name is not the batch
                    if name in found:
                        raise BenchError(f"{shown} holds {name} twice; get it again")
                    found[name] = archive.extractfile(member).read(PER_FILE * RECORD + 1)
    except BenchError:
        raise
    except Exception as error:  # crafted headers: anything can come out
        raise BenchError(
            f"{shown} cannot be unpacked ({printable(error)}); it is damaged: get it again"
        ) from error
    for name in names:
        if name not in found:
            raise BenchError(f"{shown} holds no {name}; expected the binary version of CIFAR-10")
    return [take(found[name], f"{shown}:{name}") for name in names]


@register(
    Kind.DATASET, "cifar10", source="Krizhevsky 2009, Learning multiple layers; 60,000 RGB 32x32"
)
class Cifar10:
    """Small colour pictures of ten classes, as the archive or unpacked."""

    name = "cifar10"
    channels = 3
    licence = "no stated licence; research use (Krizhevsky, Nair, Hinton)"
    paper_name = None
    same_data = True
    mirrors = True

    def __init__(self, image_size: int = 64):
        self.image_size = check_size(image_size)

    def images(self, split: str) -> np.ndarray:
        """Return uint8 [N,3,H,W]."""
        check_split(split)

        def make() -> np.ndarray:
            images = self._read(split, decode)
            if self.image_size == SIDE:
                return images
            return resized(images.transpose(0, 2, 3, 1).copy(), self.image_size)

        return cached(self.manifest(), split, make)

    def labels(self, split: str) -> np.ndarray:
        """Return what the images of a split show, int64 [N], 0 to 9."""
        check_split(split)
        return self._read(split, decode_labels)

    def labels_manifest(self) -> Mapping[str, Any]:
        """Return what identifies the labels; they lie in the files of the images."""
        return {"files": {}, "classes": CLASSES}

    def manifest(self) -> Mapping[str, Any]:
        """Return what identifies the data."""
        source = self._source()
        if source.is_file():
            files = [source]
        else:
            files = [source / name for names in FILES.values() for name in names]
        return {
            "name": self.name,
            "channels": self.channels,
            "image_size": self.image_size,
            "files": {file.name: assets.sha256(file) for file in files},
            "counts": {split: PER_FILE * len(names) for split, names in FILES.items()},
            "split": "official",
            "resize": resize_rule(SIDE, self.image_size),
        }

    def _read(self, split: str, take: Decoder) -> np.ndarray:
        source = self._source()
        if source.is_file():
            return np.concatenate(read_archive(source, FILES[split], take))
        return np.concatenate([_read_batch(source / name, take) for name in FILES[split]])

    def _source(self) -> Path:
        found = assets.find(ARCHIVE, FOLDER)
        if found is not None:
            return assets.remote_file("cifar10", ARCHIVE) if found.is_file() else found
        pickles = assets.find(*PICKLES)
        if pickles is not None:
            raise BenchError(
                f"{printable(pickles)} holds Python pickles, which can run code and are not read; "
                "expected the binary version: run `python -m bench fetch cifar10`"
            )
        raise assets.missing("cifar10", ARCHIVE, FOLDER)
