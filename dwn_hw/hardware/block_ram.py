"""How many block RAMs a memory takes: columns of its bits, each of blocks of one of the shapes that a family has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dwn_hw.hardware.families import BlockRam, Shapes


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory of ``rows`` rows of ``bits`` bits each; ``block``: whether it stands in block RAM, else in LUTs."""

    bits: int
    rows: int
    block: bool = True

    @property
    def size(self) -> int:
        """The memory's size in bits."""
        return self.bits * self.rows


def block_rams(memory: Memory, ram: BlockRam) -> float:
    """The fewest blocks, in the family's unit (:class:`BlockRam`); of a family whose blocks are used by halves, in halves: 24.5.

    Tools that find bits which are always the same take a few less for weights.
    """
    if not ram.halves:
        return _fewest(memory, ram.shapes)
    return added((_fewest(memory, ram.halves) / 2,))


def added(counts: Iterable[float]) -> float:
    """The sum of counts of which some may be halves, as a person writes it: 3 and not 3.0, and 24.5."""
    total = sum(counts)
    return int(total) if total == int(total) else total


def banks(memory: Memory, ram: BlockRam) -> int:
    """Blocks one behind the other, of the best single shape: so many a multiplexer chooses from, for every bit."""
    blocks = [(-(-memory.rows // rows), -(-memory.bits // wide)) for rows, wide in ram.shapes]
    return min(blocks, key=lambda block: block[0] * block[1])[0]


def _fewest(memory: Memory, shapes: Shapes) -> int:
    """By the width that is left: the best of all ways to cut the bits into columns."""
    fewest = [0]
    for bits in range(1, memory.bits + 1):
        fewest.append(min(-(-memory.rows // rows) + fewest[max(0, bits - wide)] for rows, wide in shapes))
    return fewest[-1]
