"""Entry point of `python -m bench`."""

import sys
from pathlib import Path


def _leave_current_directory() -> None:
    """Take the current directory off the import path, unless this package lies in it.

    `python -m` puts it first, where a stranger's folder `models/` would shadow ours.
    """
    home = Path(__file__).resolve().parent.parent
    sys.path[:] = [entry for entry in sys.path if entry and Path(entry).resolve() != Path.cwd()]
    if str(home) not in sys.path:
        sys.path.insert(0, str(home))  # before another checkout that may be installed


def main() -> None:
    """Run the command line and exit with its code."""
    _leave_current_directory()
    from bench.cli import run_command_line

    sys.exit(run_command_line(sys.argv[1:]))


if __name__ == "__main__":
    main()
