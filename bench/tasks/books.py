"""What every part of a backbone computes, holds and moves in one forward pass."""

from dataclasses import fields

from bench.api import Cell, Context, Invalid, Kind, Outcome, Row, register
from bench.metrics.cost.ledger import Account, keep_books, whole_account
from bench.tasks.networks import one_input, sound_network

BLOCK, WHOLE = "block", "whole"


@register(Kind.TASK, "books", source="ours: Table 5 part by part; the parts add up to the whole")
def books(cell: Cell, context: Context) -> Outcome:
    """Count one forward pass of batch 1 part by part, and then, apart from that, as a whole."""
    channels, size = cell.spec["channels"], cell.spec["image_size"]
    network = sound_network(context, cell.spec["backbone"], channels=channels, image_size=size)
    inputs = one_input(channels, size)
    found, whole = keep_books(network, *inputs), whole_account(network, *inputs)
    rows = [
        {"part": BLOCK, "block": part.name, "group": part.group, **_columns(account)}
        for part, account in found.accounts.items()
    ]
    last = {"part": WHOLE, "block": WHOLE, "group": WHOLE, **_columns(whole)}
    alone = {"macs_by_torch_alone": found.flops // 2}
    _refuse_open(cell.spec["backbone"]["name"], rows, {**last, **alone})
    return Outcome([*rows, {**last, **alone}])


def _refuse_open(backbone: str, rows: list[Row], whole: Row) -> None:
    """Refuse books whose parts do not add up to the whole, to the integer.

    Raises:
        Invalid: If there is a quantity in which they do not.
    """
    columns = {column: column for column, value in whole.items() if isinstance(value, int)}
    columns["macs_by_torch_alone"] = "macs_torch"
    sums = {column: sum(row[each] for row in rows) for column, each in columns.items()}
    gaps = [f"{name} {n} of {whole[name]}" for name, n in sums.items() if n != whole[name]]
    if gaps:
        raise Invalid(
            f"the books of '{backbone}' do not close: the parts have {', '.join(gaps)} of the "
            "whole; either a part is counted wrongly, or two passes on one image differ"
        )


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
