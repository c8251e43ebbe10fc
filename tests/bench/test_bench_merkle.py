import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import merkle

LEAVES = st.dictionaries(st.text(min_size=1, max_size=4), st.text(max_size=4), max_size=9)


def sha(content):
    return hashlib.sha256(content).digest()


def by_definition(leaves):
    """The recursive definition of RFC 6962, section 2.1."""
    if not leaves:
        return sha(b"")
    if len(leaves) == 1:
        return sha(b"\x00" + leaves[0])
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha(b"\x01" + by_definition(leaves[:split]) + by_definition(leaves[split:]))


# The tree heads of leaves d[0:n], published with Certificate Transparency's own tests.
PUBLISHED = [
    bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")
] + [bytes.fromhex("606162636465666768696a6b6c6d6e6f")]


@pytest.mark.parametrize(
    ("count", "head"),
    [
        (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
        (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
        (4, "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
        (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ],
)
def test_the_definition_gives_the_published_heads(count, head):
    assert by_definition(PUBLISHED[:count]).hex() == head


@settings(deadline=None)
@given(LEAVES)
def test_the_root_is_the_one_of_the_definition(leaves):
    import json

    pairs = [
        json.dumps(pair, ensure_ascii=False, separators=(",", ":")).encode()
        for pair in sorted(leaves.items())
    ]
    assert merkle.root(leaves) == by_definition(pairs).hex()


@settings(deadline=None)
@given(LEAVES, LEAVES)
def test_equal_roots_mean_equal_leaves(one, two):
    assert (merkle.root(one) == merkle.root(two)) == (one == two)
    assert merkle.root(one) == merkle.root(dict(reversed(one.items())))
