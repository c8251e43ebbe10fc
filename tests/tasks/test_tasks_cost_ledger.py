"""Tasks `cost` and `books`: gaps that are small against the whole, books that do not close."""

import dataclasses
import functools

import pytest
from tasks_place import Place
from torch import nn

from bench.api import ENTRIES, Cell, Entry, Invalid, Kind, Solution
from bench.metrics.cost import layers, ledger
from bench.tasks import books as books_task
from bench.tasks import cost as cost_task

SIZE = {"channels": 3, "image_size": 16}


class Net(nn.Module):
    """Much convolution, a linear layer; what happens is a function."""

    def __init__(self, act, channels, image_size):
        super().__init__()
        self.wide = nn.Conv2d(channels, 64, 3, padding=1)
        self.deep = nn.Conv2d(64, 64, 3, padding=1)
        self.narrow = nn.Conv2d(64, channels, 3, padding=1)
        self.small = nn.Linear(64, 64)
        self.act = act

    def forward(self, x, step):
        return self.act(self, x, step)

    def convolve(self, x, times=1):
        x = self.wide(x)
        for _ in range(times):
            x = self.deep(x)
        return self.narrow(x)


class Told(Net):
    """An ODE's network that reports three evaluations and makes two."""

    def fields(self):
        return [(self.deep, 64)]

    def trace(self, x, step):
        return Solution(self.convolve(x, 2), 3)


def plain(net, x, step):
    return net.convolve(x)


def with_dead_linear(net, x, step):
    h = net.deep(net.wide(x))
    net.small(h.mean((2, 3)))
    return net.narrow(h)


def with_own_weights(net, x, step):
    return nn.functional.conv2d(net.convolve(x), net.wide.weight[:3], padding=1)


CHANGES = {
    "first step": lambda x, step: float(step[0]) < 100,
    "last step": lambda x, step: float(step[0]) > 990,
    "flat image": lambda x, step: float(x.std()) == 0,
}


def changing(change, net, x, step):
    return net.convolve(x, 2 if CHANGES[change](x, step) else 1)


@pytest.fixture
def rows(place: Place, monkeypatch, request):
    """Measure a network that computes as a function says."""

    def measure(task, act, network=Net):
        entry = Entry(Kind.BACKBONE, "odd", functools.partial(network, act), "test")
        monkeypatch.setitem(ENTRIES, (Kind.BACKBONE, "odd"), entry)
        cell = Cell(task, {"backbone": {"name": "odd"}, **SIZE})
        built = {"cost": cost_task.cost, "books": books_task.books}[task]
        return built(cell, place.context(cell, request.node.name)).rows

    return measure


def test_a_small_kind_that_one_counter_misses_shows(rows):
    (row,) = rows("cost", with_dead_linear)
    assert (row["gmacs_torch_linear"], row["gmacs_fvcore_linear"]) == (64 * 64 / 1e9, 0)
    assert (row["counters_gap"], row["counters_agree"]) == (1, False)


def test_weights_of_a_networks_own_are_no_gap(rows):
    (row,) = rows("cost", with_own_weights)
    assert row["gmacs_layers_convolution"] < row["gmacs_torch_convolution"]
    assert (row["counters_gap"], row["counters_agree"]) == (0, True)


def test_a_wrong_closed_form_shows(rows, monkeypatch):
    def act(net, x, step):
        return net.convolve(x) + net.small(x.flatten()[:128].view(2, 64)).mean()

    (row,) = rows("cost", act)
    assert row["counters_agree"]
    true = layers._of_layer
    wrong = "bench.metrics.cost.layers._of_layer"

    def half_linear(*call):
        return {kind: macs // (2 if kind == "linear" else 1) for kind, macs in true(*call).items()}

    monkeypatch.setattr(wrong, half_linear)
    (row,) = rows("cost", act)
    assert (row["counters_gap"], row["counters_agree"]) == (0.5, False)


def kinds(convolution=0, linear=0, product=0):
    return {"convolution": convolution, "linear": linear, "product": product}


@pytest.mark.parametrize(
    ("found", "other", "gap"),
    [
        (kinds(10**9, 100), kinds(10**9, 99), 0.01),
        (kinds(10**9, 100, 7), kinds(10**9, 0, 107), 0),
        (kinds(1000, 5), kinds(999, 5), 0.001),
        (kinds(0, 5), kinds(3, 5), 1),
        (kinds(), kinds(), 0),
    ],
)
def test_a_gap_is_a_fraction_of_its_own_kind(found, other, gap):
    assert cost_task.counters_gap(found, other) == cost_task.counters_gap(other, found) == gap


@pytest.mark.parametrize("change", CHANGES)
def test_a_cost_that_changes_at_an_extreme_is_found(rows, change):
    (row,) = rows("cost", functools.partial(changing, change))
    assert row["adaptive"]
    assert len(row["gmacs_torch_of_inputs"]) == 11
    assert len(set(row["gmacs_torch_of_inputs"])) == 2


def test_evaluations_are_counted_and_not_asked_for(rows):
    with pytest.raises(Invalid, match="reports 3 evaluations where 2 of what its fields"):
        rows("cost", lambda net, x, step: net.trace(x, step).y, Told)
    whole = rows("books", lambda net, x, step: net.trace(x, step).y, Told)[-1]
    assert whole["evaluations"] == 2


def test_a_parameter_that_no_part_has_opens_the_books(rows, monkeypatch):
    def lossy(module, owners):
        return list(ledger_parameters(module, owners))[1:]

    ledger_parameters = ledger.part_of_parameters
    monkeypatch.setattr(ledger, "part_of_parameters", lossy)
    words = r"'odd' do not close: the parts have .*\bparameters 42883 of 44611"
    with pytest.raises(Invalid, match=words):
        rows("books", plain)


@pytest.mark.parametrize(
    ("name", "column"),
    [("convolution", "macs_torch_convolution"), ("authors", "macs_authors"),
     ("bytes_moved", "bytes_moved"), ("activation_bytes", "activation_bytes"),
     ("elementwise", "elementwise")],
)  # fmt: skip
def test_a_loss_in_one_part_opens_the_books(rows, monkeypatch, name, column):
    def lossy(module, *inputs):
        found = ledger.keep_books(module, *inputs)
        accounts = dict(found.accounts)
        part = list(accounts)[1]
        less = getattr(accounts[part], name) - 1
        accounts[part] = dataclasses.replace(accounts[part], **{name: less})
        return dataclasses.replace(found, accounts=accounts)

    monkeypatch.setattr(books_task, "keep_books", lossy)
    with pytest.raises(Invalid, match=rf"'odd' do not close: the parts have .*\b{column} -?\d+ of"):
        rows("books", plain)


def test_a_part_that_is_forgotten_opens_the_books(rows, monkeypatch):
    forgotten = ledger._Ledger.account

    def account(self):
        found = forgotten(self)
        return ledger.Account() if self.owners and self.stack[1:] else found

    monkeypatch.setattr(ledger._Ledger, "account", account)
    with pytest.raises(Invalid, match=r"macs_torch 0 of .*bytes_moved.*macs_by_torch_alone 0 of"):
        rows("books", plain)
