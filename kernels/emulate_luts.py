"""Emulates a network of look-up tables bit-sliced: a word holds one bit of 64 samples. Compiled by numba.

All networks share this code: tables, wires and thresholds are its data. A block of samples goes through the whole network
before the next one does, so that its planes (a row of words for each bit) stay in the cache; nothing is allocated inside.

* **Thermometer.** Codes are transposed to bit-planes, 64 samples of eight bytes at a time: bytes, bits (the 8 × 8 transpose of
  Warren's Hacker's Delight, section 7-3), bytes. A comparison with a constant is then one AND or OR a bit, from the lowest up.
* **LUT.** The first two inputs give the planes of all sixteen functions of two bits; a nibble of the table is the index of
  one of them, and multiplexers on the other inputs choose. A table of 6 inputs takes 57 operations a word instead of 157.
* **Vote.** Bits are counted by carry-save adders in the manner of Harley and Seal: a level of weight 2^b holds a sum and, at
  every other bit that comes, one that waits. A member of weight w is a bit at each level that is set in w; one of negative
  weight is counted inverted, which the bias makes good.
"""

from __future__ import annotations

import numpy as np
from numba import njit

#: The words of a plane in a block, and the samples that they hold.
WORDS = 16
BLOCK = 64 * WORDS

_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ZERO = np.uint64(0)
_ONE = np.uint64(1)

#: Masks of the transposes, and the distances by which bits move.
_T1, _T2, _T3 = np.uint64(0x00AA00AA00AA00AA), np.uint64(0x0000CCCC0000CCCC), np.uint64(0x00000000F0F0F0F0)
_S1, _S2, _S3 = np.uint64(7), np.uint64(14), np.uint64(28)
_HALF, _QUARTER, _EIGHTH = np.uint64(0x00000000FFFFFFFF), np.uint64(0x0000FFFF0000FFFF), np.uint64(0x00FF00FF00FF00FF)
_32, _16, _8 = np.uint64(32), np.uint64(16), np.uint64(8)


@njit(nogil=True, cache=True)
def _swap(t, i, j, mask, distance):
    """One step of a transpose, in all lanes: words ``i`` and ``j`` exchange what lies ``distance`` apart."""
    for lane in range(8):
        x, y = t[i, lane], t[j, lane]
        t[i, lane] = (x & mask) | ((y & mask) << distance)
        t[j, lane] = ((x >> distance) & mask) | (y & ~mask)


@njit(nogil=True, cache=True)
def _transpose_bytes(t):
    """In each of 8 lanes of ``t`` (8, 8), eight words as a matrix of 8 × 8 bytes: byte ``i`` of word ``j`` and back."""
    for i in range(4):
        _swap(t, i, i + 4, _HALF, _32)
    for i in (0, 1, 4, 5):
        _swap(t, i, i + 2, _QUARTER, _16)
    for i in (0, 2, 4, 6):
        _swap(t, i, i + 1, _EIGHTH, _8)


@njit(nogil=True, cache=True)
def _to_planes(rows, first, last, tile, planes, t, u):
    """The planes (64, WORDS) of the bits of word ``tile`` of samples ``rows`` (samples, tiles) from ``first``: bit ``b`` of byte
    ``c`` is plane ``8·c + b``. There are samples before ``last``; after it the last one stands in.
    """
    for word in range(WORDS):
        start = first + 64 * word
        if start >= last:
            break
        if start + 64 <= last:
            for group in range(8):
                for i in range(8):
                    t[i, group] = rows[start + 8 * group + i, tile]
        else:
            for group in range(8):
                for i in range(8):
                    t[i, group] = rows[min(start + 8 * group + i, last - 1), tile]
        _transpose_bytes(t)  # now word c of lane g: byte c of the eight samples of group g
        for c in range(8):
            for group in range(8):
                x = t[c, group]
                y = (x ^ (x >> _S1)) & _T1
                x = x ^ y ^ (y << _S1)
                y = (x ^ (x >> _S2)) & _T2
                x = x ^ y ^ (y << _S2)
                y = (x ^ (x >> _S3)) & _T3
                t[c, group] = x ^ y ^ (y << _S3)  # byte b: bit b of those eight
        for c in range(8):
            for group in range(8):
                u[group, c] = t[c, group]
        _transpose_bytes(u)  # word b of lane c: bit b of byte c of all 64 samples
        for c in range(8):
            for bit in range(8):
                planes[8 * c + bit, word] = u[bit, c]


@njit(nogil=True, cache=True)
def encode(rows, first, last, lows, bits, flips, firsts, thresholds, tile_planes, t, u, planes):
    """The planes of all thermometer bits of at most BLOCK samples ``rows`` (samples, tiles) from ``first``.

    Feature ``f`` lies in the bits of a row from ``lows[f]`` up, ``bits[f]`` of them, and in one tile of 64; if ``flips[f]``, as
    two's complement. Its thresholds are ``thresholds[firsts[f]:firsts[f + 1]]``, in the order of ``planes``, counted from the
    lowest code. ``tile_planes`` (64, WORDS), ``t`` and ``u`` (8, 8) are where planes are made.
    """
    made = -1
    for f in range(len(lows)):
        width, tile, low = bits[f], lows[f] // 64, lows[f] % 64
        if tile != made:
            _to_planes(rows, first, last, tile, tile_planes, t, u)
            made = tile
        if flips[f]:
            for word in range(WORDS):
                tile_planes[low + width - 1, word] = ~tile_planes[low + width - 1, word]
        for place in range(firsts[f], firsts[f + 1]):
            threshold = thresholds[place]
            if threshold <= 0 or threshold >> width:
                constant = _ALL if threshold <= 0 else _ZERO
                for word in range(WORDS):
                    planes[place, word] = constant
                continue
            # From the lowest bit that is set: below it every code is great enough.
            lowest = 0
            while not (threshold >> lowest) & 1:
                lowest += 1
            for word in range(WORDS):
                planes[place, word] = tile_planes[low + lowest, word]
            for bit in range(lowest + 1, width):
                if (threshold >> bit) & 1:
                    for word in range(WORDS):
                        planes[place, word] &= tile_planes[low + bit, word]
                else:
                    for word in range(WORDS):
                        planes[place, word] |= tile_planes[low + bit, word]


@njit(nogil=True, cache=True)
def look_up(before, wires, sizes, nibbles, after, functions, level):
    """A layer: planes ``before`` (inputs, WORDS) to ``after`` (luts, WORDS).

    ``wires`` (luts, 8), ``sizes`` (luts,) from 2: the inputs of each; ``nibbles`` (luts, 64): its table, four entries each.
    ``functions`` (16, WORDS) and ``level`` (32, WORDS) are where intermediate planes are made.
    """
    for j in range(len(sizes)):
        n, a, b = sizes[j], wires[j, 0], wires[j, 1]
        for word in range(WORDS):
            x, y = before[a, word], before[b, word]
            both, neither, only_x, only_y = x & y, ~(x | y), x & ~y, y & ~x
            functions[0, word] = _ZERO
            functions[1, word] = neither
            functions[2, word] = only_x
            functions[3, word] = ~y
            functions[4, word] = only_y
            functions[5, word] = ~x
            functions[6, word] = x ^ y
            functions[7, word] = ~both
            functions[8, word] = both
            functions[9, word] = ~(x ^ y)
            functions[10, word] = x
            functions[11, word] = ~only_y
            functions[12, word] = y
            functions[13, word] = ~only_x
            functions[14, word] = ~neither
            functions[15, word] = _ALL
        if n == 2:
            for word in range(WORDS):
                after[j, word] = functions[nibbles[j, 0], word]
            continue
        c, count = wires[j, 2], 1 << (n - 3)
        for i in range(count):
            low, high = nibbles[j, 2 * i], nibbles[j, 2 * i + 1]
            for word in range(WORDS):
                p = functions[low, word]
                level[i, word] = p ^ ((p ^ functions[high, word]) & before[c, word])
        for slot in range(3, n):
            c, count = wires[j, slot], count >> 1
            for i in range(count):
                for word in range(WORDS):
                    p = level[2 * i, word]
                    level[i, word] = p ^ ((p ^ level[2 * i + 1, word]) & before[c, word])
        for word in range(WORDS):
            after[j, word] = level[0, word]


@njit(nogil=True, cache=True)
def _count(bits, members, weights, first, last, sums, pending, waits):
    """Members ``first`` to ``last`` into ``sums`` and what waits beside them."""
    levels = len(sums)
    for level in range(levels):
        waits[level] = 0
        for word in range(WORDS):
            sums[level, word] = _ZERO
    for place in range(first, last):
        member, weight = members[place], weights[place]
        flip = _ALL if weight < 0 else _ZERO
        size = abs(weight)
        start_level = 0
        while size:
            if size & 1:
                level = start_level
                if not waits[level]:
                    waits[level] = 1
                    for word in range(WORDS):
                        pending[level, word] = bits[member, word] ^ flip
                else:
                    waits[level] = 0
                    for word in range(WORDS):
                        x, y, z = sums[level, word], pending[level, word], bits[member, word] ^ flip
                        half = x ^ y
                        sums[level, word] = half ^ z
                        pending[levels, word] = (x & y) | (half & z)
                    level += 1
                    while waits[level]:
                        waits[level] = 0
                        for word in range(WORDS):
                            x, y, z = sums[level, word], pending[level, word], pending[levels, word]
                            half = x ^ y
                            sums[level, word] = half ^ z
                            pending[levels, word] = (x & y) | (half & z)
                        level += 1
                    waits[level] = 1
                    for word in range(WORDS):
                        pending[level, word] = pending[levels, word]
            size >>= 1
            start_level += 1


@njit(nogil=True, cache=True)
def _settle(sums, pending, waits):
    """Add what waits to ``sums``, with the carries that come of it."""
    levels = len(sums)
    carries = False
    for level in range(levels):
        if waits[level]:
            for word in range(WORDS):
                x, y = sums[level, word], pending[level, word]
                z = pending[levels, word] if carries else _ZERO
                half = x ^ y
                sums[level, word] = half ^ z
                pending[levels, word] = (x & y) | (half & z)
            carries = True
        elif carries:
            for word in range(WORDS):
                x, z = sums[level, word], pending[levels, word]
                sums[level, word] = x ^ z
                pending[levels, word] = x & z


@njit(nogil=True, cache=True)
def vote(bits, count, firsts, members, weights, biases, sums, pending, waits, totals, scores, classes, start):
    """Weighted sums of each group, and which is greatest, the first of equals; for ``count`` samples from ``start`` on.

    ``members[firsts[g]:firsts[g + 1]]`` of group ``g``: places in ``bits`` (bits, WORDS); ``weights`` like them; ``biases``
    (groups,) with what inverted members add. ``sums`` (levels, WORDS), ``pending`` and ``waits`` (one more), ``totals`` (BLOCK,)
    are where sums are made. ``scores`` (samples, groups), ``classes`` (samples,).
    """
    levels = len(sums)
    for group in range(len(biases)):
        _count(bits, members, weights, firsts[group], firsts[group + 1], sums, pending, waits)
        _settle(sums, pending, waits)
        for sample in range(BLOCK):
            totals[sample] = biases[group]
        for level in range(levels):
            shift = np.uint64(level)
            for word in range(WORDS):
                plane = sums[level, word]
                if plane:
                    for i in range(64):
                        totals[word * 64 + i] += np.int64(((plane >> np.uint64(i)) & _ONE) << shift)
        for sample in range(count):
            total = totals[sample]
            scores[start + sample, group] = total
            if group == 0 or total > scores[start + sample, classes[start + sample]]:
                classes[start + sample] = group


@njit(nogil=True, cache=True)
def _block(one, other, count, network, spaces, scores, classes, start):
    """Layers and vote of one block, whose first planes are ``one``."""
    wires, sizes, nibbles, layers, vote_firsts, members, weights, biases = network
    functions, level, sums, pending, waits, totals = spaces
    before, after = one, other
    for layer in range(len(layers) - 1):
        first, last = layers[layer], layers[layer + 1]
        look_up(before, wires[first:last], sizes[first:last], nibbles[first:last], after, functions, level)
        before, after = after, before
    vote(before, count, vote_firsts, members, weights, biases, sums, pending, waits, totals, scores, classes, start)


@njit(nogil=True, cache=True)
def _spaces(levels):
    """Where intermediate planes are made."""
    return (
        np.empty((16, WORDS), np.uint64),
        np.empty((32, WORDS), np.uint64),
        np.empty((levels, WORDS), np.uint64),
        np.empty((levels + 1, WORDS), np.uint64),
        np.zeros(levels + 1, np.uint8),
        np.empty(BLOCK, np.int64),
    )


@njit(nogil=True, cache=True)
def run(rows, first, last, encoder, widest, network, levels, scores, classes):
    """Samples ``first`` to ``last`` of ``rows`` (samples, tiles) through a network; ``widest``: the most planes of an edge."""
    lows, bits, flips, firsts, thresholds = encoder
    spaces = _spaces(levels)
    tile_planes = np.empty((64, WORDS), np.uint64)
    t, u = np.empty((8, 8), np.uint64), np.empty((8, 8), np.uint64)
    one, other = np.empty((widest, WORDS), np.uint64), np.empty((widest, WORDS), np.uint64)
    for start in range(first, last, BLOCK):
        count = min(BLOCK, last - start)
        encode(rows, start, start + count, lows, bits, flips, firsts, thresholds, tile_planes, t, u, one)
        _block(one, other, count, network, spaces, scores, classes, start)


@njit(nogil=True, cache=True)
def run_packed(planes, first, last, widest, network, levels, scores, classes):
    """The same of bits that are planes already: (bits, words), bit ``i`` of word ``w`` of sample ``64·w + i``; ``first`` is a
    multiple of BLOCK.
    """
    spaces = _spaces(levels)
    one, other = np.empty((widest, WORDS), np.uint64), np.empty((widest, WORDS), np.uint64)
    for start in range(first, last, BLOCK):
        count = min(BLOCK, last - start)
        word, words = start // 64, (count + 63) // 64
        for bit in range(len(planes)):
            for i in range(words):
                one[bit, i] = planes[bit, word + i]
        _block(one, other, count, network, spaces, scores, classes, start)
