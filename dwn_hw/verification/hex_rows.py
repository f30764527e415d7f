"""Rows of bits as text in hexadecimal, the way a simulator reads and writes them, without a loop over rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)


def digits(bits: int) -> int:
    """How many a number of so many bits is written with."""
    return -(-bits // 4)


def to_text(packed: Bytes, bits: int) -> Bytes:
    """Packed rows (rows, bytes), lowest bit first, as characters (rows, digits), highest first."""
    high = packed[:, ::-1]
    text = np.stack([_DIGITS[high >> 4], _DIGITS[high & 15]], axis=2).reshape(len(packed), -1)
    return text[:, text.shape[1] - digits(bits) :]


def first_difference(expected: Bytes, got: Bytes, width: int) -> tuple[int, int, int | str]:
    """Of two unequal rows of characters the first entry of ``width`` bits that differs: (entry, expected, got)."""
    lowest = int(np.flatnonzero((expected != got)[::-1])[0])
    wanted, found = int(expected.tobytes(), 16), got.tobytes().decode()
    char = found[-1 - lowest]
    known = char in "0123456789abcdef"
    different = wanted ^ int(char, 16) << 4 * lowest if known else 0
    at = 4 * lowest
    if known:
        nibble = (different >> at) & 15
        at += (nibble & -nibble).bit_length() - 1
    unit = at // width
    mask = (1 << width) - 1
    value = "".join(c if c in "0123456789abcdef" else "0" for c in found)
    return unit, wanted >> unit * width & mask, int(value, 16) >> unit * width & mask if known else "unknown"
