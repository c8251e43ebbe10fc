"""Run a torch-free experiment of tests/plugin without the command line's start-up time.

`python driver.py EXPERIMENT STORE [WORKERS]`; ends as the command does: 130 when interrupted, one
line and its exit code for an error that a person can mend.
"""

import sys
from pathlib import Path

from bench.api import BenchError
from bench.budget import load_budget
from bench.plan import Plan, Study, make_plan
from bench.runner import Runner
from bench.stopping import wound_up_by_signals
from bench.store import Store


def toy_plan(experiment: str) -> Plan:
    """Return the plan of an experiment that looks at no network."""
    return make_plan(Study(load_budget("smoke"), {}, 1), [experiment])


def main(experiment: str, store: str, workers: str = "2") -> int:
    """Measure what is missing."""
    runner = Runner(Store(Path(store).resolve()), workers=int(workers))
    try:
        with wound_up_by_signals(runner.wind_up):
            records = runner.run(toy_plan(experiment))
    except KeyboardInterrupt:
        return 130
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.exit_code
    return 0 if all(record["status"] == "ok" for record in records.values()) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
