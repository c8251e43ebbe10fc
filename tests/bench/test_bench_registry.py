"""Looking plug-ins up by name, and what they need."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

import models
from bench import installation, registry, strangers
from bench.api import ENTRIES, BenchError, Kind, Missing
from bench.installation import parts, unmet


def test_names_are_sorted_and_can_be_found():
    for kind in Kind:
        names = registry.names(kind)
        assert names and len(set(names)) == len(names)
        for name in names:
            assert registry.find(kind, name).kind is kind


def test_without_strangers_nothing_is_broken():
    assert registry.broken() == []


@pytest.mark.parametrize("need", ["no-such-library", "numpy>=99", "numpy<1"])
def test_a_plugin_whose_need_is_not_met_is_unavailable(monkeypatch, need):
    entry = registry.find(Kind.SCHEDULE, "linear")
    monkeypatch.setitem(
        ENTRIES, (Kind.SCHEDULE, "linear"), dataclasses.replace(entry, needs=("torch", need))
    )
    with pytest.raises(Missing, match=f"schedule 'linear' is unavailable: needs {need}; install"):
        registry.build(Kind.SCHEDULE, "linear")
    (line,) = [line for line in registry.catalogue("schedule") if line["name"] == "linear"]
    assert line["missing"] == [need]


def test_a_wrong_parameter_is_named():
    with pytest.raises(BenchError, match="did you mean 'offset'"):
        registry.build(Kind.SCHEDULE, "cosine", ofset=0.01)


class Other:
    """A backbone whose author knows other names."""

    def __init__(self, in_channels=3):
        pass


def test_a_backbone_is_told_what_it_is_built_with(monkeypatch):
    entry = dataclasses.replace(registry.find(Kind.BACKBONE, "unet"), build=Other)
    monkeypatch.setitem(ENTRIES, (Kind.BACKBONE, "unet"), entry)
    with pytest.raises(BenchError, match=r"takes in_channels; expected channels, image_size, sc"):
        registry.build(Kind.BACKBONE, "unet", channels=3, image_size=32, scale=1.0)


def needy(channels, image_size, scale, depth):
    """Return nothing; a backbone with a parameter that no run gives."""


def test_what_is_needed_and_not_given_is_named(monkeypatch):
    for name in ("folder", "folder:"):
        with pytest.raises(BenchError, match="needs its place: folder:/path/to/pictures"):
            registry.build(Kind.DATASET, name, image_size=32)
    entry = dataclasses.replace(registry.find(Kind.BACKBONE, "unet"), build=needy)
    monkeypatch.setitem(ENTRIES, (Kind.BACKBONE, "unet"), entry)
    with pytest.raises(BenchError, match="backbone 'unet' needs depth; found none"):
        registry.build(Kind.BACKBONE, "unet", channels=3, image_size=32, scale=1.0)


HALF = """
from bench.api import Kind, register
from models.unet import UNet

@register(Kind.BACKBONE, "half", source="a file that fails after this")
def half(channels, image_size, scale):
    pass

"""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import not_a_module", "ModuleNotFoundError: No module"),
        ("def (", "SyntaxError"),
        (HALF + "import not_a_module", "ModuleNotFoundError: No module"),
        (HALF + "raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_file_that_cannot_be_imported_leaves_the_others_and_is_named(
    tmp_path, monkeypatch, text, why
):
    (tmp_path / "my_broken_net.py").write_text(text)
    monkeypatch.setattr(registry, "_faulty", {})
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path)])
    registry._discover_package.cache_clear()
    try:
        assert "unet" in registry.names(Kind.BACKBONE)
        assert "half" not in registry.names(Kind.BACKBONE), "it counts whole or not at all"
        (fault,) = registry.broken()
        assert str(fault).startswith("the plug-in module 'models.my_broken_net' could not be")
        assert why in fault.reason
        assert fault.remedy == "mend models/my_broken_net.py, or take it away"
        with pytest.raises(BenchError, match=r"^the plug-in module 'models.my_broken_net'.*; no b"):
            registry.find(Kind.BACKBONE, "my-broken-net")
        with pytest.raises(BenchError, match=r"^no backbone named 'une'.*; note: the plug-in mod"):
            registry.find(Kind.BACKBONE, "une")
    finally:
        registry._discover_package.cache_clear()


@pytest.fixture
def my_models(tmp_path, monkeypatch):
    """Return a folder whose files are looked for as those of models/ are."""
    known = dict(ENTRIES)
    monkeypatch.setattr(registry, "_faulty", {})
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path)])
    registry._discover_package.cache_clear()
    yield tmp_path
    registry._discover_package.cache_clear()
    ENTRIES.clear()
    ENTRIES.update(known)


MINE = """
from bench.api import Kind, register
print("hello")

@register(Kind.BACKBONE, "mine", source="mine")
def mine(channels, image_size, scale):
    {does}
"""


def test_a_name_that_no_module_can_have_is_refused_for_its_code_would_be_in_no_key(my_models):
    (my_models / "my-net.py").write_text(MINE.format(does="pass"))
    assert "mine" not in registry.names(Kind.BACKBONE)
    (fault,) = registry.broken()
    assert "its file's name is none of Python's" in str(fault)


def test_a_folder_with_an_init_is_a_plug_in_and_prints_where_no_program_reads(my_models, capfd):
    (my_models / "my_net").mkdir()
    (my_models / "my_net" / "__init__.py").write_text(MINE.format(does="pass"))
    assert "mine" in registry.names(Kind.BACKBONE) and registry.broken() == []
    assert capfd.readouterr().out == ""


def check_built(folder, does, told):
    """Build a backbone whose builder does this; it is refused in a line, or taken where none is."""
    (folder / "my_built_net.py").write_text(MINE.format(does=does))
    size = {"channels": 3, "image_size": 8, "scale": 1.0}
    try:
        if not told:
            assert registry.build(Kind.BACKBONE, "mine", **size)
            return
        with pytest.raises(BenchError, match=told) as caught:
            registry.build(Kind.BACKBONE, "mine", **size)
        assert "\n" not in str(caught.value)
    finally:
        sys.modules.pop("models.my_built_net", None)


NETWORK = "return type('Net', (), {'parameters': list, 'forward': staticmethod(%s)})()"


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("pass", "returned NoneType, which has no method 'forward'; expected a backbone with"),
        ("return 3", "returned int, which has no method 'forward'"),
        (NETWORK % "lambda x: x", r"'mine' has forward\(x\); .*with forward\(x_t, step\)"),
        (NETWORK % "lambda x, t, y: x", r"'mine' has forward\(x, t, y\)"),
        (NETWORK % "lambda x, t, y=0: x", ""),
        (NETWORK % "print", ""),
    ],
)
def test_what_a_builder_returns_can_be_called_as_its_kind_is(my_models, does, told):
    check_built(my_models, does, told)


LAYERS = """
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.known = nn.Conv2d(3, 3, 1)
            self.kept = {kept}

        def forward(self, x_t, step):
            return self.known(x_t)

    return Net()
"""


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        ("[nn.Conv2d(3, 3, 1)]", r"keeps layers in the list Net\.kept, .*expected nn\.ModuleList"),
        ("{'a': nn.Conv2d(3, 3, 1)}", r"in the dict Net\.kept"),
        ("(nn.Parameter(torch.ones(1)),)", r"in the tuple Net\.kept"),
        ("[self.known, 3, 'word']", ""),
        ("nn.ModuleList([nn.Conv2d(3, 3, 1)])", ""),
        ("[nn.Conv2d(3, 3, 1).requires_grad_(False)]", ""),
    ],
)
def test_layers_that_torch_does_not_see_are_refused(my_models, kept, told):
    check_built(my_models, LAYERS.replace("{kept}", kept), told)


def test_a_denoiser_that_takes_a_number_for_a_level_is_told_so(monkeypatch):
    class Plain:
        def fit(self, clean, levels, trainer, seed):
            """Learn nothing."""

        def denoise(self, y, sigma):
            return y

    entry = dataclasses.replace(registry.find(Kind.DENOISER, "identity"), build=Plain)
    monkeypatch.setitem(ENTRIES, (Kind.DENOISER, "identity"), entry)
    expected = r"has denoise\(y, sigma\); expected a denoiser with denoise\(y, level, noise\)"
    with pytest.raises(BenchError, match=expected):
        registry.build(Kind.DENOISER, "identity")
    with pytest.raises(BenchError, match="takes nothing; expected channels, image_size, scale"):
        registry.build(Kind.DENOISER, "identity", channels=1)


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        (lambda self, network, *inputs: network, ""),
        (lambda self, network, x_t, step: network, ""),
        (
            lambda self, network: network,
            r"has prepare\(network\); expected an engine with prepare",
        ),
        (None, "has no method 'prepare'"),
    ],
)
def test_an_engine_is_made_as_it_is_documented(monkeypatch, prepare, told):
    plain = type("Plain", (), {"prepare": prepare})
    entry = dataclasses.replace(registry.find(Kind.ENGINE, "eager"), build=lambda: plain())
    monkeypatch.setitem(ENTRIES, (Kind.ENGINE, "eager"), entry)
    if told:
        with pytest.raises(BenchError, match=told):
            registry.build(Kind.ENGINE, "eager")
    else:
        assert registry.build(Kind.ENGINE, "eager").prepare(3, 1, 2) == 3


def test_an_interrupt_while_a_file_is_imported_is_one(tmp_path, monkeypatch):
    (tmp_path / "my_slow_net.py").write_text("raise KeyboardInterrupt")
    monkeypatch.setattr(registry, "_faulty", {})
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path)])
    with pytest.raises(KeyboardInterrupt):
        registry._import("models.my_slow_net")
    assert not registry._faulty


def test_a_fault_of_the_harness_is_raised(monkeypatch):
    with pytest.raises(ModuleNotFoundError):
        registry._import("bench.tasks.not_there")


def test_a_package_that_shadows_ours_is_refused(tmp_path, monkeypatch):
    (tmp_path / "shadow.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BenchError, match="a folder of that name shadows ours"):
        registry.own_package("shadow")


def test_requirements_are_read_with_their_markers(monkeypatch):
    versions = {"numpy": "1.20", "torch": "2.13.0+cpu", "ruff": ""}
    monkeypatch.setattr(installation, "version", versions.__getitem__)
    asked = [
        "numpy>=1.26",
        "torch<2.14,>=2.11",
        "ruff==0.1; extra == 'dev'",
        "numpy<1; python_version < '3'",
        "not a requirement at all",
    ]
    found = {(part.name, part.wanted, part.extra): part.fits for part in parts(asked)}
    assert found == {
        ("numpy", ">=1.26", ""): False,
        ("torch", "<2.14,>=2.11", ""): True,
        ("ruff", "==0.1", "dev"): False,
    }
    assert [str(part) for part in unmet(asked)] == ["numpy 1.20, needs >=1.26"]


def test_the_text_search_sees_every_name_of_ours():
    for kind in Kind:
        for entry in registry.entries(kind):
            if not strangers.owns((kind, entry.name)):
                assert registry._is_written(kind, entry.name), entry


def test_a_strangers_plugin_is_found_without_importing_ours(tmp_path):
    script = (
        "import sys; from bench.registry import find; find('task', 'toy'); "
        "sys.exit('torch' in sys.modules)"
    )
    plugin = Path(__file__).parent.parent / "plugin"
    environment = {**os.environ, "PYTHONPATH": str(plugin)}
    assert subprocess.run([sys.executable, "-c", script], env=environment).returncode == 0
