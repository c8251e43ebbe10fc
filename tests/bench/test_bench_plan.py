import dataclasses
import importlib
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import canonical, code, installation, provenance
from bench.api import ENTRIES, BenchError, Cell, Kind
from bench.budget import BUDGETS, load_budget
from bench.deciding import deciding
from bench.plan import ALL, _Keys, chosen_experiments, make_plan, study_for
from bench.record import basis_fault
from bench.registry import build, discover, find, names

KEYS = _Keys("cpu")


def key(cell, uses=()):
    return KEYS.of(cell, uses)[0]


@pytest.mark.parametrize("budget", sorted(BUDGETS))
def test_every_budget_has_a_plan(budget, monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path))
    chosen = load_budget(budget, ["dataset=digits", "generation.features=alexnet"])
    plan = make_plan(study_for(chosen), ALL)
    seen = set()
    for planned in plan:
        assert set(planned.uses) <= seen, "a cell comes after what it uses"
        assert not planned.unavailable
        seen.add(planned.key)
    assert len(seen) == len(plan)


def test_a_plan_is_a_function_of_its_settings():
    study = study_for(load_budget("smoke"))
    one, two = (make_plan(study, ALL) for _ in range(2))
    assert list(one.cells) == list(two.cells)
    assert {p.key for p in make_plan(study, ALL[::-1])} == {p.key for p in one}


def test_experiments_share_cells():
    study = study_for(load_budget("smoke"))
    trainings = [p for p in make_plan(study, ALL) if p.cell.task == "train"]
    shared = [p for p in trainings if len(p.experiments) > 1]
    assert len(trainings) == 4 and shared


@pytest.fixture(scope="module")
def plain():
    return make_plan(study_for(load_budget("smoke")), ["table1"])


@pytest.mark.parametrize(
    "setting",
    ["seed=1", "train.updates=7", "scale=0.5", "image_size=16", "recipe=ho2020", "micro_batch=8"],
)
def test_a_key_changes_with_what_decides_the_value(setting, plain):
    changed = make_plan(study_for(load_budget("smoke", [setting])), ["table1"])
    plans = plain, changed
    one, two = ({p.key for p in plan if p.cell.task == "frechet"} for plan in plans)
    assert one.isdisjoint(two)


@pytest.mark.parametrize(
    ("needed", "task", "spec"),
    [
        ("bm4d", "denoise", {"denoiser": {"name": "bm3d"}}),
        ("torchode", "solvers", {"solver": [{"name": "rk4"}, {"name": "dopri5-each"}]}),
        ("torchode", "cost", {"backbone": {"name": "cunet", "solver": "dopri5-each"}}),
        ("torchode", "cost", {"backbone": {"name": "cunet+solver=dopri5-each"}}),
        ("torchode", "denoise", {"denoiser": {"name": "diffusion:cunet+solver=dopri5-each"}}),
        ("", "denoise", {"denoiser": {"name": "diffusion:cunet"}}),
        ("", "cost", {"backbone": {"name": "cunet", "solver": "dopri5"}}),
        ("", "cost", {"backbone": {"name": "unet"}}),
    ],
)
def test_a_version_is_in_the_keys_of_those_alone_that_need_it(needed, task, spec, monkeypatch):
    cell = Cell(task, spec)
    before, basis, _ = KEYS.of(cell, ())
    assert basis["versions"].keys() == provenance.deciding_versions().keys() | {needed} - {""}
    for name in ("bm4d", "torchode", "diffusers"):
        others = {name: "999"}
        monkeypatch.setattr(installation, "version", lambda asked, o=others: o.get(asked, ""))
        first = key(cell)
        others[name] = "1000"
        assert (key(cell) != first) == (name == needed)
        assert name in provenance.versions() and name in provenance.telling_versions()
    monkeypatch.undo()
    assert key(cell) == before


def test_quality_does_not_depend_on_timing_settings():
    plans = [
        make_plan(study_for(load_budget("smoke", overrides)), ["table1"])
        for overrides in ([], ["timing.repeats=50"])
    ]
    one, two = ({p.key for p in plan if not p.cell.timing} for plan in plans)
    assert one == two


@settings(deadline=None)
@given(number=st.integers(0, 5), other=st.integers(0, 5))
def test_equal_cells_have_equal_keys_and_only_they(number, other):
    cells = [Cell("ladder", {"n": n, "levels": [50]}) for n in (number, other)]
    assert (key(cells[0]) == key(cells[1])) == (number == other)


def test_a_key_depends_on_what_is_used_and_on_the_device():
    cell = Cell("ladder", {"n": 1})
    assert key(cell) != key(cell, ("a",)) != key(cell, ("b",))
    assert key(cell) != _Keys("cuda").of(cell, ())[0]


def test_a_timing_belongs_to_a_machine(monkeypatch):
    from bench import provenance

    timing, quality = Cell("ladder", {}, timing=True), Cell("ladder", {})
    before = key(timing), key(quality)
    monkeypatch.setattr(provenance, "machine", lambda: {"cpu": "another"})
    assert key(timing) != before[0]
    assert key(quality) == before[1]


def test_a_pattern_keeps_what_the_matching_cells_use():
    plan = make_plan(study_for(load_budget("smoke")), ["table1"], only="frechet*unet*steps=5")
    tasks = sorted(p.cell.task for p in plan)
    assert "train" in tasks and tasks.count("frechet") == 2


def test_more_extractors_measure_the_same_images():
    def plan(*settings):
        return make_plan(study_for(load_budget("smoke", settings)), ["table1"])

    one, two = plan(), plan("generation.more_features=pixels,alexnet")
    assert {p.key for p in one} < {p.key for p in two}, "those of the first keep their keys"
    more = [p.cell for p in two if p.key not in {q.key for q in one}]
    assert {cell.task for cell in more} == {"features", "frechet"}
    assert {cell.spec["features"]["name"] for cell in more} == {"pixels"}
    distances = [sum(p.cell.task == "frechet" for p in each) for each in (one, two)]
    assert distances[1] == 2 * distances[0] > 0


def test_a_pattern_matches_cells_that_others_use():
    study = study_for(load_budget("smoke"))
    asked = make_plan(study, ["table1", "table4"])
    plan = make_plan(study, ["table1", "table4"], only="train *")
    trainings = {p.key for p in asked if p.cell.task == "train"}
    assert len(trainings) == 4 and {p.key for p in plan} == trainings


def test_a_pattern_that_excludes_leaves_out_what_only_the_excluded_use():
    study = study_for(load_budget("smoke"))
    plan = make_plan(study, ["table1"], only="[!f]*")
    assert {p.cell.task for p in plan} & {"frechet", "features"} == set()


def test_missing_data_makes_a_plan_that_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path))
    plan = make_plan(study_for(load_budget("smoke", ["dataset=mnist"])), ["table1"])
    reasons = {p.unavailable for p in plan if p.cell.task == "train"}
    assert len(reasons) == 1 and "mnist" in reasons.pop()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("dataset=digit", "did you mean 'digits'"),
        ("backbones=cunte", "did you mean 'cunet'"),
        ("denoising.classics=bm3", "did you mean 'bm3d'"),
        ("generation.sampler=dddim", "did you mean 'ddim'"),
        ("generation.features=alexnett", "did you mean 'alexnet'"),
        ("generation.more_features=pixel", "did you mean 'pixels'"),
        ("schedule=sigmod", "did you mean 'sigmoid'"),
        ("samplers.distillation=progresive", "did you mean 'progressive'"),
    ],
)
def test_unknown_names_get_the_nearest_one(setting, message):
    with pytest.raises(BenchError, match=message):
        study_for(load_budget("smoke", [setting]))


def test_unknown_experiments_kinds_and_parameters_are_named():
    with pytest.raises(BenchError, match="did you mean 'table1'"):
        chosen_experiments(["tabel1"])
    with pytest.raises(BenchError, match="no kind named 'backbon'"):
        names("backbon")
    with pytest.raises(BenchError, match="no parameter of backbone 'unet' named 'chanels'"):
        build("backbone", "unet", chanels=3)
    with pytest.raises(BenchError, match="did you mean 'cunet'"):
        find("denoiser", "diffusion:cunte")


def test_a_key_is_the_digest_of_its_basis():
    for planned in make_plan(study_for(load_budget("smoke")), ALL):
        about = {
            "key": planned.key,
            "task": planned.cell.task,
            "spec": planned.cell.spec,
            "uses": list(planned.uses),
            "timing": planned.cell.timing,
            "basis": dict(planned.basis),
        }
        assert basis_fault(canonical.loads(canonical.dumps(about))) == ""


def planned_of(monkeypatch, study, cells):
    """Plan an experiment of these cells; return its plan and the seconds that it took."""
    entry = dataclasses.replace(find("experiment", "toys"), build=lambda study: cells)
    monkeypatch.setitem(ENTRIES, (Kind.EXPERIMENT, "toys"), entry)
    before = time.process_time()
    return make_plan(study, ["toys"]), time.process_time() - before


@pytest.fixture
def study():
    return study_for(load_budget("smoke"))


def test_ten_thousand_cells_are_planned_at_once(toys, study, monkeypatch):
    data = {"name": "digits", "image_size": 32}
    cells = [Cell("toy", {"number": n, "dataset": data}) for n in range(10_000)]
    plan, seconds = planned_of(monkeypatch, study, cells)
    assert len(plan) == 10_000
    assert seconds < 3 * 2


def test_a_long_chain_needs_no_stack(toys, study, monkeypatch):
    cell = toys.number(0)
    for number in range(1, 5000):
        cell = toys.number(number, uses=[cell])
    plan, seconds = planned_of(monkeypatch, study, [cell])
    assert [planned.cell.spec["number"] for planned in plan] == list(range(5000))
    assert seconds < 3 * 2


def test_cells_that_many_use_are_looked_at_once(toys, study, monkeypatch):
    cell = toys.number(0)
    for number in range(1, 300):  # 3 ** 299 ways lead to the first cell
        cell = toys.number(number, uses=[cell, cell, cell])
    plan, seconds = planned_of(monkeypatch, study, [cell])
    assert len(plan) == 300
    assert seconds < 3 * 2


def test_equal_cells_are_one_cell_of_all_experiments_that_need_it(toys, study, monkeypatch):
    def twin(study):
        return [toys.number(2, uses=[toys.number(1)])]

    for name in ("twin-one", "twin-two"):
        entry = dataclasses.replace(find("experiment", "toys"), name=name, build=twin)
        monkeypatch.setitem(ENTRIES, (Kind.EXPERIMENT, name), entry)
    plan = make_plan(study, ["twin-one", "twin-two"])
    assert [planned.experiments for planned in plan] == [{"twin-one", "twin-two"}] * 2


def test_all_stands_for_the_tables_and_figures():
    assert chosen_experiments(["table2", "all"]) == ("table2", *[n for n in ALL if n != "table2"])


def test_costs_is_found_and_shares_the_cells_of_table_5():
    study = study_for(load_budget("smoke"))
    assert "costs" in names(Kind.EXPERIMENT) and "costs" not in ALL
    table5, ledger = (make_plan(study, [name]) for name in ("table5", "costs"))
    assert set(table5.cells) < set(ledger.cells)
    more = [p.cell for p in ledger if p.key not in table5.cells]
    assert sorted(cell.task for cell in more) == [
        *("block_times", "books", "books", "books", "latency", "latency", "roofline"),
        "training_memory",
    ]
    timed = {cell.task for cell in more if cell.timing}
    assert timed == {"block_times", "latency", "roofline"}
    both = make_plan(study, ["table5", "costs"])
    assert set(both.cells) == set(ledger.cells)


def test_batches_of_the_ledger_are_a_setting():
    budget = load_budget("smoke", ["costs.batches=[1,4,largest]"])
    plan = make_plan(study_for(budget), ["costs"])
    timed = [p.cell.spec for p in plan if p.cell.task == "latency"]
    whole = [spec["batch"] for spec in timed if spec["backbone"][0]["scale"] == 1]
    assert sorted(map(str, whole)) == ["1", "4", "largest"]
    # The width of the budget is where it is asked whether inputs are remembered.
    assert [spec["batch"] for spec in timed if spec.get("repeat_inputs", True)] == [1]


def test_the_way_of_distilling_is_a_setting(monkeypatch):
    entry = dataclasses.replace(find(Kind.DISTILLATION, "progressive"), name="mine")
    monkeypatch.setitem(ENTRIES, (Kind.DISTILLATION, "mine"), entry)

    def distilled(*settings):
        plan = make_plan(study_for(load_budget("smoke", settings)), ["samplers"])
        return [p for p in plan if p.cell.task == "distil"]

    usual, mine = distilled(), distilled("samplers.distillation=mine")
    assert {p.cell.spec["distillation"]["name"] for p in mine} == {"mine"}
    assert {p.key for p in usual} == {p.key for p in distilled("samplers.distillation=progressive")}
    assert {p.key for p in usual}.isdisjoint(p.key for p in mine)


def test_speed_runs_both_networks_on_every_engine():
    budget = load_budget("smoke", ["costs.engines=[eager,packed+dtype=bfloat16]"])
    plan = make_plan(study_for(budget), ["speed"])
    cells = [planned.cell for planned in plan if planned.cell.task == "latency"]
    assert [cell.spec["batch"] for cell in cells] == [1, 16]
    for cell in cells:
        pairs = zip(cell.spec["backbone"], cell.spec["engine"], strict=True)
        ways = [(net["name"], net.get("solver_path"), engine["name"]) for net, engine in pairs]
        assert ways == [
            ("unet", None, "eager"),
            ("cunet", None, "eager"),
            ("unet", None, "packed+dtype=bfloat16"),
            ("cunet", None, "packed+dtype=bfloat16"),
            ("cunet", "torchdiffeq", "eager"),
        ]
        assert cell.label.startswith("latency unet cunet packed+dtype=bfloat16 batch=")


def test_the_engine_is_part_of_the_key_and_the_usual_one_of_no_label():
    plans = [
        make_plan(study_for(load_budget("smoke", [f"timing.engine={engine}"])), ["table1"])
        for engine in ("eager", "packed")
    ]
    usual, other = ([p for p in plan if p.cell.task == "latency"] for plan in plans)
    assert {p.key for p in usual}.isdisjoint(p.key for p in other)
    assert usual[0].cell.label == "latency unet cunet batch=1"
    assert other[0].cell.label == "latency unet cunet packed batch=1"
    assert {p.key for p in plans[0]} - {p.key for p in usual} == {p.key for p in plans[1]} - {
        p.key for p in other
    }


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("timing.engine=warp", "no engine named 'warp'"),
        ("timing.engine=eager+dtype=float8", "no precision 'float8'"),
        ("costs.engines=[eager+speed=9]", "no parameter of engine"),
    ],
)
def test_an_unknown_engine_is_refused_at_once(setting, words):
    with pytest.raises(BenchError, match=words):
        study_for(load_budget("smoke", [setting]))


HEAD = "from bench.api import Kind, register\nfrom models.{0} import {1}\n"
MINE = {
    Kind.SOLVER: HEAD.format("solve", "Scheme")
    + "@register(Kind.SOLVER, 'mine', source='a test')\n"
    "def mine():\n    return Scheme(1, (0.0,), ((),), (1.0,))\n",
    Kind.RECIPE: HEAD.format("diffusion", "Recipe")
    + "@register(Kind.RECIPE, 'mine', source='a test')\n"
    "def mine():\n    return Recipe('x0', 'cosine')\n",
    Kind.SCHEDULE: HEAD.format("schedule", "Schedule, linear")
    + "@register(Kind.SCHEDULE, 'mine', source='a test')\n"
    "def mine():\n    return Schedule('mine', linear().alpha_bars)\n",
}
"""Plug-ins that no import of a network leads to."""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Return a function that writes and imports a module of plug-ins, and forgets the old text."""
    monkeypatch.syspath_prepend(str(tmp_path))
    discover()
    known = dict(ENTRIES)

    def write(text):
        ENTRIES.clear()
        ENTRIES.update(known)
        (tmp_path / "mine_alone.py").write_text(text)
        for function in (code.source_of, code._said, code._imports, code.digest):
            function.cache_clear()
        sys.modules.pop("mine_alone", None)
        importlib.import_module("mine_alone")

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield write
    sys.modules.pop("mine_alone", None)
    ENTRIES.clear()
    ENTRIES.update(known)


def keys_of_networks(setting):
    plan = make_plan(study_for(load_budget("smoke", [setting])), ["table1", "theory"])
    named = [p for p in plan if "mine" in canonical.dumps(p.cell.spec)]
    assert "train" in {p.cell.task for p in named}
    return {p.key for p in named}


@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        (Kind.SOLVER, "backbones=cunet+solver=mine"),
        (Kind.RECIPE, "recipe=mine"),
        (Kind.SCHEDULE, "recipe=authors+schedule=mine"),
    ],
)
def test_a_changed_line_of_what_an_option_names_is_measured_again(mine, kind, setting):
    mine(MINE[kind])
    before = keys_of_networks(setting)
    mine(MINE[kind] + "# nothing\n")
    assert keys_of_networks(setting) == before
    mine(MINE[kind] + "CHANGED = True\n")
    assert keys_of_networks(setting).isdisjoint(before)


def test_what_lies_beside_the_networks_is_named_by_no_key_of_its_own():
    """Where a module is reached anyway, an option that names it changes no other part of a key."""
    study = study_for(load_budget("smoke", ["backbones=cunet,cunet+solver=euler"]))
    modules = [p.basis["modules"] for p in make_plan(study, ["table1"]) if p.cell.task == "train"]
    assert modules[0] == modules[1] and "models.solve" not in modules[0]


def test_a_solver_that_only_a_network_knows_is_its_own_affair():
    assert deciding(Cell("ladder", {"backbone": {"name": "cunet+solver=odd"}})).modules == [
        "bench.tasks.ladder",
        "models.cunet",
    ]
