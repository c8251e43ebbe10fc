"""The Inception-v3 that defines the FID: the TensorFlow graph of 2015-12-05, up to `pool3`.

It is not torchvision's Inception-v3. The blocks keep the published file's names.
"""

import torch
from torch import Tensor, nn

from bench.metrics import trunk

DIMENSION = 2048
SIDE = 299
EPSILON = 1e-3
WIDE, TALL = ((1, 7), 1, (0, 3)), ((7, 1), 1, (3, 0))
"""Kernel, stride and padding of the two halves of a 7x7 convolution."""
ROW, COLUMN = ((1, 3), 1, (0, 1)), ((3, 1), 1, (1, 0))
POINT, SAME, HALVE = (1, 1, 0), (3, 1, 1), (3, 2, 0)


class Unit(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, before: int, width: int, how: tuple):
        super().__init__()
        kernel, stride, padding = how
        self.conv = nn.Conv2d(before, width, kernel, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(width, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B,C,H,W] to [B,width,H',W']."""
        return nn.functional.relu(self.bn(self.conv(x)))


def average(x: Tensor) -> Tensor:
    """Average 3x3 pixels; at the border, only those that are there: the graph's first oddity."""
    return nn.functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def maximum(x: Tensor) -> Tensor:
    """Take the largest of 3x3 pixels, as the last block does where others average: the second."""
    return nn.functional.max_pool2d(x, 3, stride=1, padding=1)


def halved(x: Tensor) -> Tensor:
    """Take the largest of 3x3 pixels at every second place."""
    return nn.functional.max_pool2d(x, 3, stride=2)


class Mixed(nn.Module):
    """Branches side by side, their results stacked.

    Args:
        before: Channels that come in.
        branches: Chains of (name, width, how); a step that is a tuple of several is done side by
            side on the chain's result.
        pool: What the last branch does first.
        pooled: Width of its 1x1 convolution; None where the pooled image itself is stacked.
    """

    def __init__(self, before: int, branches: tuple, pool=average, pooled: int | None = None):
        super().__init__()
        self.chains: list[list[list[str]]] = []
        self.pool = pool
        for branch in branches:
            width_now, chain = before, []
            for step in branch:
                parts = step if isinstance(step[0], tuple) else (step,)
                for name, width, how in parts:
                    self.add_module(name, Unit(width_now, width, how))
                width_now = sum(width for _, width, _ in parts)
                chain.append([name for name, _, _ in parts])
            self.chains.append(chain)
        self.branch_pool = Unit(before, pooled, POINT) if pooled else None

    def forward(self, x: Tensor) -> Tensor:
        """Map [B,C,H,W] to the stacked results of the branches."""
        results = []
        for chain in self.chains:
            y = x
            for names in chain:
                y = torch.cat([self.get_submodule(name)(y) for name in names], dim=1)
            results.append(y)
        pooled = self.pool(x)
        results.append(self.branch_pool(pooled) if self.branch_pool else pooled)
        return torch.cat(results, dim=1)


def _mixed_35(before: int, pooled: int) -> Mixed:
    """Return a block on 35x35 pixels."""
    branches = (
        (("branch1x1", 64, POINT),),
        (("branch5x5_1", 48, POINT), ("branch5x5_2", 64, (5, 1, 2))),
        (
            ("branch3x3dbl_1", 64, POINT),
            ("branch3x3dbl_2", 96, SAME),
            ("branch3x3dbl_3", 96, SAME),
        ),
    )
    return Mixed(before, branches, average, pooled)


def _to_17(before: int) -> Mixed:
    """Return the block from 35x35 to 17x17 pixels."""
    branches = (
        (("branch3x3", 384, HALVE),),
        (
            ("branch3x3dbl_1", 64, POINT),
            ("branch3x3dbl_2", 96, SAME),
            ("branch3x3dbl_3", 96, HALVE),
        ),
    )
    return Mixed(before, branches, halved)


def _mixed_17(before: int, inner: int) -> Mixed:
    """Return a block on 17x17 pixels."""
    branches = (
        (("branch1x1", 192, POINT),),
        (
            ("branch7x7_1", inner, POINT),
            ("branch7x7_2", inner, WIDE),
            ("branch7x7_3", 192, TALL),
        ),
        (
            ("branch7x7dbl_1", inner, POINT),
            ("branch7x7dbl_2", inner, TALL),
            ("branch7x7dbl_3", inner, WIDE),
            ("branch7x7dbl_4", inner, TALL),
            ("branch7x7dbl_5", 192, WIDE),
        ),
    )
    return Mixed(before, branches, average, 192)


def _to_8(before: int) -> Mixed:
    """Return the block from 17x17 to 8x8 pixels."""
    branches = (
        (("branch3x3_1", 192, POINT), ("branch3x3_2", 320, HALVE)),
        (
            ("branch7x7x3_1", 192, POINT),
            ("branch7x7x3_2", 192, WIDE),
            ("branch7x7x3_3", 192, TALL),
            ("branch7x7x3_4", 192, HALVE),
        ),
    )
    return Mixed(before, branches, halved)


def _mixed_8(before: int, pool) -> Mixed:
    """Return a block on 8x8 pixels."""
    branches = (
        (("branch1x1", 320, POINT),),
        (
            ("branch3x3_1", 384, POINT),
            (("branch3x3_2a", 384, ROW), ("branch3x3_2b", 384, COLUMN)),
        ),
        (
            ("branch3x3dbl_1", 448, POINT),
            ("branch3x3dbl_2", 384, SAME),
            (("branch3x3dbl_3a", 384, ROW), ("branch3x3dbl_3b", 384, COLUMN)),
        ),
    )
    return Mixed(before, branches, pool, 192)


class Inception(nn.Module):
    """The network up to the 2,048 averages that the FID compares; frozen, in evaluation mode.

    Source: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna 2015, section 6; as released in the TensorFlow
        graph of 2015-12-05, which Heusel et al. 2017 use.
    Differs: (from the paper, as the graph does) averages leave the padding out, and the last block
        takes a maximum.

    Args:
        tensors: Named as published; the classifier is left aside. None leaves it untrained.
        precision: "float32" or "bfloat16".
    """

    def __init__(self, tensors: dict[str, Tensor] | None, precision: str = "float32"):
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, HALVE)
        self.Conv2d_2a_3x3 = Unit(32, 32, (3, 1, 0))
        self.Conv2d_2b_3x3 = Unit(32, 64, SAME)
        self.Conv2d_3b_1x1 = Unit(64, 80, POINT)
        self.Conv2d_4a_3x3 = Unit(80, 192, (3, 1, 0))
        self.Mixed_5b = _mixed_35(192, 32)
        self.Mixed_5c = _mixed_35(256, 64)
        self.Mixed_5d = _mixed_35(288, 64)
        self.Mixed_6a = _to_17(288)
        self.Mixed_6b = _mixed_17(768, 128)
        self.Mixed_6c = _mixed_17(768, 160)
        self.Mixed_6d = _mixed_17(768, 160)
        self.Mixed_6e = _mixed_17(768, 192)
        self.Mixed_7a = _to_8(768)
        self.Mixed_7b = _mixed_8(1280, average)
        self.Mixed_7c = _mixed_8(2048, maximum)
        if tensors is not None:
            wanted = {k: v for k, v in tensors.items() if not k.startswith("fc.")}
            trunk.load(self, wanted, "inception")
        trunk.frozen(self, precision)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised images [B,3,299,299] to features [B,2048]."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(halved(x)))
        x = halved(x)
        for name, block in self.named_children():
            if name.startswith("Mixed"):
                x = block(x)
        return trunk.mean_of(x)
