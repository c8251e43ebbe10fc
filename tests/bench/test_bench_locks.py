import contextlib
import fcntl
import os
import subprocess
import sys
import time

import pytest

from bench import locks
from bench.api import BenchError
from bench.locks import machine_lock


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_LOCK_DIR", str(tmp_path / "locks"))
    return tmp_path / "locks" / locks.NAME


def is_free(*, alone):
    def give_up():
        tries.append(None)
        if len(tries) > 1:
            raise TimeoutError

    tries = []
    with contextlib.suppress(TimeoutError), machine_lock(alone=alone, wanted=give_up):
        return True
    return False


def test_it_is_held_together_or_alone(path):
    with machine_lock(alone=False):
        assert is_free(alone=False) and not is_free(alone=True)
    with machine_lock(alone=True):
        assert not is_free(alone=False) and not is_free(alone=True)
    assert is_free(alone=True)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_others_can_read_it_whatever_the_umask(path, umask):
    before = os.umask(umask)
    try:
        with machine_lock(alone=False):
            assert path.stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


def test_one_that_shut_others_out_is_opened_to_them(path):
    path.parent.mkdir()
    path.touch(mode=0o600)
    with machine_lock(alone=True):
        assert path.stat().st_mode & 0o777 == 0o644


def test_no_child_inherits_it(path):
    handle = locks._opened(path)
    try:
        assert not os.get_inheritable(handle)
        assert fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    finally:
        os.close(handle)


@pytest.mark.parametrize("kind", ["link", "broken link", "pipe", "folder"])
def test_what_is_no_plain_file_is_one_line_and_is_not_waited_on(path, tmp_path, kind):
    path.parent.mkdir()
    target = tmp_path / "mine.txt"
    if kind == "link":
        target.touch(mode=0o600)
    {"pipe": os.mkfifo, "folder": os.mkdir}.get(kind, lambda p: p.symlink_to(target))(path)
    with pytest.raises(BenchError, match="BENCH_LOCK_DIR") as caught, machine_lock(alone=False):
        pass
    assert "\n" not in str(caught.value)
    assert target.exists() == (kind == "link")
    assert kind != "link" or target.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_made_is_one_line(path):
    path.parent.touch()
    with pytest.raises(BenchError, match="Not a directory"), machine_lock(alone=False):
        pass


def test_a_long_wait_is_told_once_and_the_first_call_is_no_wait():
    asked, told = [], []
    wanted = locks.patient(lambda: asked.append(None), lambda: told.append(len(asked)), after_s=0.0)
    for _ in range(4):
        wanted()
        time.sleep(0.001)
    assert (len(asked), told) == (4, [2])


HOLD = """
import fcntl, sys
handle = open(sys.argv[1])
fcntl.flock(handle, fcntl.LOCK_SH)
print(flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not locks.HELD.exists(), reason="this system does not tell who holds a file")
def test_another_process_that_holds_it_is_named_and_this_one_is_not(path):
    with machine_lock(alone=False):
        assert locks.holders() == ""
        words = [sys.executable, "-S", "-c", HOLD, path]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            other.stdout.readline()
            told = locks.holders()
            other.stdin.close()
    assert told.startswith(f" (process {other.pid}: {sys.executable} -S -c ")
    assert str(os.getpid()) not in told.split(":")[0]
    assert locks.holders() == ""


@pytest.mark.parametrize(
    "told", ["", "\n", "no lock at all", "1: FLOCK ADVISORY READ 0 {file} 0 EOF"]
)
def test_what_the_system_does_not_tell_is_not_named(path, tmp_path, monkeypatch, told):
    with machine_lock(alone=False):
        facts = path.stat()
        file = f"{os.major(facts.st_dev):02x}:{os.minor(facts.st_dev):02x}:{facts.st_ino}"
        monkeypatch.setattr(locks, "HELD", tmp_path / "told")
        assert locks.holders() == ""
        (tmp_path / "told").write_text(told.format(file=file))
        assert locks.holders() == ""
