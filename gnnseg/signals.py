"""Requests to stop: Ctrl-C and SIGTERM, which end training at the end of an epoch so that nothing is lost."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)

_log = logging.getLogger(__name__)


class Terminated(KeyboardInterrupt):
    """SIGTERM, told apart from Ctrl-C by the exit code alone."""


def exit_code(stopped: KeyboardInterrupt) -> int:
    """128 and the number of the signal, as shells have it: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + (signal.SIGTERM if isinstance(stopped, Terminated) else signal.SIGINT)


class Stop:
    """Whether somebody asked to stop.

    Attributes:
        asked: The signal, or None.
    """

    asked: int | None = None

    def obey(self) -> None:
        """Raise what the signal would have raised at once; nothing if there was none."""
        if self.asked is not None:
            _raise(self.asked, None)


@contextmanager
def terminable() -> Iterator[None]:
    """Inside the block SIGTERM raises :class:`Terminated`, so that what is half done is cleaned up."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers, and only it gets signals
        return
    before = signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def stopping_gently(wanted: bool) -> Iterator[Stop]:
    """Inside the block the first signal is noted, and the second stops at once.

    Args:
        wanted: Whether there is something to save before the stop; else signals do what they did.
    """
    stop = Stop()
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(number: int, frame: FrameType | None) -> None:
        if stop.asked is not None:
            _raise(number, frame)
        stop.asked = number
        _log.warning("stopping after this epoch; once more stops at once")

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
