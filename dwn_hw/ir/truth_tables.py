"""Truth tables as integers: bit ``a`` of a table is the output at address ``a``, whose lowest bit is the first input."""

from __future__ import annotations

import functools
from typing import Any

from dwn_hw.ir.edges import Ints

FALSE, TRUE = -1, -2


#: The inputs of a LUT of most of today's larger FPGAs.
LUT_INPUTS = 6


def simplify(nets: Ints, table: int) -> tuple[Ints, int]:
    """Take constants, repeated and idle inputs out of a table. Returns the other nets, in rising order, and their table.

    So equal functions look equal.
    """
    live = sorted({net for net in nets if net >= 0})
    if live != list(nets):
        value = {FALSE: 0, TRUE: 1}
        position = {net: i for i, net in enumerate(live)}
        reduced = 0
        for address in range(1 << len(live)):
            full = sum((value[n] if n < 0 else address >> position[n] & 1) << slot for slot, n in enumerate(nets))
            reduced |= (table >> full & 1) << address
        table = reduced
    while (idle := idle_input(table, len(live))) is not None:
        table, _ = cofactors(table, len(live), idle)
        del live[idle]
    return tuple(live), table


def idle_input(table: int, inputs: int, occur: int = -1) -> int | None:
    """The first input that nowhere changes the output between two addresses that ``occur``, or None.

    ``occur`` is a table over addresses; -1: all occur.
    """
    for index in range(inputs):
        step = 1 << index
        if not (table ^ table >> step) & occur & occur >> step & ~variable(index, inputs) & (1 << (1 << inputs)) - 1:
            return index
    return None


@functools.cache
def variable(index: int, inputs: int) -> int:
    """The table of input ``index`` itself."""
    return sum(1 << address for address in range(1 << inputs) if address >> index & 1)


def cofactors(table: int, inputs: int, index: int) -> tuple[int, int]:
    """The tables of ``inputs - 1`` inputs with input ``index`` at 0 and at 1."""
    low = high = 0
    below = (1 << index) - 1
    for address in range(1 << (inputs - 1)):
        full = (address & ~below) << 1 | address & below
        low |= (table >> full & 1) << address
        high |= (table >> (full | 1 << index) & 1) << address
    return low, high


def compose(nets: Ints, table: int, source: int, inner: Ints, inner_table: int) -> tuple[Ints, int]:
    """Put ``inner_table`` of ``inner`` in the place of the net ``source`` in ``table`` of ``nets``. Returns (nets, table)."""
    union = tuple(dict.fromkeys((*(net for net in nets if net != source), *inner)))
    composed = 0
    for address in range(1 << len(union)):
        value = {net: address >> i & 1 for i, net in enumerate(union)}
        value[source] = inner_table >> sum(value[net] << i for i, net in enumerate(inner)) & 1
        composed |= (table >> sum(value[net] << i for i, net in enumerate(nets)) & 1) << address
    return union, composed


def invert_input(table: int, inputs: int, index: int) -> int:
    """The table that gives the same when input ``index`` comes inverted."""
    return sum((table >> (address ^ 1 << index) & 1) << address for address in range(1 << inputs))


def table_of(inputs: int, function: Any) -> int:
    """The truth table of a function of the address."""
    return sum(1 << address for address in range(1 << inputs) if function(address))
