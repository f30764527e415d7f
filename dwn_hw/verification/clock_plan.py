"""What a design of a parallel network is offered in each clock, and which vector each of its stages must hold then.

A pipeline that is right takes and gives transfers when it must, so that all of it is known beforehand: a bench plays the
clocks, and what it saw is compared afterwards. A design that takes or gives at another clock differs at that clock's handshake.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]

#: Pauses and stalls, as shares of the clocks, of the slow runs.
SLOW_RUNS = ((0.5, 0.0), (0.0, 0.5), (0.3, 0.3), (0.1, 0.9))

#: Resets in mid-stream, and the vectors behind each.
RESETS, BEHIND = 20, 8

#: One clock in so many is late: inputs change while it is still high, or a register on the wrong edge would not show.
LATE = 8

#: No vector.
NONE = -1


@dataclass(frozen=True, slots=True)
class Pins:
    """Whether a design has ``streams`` with valid and ready, and a ``reset``; ``latency`` in clocks; transfers a vector."""

    streams: bool
    reset: bool
    latency: int
    interval: int


@dataclass(frozen=True, slots=True)
class Clocks:
    """Arrays (clocks,): the vector on offer, its ``word``, ``ready``, ``reset``; ``held`` (clocks, latency) in each stage.

    ``phases``: (name, first clock, clock behind the last).
    """

    offered: Ints
    word: Ints
    ready: Ints
    reset: Ints
    held: Ints
    phases: tuple[tuple[str, int, int], ...]

    def behind(self, clocks: int) -> Ints:
        """The vector that was taken so many clocks ago, of those in which nothing stood still."""
        return self.held[:, clocks - 1] if clocks else self.offered

    def advances(self, pins: Pins) -> npt.NDArray[np.bool_]:
        """The clocks in which the pipeline moves on."""
        free: npt.NDArray[np.bool_] = (self.ready == 1) | (self.behind(pins.latency) == NONE) | (not pins.streams)
        return free


def make(pins: Pins, vectors: int, slow: int, seed: int) -> Clocks:
    """All vectors at full speed; where there are streams, so many in each slow run with pauses and stalls; resets if there are.

    Everything random follows from ``seed``.
    """
    plan = _Plan(pins)
    plan.begin("full_speed")
    plan.send(range(vectors))
    if pins.streams:
        rng = random.Random(seed)
        plan.begin("idle_and_back_pressure")
        for idle, stall in SLOW_RUNS:
            plan.send(rng.sample(range(vectors), min(vectors, slow)), idle, stall, rng)
    if pins.reset:
        rng = random.Random(seed + 1)
        plan.begin("reset_in_mid_stream")
        for _ in range(RESETS):
            plan.interrupt(vectors, rng)
            plan.send([rng.randrange(vectors) for _ in range(BEHIND)])
    return plan.clocks()


@dataclass(slots=True)
class _Plan:
    """Clocks as they are added, and a shadow of the pipeline."""

    pins: Pins
    rows: list[tuple[int, ...]] = field(default_factory=list)
    phases: list[tuple[str, int]] = field(default_factory=list)
    stages: tuple[int, ...] = ()
    word: int = 0

    def begin(self, name: str) -> None:
        """A phase, from a known state."""
        self.phases.append((name, len(self.rows)))
        self.stages = (NONE,) * self.pins.latency
        for _ in range(2 if self.pins.reset else 0):
            self.clock(reset=True)

    def clock(self, vector: int = NONE, ready: bool = True, reset: bool = False) -> tuple[bool, bool]:
        """One clock with the next transfer of a vector on offer: whether it was taken, and whether a result was."""
        self.rows.append((vector, self.word, ready, reset, *self.stages))
        if reset:
            self.stages, self.word = (NONE,) * self.pins.latency, 0
            return False, False
        last = self.stages[-1] if self.stages else vector
        advance = not self.pins.streams or ready or last == NONE
        taken = vector != NONE and advance
        if advance:
            whole = taken and self.word == self.pins.interval - 1
            self.stages = (vector if whole else NONE, *self.stages)[: self.pins.latency]
        self.word = (self.word + taken) % self.pins.interval
        return taken, last != NONE and (ready or not self.pins.streams)

    def send(
        self, vectors: Iterable[int], idle: float = 0.0, stall: float = 0.0, rng: random.Random | None = None
    ) -> None:
        """Vectors in order, with pauses and stalls, until all results are out. What was offered and not taken stays on offer."""

        def happens(share: float) -> bool:
            return rng is not None and share > 0 and rng.random() < share

        waiting = list(vectors)[::-1]
        due = len(waiting)
        offer = NONE
        while due:
            if offer == NONE and waiting and not happens(idle):
                offer = waiting[-1]
            taken, result = self.clock(offer, not happens(stall))
            due -= result
            if taken:
                offer = NONE
                if self.word == 0:
                    waiting.pop()

    def interrupt(self, vectors: int, rng: random.Random) -> None:
        """A reset while vectors are under way."""
        vector = 0
        for _ in range(rng.randrange(1, 3 * self.pins.latency + self.pins.interval + 1)):
            vector = vector if self.word else rng.randrange(vectors)
            self.clock(vector, ready=rng.random() < 0.7)
        vector = vector if self.word else rng.randrange(vectors)
        self.clock(vector, ready=rng.random() < 0.5, reset=True)

    def clocks(self) -> Clocks:
        """All that was added."""
        table = np.array(self.rows, np.int64)
        ends = [*(start for _, start in self.phases[1:]), len(table)]
        phases = tuple((name, start, end) for (name, start), end in zip(self.phases, ends, strict=True))
        offered, word, ready, reset = table[:, :4].T
        return Clocks(offered, word, ready, reset, table[:, 4:], phases)
