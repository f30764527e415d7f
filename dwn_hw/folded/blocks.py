"""How many block RAMs a memory takes: it is cut into rectangles of one of the shapes that a family's block has."""

from __future__ import annotations

from dwn_hw.folded.schedule import Memory

#: (rows, bits) of a block with one port to write and one to read. Of the 7 series the half block of 18 Kbit.
_BLOCKS_18K = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
SHAPES = {
    "generic": _BLOCKS_18K,
    "xc7": _BLOCKS_18K,
    "ecp5": _BLOCKS_18K,
    "gowin": _BLOCKS_18K,
    "ice40": ((2048, 2), (1024, 4), (512, 8), (256, 16)),
}


def block_rams(memory: Memory, family: str) -> int:
    """The fewest blocks of one shape that hold it."""
    return min(-(-memory.rows // rows) * -(-memory.bits // bits) for rows, bits in SHAPES[family])
