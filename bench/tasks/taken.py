"""A network of a set in place of a training (`bench.shipped`)."""

import shutil
from typing import Any

import torch
from torch import nn

from bench import shipped
from bench.api import BenchError, Cell, Context
from bench.batches import chosen, to_float
from bench.canonical import digest
from bench.checkpoint import load_tensors
from bench.inputs import printable
from bench.parts import read_tensors
from bench.tasks.denoisers import GENERATOR, build_denoiser, build_generator, levels_of

OF_ANY_SIZE = ("files", "counts", "split")
"""Parts of a data set's manifest that do not depend on the size of its images."""
FEW = 2
"""Images that `fit` is given where nothing is to be learnt from them."""


def taken(cell: Cell, context: Context, dataset: Any) -> tuple[nn.Module, shipped.Shipped]:
    """Return the cell's network with the weights that a set has of it, in float32.

    Raises:
        Missing: If they are not there.
        BenchError: If they are of another network, or of other images by now.
    """
    entry = shipped.entry(cell.spec[shipped.CHECKPOINT])
    refuse_other_data(entry, dataset)
    build = build_generator if GENERATOR in cell.spec else build_denoiser
    module = build(cell, context, dataset)
    if cell.spec["levels"]:  # its loss is at those, which it learns from `fit`
        few = to_float(chosen(dataset.images("train"), FEW))
        module.fit(few, levels_of(cell, context), _NoUpdates(), cell.spec["seed"])
    load(entry, module)
    return module.eval(), entry


def refuse_other_data(entry: shipped.Shipped, dataset: Any) -> None:
    """Refuse a network of images that a data set of the same name no longer holds.

    Raises:
        BenchError: If the entry tells what it learnt from, and the data set has something else.
    """
    was, found = entry.made.get(shipped.DATA), dataset.manifest()
    if was is None:  # of an entry that was made before they told
        return
    if entry.spec["dataset"]["image_size"] != dataset.image_size:
        was, found = ({part: one.get(part) for part in OF_ANY_SIZE} for one in (was, found))
    if digest(was) != digest(found):
        raise BenchError(
            f"{entry.name} learnt from other images than {printable(dataset.name, 60)} holds now, "
            "expected the same; put those back, or train: --set checkpoints= --set train.begin="
        )


def load(entry: shipped.Shipped, module: nn.Module) -> None:
    """Load the weights that a set has of a network, in the module's own precision.

    Raises:
        Missing: If they are not there.
        BenchError: If they are of another network; the module is unchanged then.
    """
    path = entry.file(shipped.WEIGHTS)
    try:
        halves, _ = read_tensors(path)
    except ValueError as error:
        raise BenchError(f"{path} is not a safetensors file ({error})") from None
    own = module.state_dict()
    whole = {
        name: value.to(own[name].dtype) if name in own and value.is_floating_point() else value
        for name, value in halves.items()
    }
    load_tensors(whole, module, of=path)


class _NoUpdates:
    """Handed to `fit` in place of a trainer, where the weights come from elsewhere."""

    def train(self, module: object, clean: object, seed: int) -> None:
        """Leave the module as it is."""


def bring(entry: shipped.Shipped, context: Context) -> dict[str, Any]:
    """Copy an entry's curves to the cell's folder and return them by name."""
    files = {}
    for name in entry.files:
        if name.endswith(".csv"):
            files[name] = context.folder / name
            shutil.copyfile(entry.file(name), files[name])
    return files


def halved(module_state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return tensors in half precision, integers as they are.

    Raises:
        BenchError: If a value is too large for it.
    """
    halves = {k: v.half() if v.is_floating_point() else v for k, v in module_state.items()}
    for name, value in halves.items():
        if not torch.isfinite(value).all():
            raise BenchError(f"'{name}' has values beyond 65504, the largest of half precision")
    return halves
