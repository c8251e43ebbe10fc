"""Measuring a session before a person's eyes, and refusing what cannot be believed."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from bench.progress import Display
    from bench.runs import Run
    from bench.session import Session


def measured(
    session: "Session", console: "Console", workers: int, *, fresh: bool, offline: bool
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
        finished = session.measure(display, workers=workers, fresh=fresh)
    refuse_untrusted(finished)
    return finished, display
