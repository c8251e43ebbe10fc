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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ddim+eta=1", {"eta": 1.0}),
        ("ddim+eta=1e0", {"eta": 1.0}),
        ("ddim+eta=0", {}),  # the default
        ("ddim+clip=true", {}),
        ("ddim+clip=false", {"clip": False}),
        ("ddpm+variance=beta+std=0", {"variance": "beta", "std": 0.0}),
    ],
)
def test_options_come_in_the_types_that_are_declared(text, said):
    found = registry.sampler_options(text)
    assert found == said and {k: type(v) for k, v in found.items()} == {
        k: type(v) for k, v in said.items()
    }


@pytest.mark.parametrize(
    "text",
    ["ddim+clip=False", "ddim+clip=no", "ddim+clip=1", "ddim+eta=abc", "ddim+eta=true",
     "ddpm+std=nan", "ddpm+std=none", "ddpm+variance=1"],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(text):
    with pytest.raises(BenchError, match="is none of its values"):
        registry.sampler(text)


def test_an_option_does_not_overrule_what_the_run_sets():
    with pytest.raises(BenchError, match="'channels' is set by the run"):
        registry.build("generator", "vae+channels=3", channels=1, image_size=32)
