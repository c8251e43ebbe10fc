import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import assets
from bench.api import BenchError, Missing, StorageError

HOME = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("BENCH_DATA_DIR", raising=False)
    return tmp_path


def test_several_data_folders_are_searched_in_order(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name / "set").mkdir(parents=True)
    (tmp_path / "two" / "set" / "a.bin").write_bytes(b"two")
    monkeypatch.setenv("BENCH_DATA_DIR", f"{tmp_path}/one{assets.os.pathsep}{tmp_path}/two")
    assert assets.locate("set", "set/a.bin").read_bytes() == b"two"
    (tmp_path / "one" / "set" / "a.bin").write_bytes(b"one")
    assert assets.locate("set", "set/a.bin").read_bytes() == b"one"


def test_missing_names_the_command_or_the_folder():
    with pytest.raises(Missing, match=r"python -m bench fetch mnist.*BENCH_DATA_DIR"):
        assets.locate("mnist", "mnist/x.gz")
    with pytest.raises(Missing) as caught:
        assets.locate("celeba", "celeba")
    assert "fetch" not in str(caught.value)
    assert "BENCH_DATA_DIR" in str(caught.value)


def test_sha256_follows_the_content(tmp_path):
    path = tmp_path / "file"
    for content in (b"first", b"other"):  # of the same length
        path.write_bytes(content)
        assert assets.sha256(path) == hashlib.sha256(content).hexdigest()


def test_sha256_is_remembered_across_processes(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    expected = assets.sha256(path)
    assets._remembered_hash.cache_clear()
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("read again"))
    assert assets.sha256(path) == expected


def test_a_damaged_memory_is_made_again(tmp_path):
    assert assets.remembered(["q"], lambda: 1) == 1
    (memory,) = (tmp_path / "cache" / "memory").rglob("*.json")
    for damage in ("", "{", "[]", json.dumps({"other": 1})):
        memory.write_text(damage)
        assert assets.remembered(["q"], lambda: 2) == 2
    assert assets.remembered(["q"], lambda: 3) == 2


@pytest.mark.parametrize("known", ["0" * 64, "md5:" + "0" * 32])
def test_a_wrong_hash_names_file_and_both_hashes(tmp_path, known):
    path = tmp_path / "file.bin"
    path.write_bytes(b"content")
    algorithm = "md5" if known.startswith("md5") else "sha256"
    found = hashlib.new(algorithm, b"content").hexdigest()
    with pytest.raises(BenchError) as caught:
        assets.verified(path, known)
    for part in (str(path), found, "0" * 32):
        assert part in str(caught.value)
    assert assets.verified(path, f"{algorithm}:{found}") == path


def test_an_interrupted_write_leaves_nothing(tmp_path):
    def write(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        assets.write_atomically(tmp_path / "out", write)
    assert list(tmp_path.iterdir()) == []


def test_fetch_keeps_only_what_has_the_right_hash(tmp_path, monkeypatch):
    source = tmp_path / "source.bin"
    source.write_bytes(b"content")
    good = assets.Remote(
        ("http://127.0.0.1:9/nobody", "x://mirror"),
        hashlib.sha256(b"content").hexdigest(),
        "set/a.bin",
    )

    def retrieve(url, known_hash, fname, path):
        if url != "x://mirror":
            return real(url, known_hash, fname, path)
        if hashlib.sha256(b"content").hexdigest() != known_hash:
            raise ValueError("hash")
        Path(path).mkdir(parents=True, exist_ok=True)
        (Path(path) / fname).write_bytes(b"content")

    import pooch

    real = pooch.retrieve
    monkeypatch.setattr(pooch, "retrieve", retrieve)
    monkeypatch.setitem(assets.FETCHABLE, "set", (good,))
    (fetched,) = assets.fetch("set")
    assert fetched == assets.locate("set", "set/a.bin")
    bad = assets.Remote(("x://mirror",), "0" * 64, "set/b.bin")
    monkeypatch.setitem(assets.FETCHABLE, "set", (bad,))
    with pytest.raises(Missing, match=r"x://mirror: not the expected content.*BENCH_DATA_DIR"):
        assets.fetch("set")
    with pytest.raises(BenchError, match="mnist"):
        assets.fetch("minst")


def test_a_cache_that_cannot_be_written_is_not_blamed_on_the_network(tmp_path, monkeypatch):
    import pooch

    asked = []

    def full(url, *args, **named):
        asked.append(url)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pooch, "retrieve", full)
    remote = assets.Remote(("x://one", "x://two"), "0" * 64, "set/a.bin")
    monkeypatch.setitem(assets.FETCHABLE, "set", (remote,))
    with pytest.raises(StorageError, match=r"a\.bin: No space left.*BENCH_CACHE_DIR") as caught:
        assets.fetch("set")
    assert asked == ["x://one"] and "\n" not in str(caught.value)
    (tmp_path / "file").touch()
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(StorageError, match=r"cannot write to .*BENCH_CACHE_DIR"):
        assets.fetch("set")
    assert asked == ["x://one"]


def test_every_fetchable_has_a_whole_hash():
    for remotes in assets.FETCHABLE.values():
        for remote in remotes:
            algorithm, _, value = remote.known_hash.rpartition(":")
            assert len(bytes.fromhex(value)) == {"": 32, "md5": 16}[algorithm]
            assert remote.urls


def test_data_sets_import_neither_torch_nor_pooch():
    code = (
        "import sys; from bench.registry import names; names('dataset');"
        "print([m for m in ('torch', 'pooch', 'torchvision') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=HOME, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_torchvision_is_importable_beside_this_torch():
    pytest.importorskip("torch")
    code = (
        "from bench.torchvision_compat import import_torchvision as load;"
        "tv = load(); assert load() is tv; import torchvision.transforms; print(tv.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=HOME, capture_output=True, text=True)
    assert done.stdout.strip() == "torchvision", done.stderr
