"""Properties that networks lack without saying so, as the run measured them."""

from bench.report.names import printed
from bench.report.rows import RunLike, ok

WORDS = {
    "step-dependence": "its output is the same at the first and the last diffusion step",
    "batch-independence": "what it makes of an image depends on the images beside it",
}
"""Property -> what was seen."""


def undeclared(run: RunLike) -> list[dict[str, str]]:
    """Return a finding for each network that lacks what it was not said to lack."""
    rows = ok(run, "cost", ("backbone", "undeclared"))
    found: dict[str, list[str]] = {}
    for name, lacks in rows[["backbone", "undeclared"]].itertuples(index=False):
        if isinstance(lacks, list) and lacks:
            found[str(name)] = [str(one) for one in lacks]
    return [
        {"name": name, "kind": "backbone", "note": _note(name, lacks)}
        for name, lacks in sorted(found.items())
    ]


def _note(name: str, lacks: list[str]) -> str:
    seen = "; ".join(WORDS.get(one, one) for one in lacks)
    return (
        f"measured, with its parameters moved a little: {seen}. If {printed(name)} is meant to, it "
        f"declares lacks ({', '.join(lacks)})."
    )
