"""Lowers the comparators of a streamed encoder: the word against a constant that the feature's index chooses.

A comparator is a chain of slices from the low bits up, as in :mod:`dwn_hw.hardware.lowering.encoder`: a LUT of the
carry below, a few bits of the word, and signals that tell it which constant slice it compares with. Those are bits of
the index, where few enough tell the features' slices apart; or the number of the slice among the different ones, in
LUTs of the index; or, where constants stand in a block RAM, its bits themselves. What features without a threshold
would give never matters.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from dwn_hw import ir
from dwn_hw.hardware.lowering.shannon import shannon, shannon_cost
from dwn_hw.hardware.lut_netlist import LutBuilder, LutNetlist
from dwn_hw.hardware.streamed_encoder_plan import FeatureSchedule, schedule
from dwn_hw.ir.truth_tables import FALSE, TRUE, table_of

#: A function of the feature's index, given only for the indices where it matters.
Partial: TypeAlias = Mapping[int, int]


@dataclass(frozen=True, slots=True)
class _Slice:
    """The word's bits ``low … low + width - 1``. ``signals`` are functions of the index that tell which constant they meet."""

    low: int
    width: int
    signals: tuple[Partial, ...]


def lower_streamed(node: ir.Thermometer, before: ir.Edge, k: int) -> LutNetlist:
    """Lower the comparators to LUTs of at most ``k`` inputs.

    Inputs: the key (index, or row of the block RAM), the word, and whether it is valid.
    Outputs: the comparator of each chain, then whether each of the schedule's shifts takes place.
    """
    plan = schedule(node, before)
    builder = LutBuilder(plan.key_bits + plan.word.bits + 1)
    site = _Site(builder, plan, k)
    digits = max(2, len(str(len(plan.chains) - 1)))
    outputs = [site.comparator(f"rank{c:0{digits}}", c) for c in range(len(plan.chains))]
    outputs += [site.shift(f"shift{s}", mask) for s, mask in enumerate(plan.shifts)]
    return builder.finish(outputs)


@dataclass(frozen=True, slots=True)
class _Site:
    builder: LutBuilder
    plan: FeatureSchedule
    k: int

    def comparator(self, name: str, chain: int) -> int:
        """The net of: word >= the constant of the index. Address, from the low end: the carry, the word's bits, signals."""
        plan, carry = self.plan, TRUE
        constants = {feature: t - plan.word.low for feature, t in plan.chains[chain]}
        word = range(plan.key_bits, plan.key_bits + plan.word.bits)
        flip = plan.word.signed << (plan.word.bits - 1)
        slices = self._in_memory(constants) if plan.in_memory else _slices(constants, plan.word.bits, self.k)
        for piece in slices:
            mask = (1 << piece.width) - 1
            last = piece.low + piece.width == plan.word.bits
            label = name if last else f"{name}_from{piece.low}"
            nets = [self._signal(f"{label}_is{i}", values) for i, values in enumerate(piece.signals)]
            parts = {_address(piece.signals, f): u >> piece.low & mask for f, u in constants.items()}
            passes = functools.partial(_passes, piece.width, flip >> piece.low & mask, parts)
            inputs = [carry, *word[piece.low : piece.low + piece.width], *nets]
            carry = self.builder.lut(label, inputs, table_of(len(inputs), passes))
        return carry

    def shift(self, name: str, mask: int) -> int:
        """The net of: valid, and the feature is one of ``mask``."""
        valid = self.plan.key_bits + self.plan.word.bits
        values = {feature: mask >> feature & 1 for feature in range(self.plan.features)}
        if self.plan.in_memory:
            return self.builder.lut(name, [self._signal(name, values), valid], 0b1000)
        select = _separating(values, self.plan.index_bits) or ()
        table = _table(values, select)
        return shannon(self.builder, name, [*select, valid], table << (1 << len(select)), self.k)

    def _signal(self, name: str, values: Partial) -> int:
        """The net of a function of the index."""
        if len(set(values.values())) == 1:
            return TRUE if next(iter(values.values())) else FALSE
        if self.plan.in_memory:
            return self.plan.columns.index(sum(value << feature for feature, value in values.items()))
        select = _separating(values, self.plan.index_bits) or ()
        return shannon(self.builder, name, select, _table(values, select), self.k)

    def _in_memory(self, constants: Partial) -> Iterator[_Slice]:
        """The slices where constants stand in a block RAM: as many pairs of a word's and a constant's bit as a LUT takes."""
        low = min((u & -u).bit_length() - 1 for u in constants.values())
        carry = False
        while low < self.plan.word.bits:
            width, signals, free = 0, list[Partial](), self.k - carry
            for bit in range(low, self.plan.word.bits):
                values = {feature: u >> bit & 1 for feature, u in constants.items()}
                need = [values] if len(set(values.values())) > 1 else []
                if free < 1 + len(need):
                    break
                width, free = width + 1, free - 1 - len(need)
                signals += need
            yield _Slice(low, width, tuple(signals))
            low, carry = low + width, True


def _passes(width: int, flip: int, parts: Mapping[int, int], address: int) -> bool:
    value = (address >> 1 & (1 << width) - 1) ^ flip
    return value + (address & 1) > parts.get(address >> (1 + width), 0)


def _address(signals: Sequence[Partial], feature: int) -> int:
    return sum(values[feature] << i for i, values in enumerate(signals))


def _slices(constants: Partial, bits: int, k: int) -> tuple[_Slice, ...]:
    """The slices that take fewest LUTs, those of their signals included, if no two comparators share any."""
    index_bits = max(constants).bit_length()
    start = min((u & -u).bit_length() - 1 for u in constants.values())

    @functools.cache
    def best(low: int) -> tuple[int, tuple[_Slice, ...]]:
        if low == bits:
            return 0, ()
        found = []
        free = k - (low > start)
        for width in range(1, min(free, bits - low) + 1):
            parts = {feature: u >> low & (1 << width) - 1 for feature, u in constants.items()}
            for signals in _ways(parts, index_bits, free - width):
                piece = _Slice(low, width, signals)
                behind, rest = best(low + width)
                own = 1 + sum(_cost(values, index_bits, k) for values in signals)
                found.append((own + behind, (piece, *rest)))
        return min(found, key=lambda option: (option[0], len(option[1])))

    return best(start)[1]


def _ways(parts: Partial, index_bits: int, most: int) -> Iterator[tuple[Partial, ...]]:
    """Signals, at most ``most``, that tell the parts apart: bits of the index; the number of the part among the different."""
    select = _separating(parts, most)
    if select is not None:
        yield tuple({feature: feature >> bit & 1 for feature in parts} for bit in select)
    different = sorted(set(parts.values()))
    signals = (len(different) - 1).bit_length()
    if signals <= most:
        yield tuple({f: different.index(part) >> i & 1 for f, part in parts.items()} for i in range(signals))


def _cost(values: Partial, index_bits: int, k: int) -> int:
    """The number of LUTs that a function of the index takes; 0 if it is a bit of the index."""
    select = _separating(values, index_bits) or ()
    if len(select) < 2 and all(values[f] == f >> bit & 1 for bit in select for f in values):
        return 0
    return shannon_cost(len(select), k)


def _separating(values: Partial, most: int) -> tuple[int, ...] | None:
    """The fewest bits of the index (at most ``most``) under which features of different values differ."""
    bits = range(max(values).bit_length())
    for count in range(min(most, len(bits)) + 1):
        for select in itertools.combinations(bits, count):
            seen: dict[tuple[int, ...], int] = {}
            if all(seen.setdefault(tuple(f >> b & 1 for b in select), value) == value for f, value in values.items()):
                return select
    return None


def _table(values: Partial, select: tuple[int, ...]) -> int:
    """The truth table over the selected bits of the index; 0 where nothing matters."""
    ones = {sum((f >> b & 1) << i for i, b in enumerate(select)) for f, value in values.items() if value}
    return sum(1 << address for address in ones)
