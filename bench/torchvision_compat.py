"""Importing torchvision beside a torch that it was not built for.

torchvision's compiled operators exist only where its wheel matches torch's build. Beside a CPU-only
torch from another index the import dies with "operator torchvision::nms does not exist", although
nothing that the harness needs uses an operator. Declaring the missing schemas is enough.
"""

import importlib
import importlib.metadata
from types import ModuleType

from bench.api import Missing

SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
"""The operators whose fake kernels torchvision registers while it is being imported."""

_KEPT: list[object] = []
"""The library object: the operators vanish when it is collected."""


def import_torchvision() -> ModuleType:
    """Import torchvision, declaring its missing operators first where they do not load.

    Returns:
        The module. Where its operators load, nothing else was done.

    Raises:
        Missing: If torchvision is not installed.
    """
    try:
        importlib.metadata.version("torchvision")
    except importlib.metadata.PackageNotFoundError:
        raise Missing(
            "torchvision is not installed; install with: pip install torchvision"
        ) from None
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    declare_missing()
    return importlib.import_module("torchvision")


def declare_missing() -> list[str]:
    """Declare those operators that no library has defined; return their names."""
    import torch

    declared = []
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name, schema in SCHEMAS.items():
        if not hasattr(torch.ops.torchvision, name):
            library.define(name + schema)
            declared.append(name)
    _KEPT.append(library)
    return declared
