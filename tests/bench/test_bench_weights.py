import os
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from bench.api import BenchError
from bench.checkpoint import load_weights, save_weights
from bench.parts import read_tensors, write_tensors

WEIGHT = "net.0.weight"


class Tiny(nn.Module):
    """Batch norm brings buffers, an integer one among them."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1)
        )


CANARY = b"cos\nsystem\n(S'touch canary-file'\ntR."
"""A pickle that makes a file when it is unpickled."""


def test_weights_come_back_and_strangers_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(path, Tiny(), {"note": "x"})
    module = Tiny()
    nn.init.zeros_(module.net[0].weight)
    load_weights(path, module)
    assert torch.equal(module.net[0].weight, Tiny().net[0].weight)
    with pytest.raises(BenchError, match="another network: it lacks tensor 'bias'"):
        load_weights(path, nn.Linear(2, 2))
    other = Tiny()
    other.net[0] = nn.Conv2d(1, 4, 5)
    with pytest.raises(BenchError, match=r"has shape \(4, 1, 3, 3\), expected \(4, 1, 5, 5\)"):
        load_weights(path, other)


def changed(name, change):
    """Return a damage: the weights written anew with one tensor changed."""

    def damage(path):
        tensors, _ = read_tensors(path)
        tensors = {key: value.clone() for key, value in tensors.items()}
        change(tensors, name)
        write_tensors(path, tensors, {})

    return damage


WEIGHTS = {
    "not one": (lambda path: path.write_bytes(b"not safetensors"), "not a safetensors file"),
    "short": (lambda path: path.write_bytes(b"123"), "not a safetensors file"),
    "half": (
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        "not a safetensors file",
    ),
    "huge header": (
        lambda path: path.write_bytes((2**63).to_bytes(8, "little") + path.read_bytes()[8:]),
        "not a safetensors file",
    ),
    "long header": (
        lambda path: path.write_bytes((2**27).to_bytes(8, "little") + b" " * 64),
        "not a safetensors file",
    ),
    "pickle": (lambda path: path.write_bytes(CANARY), "not a safetensors file"),
    "loop": (lambda path: path.unlink() or path.symlink_to(path.name), "not a safetensors file"),
    "pipe": (lambda path: path.unlink() or os.mkfifo(path), "not a safetensors file"),
    "gone": (lambda path: path.unlink(), "not a safetensors file"),
    "lacks": (changed(WEIGHT, dict.pop), "it lacks tensor 'net.0.weight'"),
    "extra": (
        changed("x", lambda t, k: t.update({k: torch.ones(1)})),
        "it has the unknown tensor 'x'",
    ),
    "type": (
        changed(WEIGHT, lambda t, k: t.update({k: t[k].double()})),
        "'net.0.weight' is torch.float64, expected torch.float32",
    ),
    "nan": (
        changed(WEIGHT, lambda t, k: t[k].view(-1)[3].fill_(torch.nan)),
        "NaN or infinity in 'net.0.weight'",
    ),
    "infinity": (
        changed("net.1.running_var", lambda t, k: t[k][0].fill_(torch.inf)),
        "NaN or infinity in 'net.1.running_var'",
    ),
}


@pytest.mark.parametrize("damage", WEIGHTS)
def test_weights_that_do_not_fit_are_refused_in_one_line(tmp_path, monkeypatch, damage):
    monkeypatch.chdir(tmp_path)
    path, module = tmp_path / "weights.safetensors", Tiny()
    save_weights(path, module, {})
    nn.init.ones_(module.net[0].weight)
    change, message = WEIGHTS[damage]
    change(path)
    with pytest.raises(BenchError, match=re.escape(message)) as caught:
        load_weights(path, module)
    assert "\n" not in str(caught.value)
    assert bool((module.net[0].weight == 1).all())
    assert not Path("canary-file").exists()


def test_equal_weights_are_equal_files(tmp_path):
    for name in "ab":
        save_weights(tmp_path / name, Tiny(), {"z": 1, "a": {"y": 2, "b": 3}})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
