"""What every part is built of: look-up tables, comparators sliced into them, and counters.

All of it is combinational, and none of it uses a carry chain: on designs with many comparators against constants,
yosys spends a whole chain on each and up to 40 % more LUTs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Instance, Module, Signal, Value

#: Inputs of one look-up table of the target; the parts cut their logic to fit.
K = 6


def add_lut(m: Module, name: str, inputs: Sequence[Any], table: int) -> Value:
    """One ``dwn_lut`` whose output bit is named ``name``; ``inputs[0]`` is the address LSB. Returns that bit."""
    y = Signal(name=name)
    instance = Instance("dwn_lut", p_WIDTH=len(inputs), p_LUT=Const(table, 1 << len(inputs)), i_A=Cat(*inputs), o_Y=y)
    m.submodules[f"lut_{name}"] = instance
    return y


def _table(inputs: int, function: Any) -> int:
    return sum(1 << address for address in range(1 << inputs) if function(address))


def at_least(m: Module, name: str, bits: Sequence[Any], constant: int, flip_top: bool = False) -> Value:
    """``number >= constant`` for an unsigned number of ``bits`` (LSB first), 0 <= constant <= 2**len(bits).

    ``flip_top`` reads the top bit inverted: a two's complement number is then the number minus the lowest one, in the
    same order. A chain of slices from the low bits up: a slice decides if it differs from the constant's, else passes
    on the verdict of the bits below. ⌈(w−1)/(K−1)⌉ LUTs for ``w`` bits; zeros at the low end of the constant cost nothing.
    """
    if constant == 0:
        return Const(1, 1)
    if constant == 1 << len(bits):
        return Const(0, 1)
    low = (constant & -constant).bit_length() - 1
    verdict: list[Any] = []
    while low < len(bits):
        width = min(K - len(verdict), len(bits) - low)
        part = constant >> low & (1 << width) - 1
        last = low + width == len(bits)
        table = _slice_table(width, part, chained=bool(verdict), flip_top=flip_top and last)
        verdict = [add_lut(m, name if last else f"{name}_from{low}", [*verdict, *bits[low : low + width]], table)]
        low += width
    return verdict[0]


def _slice_table(width: int, part: int, chained: bool, flip_top: bool) -> int:
    flip = flip_top << (width - 1)
    if not chained:
        return _table(width, lambda address: (address ^ flip) >= part)
    # Address bit 0 is the verdict of the bits below.
    return _table(width + 1, lambda address: ((address >> 1) ^ flip) + (address & 1) > part)


def greater(m: Module, name: str, a: Sequence[Any], b: Sequence[Any], signed: bool = False) -> Value:
    """``a > b`` for numbers of one width (bits LSB first): slices of two bits of each and the verdict below."""
    verdict: list[Any] = []
    low = 0
    while low < len(a):
        width = min((K - len(verdict)) // 2, len(a) - low)
        inputs = [*verdict, *a[low : low + width], *b[low : low + width]]
        last = low + width == len(a)
        table = _greater_table(width, chained=bool(verdict), flip_top=signed and last)
        verdict = [add_lut(m, name if last else f"{name}_from{low}", inputs, table)]
        low += width
    return verdict[0]


def _greater_table(width: int, chained: bool, flip_top: bool) -> int:
    mask, flip = (1 << width) - 1, flip_top << (width - 1)

    def wins(address: int) -> bool:
        below, rest = (address & 1, address >> 1) if chained else (0, address)
        a, b = (rest & mask) ^ flip, (rest >> width) ^ flip
        return a + below > b

    return _table(2 * width + chained, wins)


def count_ones(m: Module, name: str, bits: Sequence[Any]) -> list[Any]:
    """The number of ones among ``bits``, LSB first, ``len(bits).bit_length()`` wide.

    Columns of equal weight are reduced from the lowest up: six bits to a three-bit count (three LUTs), three to two, two
    to two. Sums go to the end of the queue, so the tree stays balanced.
    """
    columns: list[list[Any]] = [[] for _ in range(max(1, len(bits).bit_length()))]
    columns[0] = list(bits)
    for weight, column in enumerate(columns):
        serial = 0
        while len(column) > 1:
            take = 6 if len(column) >= 6 else min(3, len(column))
            inputs, column[:] = column[:take], column[take:]
            # The count of the whole fits its width, so a carry out of the last column never comes.
            for bit in range(min(take.bit_length(), len(columns) - weight)):
                table = _table(take, lambda address, bit=bit: address.bit_count() >> bit & 1)
                total = add_lut(m, f"{name}_w{weight + bit}_{weight}{_letters(serial)}", inputs, table)
                columns[weight + bit].append(total)
            serial += 1
    return [column[0] if column else Const(0, 1) for column in columns]


def _letters(serial: int) -> str:
    """a, b, … z, ba, bb, …"""
    text = ""
    while True:
        serial, digit = divmod(serial, 26)
        text = chr(ord("a") + digit) + text
        if not serial:
            return text


def leave_unused(m: Module, bits: Sequence[Any]) -> None:
    """Say that ``bits`` are deliberately not read: linters know a signal of this name; synthesis removes it."""
    if bits:
        unused = Signal(name="unused", attrs={"keep": True})
        m.d.comb += unused.eq(Cat(*bits).any())
