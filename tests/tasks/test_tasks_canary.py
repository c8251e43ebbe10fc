"""Canaries: their pins come from other implementations, and a broken instrument is noticed."""

import dataclasses
import math
import time
from decimal import Decimal, localcontext
from types import SimpleNamespace

import pytest
import torch

from bench import registry
from bench.api import Kind
from bench.budget import load_budget
from bench.canaries import clocks, counts, images, processes, sets
from bench.canaries.canary import Canary
from bench.experiments import cells
from bench.plan import ALL, make_plan, study_for
from bench.tasks.canary import canary as task

COLUMNS = {"canary", "expected", "measured", "tolerance", "passed", "basis", "fault"}
CONTEXT = SimpleNamespace(build=lambda kind, spec: registry.build(kind, spec["name"]), device="cpu")


@pytest.fixture(scope="module")
def study():
    return study_for(load_budget("smoke"))


@pytest.fixture(scope="module")
def made(study):
    """The quality and the timing cell."""
    return list(cells.canaries(study, timing=True))


def measured(cell):
    rows = task(cell, CONTEXT).rows
    return {row["canary"]: row for row in rows}, rows


# --------------------------------------------------------------------------- as a whole


def test_every_known_answer_is_found_quickly(made):
    measured(made[0])  # imports and caches
    start = time.perf_counter()
    found, rows = measured(made[0])
    assert time.perf_counter() - start < 2
    assert len(found) == len(rows) >= 20, "names are unique"
    for row in rows:
        assert set(row) == COLUMNS
        assert row["passed"] is True, row
        assert row["basis"] and not row["fault"]


def test_two_measurements_agree_to_the_last_bit(made):
    assert measured(made[0])[1] == measured(made[0])[1]


def test_every_experiment_that_times_tests_its_stopwatch(study):
    for name in ALL:
        planned = [p.cell for p in make_plan(study, [name])]
        known = {
            cell.spec["canaries"]["name"]: cell.timing for cell in planned if cell.task == "canary"
        }
        times = any(cell.timing and cell.task != "canary" for cell in planned)
        assert known == ({"quality": False, "timing": True} if times else {"quality": False})
        assert planned[0].task == "canary", "measured before anything is believed"


def test_all_experiments_share_their_canaries(study):
    assert sum(p.cell.task == "canary" for p in make_plan(study, ALL)) == 2


def test_the_key_depends_on_the_solvers_code(study, made):
    from bench.deciding import plugins

    names = {(kind, spec["name"]) for kind, spec in plugins(made[0].spec)}
    assert {(Kind.SOLVER, "rk4"), (Kind.SCHEDULE, "cosine")} <= names


# --------------------------------------------------------------------------- one canary


@pytest.mark.parametrize(
    ("expected", "tolerance", "value", "passes"),
    [
        (1.0, 0.1, 1.0999, True),
        (1.0, 0.1, 1.1001, False),
        (0.0, 0.0, 0.0, True),
        (0.0, 0.0, 1e-300, False),
        (1.0, 0.1, math.nan, False),
        (1.0, 0.1, math.inf, False),
        ("abc", 0.0, "abc", True),
        ("abc", 0.0, "abd", False),
        (1.0, 0.1, "1.0", False),
    ],
)
def test_a_canary_passes_within_its_tolerance(expected, tolerance, value, passes):
    row = Canary("x", expected, tolerance, lambda: value, "made up").row()
    assert row["passed"] is passes
    if isinstance(value, float) and not math.isfinite(value):
        assert row["measured"] is None and row["fault"] == f"it measured {value}"


def test_a_canary_that_raises_has_not_passed_and_says_why():
    row = Canary("x", 1.0, 0.1, lambda: 1 / 0, "made up").row()
    assert row["passed"] is False and row["fault"] == "ZeroDivisionError: division by zero"


# --------------------------------------------------------------------------- the pins


def test_the_pair_is_in_range_and_its_ssim_is_that_of_scikit_image():
    peer = pytest.importorskip("skimage.metrics").structural_similarity
    first, second = images.pair()
    assert 0 <= min(first.min(), second.min()) and max(first.max(), second.max()) <= 1
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    found = peer(first[0].numpy(), second[0].numpy(), data_range=1.0, channel_axis=0, **options)
    assert pytest.approx(found, abs=1e-12) == images.SSIM_OF_PAIR


def test_the_pairs_lpips_is_that_of_the_lpips_distribution():
    from bench.metrics import alexnet
    from bench.torchvision_compat import import_torchvision

    import_torchvision()
    pytest.importorskip("lpips")
    import lpips

    peer = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    for name, tensor in peer.net.state_dict().items():
        _, number, kind = name.split(".")
        tensor.copy_(alexnet.weights()[f"features.{number}.{kind}"])
    with torch.no_grad():
        found = float(peer(*(image.float() for image in images.pair()), normalize=True))
    assert pytest.approx(found, abs=1e-6) == images.LPIPS_OF_PAIR


def test_the_noise_is_pinned_far_from_where_rounding_decides():
    scaled = counts.fixed_noise().double() * counts.GRID
    margin = float((scaled - scaled.floor() - 0.5).abs().min()) / counts.GRID
    assert margin > 10 * float(counts.fixed_noise().abs().max()) * torch.finfo(torch.float32).eps
    changed = counts.fixed_noise()
    changed[2, 0, 3, 4] += 2 / counts.GRID
    assert counts.noise_sha(changed) != counts.NOISE == counts.noise_sha(counts.fixed_noise())


def test_the_linear_schedules_end_in_forty_digits():
    with localcontext() as context:
        context.prec = 40
        left = Decimal(1)
        for i in range(1000):
            left *= 1 - (Decimal("1e-4") + Decimal("0.0199") * i / 999)
        sigma = (1 / left - 1).sqrt() / 2
    assert pytest.approx(float(sigma), rel=1e-15) == processes.SIGMA_AT_THE_END["linear"]


def test_the_other_schedules_end_in_forty_digits():
    """Their last beta is cut at 0.999, so 1/1000 of level 999 is left."""
    mp = pytest.importorskip("mpmath").mp.clone()
    mp.dps = 40
    share = mp.mpf(999) / 1000

    def cosine(u):
        return mp.cos((u + mp.mpf("0.008")) / mp.mpf("1.008") * mp.pi / 2) ** 2

    def logistic(u):
        return 1 / (1 + mp.exp(-u))

    left = {
        "cosine": cosine(share) / cosine(0) / 1000,
        "sigmoid": (logistic(3) - logistic(6 * share - 3)) / (logistic(3) - logistic(-3)) / 1000,
    }
    for name, alpha_bar in left.items():
        sigma = float(mp.sqrt(1 / alpha_bar - 1) / 2)
        assert pytest.approx(sigma, rel=1e-15) == processes.SIGMA_AT_THE_END[name]


# --------------------------------------------------------------------------- broken instruments


def broken(canaries):
    return {row["canary"] for row in (one.row() for one in canaries) if not row["passed"]}


def test_a_wrong_window_a_wrong_range_and_changed_weights_are_noticed(monkeypatch):
    real = images.ssim
    monkeypatch.setattr(images, "ssim", lambda x, y: real(x.sqrt(), y.sqrt()))
    monkeypatch.setattr(images, "psnr", lambda x, y: 20 * (x - y).abs().mean().log10())
    forward = images.LPIPS.forward
    monkeypatch.setattr(images.LPIPS, "forward", lambda net, x, y: 1.001 * forward(net, x, y))
    names = {"ssim-of-a-pair", "psnr-of-a-wave", "lpips-of-a-pair"}
    assert broken(images.image_canaries()) == names


def test_a_distance_of_population_covariances_is_noticed(monkeypatch):
    real = sets.Statistics.of

    def population(features):
        made = real(features)
        return dataclasses.replace(made, root=made.root * (1 - 1 / made.count) ** 0.5)

    monkeypatch.setattr(sets.Statistics, "of", population)
    assert broken(sets.set_canaries()) == {"frechet-of-samples"}


def test_a_biased_kernel_distance_is_noticed(monkeypatch):
    real = sets.kid

    def biased(a, b):
        return dataclasses.replace(real(a, b), value=real(a, b).value + 0.2)

    monkeypatch.setattr(sets, "kid", biased)
    assert broken(sets.set_canaries()) == {"kid-of-equal-distributions"}


def test_a_counter_that_takes_flops_for_macs_is_noticed(monkeypatch):
    real = counts.torch_flops
    monkeypatch.setattr(counts, "torch_flops", lambda *given: real(*given) // 2)
    assert broken(counts.count_canaries()) == {"macs-by-torch"}


def test_another_random_generator_is_noticed(monkeypatch):
    class Other(counts.ImageNoise):
        def __init__(self, *parts, images):
            super().__init__(*parts, "other", images=images)

    monkeypatch.setattr(counts, "ImageNoise", Other)
    assert broken(counts.noise_canaries()) == {"noise-stream"}


@pytest.mark.parametrize("name", cells.TESTED["solver"])
def test_a_solver_with_a_wrong_weight_is_noticed(name):
    scheme = registry.build(Kind.SOLVER, name)
    assert broken(processes.solver_canaries(name, scheme)) == set()
    wrong = dataclasses.replace(scheme, weights=(*scheme.weights[:-1], scheme.weights[-1] + 1e-9))
    assert f"{name}-decay" in broken(processes.solver_canaries(name, wrong))
    lower = SimpleNamespace(order=scheme.order + 1, step=scheme.step)
    assert f"{name}-order" in broken(processes.solver_canaries(name, lower))


@pytest.mark.parametrize("name", cells.TESTED["schedule"])
def test_a_schedule_that_ends_one_step_early_is_noticed(name):
    schedule = registry.build(Kind.SCHEDULE, name)
    late = SimpleNamespace(level=lambda t: schedule.level(t - 1))
    assert processes.schedule_canary(name, schedule).row()["passed"]
    assert not processes.schedule_canary(name, late).row()["passed"]


# --------------------------------------------------------------------------- the stopwatch


def test_the_stopwatch_is_right_and_quickly_tested(made):
    start = time.process_time()  # a busy machine's wall clock tells of the others
    found, _ = measured(made[1])
    assert time.process_time() - start < 5  # about 1 s; 1.3 s of wall clock on an idle machine
    assert set(found) == {"sleep-50-ms", "twice-the-work", "clock-backwards"}
    assert found["sleep-50-ms"]["measured"] >= 0.05
    assert found["clock-backwards"]["passed"]
    assert 1 < found["twice-the-work"]["measured"] < 4, "even on a busy machine"


@pytest.mark.slow
def test_a_stopwatch_that_is_off_is_noticed(monkeypatch):
    real = clocks.measure_latency

    def squared(calls, **settings):
        timings = real(calls, **settings)
        return {
            name: dataclasses.replace(
                timing,
                median_s=timing.median_s * 1.3,
                samples=tuple(sample**1.5 for sample in timing.samples),
            )
            for name, timing in timings.items()
        }

    monkeypatch.setattr(clocks, "measure_latency", squared)
    monkeypatch.setattr(clocks.time, "perf_counter_ns", iter(range(10**9, 0, -1)).__next__)
    real_clock = {"clock": time.monotonic_ns}
    monkeypatch.setattr(
        clocks,
        "measure_latency",
        lambda calls, **settings: squared(calls, **settings, **real_clock),
    )
    names = {"sleep-50-ms", "twice-the-work", "clock-backwards"}
    assert broken(clocks.clock_canaries()) == names
