"""Peak memory of a benchmark, in a process of its own. Standard library alone: children load it."""

import json
import os
import resource
import signal
import sys
from typing import Any

BYTES = 1 if sys.platform == "darwin" else 1024
"""Of a unit of `ru_maxrss`."""
MIB = 2**20


def peak_mib(benchmark: Any) -> dict[str, Any]:
    """Set a benchmark up and run it once in a fork; return how far its memory rose in MiB.

    The rise is that of resident memory, from the fork's start to its peak. The fork holds what this
    process had imported, and nothing that a benchmark left: this process must not have run any.

    Returns:
        `value`, or `absent` or `fault` with the reason.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _answer(writing, benchmark)
    os.close(writing)
    with os.fdopen(reading, "rb") as answers:
        said = answers.read()
    _, status = os.waitpid(pid, 0)
    if said:
        return dict(json.loads(said))
    code = os.waitstatus_to_exitcode(status)
    return {"fault": f"its process ended with {signal.Signals(-code).name if code < 0 else code}"}


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES


def _answer(writing: int, benchmark: Any) -> None:
    """Measure, write the answer and leave, whatever happens."""
    said: dict[str, Any] = {"fault": "it ended its process"}
    try:
        before = _peak()
        benchmark.ready().call()
        said = {"value": (_peak() - before) / MIB}
    except NotImplementedError as error:
        said = {"absent": str(error)}
    except (Exception, SystemExit) as error:
        said = {"fault": f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]}
    finally:
        os.write(writing, json.dumps(said).encode())
        os._exit(0)
