"""`bench score` from the command line to the file that it leaves."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import bench
from bench.cli import run_command_line
from bench.data.digits import Digits


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Score real digits against digits, once; return the words and the folder."""
    folder = tmp_path_factory.mktemp("score")
    images = Digits(16).images("test")[:40]
    np.savez(folder / "set.npz", images.transpose(0, 2, 3, 1))
    words = ["score", str(folder / "set.npz"), "--against", "digits", "--features", "pixels",
             "--out", str(folder / "out"), "--workers", "1"]  # fmt: skip
    assert run_command_line(words) == 0
    return words, folder


def test_a_score_has_everything_that_it_depends_on(scored):
    _, folder = scored
    found = json.loads((folder / "out" / "score.json").read_text())
    (row,) = found["scores"]
    assert row["low"] <= row["frechet"] <= row["high"]
    assert (row["n_generated"], row["n_real"], row["floor_n"]) == (40, 40, 40)
    assert found["samples"]["n_distinct"] == 40 and found["samples"]["done"] == "nothing"
    assert found["against"]["data"]["resize"] == "bilinear 8x8 -> 16x16 (enlarged)"
    assert found["cells"][0]["label"].split()[0] == "canary"
    frame = bench.load(folder / "out")
    assert set(frame["status"]) == {"ok"}
    assert frame.loc[frame["task"] == "frechet", "samples"].item().startswith("npz:")


def test_a_second_score_measures_nothing_and_tells_the_same(scored, capsys):
    words, folder = scored
    before = (folder / "out" / "score.json").read_text()
    assert run_command_line([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(before)
    assert run_command_line(words) == 0
    told = capsys.readouterr().out
    assert "0 cells measured of 6" in told
    for word in ("Fréchet distance", "its floor", "kernel distance", "memorised", "pixels"):
        assert word in told


def test_a_score_is_a_run(scored, capsys):
    _, folder = scored
    assert run_command_line(["check", str(folder / "out")]) == 0
    assert run_command_line(["compare", str(folder / "out"), str(folder / "out")]) == 0
    assert "A and B are one run" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["score"], "name either a set of pictures or a --denoiser"),
        (["score", "x.npz"], "name the real images with --against"),
        (["score", "x.npz", "--against", "digits"], "there is no x.npz"),
        (["score", "x.npz", "--against", "digits", "--range", "1"], "expected two numbers"),
        (["score", "x.npz", "--against", "digits", "--layout", "HW"], "expected one of NCHW"),
    ],
)
def test_a_wrong_word_is_one_clear_line(words, message, capsys):
    assert run_command_line(words) in (2, 69)
    error = capsys.readouterr().err
    assert message in error and len(error.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_network_is_scored_beside_the_noisy_input(tmp_path, capsys):
    """One that predicts no noise gives the noisy input back, in every metric."""
    (tmp_path / "net.py").write_text(
        "import torch\n\n\nclass Zero(torch.nn.Module):\n"
        "    def forward(self, x, step):\n        return 0 * x\n"
    )
    words = ["score", "--denoiser", f"{tmp_path / 'net.py'}:Zero", "--prediction", "noise",
             "--levels", "50", "--n", "4", "--size", "16", "--out", str(tmp_path / "out"),
             "--workers", "1"]  # fmt: skip
    assert run_command_line(words) == 0
    told = capsys.readouterr().out
    assert "noisy input" in told and "Wiener filter" in told and "Zero" in told
    found = json.loads((tmp_path / "out" / "score.json").read_text())
    rows = {row["denoiser"]: row for row in found["scores"]}
    for metric in ("psnr", "ssim", "lpips", "psnr_low", "psnr_high"):
        assert rows["Zero"][metric] == pytest.approx(rows["identity"][metric], abs=0.02)
    assert rows["wiener"]["psnr"] > rows["Zero"]["psnr"] + 1
    assert rows["Zero"]["parameters"] == 0 and rows["Zero"]["trained"] == "elsewhere"
    assert rows["Zero"]["sigma"] == pytest.approx(0.066, abs=1e-3)


@pytest.mark.parametrize("given", [True, False])
def test_weights_that_nobody_named_are_the_factorys_and_it_is_said(
    given, tmp_path, capsys, monkeypatch
):
    (tmp_path / "net.py").write_text("import torch\nNet = torch.nn.Identity\n")
    save_file({"w": torch.zeros(1)}, tmp_path / "net.safetensors")
    monkeypatch.setattr("bench.commands.score._score", lambda *args, **named: 0)
    words = ["score", "--denoiser", f"{tmp_path / 'net.py'}:Net", "--prediction", "noise"]
    words += ["--checkpoint", str(tmp_path / "net.safetensors")] if given else []
    assert run_command_line([*words, "--out", str(tmp_path / "out")]) == 0
    note = "note: no --checkpoint: its weights are those that its factory gives it\n"
    assert capsys.readouterr().err == ("" if given else note)
