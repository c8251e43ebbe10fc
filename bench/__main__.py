"""Entry point of `python -m bench`."""

import os
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
    from bench.stopping import EXIT_INTERRUPTED, interrupting

    try:
        with interrupting():
            from bench.cli import run_command_line

            code = run_command_line(sys.argv[1:])
    except KeyboardInterrupt:  # before the command line could answer for it
        print("bench: interrupted", file=sys.stderr)
        code = EXIT_INTERRUPTED
    if code == EXIT_INTERRUPTED:
        # Python would end itself by the signal if it struck within an import.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
