"""Signals that end a command: Ctrl-C (SIGINT), SIGTERM, and SIGHUP when a terminal is closed.

A signal raises `Interrupted` once, wherever the command is. Code that catches it (a training loop that ends early at
Ctrl-C, a destructor) does not make the command continue: each stage calls `require_uninterrupted` before it is done.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM) + ((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ())

_received = 0
_listening = False


class Interrupted(KeyboardInterrupt):  # named as KeyboardInterrupt is
    """A signal that ends this command."""


def listen() -> None:
    """Let the signals raise `Interrupted` in this process; those that are ignored (`nohup`) stay ignored."""
    global _listening, _received
    _listening, _received = True, 0
    owner = os.getpid()

    def stop(number: int, _frame: FrameType | None) -> None:
        global _received
        if os.getpid() != owner:  # a forked worker ends at once, as without this handler
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif not _received:  # a second one must not interrupt what the first one has begun to tidy up
            _received = number
            raise Interrupted

    for number in heeded():
        signal.signal(number, stop)


def heeded() -> list[signal.Signals]:
    """Return the signals that this process was not told to ignore."""
    return [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]


def listening() -> bool:
    """Whether `listen` was called in this process, so that `received` can tell a signal from an exception of code."""
    return _listening


def received() -> int:
    """Return the number of the signal that ended this command; 0 where there was none."""
    return _received


def require_uninterrupted() -> None:
    """Raise Interrupted where a signal has arrived: some code may have caught it and ended early."""
    if _received:
        raise Interrupted


def signal_name(number: int) -> str:
    """Return the name of a signal, and for one that has none, such as most real-time signals, its number."""
    return next((one.name for one in signal.Signals if one == number), f"signal {number}")
