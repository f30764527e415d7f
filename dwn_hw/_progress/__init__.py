"""How long work says what it is doing: phases to everyone, and to who watches also how far each of them is.

A :data:`Progress` is any function of a text, and hears of phases as they begin. A :class:`Watcher` can show more: it is told
by the functions below, which say nothing to others.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeAlias

#: Told what is being done, in a few words.
Progress: TypeAlias = Callable[[str], None]

#: The seconds until a first word on how far some work is, and by how much the time until the next one grows each time.
PAUSE, GROWTH = 2.0, 1.5


class Watcher(ABC):
    """A progress that is also told how many phases there will be, and how far the present one is; from any thread."""

    @abstractmethod
    def __call__(self, text: str) -> None:
        """A phase begins. What stands behind ``: `` is a detail: the same phase goes on where only that is another."""

    @abstractmethod
    def ahead(self, phases: int) -> None:
        """So many phases more will begin; a negative number takes back what was said."""

    @abstractmethod
    def within(self, text: str, done: float, total: float) -> None:
        """What the phase is at, and that ``done`` of ``total`` are done; a total of 0: nobody knows."""


def silent(text: str) -> None:
    """A progress that nobody hears."""


def ahead(progress: Progress, phases: int) -> None:
    """Tell a watcher that so many phases more will begin."""
    if isinstance(progress, Watcher):
        progress.ahead(phases)


def begin(progress: Progress, text: str) -> None:
    """Tell a watcher of a phase that is not told to others."""
    if isinstance(progress, Watcher):
        progress(text)


def within(progress: Progress, text: str, done: float = 0, total: float = 0, *, aloud: str | None = None) -> None:
    """Tell a watcher what the present phase is at, and how much of it is done; others hear ``aloud``, if there is such a text."""
    if isinstance(progress, Watcher):
        progress.within(text, done, total)
    elif aloud is not None:
        progress(aloud)


def counted(progress: Progress, what: str, total: int) -> Callable[[int], None]:
    """Say how far work on ``total`` things is and about how long it will take, once in a while, when told how many are done."""
    started = time.monotonic()
    due, pause = started + PAUSE, PAUSE

    def tell(done: int) -> None:
        nonlocal due, pause
        far, now = f"{done:,} of {total:,}", time.monotonic()
        if isinstance(progress, Watcher):
            progress.within(far, done, total)
        elif now >= due and 0 < done < total:
            pause *= GROWTH
            due = now + pause
            progress(f"{what}: {far}, about {duration((now - started) * (total - done) / done)} left")

    return tell


def duration(seconds: float) -> str:
    """A time in words: ``40 s``, ``3 min``, ``2 h``."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 6000 else f"{round(seconds / 3600)} h"
