"""How far restored images are, as a set, from clean ones: the perception of Tables 2 to 4.

Perception here is a distance between distributions (Blau and Michaeli 2018), so it needs sets: it
compares no image with its own original, but all with held-out images that nobody restored.
"""

from collections.abc import Iterator

from safetensors.torch import load_file
from torch import Tensor

from bench.api import Cell, Context, Invalid, Kind, Outcome, Row, register
from bench.batches import padded
from bench.metrics.distances import frechet_jackknife
from bench.metrics.kernel import kid_jackknife
from bench.parts import in_parts, joined
from bench.tasks.denoise import RESTORED
from bench.tasks.features import FEATURES
from bench.tasks.frechet import leads

Named = dict[str, tuple[Row, Tensor]]
"""Set -> the columns that say what it is, and its images [N,C,H,W], uint8."""


@register(Kind.TASK, "perception", source="Blau and Michaeli 2018, equation 1; protocol, Distances")
def perception(cell: Cell, context: Context) -> Outcome:
    """Measure the distances of the restored sets of a cell to clean held-out images.

    The cell uses the restoration, and the features of held-out images, of which the first are the
    restored ones and the next `n_real` the reference. The restored images' originals are a set of
    their own, "clean": what a perfect restoration would score.
    """
    sets = dict(_sets(load_file(context.file(cell.uses[0], RESTORED))))
    held_out = load_file(context.file(cell.uses[1], FEATURES))["features"]
    count = len(next(iter(sets.values()))[1])
    reference = held_out[count : count + cell.spec["n_real"]]
    blocks = min(cell.spec["blocks"], count // 2, len(reference) // 2)
    if blocks < 2:
        raise Invalid(
            f"perception: {count} restored images and {len(reference)} other held-out ones, "
            "expected 4 of each or more; restore fewer of them, or ask for more real ones"
        )
    features = _features(cell, context, sets) | {"clean": held_out[:count]}
    about = {name: row for name, (row, _) in sets.items()} | {"clean": {"part": "clean"}}
    rows = [
        {**about[name], **_distances(found, reference, blocks)} for name, found in features.items()
    ]
    return Outcome(rows)


def _sets(tensors: dict[str, Tensor]) -> Iterator[tuple[str, tuple[Row, Tensor]]]:
    """Yield the sets in a file of restored images."""
    if "restored" in tensors:
        yield "restored", ({"part": "restored"}, tensors["restored"])
    for part, labels, column in (
        ("path", "path_calls", "calls"),
        ("combination", "shares_of_mean", "share_of_mean"),
    ):
        for label, images in zip(tensors.get(labels, ()), tensors.get(part, ()), strict=True):
            value = label.item()
            yield f"{part}/{value:g}", ({"part": part, column: value}, images)


def _features(cell: Cell, context: Context, sets: Named) -> dict[str, Tensor]:
    extractor = context.build(Kind.FEATURES).to(context.device).eval()
    size = cell.spec["micro_batch"]
    found = {}
    for name, (_, images) in sets.items():

        def make(block: range, images: Tensor = images) -> dict[str, Tensor]:
            batch = padded(images[block.start : block.stop].float().div_(255), size)
            return {"features": extractor(batch.to(context.device))[: len(block)]}

        place = name.replace("/", "-")
        parts = in_parts(context, make, count=len(images), size=size, name=place)
        found[name] = joined(parts)["features"]
    return found


def _distances(restored: Tensor, reference: Tensor, blocks: int) -> Row:
    """Return both distances with their errors, and which of them leads."""
    whole = frechet_jackknife(restored, reference, blocks)
    kernel = kid_jackknife(restored, reference, blocks)
    frechet, kid = whole.interval(), kernel.interval()
    return {
        "frechet": frechet.value,
        "frechet_low": max(0.0, frechet.low),
        "frechet_high": frechet.high,
        "kid": kid.value,
        "kid_low": kid.low,
        "kid_high": kid.high,
        "leads": leads(len(restored), len(reference), restored.shape[1]),
        "n": len(restored),
        "n_real": len(reference),
        "dimension": restored.shape[1],
    }
