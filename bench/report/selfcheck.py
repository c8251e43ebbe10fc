"""The self-check: what the run measured although it was known, and what to believe if it failed."""

from dataclasses import dataclass
from typing import Any

from bench.report.rows import CANARY as TASK
from bench.report.rows import RunLike, faults, ok, text_of, true

COLUMNS = ("canary", "expected", "measured", "tolerance", "passed", "basis", "fault")


@dataclass(frozen=True, slots=True)
class Check:
    """One known answer, in words."""

    name: str
    expected: str
    measured: str
    tolerance: str
    passed: bool
    basis: str

    @property
    def verdict(self) -> str:
        """How it went."""
        return "passed" if self.passed else "FAILED"


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """All of them; empty for a run without."""

    checks: tuple[Check, ...]
    not_run: tuple[str, ...]
    """Cells of known answers that were not measured, with the reason."""

    def __bool__(self) -> bool:
        """Return whether there is anything to show."""
        return bool(self.checks or self.not_run)

    @property
    def failed(self) -> tuple[Check, ...]:
        """What did not give the known answer."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def summary(self) -> str:
        """One line: how many passed."""
        passed = len(self.checks) - len(self.failed)
        return f"{passed} of {len(self.checks)} known answers were found"

    @property
    def warning(self) -> str:
        """What a reader must hear before any number; empty where all is well."""
        told = [
            f"{check.name}: expected {check.expected}, measured {check.measured}"
            for check in self.failed
        ]
        told += self.not_run
        if not told:
            return ""
        return f"The self-check of this run failed, do not rely on its numbers: {'; '.join(told)}."


def selfcheck(run: RunLike) -> SelfCheck:
    """Return what a run measured of known answers."""
    rows = ok(run, TASK, COLUMNS).to_dict("records")
    checks = [_check(row) for row in rows]
    not_run = [
        f"'{fault['label']}' is {fault['status']} ({fault['reason'] or 'no reason given'})"
        for fault in faults(run, [TASK]).to_dict("records")
    ]
    checks.sort(key=lambda check: check.passed)  # failed ones first, else as measured
    return SelfCheck(tuple(checks), tuple(not_run))


def _check(row: dict[str, Any]) -> Check:
    fault = text_of(row["fault"])
    return Check(
        str(row["canary"]),
        _shown(row["expected"]),
        fault or _shown(row["measured"]),
        f"+- {float(row['tolerance']):.2g}" if row["tolerance"] else "exactly",
        true(row["passed"]),
        str(row["basis"]),
    )


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else f"{float(value):.8g}"
