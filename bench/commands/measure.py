"""Measuring a session before a person's eyes, and refusing what cannot be believed."""

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.errors import BenchError

if TYPE_CHECKING:
    from rich.console import Console

    from bench.progress import Display
    from bench.runs import Run
    from bench.session import Session


def sharing(session: "Session", address: str | None, *, offline: bool) -> "Session":
    """Return a session whose results are shared at an address, if there is one.

    Raises:
        BenchError: If the address is none or cannot be opened, or no connection may be made.
    """
    if address is None:
        return session
    from bench.session import is_offline
    from bench.shared.address import HOSTLESS, parsed
    from bench.shared.sharing import Shared

    where = parsed(address)
    if is_offline(offline) and where.protocol not in HOSTLESS:
        raise BenchError(f"--store {where.shown} is a connection, and --offline allows none")
    return replace(session, shared=Shared.at(address))


def tell_of_sharing(session: "Session", console: "Console") -> None:
    """Say what is to be known of the shared store, and why results stay local if they do."""
    if session.shared is None:
        return
    session.shared.debts.pay(session.shared.depot.mark, waiting=True)  # of the last cell
    for note in session.shared.notes:
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    if session.shared.fault is not None:
        print(f"bench: {session.shared.fault}", file=sys.stderr)


def measured(
    session: "Session",
    console: "Console",
    workers: int,
    *,
    fresh: bool,
    offline: bool,
    shards: int = 1,
) -> tuple["Run", "Display"]:
    """Return the run, and what counted its cells.

    Raises:
        Untrusted: If a known answer was not found: then nothing may be shown.
    """
    from bench.progress import Display
    from bench.session import is_offline, provide_weights
    from bench.trust import refuse_untrusted

    fetched = provide_weights(session, offline=is_offline(offline))
    if fetched:
        console.print(f"fetched the weights of {', '.join(fetched)}", soft_wrap=True)
    with Display(console, session.plan) as display:
        finished = session.measure(display, workers=workers, fresh=fresh, shards=shards)
    refuse_untrusted(finished)
    return finished, display
