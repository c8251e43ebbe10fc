"""The U-Net beside the package that the paper's code took it from, with the same weights."""

import sys
from pathlib import Path

import pytest
import torch

from bench.torchvision_compat import import_torchvision
from models.unet import UNet

sys.path.insert(0, str(Path(__file__).parent))
from unet_peer import renamed

import_torchvision()
package = pytest.importorskip(
    "denoising_diffusion_pytorch", reason="pip install denoising-diffusion-pytorch==1.8.8"
)


@pytest.mark.parametrize("batch", [1, 2])
@torch.no_grad()
def test_it_is_the_packages_network(batch):
    torch.manual_seed(0)
    ours = UNet(3, 32).eval()
    for name, parameter in ours.named_parameters():
        if "gain" in name or "norm" in name:  # at their first values a mistake would not show
            parameter.add_(0.3 * torch.randn_like(parameter))
    theirs = package.Unet(64).eval()
    theirs.load_state_dict(renamed(ours.state_dict(), set(theirs.state_dict())))
    x, step = torch.randn(batch, 3, 32, 32), torch.linspace(3, 900, batch)
    expected = theirs(x, step)
    found = ours(x, step)
    assert float((found - expected).norm() / expected.norm()) < 1e-5
