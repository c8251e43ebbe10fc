"""The authors' own protocol of restoration, beneath Tables 2 and 3: one image, to explain gaps."""

from dataclasses import dataclass

from bench.report import restoration as r
from bench.report.comparison import number
from bench.report.names import ordered
from bench.report.rows import RunLike, floating, ok

COLUMNS = (
    *("denoiser", "backbone", "dataset", "variant", "sigma", "t", "part", "metric", "stride", "n"),
    *("best_value", "best_low", "best_high", "best_calls", "best_calls_low", "best_calls_high"),
    *("calls", "ssim", "ssim_authors", "image_size", "channels", "scale", "recipe"),
)
METRIC = {"ssim": "ssim_authors", "lpips": "lpips"}
"""Metric of Tables 2 and 3 -> the one that the notebook has in its place."""
VARIANTS = {
    "follow": "one network followed",
    "compare": "networks compared",
}
"""The notebook's two ways, in words."""


@dataclass(frozen=True)
class Case:
    """One noisy image, restored by several networks in one of the notebook's ways."""

    dataset: str
    variant: str
    sigma: float
    t: int
    """The guessed step that the reverse process begins at."""
    best: dict[tuple[str, str], r.Best]
    """(Network, metric) -> the best point of its curve; one image has no interval."""

    @property
    def title(self) -> str:
        """The block in words."""
        return f"{self.dataset}, authors' notebook: {VARIANTS.get(self.variant, self.variant)}"

    @property
    def row(self) -> str:
        """The row's name in tidy tables, which is no noising step."""
        return f"notebook {self.variant} {self.sigma:g}"

    @property
    def protocol(self) -> str:
        """How its numbers came about."""
        return (
            f"authors-notebook; data {self.dataset}; {VARIANTS.get(self.variant, self.variant)}; "
            f"sigma {self.sigma:g} added to one image; from step {self.t}"
        )

    @property
    def backbones(self) -> list[str]:
        """The networks, the paper's pair first and always there."""
        return ordered(["unet", "cunet", *(backbone for backbone, _ in self.best)])


def cases(run: RunLike) -> list[Case]:
    """Return what a run restored in the notebook's ways."""
    rows = ok(run, "notebook", COLUMNS)
    rows = rows[(rows["part"] == "best") & rows["best_value"].notna()]
    found = []
    order = {name: i for i, name in enumerate(VARIANTS)}
    groups = rows.groupby(["dataset", "variant", "sigma", "t"], sort=True)
    for (dataset, variant, sigma, t), here in groups:
        best = {(row["backbone"], row["metric"]): r.Best(row) for _, row in here.iterrows()}
        found.append(Case(str(dataset), str(variant), float(sigma), int(t), best))
    return sorted(found, key=lambda one: (one.dataset, order.get(one.variant, 9), one.sigma))


def notes(run: RunLike) -> list[str]:
    """Return what must be said of these rows, and their SSIM by the page's own definition."""
    found = cases(run)
    if not found:
        return []
    scores = [
        f"{VARIANTS.get(one.variant, one.variant)}, σ = {one.sigma:g}: "
        f"{r.pair_text([_ours(one, b) for b in one.backbones])}"
        for one in found
    ]
    return [
        "Authors' notebook, apart from all other blocks: one image, noise of σ added to it in "
        "[0, 1] and handed over as a state of [-1, 1], from a guessed step down, every state "
        "scored unscaled. Followed: noisy image clipped, noise of 0.005 in every step, SSIM by a "
        "flat window of 7 and a data range of 2. Compared: nothing clipped or added, a data range "
        "of 1.",
        f"The same, best SSIM as in the other blocks ({r.pair_title(found[0].backbones)}): "
        + "; ".join(scores)
        + ".",
    ]


def _ours(case: Case, backbone: str) -> str:
    best = case.best.get((backbone, "ssim"))
    return number(floating(best.row["best_value"]) if best else None, 2)
