"""A schedule played through, against closed forms, Graham's bounds and the best schedule."""

import itertools
import math
import statistics
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api import BenchError
from bench.forecast import simulation
from bench.forecast.cluster import Cluster, Job, least_wall, longest_chain
from bench.forecast.schedule import makespan
from bench.forecast.simulation import simulate


@st.composite
def graphs(draw, most=12, alone=False):
    """Jobs, each using some of those before it."""
    jobs = []
    for i in range(draw(st.integers(1, most))):
        quality = [job.key for job in jobs if not job.alone]
        timing = alone and draw(st.booleans())
        uses = draw(st.lists(st.sampled_from(quality), max_size=2, unique=True)) if quality else []
        seconds = draw(st.integers(0, 40)) / 4  # whose sums are exact
        jobs.append(Job(str(i), seconds, tuple(uses), alone=timing))
    return jobs


@given(graphs(), st.integers(1, 4))
def test_it_lies_between_the_lower_bound_and_grahams(jobs, workers):
    cluster = Cluster(workers)
    wall = simulate(jobs, cluster).wall_s
    work, (chain, _) = sum(job.seconds for job in jobs), longest_chain(jobs, cluster)
    assert least_wall(jobs, cluster) <= wall <= work / workers + (1 - 1 / workers) * chain


@given(graphs(alone=True), st.integers(1, 4))
def test_on_one_node_without_failures_it_is_the_makespan(jobs, workers):
    cells = [
        SimpleNamespace(key=job.key, uses=job.uses, cell=SimpleNamespace(timing=job.alone))
        for job in jobs
    ]
    seconds = {job.key: job.seconds for job in jobs}
    assert simulate(jobs, Cluster(workers)).wall_s == makespan(cells, seconds, workers)


def best_of_all_schedules(jobs, workers):
    """Return the least makespan over all orders in which a list scheduler may take the jobs.

    Some list schedule is optimal where every job is ready at once.
    """
    walls = []
    for order in itertools.permutations(job.seconds for job in jobs):
        free = [0.0] * workers
        for seconds in order:
            free[free.index(min(free))] += seconds
        walls.append(max(free))
    return min(walls)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(1, 3))
def test_it_is_within_grahams_ratio_of_the_optimum_by_brute_force(seconds, workers):
    jobs = [Job(str(i), float(one)) for i, one in enumerate(seconds)]
    best = best_of_all_schedules(jobs, workers)
    wall = simulate(jobs, Cluster(workers)).wall_s
    assert least_wall(jobs, Cluster(workers)) <= best <= wall <= (2 - 1 / workers) * best


def test_grahams_worst_case_is_reached():
    """m (m - 1) short jobs before one of length m: (2 - 1/m) times the optimum, m."""
    m = 5
    jobs = [Job(str(i), 1.0) for i in range(m * (m - 1))] + [Job("long", float(m))]
    assert simulate(jobs, Cluster(m)).wall_s == 2 * m - 1


@pytest.mark.parametrize(("count", "workers"), [(12, 4), (13, 4), (1, 8), (7, 1)])
def test_equal_independent_cells_take_whole_rounds(count, workers):
    jobs = [Job(str(i), 3.0) for i in range(count)]
    played = simulate(jobs, Cluster(workers, overhead_s=0.5))
    assert played.wall_s == 3.5 * math.ceil(count / workers)
    assert played.work_s == 3.5 * count
    assert played.busy(workers) == count / (workers * math.ceil(count / workers))


def test_a_chain_gains_nothing_from_workers_and_shards_cut_it():
    jobs = [Job("a", 8.0, parts=4), Job("b", 2.0, ("a",)), Job("c", 6.0, ("b",), parts=100)]
    assert simulate(jobs, Cluster(64)).wall_s == 16.0
    assert longest_chain(jobs, Cluster(64)) == (16.0, ["a", "b", "c"])
    cut = Cluster(64, shards=8)
    assert simulate(jobs, cut).wall_s == longest_chain(jobs, cut)[0] == 8 / 4 + 2 + 6 / 8
    few = Cluster(2, shards=8)
    assert simulate(jobs, few).wall_s == 4 + 2 + 3


def test_overhead_is_of_every_piece():
    job = Job("a", 8.0, parts=8)
    assert simulate([job], Cluster(8, shards=8, overhead_s=1.0)).wall_s == 2.0
    assert simulate([job], Cluster(2, shards=8, overhead_s=1.0)).wall_s == 5.0  # two pieces
    assert simulate([job], Cluster(1, shards=8, overhead_s=1.0)).wall_s == 9.0


def test_a_worker_starts_once():
    jobs = [Job(str(i), 1.0) for i in range(6)]
    assert simulate(jobs, Cluster(2, start_s=4.0)).wall_s == 4 + 3
    assert simulate([*jobs, Job("t", 2.0, alone=True)], Cluster(2, start_s=4.0)).wall_s == 4 + 3 + 2


def test_a_timing_has_a_node_to_itself_after_all_others():
    jobs = [Job("a", 5.0), Job("b", 3.0), *(Job(f"t{i}", 2.0, alone=True) for i in range(3))]
    played = simulate(jobs, Cluster(4, per_node=2))
    assert played.together_s == 5.0
    assert played.wall_s == 5 + 4  # two nodes, three timings
    assert min(played.ends[f"t{i}"] for i in range(3)) == 7.0
    with pytest.raises(ValueError, match="uses a timing"):
        simulate([jobs[2], Job("c", 1.0, ("t0",))], Cluster(2))


def test_a_wide_cell_takes_workers_of_one_node_and_lets_narrow_ones_pass():
    jobs = [Job("n", 4.0), Job("w", 8.0, width=4), Job("m", 1.0)]
    played = simulate(jobs, Cluster(4))
    assert played.ends == {"n": 4.0, "m": 1.0, "w": 6.0}
    assert simulate(jobs, Cluster(8, per_node=4)).ends == {"n": 4.0, "m": 1.0, "w": 2.0}
    assert simulate(jobs, Cluster(4, per_node=2)).ends == {"n": 4.0, "m": 1.0, "w": 4.0}


@pytest.mark.parametrize("rate", [0.2, 1.0, 2.0])
def test_failures_inflate_a_cell_without_checkpoints_as_the_closed_form_says(rate):
    """Expected time (e^(rate T) - 1) / rate; a 4-sigma Monte-Carlo test."""
    hours, repeats = 1.5, 3000
    walls = [
        simulate([Job("a", hours * 3600)], Cluster(1, failures_per_hour=rate, seed=seed)).wall_s
        for seed in range(repeats)
    ]
    mean, spread = statistics.fmean(walls) / 3600, statistics.stdev(walls) / 3600
    assert abs(mean - math.expm1(rate * hours) / rate) < 4 * spread / math.sqrt(repeats)


def test_what_is_kept_is_not_lost():
    """Kept every h: T / h independent stretches of (e^(rate h) - 1) / rate each."""
    hours, rate, every, repeats = 4.0, 1.0, 0.25, 1000
    about = {"failures_per_hour": rate, "kept_every_s": every * 3600}
    played = [
        simulate([Job("a", hours * 3600)], Cluster(1, seed=seed, **about))
        for seed in range(repeats)
    ]
    walls = [one.wall_s / 3600 for one in played]
    expected = hours / every * math.expm1(rate * every) / rate
    error = statistics.stdev(walls) / math.sqrt(repeats)
    assert abs(statistics.fmean(walls) - expected) < 4 * error
    for one in played:
        assert one.wall_s == pytest.approx(one.work_s + one.lost_s)


def test_a_failing_node_takes_only_what_ran_there_with_it():
    jobs = [Job(str(i), 7200.0) for i in range(16)]
    played = simulate(jobs, Cluster(16, per_node=4, failures_per_hour=0.3, seed=3))
    assert played.failures > 0
    late = [key for key, end in played.ends.items() if end > 7200]
    assert late and len(late) % 4 == 0 and len(late) < 16
    again = simulate(jobs, Cluster(16, per_node=4, failures_per_hour=0.3, seed=3))
    other = simulate(jobs, Cluster(16, per_node=4, failures_per_hour=0.3, seed=4))
    assert played == again != other


@given(graphs(alone=True), st.integers(1, 4), st.integers(0, 99))
def test_failures_lose_no_cell_and_never_beat_the_bound(jobs, workers, seed):
    cluster = Cluster(workers, per_node=2, failures_per_hour=60.0, kept_every_s=1.0, seed=seed)
    played = simulate(jobs, cluster)
    assert played.ends.keys() == {job.key for job in jobs}
    assert played.wall_s >= least_wall(jobs, cluster) - 1e-9
    ends = played.ends
    for job in jobs:
        for used in job.uses:
            assert ends[job.key] >= ends[used] + job.seconds - 1e-9


def test_a_run_that_never_ends_is_refused_in_words(monkeypatch):
    monkeypatch.setattr(simulation, "MOST_FAILURES", 500)
    with pytest.raises(BenchError, match=r"the run does not end: 501 pieces .*--kept"):
        simulate([Job("a", 3600.0 * 50)], Cluster(1, failures_per_hour=1.0))


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"workers": 0}, "0 workers: expected 1 or more"),
        ({"workers": 2, "per_node": 0}, "0 per node: expected 1 or more"),
        ({"workers": 2, "shards": -1}, "-1 shards"),
        ({"workers": 2, "failures_per_hour": -0.5}, "failures -0.5 an hour"),
        (
            {"workers": 2, "failures_per_hour": math.nan},
            "failures nan an hour: expected a finite number",
        ),
        ({"workers": 2, "kept_every_s": 0.0}, "expected a time above 0"),
    ],
)
def test_nonsense_is_refused(about, words):
    with pytest.raises(BenchError, match=words):
        simulate([Job("a", 1.0)], Cluster(**about))


def test_no_cells_take_no_time():
    played = simulate([], Cluster(3))
    assert (played.wall_s, played.busy(3), longest_chain([], Cluster(3))) == (0.0, 1.0, (0.0, []))
