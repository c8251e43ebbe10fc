"""The tasks that count and time networks, and what they say to networks that cannot be measured."""

import functools
import gc
import math

import pytest
import torch
from tasks_place import Place
from torch import nn

from bench import canonical
from bench.api import ENTRIES, Cell, Entry, Invalid, Kind, Skip

SIZE = {"channels": 3, "image_size": 16}
TIMED = {**SIZE, "batch": 1, "threads": 1, "repeats": 6, "warmup": 1, "most_s": 0.0}
CUNET = {"name": "cunet", "scale": 0.125, "levels": 2}
UNET = {"name": "unet", "scale": 0.125}
PLAIN = {"name": "plain", "scale": 1.0}


class Empty(nn.Module):
    def forward(self, x_t, step):
        return x_t.clone()


@pytest.fixture
def measure(place: Place, request):
    """Measure a cell and return its rows, which must be values that a record can hold."""

    def rows(task: str, spec: dict, device: str = "cpu"):
        cell = Cell(task, spec)
        context = place.context(cell, f"{request.node.name}-{task}")
        context.device = device
        outcome = ENTRIES[Kind.TASK, task].build(cell, context)
        return canonical.loads(canonical.dumps(list(outcome.rows)).encode())

    from bench import registry

    registry.discover(Kind.TASK)
    return rows


class Odd(nn.Module):
    """A stranger's network; what is odd about it is a function."""

    def __init__(self, act, channels=3, image_size=64, scale=1.0):
        super().__init__()
        self.layer = nn.Conv2d(channels, channels, 3, padding=1)
        self.act = act

    def forward(self, x_t, step):
        return self.act(self, x_t)


def sized(module, x):
    """Take what can be halved four times and is not too small."""
    return module.layer(x.view(-1, 3, x.shape[2] // 24, 24, x.shape[3] // 24, 24).view(x.shape))


def deciding(module, x):
    for _ in range(1 + int(x.mean().item() * 1e4) % 4):
        x = module.layer(x)
    return x


ACTS = {
    "plain": lambda m, x: m.layer(x),
    "changing": lambda m, x: m.layer(x.mul_(2)),
    "growing": lambda m, x: m.layer(x).repeat(1, 1, 2, 2),
    "flat": lambda m, x: m.layer(x).flatten(),
    "failing": lambda m, x: m.layer(x[:, :1]),
    "bessel": lambda m, x: m.layer(torch.special.bessel_j0(x)),
    "dead": lambda m, x: (m.layer(x), m.layer(x))[1],
    "sized": sized,
    "deciding": deciding,
}


def _unbuildable(channels, image_size):
    raise ValueError("no")


@pytest.fixture(autouse=True)
def strangers(monkeypatch):
    monkeypatch.setattr(gc, "collect", lambda: 0)  # takes longer than most of what is timed here
    for name, act in ACTS.items():
        build = functools.partial(Odd, act)
        entry = Entry(Kind.BACKBONE, name, build, "test")
        monkeypatch.setitem(ENTRIES, (Kind.BACKBONE, name), entry)
    monkeypatch.setitem(
        ENTRIES,
        (Kind.BACKBONE, "unbuildable"),
        Entry(Kind.BACKBONE, "unbuildable", _unbuildable, "test"),
    )
    empty = Entry(Kind.BACKBONE, "empty", lambda channels, image_size: Empty(), "test")
    monkeypatch.setitem(ENTRIES, (Kind.BACKBONE, "empty"), empty)


def cost_of(measure, name, **more):
    return measure("cost", {"backbone": {"name": name, **more}, **SIZE})[0]


# ------------------------------------------------------------------------------------- cost


def test_the_kinds_add_up_and_the_counters_agree(measure):
    row = cost_of(measure, **CUNET)
    kinds = ("convolution", "linear", "product")
    for who, rest in (("torch", 0), ("fvcore", row["gmacs_fvcore_rest"])):
        parts = sum(row[f"gmacs_{who}_{kind}"] for kind in kinds)
        assert parts + rest == pytest.approx(row[f"gmacs_{who}"])
    assert row["gflops_torch"] == pytest.approx(2 * row["gmacs_torch"])
    assert (row["counters_agree"], row["counters_gap"]) == (True, 0)
    assert (row["nfe"], row["adaptive"]) == (12, False)
    outside, inside = row["gmacs_torch_outside_fields"], row["gmacs_torch_in_fields"]
    assert outside + inside == pytest.approx(row["gmacs_torch"])
    assert row["parameters"] == row["trained_parameters"] + row["frozen_parameters"]


def test_a_strangers_network_is_counted_by_its_layers(measure):
    row = cost_of(measure, "plain")
    macs = 3 * 3 * 9 * 256
    for column in ("gmacs_torch", "gmacs_fvcore", "gmacs_authors", "gmacs_layers_convolution"):
        assert row[column] == macs / 1e9
    assert row["nfe"] == 0


def test_work_that_nobody_uses_shows_as_a_gap(measure):
    row = cost_of(measure, "dead")
    assert row["gmacs_torch"] == 2 * row["gmacs_fvcore"]
    assert row["counters_agree"] is False


def test_an_adaptive_solver_has_a_distribution_of_evaluations(measure):
    row = cost_of(measure, **CUNET, solver="dopri5", tolerance=0.1)
    assert (row["nfe"], row["adaptive"], row["gmacs_fvcore"]) == (None, True, None)
    assert len(row["nfe_of_inputs"]) == len(row["gmacs_torch_of_inputs"]) == 8
    assert min(row["nfe_of_inputs"]) > 12
    assert row["nfe_quartiles"] == sorted(row["nfe_quartiles"])
    assert row["gmacs_torch"] in row["gmacs_torch_of_inputs"]


def test_a_cost_that_depends_on_the_data_is_a_distribution(measure):
    row = cost_of(measure, "deciding")
    assert (row["adaptive"], row["nfe"]) == (True, 0)
    assert len(set(row["gmacs_torch_of_inputs"])) > 1
    assert row["gmacs_torch"] == sorted(row["gmacs_torch_of_inputs"])[5]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty", "'empty' has no parameters"),
        ("changing", "'changing' changed its input number 1 in place"),
        ("growing", r"Odd returned \[1, 3, 32, 32\] for an input of \[1, 3, 16, 16\]"),
        ("flat", r"Odd returned \[768\]"),
        ("unbuildable", r"'unbuildable' cannot be built for images of 16x16: ValueError: no"),
        ("failing", r"Odd failed on inputs \[1, 3, 16, 16\], \[1\]: RuntimeError"),
        ("bessel", "'bessel' runs operators that no counter knows: aten::special_bessel_j0"),
    ],
)
def test_a_broken_network_is_invalid_and_named(measure, name, words):
    with pytest.raises(Invalid, match=words):
        cost_of(measure, name)


@pytest.mark.parametrize(
    ("task", "name", "size", "smallest"),
    [("cost", "cunet", 12, 16), ("cost", "sized", 32, 24), ("latency", "sized", 32, 24)],
)
def test_the_smallest_image_that_a_network_takes_is_named(measure, task, name, size, smallest):
    network = {"name": name, "scale": 0.125}
    several = [network] if task == "latency" else network
    spec = {**TIMED, "backbone": several, "image_size": size}
    words = f"'{name}' cannot take images of {size}x{size}; the smallest that it can are {smallest}"
    with pytest.raises(Skip, match=words):
        measure(task, spec)


def test_another_mistake_is_not_taken_for_a_wrong_size(measure):
    with pytest.raises(Invalid, match="parameter of backbone 'cunet' named 'depth'"):
        cost_of(measure, "cunet", depth=3)


# ------------------------------------------------------------------------- books and memory


def test_the_books_close(measure):
    rows = measure("books", {"backbone": {**CUNET}, **SIZE})
    *blocks, whole = rows
    assert {row["part"] for row in blocks} == {"block"}
    assert (whole["part"], whole["macs_torch"]) == ("whole", whole["macs_by_torch_alone"])
    assert {"blocks.0", "blocks.2", "transitions.1", "head", "functional"} <= {
        row["block"] for row in blocks
    }
    numbers = [name for name, value in whole.items() if isinstance(value, int)]
    assert {"macs_authors", "bytes_moved", "activation_bytes", "parameters"} <= set(numbers)
    for name in set(numbers) - {"macs_by_torch_alone"}:
        assert sum(row[name] for row in blocks) == whole[name], name


def test_training_memory_is_flat_with_the_adjoint_only(measure):
    spec = {"backbone": CUNET, **SIZE, "batch": 1, "solver_steps": [1, 2, 4]}
    rows = measure("training_memory", spec)
    found = {(row["adjoint"], row["solver_steps"]): row for row in rows}
    assert [found[True, n]["nfe"] for n in (1, 2, 4)] == [12, 24, 48]
    with_it, without = ([found[a, n]["saved_mib"] for n in (1, 2, 4)] for a in (True, False))
    assert len(set(with_it)) == 1
    assert without[2] - without[1] == pytest.approx(2 * (without[1] - without[0]))
    assert with_it[0] < without[0]


def test_training_memory_needs_an_ode(measure):
    with pytest.raises(Skip, match="'unet' solves no ODE"):
        measure("training_memory", {"backbone": UNET, **SIZE, "batch": 1, "solver_steps": [1]})


# ----------------------------------------------------------------------------------- timing


def test_latencies_come_with_ratios_and_audits(measure):
    rows = measure("latency", {"backbone": [UNET, CUNET], **TIMED})
    assert [row["backbone"] for row in rows] == ["unet", "cunet"]
    unet, cunet = rows
    for row in rows:
        assert row["rounds"] == row["repeats"] == len(row["samples_s"]) == 6
        assert row["latency_q1_s"] <= row["latency_s"] <= row["latency_q3_s"]
        assert row["audit_output_error"] == 0
        assert row["noisy"] == bool(row["noisy_reason"])
        assert (row["threads"], row["device"], row["ratio_to"]) == (1, "cpu", "unet")
        assert (row["fault"], row["tf32"], row["batch_capped"]) == ("", False, False)
        assert row["peak_memory_mib"] > row["peak_rss_rise_mib"] >= 0
        assert row["gmacs_torch"] > 0 and row["bytes_moved"] > 0
        assert row["cuda_allocated_mib"] is None
    assert (unet["ratio"], unet["ratio_low"], unet["ratio_high"]) == (1, 1, 1)
    assert cunet["ratio_low"] <= cunet["ratio"] <= cunet["ratio_high"]
    assert (unet["nfe"], unet["latency_per_evaluation_s"]) == (0, None)
    assert cunet["latency_per_evaluation_s"] == pytest.approx(cunet["latency_s"] / 12)


@pytest.mark.slow
def test_the_multiply_adds_beside_a_latency_are_those_of_its_batch(measure):
    one, four = (
        measure("latency", {"backbone": [PLAIN], **TIMED, "batch": n, "repeats": 2})[0]
        for n in (1, 4)
    )
    assert four["gmacs_torch"] == pytest.approx(4 * one["gmacs_torch"])
    assert (four["batch"], four["ratio_high"]) == (4, 1.0)


def test_whether_inputs_are_remembered_need_not_be_asked_twice(measure):
    (row,) = measure(
        "latency", {"backbone": [PLAIN], **TIMED, "repeats": 2, "repeat_inputs": False}
    )
    assert row["audit_repeated_ratio"] is None
    assert row["audit_output_error"] == 0 and row["audit_passed"]


def test_the_largest_batch_is_a_matter_of_the_gpu(measure):
    with pytest.raises(Skip, match="on CUDA only"):
        measure("latency", {"backbone": [PLAIN], **TIMED, "batch": "largest"})


@pytest.mark.slow
def test_too_few_rounds_leave_a_ratio_open(measure):
    other = {**PLAIN, "name": "dead"}
    spec = {"backbone": [PLAIN, other], **TIMED, "repeats": 2}
    row = measure("latency", spec)[1]
    assert (row["ratio_low"], row["ratio_high"], row["noisy"]) == (0, None, True)
    assert "95 % interval of the ratio" in row["noisy_reason"]


def test_the_times_of_parts_add_up(measure):
    rows = measure("block_times", {"backbone": [UNET, CUNET], **TIMED, "repeats": 3})
    for name in ("unet", "cunet"):
        times = {row["block"]: row["time_s"] for row in rows if row["backbone"] == name}
        whole = times.pop("whole")
        assert math.fsum(times.values()) == pytest.approx(whole)
        assert {"unexplained", "head"} < set(times)
        assert min(times.values()) > 0


def test_the_roofline_has_ceilings_for_work_and_for_copies(measure, monkeypatch):
    monkeypatch.setattr("bench.metrics.roofline.LEAST_S", 0.0)
    monkeypatch.setattr("bench.metrics.roofline.CONV_WIDTH", 8)  # bfloat16 may be emulated
    monkeypatch.setattr("bench.metrics.roofline.COPIED_BYTES", {"cpu": 2**20})
    rows = {r["ceiling"]: r for r in measure("roofline", {"threads": 1, "repeats": 2})}
    assert len(rows) == 6
    assert rows["matmul-float32"]["gmacs_per_s"] > 0
    assert rows["copy-bfloat16"]["gmacs_per_s"] is None
    assert rows["copy-bfloat16"]["gb_per_s"] > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("task", ["latency", "block_times", "roofline"])
def test_cuda_where_there_is_none_is_skipped(measure, task):
    with pytest.raises(Skip, match="no CUDA device on this machine"):
        measure(task, {"backbone": [CUNET], **TIMED}, device="cuda")
