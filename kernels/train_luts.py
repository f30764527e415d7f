"""Forward and backward of a layer of look-up tables, with wires that are fixed or chosen by training. Compiled by numba.

All arrays are transposed: a row holds one wire, one LUT or one slot of the whole batch, so that every inner loop runs along
memory. Sums are float32. A thread has rows of the result to itself, so results do not depend on how many threads there are.
Rows are cut out before a loop, which then counts from 0: numba lets an index that might be negative count from the end, and a
loop that looks for it is not vectorised.
Slot ``l`` of LUT ``j`` is row ``j · n + l``, and bit ``l`` of the LUT's address.
"""

from __future__ import annotations

import numpy as np
from numba import njit

#: What sums may be regrouped for: a processor adds several products at once.
_FAST = {"reassoc", "contract", "nsz"}

#: The samples and wires of a tile that is transposed while it stays in the cache.
_TILE = 32


@njit(nogil=True, cache=True)
def transpose_bits(x, first, last, out):
    """``out[wire, sample] = x[sample, wire] > 0`` for wires ``first`` to ``last``; True if all of them are 0 or 1."""
    odd = 0
    for wire in range(first, last, _TILE):
        end = min(wire + _TILE, last)
        rows = out[wire:end]
        for sample in range(len(x)):
            values = x[sample, wire:end]
            for w in range(len(values)):
                value = values[w]
                rows[w, sample] = value > 0
                odd += value * value != value
    return odd == 0


@njit(nogil=True, cache=True)
def look_up(bits, wires, luts, first, last, steps, addresses, out):
    """``addresses[j]`` of some LUTs, and ``out[j]``: the entries there, or with ``steps`` whether they are above 0.

    ``bits`` (inputs, batch) uint8; ``wires`` (luts · n,); ``luts`` (luts, 2^n); ``addresses`` uint8, ``out`` (luts, batch).
    """
    count, batch = out.shape
    n = len(wires) // count
    for lut in range(first, last):
        address, table, own = addresses[lut], luts[lut], out[lut]
        row = bits[wires[lut * n]]
        for sample in range(batch):
            address[sample] = row[sample]
        for slot in range(1, n):
            row, shift = bits[wires[lut * n + slot]], np.uint8(slot)
            for sample in range(batch):
                address[sample] |= np.uint8(row[sample] << shift)
        if steps:
            for sample in range(batch):
                own[sample] = np.float32(1) if table[address[sample]] > 0 else np.float32(0)
        else:
            for sample in range(batch):
                own[sample] = table[address[sample]]


@njit(nogil=True, cache=True)
def _table_gradient(address, grad, out):
    out[:] = 0
    for sample in range(len(address)):
        out[address[sample]] += grad[sample]


@njit(nogil=True, cache=True, fastmath=_FAST)
def _smooth(table, scale, beta, out, other):
    """``out[a]`` = ``scale`` · Σ ``table[a'] · beta^H(a, a')`` over all addresses: one pass a bit. ``other`` is overwritten."""
    for address in range(len(table)):
        out[address] = scale * table[address]
    step = 1
    while step < len(table):
        if step < 8:
            for address in range(len(table)):
                other[address] = out[address]
            for address in range(len(table)):
                out[address] = other[address] + beta * other[address ^ step]
        else:  # whole vectors change places
            for base in range(0, len(table), 2 * step):
                low, high = out[base : base + step], out[base + step : base + 2 * step]
                for i in range(len(low)):
                    a, b = low[i], high[i]
                    low[i], high[i] = a + beta * b, b + beta * a
        step *= 2


@njit(nogil=True, cache=True, fastmath=_FAST)
def _slot_gradients(address, grad, smooth, slope, out):
    """``out[l] = grad · (smooth[address with bit l] − smooth[address without])``, by a table ``slope`` of the differences."""
    for slot in range(len(out)):
        step = 1 << slot
        for at in range(len(smooth)):
            slope[at] = smooth[at | step] - smooth[at & ~step]
        own = out[slot]
        for sample in range(len(address)):
            own[sample] = grad[sample] * slope[address[sample]]


@njit(nogil=True, cache=True)
def table_gradients(addresses, grads, first, last, out):
    """``out[j, a]`` = Σ ``grads[j]`` over the samples at address ``a``, for LUTs ``first`` to ``last``."""
    for lut in range(first, last):
        _table_gradient(addresses[lut], grads[lut], out[lut])


@njit(nogil=True, cache=True)
def slot_gradients(addresses, grads, luts, scale, beta, first, last, table_grads, out):
    """The gradients of tables, and of the slots, ``out`` (luts · n, batch), of LUTs ``first`` to ``last``."""
    n, entries = len(out) // len(grads), luts.shape[1]
    smooth, slope = np.empty(entries, np.float32), np.empty(entries, np.float32)
    for lut in range(first, last):
        _table_gradient(addresses[lut], grads[lut], table_grads[lut])
        _smooth(luts[lut], scale, beta, smooth, slope)
        _slot_gradients(addresses[lut], grads[lut], smooth, slope, out[lut * n : lut * n + n])


@njit(nogil=True, cache=True, fastmath=_FAST)
def candidate_gradients(addresses, grads, luts, scale, beta, x, candidates, first, last, table_grads, out):
    """The gradients of tables, and of the weights of candidates, ``out`` (candidates, luts · n), of LUTs ``first`` to ``last``.

    ``x`` (inputs, batch): the wires' values; a weight gets Σ ``(2x − 1) · slot gradient``. Slot gradients are never written out.
    """
    n, entries = out.shape[1] // len(grads), luts.shape[1]
    smooth, slope = np.empty(entries, np.float32), np.empty(entries, np.float32)
    own = np.empty((n, grads.shape[1]), np.float32)
    for lut in range(first, last):
        _table_gradient(addresses[lut], grads[lut], table_grads[lut])
        _smooth(luts[lut], scale, beta, smooth, slope)
        _slot_gradients(addresses[lut], grads[lut], smooth, slope, own)
        for slot in range(n):
            _signed_sums(x, own[slot], candidates[:, lut * n + slot], out[:, lut * n + slot])


@njit(nogil=True, cache=True, fastmath=_FAST, inline="always")
def _signed_sums(x, grad, wires, out):
    """``out[c]`` = Σ ``(2 · x[wires[c]] − 1) · grad``, eight wires at a time, so that ``grad`` is read once for them."""
    total = np.float32(0)
    for sample in range(len(grad)):
        total += grad[sample]
    eights = len(wires) // 8 * 8
    for c in range(0, eights, 8):
        x0, x1, x2, x3 = x[wires[c]], x[wires[c + 1]], x[wires[c + 2]], x[wires[c + 3]]
        x4, x5, x6, x7 = x[wires[c + 4]], x[wires[c + 5]], x[wires[c + 6]], x[wires[c + 7]]
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = np.float32(0)
        for sample in range(len(grad)):
            value = grad[sample]
            s0 += np.float32(x0[sample]) * value
            s1 += np.float32(x1[sample]) * value
            s2 += np.float32(x2[sample]) * value
            s3 += np.float32(x3[sample]) * value
            s4 += np.float32(x4[sample]) * value
            s5 += np.float32(x5[sample]) * value
            s6 += np.float32(x6[sample]) * value
            s7 += np.float32(x7[sample]) * value
        out[c], out[c + 1], out[c + 2], out[c + 3] = s0, s1, s2, s3
        out[c + 4], out[c + 5], out[c + 6], out[c + 7] = s4, s5, s6, s7
    for c in range(eights, len(wires)):
        row, one = x[wires[c]], np.float32(0)
        for sample in range(len(grad)):
            one += np.float32(row[sample]) * grad[sample]
        out[c] = one
    for c in range(len(wires)):
        out[c] = 2 * out[c] - total


@njit(nogil=True, cache=True)
def sort_by_wire(wires, firsts, order):
    """Write the places in ``wires`` of each input, one input after the other, in order, and where each input's begin."""
    firsts[:] = 0
    for wire in wires:
        firsts[wire + 1] += 1
    for wire in range(len(firsts) - 1):
        firsts[wire + 1] += firsts[wire]
    at = firsts[:-1].copy()
    for place in range(len(wires)):
        order[at[wires[place]]] = place
        at[wires[place]] += 1


@njit(nogil=True, cache=True, fastmath=_FAST)
def sum_by_wire(grads, shares, slots, firsts, order, first, last, out):
    """``out[i]`` = Σ ``share · grads[slot]`` over the places of input ``i``, for inputs ``first`` to ``last``.

    ``grads`` (slots, batch); ``shares`` and ``slots`` say what each place is; ``order[firsts[i]:firsts[i + 1]]`` are ``i``'s.
    """
    for wire in range(first, last):
        own = out[wire]
        own[:] = 0
        for at in range(firsts[wire], firsts[wire + 1]):
            row, share = grads[slots[order[at]]], shares[order[at]]
            for sample in range(len(own)):
                own[sample] += share * row[sample]


@njit(nogil=True, cache=True)
def column_maxima(weights, first, last, best, rows):
    """The largest weight of columns ``first`` to ``last``, and its row: the first of equals."""
    best, rows = best[first:last], rows[first:last]
    best[:], rows[:] = weights[0, first:last], 0
    for row in range(1, len(weights)):
        values, number = weights[row, first:last], np.int32(row)
        for column in range(len(values)):
            higher = values[column] > best[column]
            rows[column] = number if higher else rows[column]
            best[column] = values[column] if higher else best[column]


@njit(nogil=True, cache=True)
def count_shares(weights, best, reach, first, last, counts):
    """How many weights of columns ``first`` to ``last`` come within ``reach`` of the largest."""
    best, counts = best[first:last], counts[first:last]
    counts[:] = 0
    for row in range(len(weights)):
        values = weights[row, first:last]
        for column in range(len(values)):
            counts[column] += values[column] > best[column] - reach


@njit(nogil=True, cache=True, error_model="numpy")
def fill_shares(weights, best, tau, reach, first, last, at, rows, shares, columns):
    """The softmax of ``weights / tau`` down some columns, before it is normalised; written from ``at[column]`` on."""
    best, at = best[first:last], at[first:last]
    for row in range(len(weights)):
        values = weights[row, first:last]
        for column in range(len(values)):
            if values[column] > best[column] - reach:
                place = at[column]
                rows[place], columns[place] = row, first + column
                shares[place] = np.exp((values[column] - best[column]) / tau)
                at[column] = place + 1


@njit(nogil=True, cache=True, error_model="numpy")
def normalise_shares(shares, ends, first, last):
    """Divide the shares of each column by their sum; those of ``column`` end at ``ends[column]``."""
    for column in range(first, last):
        start = ends[column - 1] if column else 0
        total = np.float32(0)
        for place in range(start, ends[column]):
            total += shares[place]
        for place in range(start, ends[column]):
            shares[place] /= total


@njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
def adam(weights, means, squares, grads, first, last, rates):
    """A step of Adam on elements ``first`` to ``last`` of flat arrays; ``rates``: lr / (1 − β1^t), β1, β2, 1 / √(1 − β2^t), ε."""
    rate, beta1, beta2, correction, epsilon = rates
    one = np.float32(1)
    weights, means, squares, grads = weights[first:last], means[first:last], squares[first:last], grads[first:last]
    for i in range(len(grads)):
        grad = grads[i]
        mean = means[i] + (one - beta1) * (grad - means[i])
        square = beta2 * squares[i] + (one - beta2) * grad * grad
        means[i], squares[i] = mean, square
        weights[i] -= rate * mean / (np.sqrt(square) * correction + epsilon)
