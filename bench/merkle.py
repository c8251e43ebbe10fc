"""One hash for all records of a run, so that none can be exchanged unnoticed.

Source: RFC 6962, section 2.1 (the Merkle tree hash, with its prefixes for leaves and nodes).
Differs: a leaf is the canonical JSON of a pair [key, checksum], and the leaves stand in the order
of their keys.
"""

import hashlib
from collections.abc import Mapping

from bench import canonical

LEAF, NODE = b"\x00", b"\x01"


def root(leaves: Mapping[str, str]) -> str:
    """Return the root (hex) over key -> checksum; their order does not matter."""
    level = [
        hashlib.sha256(LEAF + canonical.dumps(pair).encode()).digest()
        for pair in sorted(leaves.items())
    ]
    if not level:
        return hashlib.sha256().hexdigest()
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        odd = level[-1:] if len(level) % 2 else []  # goes up as it is
        level = [hashlib.sha256(NODE + left + right).digest() for left, right in pairs] + odd
    return level[0].hex()
