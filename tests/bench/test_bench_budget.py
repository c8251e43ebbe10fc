import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.api import BenchError
from bench.budget import BUDGETS, load_budget


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
