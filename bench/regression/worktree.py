"""A git revision as a folder of its own, beside the repository and gone afterwards."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from bench.errors import BenchError, Missing
from bench.inputs import printable

PREFIX = "bench-compare-"
BASE = "base"
OWNER = "owner.lock"
"""Locked as long as the folder's process lives, whatever ends it."""
DECIDED = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR")
"""Variables that a hook inherits; with them git would work on another tree than the one asked."""
LIMIT_S = 120


@dataclass(frozen=True, slots=True)
class Repository:
    """A git repository, by its top folder."""

    top: Path

    @classmethod
    def around(cls, folder: Path) -> "Repository":
        """Return the repository that holds a folder.

        Raises:
            Missing: If git is not installed.
            BenchError: If there is no repository.
        """
        try:
            return cls(Path(git(folder, "rev-parse", "--show-toplevel")).resolve())
        except GitError as error:
            raise BenchError(
                f"{printable(folder)} is in no git repository that can be used ({error}); "
                "compare --against needs one: go to the project's folder"
            ) from None

    def commit(self, revision: str) -> str:
        """Return the commit that a revision names.

        Raises:
            BenchError: If it names none.
        """
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        try:
            return git(self.top, *words)
        except GitError:
            raise BenchError(
                f"no revision named '{printable(revision)}' in {printable(self.top)}; "
                "expected a commit, branch or tag, such as HEAD~1 or main"
            ) from None

    def is_dirty(self) -> bool:
        """Return whether the tree holds changes that are not committed."""
        return bool(git(self.top, "status", "--porcelain"))

    @contextlib.contextmanager
    def checked_out(self, commit: str) -> Iterator[Path]:
        """Yield a scratch folder whose folder `base` is a worktree of a commit.

        It goes with everything in it, however the body ends. What a process that was killed left
        behind goes with the next comparison in the same repository.
        """
        self.prune()
        scratch = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        owner = FileLock(scratch / OWNER)
        try:
            owner.acquire(timeout=0)
            git(self.top, "worktree", "add", "--detach", "--force", str(scratch / BASE), commit)
            yield scratch
        except GitError as error:
            raise BenchError(f"git cannot check out {commit[:12]}: {error}") from error
        finally:
            self._removed(scratch)
            owner.release()
            shutil.rmtree(scratch, ignore_errors=True)

    def prune(self) -> None:
        """Remove the worktrees of comparisons whose process is gone."""
        listed = git(self.top, "worktree", "list", "--porcelain").splitlines()
        for line in listed:
            place = Path(line.removeprefix("worktree "))
            if not line.startswith("worktree ") or not _is_ours(place):
                continue
            if not place.parent.is_dir():
                self._removed(place.parent)
                continue
            with contextlib.suppress(Timeout), FileLock(place.parent / OWNER, timeout=0):
                self._removed(place.parent)
                shutil.rmtree(place.parent, ignore_errors=True)

    def _removed(self, scratch: Path) -> None:
        with contextlib.suppress(GitError):  # git locks what it has not finished adding
            git(self.top, "worktree", "unlock", str(scratch / BASE))
        # By name, and never `worktree prune`: that forgets worktrees of others whose disk is away.
        with contextlib.suppress(GitError):
            git(self.top, "worktree", "remove", "--force", "--force", str(scratch / BASE))
        shutil.rmtree(scratch / BASE, ignore_errors=True)


class GitError(BenchError):
    """Git refused; the message is its own first line."""


def git(folder: Path, *words: str) -> str:
    """Run git in a folder and return what it prints; no hooks of the repository run.

    Raises:
        Missing: If git is not installed.
        GitError: If it fails.
    """
    env = {name: value for name, value in os.environ.items() if name not in DECIDED}
    command = ["git", "-c", f"core.hooksPath={os.devnull}", *words]
    try:
        done = subprocess.run(
            command, cwd=folder, env={**env, "LC_ALL": "C"}, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=LIMIT_S, start_new_session=True,
        )  # fmt: skip
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise
        raise Missing(
            "git is not installed; compare --against checks out the base with it: install git"
        ) from error
    except subprocess.TimeoutExpired:
        raise GitError(f"git {words[0]} took longer than {LIMIT_S} s") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"git {words[0]} exits {done.returncode}"]
        raise GitError(printable(said[-1], 200))
    return done.stdout.strip()


def _is_ours(place: Path) -> bool:
    return place.name == BASE and place.parent.name.startswith(PREFIX)
