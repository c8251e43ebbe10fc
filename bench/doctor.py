"""What works on this machine, what is missing, and the command that mends it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from bench import provenance
from bench.api import BenchError, Kind, Missing
from bench.registry import build, entries, missing_needs

Finding = tuple[str, str, str]
"""("ok" | "missing" | "broken", what, remedy or an empty text)."""


def findings() -> Iterator[Finding]:
    """Yield one finding per part of the machine and the installation."""
    machine = provenance.machine()
    yield (
        "ok",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB; "
        f"GPU: {', '.join(machine['gpu']) or 'none'}",
        "",
    )
    for name, version in provenance.versions().items():
        absent = version == "not installed"
        yield (
            "missing" if absent else "ok",
            f"{name} {version}",
            f"pip install {name}" if absent else "",
        )
    yield _torchvision()
    yield from _plugins()
    yield from _datasets()
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    yield ("ok" if free > 2 else "missing", f"{free:.0f} GiB free in this folder", "")


def _torchvision() -> Finding:
    from bench.torchvision_compat import import_torchvision

    try:
        import_torchvision()
    except (ModuleNotFoundError, Missing):
        return "missing", "torchvision, which only the tests use", "pip install -e '.[test]'"
    except Exception as error:
        remedy = "pip install the torchvision release that fits this torch (0.28 for 2.13)"
        return "broken", f"torchvision does not load: {error}", remedy
    return "ok", "torchvision loads", ""


def _plugins() -> Iterator[Finding]:
    for kind in Kind:
        found = entries(kind)
        lacking = {entry.name: missing_needs(entry) for entry in found}
        absent = {name: needs for name, needs in lacking.items() if needs}
        yield "ok", f"{len(found) - len(absent)} of {len(found)} plug-ins of kind {kind}", ""
        for name, needs in absent.items():
            yield "missing", f"{kind} {name}", f"pip install {' '.join(needs)}"


def _datasets() -> Iterator[Finding]:
    for entry in entries(Kind.DATASET):
        if entry.name == "folder":
            continue
        try:
            build(Kind.DATASET, entry.name).manifest()
        except Missing as error:
            yield "missing", f"data set {entry.name}", str(error)
        except BenchError as error:
            yield "broken", f"data set {entry.name}", str(error)
        else:
            yield "ok", f"data set {entry.name}", ""
