"""Addresses, and the lines that people see when a place cannot be used."""

import errno

import pytest

from bench.errors import BenchError, Missing, StorageError
from bench.shared import address as addresses
from bench.shared.address import parsed, refuse_absent_package, without_secrets
from bench.shared.faults import exists_already, is_passing, line_of
from bench.shared.objects import opened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://bucket/prefix/", "s3://bucket/prefix"),
        ("S3://bucket", "s3://bucket"),
        ("/mount/folder", "file:///mount/folder"),
        ("file:///mount/folder//", "file:///mount/folder"),
        ("sftp://me:secret@host/path", "sftp://host/path"),
        ("s3://id:se@cret@bucket/prefix", "s3://bucket/prefix"),
        ("memory://lab", "memory://lab"),
    ],
)
def test_an_address_is_shown_without_what_is_secret(text, shown):
    address = parsed(text)
    assert address.shown == shown
    assert "secret" not in repr(address) and "se@cret" not in repr(address)
    assert parsed(address.whole) == address


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bucket/prefix", "expected an address"),
        ("", "expected an address"),
        ("s3://bucket/../other", "leads elsewhere"),
        ("s3://../other", "leads elsewhere"),
        ("file:///mount/./x", "leads elsewhere"),
        ("file://mount/x", "from the root on"),
        ("file:///", "names no folder"),
        ("memory://", "names no folder"),
        ("s3://", "names no bucket"),
        ("s3:///prefix", "names no bucket"),
        ("s3://bucket/a\nb", "characters"),
        ("s3://bucket/\x1b[31m", "characters"),
        ("s3://bucket/a\\b", "characters"),
        ("az://box/x?sig=secret", "query"),
        ("s3://me:secret@bucket/x#y", "query"),
    ],
)
def test_what_is_no_address_is_one_line(text, words):
    with pytest.raises(BenchError, match=words) as caught:
        parsed(text)
    line = str(caught.value)
    assert line.isprintable() and "secret" not in line and caught.value.exit_code == 2


def test_secrets_are_taken_out_of_command_lines():
    text = "run x --store sftp://me:secret@host/p --out a@b --store az://c/d?sig=secret"
    assert without_secrets(text) == "run x --store sftp://host/p --out a@b --store az://c/d"
    assert without_secrets("me@host table1") == "me@host table1"


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("s3://id:secret@bucket/x", "s3://bucket/x"),
        ("az://c/d?sig=secret", "az://c/d"),  # what is taken out has a sign that a shell knows
    ],
)
def test_the_command_in_a_manifest_has_no_password(address, told):
    from bench.provenance import command

    arguments = ["run", "--store", address, "--out", "a b"]
    assert command(arguments) == f"python -m bench run --store {told} --out 'a b'"


def test_an_absent_package_is_named_with_its_extra(monkeypatch):
    found = addresses.importlib.util.find_spec
    for absent, text, words in (
        ("s3fs", "s3://bucket/x", r"missing-u-bench\[shared\]"),
        ("gcsfs", "gs://bucket/x", "pip install gcsfs"),
        ("fsspec", "memory://x", r"missing-u-bench\[shared\]"),
    ):
        hidden = lambda name, absent=absent: None if name == absent else found(name)  # noqa: E731
        monkeypatch.setattr(addresses.importlib.util, "find_spec", hidden)
        with pytest.raises(Missing, match=words) as caught:
            refuse_absent_package(parsed(text))
        assert caught.value.exit_code == 69
    refuse_absent_package(parsed("file:///mount/x"))  # needs nothing


def test_an_unknown_protocol_is_a_usage_error():
    pytest.importorskip("fsspec", reason="the extra `shared` is not installed")
    with pytest.raises(BenchError, match="knows no protocol nonsense://") as caught:
        opened("nonsense://bucket/x")
    assert caught.value.exit_code == 2


def refusal(code, message="no"):
    """Return what s3fs raises: its own error, with the client's as cause."""
    client = type("ClientError", (Exception,), {})(message)
    client.response = {"Error": {"Code": code, "Message": message}}
    error = PermissionError(message) if code == "AccessDenied" else OSError(errno.EIO, message)
    error.__cause__ = client
    return error


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (refusal("RequestTimeTooSkewed"), StorageError, "clock"),
        (refusal("AccessDenied"), StorageError, "may not be written"),
        (refusal("NoSuchBucket"), StorageError, "no bucket"),
        (refusal("InvalidAccessKeyId"), Missing, "refuses the credentials"),
        (refusal("ExpiredToken"), Missing, "refuses the credentials"),
        (refusal("XMinioStorageFull"), StorageError, "is full"),
        (refusal("SlowDown"), StorageError, "cannot be reached"),
        (type("NoCredentialsError", (Exception,), {})(), Missing, "no credentials"),
        (type("EndpointConnectionError", (Exception,), {})(), StorageError, "cannot be reached"),
        (OSError(errno.ENOSPC, "no space"), StorageError, "is full"),
        (OSError(errno.EDQUOT, "quota"), StorageError, "is full"),
        (OSError(errno.EROFS, "read-only"), StorageError, "may not be written"),
        (ConnectionResetError(), StorageError, "cannot be reached"),
        (ValueError("id:secret and \x1b[31m https://x/y?token=secret"), StorageError, "cannot be"),
    ],
    ids=lambda value: getattr(value, "__name__", None) or str(value)[:24],
)
def test_each_fault_has_its_line_and_code(error, kind, words):
    told = line_of(error, parsed("s3://id:secret@bucket/x"), "write")
    assert type(told) is kind and words in str(told)
    assert told.exit_code == {StorageError: 74, Missing: 69}[kind]
    assert str(told).isprintable() and "secret" not in str(told)


def test_only_what_may_pass_is_tried_again():
    passing = [refusal("SlowDown"), TimeoutError(), ConnectionResetError(), refusal("503")]
    lasting = [refusal("AccessDenied"), refusal("NoSuchBucket"), FileNotFoundError(), ValueError()]
    assert [is_passing(error) for error in passing + lasting] == [True] * 4 + [False] * 4
    assert exists_already(FileExistsError()) and exists_already(refusal("PreconditionFailed"))
    assert not exists_already(refusal("AccessDenied"))
