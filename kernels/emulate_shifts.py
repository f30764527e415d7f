"""Emulates a network that counts in integers, its weights being powers of two: sums of additions alone. Compiled by numba.

All networks share this code: what is read, in which order, and what becomes of a sum is data. A tile of samples goes through
the whole network before the next one does. Samples lie innermost, so that a weight is the same for a whole vector, and one of 0
is not there at all. Between two sums everything is done on a channel while it is in the cache; what a sum reads is kept in a
narrow type, and no window is ever copied.

* **Sum.** The weights of an output are sorted by shift, the greatest first: what is so far is shifted by the distance to the next
  (Horner's rule), and what has that shift is added or subtracted. So a weight costs one addition, in the narrow type for as
  long as that cannot overflow; the sum itself is wide. The sums of 64 places or samples stay in registers, which is why this
  part is written in LLVM's own terms: numba's loops would keep them in memory.
* **Layout.** A buffer holds (channels, rows, columns by their rest after division by the stride, samples), with the rim that the
  padding asks for; so whatever the stride, what a tap sees along a row of outputs lies end to end.
* **Blocks.** Taps come in blocks of input channels that fit into the second cache, and several outputs read a block in turn.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

#: The numbers that are summed at once, and the most samples of a tile.
LANES = 64

#: Widths are multiples of this: a loop of known length needs no rest.
STEP = 32

#: The same as an index that cannot be negative: what counts from the end is a branch in the innermost loop.
_STEP = np.uint64(STEP)

#: The columns of a segment, in the order of ``Segment`` in ``dwn_hw/ir/shift_program.py``, which says what they are.
KIND, CHANNELS, ROWS, COLUMNS, SOURCE, DOWN, BLOCKS, FIRSTS, BIASES = range(9)
OPS, OPS_END, PLACES, AFTER, TARGET, RIM, RIM_END, GROUP = range(9, 17)

#: The kinds of a segment: numbers come from the port, from a buffer as they are, or as sums.
CODES, COPY, SUM = range(3)

#: The kinds of an operation, which is a row of numbers: its kind first, then what the functions below read of it.
RELU, QUANTIZE, AFFINE, POOL = range(4)


def _splat(builder, value, kind):
    """A vector of ``value`` everywhere."""
    nothing, word = ir.Constant(kind, ir.Undefined), ir.IntType(32)
    one = builder.insert_element(nothing, value, ir.Constant(word, 0))
    return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(word, kind.count), [0] * kind.count))


@intrinsic
def _sum_taps(typingctx, numbers, start, taps, runs, first, last, sums, at, bias, more):
    """Give ``sums[at:at + LANES]``: what ``runs[first:last]`` say of ``numbers`` from ``start`` on, and ``bias`` or, if ``more``,
    what was there.

    A run is (first tap added, first tap subtracted, last tap, shift): shift what is so far, then add those. No bounds are
    checked: :func:`check` does it for all at once.
    """
    signature = types.void(
        *(numbers, types.int64, taps, runs, types.int64, types.int64, sums, types.int64, sums.dtype, types.boolean)
    )

    def generate(context, builder, signature, args):
        numbers_at, taps_at, runs_at, sums_at = (
            context.make_array(signature.args[i])(context, builder, args[i]).data for i in (0, 2, 3, 6)
        )
        start, first, last, at, bias, more = (args[i] for i in (1, 4, 5, 7, 8, 9))
        small, large, long = (context.get_data_type(kind) for kind in (numbers.dtype, sums.dtype, types.int64))
        narrow, wide, one = ir.VectorType(small, LANES), ir.VectorType(large, LANES), ir.Constant(long, 1)
        part, total = cgutils.alloca_once(builder, narrow), cgutils.alloca_once(builder, wide)

        def number(array, place):
            return builder.sext(builder.load(builder.gep(array, [place])), long)

        def vector(array, place, kind):
            return builder.bitcast(builder.gep(array, [place]), kind.as_pointer())

        def each(begin, end, join):
            with cgutils.for_range_slice(builder, begin, end, one, long) as (tap, _):
                place = vector(numbers_at, builder.add(start, number(taps_at, tap)), narrow)
                seen = builder.load(place, align=numbers.dtype.bitwidth // 8)
                builder.store(join(builder.load(part), seen), part)

        builder.store(ir.Constant(wide, [0] * LANES), total)
        with cgutils.for_range_slice(builder, first, last, one, long) as (run, _):
            place = builder.mul(run, ir.Constant(long, 4))
            added, subtracted, end, shift = (
                number(runs_at, builder.add(place, ir.Constant(long, i))) for i in range(4)
            )
            builder.store(ir.Constant(narrow, [0] * LANES), part)
            each(added, subtracted, builder.add)
            each(subtracted, end, builder.sub)
            distance = _splat(builder, shift if large.width == 64 else builder.trunc(shift, large), wide)
            found = builder.load(part)
            found = builder.sext(found, wide) if small.width < large.width else found
            builder.store(builder.add(builder.shl(builder.load(total), distance), found), total)
        place, align = vector(sums_at, at, wide), sums.dtype.bitwidth // 8
        before = builder.select(more, builder.load(place, align=align), _splat(builder, bias, wide))
        builder.store(builder.add(builder.load(total), before), place, align=align)
        return context.get_dummy_value()

    return signature, generate


@njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def check(segments, widths, taps, runs, firsts, buffer, sums):
    """Raise IndexError if a sum would read or write beyond ``buffer`` or ``sums``: nothing else looks at that."""
    for s in range(len(segments)):
        segment, width = segments[s], widths[s, 0]
        if segment[KIND] != SUM:
            continue
        line = -(-segment[COLUMNS] * width // LANES) * LANES
        last = segment[SOURCE] + (segment[ROWS] - 1) * segment[DOWN] * width + line
        begin, end = firsts[segment[FIRSTS]], firsts[segment[FIRSTS] + segment[CHANNELS] * segment[BLOCKS]]
        for run in range(begin, end):
            if not 0 <= runs[run, 0] <= runs[run, 1] <= runs[run, 2] <= len(taps):
                raise IndexError("a run of taps that are not there")
            for tap in range(runs[run, 0], runs[run, 2]):
                if taps[tap] < 0 or last + taps[tap] > len(buffer):
                    raise IndexError("a tap beyond the buffer")
        size = segment[ROWS] * segment[COLUMNS] * width + LANES
        if segment[GROUP] * size > len(sums):
            raise IndexError("sums beyond their array")


@njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _quantize(plane, size, op):
    """Numbers on a coarser or finer grid, clamped."""
    dropped, rounding, lowest, highest = op[1], op[2], op[3], op[4]
    if dropped <= 0:
        for i in range(size):
            plane[i] = min(max(np.int64(plane[i]) << -dropped, lowest), highest)
    elif rounding == 2:  # halves to even: a half is added, less the last bit that stays
        most = (np.int64(1) << (dropped - 1)) - 1
        for i in range(size):
            value = np.int64(plane[i])
            plane[i] = min(max((value + most + ((value >> dropped) & 1)) >> dropped, lowest), highest)
    else:
        half = np.int64(rounding) << (dropped - 1)
        for i in range(size):
            plane[i] = min(max((np.int64(plane[i]) + half) >> dropped, lowest), highest)


@njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _copy(source, start, target, to, size):
    """Copy ``size`` numbers, a multiple of STEP."""
    start, to, size = np.uint64(start), np.uint64(to), np.uint64(size)
    for at in range(np.uint64(0), size, _STEP):
        for k in range(at, at + _STEP):
            target[to + k] = source[start + k]


@njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _raise(source, start, target, to, size):
    """Replace ``size`` numbers, a multiple of STEP, where others are greater."""
    start, to, size = np.uint64(start), np.uint64(to), np.uint64(size)
    for at in range(np.uint64(0), size, _STEP):
        for k in range(at, at + _STEP):
            target[to + k] = max(target[to + k], source[start + k])


@njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _pool(plane, width, op, line, out):
    """The greatest of each window, into ``out``; ``line``: a row of ``plane``, for what is greatest down the window's rows."""
    rows, columns, after_rows, after_columns = op[1], op[2], op[3], op[4]
    high, wide, row_step, column_step, above, left, down, across = (
        op[5],
        op[6],
        op[7],
        op[8],
        op[9],
        op[10],
        op[11],
        op[12],
    )
    size = columns * width
    for row in range(after_rows):
        met = False
        for i in range(high):
            y = row * row_step - above + i * down
            if 0 <= y < rows:
                if met:
                    _raise(plane, y * size, line, 0, size)
                else:
                    _copy(plane, y * size, line, 0, size)
                met = True
        for column in range(after_columns):
            to, met = (row * after_columns + column) * width, False
            for j in range(wide):
                x = column * column_step - left + j * across
                if 0 <= x < columns:
                    if met:
                        _raise(line, x * width, out, to, width)
                    else:
                        _copy(line, x * width, out, to, width)
                    met = True


@njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _finish(plane, size, width, channel, ops, numbers, line, one, other):
    """Do in order what is done with the ``size`` numbers of a channel; return where they are then."""
    own, free, spare = plane, one, other
    for i in range(len(ops)):
        op = ops[i]
        if op[0] == RELU:
            for k in range(size):
                own[k] = max(own[k], 0)
        elif op[0] == QUANTIZE:
            _quantize(own, size, op)
        elif op[0] == AFFINE:
            multiplier, bias, shift = numbers[op[1] + channel * op[2]], numbers[op[3] + channel * op[4]], op[5]
            for k in range(size):
                own[k] = (np.int64(own[k]) * multiplier + bias) >> shift
        else:
            _pool(own, width, op, line, free)
            size = op[3] * op[4] * width
            own, free, spare = free, spare, free  # never back into the plane, which may be smaller
    return own


@njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _fetch(segment, channel, width, codes, first, last, buffer, plane):
    """A channel of the port, of samples ``first`` to ``last`` (the last again beyond it), or of a buffer."""
    size = segment[ROWS] * segment[COLUMNS]
    begin = channel * size
    if segment[KIND] == COPY:
        _copy(buffer, segment[SOURCE] + begin * width, plane, 0, size * width)
        return
    for s in range(width):
        row = min(first + s, last - 1)
        for i in range(size):
            plane[i * width + s] = codes[row, begin + i]


@njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _segment(segment, widths, shift, tables, codes, first, last, buffer, sums, line, one, other, out):
    """One segment of a tile: samples ``first`` to ``last``, which come from number ``shift`` on in a wider buffer after it."""
    taps, runs, firsts, biases, ops, numbers, places, rims = tables
    width, target_width = widths[0], widths[1]
    rows, columns, step, blocks = segment[ROWS], segment[COLUMNS], segment[DOWN] * width, segment[BLOCKS]
    size = rows * columns * width
    own_ops, after, target = ops[segment[OPS] : segment[OPS_END]], segment[AFTER], segment[TARGET]
    for r in range(segment[RIM], segment[RIM_END]):
        _copy(buffer, segment[SOURCE] + rims[r, 1] * width, buffer, segment[SOURCE] + rims[r, 0] * width, width)
    for begin in range(0, segment[CHANNELS], segment[GROUP]):
        count = min(segment[GROUP], segment[CHANNELS] - begin)
        if segment[KIND] == SUM:
            for row in range(rows):
                for block in range(blocks):
                    for c in range(count):
                        run = segment[FIRSTS] + (begin + c) * blocks + block
                        bias = biases[segment[BIASES] + begin + c]
                        for at in range(0, columns * width, LANES):
                            source = segment[SOURCE] + row * step + at
                            place = c * (size + LANES) + row * columns * width + at
                            _sum_taps(
                                buffer, source, taps, runs, firsts[run], firsts[run + 1], sums, place, bias, block > 0
                            )
        for c in range(count):
            plane = sums[c * (size + LANES) : c * (size + LANES) + size]
            if segment[KIND] != SUM:
                _fetch(segment, begin + c, width, codes, first, last, buffer, plane)
            done = _finish(plane, size, width, begin + c, own_ops, numbers, line, one, other)
            place = segment[PLACES] + (begin + c) * after
            if target < 0:
                for i in range(after):
                    for s in range(min(width, last - first)):
                        out[first + s, places[place + i]] = done[i * width + s]
            else:
                for i in range(after):
                    _copy(done, i * width, buffer, target + places[place + i] * target_width + shift, width)


@njit(nogil=True, cache=True)
def run(codes, first, last, segments, widths, tables, buffer, sums, line, one, other, out):
    """Samples ``first`` to ``last`` of ``codes`` (samples, numbers) through all segments, into ``out`` (samples, numbers).

    ``widths`` (segments, 2): the samples that lie together in what a segment reads, and in what it writes; at first few, from
    some segment on LANES. ``buffer``, of the narrow type and zeros at first, holds what segments leave to each other; ``sums``,
    ``line``, ``one`` and ``other``, of the wide type, what a segment needs for itself.
    """
    check(segments, widths, tables[0], tables[1], tables[2], buffer, sums)
    few = 0
    while few < len(segments) and widths[few, 0] < LANES:
        few += 1
    width = widths[0, 0]
    for start in range(first, last, LANES):
        end = min(start + LANES, last)
        for shift in range(0, end - start, width):
            # The segments of few samples for each of their tiles, the others once, when these have left their numbers.
            for s in range(len(segments) if shift + width >= end - start else few):
                begin, stop, inner = start, end, 0
                if s < few:
                    begin, stop = start + shift, min(end, start + shift + width)
                    inner = shift if widths[s, 1] > width else 0
                _segment(segments[s], widths[s], inner, tables, codes, begin, stop, buffer, sums, line, one, other, out)
