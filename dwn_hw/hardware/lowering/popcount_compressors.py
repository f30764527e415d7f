"""One step of a counter: a few bits of neighbouring weights become their sum in binary, in as few LUTs as there are sum bits.

Three things make a step cheap.

* *Residues.* Whoever knows a sum modulo 2**m, from the ``m`` sum bits below, may ignore bits that together weigh less than 2**m:
  bit 2 of the sum of six bits is a function of bits 0 and 1 and of only three of the six.
* *Riders.* A LUT with an input to spare gives, instead of its bit, the parity of that bit and of another of the same weight, its
  rider. Both bits can still be told from the two nets, and their parity needs no LUT of its own. (Only the highest output of a
  step has a rider here: others gained next to nothing.)
* *Chains.* The next rider is the net so made: ``q1 = d1``, ``q2 = d2 ^ q1``, ``q3 = d3 ^ q2`` … A *chain* of n nets holds n bits,
  and its last net is the parity of all. A chain is full with as many nets as a LUT has inputs, which bounds its depth.

A column is the bits of one weight: loose nets, and chains, all full but the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

#: The numbers of bits of one weight: of loose ones, and of those in chains.
Column = tuple[int, int]

#: The inputs of one LUT, numbered as :class:`Step` says.
Refs = tuple[int, ...]

Bits = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CompressorStep:
    """A step takes ``take[i]`` of the column of weight ``weight + i``, and gives one net for each weight from ``weight`` up.

    ``inputs[j]`` are the inputs of output ``j``'s LUT: first all taken nets are numbered, column by column and loose before
    chained, then the outputs, then the rider. Empty: a constant; of output 0, :attr:`parity`. ``rides``: whether the
    highest output is chained to what is left in its column. ``add``, in units of ``weight``, is added to the sum; it goes
    into the tables and costs no input.
    """

    k: int
    weight: int
    take: tuple[Column, ...]
    rides: bool
    inputs: tuple[Refs, ...]
    add: int = 0

    @property
    def cost(self) -> int:
        """The step's LUTs."""
        return sum(1 for refs in self.inputs if refs)

    @property
    def parity(self) -> int | None:
        """The taken net that is output 0, when that needs no LUT."""
        return None if self.inputs[0] else sum(self.take[0]) - 1


def step(
    weight: int, take: tuple[Column, ...], outputs: int, rides: bool, k: int, add: int = 0
) -> CompressorStep | None:
    """The step with so many outputs, of LUTs of at most ``k`` inputs, or None if an output needs more."""
    inputs = _inputs(take, outputs, rides, k, add)
    return None if inputs is None else CompressorStep(k, weight, take, rides, inputs, add)


@cache
def _inputs(take: tuple[Column, ...], outputs: int, rides: bool, k: int, add: int) -> tuple[Refs, ...] | None:
    found = []
    rider = (sum(map(sum, take)) + outputs,)
    for output in range(outputs):
        refs = () if output == 0 and _is_free(take, k, add) else _support(take, output, k, add)
        refs += rider if rides and output == outputs - 1 else ()
        if len(refs) > k:
            return None
        found.append(refs)
    return tuple(found)


def _is_free(take: tuple[Column, ...], k: int, add: int) -> bool:
    return len(_parities(take, 0, k)) == 1 and not add & 1


def _parities(take: tuple[Column, ...], column: int, k: int) -> list[int]:
    """The numbers of the nets whose parity is that of all bits taken from a column."""
    loose, chained = _nets(take, column)
    return loose + [chained[min(i + k, len(chained)) - 1] for i in range(0, len(chained), k)]


def _nets(take: tuple[Column, ...], column: int) -> tuple[list[int], list[int]]:
    """The numbers of the loose and of the chained nets that are taken from a column."""
    if column >= len(take):
        return [], []
    start = sum(map(sum, take[:column]))
    loose, chained = take[column]
    return list(range(start, start + loose)), list(range(start + loose, start + loose + chained))


def _support(take: tuple[Column, ...], output: int, k: int, add: int) -> Refs:
    """The nets that tell ``output``: all taken if they are few, else the fewest.

    The fewest are those of columns from ``base`` up, with the outputs from there as residue.
    """
    total = sum(map(sum, take))
    best: Refs = tuple(range(sum(map(sum, take[: output + 1]))))
    for base in range(output + 1):
        below = sum(sum(column) << i for i, column in enumerate(take[:base]))
        carries = (below + add >> base) - (add >> base)
        ignorable = (1 << (output - base)) - 1 - carries
        if ignorable < 0:
            continue
        refs = {total + residue for residue in range(base, output)}
        if base == 0 < output and _is_free(take, k, add):
            refs ^= {total, sum(take[0]) - 1}
        for column in range(base, output):
            loose, chained = _nets(take, column)
            idle = min(len(loose), ignorable >> (column - base))
            ignorable -= idle << (column - base)
            # Without the first n bits of a chain, n-1 of its nets are idle.
            first = min(len(chained), k, ignorable >> (column - base))
            ignorable -= first << (column - base) if first > 1 else 0
            refs.update(loose[idle:], chained[max(0, first - 1) :])
        refs.update(_parities(take, output, k))
        if len(refs) < len(best):
            best = tuple(sorted(refs))
    return best


@cache
def tables(made: CompressorStep) -> tuple[int, ...]:
    """The truth tables of a step's LUTs, from all values of all its bits."""
    nets, outputs = _all_values(made)
    found = []
    for refs, output in zip(made.inputs, outputs, strict=True):
        address = sum((nets[ref] << slot for slot, ref in enumerate(refs)), np.zeros_like(output))
        ones, zeros = set(address[output == 1].tolist()), set(address[output == 0].tolist())
        assert not ones & zeros or made.parity is not None, f"the inputs of {made} do not tell the output"
        found.append(sum(1 << a for a in ones))
    return tuple(found)


def _all_values(made: CompressorStep) -> tuple[list[Bits], list[Bits]]:
    """Every net of a step, numbered as its inputs are, and every output, for each combination of bits and rider."""
    taken = sum(map(sum, made.take))
    wide = taken + made.rides
    bits = [np.arange(1 << wide, dtype=np.int64) >> i & 1 for i in range(wide)]
    value, nets = np.full(1 << wide, made.add), list[Bits]()
    for column in range(len(made.take)):
        loose, chained = _nets(made.take, column)
        nets += [bits[i] for i in loose]
        for place, i in enumerate(chained):
            nets.append(bits[i] ^ nets[i - 1] if place % made.k else bits[i])
        value += sum((bits[i] for i in (*loose, *chained)), np.int64(0)) << column
    outputs = [value >> j & 1 for j in range(len(made.inputs))]
    if made.rides:
        outputs[-1] ^= bits[-1]
    return [*nets, *outputs, *bits[taken:]], outputs


def after(columns: Sequence[Column], made: CompressorStep) -> tuple[Column, ...]:
    """The columns when the step is done. ``columns`` begin with that of the step's weight, and so does the result."""
    rest = [
        (loose - take[0], chained - take[1])
        for (loose, chained), take in zip(columns, [*made.take, *[(0, 0)] * len(columns)], strict=False)
    ]
    loose, chained = rest[0]
    # A chain taken in part goes on: the parity of its front is the bit that is left of it.
    goes_on = 0 < made.take[0][1] < made.k and chained > 0
    rest[0] = (loose, chained + 1) if goes_on else (loose + 1, chained)
    highest = len(made.inputs) - 1
    for j in range(1, highest + 1):
        loose, chained = rest[j]
        if not (made.rides and j == highest):
            rest[j] = (loose + 1, chained)
        else:
            rest[j] = (loose, chained + 1) if chained % made.k else (loose - 1, chained + 2)
    return tuple(rest)
