"""How plug-ins and the paper's columns are called on paper."""

from collections.abc import Iterable

PRINTED = {
    "unet": "U-Net",
    "cunet": "cU-Net",
    "identity": "Noisy input",
    "wiener": "Wiener",
    "bm3d": "BM3D",
    "bm3d-torch": "BM3D (torch)",
    "conv-ae": "Conv AE",
    "dncnn": "DnCNN",
}
"""The paper's names of plug-ins; every other one is called by its own name."""

PAIR = ("unet", "cunet")
"""The two networks that the paper compares."""

DIFFUSION = "diffusion:"
"""`diffusion:<backbone>` is the denoiser built on a backbone."""

ORDER = (*PRINTED, "unet-ho2020", "cunet-released", "cunet-released-a5")

PAPER_DATA = {
    "mnist": "MNIST",
    "celeba": "CelebA",
    "lsun-church": "LSUN Church",
}
"""The paper's own data sets."""
STAND_IN = {"digits": "MNIST", "fashion-mnist": "MNIST", "imagenet-church": "LSUN Church"}
"""Data that stands in for one of them; never comparable with it."""
PAPER_COLUMNS = ("MNIST", "CelebA", "LSUN Church")
PAPER_RECIPE = "authors"
"""The training recipe of the released code; others stand beside it, compared with nothing."""
NETWORK_NOTE = (
    "cU-Net is cunet, which follows Section 3; the authors' released network is cunet-released."
)

SAMPLERS = {
    "ddpm": "DDPM",
    "ddim": "DDIM",
    "analytic-ddpm": "Analytic-DDPM",
    "euler": "Euler",
    "heun": "Heun",
    "dpmpp-2m": "DPM-Solver++(2M)",
    "reverse-sde": "Reverse SDE",
}
"""The papers' names of samplers, in the order of tables."""


def sampler_name(text: str, spacing: str) -> str:
    """Return a sampler as tables show it: its paper's name, then its options and its spacing."""
    name, *options = text.split("+")
    more = [*options, *([] if spacing == "uniform" else [spacing])]
    return SAMPLERS.get(name, name) + (f" ({', '.join(more)})" if more else "")


def printed(name: str) -> str:
    """Return the name of a plug-in as tables and figures show it."""
    return PRINTED.get(name, name)


def ordered(names: Iterable[str]) -> list[str]:
    """Return names without repeats: the paper's first, the rest in alphabetical order."""
    rank = {name: i for i, name in enumerate(ORDER)}
    return sorted(set(names), key=lambda name: (rank.get(name, len(rank)), name))


def paper_column(dataset: str) -> str | None:
    """Return the paper's column that a data set is, or stands in for."""
    return PAPER_DATA.get(dataset) or STAND_IN.get(dataset)
