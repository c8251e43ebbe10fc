import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import canonical, record

KEY = "a" * 64
SHA = "0123456789abcdef" * 4


def whole(**more):
    return {
        "key": KEY, "task": "toy", "label": "toy 1", "status": "ok", "reason": "",
        "rows": [{"value": 1.5, "samples_s": [0.1, 0.2], "name": "two\nlines"}],
        "files": {"number.txt": {"sha256": SHA, "bytes": 3}}, "uses": ["b" * 64],
        "spec": {"number": 1, "dataset": {"name": "digits"}}, "timing": False,
        "made": {"machine": {"cpu": "x"}}, **more,
    }  # fmt: skip


def forged(**more):
    """A record as a forger would write it: anything in it, and a checksum that fits."""
    body = {**whole(), "format": record.FORMAT, **more}
    body = {name: value for name, value in body.items() if value is not ...}
    text = canonical.dumps({**body, "checksum": canonical.digest(body)})
    return text.encode() + b"\n"


def with_checksum(text):
    """A record of a JSON text that the canonical writer would not write."""
    import hashlib

    claimed = hashlib.sha256(text.encode()).hexdigest()
    return text.replace("{", f'{{"checksum":"{claimed}",', 1).encode()


def test_a_whole_record_is_read_as_it_was_written():
    content = record.written(whole())
    assert record.fault(content, KEY) == "" == record.fault(forged(), KEY)
    read, _ = record.read(content, KEY)
    assert {name: read[name] for name in whole()} == whole()
    body = {name: value for name, value in read.items() if name != "checksum"}
    assert read["checksum"] == canonical.digest(body)


WRONG = {
    "format": [2, 99, "1", None, True, [[]], 10**300],
    "key": ["b" * 64, KEY.upper(), "../../etc/passwd", 7, ...],
    "task": [..., 1, None, "a\x1b[2Jb", "a\nb"],
    "label": [..., [], "\x07", "a\u202eb", "\x9b2J"],
    "reason": [..., {}, "line\r", "\x1b]0;title\x07"],
    "status": [..., "fine", 1, [], "missing"],
    "timing": [..., 0, "no"],
    "spec": [..., [], None, {"name": "\x1b[0m"}],
    "made": [..., "today", {"a": {"b": ["\x00"]}}],
    "uses": [..., {}, ["short"], [1], [["a" * 64]]],
    "basis": [None, [], "x"],
    "rows": [
        ..., {}, [1], [[]], [None], [{"value": 10**30}], [{"name": "\x1b[31m"}],
        [{"\x1b[31m": 1}], [{"a": {"b": [{"c": "\x7f"}]}}],
    ],
    "files": [
        ..., [],
        *({name: {"sha256": SHA, "bytes": 1}} for name in (
            "", ".", "..", ".hidden", "a/b", "../a", "/a", "a\\b", "c:x", "a\x00b", "a\x1bb",
            "x" * 201, "é" * 101,
        )),
        {"a": {"sha256": SHA}}, {"a": {"bytes": 1}}, {"a": {"sha256": "x", "bytes": 1}},
        {"a": {"sha256": SHA, "bytes": -1}}, {"a": {"sha256": SHA, "bytes": True}},
        {"a": {"sha256": SHA, "bytes": 1.0}}, {"a": None},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in WRONG.items() for value in values]
)
def test_a_forged_record_is_refused_in_one_printable_line(field, value):
    reason = record.fault(forged(**{field: value}), KEY)
    assert reason and reason.isprintable() and len(reason) < 300


def test_a_record_of_a_newer_version_says_so():
    reason = record.fault(forged(format=record.FORMAT + 1), KEY)
    assert "newer version" in reason and f"this version reads {record.FORMAT}" in reason


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("depth", [record.DEEPEST + 1, 900, 200_000])
def test_deep_nesting_is_a_reason_and_no_exception(opening, depth):
    nested = opening * depth + "1" + {"[": "]", "{": "}"}[opening[0]] * depth
    assert record.fault(nested.encode(), KEY)
    text = canonical.dumps({**whole(), "format": record.FORMAT})
    deep = text.replace('"made":{', '"made":{"x":' + nested + ",", 1)
    assert "nested deeper" in record.fault(with_checksum(deep), KEY)


def test_a_large_record_is_not_even_parsed(monkeypatch):
    monkeypatch.setattr(canonical, "loads", lambda content: pytest.fail("it was parsed"))
    assert "larger than 64 MiB" in record.fault(bytes(record.LARGEST + 1), KEY)


def test_a_lone_surrogate_is_refused():
    text = canonical.dumps({**whole(), "format": record.FORMAT})
    for place in ('"made":{', '"spec":{'):
        for hostile in (r'"\ud800":1,', r'"x":"\udfff",'):
            content = with_checksum(text.replace(place, place + hostile, 1))
            assert "control characters" in record.fault(content, KEY)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None)
@given(field=st.sampled_from([*whole(), "basis", "extra"]), value=JSON)
def test_whatever_a_field_holds_a_record_is_used_or_refused(field, value):
    try:
        content = forged(**{field: value})
    except ValueError:
        return  # there is no such record
    read, reason = record.read(content, KEY)
    assert (read is None) == bool(reason)
    if read is not None:
        assert record.basis_fault(read) is not None
        canonical.digest(read)


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=60))
def test_any_bytes_are_used_or_refused(content):
    assert record.fault(content, KEY)
    assert record.fault(b'{"format":1,"checksum":' + content + b"}", KEY)


@settings(deadline=None)
@given(place=st.integers(0, 10**9), flip=st.integers(1, 255))
def test_every_changed_byte_is_found(place, flip):
    content = bytearray(record.written(whole()))
    place %= len(content) - 1  # a missing line end does no harm
    content[place] ^= flip
    assert record.fault(bytes(content), KEY)


@settings(deadline=None)
@given(st.text() | st.text(st.characters(max_codepoint=160)))
def test_what_is_written_can_be_read_and_printed(text):
    content = record.written(whole(label=text, reason=text, rows=[{"name": [text], text: 1}]))
    read, reason = record.read(content, KEY)
    assert reason == ""
    assert read["label"].isprintable() and read["reason"].isprintable()
    if text.isprintable():
        assert read["label"] == text and read["rows"][0]["name"] == [text]


def test_a_basis_must_be_what_the_key_was_made_of():
    basis = {"task": "toy", "spec": whole()["spec"], "uses": ["b" * 64], "code": "c"}
    good = whole(basis=basis, key=canonical.digest(basis))
    assert record.basis_fault(good) == ""
    assert record.basis_fault(whole()) == ""
    assert "key" in record.basis_fault({**good, "key": KEY})
    assert "spec" in record.basis_fault({**good, "spec": {"number": 2}})
    assert "task" in record.basis_fault({**good, "task": "other"})
    assert "uses" in record.basis_fault({**good, "uses": []})
    assert "timing" in record.basis_fault({**good, "timing": True})


def test_a_basis_comes_back_as_the_same_key():
    basis = {"spec": {"a": (1, 2.50, -0.0, 1e300), "b": math.inf}, "uses": ("x",)}
    assert canonical.digest(canonical.loads(canonical.dumps(basis))) == canonical.digest(basis)
