"""Sides of a comparison, run in turn: what happens to the machine meanwhile happens to all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def medians(sides: Mapping[str, Callable[[], object]], rounds: int, warm: int = 0) -> dict[str, float]:
    """The median seconds of each side, in so many rounds after ``warm`` ones that do not count."""
    taken: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(rounds + warm):
        for side, work in sides.items():
            started = time.perf_counter()
            work()
            if number >= warm:
                taken[side].append(time.perf_counter() - started)
    return {side: statistics.median(several) for side, several in taken.items()}
