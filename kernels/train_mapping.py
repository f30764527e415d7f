"""Gradients of a mapping that chooses among candidate wires. Compiled by numba.

All arrays are float32 and transposed: a row holds one wire, or one slot, of the whole batch, so that every inner loop runs along
memory. A thread has rows of the result to itself, so sums do not depend on how many threads there are.
"""

from __future__ import annotations

import numpy as np
from numba import njit

#: What sums may be regrouped for: a processor adds several products at once.
_FAST = {"reassoc", "contract", "nsz"}


@njit(nogil=True, cache=True, fastmath=_FAST)
def weight_gradient(signs, grads, candidates, first, last, out):
    """``out[c, j]`` = Σ over the batch of ``signs[candidates[c, j]] · grads[j]``, for slots ``first`` to ``last``.

    ``signs`` (inputs, batch): −1 or 1; ``grads`` (slots, batch); ``candidates`` and ``out`` (candidates, slots).
    """
    batch = signs.shape[1]
    for slot in range(first, last):
        for c in range(len(candidates)):
            wire = candidates[c, slot]
            total = np.float32(0)
            for sample in range(batch):
                total += signs[wire, sample] * grads[slot, sample]
            out[c, slot] = total


@njit(nogil=True, cache=True, fastmath=_FAST)
def input_gradient(shares, grads, firsts, places, first, last, out):
    """``out[i]`` = Σ ``share · grads[slot]`` over all candidates that are input ``i``, for inputs ``first`` to ``last``.

    ``shares`` (candidates · slots,): the softmax of the weights; ``places[firsts[i]:firsts[i + 1]]``: the places in it of input
    ``i``; ``grads`` (slots, batch); ``out`` (inputs, batch).
    """
    slots, batch = grads.shape
    for wire in range(first, last):
        for sample in range(batch):
            out[wire, sample] = 0
        for at in range(firsts[wire], firsts[wire + 1]):
            share = shares[places[at]]
            if share != 0:  # almost all are 0 where the temperature is low
                slot = places[at] % slots
                for sample in range(batch):
                    out[wire, sample] += share * grads[slot, sample]
