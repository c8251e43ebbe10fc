"""What every part of a backbone computes, holds and moves in one forward pass."""

from dataclasses import fields

from bench.api import Cell, Context, Kind, Outcome, Row, register
from bench.metrics.cost.ledger import Account, keep_books
from bench.tasks.networks import one_input, sound_network

BLOCK, WHOLE = "block", "whole"


@register(Kind.TASK, "books", source="ours: Table 5 part by part; the parts add up to the whole")
def books(cell: Cell, context: Context) -> Outcome:
    """Count one forward pass of batch 1 part by part, and then as a whole."""
    channels, size = cell.spec["channels"], cell.spec["image_size"]
    network = sound_network(context, cell.spec["backbone"], channels=channels, image_size=size)
    found = keep_books(network, *one_input(channels, size))
    rows = [
        {"part": BLOCK, "block": part.name, "group": part.group, **_columns(account)}
        for part, account in found.accounts.items()
    ]
    whole = {"part": WHOLE, "block": WHOLE, "group": WHOLE, **_columns(found.total)}
    return Outcome([*rows, {**whole, "macs_by_torch_alone": found.flops // 2}])


def _columns(account: Account) -> Row:
    """Return an account with multiply-adds named by who counts them; all are whole numbers."""
    macs = {
        "macs_torch": account.macs,
        "macs_torch_convolution": account.convolution,
        "macs_torch_linear": account.linear,
        "macs_torch_product": account.product,
        "macs_torch_in_fields": account.in_fields,
        "macs_authors": account.authors,
        "evaluations": account.evaluations,
        "frozen_parameters": account.frozen,
        "trained_parameters": account.trained,
    }
    named = {"convolution", "linear", "product", "in_fields", "authors", "evaluations", "trained"}
    rest = {f.name: getattr(account, f.name) for f in fields(account) if f.name not in named}
    return {**macs, **rest}
