"""How long work says what it is doing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

#: Told what is being done, in a few words.
Progress: TypeAlias = Callable[[str], None]

#: The seconds until a first word on how far some work is, and by how much the time until the next one grows each time.
PAUSE, GROWTH = 2.0, 1.5


def silent(text: str) -> None:
    """A progress that nobody hears."""


def counted(progress: Progress, what: str, total: int) -> Callable[[int], None]:
    """Say how far work on ``total`` things is and about how long it will take, once in a while, when told how many are done."""
    started = time.monotonic()
    due, pause = started + PAUSE, PAUSE

    def tell(done: int) -> None:
        nonlocal due, pause
        now = time.monotonic()
        if now >= due and 0 < done < total:
            pause *= GROWTH
            due = now + pause
            progress(f"{what}: {done:,} of {total:,}, about {duration((now - started) * (total - done) / done)} left")

    return tell


def duration(seconds: float) -> str:
    """A time in words: ``40 s``, ``3 min``, ``2 h``."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 6000 else f"{round(seconds / 3600)} h"
