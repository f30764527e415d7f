"""How much is simulated: by default what is done in seconds, or all that is worth it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from dwn_hw.hardware.design import ParallelDesign
from dwn_hw.hardware.folded import FoldedDesign
from dwn_hw.hardware.kinds import Design
from dwn_hw.ir import vectors

#: The fewest vectors of a slow run, and the fewest searched ones of an engine, however many clocks they take.
FEWEST_SLOW, FEWEST_SEARCHED = 8, 24

#: Clocks that the searched vectors of an engine may take.
SEARCH_CLOCKS = 60_000


@dataclass(frozen=True, slots=True)
class Effort:
    """Of a parallel design, vectors and transfers of each of the four slow runs with pauses and back-pressure; of an engine, the
    clocks of each phase that is not at full speed, and clocks that its random vectors may take.
    """

    slow_vectors: int
    slow_words: int
    slow_clocks: int
    most_clocks: int

    def random(self, design: Design) -> int:
        """Random vectors that a simulation is worth; the report says how many were left out."""
        match design:
            case ParallelDesign():
                return 1 << 30
            case FoldedDesign():
                return max(1, self.most_clocks // design.interval)
            case _:
                assert_never(design)

    def slow(self, design: ParallelDesign) -> int:
        """Vectors of each slow run."""
        return min(self.slow_vectors, max(FEWEST_SLOW, self.slow_words // design.interval))


DEFAULT = Effort(60, 1000, 50_000, 1_000_000)
THOROUGH = Effort(250, 4000, 200_000, 5_000_000)


def searched(design: Design) -> int:
    """Searched vectors that a simulation is worth; they come the most telling first."""
    match design:
        case ParallelDesign():
            return vectors.SEARCHED
        case FoldedDesign():
            return min(vectors.SEARCHED, max(FEWEST_SEARCHED, SEARCH_CLOCKS // design.interval))
        case _:
            assert_never(design)
