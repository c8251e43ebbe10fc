"""The doctor's look at machines and folders that are not as they should be."""

import errno
import subprocess
import sys
import types

import pytest

from bench import doctor_machine, locks, machine, provenance


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def found(examine):
    """Return the findings of one examination as one text a line."""
    return [" | ".join(finding) for finding in examine()]


def only(examine):
    (line,) = found(examine)
    return line


def files(root, **contents):
    for name, text in contents.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def test_a_machine_that_tells_nothing_has_no_limits(tmp_path):
    assert machine.core_quota(tmp_path) is None
    assert machine.memory_quota(tmp_path) is None
    assert machine.governor(tmp_path) is None and machine.boosts(tmp_path) is None


def test_limits_of_the_second_kind_of_control_groups(tmp_path):
    root = files(tmp_path, proc__self__cgroup="0::/a/b")
    base = root / "sys/fs/cgroup"
    for place, quota, memory in (
        ("", "max 100000", "max"),
        ("a", "150000 100000", "4294967296"),
        ("a/b", "max 100000", "8589934592"),
    ):
        (base / place).mkdir(parents=True, exist_ok=True)
        (base / place / "cpu.max").write_text(quota)
        (base / place / "memory.max").write_text(memory)
    assert machine.core_quota(root) == 1.5
    assert machine.memory_quota(root) == 4 * machine.GIB, "the group above limits, too"


def test_limits_of_the_first_kind_of_control_groups(tmp_path):
    root = files(tmp_path, proc__self__cgroup="4:memory:/m\n3:cpu,cpuacct:/c\n1:name=systemd:/")
    for place in ("cpu/c", "memory/m", "memory"):
        (root / "sys/fs/cgroup" / place).mkdir(parents=True, exist_ok=True)
    (root / "sys/fs/cgroup/cpu/c/cpu.cfs_quota_us").write_text("50000")
    (root / "sys/fs/cgroup/cpu/c/cpu.cfs_period_us").write_text("100000")
    (root / "sys/fs/cgroup/memory/m/memory.limit_in_bytes").write_text(str(2 * machine.GIB))
    (root / "sys/fs/cgroup/memory/memory.limit_in_bytes").write_text("9223372036854771712")
    assert machine.core_quota(root) == 0.5
    assert machine.memory_quota(root) == 2 * machine.GIB
    (root / "sys/fs/cgroup/cpu/c/cpu.cfs_quota_us").write_text("-1")
    assert machine.core_quota(root) is None


def test_the_clock_rate_is_read_and_judged(tmp_path, monkeypatch):
    cpu = "sys__devices__system__cpu__"
    root = files(
        tmp_path,
        **{
            f"{cpu}cpu0__cpufreq__scaling_governor": "powersave",
            f"{cpu}intel_pstate__no_turbo": "0",
        },
    )
    governor, boosts = machine.governor(root), machine.boosts(root)
    assert (governor, boosts) == ("powersave", True)
    monkeypatch.setattr(machine, "governor", lambda: governor)
    monkeypatch.setattr(machine, "boosts", lambda: boosts)
    line = only(doctor_machine.clock_rate)
    assert line.startswith("warning | clock rate: governor powersave; boost is on | ")
    assert "cpupower" in line
    monkeypatch.setattr(machine, "governor", lambda: "performance")
    assert only(doctor_machine.clock_rate).startswith("ok")


def test_a_container_with_half_a_core_and_little_memory(monkeypatch):
    monkeypatch.setattr(machine, "core_quota", lambda: 0.5)
    monkeypatch.setattr(machine, "memory_quota", lambda: machine.GIB)
    assert "this container may use 0.5 cores' worth" in only(doctor_machine.processor)
    assert "--workers 1" in only(doctor_machine.processor)
    line = only(doctor_machine.memory)
    assert line.startswith("warning") and "this container may use 1.0 GiB" in line


@pytest.mark.parametrize(("load", "mark"), [(0.1, "ok"), (7.5, "warning")])
def test_a_busy_machine_is_told(monkeypatch, load, mark):
    monkeypatch.setattr(machine, "load", lambda: load)
    line = only(doctor_machine.load)
    assert line.startswith(mark) and ("noisy" in line) == (mark == "warning")


def test_a_clock_that_stands_still_is_broken(monkeypatch):
    monkeypatch.setattr(doctor_machine.time, "monotonic", lambda: 5.0)
    assert only(doctor_machine.clock).startswith("broken | the monotonic clock stands still")


def smi(text, code=0):
    done = subprocess.CompletedProcess([], code, stdout=text, stderr="")
    return lambda *given, **settings: done


def torch_with(cuda, available):
    flags = types.SimpleNamespace(is_available=lambda: available, device_count=lambda: 1)
    version = types.SimpleNamespace(cuda=cuda, hip=None)
    return types.SimpleNamespace(cuda=flags, version=version, __version__="2.13.0")


@pytest.mark.parametrize(
    ("printed", "torch", "expected"),
    [
        ("", torch_with(None, False), ["ok | no GPU"]),
        ("A1, 81559, 550.1\n", torch_with(None, False), ["ok | A1, 79.6 GiB, driver 550.1",
                                                         "warning | torch 2.13.0 is a CPU build"]),
        ("A1, 81559, 550.1\n", torch_with("13.0", False), ["ok | A1", "warning | torch"]),
        ("A1, 81559, 550.1\n", torch_with("13.0", True), ["ok | A1", "ok | torch 2.13.0 sees 1"]),
        ("A1, [N/A], 550.1\ngarbage\n", torch_with("13.0", True), ["ok | A1, memory un", "ok"]),
    ],
)  # fmt: skip
def test_what_driver_and_torch_say_of_a_gpu(monkeypatch, printed, torch, expected):
    monkeypatch.setattr(doctor_machine.subprocess, "run", smi(printed))
    monkeypatch.setitem(sys.modules, "torch", torch)
    lines = found(doctor_machine.graphics)
    assert len(lines) == len(expected)
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(start)


def test_a_driver_that_hangs_is_no_gpu(monkeypatch):
    def hang(*given, **settings):
        raise subprocess.TimeoutExpired("nvidia-smi", 3)

    monkeypatch.setattr(doctor_machine.subprocess, "run", hang)
    assert doctor_machine._gpus() == []


# --------------------------------------------------------------------------- folders


def test_a_folder_that_cannot_be_written_is_broken(monkeypatch):
    def full(*given, **settings):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(doctor_machine.tempfile, "NamedTemporaryFile", full)
    line = only(doctor_machine.results)
    assert line.startswith("broken | results cannot be written") and "Read-only" in line
    assert line.endswith("use --out")


def test_a_folder_where_fsync_fails_is_broken(monkeypatch):
    def fail(handle):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(doctor_machine.os, "fsync", fail)
    assert only(doctor_machine.results).startswith("broken")


def test_a_full_disk_is_told(monkeypatch):
    usage = types.SimpleNamespace(free=0.5 * machine.GIB)
    monkeypatch.setattr(doctor_machine.shutil, "disk_usage", lambda folder: usage)
    assert "warning | only 0.5 GiB free for results" in found(doctor_machine.results)[-1]


def test_a_results_folder_that_is_a_file_does_not_raise(tmp_path):
    (tmp_path / "results").write_text("")
    assert found(doctor_machine.results)[0].startswith("broken")


def test_what_a_store_holds_is_counted(tmp_path):
    root = files(
        tmp_path / "results/store",
        cells__a="", quarantine__b="", partial__c__s="x", partial__d__s="x", files__a__w="",
    )  # fmt: skip
    (root / "cells/a").rename(root / "cells/a.json")
    (root / "quarantine/b").rename(root / "quarantine/b.json")
    (root / "partial/empty").mkdir()
    lines = found(doctor_machine.earlier_runs)
    assert lines[0].startswith("ok | results/store: 1 records")
    assert lines[1].startswith("ok | 2 interrupted cells go on")
    assert lines[2].startswith("warning | 1 damaged records were set aside")


def test_a_cache_below_a_file_is_a_warning(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "file/cache"))
    assert "BENCH_CACHE_DIR" in only(doctor_machine.cache)


def test_a_lock_that_cannot_be_opened_is_broken(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BENCH_LOCK_DIR", str(tmp_path / "file"))
    line = only(doctor_machine.lock)
    assert line.startswith("broken") and "BENCH_LOCK_DIR" in line


def test_a_timing_that_runs_now_is_told_and_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_LOCK_DIR", str(tmp_path / "locks"))
    assert only(doctor_machine.lock).startswith("ok")
    with locks.machine_lock(alone=True):
        assert "a timing is being measured now" in only(doctor_machine.lock)


def test_the_names_of_gpus_come_without_torch():
    script = "import sys; from bench import machine, provenance; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
    assert provenance.machine()["cores"] == machine.usable_cores()
