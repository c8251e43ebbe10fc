"""Folders and pictures that somebody made to harm, or that harm by accident."""

import io
import json
import os
import socket
import struct
import time
import tracemalloc
import unicodedata
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin

from bench.api import BenchError
from bench.data import _files, _pictures
from bench.registry import build


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    made = tmp_path / "pictures"
    made.mkdir()
    for i in range(3):
        (made / f"{i}.png").write_bytes(picture(value=i))
    return made


def picture(form="PNG", mode="RGB", size=(8, 8), value=1, **options):
    out = io.BytesIO()
    Image.new("RGB", size, (value, 20, 30)).convert(mode).save(out, form, **options)
    return out.getvalue()


def images(folder, size=8):
    data = build("dataset", f"folder:{folder}", image_size=size)
    return np.concatenate([data.images("train"), data.images("test")])


def fault(folder, name, content):
    """Return what is said of a folder to which one file was added."""
    (folder / name).write_bytes(content)
    with pytest.raises(BenchError) as caught:
        images(folder)
    message = str(caught.value)
    assert message.isprintable() and name in message
    return message


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth=8, colour=2, extra=b"", pixels=b""):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    packed = chunk(b"IDAT", zlib.compress(pixels))
    return b"\x89PNG\r\n\x1a\n" + header + extra + packed + chunk(b"IEND", b"")


# ------------------------------------------------------------------------------- contents


@pytest.mark.parametrize("sides", [(65_535, 65_535), (2**31 - 1, 1), (10_000, 9_000)])
def test_a_size_that_only_the_header_claims_is_refused_before_pixels(folder, sides):
    tracemalloc.start()
    message = fault(folder, "huge.png", png(*sides))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "is too large" in message
    assert peak < 50e6


def test_the_limit_holds_whatever_another_library_set(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert "is too large (10000x9000 pixels)" in fault(folder, "huge.png", png(10_000, 9_000))
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    (folder / "huge.png").write_bytes(picture("JPEG", size=(64, 64))[:-200])
    with pytest.raises(BenchError, match=r"huge\.png is not a readable picture .*Truncated"):
        images(folder)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True  # as it was found


@pytest.mark.parametrize(
    ("name", "form"), [("a.png", "PNG"), ("a.webp", "WEBP"), ("a.tif", "TIFF")]
)
def test_several_frames_are_refused(folder, name, form):
    more = [Image.new("RGB", (8, 8), (60 * i, 0, 0)) for i in range(4)]
    content = picture(form, save_all=True, append_images=more)
    assert "has 5 frames, expected one picture" in fault(folder, name, content)


def test_pages_are_counted_so_far(folder):
    more = [Image.new("L", (1, 1)) for _ in range(150)]
    content = picture("TIFF", mode="L", save_all=True, append_images=more)
    assert "has 100 or more frames" in fault(folder, "a.tif", content)


@pytest.mark.parametrize(("colour", "samples"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bits_are_refused_in_every_kind_of_png(folder, colour, samples):
    pixels = b"".join(b"\0" + bytes(8 * 2 * samples) for _ in range(8))
    content = png(8, 8, depth=16, colour=colour, pixels=pixels)
    assert "more than 8 bits per channel" in fault(folder, "deep.png", content)


@pytest.mark.parametrize("magic", [b"P5", b"P6", b"P2", b"P3"])
def test_sixteen_bits_are_refused_in_pnm(folder, magic):
    content = magic + b"\n8 8\n1023\n" + (b"9 " if magic in (b"P2", b"P3") else b"\0\x09") * 192
    assert "more than 8 bits per channel" in fault(folder, "deep.ppm", content)


def test_sixteen_bits_are_refused_in_a_coloured_tiff(folder):
    entries = [
        (256, 3, 1, 8),
        (257, 3, 1, 8),
        (258, 3, 3, 134),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 140),
        (277, 3, 1, 3),
        (278, 3, 1, 8),
        (279, 4, 1, 8 * 8 * 6),
    ]
    table = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", *entry) for entry in entries
    )
    content = b"II*\0" + struct.pack("<I", 8) + table + bytes(4)
    content = content.ljust(134, b"\0") + struct.pack("<3H", 16, 16, 16) + bytes(8 * 8 * 6)
    assert "more than 8 bits per channel" in fault(folder, "deep.tif", content)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "LA", "RGBA"])
def test_other_modes_are_turned_into_rgb(folder, mode):
    form = "JPEG" if mode == "CMYK" else "PNG"
    (folder / f"z.{form.lower()}").write_bytes(picture(form, mode=mode, value=250))
    assert images(folder).shape == (4, 3, 8, 8)


def test_exif_turns_a_picture_upright(folder):
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[0] = 255
    turned = Image.Exif()
    turned[0x0112] = 3
    Image.fromarray(pixels).save(folder / "z.png", exif=turned)
    assert images(folder)[3, :, -1].min() == 255


def test_a_format_that_would_start_a_program_is_not_tried(folder):
    text = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
    assert "is not a readable picture" in fault(folder, "a.png", text)
    out = io.BytesIO()
    Image.new("P", (8, 8)).save(out, "GIF")
    (folder / "a.png").write_bytes(out.getvalue())
    with pytest.raises(BenchError, match=r"a\.png is not a readable picture"):
        images(folder)


def test_metadata_bombs_are_refused(folder):
    bomb = zlib.compress(bytes(200 * 2**20), 9)
    tracemalloc.start()
    for kind, data in [
        (b"zTXt", b"k\0\0" + bomb),
        (b"iTXt", b"k\0\1\0\0\0" + bomb),
        (b"iCCP", b"k\0\0" + bomb),
    ]:
        pixels = (b"\0" + bytes(24)) * 8
        assert "is not a readable" in fault(
            folder, "bomb.png", png(8, 8, extra=chunk(kind, data), pixels=pixels)
        )
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_much_metadata_is_no_fault(folder):
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "x" * 100_000)
    (folder / "z.png").write_bytes(
        picture(pnginfo=info, exif=b"Exif\0\0II*\0" + struct.pack("<IH", 8, 0) + bytes(500_000))
    )
    assert len(images(folder)) == 4


# ------------------------------------------------------------------------ what lies there


def test_several_faults_are_counted_in_one_line(folder):
    for name in "abcde":
        (folder / f"{name}.png").write_bytes(b"no picture")
    with pytest.raises(BenchError) as caught:
        images(folder)
    message = str(caught.value)
    assert "5 of 8 pictures cannot be used" in message and "and 2 more" in message
    assert "a.png" in message and "c.png" in message and "d.png" not in message


def test_faults_that_show_in_the_pixels_are_counted_too(folder):
    whole = picture("JPEG", size=(64, 64))
    for name in ("0.jpg", "00.jpg"):
        (folder / name).write_bytes(whole[:-100])
    (folder / "2.png").unlink()
    with pytest.raises(BenchError, match="2 of 4 pictures cannot be used"):
        images(folder)


def test_pipes_sockets_and_devices_are_not_waited_for(folder, monkeypatch):
    os.mkfifo(folder / "pipe.png")
    with pytest.raises(BenchError, match=r"pipe\.png cannot be read \(it is a pipe"):
        images(folder)
    (folder / "pipe.png").unlink()
    (folder / "null.png").symlink_to("/dev/zero")
    with pytest.raises(BenchError, match=r"null\.png cannot be read \(it is a device"):
        images(folder)
    (folder / "null.png").unlink()
    monkeypatch.chdir(folder)  # the address of a socket is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("door.png")
        with pytest.raises(BenchError, match=r"door\.png cannot be read \(it is a socket"):
            images(folder)


def test_links(folder, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "far.png").write_bytes(picture(value=99))
    (folder / "near.png").symlink_to(tmp_path / "outside" / "far.png")
    (folder / "sub").symlink_to(tmp_path / "outside")
    (folder / "again").symlink_to(folder)
    (folder / "folder.png").symlink_to(tmp_path / "outside")
    found = images(folder)
    assert len(found) == 4, "a link to a picture counts, a link to a folder does not"
    assert found[3, 0, 0, 0] == 99
    (tmp_path / "outside" / "far.png").write_bytes(picture(value=98))
    assert images(folder)[3, 0, 0, 0] == 98, "a changed target is seen"


@pytest.mark.parametrize("target", ["nowhere.png", "loop.png"])
def test_a_link_that_leads_nowhere_is_named(folder, target):
    (folder / "loop.png").symlink_to(folder / target)
    with pytest.raises(BenchError, match=r"loop\.png cannot be read"):
        images(folder)


def test_folders_with_the_name_of_a_picture_are_entered(folder):
    (folder / "deep.png" / "er.jpg").mkdir(parents=True)
    (folder / "deep.png" / "er.jpg" / "x.PNG").write_bytes(picture())
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "x.png").write_bytes(b"never read")
    assert _files.Folder(folder).names[-1] == "deep.png/er.jpg/x.PNG"
    assert len(images(folder)) == 4


NAMES = (
    "with space.png",
    "-rf.png",
    "line\nend.png",
    "\x1b]0;title\x07\x1b[31mred.png",
    "\u202egnp.exe.png",
    unicodedata.normalize("NFC", "é.png"),
    unicodedata.normalize("NFD", "é.png"),
    "n" * 251 + ".png",
    os.fsdecode(b"not-utf8-\xff\xfe.png"),
)


def test_any_name_is_read_and_hashed(folder):
    for i, name in enumerate(NAMES):
        (folder / name).write_bytes(picture(value=100 + i))
    assert len(images(folder)) == 3 + len(NAMES)
    before = build("dataset", f"folder:{folder}").manifest()
    (folder / NAMES[-1]).rename(folder / os.fsdecode(b"not-utf8-\xff\xfd.png"))
    assert build("dataset", f"folder:{folder}").manifest() != before


@pytest.mark.parametrize("name", NAMES)
def test_any_name_can_be_told(folder, name):
    (folder / name).write_bytes(b"")
    with pytest.raises(BenchError, match="it is empty") as caught:
        images(folder)
    message = str(caught.value)
    assert message.isprintable() and message.encode()
    assert len(message) < 1000


@pytest.mark.parametrize("path", ["/\udcff", "/a\nb", "/\x1b[31m", "~nobody-here/x", "n" * 5000])
def test_a_folder_of_any_name_is_told(path):
    with pytest.raises(BenchError) as caught:
        build("dataset", f"folder:{path}")
    assert str(caught.value).isprintable()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_may_not_be_read_is_named(folder):
    (folder / "0.png").chmod(0)
    with pytest.raises(BenchError, match=r"0\.png cannot be read"):
        images(folder)
    (folder / "0.png").chmod(0o600)
    (folder / "closed").mkdir(mode=0)
    with pytest.raises(BenchError, match="closed cannot be read"):
        images(folder)


def test_a_closed_folder_is_not_taken_for_an_empty_one(folder, monkeypatch):
    (folder / "closed").mkdir()
    scandir = os.scandir

    def guarded(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(BenchError, match=r"closed cannot be read \(Permission denied\)"):
        images(folder)


def test_a_huge_file_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(_files, "LARGEST_FILE", 10_000)
    with (folder / "sparse.png").open("wb") as file:
        file.truncate(10**10)
    with pytest.raises(BenchError, match=r"sparse\.png cannot be read \(it is longer than"):
        images(folder)


def many(folder, count):
    content = picture()
    for part in range(count // 1000):
        (folder / str(part)).mkdir()
        for i in range(1000):
            (folder / str(part) / f"{i}.png").write_bytes(content)


def test_a_survey_is_remembered(folder, monkeypatch):
    many(folder, 1000)
    first = _pictures.survey(_files.Folder(folder))
    monkeypatch.setattr(_files.Folder, "read", lambda *_: pytest.fail("read again"))
    assert _pictures.survey(_files.Folder(folder)) == first


@pytest.mark.slow
def test_a_hundred_thousand_pictures(folder):
    many(folder, 100_000)
    first = _pictures.survey(_files.Folder(folder))
    started = time.perf_counter()
    assert _pictures.survey(_files.Folder(folder)) == first
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize(
    "poison",
    [
        None,
        [],
        {},
        "text",
        {"sha256": "0" * 64},
        {"sha256": 5, "sizes": {}},
        {"sha256": "0" * 64, "sizes": {"8x8": "3"}},
        {"sha256": "0" * 64, "sizes": {"8": 3}},
        {"sha256": "0" * 64, "sizes": {"8x-8": 3}},
        {"sha256": "0" * 64, "sizes": {"8x8": 3}, "more": 1},
    ],
)
def test_a_poisoned_memory_is_made_again(folder, tmp_path, poison):
    first = _pictures.survey(_files.Folder(folder))
    (memory,) = (tmp_path / "cache" / "memory").rglob("*.json")
    memory.write_text(json.dumps({"answer": poison}))
    assert _pictures.survey(_files.Folder(folder)) == first
    memory.write_text("[" * 100_000)
    assert _pictures.survey(_files.Folder(folder)) == first
