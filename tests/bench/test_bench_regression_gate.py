"""The gate on small git repositories, whose project and suite need no torch."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from bench.cli import run_command_line

HOME = Path(__file__).resolve().parents[2]
QUICK = ["--rounds", "4"]
CODE = """
import time

MACS = 100

def work():
    time.sleep(0.001)
"""
SUITE = """
import toyproject

class Work:
    params = [1, 2]

    def setup(self, count):
        self.count = count

    def time_work(self, count):
        for _ in range(count):
            toyproject.work()

    def peakmem_work(self, count):
        self.kept = bytearray(toyproject.MACS * 2**15 * count)

    def track_macs(self, count):
        print("no answer")
        return toyproject.MACS * count
"""


class Project:
    """A repository with a project and a suite, both of which tests change."""

    def __init__(self, top):
        self.top = top
        top.mkdir()
        self.git("init", "--quiet", "-b", "main")
        self.write(CODE)
        self.suite(SUITE)
        self.commit()

    def git(self, *words):
        about = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", *about, *words], cwd=self.top, check=True, capture_output=True, text=True
        )
        return done.stdout

    def write(self, text, name="toyproject.py"):
        (self.top / name).write_text(text)

    def suite(self, text, name="work.py"):
        (self.top / "asv_bench").mkdir(exist_ok=True)
        (self.top / "asv_bench" / name).write_text(text)

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "--quiet", "-m", "a step")

    def worktrees(self):
        return self.git("worktree", "list").splitlines()


@pytest.fixture
def project(tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    made = Project(tmp_path / "project")
    monkeypatch.chdir(made.top)
    yield made
    assert len(made.worktrees()) == 1
    assert list(scratch.iterdir()) == []


@pytest.fixture
def compared(project, capsys):
    def run(*words, against="HEAD"):
        capsys.readouterr()
        code = run_command_line(["compare", "--against", against, *QUICK, "--json", *words])
        said = capsys.readouterr()
        found = json.loads(said.out) if said.out else {"findings": []}
        lines = {one["name"]: one for one in found["findings"]}
        return code, lines, said.err, found

    return run


def test_the_same_code_has_not_regressed(compared):
    code, lines, _, found = compared()
    assert code == found["exit_code"] == 0
    assert {one["verdict"] for one in lines.values()} == {"same"}
    assert lines["work.Work.track_macs(2)"]["head"] == 200
    assert lines["work.Work.peakmem_work(2)"]["head"] == pytest.approx(6.25, abs=1.5)
    assert lines["work.Work.time_work(2)"]["base"] == pytest.approx(0.002, abs=0.0015)
    assert not found["dirty"]


@pytest.mark.slow
def test_slower_code_and_more_memory_regress_and_nothing_else(project, compared):
    project.write(CODE.replace("0.001", "0.01"))
    project.commit()
    code, lines, _, _ = compared(against="HEAD~1")
    assert code == 3
    slower = [name for name, one in lines.items() if one["verdict"] == "regressed"]
    assert slower == ["work.Work.time_work(1)", "work.Work.time_work(2)"]
    assert lines[slower[0]]["ratio"] > 2 and lines[slower[0]]["p"] < 0.01
    assert compared(against="HEAD")[0] == 0


def test_one_more_of_what_is_counted_regresses_also_uncommitted(project, compared):
    project.write(CODE.replace("100", "101"))
    code, lines, _, found = compared("--only", "*macs*")
    assert (code, found["dirty"]) == (3, True)
    assert lines["work.Work.track_macs(1)"]["verdict"] == "regressed"
    project.write(CODE.replace("100", "99"))
    code, lines, _, _ = compared("--only", "*macs*")
    assert (code, lines["work.Work.track_macs(1)"]["verdict"]) == (0, "improved")


def test_a_benchmark_that_the_base_lacks_or_fails_is_told(project, compared):
    project.write(CODE + "\ndef more():\n    return 5\n")
    project.suite(
        "from toyproject import more\n\ndef track_more():\n    return more()\n", "late.py"
    )
    project.suite(SUITE + "\n    def track_more(self, count):\n        return toyproject.more()\n")
    code, lines, _, found = compared("--only", "*track*")
    assert code == 0
    assert lines["late.track_more"]["verdict"] == "new"
    assert lines["work.Work.track_more(1)"]["verdict"] == "new"
    assert "has no attribute 'more'" in lines["work.Work.track_more(1)"]["reason"]
    assert any("late.py cannot be imported at base" in note for note in found["notes"])


@pytest.mark.parametrize(
    "text", [CODE + "\nraise ValueError('not finished')\n", CODE + "\nimport os\nos._exit(7)\n"]
)
def test_a_base_that_cannot_be_imported_leaves_nothing_to_compare(project, compared, text):
    project.write(text)
    project.commit()
    project.write(CODE)
    code, lines, said, found = compared("--only", "*macs*")
    assert code == 5
    assert {one["verdict"] for one in lines.values()} == {"new"}
    assert found["notes"] and "nothing could be compared" in said
    project.commit()
    project.write(text)  # and the other way round all has broken
    code, lines, _, _ = compared("--only", "*macs*")
    assert code == 3
    assert {one["verdict"] for one in lines.values()} == {"regressed"}


def test_a_process_that_dies_at_head_is_a_regression_and_the_rest_is_measured(project, compared):
    project.write(CODE.replace("time.sleep(0.001)", "import os; os.kill(os.getpid(), 9)"))
    code, lines, _, _ = compared("--only", "*(1)")
    assert code == 3
    assert "SIGKILL" in lines["work.Work.time_work(1)"]["reason"]
    assert lines["work.Work.track_macs(1)"]["verdict"] == "same"


def test_the_tree_is_measured_and_not_what_is_installed(project, compared, tmp_path, monkeypatch):
    """A copy that lies on the path, as an editable installation does, is not what counts."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "toyproject.py").write_text(CODE.replace("100", "7"))
    (elsewhere / "added.py").write_text("NUMBER = 7\n")
    monkeypatch.setenv("PYTHONPATH", str(elsewhere))
    project.suite(SUITE + "\ndef track_added():\n    import added\n    return added.NUMBER\n")
    project.write("NUMBER = 3\n", "added.py")
    _, lines, _, _ = compared("--only", "*track*")
    assert lines["work.Work.track_macs(1)"]["base"] == 100
    assert lines["work.Work.track_macs(1)"]["head"] == 100
    assert lines["work.track_added"]["head"] == 3
    assert "No module named 'added'" in lines["work.track_added"]["reason"]


def test_code_from_elsewhere_is_refused(project, compared, tmp_path):
    other = tmp_path / "other.py"
    other.write_text("MACS = 1\n")
    smuggled = (
        "import sys, types\nm = types.ModuleType('toyproject')\n"
        f"m.__file__ = {str(other)!r}\nsys.modules['toyproject'] = m\n"
        "def track_one():\n    return 1\n"
    )
    project.suite(smuggled)
    code, _, said, _ = compared()
    assert code == 2
    assert "is not the code below" in said
    project.suite("def track_one():\n    return 1\n")
    code, _, said, _ = compared()
    assert code == 2
    assert "imported nothing from" in said


@pytest.mark.slow
def test_code_that_is_timed_in_fresh_processes_is_the_trees(project, compared):
    project.suite(
        "def timeraw_start():\n    import toyproject\n"
        '    return """\n    import time, toyproject\n'
        '    time.sleep(toyproject.MACS / 2000)\n    """'
    )
    project.write(CODE.replace("100", "1"))
    project.commit()
    project.write(CODE)
    code, lines, _, _ = compared("--rounds", "3")
    assert code == 3
    assert lines["work.timeraw_start"]["ratio"] > 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--against", "HEAD", "--only", "nothing*"], 5, "nothing could be compared"),
        (["--against", "nowhere"], 2, "no revision named 'nowhere'"),
        (["--against", "-x"], 2, "no revision named '-x'"),
        (["--against", "HEAD", "a", "b"], 2, "not both"),
        (["--rounds", "3", "a", "b"], 2, "belongs to --against"),
        (["a"], 2, "expected two"),
        ([], 2, "expected two"),
        (["--against", "HEAD", "--rounds", "1"], 2, "expected --rounds"),
        (["--against", "HEAD", "--alpha", "0"], 2, "between 0 and 1"),
        (["--against", "HEAD", "--least", "0.5"], 2, "1 or more"),
    ],
)
def test_usage(project, capsys, words, code, said):
    assert run_command_line(["compare", *words]) == code
    assert said in capsys.readouterr().err


def test_without_a_repository_or_git(project, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_command_line(["compare", "--against", "HEAD"]) == 2
    assert "no git repository" in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run_command_line(["compare", "--against", "HEAD"]) == 69
    assert "install git" in capsys.readouterr().err
    monkeypatch.undo()


def test_the_table_has_a_line_per_benchmark(project, capsys):
    project.write(CODE.replace("100", "101"))
    words = ["compare", "--against", "HEAD", *QUICK, "--only", "*macs*"]
    assert run_command_line(words) == 3
    shown = capsys.readouterr().out
    (line,) = [line for line in shown.splitlines() if "track_macs(1)" in line]
    assert line.split() == ["100", "101", "1.010", "-", "-", "regressed", "work.Work.track_macs(1)"]
    assert "uncommitted changes included" in shown


def started(project, scratch, **changes):
    """Start a comparison whose benchmark tells that it runs, and then takes long."""
    mark = project.top / "running"
    text = CODE + "\nfrom pathlib import Path\ndef long():\n"
    text += f"    Path({str(mark)!r}).touch()\n    time.sleep(60)\n"
    project.write(text)
    project.suite("from toyproject import long\n\ndef track_long():\n    long()\n")
    project.commit()
    env = {**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": str(HOME), **changes}
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", "compare", "--against", "HEAD"],
        cwd=project.top, env=env, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    end = time.monotonic() + 60
    while not mark.exists():
        assert process.poll() is None and time.monotonic() < end, process.stderr.read()
        time.sleep(0.02)
    assert len(project.worktrees()) == 2
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_no_worktree(project, tmp_path, number):
    scratch = tmp_path / "scratch"
    with started(project, scratch) as process:
        process.send_signal(number)
        assert process.wait(30) == 130
        assert "interrupted" in process.stderr.read()
    assert len(project.worktrees()) == 1
    assert list(scratch.iterdir()) == []


def test_what_a_killed_comparison_left_is_removed_by_the_next(project, compared, tmp_path):
    scratch = tmp_path / "scratch"
    with started(project, scratch) as process:
        # A second one leaves the first, which still runs, alone.
        project.suite(SUITE)
        assert compared("--only", "*macs*", against="HEAD~1")[0] == 0
        assert len(project.worktrees()) == 2
        process.kill()
    assert len(list(scratch.iterdir())) == 1
    assert compared("--only", "*macs*", against="HEAD~1")[0] == 0


def test_another_worktree_whose_disk_is_away_is_left_alone(project, compared, tmp_path):
    mine, away = tmp_path / "mine", tmp_path / "away"
    project.git("worktree", "add", "--quiet", "--detach", str(mine))
    mine.rename(away)
    assert compared("--only", "*macs*")[0] == 0
    away.rename(mine)
    subprocess.run(["git", "status"], cwd=mine, check=True, capture_output=True)
    project.git("worktree", "remove", "--force", str(mine))


def test_rounds_are_asked_for_where_something_is_timed(compared):
    assert compared("--only", "*macs*", "--rounds", "1")[0] == 0
