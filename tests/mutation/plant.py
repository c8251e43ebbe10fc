"""Plant wrong lines in a copy of the project, one at a time, and see whether the tests notice.

A test suite that passes says little until one knows what it would not pass. `wrong_lines.py` lists
mistakes that were made in published metric code, or could be; each is put into a copy of the tree
in a temporary folder, never into the tree itself, and the tests of the metrics are run there.

    python tests/mutation/plant.py                  # all, with a table; some minutes
    python tests/mutation/plant.py ssim-window-size # some of them, by name

Exit status: 0 all were caught, 1 one was missed, 2 a text to be replaced is not found any more.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]
COPIED = ("bench", "models", "baselines", "tests", "results/paper", "pyproject.toml", "README.md")
LIMIT_S = 240
QUICK = """
hypothesis.settings.register_profile(
    "quick", deadline=None, phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate]
)
hypothesis.settings.load_profile("quick")
"""
"""Added to the copy's conftest: nobody reads the example, so it need not be made small."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """One wrong line."""

    name: str
    file: str
    old: str
    """What stands there, once."""
    new: str
    why: str
    """Who has made this mistake, or what it would do."""
    tests: Sequence[str] = ()
    """What to run, one of which is to fail."""


class Stale(Exception):
    """A text that is to be replaced is not there, or more than once."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the tests said to a wrong line."""

    wrong: Wrong
    caught_by: str
    """The first test that failed; empty if none did."""
    seconds: float


@contextmanager
def copied_tree() -> Iterator[Path]:
    """Yield a folder with a copy of the project that can be changed, and remove it after."""
    with tempfile.TemporaryDirectory(prefix="wrong-lines-") as name:
        place = Path(name)
        for part in COPIED:
            source, target = HOME / part, place / part
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", ".hypothesis")
                shutil.copytree(source, target, ignore=ignored)
            elif source.is_file():
                shutil.copy(source, target)
        with (place / "tests" / "conftest.py").open("a") as conftest:
            conftest.write(QUICK)
        yield place


def plant(place: Path, wrong: Wrong) -> str:
    """Put a wrong line into a copy of the project; return the file's text as it was.

    Raises:
        Stale: If the text is not there exactly once.
    """
    path = place / wrong.file
    before = path.read_text() if path.is_file() else ""
    if (found := before.count(wrong.old)) != 1:
        raise Stale(f"{wrong.name}: found {found} times in {wrong.file}, expected once")
    path.write_text(before.replace(wrong.old, wrong.new))
    return before


def failing_test(place: Path, tests: Sequence[str]) -> str:
    """Run tests in a copy of the project; return the first that fails, or "".

    Raises:
        RuntimeError: If nothing was run: an error of collection would look like a caught mistake.
    """
    # In one process, whose status tells a failure from tests that did not run; slow ones, too.
    options = ["-x", "-q", "-p", "no:cacheprovider", "-n", "0", "-m", "not browser and not shared"]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    # No bytecode: a file that changes twice within its clock's resolution would run stale.
    environment = {
        **os.environ,
        "PYTHONPATH": str(place),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        command, cwd=place, env=environment, capture_output=True, text=True, timeout=LIMIT_S
    )
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    if done.returncode == 1 and failed:
        return failed[0].removeprefix("FAILED ").partition(" - ")[0]
    if done.returncode == 0:
        return ""
    raise RuntimeError(f"the tests did not run: {(done.stdout + done.stderr)[-600:]}")


def judge(place: Path, wrong: Wrong) -> Verdict:
    """Plant one wrong line, run the tests, take it out again."""
    before = plant(place, wrong)
    started = time.monotonic()
    try:
        caught_by = failing_test(place, wrong.tests)
    finally:
        (place / wrong.file).write_text(before)
    return Verdict(wrong, caught_by, time.monotonic() - started)


def main(words: list[str]) -> int:
    """Judge the wrong lines named, or all, print a table, return the exit status."""
    sys.path.insert(0, str(Path(__file__).parent))
    from wrong_lines import WRONG

    parser = argparse.ArgumentParser(description="Do the tests notice wrong lines?")
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args(words).names or list(WRONG)
    if unknown := [name for name in names if name not in WRONG]:
        parser.error(f"no wrong line named {', '.join(unknown)}; there are {', '.join(WRONG)}")
    missed, stale = 0, 0
    with copied_tree() as place:
        needed = {test for name in names for test in WRONG[name].tests}
        if found := failing_test(place, sorted(needed)):
            print(f"the tests fail without any wrong line: {found}")
            return 2
        for name in names:
            try:
                verdict = judge(place, WRONG[name])
            except Stale as error:
                stale += 1
                print(f"STALE   {error}", flush=True)
                continue
            missed += not verdict.caught_by
            outcome = f"caught  {verdict.caught_by}" if verdict.caught_by else "MISSED  "
            print(f"{outcome[:8]}{name:28s} {verdict.seconds:5.1f} s  {outcome[8:]}", flush=True)
    print(f"{len(names)} wrong lines: {missed} missed, {stale} stale")
    return 2 if stale else int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
