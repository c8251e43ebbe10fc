import contextlib
import json
import random
import re
import shutil
import statistics

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import bench
from bench import canonical, merkle
from bench.api import BenchError
from bench.check import faults, notes
from bench.record import written
from bench.runs import load_run, write_manifest
from bench.store import Store

MACHINE = {"cpu": "toy", "cores": 2}
SAMPLES = [0.0100 + 0.00001 * number for number in range(12)]


def timing_row(samples=SAMPLES, **more):
    q1, median, q3 = statistics.quantiles(samples, n=4, method="inclusive")
    return {"backbone": "unet", "latency_q1_s": q1, "latency_s": median, "latency_q3_s": q3,
            "samples_s": list(samples), "noisy": False, **more}  # fmt: skip


def canary_row(**more):
    return {"canary": "psnr", "expected": 20.0, "measured": 20.0, "tolerance": 1e-6,
            "passed": True, **more}  # fmt: skip


def record(task="toy", rows=(), uses=(), **more):
    about = {"task": task, "spec": {"number": len(rows)}, "uses": list(uses), **more}
    about.setdefault("timing", False)
    basis = {"task": task, "spec": about["spec"], "uses": about["uses"]}
    if about["timing"]:
        basis["machine"] = MACHINE
    return {
        "key": canonical.digest(basis), "label": f"{task} {len(rows)}", "status": "ok",
        "reason": "", "rows": list(rows), "files": {}, "made": {"machine": MACHINE},
        "basis": basis, **about,
    }  # fmt: skip


def keep(folder, records, **more):
    """Write a run with these records, as the session does."""
    store = Store(folder)
    store.prepare()
    kept = [store.put(record) for record in records]
    sums = {record["key"]: record["checksum"] for record in kept}
    write_manifest(folder, {
        "format": 1, "store": ".", "cells": [r["key"] for r in kept], "machine": MACHINE,
        "counts": statuses(kept), "merkle_root": merkle.root(sums),
        **more,
    })  # fmt: skip
    return load_run(folder)


def statuses(records):
    found = [record["status"] for record in records]
    return {status: found.count(status) for status in found}


@pytest.fixture
def good(tmp_path):
    """A run of four records: quality, quality that uses it, a timing, a canary."""
    first = record(rows=[{"psnr": 21.5}])
    return [
        first,
        record(rows=[{"psnr": 1.25, "t": 50}, {"psnr": 3.5, "t": 100}], uses=[first["key"]]),
        record("latency", [timing_row()], timing=True),
        record("canary", [canary_row()]),
    ]


def change(folder, key, **more):
    """Forge a record: other values and a checksum that fits them."""
    path = Store(folder).path(key)
    path.write_bytes(written({**json.loads(path.read_bytes()), **more}))


def test_a_good_run_is_valid(good, tmp_path):
    run = keep(tmp_path, good)
    assert faults(run) == [] == notes(run)


def test_a_run_without_cells_is_not(tmp_path):
    assert faults(keep(tmp_path, [])) == ["the run has no cells"]
    assert bench.load(tmp_path).empty


DIGITS = re.compile(rb"\d")


def fix_checksum(content):
    body = json.loads(content)
    body.pop("checksum")
    return canonical.dumps({**body, "checksum": canonical.digest(body)}).encode() + b"\n"


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers())
def test_a_changed_digit_is_found_though_its_checksum_fits(good, tmp_path, seed):
    folder = tmp_path / str(seed)
    keep(folder, good)
    chance = random.Random(seed)
    for about in good:
        path = Store(folder).path(about["key"])
        before = path.read_bytes()
        place = chance.choice([m.start() for m in DIGITS.finditer(before)])
        digit = chance.choice([d for d in b"0123456789" if d != before[place]])
        changed = before[:place] + bytes([digit]) + before[place + 1 :]
        path.write_bytes(changed)
        found = faults(load_run(folder))
        assert found, changed
        forged = before
        with contextlib.suppress(ValueError):  # 0.5 -> 0.6 is a number, 10 -> 00 is none
            forged = fix_checksum(changed)
        path.write_bytes(forged)
        # The digit may have been one of the checksum's own, or the 17th of a float.
        assert forged == before or faults(load_run(folder)), changed
        path.write_bytes(before)
    assert faults(load_run(folder)) == []
    shutil.rmtree(folder)


def test_a_replaced_record_is_named_as_such(good, tmp_path):
    keep(tmp_path, good)
    change(tmp_path, good[0]["key"], rows=[{"psnr": 99.5}])
    (fault,) = faults(load_run(tmp_path))
    assert "a record was replaced since the run was written" in fault


def test_a_run_of_an_earlier_version_is_checked_by_its_own_hash(good, tmp_path):
    run = keep(tmp_path, good)
    sums = {record["key"]: record["checksum"] for record in run.records}
    manifest = dict(run.manifest)
    manifest.pop("merkle_root")
    write_manifest(tmp_path, manifest)
    assert "does not say which records" in faults(load_run(tmp_path))[0]
    write_manifest(tmp_path, {**manifest, "records": canonical.digest(sums)})
    assert faults(load_run(tmp_path)) == []
    change(tmp_path, good[0]["key"], reason="x")
    assert "replaced" in faults(load_run(tmp_path))[0]


def test_missing_and_damaged_records_are_told_apart(good, tmp_path):
    keep(tmp_path, good)
    store = Store(tmp_path)
    store.path(good[0]["key"]).unlink()
    store.path(good[2]["key"]).write_text("{}")
    one, two = faults(load_run(tmp_path))
    assert good[0]["key"][:12] in one and "missing" in one
    assert good[2]["key"][:12] in two and "format missing" in two


@pytest.mark.parametrize("status", ["failed", "timeout", "oom", "crashed", "invalid"])
def test_a_cell_that_went_wrong_makes_the_run_invalid(tmp_path, status):
    run = keep(tmp_path, [record(status=status, reason="the reason")])
    assert faults(run) == [f"'toy 0' is {status}: the reason"]


def test_a_skipped_cell_is_a_note(tmp_path):
    run = keep(tmp_path, [record(status="skipped", reason="no CUDA"), record(rows=[{}])])
    assert faults(run) == []
    assert notes(run) == ["1 cell was skipped: no CUDA"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (timing_row(SAMPLES[:9]), "has 9 samples, expected 10 or more"),
        (timing_row(noisy=True), "is noisy"),
        (timing_row(noisy=True, noisy_reason="the ratio is open"), "(the ratio is open)"),
        ({**timing_row([0.01, 0.02] * 6)}, "is noisy"),
        (timing_row([*SAMPLES, 0.0]), "no durations"),
        (timing_row([*SAMPLES, -0.01]), "no durations"),
        ({**timing_row(), "samples_s": [*SAMPLES, float("nan")]}, "no durations"),
        ({**timing_row(), "samples_s": [*SAMPLES, "0.01"]}, "no durations"),
        ({**timing_row(), "samples_s": "0.01"}, "no durations"),
        (timing_row(latency_s=0.009), "latency_s that its samples do not give"),
        (timing_row(latency_q1_s=0.009), "latency_q1_s that its samples do not give"),
        (timing_row(latency_s="fast"), "latency_s that its samples do not give"),
        ({"backbone": "unet", "noisy": True}, "is noisy"),
    ],
)
def test_the_rules_of_timings(tmp_path, row, says):
    run = keep(tmp_path, [record("latency", [row], timing=True)])
    (fault,) = faults(run)
    assert "the timing of unet" in fault and says in fault


def test_counters_that_disagree_are_a_fault_with_their_gap(tmp_path):
    compared = [{"counters_agree": True, "counters_gap": 0.0009}]
    left_out = [{"counters_agree": None, "counters_gap": None}] * 2
    apart = [*left_out, {"counters_agree": False, "counters_gap": 0.0909}]
    run = keep(tmp_path, [record("cost", rows) for rows in (compared, left_out, apart)])
    (fault,) = faults(run)
    assert fault.startswith("'cost 3': its counters of multiply-adds are 9.09% apart")


@pytest.mark.parametrize("gap", [None, 2**63, "<b>\n", [1.0]])
def test_a_strange_gap_is_a_fault_all_the_same(tmp_path, gap):
    row = {"counters_agree": False, "counters_gap": gap}
    (fault,) = faults(keep(tmp_path, [record("cost", [row])]))
    assert "expected 0.1 % or less" in fault and fault.isprintable()


def test_a_network_that_could_not_be_timed_is_a_fault(tmp_path):
    left_out = {"backbone": "cunet", "fault": "it changed its input"}
    rows = [timing_row(fault=""), left_out]
    told = faults(keep(tmp_path, [record("latency", rows, timing=True)]))
    assert told == ["'latency 2': cunet could not be measured (it changed its input)"]


def test_what_this_machine_cannot_run_is_no_fault(tmp_path):
    graph = {"backbone": "cunet", "fault": "engine 'graph' needs a GPU", "skipped": True}
    rows = [timing_row(fault=""), graph]
    assert faults(keep(tmp_path, [record("latency", rows, timing=True)])) == []


def test_a_failed_audit_is_a_fault(tmp_path):
    row = timing_row(audit_passed=False, audit_fault="something remembers its inputs")
    (told,) = faults(keep(tmp_path, [record("latency", [row], timing=True)]))
    assert "failed its audit (something remembers its inputs)" in told


def test_a_timing_of_another_machine_is_found(tmp_path):
    run = keep(tmp_path, [record("latency", [timing_row()], timing=True)], machine={"cpu": "other"})
    assert "another machine" in faults(run)[0]


@pytest.mark.parametrize("passed", [False, None, 1, "true"])
def test_a_canary_that_did_not_pass_is_told_with_its_numbers(tmp_path, passed):
    row = canary_row(passed=passed, measured=21.0)
    (fault,) = faults(keep(tmp_path, [record("canary", [canary_row(), row])]))
    assert "the canary psnr did not pass" in fault
    assert "measured 21.0" in fault and "expected 20.0" in fault


def test_a_canary_without_rows_did_not_pass(tmp_path):
    assert "without rows" in faults(keep(tmp_path, [record("canary")]))[0]


def test_counts_that_do_not_agree_are_found(good, tmp_path):
    (fault,) = faults(keep(tmp_path, good, counts={"ok": 3, "skipped": 1}))
    assert "ok 3, skipped 1" in fault and "ok 4" in fault


def test_a_record_that_contradicts_its_basis_is_found(tmp_path):
    forged = {**record(), "spec": {"number": 7}}
    assert "its spec is not the one in its basis" in faults(keep(tmp_path, [forged]))[0]
    moved = {**record(), "key": "d" * 64}
    assert "not the digest of its basis" in faults(keep(tmp_path / "moved", [moved]))[0]
    alone = record(uses=["e" * 64])
    assert "no cell of this run" in faults(keep(tmp_path / "alone", [alone]))[0]


def test_damaged_files_are_found_but_not_asked_of_a_published_run(tmp_path):
    about = record()
    store = Store(tmp_path)
    store.prepare()
    store.work(about["key"]).mkdir()
    (store.work(about["key"]) / "a.txt").write_text("abc")
    about = store.replace(about, store.work(about["key"]), ["a.txt"])
    run = keep(tmp_path, [about])
    assert faults(run) == []
    (store.folder(about["key"]) / "a.txt").write_text("abd")
    assert "not what was measured" in faults(run)[0]
    write_manifest(tmp_path, {**run.manifest, "reference": True})
    assert faults(load_run(tmp_path)) == []


def with_modules(modules, code):
    about = record()
    basis = {**about["basis"], "modules": modules, "code": code}
    return {**about, "basis": basis, "key": canonical.digest(basis)}


def test_other_code_and_uncommitted_changes_are_notes(tmp_path):
    from bench import code

    current = with_modules(["bench.seeds"], code.digest("bench.seeds"))
    other = with_modules(["bench.seeds"], "f" * 64)
    absent = with_modules(["some_plugin.net"], "f" * 64)
    absent["made"]["git"] = {"changed": True}
    run = keep(tmp_path, [current, other, absent], git={"changed": True})
    assert faults(run) == []
    told = "\n".join(notes(run))
    assert "1 record was measured by other code" in told
    assert "1 record comes from the plug-in some_plugin.net" in told
    assert "1 record was measured with changes" in told and "run.json was written" in told


def test_a_record_cannot_have_a_module_imported(tmp_path, monkeypatch):
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    names = ["evil.x", "../evil", "bench.évil", "bench..x", "", 7, None]
    run = keep(tmp_path / "run", [with_modules([name], "f" * 64) for name in names])
    assert len([note for note in notes(run) if "not installed here" in note]) == len(names)


MANIFESTS = [
    b"", b"[]", b"{}", b"null", b'{"cells":[],"store":7}', b'{"cells":"ab","store":"."}',
    b'{"cells":["../../x"],"store":"."}', b'{"cells":[1],"store":"."}',
    b'{"cells":["' + b"a" * 64 + b'","' + b"a" * 64 + b'"],"store":"."}',
    b'{"cells":[],"store":"\\u0000"}', b'{"cells":[],"store":".","counts":[]}', b"[" * 100_000,
    b'{"cells":[{"$float":[]}],"store":"."}', b"\xff", b'{"cells":[],"store":".","report":1}',
]  # fmt: skip


@pytest.mark.parametrize("content", MANIFESTS)
def test_a_hostile_manifest_is_one_line(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(BenchError, match="is not a run manifest") as caught:
        bench.load(tmp_path)
    assert "\n" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["samples_s", "latency_s", "noisy", "backbone", "status", "psnr", "passed", "t", "x"]
)
ROWS = st.lists(st.dictionaries(NAMES, JSON, max_size=4), max_size=3)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=ROWS, spec=st.dictionaries(st.text(max_size=3) | st.just("denoiser"), JSON, max_size=3),
       task=st.sampled_from(["toy", "canary"]), timing=st.booleans())  # fmt: skip
@example(rows=[], spec={"": 2**63}, task="toy", timing=False)
def test_hostile_values_are_loaded_and_checked_without_a_fault(tmp_path, rows, spec, task, timing):
    try:
        run = keep(tmp_path, [record(task, rows, spec=spec, timing=timing)])
    except (BenchError, ValueError):
        return
    loaded = bench.load(tmp_path)
    assert len(loaded) == max(1, len(rows))
    assert set(loaded["status"]) == {"ok"}, "a row cannot claim another status"
    for line in [*faults(run), *notes(run)]:
        assert line.isprintable()


@pytest.mark.parametrize("values", [[2**63], [2**63, None], [-(2**63) - 1, 0.5]])
def test_an_integer_of_more_than_64_bits_is_loaded_as_it_is(tmp_path, values):
    rows = [{"x": value} for value in values]
    keep(tmp_path, [record("toy", rows)])
    assert list(bench.load(tmp_path)["x"]) == values


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63)])
def test_the_largest_counts_are_counts(tmp_path, value):
    keep(tmp_path, [record("toy", [{"x": value}, {}])])
    loaded = bench.load(tmp_path)["x"]
    assert loaded.dtype == "Int64" and loaded[0] == value


def test_rows_come_in_the_order_of_the_manifest(good, tmp_path, monkeypatch):
    run = keep(tmp_path, good)
    first = bench.load(tmp_path)
    assert list(dict.fromkeys(first["key"])) == list(run.manifest["cells"])
    shutil.copytree(tmp_path / "cells", tmp_path / "again")
    shutil.rmtree(tmp_path / "cells")
    (tmp_path / "cells").mkdir()
    for path in sorted((tmp_path / "again").iterdir(), reverse=True):
        shutil.copyfile(path, tmp_path / "cells" / path.name)
    assert bench.load(tmp_path).equals(first)
