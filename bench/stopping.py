"""Ctrl-C and its like: asked once, a run winds up; asked twice, it stops at once."""

import contextlib
import os
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


def leave_to_the_run() -> None:
    """Outlive these signals from now on: the run hears them, and decides.

    What this process forks, and the programs that it starts, may be ended by them.
    """
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: None)
    os.register_at_fork(after_in_child=_be_ordinary)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # of whoever starts this with them held up


def _be_ordinary() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def held_up() -> Iterator[None]:
    """Hold these signals up in this thread, and in a program that it starts, until that is ready.

    One that struck before `leave_to_the_run` would end it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
