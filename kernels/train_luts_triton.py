"""Forward and backward of layers of LUTs and of their mappings on a GPU. Compiled by Triton, or run by its interpreter on a CPU.

A program has its part of the result to itself and adds in an order that depends on sizes alone: no atomics, and the same numbers
every time. Sums are of float32, or of float64 where the tables are; results are rounded to the type that they are stored as.

A matrix may lie anyhow in memory where two strides say how, in elements: ``x_sample`` leads from one sample of ``x`` to the next.
``ALPHA``, ``BETA`` and ``TAU`` are constants of a kernel, since a number that is an argument would be rounded to float32.
Names in capitals that begin with ``B`` are sizes of blocks, powers of two.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _partner(table, entry, BIT: tl.constexpr):
    """For each entry of tables (luts, 2^n) the one whose address differs in ``BIT``."""
    return tl.gather(table, tl.broadcast_to(entry ^ (1 << BIT), table.shape), 1)


@triton.jit
def _positive(value):
    """Whether a value is above 0; numbers of 16 bits are compared as float32, which the interpreter needs."""
    if value.dtype.is_floating() and value.dtype.primitive_bitwidth == 16:
        return value.to(tl.float32) > 0
    else:  # noqa: RET505  # Triton takes a branch that is decided when it compiles only so
        return value > 0


@triton.jit
def look_up(
    x,
    wires,
    luts,
    out,
    addresses,
    samples,
    count,
    x_sample,
    x_input,
    N: tl.constexpr,
    FIXED: tl.constexpr,
    STE: tl.constexpr,
    BB: tl.constexpr,
    BL: tl.constexpr,
):
    """``addresses[b, j]``: bit ``l`` is whether ``x[b, wires[j, l]] > 0``. ``out[b, j]``: that entry of table ``j``, or with
    ``STE`` whether it is above 0.

    Without ``FIXED`` the slots' own inputs lie one after the other in ``x``, and ``wires`` is not read. ``addresses`` (samples,
    count): bytes; ``out`` the same shape; ``luts`` (count, 2^N).
    """
    b = tl.program_id(0).to(tl.int64) * BB + tl.arange(0, BB)[:, None]
    j = tl.program_id(1) * BL + tl.arange(0, BL)[None, :]
    inside = (b < samples) & (j < count)
    address = tl.zeros([BB, BL], tl.int32)
    for slot in tl.static_range(N):
        wire = j * N + slot
        if FIXED:
            wire = tl.load(wires + wire, mask=j < count, other=0)
        value = tl.load(x + b * x_sample + wire.to(tl.int64) * x_input, mask=inside, other=0)
        address |= _positive(value).to(tl.int32) << slot
    entry = tl.load(luts + j * (1 << N) + address, mask=inside, other=0)
    if STE:
        entry = _positive(entry).to(tl.float32)
    place = b * count + j
    tl.store(addresses + place, address.to(tl.uint8), mask=inside)
    tl.store(out + place, entry.to(out.dtype.element_ty), mask=inside)


@triton.jit
def slot_gradients(
    luts,
    addresses,
    grads,
    out,
    samples,
    count,
    g_sample,
    g_lut,
    o_sample,
    o_slot,
    N: tl.constexpr,
    ALPHA: tl.constexpr,
    BETA: tl.constexpr,
    BB: tl.constexpr,
    BL: tl.constexpr,
):
    """``out[b, j·N + l]`` = ``grads[b, j] · D[j, addresses[b, j], l]``; ``D`` is in the docstring of ``dwn_hw/nn/lut_layer.py``.

    ``D`` is a product over the bits of the address: a difference along bit ``l``, and along each other bit an entry plus ``BETA``
    times its partner. The bits below ``l`` are done for all ``l`` at once. So a program makes the slopes of its LUTs once, in
    memory that its threads share, and looks every sample's up.
    """
    accumulator = tl.float64 if luts.dtype.element_ty == tl.float64 else tl.float32
    j = tl.program_id(0) * BL + tl.arange(0, BL)[:, None]
    entry = tl.arange(0, 1 << N)[None, :]
    below = tl.load(luts + j * (1 << N) + entry, mask=j < count, other=0).to(accumulator)
    for slot in tl.static_range(N):
        partner = _partner(below, entry, slot)
        slope = tl.where(((entry >> slot) & 1) == 1, below - partner, partner - below)
        for other in tl.static_range(slot + 1, N):
            slope += BETA * _partner(slope, entry, other)
        slope *= ALPHA
        below += BETA * partner
        for first in range(0, samples, BB):
            b = (first + tl.arange(0, BB)[None, :]).to(tl.int64)
            inside = (b < samples) & (j < count)
            address = tl.load(addresses + b * count + j, mask=inside, other=0).to(tl.int32)
            grad = tl.load(grads + b * g_sample + j * g_lut, mask=inside, other=0).to(accumulator)
            found = tl.gather(slope, address, 1) * grad
            place = out + b * o_sample + (j * N + slot).to(tl.int64) * o_slot
            tl.store(place, found.to(out.dtype.element_ty), mask=inside)


@triton.jit
def table_gradients(
    addresses, grads, out, samples, count, g_sample, g_lut, N: tl.constexpr, BB: tl.constexpr, BL: tl.constexpr
):
    """``out[j, a]`` = Σ of ``grads[b, j]`` over the samples whose address is ``a``: (count, 2^N)."""
    accumulator = tl.float64 if grads.dtype.element_ty == tl.float64 else tl.float32
    j = tl.program_id(0) * BL + tl.arange(0, BL)[:, None]
    entry = tl.arange(0, 1 << N)
    total = tl.zeros([BL, 1 << N], accumulator)
    for first in range(0, samples, BB):
        b = (first + tl.arange(0, BB)[None, :]).to(tl.int64)
        inside = (b < samples) & (j < count)
        address = tl.load(addresses + b * count + j, mask=inside, other=0).to(tl.int32)
        grad = tl.load(grads + b * g_sample + j * g_lut, mask=inside, other=0).to(accumulator)
        hit = address[:, None, :] == entry[None, :, None]
        total += tl.sum(tl.where(hit, grad[:, None, :], 0), axis=2)
    tl.store(out + j * (1 << N) + entry[None, :], total.to(out.dtype.element_ty), mask=j < count)


@triton.jit
def input_gradients(
    grads, shares, firsts, places, out, samples, slots, o_sample, o_input, SHARED: tl.constexpr, BB: tl.constexpr
):
    """``out[b, i]`` = Σ of ``grads[p % slots, b]``, with ``SHARED`` times ``shares[p]``, over the places ``p`` of input ``i``.

    ``places[firsts[i]:firsts[i + 1]]`` are its places, in the order in which they are added: slots that read it, or the places in
    (candidates, slots) where it is a candidate. ``grads`` (slots, samples).
    """
    accumulator = tl.float64 if grads.dtype.element_ty == tl.float64 else tl.float32
    i = tl.program_id(0).to(tl.int64)
    b = tl.program_id(1).to(tl.int64) * BB + tl.arange(0, BB)
    total = tl.zeros([BB], accumulator)
    for at in range(tl.load(firsts + i), tl.load(firsts + i + 1)):
        place = tl.load(places + at)
        row = (place % slots).to(tl.int64) * samples
        if SHARED:
            share = tl.load(shares + place).to(accumulator)
            if share != 0:  # almost all are 0 where the temperature is low
                total += share * tl.load(grads + row + b, mask=b < samples, other=0).to(accumulator)
        else:
            total += tl.load(grads + row + b, mask=b < samples, other=0).to(accumulator)
    tl.store(out + b * o_sample + i * o_input, total.to(out.dtype.element_ty), mask=b < samples)


@triton.jit
def choose(weights, candidates, chosen, count, slots, AMONG: tl.constexpr, BC: tl.constexpr, BS: tl.constexpr):
    """``chosen[j]``: the row of the largest of ``weights[:, j]``, the first of equals; a NaN is larger than all, as torch has it.

    With ``AMONG`` it is ``candidates`` of that row and slot. ``weights`` and ``candidates`` (count, slots).
    """
    j = tl.program_id(0) * BS + tl.arange(0, BS)[None, :]
    row = tl.arange(0, BC)[:, None]
    best = tl.full([BC, BS], float("-inf"), weights.dtype.element_ty).to(
        tl.float64 if weights.dtype.element_ty == tl.float64 else tl.float32
    )
    best_row = tl.broadcast_to(row, [BC, BS])
    for first in range(0, count, BC):
        at = first + row
        inside = (at < count) & (j < slots)
        value = tl.load(weights + at.to(tl.int64) * slots + j, mask=inside, other=float("-inf")).to(best.dtype)
        better = (value > best) | ((value != value) & (best == best))
        best = tl.where(better, value, best)
        best_row = tl.where(better, at, best_row)
    odd = best != best
    top = tl.max(tl.where(odd, float("-inf"), best), axis=0)[None, :]
    wins = tl.where(tl.max(odd.to(tl.int32), axis=0)[None, :] == 1, odd, best == top)
    found = tl.min(tl.where(wins, best_row, 2147483647), axis=0)
    slot = tl.program_id(0) * BS + tl.arange(0, BS)
    if AMONG:
        found = tl.load(candidates + found.to(tl.int64) * slots + slot, mask=slot < slots, other=0)
    tl.store(chosen + slot, found, mask=slot < slots)


@triton.jit
def candidate_weight_gradients(
    x,
    candidates,
    grads,
    out,
    samples,
    slots,
    x_sample,
    x_input,
    PACKED: tl.constexpr,
    BB: tl.constexpr,
    BS: tl.constexpr,
):
    """``out[c, j]`` = Σ over samples of ``(2·x[b, candidates[c, j]] − 1) · grads[j, b]``: (candidates, slots).

    With ``PACKED`` ``x`` holds bits, 32 samples in a word: word ``w`` of input ``i`` is ``x[i·x_input + w]``. Else strides.
    """
    accumulator = tl.float64 if grads.dtype.element_ty == tl.float64 else tl.float32
    slot = tl.program_id(0) * BS + tl.arange(0, BS)
    c = tl.program_id(1).to(tl.int64)
    wire = tl.load(candidates + c * slots + slot, mask=slot < slots, other=0).to(tl.int64)[:, None]
    total = tl.zeros([BS], accumulator)
    for first in range(0, samples, BB):
        b = (first + tl.arange(0, BB)[None, :]).to(tl.int64)
        inside = (b < samples) & (slot[:, None] < slots)
        grad = tl.load(grads + slot[:, None].to(tl.int64) * samples + b, mask=inside, other=0).to(accumulator)
        if PACKED:
            word = tl.load(x + wire * x_input + b // 32, mask=inside, other=0)
            total += tl.sum(tl.where(((word >> (b % 32).to(tl.int32)) & 1) == 1, grad, -grad), axis=1)
        else:
            value = tl.load(x + wire * x_input + b * x_sample, mask=inside, other=0).to(accumulator)
            total += tl.sum((2 * value - 1) * grad, axis=1)
    tl.store(out + c * slots + slot, total.to(out.dtype.element_ty), mask=slot < slots)


@triton.jit
def weight_gradients(
    x,
    grads,
    out,
    samples,
    inputs,
    slots,
    x_sample,
    x_input,
    g_sample,
    g_slot,
    BI: tl.constexpr,
    BS: tl.constexpr,
    BB: tl.constexpr,
):
    """``out[i, j]`` = Σ over samples of ``(2·x[b, i] − 1) · grads[b, j]``: (inputs, slots)."""
    accumulator = tl.float64 if out.dtype.element_ty == tl.float64 else tl.float32
    i = tl.program_id(1) * BI + tl.arange(0, BI)
    j = tl.program_id(0) * BS + tl.arange(0, BS)
    total = tl.zeros([BI, BS], accumulator)
    for first in range(0, samples, BB):
        b = (first + tl.arange(0, BB)).to(tl.int64)
        here = (i[:, None] < inputs) & (b[None, :] < samples)
        value = tl.load(x + b[None, :] * x_sample + i[:, None].to(tl.int64) * x_input, mask=here, other=0).to(
            accumulator
        )
        there = (b[:, None] < samples) & (j[None, :] < slots)
        grad = tl.load(grads + b[:, None] * g_sample + j[None, :].to(tl.int64) * g_slot, mask=there, other=0).to(
            accumulator
        )
        total = tl.dot(2 * value - 1, grad, total, input_precision="ieee", out_dtype=accumulator)
    place = out + i[:, None].to(tl.int64) * slots + j[None, :]
    tl.store(place, total.to(out.dtype.element_ty), mask=(i[:, None] < inputs) & (j[None, :] < slots))


@triton.jit
def share_totals(weights, chosen, tops, totals, inputs, slots, TAU: tl.constexpr, BI: tl.constexpr, BS: tl.constexpr):
    """Of each column of ``weights`` (inputs, slots) the largest, in row ``chosen``, and Σ ``exp((weight − largest)/TAU)``."""
    accumulator = tl.float64 if weights.dtype.element_ty == tl.float64 else tl.float32
    j = tl.program_id(0) * BS + tl.arange(0, BS)
    row = tl.load(chosen + j, mask=j < slots, other=0).to(tl.int64)
    top = tl.load(weights + row * slots + j, mask=j < slots, other=0).to(accumulator)
    total = tl.zeros([BI, BS], accumulator)
    for first in range(0, inputs, BI):
        i = first + tl.arange(0, BI)[:, None]
        inside = (i < inputs) & (j[None, :] < slots)
        value = tl.load(weights + i.to(tl.int64) * slots + j[None, :], mask=inside, other=float("-inf")).to(accumulator)
        total += tl.exp((value - top[None, :]) / TAU)
    tl.store(tops + j, top, mask=j < slots)
    tl.store(totals + j, tl.sum(total, axis=0), mask=j < slots)


@triton.jit
def shared_input_gradients(
    weights,
    tops,
    totals,
    grads,
    out,
    samples,
    inputs,
    slots,
    g_sample,
    g_slot,
    o_sample,
    o_input,
    TAU: tl.constexpr,
    BI: tl.constexpr,
    BS: tl.constexpr,
    BB: tl.constexpr,
):
    """``out[b, i]`` = Σ over slots of ``grads[b, j] · exp((weights[i, j] − tops[j])/TAU) / totals[j]``.

    The softmax is never stored. Where a block of it is 0 altogether, as many are once the weights have parted, nothing is
    multiplied.
    """
    accumulator = tl.float64 if weights.dtype.element_ty == tl.float64 else tl.float32
    i = tl.program_id(0) * BI + tl.arange(0, BI)
    b = (tl.program_id(1) * BB + tl.arange(0, BB)).to(tl.int64)
    total = tl.zeros([BB, BI], accumulator)
    for first in range(0, slots, BS):
        j = first + tl.arange(0, BS)
        there = (j[:, None] < slots) & (i[None, :] < inputs)
        value = tl.load(weights + i[None, :].to(tl.int64) * slots + j[:, None], mask=there, other=float("-inf")).to(
            accumulator
        )
        top = tl.load(tops + j, mask=j < slots, other=0)[:, None]
        whole = tl.load(totals + j, mask=j < slots, other=1)[:, None]
        share = tl.exp((value - top) / TAU) / whole
        if tl.max(tl.max((share != 0).to(tl.int32), axis=1), axis=0) == 1:
            here = (b[:, None] < samples) & (j[None, :] < slots)
            grad = tl.load(grads + b[:, None] * g_sample + j[None, :].to(tl.int64) * g_slot, mask=here, other=0).to(
                accumulator
            )
            total = tl.dot(grad, share, total, input_precision="ieee", out_dtype=accumulator)
    place = out + b[:, None] * o_sample + i[None, :].to(tl.int64) * o_input
    tl.store(place, total.to(out.dtype.element_ty), mask=(b[:, None] < samples) & (i[None, :] < inputs))
