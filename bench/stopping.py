"""Ctrl-C and its like: asked once, a run winds up; asked twice, it stops at once."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

EXIT_INTERRUPTED = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def wound_up_by_signals(wind_up: Callable[[], None]) -> Iterator[None]:
    """Call `wind_up` on the first signal; raise KeyboardInterrupt on every further one.

    `wind_up` runs in a thread of its own: a signal may interrupt code that holds any lock.
    """
    asked = threading.Event()

    def hear(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        threading.Thread(target=wind_up, daemon=True).start()

    with heard_by(hear):
        yield


@contextlib.contextmanager
def interrupting() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does."""

    def hear(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with heard_by(hear):
        yield


@contextlib.contextmanager
def heard_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Install a handler for the signals that ask a program to end; only a main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    ignored = {number for number, known in before.items() if known is signal.SIG_IGN}  # nohup
    for number in before.keys() - ignored:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in before.keys() - ignored:
            signal.signal(number, before[number])
