"""Ways to damage bytes, as accidents and attackers do."""

import copy
import gzip
import json
import random
import struct
import zlib

INTERESTING = (0, 1, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31)
INTERESTING += (2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1, 2**60)
TOKENS = (b"\0", b"\x1b[31m", b"\n", b"-1", b"1e999", b"9" * 400, b"NaN", b'"', b"'", b"{", b"}")
TOKENS += (b"[" * 300, b"]", b"../", b"/etc/passwd", b"\xff\xfe", b"\xed\xb2\x80", b"true", b"null")
TOKENS += ("\u202e".encode(), b"\xef\xbb\xbf", b"0x", b".", b"=", b",", b"\\u0000", b"\\udc80")
VALUES = (None, True, -1, 0, 2**70, 1e308, "", "x" * 300, "\x1b[2J", "../x", [], {}, [[[]]], "1")
PNG = b"\x89PNG\r\n\x1a\n"


def mutated(rng: random.Random, corpus: list[bytes]) -> bytes:
    """Return one of the corpus after one to four changes."""
    data = bytearray(rng.choice(corpus))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        rng.choice(CHANGES)(rng, data, corpus)
    return bytes(data)


def _place(rng: random.Random, data: bytearray) -> int:
    """Return a position; the first bytes, where headers are, are more likely."""
    most = max(len(data) - 1, 0)
    return rng.randint(0, min(most, 64) if rng.random() < 0.5 else most)


def flip(rng, data, corpus):
    for _ in range(rng.randint(1, 8) if data else 0):
        data[_place(rng, data)] ^= 1 << rng.randint(0, 7)


def truncate(rng, data, corpus):
    del data[rng.randint(0, len(data)) :]


def extend(rng, data, corpus):
    length = rng.choice((1, 4, 100, 5000))
    data.extend(rng.choice((bytes(length), rng.randbytes(length), bytes(data[:length]))))


def splice(rng, data, corpus):
    other = rng.choice(corpus)
    data[_place(rng, data) :] = other[rng.randint(0, len(other)) :]


def cut(rng, data, corpus):
    start = _place(rng, data)
    del data[start : start + rng.randint(1, 64)]


def repeat(rng, data, corpus):
    start = _place(rng, data)
    data[start:start] = data[start : start + rng.randint(1, 64)] * rng.randint(1, 20)


def integer(rng, data, corpus):
    """Put a number at the edge of something where a header may hold one."""
    width, order = rng.choice((1, 2, 4, 8)), rng.choice(("little", "big"))
    value = (rng.choice(INTERESTING) + rng.choice((0, 0, 1, -1))) % 2 ** (8 * width)
    start = _place(rng, data)
    data[start : start + width] = value.to_bytes(width, order)


def token(rng, data, corpus):
    start = _place(rng, data)
    data[start : start + rng.choice((0, 1, 4))] = rng.choice(TOKENS)


def noise(rng, data, corpus):
    start = _place(rng, data)
    data[start : start + 16] = rng.randbytes(rng.randint(1, 16))


CHANGES = (flip, flip, truncate, extend, splice, cut, repeat, integer, integer, token, noise)


def mutated_json(rng: random.Random, value):
    """Return a JSON value with one to three of its parts exchanged, doubled or taken out."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.choice((1, 1, 2, 3))):
        holders = [value]
        for holder in holders:
            parts = holder.values() if isinstance(holder, dict) else holder
            holders.extend(part for part in parts if isinstance(part, dict | list))
        holder = rng.choice(holders)
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys or rng.random() < 0.1:
            if isinstance(holder, dict):
                holder[rng.choice(("x", "\x1b", "../", "0"))] = _value(rng)
            else:
                holder.append(_value(rng))
        elif rng.random() < 0.25:
            del holder[rng.choice(keys)]
        else:
            holder[rng.choice(keys)] = _value(rng)
    return value


def _value(rng: random.Random):
    return copy.deepcopy(rng.choice(VALUES))


def within_gzip(rng: random.Random, corpus: list[bytes]) -> bytes:
    """Return gzipped bytes that are damaged inside, outside or both."""
    inside = mutated(rng, corpus) if rng.random() < 0.7 else rng.choice(corpus)
    packed = gzip.compress(inside, 1, mtime=0)
    return mutated(rng, [packed]) if rng.random() < 0.4 else packed


def sealed_png(data: bytes) -> bytes:
    """Return a PNG file whose checksums fit again, so that decoders go on to its content."""
    if not data.startswith(PNG):
        return data
    out, at = bytearray(PNG), len(PNG)
    while at + 8 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        body = data[at + 4 : at + 8 + length]
        out += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return bytes(out)
