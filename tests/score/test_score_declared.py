"""A checkpoint that says how its network was trained is believed, and not contradicted."""

import json

import pytest
import torch
from torch import nn

from bench import registry
from bench.api import BenchError, Kind
from bench.checkpoint import save_weights
from bench.score.declared import conventions, declared
from bench.score.networks import AskedNetwork, network_of
from bench.tasks.foreign import built

CODE = "import torch\n\ndef make(channels):\n    return torch.nn.Conv2d(channels, channels, 1)\n"
OURS = {"prediction": "v", "schedule": "sigmoid"}
TRAINED = {"spec": {"denoiser": {"name": "diffusion:unet", "recipe": "ho2020+prediction=x0"}}}


@pytest.fixture
def weights(tmp_path):
    """Return what writes a file of weights with such a description."""

    def write(about, module=None):
        path = tmp_path / "w.safetensors"
        save_weights(path, module or nn.Conv2d(1, 1, 1), about)
        return path

    return write


@pytest.mark.parametrize(
    ("about", "said", "expected"),
    [
        (OURS, ("", ""), ("v", "sigmoid")),
        (OURS, ("v", "sigmoid"), ("v", "sigmoid")),
        (TRAINED, ("", ""), ("x0", "linear")),
        ({"recipe": "authors"}, ("", ""), ("v", "sigmoid")),
        ({"prediction": "noise"}, ("", "cosine"), ("noise", "cosine")),
        ({"note": 1}, ("noise", "cosine"), ("noise", "cosine")),
        ({}, ("noise", ""), ("noise", "linear")),
        ([1], ("x0", ""), ("x0", "linear")),
        ({"prediction": 3, "spec": 4}, ("x0", ""), ("x0", "linear")),
    ],
)
def test_the_file_overrules_silence(weights, about, said, expected):
    assert conventions(weights(about), *said) == expected


@pytest.mark.parametrize(
    ("about", "said", "message"),
    [
        (OURS, ("noise", ""), r"--prediction noise: .* declares v; leave the option out"),
        (OURS, ("", "linear"), r"--schedule linear: .* declares sigmoid; leave the option out"),
        (TRAINED, ("v", ""), r"--prediction v: .* declares x0"),
        ({}, ("", ""), "--prediction: say what the network predicts"),
        ({"prediction": "score"}, ("", ""), "--prediction score: say what"),
        ({"schedule": "sigmiod"}, ("v", ""), "did you mean 'sigmoid'"),
        ({"recipe": "author"}, ("", ""), "author"),
    ],
)
def test_a_contradiction_is_one_line(weights, about, said, message):
    with pytest.raises(BenchError, match=message) as caught:
        conventions(weights(about), *said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"123",
        (2**63).to_bytes(8, "little"),
        (2).to_bytes(8, "little") + b"[]",
        (9).to_bytes(8, "little") + b'{"a": NaN',
        (30).to_bytes(8, "little") + json.dumps({"__metadata__": {"about": 3}}).encode(),
        b"\x80\x04cos\nsystem\n",
    ],
)
def test_a_file_that_is_none_declares_nothing(tmp_path, content):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    assert declared(path) == {}


def test_a_network_without_a_file_is_asked_about(tmp_path):
    assert conventions(None, "v", "") == ("v", "linear")
    with pytest.raises(BenchError, match="say what the network predicts"):
        conventions(None, "", "cosine")
    with pytest.raises(BenchError, match="cannot be read"):
        declared(tmp_path / "gone.safetensors")


def test_a_training_of_this_project_is_scored_without_a_word(weights, tmp_path):
    """Its backbone is found in the denoiser's weights, under the conventions in the header."""
    code = tmp_path / "net.py"
    code.write_text(CODE)
    backbone = nn.Conv2d(1, 1, 1)
    trained = registry.build(Kind.DENOISER, "diffusion", backbone=backbone, recipe="authors")
    path = weights(OURS, trained)
    found = network_of(AskedNetwork(f"{code}:make", path, "", "", "-1,1"))
    assert (found.prediction, found.schedule) == ("v", "sigmoid")
    network = built(vars(found), channels=1, image_size=8)
    assert torch.equal(network.weight, backbone.weight)
    with pytest.raises(BenchError, match="another network"):
        built(vars(found), channels=3, image_size=8)
