"""Multiply-adds of matrix products by their shapes, for a counter that knows them too roughly."""

import math
from collections.abc import Iterable, Sequence

Shape = Sequence[int]


def matmul_macs(a: Shape, out: Shape) -> int:
    """Return the cost of a @ b, batches broadcast: every output is a sum over a's last dimension.

    This holds for vectors too.
    """
    return math.prod(out) * a[-1]


def attention_macs(query: Shape, value: Shape, out: Shape) -> int:
    """Return the cost of both products, q k^T and (weights) v, batches broadcast."""
    keys, value_width = value[-2:]
    return math.prod(out[:-1]) * keys * (query[-1] + value_width)


def einsum_macs(equation: str, shapes: Sequence[Shape], path: Sequence[int] | None = None) -> int:
    """Return the cost of an Einstein sum, its operands taken two at a time.

    A pair costs the product of the sizes of all its labels if it sums over one that both share,
    and else nothing: it is a product element by element. What only one of them has, and nobody
    needs later, is summed before.

    Args:
        equation: As in `torch.einsum`, with or without "->".
        shapes: The operands' shapes.
        path: Places of the two operands to take next, pair after pair; from the left where None.
            What a pair gives goes to the end of the list, without a path to its start.
    """
    terms, kept = _labels(equation.replace(" ", ""), shapes)
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for label, size in zip(term, shape, strict=True):
            sizes[label] = max(sizes.get(label, 1), size)
    # A dimension of size 1 is one that the operand lacks: it is broadcast.
    left = [
        {label for label, size in zip(term, shape, strict=True) if size > 1}
        for term, shape in zip(terms, shapes, strict=True)
    ]
    macs, steps = 0, iter(path or ())
    while len(left) > 1:
        first, second = sorted((next(steps), next(steps))) if path else (0, 1)
        b, a = left.pop(second), left.pop(first)
        needed = set(kept).union(*left)
        summed = a & b - needed
        if summed:
            pair = (a & b) | (a ^ b) & needed
            macs += math.prod(sizes[label] for label in pair)
        left.insert(len(left) if path else 0, (a | b) & needed)
    return macs


def _labels(equation: str, shapes: Iterable[Shape]) -> tuple[list[list[str]], list[str]]:
    """Return the labels of every operand and of the output; those of "..." count from the end."""
    before, arrow, after = equation.partition("->")
    terms, most = [], 0
    for term, shape in zip(before.split(","), shapes, strict=True):
        dots = len(shape) - len(term.replace("...", ""))
        most = max(most, dots)
        terms.append(_spelt(term, dots))
    letters = before.replace(",", "").replace("...", "")
    single = sorted(letter for letter in set(letters) if letters.count(letter) == 1)
    return terms, _spelt(after if arrow else "..." + "".join(single), most)


def _spelt(term: str, dots: int) -> list[str]:
    head, ellipsis, tail = term.partition("...")
    middle = [f"...{n}" for n in range(dots, 0, -1)] if ellipsis else []
    return [*head, *middle, *tail]
