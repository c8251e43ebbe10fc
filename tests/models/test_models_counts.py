"""Published integers: parameters, and multiply-adds under the counting rule of Table 5."""

import pytest
import torch
from torch import nn

from bench.registry import build

PARAMETERS = {
    ("unet", 3): 35_710_339,
    ("unet", 1): 35_703_937,
    ("unet-ho2020", 3): 35_746_307,
    ("cunet", 3): 8_887_219,
    ("cunet-no-attention", 3): 8_624_051,
    ("cunet-no-residual", 3): 6_106_995,
    ("cunet-no-attention-no-residual", 3): 5_843_827,
    ("cunet-no-skip", 3): 8_887_219,
    ("cunet-released", 3): 8_811_875,
    ("cunet-released", 1): 8_811_521,
    ("cunet-released-a5", 3): 9_140_835,
    ("cunet-released-a5-groupnorm", 3): 9_146_723,
    ("cunet-released-no-attention", 3): 8_548_707,
    ("cunet-released-no-residual", 3): 6_138_083,
    ("cunet-released-no-attention-no-residual", 3): 5_874_915,
}

MACS = {
    "unet": 7_206_256_640,
    "cunet-released": 2_830_983_168,
    "cunet-released-a5": 2_902_286_336,
    "cunet-released-no-attention": 2_814_205_952,
    "cunet-released-no-residual": 1_623_836_672,
    "cunet-released-no-attention-no-residual": 1_607_059_456,
}


def meta(name: str, channels: int = 3) -> nn.Module:
    with torch.device("meta"):
        return build("backbone", name, channels=channels, image_size=64)


def macs(net: nn.Module, *inputs: torch.Tensor) -> int:
    """Count multiply-adds of one image, once per call of a module."""
    total = 0

    def count(module: nn.Module, given: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
        nonlocal total
        match module:
            case nn.Conv2d(kernel_size=(high, wide), in_channels=inside, groups=groups):
                total += out.numel() * inside // groups * high * wide
            case nn.Linear(in_features=inside):
                total += out.numel() * inside
            case nn.InstanceNorm2d():
                total += 2 * given[0].numel()
            case nn.Upsample():
                total += out.numel()

    for module in net.modules():
        module.register_forward_hook(count)
    net(*inputs)
    return total


@pytest.mark.parametrize(("name", "channels"), PARAMETERS)
def test_parameters(name: str, channels: int) -> None:
    found = sum(p.numel() for p in meta(name, channels).parameters())
    assert found == PARAMETERS[name, channels]


@pytest.mark.parametrize("name", MACS)
def test_multiply_adds(name: str) -> None:
    with torch.device("meta"):
        assert macs(meta(name), torch.zeros(1, 3, 64, 64), torch.zeros(1)) == MACS[name]


@pytest.mark.parametrize(("size", "giga"), [(32, 6.054), (64, 23.20)])
def test_multiply_adds_of_ho2020(size: int, giga: float) -> None:
    with torch.device("meta"):
        net = build("backbone", "unet-ho2020", image_size=size)
        found = macs(net, torch.zeros(1, 3, size, size), torch.zeros(1))
    assert found / 1e9 == pytest.approx(giga, abs=0.005)


def test_the_described_network_costs_what_table_5_says() -> None:
    with torch.device("meta"):
        found = macs(meta("cunet"), torch.zeros(1, 3, 64, 64), torch.zeros(1))
    assert found / 1e9 == pytest.approx(2.90, abs=0.005)


def test_controls_match_what_they_control() -> None:
    ours = sum(p.numel() for p in meta("cunet").parameters())
    assert sum(p.numel() for p in meta("unet-8.8m").parameters()) == pytest.approx(ours, rel=0.02)
    assert sum(p.numel() for p in meta("discrete-tied").parameters()) == ours
    inputs = torch.zeros(1, 3, 64, 64, device="meta"), torch.zeros(1, device="meta")
    cost = macs(meta("cunet"), *inputs)
    assert macs(meta("unet-2.9g"), *inputs) == pytest.approx(cost, rel=0.05)
    assert macs(meta("discrete-tied"), *inputs) == pytest.approx(cost, rel=1e-6)
    # Each of the four fields of a block has scale and shift of its own to compute from the step.
    assert macs(meta("discrete-untied"), *inputs) == pytest.approx(cost, rel=2e-4)


def test_frozen_table_is_counted_and_not_trained() -> None:
    frozen = [p for p in meta("cunet-released").parameters() if not p.requires_grad]
    assert [tuple(p.shape) for p in frozen] == [(1000, 256)]
