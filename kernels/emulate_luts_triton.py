"""Networks of look-up tables bit-sliced on a GPU: a word holds one bit of 32 samples. Compiled by Triton, or interpreted.

A *plane* is a row of words, int32: bit ``s`` of word ``w`` is of sample ``32·w + s``. All networks share this code: thresholds,
wires and tables are its data. Names in capitals that begin with ``B`` are sizes of blocks, powers of two.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _packed(bits):
    """Bits (rows, words, 32) as words (rows, words): their sum, since each has a place of its own."""
    return tl.sum(bits.to(tl.int32) << tl.arange(0, 32)[None, None, :], axis=2)


@triton.jit
def _positive(value):
    """Whether a value is above 0; numbers of 16 bits are compared as float32, which the interpreter needs."""
    if value.dtype.is_floating() and value.dtype.primitive_bitwidth == 16:
        return value.to(tl.float32) > 0
    else:  # noqa: RET505  # Triton takes a branch that is decided when it compiles only so
        return value > 0


@triton.jit
def pack(x, planes, samples, inputs, words, x_sample, x_input, BI: tl.constexpr, BW: tl.constexpr):
    """The planes (inputs, words) of ``x > 0``, with strides of ``x``; after the last sample zeros."""
    i = (tl.program_id(0) * BI + tl.arange(0, BI)).to(tl.int64)
    w = tl.program_id(1) * BW + tl.arange(0, BW)
    b = w.to(tl.int64)[None, :, None] * 32 + tl.arange(0, 32)[None, None, :]
    inside = (i[:, None, None] < inputs) & (b < samples)
    value = tl.load(x + b * x_sample + i[:, None, None] * x_input, mask=inside, other=0)
    place = planes + i[:, None] * words + w[None, :]
    tl.store(place, _packed(_positive(value)), mask=(i[:, None] < inputs) & (w[None, :] < words))


@triton.jit
def unpack(planes, out, samples, inputs, words, o_sample, o_input, BI: tl.constexpr, BW: tl.constexpr):
    """``out[b, i]``: bit ``b`` of plane ``i``, 0 or 1 in the type of ``out``."""
    i = (tl.program_id(0) * BI + tl.arange(0, BI)).to(tl.int64)
    w = tl.program_id(1) * BW + tl.arange(0, BW)
    b = w.to(tl.int64)[None, :, None] * 32 + tl.arange(0, 32)[None, None, :]
    word = tl.load(planes + i[:, None] * words + w[None, :], mask=(i[:, None] < inputs) & (w[None, :] < words), other=0)
    bit = (word[:, :, None] >> tl.arange(0, 32)[None, None, :]) & 1
    inside = (i[:, None, None] < inputs) & (b < samples)
    tl.store(out + b * o_sample + i[:, None, None] * o_input, bit.to(tl.float32).to(out.dtype.element_ty), mask=inside)


@triton.jit
def encode(codes, features, thresholds, planes, samples, count, words, BT: tl.constexpr, BW: tl.constexpr):
    """The planes (count, words) of ``codes[features[t]] >= thresholds[t]``.

    ``codes`` (features, samples), integers; compared in the type of ``thresholds``, which holds both.
    """
    t = tl.program_id(0) * BT + tl.arange(0, BT)
    w = tl.program_id(1) * BW + tl.arange(0, BW)
    feature = tl.load(features + t, mask=t < count, other=0).to(tl.int64)
    threshold = tl.load(thresholds + t, mask=t < count, other=0)
    b = w.to(tl.int64)[None, :, None] * 32 + tl.arange(0, 32)[None, None, :]
    inside = (t[:, None, None] < count) & (b < samples)
    code = tl.load(codes + feature[:, None, None] * samples + b, mask=inside, other=0).to(thresholds.dtype.element_ty)
    place = planes + t.to(tl.int64)[:, None] * words + w[None, :]
    tl.store(
        place, _packed((code >= threshold[:, None, None]) & inside), mask=(t[:, None] < count) & (w[None, :] < words)
    )


@triton.jit
def _of_word(word, planes, FIRST: tl.constexpr, LEVEL: tl.constexpr):
    """What the ``2^LEVEL`` entries of a table from bit ``FIRST`` of ``word`` on give: a multiplexer of their halves.

    ``word`` (luts, 1); ``planes``: the inputs' words, each (luts, words), the lowest input first.
    """
    if LEVEL == 0:
        # All ones or all zeros, made once for all words of a LUT.
        return -((word >> FIRST) & 1)
    else:  # noqa: RET505  # Triton takes a branch that is decided when it compiles only so
        low = _of_word(word, planes, FIRST, LEVEL - 1)
        high = _of_word(word, planes, FIRST + (1 << (LEVEL - 1)), LEVEL - 1)
        return low ^ ((low ^ high) & planes[LEVEL - 1])


@triton.jit
def _of_table(table, inside, planes, FIRST: tl.constexpr, LEVEL: tl.constexpr):
    """The same from word ``FIRST`` of a table on; ``table``: pointers (luts, 1) to its words of 32 entries."""
    if LEVEL <= 5:
        return _of_word(tl.load(table + FIRST, mask=inside, other=0), planes, 0, LEVEL)
    else:  # noqa: RET505
        low = _of_table(table, inside, planes, FIRST, LEVEL - 1)
        high = _of_table(table, inside, planes, FIRST + (1 << (LEVEL - 6)), LEVEL - 1)
        return low ^ ((low ^ high) & planes[LEVEL - 1])


@triton.jit
def _plane(planes, wires, j, w, inside, words, count, N: tl.constexpr, SLOT: tl.constexpr):
    """The words of the plane that a slot reads; of a slot that a LUT of ``N`` inputs has not, those of its last one."""
    wire = tl.load(wires + j * N + min(SLOT, N - 1), mask=j < count, other=0).to(tl.int64)
    return tl.load(planes + wire * words + w, mask=inside, other=0)


@triton.jit
def look_up(
    planes,
    wires,
    tables,
    rows,
    out,
    count,
    words,
    table_size,
    N: tl.constexpr,
    ORDERED: tl.constexpr,
    BL: tl.constexpr,
    BW: tl.constexpr,
):
    """Plane ``rows[j]`` of ``out`` is what table ``j`` gives for the planes ``wires[j]``, for LUTs of ``N`` inputs.

    With ``ORDERED`` it is plane ``j``. ``wires`` (count, N); entry ``a`` of a table is bit ``a % 32`` of word ``a // 32`` of the
    ``table_size`` words that it has.
    """
    j = tl.program_id(0) * BL + tl.arange(0, BL)[:, None]
    w = tl.program_id(1) * BW + tl.arange(0, BW)[None, :]
    inside = (j < count) & (w < words)
    x0 = _plane(planes, wires, j, w, inside, words, count, N, 0)
    x1 = _plane(planes, wires, j, w, inside, words, count, N, 1)
    x2 = _plane(planes, wires, j, w, inside, words, count, N, 2)
    x3 = _plane(planes, wires, j, w, inside, words, count, N, 3)
    x4 = _plane(planes, wires, j, w, inside, words, count, N, 4)
    x5 = _plane(planes, wires, j, w, inside, words, count, N, 5)
    x6 = _plane(planes, wires, j, w, inside, words, count, N, 6)
    x7 = _plane(planes, wires, j, w, inside, words, count, N, 7)
    table = tables + j * table_size
    found = _of_table(table, j < count, (x0, x1, x2, x3, x4, x5, x6, x7), 0, N)
    row = j
    if not ORDERED:
        row = tl.load(rows + j, mask=j < count, other=0)
    tl.store(out + row.to(tl.int64) * words + w, found, mask=inside)


@triton.jit
def vote(planes, firsts, members, weights, biases, scores, samples, words, BW: tl.constexpr):
    """``scores[g, b]``: ``biases[g]`` and, ``weights[p]`` for each of its places ``p`` whose plane ``members[p]`` has bit ``b``.

    Group ``g`` has places ``firsts[g]`` to ``firsts[g + 1]``. Counted in the type of ``weights``, which holds every score.
    """
    g = tl.program_id(0)
    w = tl.program_id(1) * BW + tl.arange(0, BW)
    place = tl.arange(0, 32)[None, :]
    total = tl.zeros([BW, 32], weights.dtype.element_ty)
    for at in range(tl.load(firsts + g), tl.load(firsts + g + 1)):
        word = tl.load(planes + tl.load(members + at).to(tl.int64) * words + w, mask=w < words, other=0)
        total += ((word[:, None] >> place) & 1).to(weights.dtype.element_ty) * tl.load(weights + at)
    total += tl.load(biases + g)
    b = w.to(tl.int64)[:, None] * 32 + place
    tl.store(scores + g.to(tl.int64) * samples + b, total.to(scores.dtype.element_ty), mask=b < samples)
