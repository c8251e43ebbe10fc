"""Networks that cannot take a size, or cannot be planned for: what is said, and where."""

from functools import partial

import pytest
from torch import nn

from bench import registry
from bench.api import ENTRIES, BenchError, Entry, Invalid, Kind, Skip
from bench.budget import load_budget
from bench.plan import make_plan, study_for
from bench.tasks.networks import SIDES, sound_network


class Strange(nn.Module):
    """A network that does something between its input and its only layer."""

    def __init__(self, act, channels, image_size, scale=1.0):
        super().__init__()
        self.act, self.layer = act, nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x_t, step):
        self.act(x_t)
        return self.layer(x_t)


def multiples_of(n, least=0):
    def act(x):
        if x.shape[-1] % n or x.shape[-1] < least:
            raise ValueError("no")

    return act


def looking(x):
    if x.abs().sum().item() > 0 and x.shape[-1] < 20:
        raise BenchError("smaller than 20x20")


ACTS = {
    "multiples-of-28": multiples_of(28),
    "20-at-least": multiples_of(1, 20),
    "looking": looking,
    "never": multiples_of(1, 10_000),
}


@pytest.fixture
def strangers(monkeypatch):
    registry.discover(Kind.BACKBONE)
    for name, act in ACTS.items():
        entry = Entry(Kind.BACKBONE, name, partial(Strange, act), "test")
        monkeypatch.setitem(ENTRIES, (Kind.BACKBONE, name), entry)


class Place:
    """As much of a context as building takes."""

    @staticmethod
    def build(kind, spec):
        return registry.build(kind, spec["name"], channels=1, image_size=spec["image_size"])


@pytest.mark.parametrize(
    ("name", "size", "smallest"),
    [("multiples-of-28", 64, 28), ("20-at-least", 16, 20), ("looking", 16, 20)],
)
def test_the_smallest_size_is_exact_even_where_numbers_are_looked_at(
    strangers, name, size, smallest
):
    words = f"cannot take images of {size}x{size}; the smallest that it can are {smallest}x"
    with pytest.raises(Skip, match=words):
        sound_network(Place, {"name": name}, channels=1, image_size=size)


def test_a_network_that_takes_no_size_is_invalid(strangers):
    with pytest.raises(Invalid, match="ValueError: no"):
        sound_network(Place, {"name": "never"}, channels=1, image_size=8)
    assert max(SIDES) < 10_000


def test_the_smallest_size_is_not_looked_for_for_ever(strangers, monkeypatch):
    monkeypatch.setattr("bench.tasks.networks.SLOW_S", 0.0)
    with pytest.raises(Invalid, match="ValueError: no"):
        sound_network(Place, {"name": "multiples-of-28"}, channels=1, image_size=64)


def planned(backbone):
    study = study_for(load_budget("smoke", [f"backbones=unet,{backbone}"]))
    return [planned.cell.label for planned in make_plan(study, ["costs"])]


@pytest.mark.parametrize("name", ["looking", "never"])
def test_a_network_that_fails_without_memory_is_left_to_its_cells(strangers, name):
    assert f"cost {name}" in planned(name)


def test_a_size_that_a_network_refuses_stops_the_plan(strangers, monkeypatch):
    def refusing(x):
        raise BenchError("images of 32x32, expected multiples of 24")

    entry = Entry(Kind.BACKBONE, "refusing", partial(Strange, refusing), "test")
    monkeypatch.setitem(ENTRIES, (Kind.BACKBONE, "refusing"), entry)
    with pytest.raises(BenchError, match="multiples of 24"):
        planned("refusing")
