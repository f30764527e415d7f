"""Weights that are powers of two, made from trained numbers in one pass over them. Compiled by numba.

Arrays are flat float32, and results are written as the bits of float32: ``sign << 31 | (exponent + 127) << 23``, for exponents
from −126 to 127. Rounding is to the nearest, halves to even, as torch rounds.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_SIGN, _EXPONENT, _MANTISSA = 31, 23, (1 << 23) - 1

#: The mantissa of the square root of 2, where a logarithm's rounding turns, and how near to it the logarithm itself has to say.
_TURN, _NEAR = 3474675, 1 << 10


@njit(nogil=True, cache=True)
def from_shifts(shift, sign, first, last, bits):
    """Write ``2^round(shift) · sign(round(sign))``; False if a number is none, or out of range."""
    shift, sign, bits = shift[first:last], sign[first:last], bits[first:last]
    odd = 0
    for i in range(len(bits)):
        power, side = np.rint(shift[i]), np.rint(sign[i])
        odd += not (-126 <= power <= 127 and side == side)
        negative = np.int32(1) if side < 0 else np.int32(0)
        number = (np.int32(power) + np.int32(127)) << np.int32(_EXPONENT) | negative << np.int32(_SIGN)
        bits[i] = np.int32(0) if side == 0 else number
    return odd == 0


@njit(nogil=True, cache=True)
def shift_gradients(grads, weights, ln2, first, last, out):
    """Write ``grads · sign(weights) · (|weights| · ln2)``, rounded where torch rounds: the gradient of the exponents."""
    grads, weights, out = grads[first:last], weights[first:last], out[first:last]
    for i in range(len(out)):
        weight = weights[i]
        side = np.float32(weight > 0) - np.float32(weight < 0)
        out[i] = (grads[i] * side) * (np.abs(weight) * ln2)


@njit(nogil=True, cache=True)
def from_weights(weight, source, least, most, first, last, bits, unsure):
    """Clamp magnitudes to ``least``…``most`` in place, and write the powers of two that they are rounded to; 0 for 0.

    ``source``: the bits of ``weight``, the same memory. Writes the places where the logarithm is too near to a half to tell,
    into ``unsure`` from ``first`` on, and returns how many; −1 if a number is NaN.
    """
    found = first
    for i in range(first, last):
        value = weight[i]
        if value != value:
            return -1
        size = np.abs(value)
        if size == 0:
            weight[i] = bits[i] = 0  # of either sign: torch's sign of −0 is 0
            continue
        size = min(max(size, least), most)
        weight[i] = size if value > 0 else -size
        number = source[i]
        mantissa = number & np.int32(_MANTISSA)
        up = np.int32(1) if mantissa > _TURN else np.int32(0)
        bits[i] = (number - mantissa) + (up << np.int32(_EXPONENT))
        if np.abs(mantissa - _TURN) < _NEAR:
            unsure[found] = i
            found += 1
    return found - first
