import json
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from bench import code as source
from bench import registry
from bench.api import BenchError, Invalid, Kind, Level, Missing
from bench.checkpoint import save_weights
from bench.score import denoised
from bench.score.networks import AskedNetwork, conventions_of, network_of, settle_denoiser
from bench.tasks.foreign import Adapted, Foreign, built
from bench.tasks.scoring import summary
from bench.torchvision_compat import import_torchvision

CODE = """
import torch

class Net(torch.nn.Module):
    def __init__(self, channels, width):
        super().__init__()
        self.inner = torch.nn.Conv2d(channels, channels, 1)

    def forward(self, x, step):
        return self.inner(x)

def make(channels):
    return Net(channels, 3)

def broken():
    return "no network"
"""


class Exact(nn.Module):
    """The best network there is for pixels from a normal distribution, in any convention."""

    def __init__(self, prediction, schedule, low, mean, deviation):
        super().__init__()
        self.prediction = prediction
        self.schedule = registry.build(Kind.SCHEDULE, schedule)
        self.mean = mean * (1 - low) + low
        self.variance = (deviation * (1 - low)) ** 2

    def forward(self, x_t, step):
        left = float(self.schedule.alpha_bar(float(step[0]) + 1))
        a, b = left**0.5, (1 - left) ** 0.5
        gain = a * self.variance / (left * self.variance + 1 - left)
        x0 = self.mean + gain * (x_t - a * self.mean)
        eps = (x_t - a * x0) / b
        return {"x0": x0, "noise": eps, "v": a * eps - b * x0}[self.prediction]


@pytest.mark.parametrize("prediction", ["noise", "x0", "v"])
@pytest.mark.parametrize("schedule", ["linear", "cosine", "sigmoid"])
@pytest.mark.parametrize("low", [-1.0, 0.0])
def test_every_convention_gives_the_posterior_mean(prediction, schedule, low):
    """The closed form: m + s^2 / (s^2 + sigma^2) (y - m)."""
    mean, deviation, sigma = 0.45, 0.08, 0.135
    rng = torch.Generator().manual_seed(0)
    clean = mean + deviation * torch.randn(4, 1, 8, 8, generator=rng, dtype=torch.float64)
    y = clean + sigma * torch.randn(clean.shape, generator=rng, dtype=torch.float64)
    network = Exact(prediction, schedule, low, mean, deviation)
    found = Foreign(network, prediction=prediction, schedule=schedule, low=low).denoise(
        y, Level(sigma, 150, "sigmoid"), None
    )
    share = deviation**2 / (deviation**2 + sigma**2)
    torch.testing.assert_close(found, mean + share * (y - mean), rtol=0, atol=1e-6)


def test_the_wrong_convention_gives_something_else():
    y = torch.full((1, 1, 8, 8), 0.6, dtype=torch.float64)
    network = Exact("noise", "linear", -1.0, 0.45, 0.08)
    level = Level(0.135, 150, "sigmoid")
    right, wrong = (
        Foreign(network, prediction="noise", schedule=schedule, low=low).denoise(y, level, None)
        for schedule, low in (("linear", -1.0), ("linear", 0.0))
    )
    assert float((right - wrong).abs().mean()) > 0.01


@pytest.mark.parametrize(
    ("out", "fits"),
    [
        (lambda x: x, True),
        (lambda x: (x, 3), True),
        (lambda x: type("Output", (), {"sample": x})(), True),
        (lambda x: x[:, :, :4], False),
        (lambda x: None, False),
        (lambda x: (), False),
        (lambda x: torch.cat([x, x], dim=1), False),
    ],
)
def test_outputs_are_unwrapped_and_others_refused(out, fits):
    class Net(nn.Module):
        def forward(self, x, step):
            return out(x)

    x = torch.zeros(2, 1, 8, 8)
    if fits:
        assert Adapted(Net())(x, torch.zeros(2)) is x
    else:
        with pytest.raises(Invalid, match="expected a tensor"):
            Adapted(Net())(x, torch.zeros(2))


@pytest.fixture
def code(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(CODE)
    return path


def asked(spec, **more):
    plain = {"checkpoint": None, "prediction": "noise", "schedule": "linear", "value_range": "-1,1"}
    return AskedNetwork(str(spec), **{**plain, **more})


def test_a_network_comes_from_a_file_with_its_weights(code, tmp_path):
    about = vars(network_of(asked(f"{code}:make")))
    network = built(about, channels=3, image_size=16)
    nn.init.constant_(network.inner.weight, 0.25)
    save_weights(tmp_path / "w.safetensors", network, {})
    again = vars(network_of(asked(f"{code}:make", checkpoint=tmp_path / "w.safetensors")))
    assert bool((built(again, channels=3, image_size=16).inner.weight == 0.25).all())
    with pytest.raises(BenchError, match=r"another network|has shape"):
        built(again, channels=1, image_size=16)
    code.write_text(CODE + "\n# changed\n")
    with pytest.raises(BenchError, match="has changed since it was looked at"):
        built(again, channels=3, image_size=16)


def test_a_network_is_known_by_its_code_and_weights(code, tmp_path):
    first = network_of(asked(f"{code}:make"))
    moved = code.rename(tmp_path / "other.py")
    assert network_of(asked(f"{moved}:make")) == first
    moved.write_text(CODE + "x = 1\n")
    changed = network_of(asked(f"{moved}:make"))
    assert replace(changed, sha256=first.sha256) == first and changed != first


def test_what_a_file_imports_is_part_of_what_it_is(code, tmp_path):
    assert network_of(asked(f"{code}:make")).imports == "", "torch is installed"
    code.write_text(CODE.replace("import torch", "import torch\nimport inner_of_net"))
    found = []
    for value in (1, 1, 2):
        (tmp_path / "inner_of_net.py").write_text(f"WIDTH = {value}\n")
        for function in (source.source_of, source._said, source._imports, source.digest):
            function.cache_clear()  # each stands for a run of its own
        found.append(network_of(asked(f"{code}:make")))
    first, same, changed = found
    assert first == same != changed and first.imports
    assert replace(changed, imports=first.imports) == first
    assert str(tmp_path) not in sys.path


def test_what_makes_no_network_is_told(code):
    with pytest.raises(BenchError, match=r"made a str, expected nn\.Module"):
        built(vars(network_of(asked(f"{code}:broken"))), channels=1, image_size=8)
    with pytest.raises(BenchError, match="there is no factory 'gone'"):
        built(vars(network_of(asked(f"{code}:gone"))), channels=1, image_size=8)


def test_a_network_comes_from_an_installed_module():
    network = network_of(asked("torch.nn:Identity"))
    assert (network.form, network.entry) == ("module", "torch.nn:Identity")
    assert isinstance(built(vars(network), channels=1, image_size=8), nn.Identity)


@pytest.mark.parametrize(
    ("words", "more", "error", "message"),
    [
        ("net.py", {}, BenchError, "expected package.module:factory"),
        ("gone.py:make", {}, Missing, "there is no file gone.py"),
        ("no_such_package.net:make", {}, Missing, "no module 'no_such_package.net'"),
        ("torch.nn:Identity", {"prediction": ""}, BenchError, "say what the network predicts"),
        ("torch.nn:Identity", {"prediction": "eps"}, BenchError, "--prediction eps: say"),
        ("torch.nn:Identity", {"value_range": "0,255"}, BenchError, "known: -1,1, 0,1"),
        ("torch.nn:Identity", {"schedule": "cosin"}, BenchError, "did you mean 'cosine'"),
        (
            "torch.nn:Identity",
            {"checkpoint": "w.bin"},
            BenchError,
            "can run code when they are read",
        ),
        ("torch.nn:Identity", {"checkpoint": "w.safetensors"}, BenchError, "cannot be read"),
    ],
)
def test_a_wrong_word_is_one_line(words, more, error, message):
    from pathlib import Path

    more = {**more, **({"checkpoint": Path(more["checkpoint"])} if "checkpoint" in more else {})}
    with pytest.raises(error, match=message) as caught:
        network_of(asked(words, **more))
    assert "\n" not in str(caught.value)


def test_a_plan_has_references_and_no_path(code, tmp_path):
    session = settle_denoiser(
        asked(f"{code}:make"), "digits", [50, 400], size=32, n=8, device="cpu", out=tmp_path / "o"
    )
    tasks = [planned.cell.task for planned in session.plan]
    assert tasks == ["canary", *["denoise", "denoise", "foreign-denoise"] * 2]
    assert str(tmp_path) not in repr([planned.cell for planned in session.plan])
    with pytest.raises(BenchError, match="classic_levels"):
        settle_denoiser(
            asked(f"{code}:make"), "digits", [5000], size=32, n=8, device="cpu", out=None
        )


def test_what_is_asked_for_otherwise_has_a_folder_of_its_own(code):
    def folder(levels=(50,), size=16, **more):
        network = asked(f"{code}:make", **more)
        return settle_denoiser(
            network, "digits", levels, size=size, n=8, device="cpu", out=None
        ).folders.run

    first = folder()
    assert folder() == first and first.name.startswith("score-digits-make-")
    others = [
        folder(levels=(50, 400)),
        folder(size=32),
        *(folder(**{name: value}) for name, value in
          (("prediction", "v"), ("schedule", "cosine"), ("value_range", "0,1"))),
    ]  # fmt: skip
    assert len({first, *others}) == 1 + len(others)


def test_a_mean_that_there_is_not_is_a_dash():
    exact = torch.tensor([30.0, torch.inf, torch.inf], dtype=torch.float64)
    row = summary({"psnr": exact, "ssim": torch.ones(3), "lpips": torch.zeros(3)}, 0)
    about = {"t": 50, "sigma": 0.07, "denoiser": "Net", "foreign": True}
    (line,) = denoised.lines({"scores": [{**about, **row}]})
    assert line == ("50", "0.070", "Net", "-", "1 ± 0", "0 ± 0")


# ------------------------------------------------------------------ folders of diffusers


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        ({}, ("noise", "linear")),
        ({"_class_name": "DDIMScheduler", "beta_schedule": "linear"}, ("noise", "linear")),
        ({"prediction_type": "v_prediction"}, ("v", "linear")),
        ({"prediction_type": "sample", "beta_schedule": "squaredcos_cap_v2"}, ("x0", "cosine")),
    ],
)
def test_a_scheduler_says_the_conventions(scheduler, expected):
    assert conventions_of(scheduler) == expected


@pytest.mark.parametrize(
    "scheduler",
    [
        {"beta_schedule": "scaled_linear"},
        {"beta_end": 0.012},
        {"num_train_timesteps": 4000},
        {"trained_betas": [0.1]},
        {"prediction_type": "flow"},
        {"_class_name": "KarrasVeScheduler"},
        {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000},
        {
            "_class_name": "EulerDiscreteScheduler",
            "beta_schedule": "linear",
            "timestep_type": "continuous",
        },
    ],
)
def test_other_conventions_are_refused(scheduler):
    with pytest.raises(BenchError, match=r"1,000 steps|no prediction_type|a beta_schedule"):
        conventions_of(scheduler)


def folder_of(path, **config):
    (path / "unet").mkdir(parents=True)
    (path / "scheduler").mkdir()
    (path / "unet/config.json").write_text(json.dumps({"_class_name": "UNet2DModel", **config}))
    (path / "scheduler/scheduler_config.json").write_text("{}")
    return path


def test_a_folder_without_safe_weights_is_refused(tmp_path):
    folder = folder_of(tmp_path / "model")
    (folder / "unet/diffusion_pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(Missing, match="can run code and are not read"):
        network_of(asked(folder))
    (folder / "unet/config.json").write_text('{"_class_name": "UNet2DConditionModel"}')
    with pytest.raises(BenchError, match="expected an unconditional UNet2DModel"):
        network_of(asked(folder))
    (folder / "unet/config.json").write_text("[")
    with pytest.raises(BenchError, match="no configuration in JSON"):
        network_of(asked(folder))
    with pytest.raises(Missing, match="expected a diffusers folder"):
        network_of(asked(tmp_path))


def test_without_diffusers_a_folder_is_missing_it(tmp_path, monkeypatch):
    folder = folder_of(tmp_path / "model")
    save_weights(folder / "unet/diffusion_pytorch_model.safetensors", nn.Linear(1, 1), {})
    monkeypatch.setattr("bench.score.networks.is_installed", lambda need: False)
    with pytest.raises(Missing, match="pip install diffusers"):
        network_of(asked(folder))


def test_a_folder_is_known_by_the_version_that_has_its_code(tmp_path, monkeypatch):
    folder = folder_of(tmp_path / "model")
    save_weights(folder / "unet/diffusion_pytorch_model.safetensors", nn.Linear(1, 1), {})
    monkeypatch.setattr("bench.score.networks.is_installed", lambda need: True)
    found = []
    for number in ("0.35.1", "0.36.0"):
        monkeypatch.setattr("bench.score.networks.version", lambda name, n=number: n)
        found.append(network_of(asked(folder)))
    assert found[0].entry == "diffusers==0.35.1:UNet2DModel"
    assert replace(found[1], entry=found[0].entry) == found[0] != found[1]


def test_a_folder_of_diffusers_is_read(tmp_path):
    import_torchvision()
    diffusers = pytest.importorskip("diffusers")
    config = {"sample_size": 16, "in_channels": 1, "out_channels": 1, "layers_per_block": 1,
              "block_out_channels": (8, 8), "norm_num_groups": 4,
              "down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2,
              }  # fmt: skip
    network = diffusers.UNet2DModel(**config)
    network.save_pretrained(tmp_path / "unet", safe_serialization=True)
    diffusers.DDPMScheduler().save_pretrained(tmp_path / "scheduler")
    about = network_of(asked(tmp_path))
    assert (about.prediction, about.schedule) == ("noise", "linear")
    ours = built(vars(about), channels=1, image_size=16)
    x, step = torch.randn(2, 1, 16, 16), torch.full((2,), 100.0)
    assert torch.equal(Adapted(ours.eval())(x, step), network.eval()(x, step).sample)
