"""A denoiser of a mixture's images beside what is best: the exact posterior mean."""

from collections.abc import Mapping

import torch
from safetensors.torch import save_file
from torch import Tensor

from bench.api import Cell, Context, Kind, Outcome, Row, register
from bench.parts import in_parts, joined
from bench.seeds import ImageNoise
from bench.tasks.denoisers import trained_denoiser
from bench.tasks.detail import detail_rows
from bench.tasks.mixture import Posterior
from bench.tasks.noised import Batch, Noised
from bench.tasks.smoothing import EXAMPLES, ONE_CALL, estimate, measured, noised_at, shown

EXACT_MEAN, EXACT_SAMPLE = "posterior mean", "posterior sample"


@register(
    Kind.TASK,
    "posterior",
    source="Calvo-Ordonez et al. 2023, equation 15; Bishop 2006, section 2.3.3; protocol, Theory",
)
def posterior(cell: Cell, context: Context) -> Outcome:
    """Measure how far a denoiser's one estimate is from mean and sample of the exact posterior.

    A cell that uses no training measures the network before it learnt anything.
    """
    spec, dataset = cell.spec, context.build(Kind.DATASET)
    exact = Posterior.of(dataset)
    denoiser = trained_denoiser(cell, context, dataset)
    rows: list[Row] = []
    files = {}
    for t in dict.fromkeys([*spec["levels"], spec["sampled"]]):
        noised = noised_at(t, cell, context, dataset)

        def make(block: range, noised: Noised = noised) -> dict[str, Tensor]:
            batch = noised.batch(block)
            made = {"one": estimate(denoiser, batch, noised), **_known(exact, batch, noised, block)}
            return _risk(made, exact, batch, noised) | measured(made, batch, block)

        size = spec["micro_batch"]
        whole = joined(in_parts(context, make, count=len(noised.clean), size=size, name=f"t-{t}"))
        names = {"one": ONE_CALL, "mean": EXACT_MEAN, "sample": EXACT_SAMPLE}
        about = {**noised.about(), "t": t, "shown": t == spec["sampled"]}
        rows.append({**about, "part": "risk", **_risk_row(whole)})
        rows += [{**about, **row} for row in detail_rows(whole, names)]
        if t == spec["sampled"]:
            files[EXAMPLES] = context.folder / EXAMPLES
            save_file(shown(whole), files[EXAMPLES])
    return Outcome(rows, files)


def _known(exact: Posterior, batch: Batch, noised: Noised, block: range) -> dict[str, Tensor]:
    """Return the exact posterior's mean and one sample for the images that count."""
    noisy, sigma = batch.noisy[: batch.real].cpu(), noised.level.sigma
    about = (noised.dataset, noised.level.schedule, noised.level.t, noised.seed)
    noise = ImageNoise("posterior", *about, images=list(block))
    return {"mean": exact.mean(noisy, sigma), "sample": exact.sample(noisy, sigma, noise)}


def _risk(
    made: Mapping[str, Tensor], exact: Posterior, batch: Batch, noised: Noised
) -> dict[str, Tensor]:
    """Return mean squared distances per value of each image, [B] float64."""
    clean = batch.clean[: batch.real].cpu()
    spread = exact.spread(batch.noisy[: batch.real].cpu(), noised.level.sigma)
    return {
        "risk/clean": _mse(made["one"], clean),
        "risk/mean": _mse(made["one"], made["mean"]),
        "risk/sample": _mse(made["one"], made["sample"]),
        "risk/bayes": _mse(made["mean"], clean),
        "risk/sampled": _mse(made["sample"], clean),
        "risk/variance": spread,
    }


RISKS = {
    "mse_to_clean": "risk/clean",
    "mse_to_posterior_mean": "risk/mean",
    "mse_to_posterior_sample": "risk/sample",
    "mse_of_posterior_mean": "risk/bayes",
    "mse_of_posterior_sample": "risk/sampled",
    "posterior_variance": "risk/variance",
}
"""Column without its ending "_per_image" -> what it is made of."""


def _risk_row(whole: Mapping[str, Tensor]) -> Row:
    return {f"{column}_per_image": whole[name].tolist() for column, name in RISKS.items()}


def _mse(a: Tensor, b: Tensor) -> Tensor:
    return torch.square(a.double() - b.double()).flatten(1).mean(dim=1)
