"""Options after a plug-in's name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import registry
from bench.api import BenchError
from bench.named_options import named, options_of

VALUES = st.one_of(
    st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.from_regex(r"[a-z][a-z\-]{0,8}[a-z]", fullmatch=True).filter(
        lambda word: word not in ("true", "false", "inf", "nan", "infinity")
    ),
)  # fmt: skip


@given(options=st.dictionaries(st.sampled_from(["eta", "clip", "order"]), VALUES))
def test_what_is_written_is_read(options):
    assert options_of(named("ddim", options)) == ("ddim", options)


def test_values_have_types():
    assert options_of("ddim+eta=0.5+clip=false+n=3+kind=beta") == (
        "ddim",
        {"eta": 0.5, "clip": False, "n": 3, "kind": "beta"},
    )


@pytest.mark.parametrize("name", ["folder:/data/a+b=c", "diffusion:cunet"])
def test_a_place_has_no_options(name):
    assert options_of(name) == (name, {})


@pytest.mark.parametrize("text", ["ddim+", "ddim+eta", "ddim+eta=", "ddim+=1", "ddim+a=1+a=2"])
def test_what_is_not_an_option_is_named(text):
    with pytest.raises(BenchError, match=r"expected name\+option=value"):
        options_of(text)


def test_an_option_that_a_sampler_lacks_is_refused_with_the_nearest():
    with pytest.raises(BenchError, match="did you mean 'eta'"):
        registry.sampler("ddim+etta=0.5")
    assert registry.sampler("ddim+eta=0.5").keywords == {"eta": 0.5}


def test_a_recipe_is_changed_in_part():
    recipe = registry.build("recipe", "authors+weighting=uniform")
    assert (recipe.prediction, recipe.weighting) == ("v", "uniform")
    with pytest.raises(BenchError, match="weighing"):
        registry.build("recipe", "authors+weighing=uniform")
