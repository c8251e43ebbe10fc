"""A small variational autoencoder: rough images for sampling to start from (ES-DDPM)."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.api import BenchError, Kind, Level, Noise, Trainer, register

WIDTHS = (64, 128, 256)
STRIDE = 2 ** len(WIDTHS)
LATENT = 128
"""Numbers that an image is made of, at scale 1."""
BATCH = 256
"""Images encoded at a time."""
FLOOR = 1 / (12 * 255**2)
"""Least variance of a pixel: that of rounding to 8 bits."""


class Code(NamedTuple):
    """The encoder's normal distribution over latents z [B,L], of independent components."""

    mean: Tensor
    log_variance: Tensor

    def kl(self) -> Tensor:
        """Return the divergence [B] from the standard normal distribution, in nats.

        Source: Kingma and Welling 2014, appendix B.
        """
        square = self.mean**2 + self.log_variance.exp()
        return 0.5 * (square - 1 - self.log_variance).sum(dim=1)


@register(
    Kind.GENERATOR,
    "vae",
    source="Kingma and Welling 2014; likelihood as in Rybkin et al. 2021; for Lyu et al. 2022",
)
class VariationalAutoencoder(nn.Module):
    """Three convolutions of stride 2 to a normal latent, three upsamplings back to an image.

    The likelihood is normal, with one variance for all pixels: grey and coloured images are no
    coin tosses, so a Bernoulli likelihood would be no density of theirs. The variance is the best
    one, the mean squared error, so that nothing weighs the two terms but the data (Rybkin et al.
    2021, section 3.2). Draws are the means: the noise that sampling starts with is added later.

    Differs: latents are drawn from the normal distribution with the mean and covariance that the
    codes of the training images have, not from the standard one, which a short training does not
    make them fill (Ghosh et al. 2020, section 4, "ex-post density estimation").
    """

    code_mean: Tensor
    code_root: Tensor

    leaks = False

    def __init__(self, channels: int = 3, image_size: int = 64, scale: float = 1.0):
        super().__init__()
        if image_size % STRIDE or image_size < STRIDE:
            raise BenchError(
                f"vae halves images {len(WIDTHS)} times: image_size is {image_size}, expected a "
                f"multiple of {STRIDE}"
            )
        widths = [max(4, 4 * round(width * scale / 4)) for width in WIDTHS]
        self.latent = max(4, round(LATENT * scale))
        self._small = (widths[-1], image_size // STRIDE, image_size // STRIDE)
        features = math.prod(self._small)
        self.encoder = nn.Sequential(
            *_down([channels, *widths]), nn.Flatten(), nn.Linear(features, 2 * self.latent)
        )
        self.decoder = nn.Sequential(
            nn.Linear(self.latent, features),
            nn.Unflatten(1, self._small),
            *_up([*reversed(widths), widths[0]]),
            nn.Conv2d(widths[0], channels, 3, padding=1),
            nn.Sigmoid(),
        )
        self.register_buffer("code_mean", torch.zeros(self.latent))
        self.register_buffer("code_root", torch.eye(self.latent))

    def fit(self, clean: Tensor, levels: Sequence[Level], trainer: Trainer, seed: int) -> None:
        """Learn from clean images [N,C,H,W] in [0, 1]; then see where their codes lie."""
        trainer.train(self, clean, seed)
        self._measure_codes(clean)

    def encode(self, images: Tensor) -> Code:
        """Return the distribution of the latents of images [B,C,H,W] in [0, 1]."""
        mean, log_variance = self.encoder(2 * images - 1).to(images).chunk(2, dim=1)
        # Beyond, exp would overflow on the way to a bad start; no code is that vague or sharp.
        return Code(mean, log_variance.clamp(-12, 12))

    def loss(self, batch: Tensor, rng: torch.Generator) -> Tensor:
        """Return the negative ELBO in nats per pixel value.

        Source: Kingma and Welling 2014, equations 3 and 10; Rybkin et al. 2021, equation 5: the
        best variance of a batch is its mean squared error.

        Args:
            batch: Clean images [B,C,H,W] in [0, 1].
            rng: Draws the latents.
        """
        code = self.encode(batch)
        eps = torch.randn(code.mean.shape, generator=rng, device=rng.device).to(code.mean)
        z = code.mean + (0.5 * code.log_variance).exp() * eps
        error = (self.decoder(z).to(batch) - batch).square().mean().clamp(min=FLOOR)
        # -log N(x; mean, error), whose quadratic term is 1/2 at the best variance.
        surprise = 0.5 * (torch.log(2 * math.pi * error) + 1)
        return surprise + code.kl().mean() / batch[0].numel()

    @torch.no_grad()
    def draw(self, noise: Noise, count: int) -> Tensor:
        """Return images [count,C,H,W] in [0, 1]; each is decoded from its own noise."""
        self.eval()
        z = noise(self.code_mean.new_empty(count, self.latent))
        return self.decoder(self.code_mean + z @ self.code_root.T)

    @torch.no_grad()
    def _measure_codes(self, clean: Tensor) -> None:
        """Take over mean and covariance of the images' codes."""
        self.eval()
        parts = [self.encode(part.to(self.code_mean.device)) for part in clean.split(BATCH)]
        means = torch.cat([code.mean for code in parts]).double()
        variance = torch.cat([code.log_variance for code in parts]).double().exp().mean(dim=0)
        # Of the mixture of all codes: their means' covariance and their own mean variance.
        away = means - means.mean(dim=0)
        covariance = away.T @ away / len(means) + variance.diag()
        self.code_mean.copy_(means.mean(dim=0))
        self.code_root.copy_(torch.linalg.cholesky(covariance))


def _down(widths: Sequence[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), _norm(after), nn.SiLU()]
    return layers


def _up(widths: Sequence[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(before, after, 3, padding=1),
            _norm(after),
            nn.SiLU(),
        ]
    return layers


def _norm(width: int) -> nn.Module:
    """Return a normalisation within an image: its neighbours must not matter."""
    return nn.GroupNorm(4, width)
