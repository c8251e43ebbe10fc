"""DnCNN with its authors' weights: what it computes, and what it refuses."""

import pytest
import torch

from baselines.dncnn_pretrained import DnCnnPretrained
from bench.api import BenchError, Level, Missing, Pretrained
from bench.registry import build

LEVEL = Level(25 / 255)


def given(change=None):
    torch.manual_seed(0)
    denoiser = DnCnnPretrained()
    tensors = denoiser.state_dict()
    if change is not None:
        change(tensors)
    denoiser.take(tensors)
    return denoiser


def test_it_is_the_published_network():
    denoiser = build("denoiser", "dncnn-kair-25", channels=1)
    assert isinstance(denoiser, Pretrained)
    assert sum(p.numel() for p in denoiser.parameters()) == 555_137
    assert list(denoiser.state_dict())[::33] == ["model.0.weight", "model.32.bias"]
    assert not isinstance(build("denoiser", "dncnn", channels=1), Pretrained)


def test_the_noise_is_predicted_and_subtracted():
    """With every convolution a shift by a bias, the estimate is known."""

    def shift(tensors):
        for name, value in tensors.items():
            value.zero_()
            if name == "model.32.bias":
                value.fill_(0.25)

    y = torch.randn(2, 1, 9, 13, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(given(shift).denoise(y, LEVEL, torch.randn_like), y - 0.25)


def test_it_sees_thirty_five_pixels_and_no_further():
    """17 convolutions of 3x3: 17 pixels to every side."""
    denoiser = given()
    y = torch.zeros(1, 1, 41, 41)
    other = y.clone()
    other[0, 0, 20, 20] = 5.0
    change = denoiser.denoise(other, LEVEL, None) - denoiser.denoise(y, LEVEL, None)
    rows, columns = (change[0, 0] != 0).nonzero().T
    assert rows.min() >= 3 and rows.max() <= 37 and columns.min() >= 3 and columns.max() <= 37
    assert int((change[0, 0] != 0).sum()) > 100


def test_what_it_is_not_for_is_refused_in_one_line():
    with pytest.raises(BenchError, match="trained on grey pictures, got 3 channels; take"):
        DnCnnPretrained(channels=3)
    with pytest.raises(BenchError, match=r"sigma 25/255 = 0.0980, asked for 0.1961 \(50/255\)"):
        given().denoise(torch.zeros(1, 1, 9, 9), Level(50 / 255), None)
    with pytest.raises(Missing, match="no weights yet"):
        DnCnnPretrained().denoise(torch.zeros(1, 1, 9, 9), LEVEL, None)
    with pytest.raises(BenchError, match="do not fit") as caught:
        given(lambda tensors: tensors.pop("model.4.bias"))
    assert "\n" not in str(caught.value) and "model.4.bias" in str(caught.value)
