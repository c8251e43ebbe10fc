"""Books that close: parts add up to the whole, and every operator lands in the part that ran it."""

import pytest
import torch
from torch import nn

from bench.api import Invalid, Solution
from bench.metrics.cost import torch_flops
from bench.metrics.cost.ledger import Account, Books, keep_books, whole_account
from bench.metrics.cost.parts import FUNCTIONAL, parts
from bench.metrics.cost.sides import evaluations
from bench.metrics.cost.sound import check_sound, cost_of_inputs, is_adaptive, random_inputs
from bench.metrics.cost.training import kept_for_training, with_solver
from bench.registry import build

X = torch.zeros(1, 4, 8, 8)
STEP = torch.zeros(1)
CONV = 4 * 4 * 9 * 64


class Mixed(nn.Module):
    """A list of parts, a shared part, work outside all parts, a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.again = self.blocks[0]
        self.tail = nn.Sequential(nn.SiLU(), nn.Linear(8, 8))
        self.gain = nn.Parameter(torch.ones(()), requires_grad=False)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        x = self.again(x) * self.gain
        return self.tail(x) + x.view(4, 64).t().contiguous().t().view(x.shape) @ x


def by_name(books):
    return {part.name: account for part, account in books.accounts.items()}


def test_every_operator_lands_in_the_part_that_ran_it():
    books = keep_books(Mixed(), X)
    found = by_name(books)
    assert list(found) == ["blocks.0", "blocks.1", "tail.0", "tail.1", FUNCTIONAL]
    assert (found["blocks.0"].convolution, found["blocks.1"].convolution) == (2 * CONV, CONV)
    assert found["tail.1"].linear == 4 * 8 * 8 * 8
    assert found[FUNCTIONAL].product == 4 * 8 * 8 * 8
    assert found["tail.0"].elementwise == X.numel()
    assert (found["blocks.0"].parameters, found[FUNCTIONAL].parameters) == (148, 1)
    assert (found[FUNCTIONAL].trained, found[FUNCTIONAL].frozen) == (0, 1)


def test_bytes_are_those_of_inputs_outputs_and_weights():
    found = by_name(keep_books(Mixed(), X))
    image = X.numel() * 4
    assert found["blocks.1"].bytes_moved == 2 * image + (144 + 4) * 4
    assert found["blocks.1"].activation_bytes == image
    assert found["tail.0"].bytes_moved == 2 * image


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unet", "cunet-released-no-residual"])
def test_the_parts_add_up_to_the_whole(name):
    with torch.device("meta"):
        network = build("backbone", name, image_size=32, scale=0.25).eval()
        inputs = torch.zeros(1, 3, 32, 32), torch.zeros(1)
        books = keep_books(network, *inputs)
        flops = torch_flops(network, *inputs)
        whole = whole_account(network, *inputs)
    assert 2 * books.total.macs == flops
    assert books.total == whole
    assert all(min(vars_of(account)) >= 0 for account in books.accounts.values())


def inputs_on(device):
    return torch.zeros(1, 3, 32, 32, device=device), torch.zeros(1, device=device)


def vars_of(account):
    return [getattr(account, name) for name in Account.__slots__]


def test_the_meta_device_gives_the_same_books():
    network = build("backbone", "cunet", image_size=32, scale=0.25, levels=2).eval()
    here = keep_books(network, *inputs_on("cpu"))
    assert keep_books(network.to("meta"), *inputs_on("meta")) == here


def test_a_network_that_is_one_layer_is_one_part():
    assert [part.name for part in parts(nn.Conv2d(1, 1, 1)).values()] == ["Conv2d"]
    assert by_name(keep_books(nn.Conv2d(4, 4, 3, padding=1), X))["Conv2d"].macs == CONV


def test_no_hook_stays_behind():
    module = Mixed()
    keep_books(module, X)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


def test_inference_mode_inside_a_network_changes_nothing():
    class Inside(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 8)

        def forward(self, x):
            with torch.inference_mode():
                return self.layer(x)

    books = keep_books(Inside(), X)
    assert (books.total.linear, books.unlisted) == (4 * 8 * 8 * 8, ())


@pytest.mark.parametrize(
    ("compute", "name"),
    [
        (lambda x: torch.special.bessel_j0(x), "aten::special_bessel_j0"),
        (lambda x: torch.fft.fft(x).real, "aten::_fft_r2c"),
        (lambda x: x * torch.dot(x.flatten(), x.flatten()), "aten::dot"),
    ],
)
def test_an_operator_on_no_list_is_named(compute, name):
    class Odd(nn.Module):
        def forward(self, x):
            return compute(x)

    assert keep_books(Odd(), X).unlisted == (name,)


# ------------------------------------------------------------------ right-hand sides of ODEs


class Solving(nn.Module):
    """Euler steps through one right-hand side, which several blocks share."""

    def __init__(self, told=12):
        super().__init__()
        self.side, self.told = nn.Conv2d(4, 4, 3, padding=1), told

    def fields(self):
        return [(self.side, 4)] * 3

    def trace(self, x, step):
        for _ in range(12):
            x = x + self.side(x)
        return Solution(x, self.told)

    def forward(self, x, step):
        return self.trace(x, step).y


def test_a_shared_right_hand_side_counts_each_evaluation_once():
    books = keep_books(Solving(), X, STEP)
    assert (books.nfe, books.total.in_fields) == (12, 12 * CONV)
    assert evaluations(Solving(), X, STEP) == 12
    assert cost_of_inputs(Solving(), [(X, STEP)]) == [(24 * CONV, 12)]


def test_a_network_that_miscounts_its_evaluations_is_invalid():
    with pytest.raises(Invalid, match="Solving's trace reports 3 evaluations where 12 of what"):
        evaluations(Solving(told=3), X, STEP)
    with pytest.raises(Invalid, match="reports 3 evaluations"):
        cost_of_inputs(Solving(told=3), [(X, STEP)])


def test_the_whole_is_counted_without_the_parts(monkeypatch):
    network = Mixed()
    whole = whole_account(network, X)
    assert keep_books(network, X).total == whole
    monkeypatch.setattr(Books, "total", Account())
    monkeypatch.setattr("bench.metrics.cost.ledger.parts", None)
    monkeypatch.setattr("bench.metrics.cost.ledger.part_of_parameters", None)
    assert whole_account(network, X) == whole


# ------------------------------------------------------------------------------- bad input


class Changing(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(4, 4, 1)

    def forward(self, x, step):
        return self.layer(x.add_(1))


class Deciding(Changing):
    """Calls its layer as often as the image is bright."""

    def forward(self, x, step):
        for _ in range(1 + int(x.mean() * 1e4) % 5):
            x = self.layer(x)
        return x


def test_a_network_that_changes_its_input_is_invalid():
    with pytest.raises(Invalid, match=r"'odd' changed its input number 1 in place"):
        check_sound(Changing(), "odd", X, STEP)
    assert not X.any()


def test_a_network_that_resizes_its_input_is_invalid():
    class Resizing(Changing):
        def forward(self, x, step):
            return self.layer(x) if x.unsqueeze_(0) is None else self.layer(x[0])

    with pytest.raises(Invalid, match=r"'odd' changed its input number 1 in place"):
        check_sound(Resizing(), "odd", X.clone(), STEP)


def test_a_network_that_returns_no_numbers_is_invalid():
    class Dividing(Changing):
        def forward(self, x, step):
            return self.layer(x) / 0

    with pytest.raises(Invalid, match="'odd' returns NaN or infinity"):
        check_sound(Dividing(), "odd", X, STEP)


def test_a_network_without_parameters_is_invalid():
    with pytest.raises(Invalid, match="'nothing' has no parameters"):
        check_sound(nn.Identity(), "nothing", X)


def test_a_cost_that_depends_on_the_data_shows():
    inputs = random_inputs(8, (1, 4, 8, 8))
    assert len({flops for flops, _ in cost_of_inputs(Deciding(), inputs)}) > 1
    assert {nfe for _, nfe in cost_of_inputs(Deciding(), inputs)} == {0}


def test_an_adaptive_solver_is_known_as_such():
    networks = (build("backbone", "cunet", scale=0.125, solver=s) for s in ("dopri5", "rk4"))
    assert [is_adaptive(network) for network in networks] == [True, False]
    assert not is_adaptive(nn.Identity())


# -------------------------------------------------------------------------- training memory


def kept(steps, adjoint):
    torch.manual_seed(0)
    network = build("backbone", "cunet", image_size=16, scale=0.125, levels=2, attention=False)
    with_solver(network, steps=steps, adjoint=adjoint)
    return kept_for_training(network, torch.ones(1, 3, 16, 16), STEP)


def test_the_adjoint_keeps_the_same_for_any_number_of_steps():
    few, many = kept(1, adjoint=True), kept(4, adjoint=True)
    assert few == many
    assert few.peak_bytes > few.forward_bytes  # backwards, it holds one evaluation at a time


def test_without_it_memory_grows_in_proportion_to_the_steps():
    one, two, four = (kept(n, adjoint=False).peak_bytes for n in (1, 2, 4))
    assert four - two == 2 * (two - one) > 0
    assert one > kept(1, adjoint=True).peak_bytes


def test_what_autograd_keeps_is_counted_once_and_without_weights():
    layer = nn.Linear(4, 4)

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            y = self.layer(x)
            return y.exp() + y.sin()  # keeps exp(y), and y for both

    x = torch.ones(8, 4)
    found = kept_for_training(Twice(), x)
    block = 8 * 4 * 4
    assert found.forward_bytes == 3 * block  # y, exp(y), and the output for the square
    assert layer.weight.grad is None
    assert kept_for_training(Twice(), x) == found


def test_running_statistics_are_set_back():
    network = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
    kept_for_training(network, X + 1)
    assert network[1].running_mean.tolist() == [0.0] * 4
    assert network[1].num_batches_tracked == 0


def test_nothing_to_train_and_nothing_to_solve_are_errors():
    with pytest.raises(Invalid, match="no trained parameters"):
        kept_for_training(nn.Identity(), X)
    with pytest.raises(Invalid, match="no ODE solver"):
        with_solver(nn.Identity(), steps=1, adjoint=True)
