"""What works on this machine, what is missing, and the command that mends it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from bench import doctor_machine, doctor_parts
from bench.doctor_findings import BROKEN, HEADING, WARNING, Finding


@dataclass(frozen=True, slots=True)
class Probe:
    """One examination."""

    what: str
    examine: Callable[[], Iterable[Finding]]
    required: bool = False
    """Whether nothing can be measured where it fails."""


def _groups() -> dict[str, tuple[Probe, ...]]:
    """Return the examinations below their headings; made anew, so that a test can replace one."""
    m, p = doctor_machine, doctor_parts
    return {
        "Machine": (
            Probe("the processor", m.processor),
            Probe("the memory", m.memory),
            Probe("the load", m.load),
            Probe("the clock rate", m.clock_rate),
            Probe("the clock", m.clock, required=True),
            Probe("the GPU", m.graphics),
        ),
        "Folders": (
            Probe("the folder for results", m.results, required=True),
            Probe("the results of earlier runs", m.earlier_runs),
            Probe("the cache", m.cache),
            Probe("the machine's lock", m.lock, required=True),
        ),
        "Python and libraries": (
            Probe("Python", p.python, required=True),
            Probe("the libraries", p.libraries, required=True),
            Probe("torch", p.torch_works, required=True),
        ),
        "Optional parts": (
            Probe("bm3d", p.bm3d),
            Probe("torchvision", p.torchvision),
            Probe("the tools", p.tools),
        ),
        "Plug-ins": (
            Probe("our plug-ins", p.plugins, required=True),
            Probe("other plug-ins", p.strangers),
        ),
        "Weights": (
            Probe("the weights", p.weights, required=True),
            Probe("the feature extractors", p.features),
        ),
        "Data sets": (
            Probe("the data that ship with the package", p.shipped_data, required=True),
            Probe("the data sets", p.datasets),
            Probe("the test sets", p.testsets),
        ),
    }


def findings() -> Iterator[Finding]:
    """Yield (mark, what, remedy) for each part of the machine and of the installation.

    The marks: "ok"; "missing", an optional part that is not there; "warning", something that works
    badly or an optional part that does not; "broken", a required part that does not work; and an
    empty mark for a heading, whose text is in `what`.
    """
    with doctor_parts.trials():
        for title, probes in _groups().items():
            yield HEADING, title, ""
            for probe in probes:
                yield from _examined(probe)


def _examined(probe: Probe) -> Iterator[Finding]:
    """Yield what a probe finds; a fault of the probe itself is a finding too."""
    try:
        yield from probe.examine()
    except (Exception, SystemExit) as error:
        text = " ".join(str(error).split())
        mark = BROKEN if probe.required else WARNING
        yield mark, f"{probe.what} cannot be examined: {type(error).__name__}: {text}", ""
