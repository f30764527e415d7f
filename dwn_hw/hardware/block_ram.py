"""Counts the block RAMs that a memory takes: columns of its bits, each of blocks of one of the shapes that a family has."""

from __future__ import annotations

from dwn_hw.hardware.folded.engine_schedule import Memory

#: The shapes (rows, bits) of a block with one port to write and one to read; for the 7 series the half block of 18 Kbit.
_BLOCKS_18K = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
SHAPES = {
    "generic": _BLOCKS_18K,
    "xc7": _BLOCKS_18K,
    "ecp5": _BLOCKS_18K,
    "gowin": _BLOCKS_18K,
    "ice40": ((2048, 2), (1024, 4), (512, 8), (256, 16)),
}


def block_rams(memory: Memory, family: str) -> int:
    """The fewest blocks for a memory. Tools that find bits which are always the same take a few less for weights."""
    fewest = [0]
    for bits in range(1, memory.bits + 1):
        fewest.append(min(-(-memory.rows // rows) + fewest[max(0, bits - wide)] for rows, wide in SHAPES[family]))
    return fewest[-1]


def banks(memory: Memory, family: str) -> int:
    """The number of blocks one behind the other, of the best single shape; a multiplexer chooses from so many for every bit."""
    blocks = [(-(-memory.rows // rows), -(-memory.bits // wide)) for rows, wide in SHAPES[family]]
    return min(blocks, key=lambda block: block[0] * block[1])[0]
