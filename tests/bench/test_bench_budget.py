import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.api import BenchError
from bench.budget import BUDGETS, changed_settings, load_budget, read_settings
from bench.canonical import digest
from bench.settings_file import names


def test_settings_are_overruled_and_typed():
    budget = load_budget("smoke", ["train.updates=7", "generation.steps=5,10", "scale=0.5"])
    assert budget.train.updates == 7
    assert budget.generation.steps == (5, 10)
    assert budget.scale == 0.5
    assert load_budget("smoke", ["generation.steps=[5, 10]"]).generation.steps == (5, 10)


def test_the_smoke_budget_names_its_data_set():
    assert load_budget("smoke").dataset == "digits"
    assert BUDGETS["paper"].generation.n_generated == 30_000
    assert BUDGETS["paper"].denoising.n_images == 300


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.update=7", "did you mean 'train.updates'"),
        ("updates=7", "no setting named 'updates'"),
        ("train=7", "no setting named 'train'"),
        ("train.updates", "expected key=value"),
        ("train.updates=-3", "greater than or equal to 1"),
        ("train.updates=many", "valid integer"),
        ("generation.steps=5,x", "valid integer"),
        ("backbones=", "at least 1 item"),
        ("train.learning_rate=nan", "not allowed"),
        ("train.precision=float16", "not allowed"),
        ("timing.repeats=1", "greater than or equal to 3"),
    ],
)
def test_a_wrong_setting_is_named(setting, message):
    with pytest.raises(BenchError, match=message):
        load_budget("smoke", [setting])


def test_an_unknown_budget_is_named():
    with pytest.raises(BenchError, match="did you mean 'smoke'"):
        load_budget("smok")


@given(st.text())
def test_no_text_gets_past_the_checks_or_breaks_them(text):
    try:
        budget = load_budget("smoke", [text])
    except BenchError as error:
        assert str(error)
    else:
        assert budget.train.updates >= 1


def settled(tmp_path, content, *overrides):
    path = tmp_path / "settings.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_budget("smoke", overrides, file_values=read_settings(path))


def test_a_file_is_over_the_budget_and_under_the_command_line(tmp_path):
    text = """
    scale = 0.5
    backbones = ["cunet"]
    cell_memory_gib = 4
    train.updates = 20
    [generation]
    steps = [5, 10]
    """
    budget = settled(tmp_path, text, "train.updates=30")
    assert (budget.scale, budget.backbones, budget.train.updates) == (0.5, ("cunet",), 30)
    assert budget.generation.steps == (5, 10)
    assert budget.cell_memory_gib == 4
    assert budget.train.batch == BUDGETS["smoke"].train.batch
    said = ["backbones", "cell_memory_gib", "generation.steps", "scale", "train.updates"]
    assert sorted(changed_settings(budget)) == said


def test_an_empty_file_and_a_byte_order_mark_change_nothing(tmp_path):
    assert settled(tmp_path, "") == BUDGETS["smoke"]
    assert settled(tmp_path, b"\xef\xbb\xbfscale = 0.5\r\n").scale == 0.5


def test_a_truth_and_a_number_for_a_word_can_be_set_in_a_file(tmp_path):
    text = "denoising.clipped = true\nclassics.n = 12"
    assert settled(tmp_path, text) == settled(
        tmp_path, "", "denoising.clipped=true", "classics.n=12"
    )


def test_what_the_command_line_overrules_need_not_be_allowed(tmp_path):
    assert settled(tmp_path, "scale = 99", "scale=0.5").scale == 0.5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("train.update = 7", "no setting named 'train.update'; did you mean 'train.updates'"),
        ("train.updates.x = 7", "train.updates is {'x': 7}, expected a number"),
        ("train = 7", r"train is a group of settings, expected a table: \[train\]"),
        ("[[train]]\nupdates = 7", "train is a group of settings"),
        ("name = 'x'", "no setting named 'name'"),
        ("'\\u001b[2J' = 1", "no setting named"),
        ("scale = '0.5'", "scale is '0.5', expected a number"),
        ("train.updates = true", "train.updates is True, expected a number"),
        ("train.updates = 1.5", "fractional part"),
        ("denoising.clipped = 1", "denoising.clipped is 1, expected true or false"),
        ("dataset = 5", "dataset=5 is not allowed: .* valid string"),
        ("classics.sigmas_255 = [-3]", "classics.sigmas_255=-3 is not allowed: .* equal to 1"),
        ("classics.n = 0", "classics.n=0 is not allowed: .* equal to 2"),
        ("train.updates = 1e999", "not allowed"),
        ("train.passes = inf", "train.passes=inf is not allowed: .* finite"),
        ("seed = 0x" + "f" * 900, "seed=.* is not allowed"),
        ("dataset = 1979-05-27", "expected a text"),
        ('dataset = "a\\nb"', "characters that cannot be printed"),
        ("backbones = 'unet'", "expected a list"),
        ("backbones = [1]", "valid string"),
        ("generation.steps = [5, true]", "expected a list"),
        ("scale = 1\nscale = 2", "is not TOML"),
        ("scale =", "is not TOML"),
        ("x = " + "[" * 900, "nested too deeply|is not TOML"),
        ("x = " + "9" * 5000, "a line of 5004 characters"),
        ("\n" * 200_000, "longer than 131072 bytes"),
        (b"scale = 1 # \xff", "is not UTF-8"),
        ("scale = 1".encode("utf-16"), "is not UTF-8"),
        (b"scale = 1\0", "is not TOML"),
        ("generation.blocks = 500", "settings.toml: generation is not allowed: .*500 blocks"),
    ],
)
def test_a_fault_in_the_file_is_one_line_that_names_it(tmp_path, content, message):
    with pytest.raises(BenchError, match=message) as caught:
        settled(tmp_path, content)
    assert str(caught.value).isprintable() and "settings.toml" in str(caught.value)
    assert len(str(caught.value)) < 2000


def test_what_is_no_file_is_told(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, says in (("nowhere", "No such file"), ("", "it is a folder"), ("pipe", "a pipe")):
        with pytest.raises(BenchError, match=says):
            read_settings(tmp_path / name)


@pytest.mark.parametrize(
    "words",
    [
        *("train.passes=inf", "cell_limit_s=1e300", "cell_memory_gib=inf", "cell_memory_gib=0"),
        *("name=x", "dataset=\udc80", "dataset=a\nb", "seed=" + "9" * 5000, "train.ema=nan"),
        *("\x1b[2J=1", "\udc80", "scale=\u202e", "dataset=" + "x" * 5000, "." * 500 + "=1"),
    ],
)
def test_values_that_would_fail_later_are_refused_at_once(words):
    with pytest.raises(BenchError) as caught:
        load_budget("smoke", [words])
    assert str(caught.value).isprintable() and str(caught.value).encode()
    assert len(str(caught.value)) < 2000


NAMES = sorted(set(names(BUDGETS["paper"].model_dump())) | {"name", "train", ""})


@given(key=st.sampled_from(NAMES) | st.text(), value=st.text(st.characters(exclude_categories=())))
def test_any_key_and_any_value_are_allowed_or_refused_in_one_line(key, value):
    try:
        budget = load_budget("smoke", [f"{key}={value}"])
    except BenchError as error:
        assert str(error).isprintable()
    else:
        assert digest(budget.model_dump(mode="json"))


def test_limits_of_a_cell_are_in_no_key():
    """They decide whether a number is there, not which."""
    from bench.plan import make_plan, study_for

    plain, limited = (
        make_plan(study_for(load_budget("smoke", words)), ["table5", "table4"])
        for words in ([], ["cell_memory_gib=3", "cell_limit_s=77"])
    )
    assert [planned.key for planned in plain] == [planned.key for planned in limited]
