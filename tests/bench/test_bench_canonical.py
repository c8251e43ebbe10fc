import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import canonical

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text().filter(lambda k: k != "$float"), inner)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_a_value_comes_back(value):
    assert canonical.loads(canonical.dumps(value)) == value


@given(st.dictionaries(st.text(), st.integers()))
def test_the_order_of_keys_does_not_matter(mapping):
    turned = dict(reversed(mapping.items()))
    assert canonical.digest(mapping) == canonical.digest(turned)


def test_non_finite_floats_come_back():
    back = canonical.loads(canonical.dumps([math.inf, -math.inf, math.nan]))
    assert back[:2] == [math.inf, -math.inf] and math.isnan(back[2])


def test_an_object_has_no_canonical_form():
    with pytest.raises(TypeError, match="no canonical form"):
        canonical.dumps(object())
