"""The doctor's look at the installation: libraries, plug-ins, weights, data."""

import contextlib
import importlib.metadata
import importlib.util
import platform
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

from bench.api import BenchError, Kind, Missing
from bench.doctor_findings import BROKEN, MISSING, OK, WARNING, Finding
from bench.installation import parts, unmet
from bench.registry import broken, build, entries, missing_needs

DISTRIBUTION = "missing-u-bench"
SHIPPED = ("digits", "gaussian")
"""Data sets that need no download."""
TRIALS = {
    "bm3d": "import numpy, bm3d; bm3d.bm3d(numpy.eye(16), 0.1)",
}
"""What is tried in a process of its own: compiled code may end its process."""
TRIAL_S = 15.0
TOOLS = {
    "pytest": "runs the tests",
    "tox": "runs them in fresh environments",
    "asv": "times the code from commit to commit",
    "git": "names the commit of a run",
}
_running: dict[str, subprocess.Popen[str]] = {}


@contextlib.contextmanager
def trials() -> Iterator[None]:
    """Start the trials, so that they run while other things are examined; end them at the end."""
    for name, code in TRIALS.items():
        if importlib.util.find_spec(name):
            _running[name] = subprocess.Popen(
                [sys.executable, "-c", code],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
    try:
        yield
    finally:
        for process in _running.values():
            process.kill()
            process.communicate()
        _running.clear()


def python() -> Iterator[Finding]:
    """Yield its version."""
    wanted = _metadata().get("Requires-Python", "")
    found = platform.python_version()
    from packaging.specifiers import SpecifierSet

    if SpecifierSet(wanted).contains(found, prereleases=True):
        yield OK, f"Python {found}", ""
    else:
        yield BROKEN, f"Python {found}, needs {wanted}", f"install Python {wanted}"


def libraries() -> Iterator[Finding]:
    """Yield those that are asked for, with the range where one is not met."""
    good = []
    for part in parts(_metadata().get_all("Requires-Dist") or []):
        install = f"pip install '{part.name}{part.wanted}'"
        if part.fits:
            good.append(f"{part.name} {part.found}")
        elif not part.extra:
            yield BROKEN, str(part), install
        elif part.found:
            yield WARNING, f"{part} (optional: {part.extra})", install
        else:
            yield MISSING, f"{part.name} (optional: {part.extra})", install
    for start in range(0, len(good), 6):
        yield OK, ", ".join(good[start : start + 6]), ""


def _metadata() -> importlib.metadata.PackageMetadata:
    try:
        return importlib.metadata.metadata(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        raise BenchError(f"{DISTRIBUTION} is not installed; run: pip install -e .") from None


def torch_works() -> Iterator[Finding]:
    """Yield whether torch computes."""
    import torch

    if float(torch.ones(2, 2).matmul(torch.ones(2, 2)).sum()) == 8:
        yield OK, f"torch computes, with {torch.get_num_threads()} threads", ""
    else:
        yield BROKEN, "torch gets 2 x 2 matrices wrong", "pip install --force-reinstall torch"


def bm3d() -> Iterator[Finding]:
    """Yield whether its compiled library loads and filters."""
    yield _tried("bm3d", "the classic denoiser (non-commercial licence)", "pip install bm3d")


def torchvision() -> Iterator[Finding]:
    """Yield whether it was built for this torch; only tests need it."""
    install = "pip install -e '.[test]'"
    try:
        wrong = unmet(importlib.metadata.requires("torchvision") or [])
    except importlib.metadata.PackageNotFoundError:
        yield MISSING, "torchvision: used by the tests", install
        return
    for part in wrong:
        yield WARNING, f"torchvision was built for another release: {part}", install
    if not wrong:
        yield OK, "torchvision fits: used by the tests", ""


def _tried(name: str, purpose: str, install: str) -> Finding:
    process = _running.get(name)
    if process is None:
        return MISSING, f"{name}: {purpose}", install
    try:
        _, errors = process.communicate(timeout=TRIAL_S)
    except subprocess.TimeoutExpired:
        return WARNING, f"{name} does not answer within {TRIAL_S:g} s", "look again when it is idle"
    if process.returncode == 0:
        return OK, f"{name} works: {purpose}", ""
    last = (errors.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
    return WARNING, f"{name} does not work ({purpose}): {last}", f"{install} --force-reinstall"


def tools() -> Iterator[Finding]:
    """Yield which programs for developers are there."""
    for name, purpose in TOOLS.items():
        beside = shutil.which(name, path=str(_scripts()))
        if beside or shutil.which(name):
            yield OK, f"{name}: {purpose}", ""
        else:
            install = "install git" if name == "git" else f"pip install {name}"
            yield MISSING, f"{name}: {purpose}", install


def _scripts() -> str:
    import sysconfig

    return sysconfig.get_path("scripts")


def plugins() -> Iterator[Finding]:
    """Yield how many there are of each kind, and which cannot be used."""
    for kind in Kind:
        found = entries(kind)
        lacking = {entry.name: missing_needs(entry) for entry in found}
        absent = {name: needs for name, needs in lacking.items() if needs}
        yield OK, f"{kind}: {len(found) - len(absent)} of {len(found)} can be used", ""
        for name, needs in absent.items():
            install = f"pip install {' '.join(repr(need) for need in needs)}"
            yield MISSING, f"{kind} {name}", install


def strangers() -> Iterator[Finding]:
    """Yield the modules, of ours and of other distributions, that cannot be used."""
    faults = broken()
    for fault in faults:
        yield WARNING, str(fault), fault.remedy
    if not faults:
        yield OK, "no plug-in module is broken", ""


def weights() -> Iterator[Finding]:
    """Yield whether the weights that ship are whole, and where those that are fetched are."""
    from bench import weight_files
    from bench import weights as fetched
    from bench.metrics import alexnet

    alexnet.weights.cache_clear()  # look at the file, not at what was read before
    tensors = alexnet.weights()
    yield OK, f"{alexnet.WEIGHTS}: whole (LPIPS and features), {len(tensors)} tensors", ""
    for name in fetched.TABLE:
        try:
            count = len(weight_files.read(name))
        except Missing:
            yield MISSING, f"weights {name}", f"python -m bench fetch {name}"
        except BenchError as error:
            yield WARNING, f"weights {name} cannot be used", str(error)
        else:
            yield OK, f"weights {name}: whole, {count} tensors", ""


def features() -> Iterator[Finding]:
    """Yield which feature extractors have their weights; ours are not built: one would train."""
    from bench.weights import needed_weights

    for entry in entries(Kind.FEATURES):
        lacking = needed_weights([entry.name])
        if lacking:
            yield MISSING, f"features {entry.name}", f"python -m bench fetch {lacking[0]}"
            continue
        try:
            told = hasattr(entry.build, "dimension")
            found = (entry.build if told else build(entry.kind, entry.name)).dimension
        except Missing as error:
            yield MISSING, f"features {entry.name}", _mending(str(error))
        except BenchError as error:
            yield WARNING, f"features {entry.name} cannot be used: {error}", ""
        else:
            yield OK, f"features {entry.name}: {found} numbers an image", ""


def shipped_data() -> Iterator[Finding]:
    """Yield whether the data that need no download are whole."""
    for name in SHIPPED:
        build(Kind.DATASET, name).images("test")
        yield OK, f"{name}: ships with the package", ""


def datasets() -> Iterator[Finding]:
    """Yield where the others are, or how to get them."""
    yield from _places(Kind.DATASET, (*SHIPPED, "folder"))


def testsets() -> Iterator[Finding]:
    """Yield where the published test sets are, or how to get them."""
    yield from _places(Kind.TESTSET)


SIDE = 64
"""Of the images of a data set that is looked at: any that it may be built with."""


def _places(kind: Kind, except_for: tuple[str, ...] = ()) -> Iterator[Finding]:
    for entry in entries(kind):
        if entry.name in except_for:
            continue
        try:
            size = {"image_size": SIDE} if kind is Kind.DATASET else {}
            counts = build(kind, entry.name, **size).manifest().get("counts", {})
        except Missing as error:
            yield MISSING, entry.name, _mending(str(error))
        except BenchError as error:
            yield WARNING, f"{entry.name} is broken", str(error)
        else:
            told = Counter(counts)
            images = ", ".join(f"{number:,} {split}" for split, number in told.items())
            yield OK, f"{entry.name}: {images or 'found'}", ""


def _mending(error: str) -> str:
    """Return the part of an error's line that says what to do."""
    return error.rpartition("; ")[2] if "; " in error else error
