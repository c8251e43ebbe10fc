"""The published integers of Table 5, and the size of its checkpoints as files."""

import pytest
import torch

from bench.metrics.cost import checkpoint_mib, fvcore_macs, parameters
from bench.metrics.cost.ledger import keep_books
from bench.registry import build

INPUTS = torch.zeros(1, 3, 64, 64), torch.zeros(1)

# Name: authors' MACs, fvcore's and torch's GMACs (rounded), parameters, checkpoint MiB.
PUBLISHED = {
    "unet": (7_206_256_640, 7.318, 7.297, 35_710_339, 545.37),
    "cunet-released": (2_830_983_168, 2.844, 2.825, 8_811_875, 132.71),
    "cunet-released-a5": (2_902_286_336, 3.452, 3.433, 9_140_835, 137.74),
    "cunet-released-a5-groupnorm": (None, 3.456, 3.433, 9_146_723, 137.88),
    "cunet-released-no-attention": (2_814_205_952, 2.825, 2.806, 8_548_707, 128.68),
    "cunet-released-no-residual": (1_623_836_672, 1.637, 1.618, 6_138_083, 91.96),
    "cunet-released-no-attention-no-residual": (1_607_059_456, 1.618, 1.599, 5_874_915, 87.93),
}

QUICK = ("unet", "cunet-released")


@pytest.mark.parametrize(
    "name",
    [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in PUBLISHED],
)
def test_the_networks_of_table_5(name):
    authors, fvcore, torch_gmacs, count, mib = PUBLISHED[name]
    network = build("backbone", name, channels=3, image_size=64).eval()
    counted = fvcore_macs(network, *INPUTS, checked=True)
    assert counted.unlisted == ()
    assert counted.macs / 1e9 == pytest.approx(fvcore, abs=6e-4)
    total, network = parameters(network), network.to("meta")
    books = keep_books(network, *(x.to("meta") for x in INPUTS))
    assert authors is None or books.total.authors == authors
    assert books.flops / 2e9 == pytest.approx(torch_gmacs, abs=6e-4)
    for kind in ("convolution", "linear", "product"):
        assert getattr(counted, kind) == getattr(books.total, kind)
    assert total.total == count
    measured = checkpoint_mib(network)
    assert measured == pytest.approx(mib, abs=0.05)
    closed_form = (16 * total.trained + 8 * total.frozen) / 2**20
    assert closed_form < measured < closed_form * 1.005


LARGE = [name for name in PUBLISHED if "no-attention-no-residual" not in name]


@pytest.mark.parametrize(
    "name",
    [
        "cunet-released-no-attention-no-residual",
        *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE),
    ],
)
def test_a_checkpoint_that_is_really_written_weighs_what_table_5_says(name, tmp_path):
    network = build("backbone", name, channels=3, image_size=64)
    trained = [p for p in network.parameters() if p.requires_grad]
    adam = torch.optim.Adam(trained, lr=2e-4, betas=(0.9, 0.99))
    for parameter in trained:
        parameter.grad = torch.zeros_like(parameter)
    adam.step()
    schedule = {f"betas_{n}": torch.zeros(1000) for n in range(13)}
    online = {**schedule, **{f"model.{n}": t for n, t in network.state_dict().items()}}
    average = {f"ema_model.{n}": t.clone() for n, t in online.items()}
    again = {f"online_model.{n}": t for n, t in online.items()}
    file = tmp_path / "model-1.pt"
    ema = {**again, **average}
    torch.save({"step": 1, "model": online, "opt": adam.state_dict(), "ema": ema}, file)
    written = file.stat().st_size / 2**20
    file.unlink()
    assert written == pytest.approx(PUBLISHED[name][4], rel=0.002)
    assert checkpoint_mib(network) == pytest.approx(written, rel=0.002)
