"""Data sets, archives, arrays and settings: what people download or write themselves."""

import io
import os
import random
import string
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from fuzz_kind import ABSENT, Kind, new_folder
from fuzz_mutations import VALUES, mutated, sealed_png, within_gzip
from PIL import Image

from bench import budget, canonical
from bench.data import _arrays, _idx, _pictures, celeba, cifar10, imagenet_church, lsun_church
from bench.data._files import Folder

BATCH = 4
"""Images in a batch of our small CIFAR-10."""


def idx(root: Path) -> list[Kind]:
    path = root / "images.gz"
    images = struct.pack(">4I", _idx.IMAGES, 3, 28, 28) + bytes(range(256)) * 9 + bytes(48)
    labels = struct.pack(">2I", _idx.LABELS, 3) + bytes((7, 0, 9))

    def read(data: bytes) -> object:
        path.write_bytes(data)
        return _idx.read_images(path, 3)

    def read_labels(data: bytes) -> object:
        path.write_bytes(data)
        return _idx.read_labels(path, 3)

    return [
        Kind("idx", lambda rng: within_gzip(rng, [images]), read),
        Kind("idx labels", lambda rng: within_gzip(rng, [labels]), read_labels),
    ]


def _pictures_of(form: str, modes: tuple[str, ...], **options: object) -> list[bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    out = []
    for mode in modes:
        file = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(file, form, **options)
        out.append(file.getvalue())
    return out


def pictures(root: Path) -> list[Kind]:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "upright"
    corpora = {
        "png": _pictures_of("PNG", ("1", "L", "P", "RGB", "RGBA"), exif=exif),
        "jpg": _pictures_of("JPEG", ("L", "RGB", "CMYK"), exif=exif),
        "webp": _pictures_of("WEBP", ("RGB", "RGBA"), exif=exif),
        "tif": _pictures_of("TIFF", ("1", "L", "RGB"))
        + _pictures_of("TIFF", ("RGB", "P"), compression="tiff_deflate")
        + _pictures_of("TIFF", ("RGB",), compression="tiff_lzw"),
        "bmp": _pictures_of("BMP", ("1", "L", "P", "RGB")),
        "ppm": [*_pictures_of("PPM", ("1", "L", "RGB")), b"P3\n1 1\n255\n1 2 3\n"],
    }

    def kind(form: str, corpus: list[bytes]) -> Kind:
        folder = new_folder(root / form)
        name = f"a.{form}"

        def make(rng: random.Random) -> bytes:
            data = mutated(rng, corpus)
            return sealed_png(data) if rng.random() < 0.5 else data

        def read(data: bytes) -> None:
            (folder / name).write_bytes(data)
            for picture in _pictures.pictures(Folder(folder), (name,)):
                _pictures.centre_square(picture, 8)
            _pictures.survey(Folder(folder))

        return Kind(f"picture, {form}", make, read)

    return [kind(form, corpus) for form, corpus in corpora.items()]


def zips(root: Path) -> list[Kind]:
    os.environ["BENCH_DATA_DIR"] = str(root)
    faces = _pictures_of("JPEG", ("RGB",)) * 3
    path = new_folder(root / "celeba") / "faces.zip"

    def zipped(names: list[str], contents: list[bytes]) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in zip(names, contents, strict=True):
                archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
        return out.getvalue()

    names = [f"img_align_celeba/{i:06}.jpg" for i in (1, 2, 3)]
    corpus = [zipped(names, faces)]

    def make(rng: random.Random) -> bytes:
        if rng.random() < 0.8:
            return mutated(rng, corpus)
        odd = mutated(rng, [name.encode() for name in names]).decode("latin-1")
        return zipped([*names[:2], odd], [*faces[:2], mutated(rng, faces)])

    def read(data: bytes) -> object:
        path.write_bytes(data)
        return celeba.Celeba(image_size=8).images("train")

    return [Kind("zip, celeba", make, read)]


def tars(root: Path) -> list[Kind]:
    cifar10.PER_FILE = BATCH
    path = root / "cifar.tar.gz"
    corpus = []
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=form) as archive:
            for name in ("x/" + "long/" * 30 + "readme", "x/test_batch.bin"):
                info = tarfile.TarInfo(name)
                info.size = BATCH * cifar10.RECORD
                archive.addfile(info, io.BytesIO(bytes(info.size)))
        corpus.append(out.getvalue())

    def read(data: bytes) -> object:
        path.write_bytes(data)
        return cifar10.read_archive(path, ("test_batch.bin",))

    return [Kind("tar, cifar10", lambda rng: within_gzip(rng, corpus), read)]


def arrays(root: Path) -> list[Kind]:
    about = {"name": "x", "counts": {"train": 2}, "channels": 3, "image_size": 4}
    right = np.arange(96, dtype=np.uint8).reshape(2, 3, 4, 4)
    _arrays.cached(about, "train", lambda: right.copy())
    (kept,) = (Path(os.environ["BENCH_CACHE_DIR"]) / "arrays").iterdir()
    npy, npz = root / "church.npy", root / "church.npz"
    corpus = [kept.read_bytes()]
    np.savez_compressed(npz, images=np.zeros((2, 64, 64, 3), np.uint8))
    packed = [npz.read_bytes()]

    def read(data: bytes) -> None:
        npy.write_bytes(data)
        lsun_church.read_npy(npy)

    def read_kept(data: bytes) -> object:
        kept.write_bytes(data)
        again = []
        found = _arrays.cached(about, "train", lambda: again.append(1) or right.copy())
        assert found.shape == right.shape and found.dtype == right.dtype
        return ABSENT if again else found

    def read_npz(data: bytes) -> None:
        npz.write_bytes(data)
        imagenet_church.read_npz(npz)

    return [
        Kind("npy", lambda rng: mutated(rng, corpus), read),
        Kind("npy, cached", lambda rng: mutated(rng, corpus), read_kept),
        Kind("npz", lambda rng: mutated(rng, packed), read_npz),
    ]


def settings(root: Path) -> list[Kind]:
    path = root / "settings.toml"
    text = b'scale = 0.5\nbackbones = ["unet"]\n[train]\nupdates = 20\n[generation]\nsteps = [5]\n'
    known = budget.names(budget.BUDGETS["paper"].model_dump())

    def read(data: bytes) -> object:
        path.write_bytes(data)
        chosen = budget.load_budget("smoke", file_values=budget.read_settings(path))
        return canonical.digest(chosen.model_dump(mode="json"))

    def make_words(rng: random.Random) -> str:
        key = rng.choice(known)
        if rng.random() < 0.3:
            key = mutated(rng, [key.encode()]).decode("utf-8", "surrogateescape")
        value = str(rng.choice((*VALUES, "5,10", "nan", "-inf", "1_0", "٣", "9" * 5000)))
        if rng.random() < 0.3:
            value = "".join(rng.choices(string.printable + "\u202e\udc80é\x1b", k=12))
        return f"{key}{rng.choice(('=', '=', '=', ' = ', '', '=='))}{value}"

    def read_words(words: str) -> object:
        return canonical.digest(budget.load_budget("smoke", [words]).model_dump(mode="json"))

    return [
        Kind("settings file", lambda rng: mutated(rng, [text]), read),
        Kind("--set", make_words, read_words),
    ]
