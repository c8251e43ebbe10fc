"""What a backbone lacks is measured on the network, whatever it declares."""

import pytest
import torch
from torch import nn

from bench.api import ENTRIES, Kind, Property, register
from bench.registry import build
from bench.tasks.properties import lacking

SHAPE = (1, 8, 8)
DEAF, MIXED = Property.STEP_DEPENDENCE.value, Property.BATCH_INDEPENDENCE.value


class Heard(nn.Module):
    """Adds the step through a layer that begins with zeros, as many networks do."""

    def __init__(self, deaf=False, mixed=False):
        super().__init__()
        self.layer, self.told = nn.Conv2d(1, 1, 3, padding=1), nn.Linear(1, 1)
        self.deaf, self.mixed = deaf, mixed
        for parameter in self.told.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x_t, step):
        y = self.layer(x_t)
        y = y if self.deaf else y + self.told(step[:, None])[:, :, None, None]
        return y - y.mean(dim=0) if self.mixed else y


@pytest.mark.parametrize("deaf", [False, True])
@pytest.mark.parametrize("mixed", [False, True])
def test_what_a_network_lacks_is_seen_and_what_it_has_is_not_missed(deaf, mixed):
    found = lacking(Heard(deaf=deaf, mixed=mixed).eval(), SHAPE)
    # Alone, a network that takes its batch's mean away is a picture of zeros at every step.
    assert found == [DEAF] * (deaf or mixed) + [MIXED] * mixed


def test_nothing_is_said_of_a_network_that_fails_or_is_not_finite_or_rolls_dice():
    class Alone(Heard):
        def forward(self, x_t, step):
            if len(x_t) > 1:
                raise RuntimeError("one image at a time")
            return super().forward(x_t, step)

    class Huge(Heard):
        def forward(self, x_t, step):
            return super().forward(x_t, step) / 0

    class Random(Heard):
        def forward(self, x_t, step):
            return super().forward(x_t, step) + torch.rand(())

    for network in (Alone(deaf=True), Huge(deaf=True), Random(deaf=True)):
        assert lacking(network.eval(), SHAPE) == []


@pytest.mark.parametrize("entry", ["cunet", "unet", "cunet-released", "cunet-released-no-residual"])
def test_the_contract_tests_and_a_run_say_the_same(entry):
    torch.manual_seed(0)
    network = build(Kind.BACKBONE, entry, channels=1, image_size=32, scale=0.125).eval()
    declared = {one.value for one in ENTRIES[Kind.BACKBONE, entry].lacks} & {DEAF, MIXED}
    assert set(lacking(network, (1, 32, 32))) == declared


@pytest.mark.parametrize("lacks", [(), (Property.STEP_DEPENDENCE,)])
def test_a_record_tells_what_was_not_declared(place, lacks, toys):
    from bench.api import Cell

    @register(Kind.BACKBONE, "mine", source="a test", lacks=lacks)
    def mine(channels, image_size, scale=1.0):
        return Heard(deaf=True)

    spec = {"backbone": {"name": "mine"}, "channels": 1, "image_size": 16}
    (row,) = place.run(Cell("cost", spec), "cost").rows
    assert row["lacks"] == [DEAF]
    assert row["undeclared"] == ([] if lacks else [DEAF])
