"""Trainings of denoisers that break a rule: one line says which, and no number is made of them."""

import pytest
import torch
from torch import nn

from bench.api import Invalid
from bench.checkpoint import TrainingState
from bench.shape import loss_of
from bench.tasks.train import refuse_forgetful

BATCH = torch.zeros(2, 1, 4, 4)


class Net(nn.Module):
    def __init__(self, give=None):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.give = give

    def loss(self, batch, rng):
        return self.give(self, batch)


@pytest.mark.parametrize(
    ("give", "told"),
    [
        (lambda net, x: (net.scale * x).mean(), ""),
        (lambda net, x: net.scale * x.mean(), ""),  # one number of shape [1]
        (lambda net, x: (net.scale * x).flatten(1).mean(1), r"Net.loss returned \[2\], expected"),
        (lambda net, x: 0.5, "Net.loss returned float, expected a tensor of one number"),
        (lambda net, x: x.mean(), "Net.loss does not depend on any of its parameters"),
    ],
)
def test_a_loss_is_one_number_of_the_parameters(give, told):
    if not told:
        loss_of(Net(give), BATCH, torch.Generator()).backward()
        return
    with pytest.raises(Invalid, match=told):
        loss_of(Net(give), BATCH, torch.Generator())


@pytest.mark.parametrize(
    ("module", "told"),
    [
        (nn.ReLU(), r"ReLU has no parameters to train \(there are none\)"),
        (nn.Linear(2, 2).requires_grad_(False), r"\(none of 2 requires a gradient\)"),
    ],
)
def test_what_has_nothing_to_train_is_refused(module, told):
    with pytest.raises(Invalid, match=told):
        TrainingState.of(module, learning_rate=1e-3, betas=(0.9, 0.99))


def test_what_a_denoiser_learns_is_in_its_weights():
    """Another cell builds it anew and loads them: a plain attribute is not there any more."""
    learnt, plain = Net(), Net()
    learnt.mean = 0.5
    refuse_forgetful(lambda net: (1.0, float(net.scale.detach())), learnt, plain)
    with pytest.raises(Invalid, match=r"Net denoises otherwise with its weights alone.*register_b"):
        refuse_forgetful(lambda net: (getattr(net, "mean", 0.0),), learnt, plain)
    with pytest.raises(Invalid, match=r"Net cannot denoise with its weights alone \(AttributeErr"):
        refuse_forgetful(lambda net: (net.mean,), learnt, plain)
    assert refuse_forgetful(lambda net: (float("nan"),), learnt, plain) is None
