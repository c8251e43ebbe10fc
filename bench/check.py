"""Is a run whole and valid?"""

import importlib.metadata
import math
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from bench import canonical, code, merkle
from bench.api import BenchError
from bench.inputs import escaped, printable
from bench.metrics.latency import NOISY
from bench.record import Record, basis_fault
from bench.runs import Run
from bench.supply import lacking
from bench.trust import CANARY

LONGEST_REASON = 200
FEWEST_SAMPLES = 10
"""Below it, quartiles rest on too few calls to tell a quiet machine from a busy one."""
ROUNDING = 1e-6

_is_module = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII).fullmatch


def faults(run: Run) -> list[str]:
    """Return why a run is not valid, one line each; empty where it is.

    A run is valid if every cell of its manifest has a whole record, the very one that the run
    ended with, and whole files; if none failed; if timings are of its machine, of enough samples,
    quiet, and what their samples say; if counters of the same work agree; and if its canaries
    passed.
    """
    if not run.records:
        return ["the run has no cells"]
    rules = (_records, _manifest, _bases, _files, _timings, _counters, _canaries)
    return [fault for rule in rules for fault in rule(run)]


def notes(run: Run) -> list[str]:
    """Return what a reader should know of a run though it is no fault, one line each."""
    return [*_uncommitted(run), *_other_code(run), *_skipped(run), *_left_out(run)]


def _records(run: Run) -> Iterator[str]:
    for record in run.records:
        if record["status"] not in ("ok", "skipped"):
            yield f"'{record['label']}' is {record['status']}: {record['reason']}"


def _manifest(run: Run) -> Iterator[str]:
    """Are these the records that the run ended with? A lost record is a fault of its own."""
    if run.lost:
        return
    sums = {record["key"]: record["checksum"] for record in run.records}
    known = run.manifest.get("merkle_root")
    earlier = run.manifest.get("records")  # what earlier versions wrote instead
    if known is None and earlier is None:
        yield "the run does not say which records it ended with; run the command again"
    if known not in (None, merkle.root(sums)) or earlier not in (None, canonical.digest(sums)):
        yield (
            "a record was replaced since the run was written: the records do not have the hash "
            "that run.json gives; run the command again"
        )
    counts = dict(Counter(record["status"] for record in run.records))
    if run.manifest.get("counts", counts) != counts:
        claimed = escaped(_told(run.manifest["counts"]))[:200]
        yield f"run.json counts {claimed}, its records are {_told(counts)}"


def _bases(run: Run) -> Iterator[str]:
    keys = {record["key"] for record in run.records}
    for record in run.records:
        contradiction = basis_fault(record)
        if contradiction:
            yield f"'{record['label']}': {contradiction}"
        strange = [used for used in record["uses"] if used not in keys]
        if strange:
            yield f"'{record['label']}' uses {strange[0][:12]}, which is no cell of this run"


def _files(run: Run) -> Iterator[str]:
    if run.manifest.get("reference"):
        return  # a published run keeps its records without samples and weights
    for record in run.records:
        for name in sorted(record["files"].keys() - set(_elsewhere(run, record))):
            try:
                run.store.file(record["key"], name)
            except BenchError as fault:
                yield f"'{record['label']}': {fault}"


def _elsewhere(run: Run, record: Record) -> dict[str, Any]:
    """Return the files of a record that nobody has read here, of a run that shares its results."""
    if "shared" not in run.manifest or run.store.supply is not None:
        return {}
    return lacking(run.store.folder(record["key"]), record["files"])


def _left_out(run: Run) -> Iterator[str]:
    count = sum(len(_elsewhere(run, record)) for record in run.records)
    if count:
        where = escaped(run.manifest["shared"])[:200]
        yield f"{_were(count, 'file')} not looked at, in {where} and not here; name it with --store"


def _timings(run: Run) -> Iterator[str]:
    machine = run.manifest.get("machine")
    for record in run.records:
        if record["timing"] and machine is not None:
            if machine != record["made"].get("machine"):
                yield f"'{record['label']}': timed on another machine than the run's"
        for row in record["rows"]:
            about = escaped(str(row.get("backbone", "the row"))[:40])
            if row.get("fault") and record["task"] != CANARY:
                why = printable(row["fault"], LONGEST_REASON)
                if not row.get("skipped"):
                    yield f"'{record['label']}': {about} could not be measured ({why})"
                continue
            if row.get("audit_passed") is False:
                why = printable(row.get("audit_fault"), LONGEST_REASON)
                yield f"'{record['label']}': the timing of {about} failed its audit ({why})"
            fault = _timing_fault(row)
            if fault:
                yield f"'{record['label']}': the timing of {about} {fault}"


def _timing_fault(row: Mapping[str, Any]) -> str:
    """Return what is wrong with a row's timing, where it has one."""
    samples = row.get("samples_s")
    if samples is None:
        return "is noisy" if row.get("noisy") else ""
    if not _are_durations(samples):
        return "holds samples that are no durations; expected seconds above 0"
    if len(samples) < FEWEST_SAMPLES:
        return (
            f"has {len(samples)} samples, expected {FEWEST_SAMPLES} or more; "
            "run with --set timing.repeats=30"
        )
    quartiles = statistics.quantiles(samples, n=4, method="inclusive")
    names = ("latency_q1_s", "latency_s", "latency_q3_s")
    for name, ours in zip(names, quartiles, strict=True):
        if not _agree(row.get(name, ours), ours):
            return f"has a {name} that its samples do not give ({ours:.6g})"
    q1, median, q3 = quartiles
    if row.get("noisy") or q3 - q1 > NOISY * median * (1 + ROUNDING):
        spread = f"quartiles {q1:.4g} to {q3:.4g} s"
        why = printable(row.get("noisy_reason") or spread, LONGEST_REASON)
        return f"is noisy ({why}); measure again on an idle machine with --fresh"
    return ""


def _are_durations(samples: object) -> bool:
    return isinstance(samples, list) and all(
        type(sample) in (int, float) and 0 < sample < math.inf for sample in samples
    )


def _agree(claimed: Any, ours: float) -> bool:
    return type(claimed) in (int, float) and math.isclose(claimed, ours, rel_tol=ROUNDING)


def _counters(run: Run) -> Iterator[str]:
    """Do the counters of one network's multiply-adds agree, where a cell compared them?"""
    for record in run.records:
        for row in record["rows"]:
            if row.get("counters_agree") is False:
                gap = row.get("counters_gap")
                told = f"{gap:.2%}" if isinstance(gap, float) else printable(gap, 40)
                yield (
                    f"'{record['label']}': its counters of multiply-adds are {told} apart, "
                    "expected 0.1 % or less; an operator is counted by one and not by another"
                )


def _canaries(run: Run) -> Iterator[str]:
    """Did the measurements that have a known answer give it?"""
    for record in run.records:
        if record["task"] != CANARY or record["status"] != "ok":
            continue
        if not record["rows"]:
            yield f"'{record['label']}' is a canary without rows"
        for row in record["rows"]:
            if row.get("passed") is not True:
                found = {name: row.get(name) for name in ("measured", "expected", "tolerance")}
                yield (
                    f"the canary {escaped(str(row.get('canary'))[:80])} did not pass: "
                    f"{escaped(_told(found))[:200]}"
                )


def _uncommitted(run: Run) -> Iterator[str]:
    changed = sum(bool(_git(record["made"]).get("changed")) for record in run.records)
    if changed:
        yield f"{_were(changed, 'record')} measured with changes that were not committed"
    if _git(run.manifest).get("changed"):
        yield "run.json was written with changes that were not committed"


def _git(about: Mapping[str, Any]) -> Mapping[str, Any]:
    found = about.get("git")
    return found if isinstance(found, dict) else {}


def _other_code(run: Run) -> Iterator[str]:
    """Compare the code that decided the records with this checkout's; imports no plug-in."""
    groups: Counter[tuple[tuple[str, ...], str]] = Counter()
    for record in run.records:
        basis = record.get("basis", {})
        if isinstance(basis.get("modules"), list):
            groups[tuple(map(str, basis["modules"])), str(basis.get("code"))] += 1
    known = _projects()
    other = 0
    lost: Counter[str] = Counter()
    for (modules, decided), count in groups.items():
        absent = [name for name in modules if not _is_here(name, known)]
        if absent:
            lost[escaped(absent[0][:80])] += count
        elif code.digest(*modules) != decided:
            other += count
    if other:
        yield (
            f"{_were(other, 'record')} measured by other code than this checkout's; "
            "a run of the same command would measure again"
        )
    for name, count in sorted(lost.items()):
        records = "1 record comes" if count == 1 else f"{count} records come"
        yield f"{records} from the plug-in {name}, which is not installed here"


def _projects() -> set[str]:
    """Return the packages in which plug-ins may lie; nothing else is ever looked for."""
    points = importlib.metadata.entry_points(group="bench.plugins")
    return {*code.OURS, *(point.value.partition(":")[0].partition(".")[0] for point in points)}


def _is_here(module: str, known: set[str]) -> bool:
    return (
        _is_module(module) is not None
        and module.partition(".")[0] in known
        and code.source_of(module) is not None
    )


def _skipped(run: Run) -> Iterator[str]:
    reasons = Counter(r["reason"] for r in run.records if r["status"] == "skipped")
    for reason, count in sorted(reasons.items()):
        yield f"{_were(count, 'cell')} skipped: {reason}"


def _were(count: int, what: str) -> str:
    return f"1 {what} was" if count == 1 else f"{count} {what}s were"


def _told(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(counts.items()))
