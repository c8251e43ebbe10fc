"""What a finished run comes to: what it lacked, and the exit code that says so."""

from collections import Counter
from typing import TYPE_CHECKING

from bench.record import FAULTY
from bench.runs import Run

if TYPE_CHECKING:
    from bench.session import Session

FETCHED = ("features", "judge")
"""Tasks that skip where a download is missing that no plan asks for: weights, labels."""
EXIT_FAILED, EXIT_NOTHING_RAN, EXIT_MISSING = 1, 5, 69


def lacking(session: "Session", run: Run) -> list[str]:
    """Return what was missing on this machine - data, labels, weights - and how to get it."""
    unmeasured = {planned.unavailable for planned in session.plan if planned.unavailable}
    ok = {record["key"] for record in run.records if record["status"] == "ok"}
    for record in run.records:
        own = record["status"] == "skipped" and ok >= set(record["uses"])
        if record["task"] in FETCHED and own:
            unmeasured.add(record["reason"])
    return sorted(unmeasured)


def exit_code(session: "Session", run: Run) -> int:
    """Return the exit code that tells how a run went; results that are not shared come first."""
    if session.shared is not None and session.shared.fault is not None:
        return session.shared.fault.exit_code
    counts = Counter(record["status"] for record in run.records)
    if sum(counts[status] for status in FAULTY) or run.manifest.get("failed_again"):
        return EXIT_FAILED
    if lacking(session, run):
        return EXIT_MISSING
    return 0 if counts["ok"] else EXIT_NOTHING_RAN
