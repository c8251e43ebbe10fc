"""Three counters against closed forms of every architecture, and against the published integers.

Notation: P pixels of a level, C width, E width of the time embedding, D width of a head.
"""

from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from torch import nn

from bench.metrics.cost import fvcore_macs
from bench.metrics.cost.ledger import Books, keep_books
from bench.registry import build, names

RK4 = 4


@dataclass(frozen=True)
class Macs:
    """Multiply-adds by kind."""

    convolution: int = 0
    linear: int = 0
    product: int = 0

    def __add__(self, other: "Macs") -> "Macs":
        return Macs(
            self.convolution + other.convolution,
            self.linear + other.linear,
            self.product + other.product,
        )

    def __mul__(self, times: int) -> "Macs":
        return Macs(self.convolution * times, self.linear * times, self.product * times)


def conv(inside: int, outside: int, pixels: int, kernel: int = 1) -> Macs:
    return Macs(convolution=inside * outside * pixels * kernel**2)


def linear(inside: int, outside: int) -> Macs:
    return Macs(linear=inside * outside)


def width_of(full: int, scale: float, multiple: int = 1, least: int = 1) -> int:
    return max(least, multiple * round(full * scale / multiple))


def attention(width: int, pixels: int, scale: float, *, in_pixels: bool) -> Macs:
    """Four heads; the two products are quadratic in pixels, or in the head's width."""
    head = width_of(32, scale, least=8)
    product = 2 * 4 * head * pixels * (pixels if in_pixels else head)
    return conv(width, 12 * head, pixels) + conv(4 * head, width, pixels) + Macs(product=product)


# ------------------------------------------------------------------------------- the U-Nets


def unet_block(inside: int, outside: int, embed: int, pixels: int) -> Macs:
    shortcut = conv(inside, outside, pixels) if inside != outside else Macs()
    body = conv(inside, outside, pixels, 3) + conv(outside, outside, pixels, 3)
    return body + shortcut + linear(embed, 2 * outside)


def unet(channels: int, side: int, scale: float) -> Macs:
    base = width_of(64, scale, 4, 8)
    embed, pixels = 4 * base, side**2
    total = conv(channels, base, pixels, 7) + linear(base, embed) + linear(embed, embed)
    pairs = list(pairwise([base, base, 2 * base, 4 * base, 8 * base]))
    for level, (small, large) in enumerate(pairs):
        here, last = pixels // 4**level, level == 3
        attend = attention(small, here, scale, in_pixels=last)
        total += unet_block(small, small, embed, here) * 2 + attend
        total += conv(small, large, here, 3) if last else conv(4 * small, large, here // 4)
        # On the way up, level by level the mirror image.
        total += unet_block(small + large, large, embed, here) * 2
        total += attention(large, here, scale, in_pixels=last)
        total += conv(large, small, 4 * here if level else here, 3)
    middle, width = pixels // 64, 8 * base
    total += unet_block(width, width, embed, middle) * 2
    total += attention(width, middle, scale, in_pixels=True)
    return total + unet_block(2 * base, base, embed, pixels) + conv(base, channels, pixels)


def ho2020(channels: int, side: int, scale: float) -> Macs:
    base = width_of(128, scale, 4, 8)
    embed = 4 * base
    widths = [base, 2 * base, 2 * base, 2 * base]

    def stage(inside: int, outside: int, pixels: int, attend: bool | None = None) -> Macs:
        attend = pixels == 256 if attend is None else attend
        shortcut = conv(inside, outside, pixels) if inside != outside else Macs()
        block = conv(inside, outside, pixels, 3) + conv(outside, outside, pixels, 3)
        one = conv(outside, outside, pixels) * 4 + Macs(product=2 * outside * pixels**2)
        return block + shortcut + linear(embed, outside) + (one if attend else Macs())

    total = conv(channels, base, side**2, 3) + linear(base, embed) + linear(embed, embed)
    skips, inside = [base], base
    for level, width in enumerate(widths):
        pixels = (side >> level) ** 2
        for _ in range(2):
            total += stage(inside, width, pixels)
            skips.append(inside := width)
        if level < 3:
            total += conv(width, width, pixels // 4, 3)
            skips.append(width)
    bottom = (side >> 3) ** 2
    total += stage(inside, inside, bottom, True) + stage(inside, inside, bottom, False)
    for level in (3, 2, 1, 0):
        pixels = (side >> level) ** 2
        for _ in range(3):
            total += stage(inside + skips.pop(), widths[level], pixels)
            inside = widths[level]
        if level:
            total += conv(inside, inside, 4 * pixels, 3)
    return total + conv(base, channels, side**2, 3)


# ----------------------------------------------------------------- the continuous networks


def described_field(width: int, pixels: int, embed: int) -> Macs:
    return conv(width, width, pixels, 3) * 2 + conv(width, width // 2, pixels)


def described_plain_field(width: int, pixels: int, embed: int) -> Macs:
    convs = conv(width, width, pixels, 3) + conv(width, width, pixels)
    return convs + conv(width, width // 2, pixels)


def released_field(width: int, pixels: int, embed: int) -> Macs:
    return conv(width, width, pixels, 3) * 2


def released_plain_field(width: int, pixels: int, embed: int) -> Macs:
    return conv(width, width, pixels, 3) + conv(width, width, pixels)


@dataclass(frozen=True)
class Continuous:
    """What decides on the cost of a continuous network."""

    field: object
    attended: tuple[int, ...] = ()
    released: bool = False
    added_time: bool = False
    films: int = 0
    """Scales and shifts of a block, computed from the step once and not in every evaluation."""

    def levels(self, side: int, scale: float) -> list[tuple[int, int]]:
        base = width_of(32, scale, 4, 4)
        return [(base << n, (side >> n) ** 2) for n in (0, 1, 2, 3, 4, 3, 2, 1, 0)]

    def in_fields(self, side: int, scale: float) -> Macs:
        """One evaluation of every block's right-hand side."""
        embed = width_of(32, scale, least=16)
        return sum((self.field(c, p, embed) for c, p in self.levels(side, scale)), Macs())

    def outside_fields(self, channels: int, side: int, scale: float) -> Macs:
        levels = self.levels(side, scale)
        (base, pixels), embed = levels[0], width_of(32, scale, least=16)
        half = base // 2
        if self.released:
            total = conv(channels, half, pixels, 3) + conv(half, base, pixels)
        else:
            total = conv(channels, half, pixels, 3) * 2 + conv(half, half, pixels)
        if self.added_time:
            total += sum((linear(256, c) + linear(c, c) for c, _ in levels), Macs())
        elif not self.released:
            total += linear(256, embed) + linear(embed, embed)
            total += sum((linear(embed, 2 * c) for c, _ in levels), Macs()) * self.films
        for (wide, big), (narrow, small) in pairwise(levels):
            # Down: at the finer level, then halved. Up: doubled first, beside the skip.
            total += (
                conv(wide, narrow, big) if wide < narrow else conv(wide + narrow, narrow, small)
            )
        for stage in self.attended:
            total += attention(*levels[stage], scale, in_pixels=True)
        return total + conv(base, channels, pixels)

    def __call__(self, channels: int, side: int, scale: float) -> Macs:
        return self.in_fields(side, scale) * RK4 + self.outside_fields(channels, side, scale)


TWO, FIVE = (3, 5), (1, 3, 4, 5, 7)
DESCRIBED = Continuous(described_field, TWO, films=1)
FORMS = {
    "unet": unet,
    "unet-8.8m": lambda channels, side, scale: unet(channels, side, scale / 2),
    "unet-2.9g": lambda channels, side, scale: unet(channels, side, scale * 5 / 8),
    "unet-ho2020": ho2020,
    **dict.fromkeys(
        ("cunet", "cunet-no-skip", "cunet-softplus", "cunet-silu", "cunet-relu"), DESCRIBED
    ),
    "discrete-tied": DESCRIBED,
    "discrete-untied": Continuous(described_field, TWO, films=4),
    "cunet-no-attention": Continuous(described_field, films=1),
    "cunet-no-residual": Continuous(described_plain_field, TWO, added_time=True),
    "cunet-no-attention-no-residual": Continuous(described_plain_field, added_time=True),
    "cunet-released": Continuous(released_field, TWO, released=True),
    "cunet-released-a5": Continuous(released_field, FIVE, released=True),
    "cunet-released-a5-groupnorm": Continuous(released_field, FIVE, released=True),
    "cunet-released-no-attention": Continuous(released_field, released=True),
    "cunet-released-no-residual": Continuous(
        released_plain_field, TWO, released=True, added_time=True
    ),
    "cunet-released-no-attention-no-residual": Continuous(
        released_plain_field, released=True, added_time=True
    ),
}


def macs_of(books: Books) -> Macs:
    total = books.total
    return Macs(total.convolution, total.linear, total.product)


def inputs_of(side: int, channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(1, channels, side, side), torch.zeros(1)


def on_meta(name: str, side: int, scale: float, channels: int = 3) -> tuple[nn.Module, Books]:
    with torch.device("meta"):
        network = build("backbone", name, channels=channels, image_size=side, scale=scale).eval()
        return network, keep_books(network, *inputs_of(side, channels))


def test_every_registered_network_has_a_closed_form():
    assert set(FORMS) == set(names("backbone"))


def quick(*chosen):
    return [n if n in chosen else pytest.param(n, marks=pytest.mark.slow) for n in FORMS]


ALIKE = ("cunet-softplus", "cunet-silu", "cunet-relu", "discrete-tied", "cunet-no-skip")
"""Networks that differ from `cunet` in operators that cost nothing."""


@pytest.mark.parametrize("name", quick(*(n for n in FORMS if n not in ALIKE)))
def test_torch_and_the_layers_give_the_closed_form(name):
    _, books = on_meta(name, 32, 0.25)
    expected = FORMS[name](3, 32, 0.25)
    assert macs_of(books) == expected
    assert books.flops == 2 * books.total.macs
    assert books.unlisted == ()
    assert books.layers.forms["convolution"] == expected.convolution
    assert books.layers.forms["linear"] == expected.linear
    assert books.layers.counted == books.layers.forms


@pytest.mark.parametrize("name", quick("unet", "cunet-no-residual"))
def test_fvcore_gives_the_closed_form(name):
    network = build("backbone", name, image_size=32, scale=0.25).eval()
    traced = fvcore_macs(network, *inputs_of(32), checked=True)
    assert traced.unlisted == ()
    assert Macs(traced.convolution, traced.linear, traced.product) == FORMS[name](3, 32, 0.25)


@pytest.mark.parametrize("name", [name for name, form in FORMS.items() if form is not DESCRIBED])
@pytest.mark.slow
@pytest.mark.parametrize(("side", "scale", "channels"), [(64, 1.0, 1), (64, 0.5, 3), (128, 1.0, 3)])
def test_the_closed_form_holds_at_other_sizes(name, side, scale, channels):
    _, books = on_meta(name, side, scale, channels)
    assert macs_of(books) == FORMS[name](channels, side, scale)


def test_an_attention_at_another_resolution_is_found():
    _, books = on_meta("unet-ho2020", 64, 0.5)
    assert macs_of(books) == ho2020(3, 64, 0.5)


# ------------------------------------------------------------------- evaluations of fields


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cunet", "cunet-released-no-residual", "discrete-untied"])
def test_one_evaluation_times_nfe_plus_the_rest_is_the_total(name):
    network, books = on_meta(name, 32, 0.25)
    form = FORMS[name]
    once = 0
    for block, (width, pixels) in zip(network.blocks, form.levels(32, 0.25), strict=True):
        state = torch.zeros(1, width, round(pixels**0.5), round(pixels**0.5), device="meta")
        embedding = torch.zeros(1, network.time(torch.zeros(1, device="meta")).shape[1])
        condition = getattr(block.dynamics, "condition", lambda e: e)
        field = OneEvaluation(block.dynamics, condition(embedding.to("meta")))
        once += keep_books(field, state).total.macs
    rest = form.outside_fields(3, 32, 0.25)
    assert once == sum(vars(form.in_fields(32, 0.25)).values())
    assert books.nfe == 9 * RK4
    assert books.total.macs == once * RK4 + sum(vars(rest).values())
    assert books.total.in_fields == once * RK4


class OneEvaluation(nn.Module):
    """The right-hand side of one block at s = 0, given what is computed once in a solve."""

    def __init__(self, field, given):
        super().__init__()
        self.field, self.given = field, given

    def forward(self, y):
        return self.field(0.0, y, self.given)


@pytest.mark.parametrize(("solver", "steps", "path"), [("euler", 3, "own"), ("midpoint", 2, "own"),
                                                       ("rk4", 2, "torchdiffeq")])  # fmt: skip
def test_other_solvers_cost_their_evaluations(solver, steps, path):
    network = build(
        "backbone", "cunet", image_size=16, scale=0.125, solver=solver, solver_steps=steps,
        solver_path=path,
    ).eval()  # fmt: skip
    books = keep_books(network, *inputs_of(16))
    per_block = {"euler": 1, "midpoint": 2, "rk4": 4}[solver] * steps
    once, rest = DESCRIBED.in_fields(16, 0.125), DESCRIBED.outside_fields(3, 16, 0.125)
    assert books.nfe == 9 * per_block == network.trace(*inputs_of(16)).nfe
    assert macs_of(books) == once * per_block + rest


def test_adaptive_solvers_are_counted_evaluation_by_evaluation():
    network = build("backbone", "cunet", image_size=16, scale=0.125, solver="dopri5", tolerance=0.1)
    network.eval()
    books = keep_books(network, *inputs_of(16))
    embed = width_of(32, 0.125, least=16)
    expected = DESCRIBED.outside_fields(3, 16, 0.125)
    calls = {part.name: account.evaluations for part, account in books.accounts.items()}
    for n, (width, pixels) in enumerate(DESCRIBED.levels(16, 0.125)):
        expected += described_field(width, pixels, embed) * calls[f"blocks.{n}"]
    assert macs_of(books) == expected
    assert books.nfe == network.trace(*inputs_of(16)).nfe > 9 * 4
    assert books.unlisted == ()


@pytest.mark.slow
def test_tracing_drops_an_evaluation_that_nobody_uses():
    network = build("backbone", "cunet", image_size=16, scale=0.125, solver="dopri5", tolerance=0.1)
    books = keep_books(network, *inputs_of(16))
    traced = fvcore_macs(network, *inputs_of(16), checked=True)
    assert traced.convolution < books.total.convolution
