import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import canonical

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text().filter(lambda k: k != "$float"), inner)
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(VALUES)
def test_a_value_comes_back(value):
    text = canonical.dumps(value)
    assert canonical.loads(text) == canonical.loads(text.encode()) == value
    assert canonical.dumps(canonical.loads(text)) == text


@settings(deadline=None)
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


@pytest.mark.parametrize("value", [{"$float": "inf"}, {1: "a", "1": "b"}])
def test_what_would_come_back_as_something_else_is_refused(value):
    with pytest.raises(ValueError, match=r"stands for a float|written alike"):
        canonical.dumps(value)


@pytest.mark.parametrize(
    "content",
    [
        b'{"$float":null}',
        b'{"$float":[1]}',
        b'{"$float":"0x1p3"}',
        b"NaN",
        b"[Infinity]",
        b"\xff\xfe[\x00]\x00",
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf[]",
        b"1" * 5000,
    ],
)
def test_what_is_no_canonical_json_is_a_value_error(content):
    with pytest.raises(ValueError):
        canonical.loads(content)
