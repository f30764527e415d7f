"""Plans a streamed encoder: one feature a clock, feature 0 first, so that features share their comparators.

Threshold ``r`` of every feature, in rising order, is the business of *chain* ``r``: one comparator of the word with a constant
that the feature's index chooses, and a shift register of as many flip-flops as features have such a threshold. It
shifts when one of those features is taken. Words come in order, so after the last one every bit is in its place: no flip-flop
needs to be addressed, and what an interrupted sample left behind is shifted out.

Up to :data:`LOGIC_FEATURES` features the index chooses the constants by LUTs; for more they stand in a block RAM, one row a
feature, read a clock ahead.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TypeAlias

from dwn_hw import ir
from dwn_hw.ir import Ints

#: An index of more features than this has more bits than a LUT has inputs.
LOGIC_FEATURES = 64

#: The (feature, threshold) pairs of a comparator in rising order of features, at most one a feature.
Chain: TypeAlias = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class FeatureSchedule:
    """The plan of a streamed encoder. ``word``: the integer format of the port, which holds every feature's codes.

    ``places[i]``: chain and position of the flip-flop that holds output bit ``i``, or its constant value.
    ``columns``: those of the block RAM, as masks over features: the bits of thresholds (:meth:`threshold_bit`) and the
    :attr:`shifts` that are not constant; one more column marks the last feature. Empty if LUTs do.
    """

    word: ir.Format
    features: int
    chains: tuple[Chain, ...]
    places: tuple[tuple[int, int] | bool, ...]
    columns: Ints

    @property
    def index_bits(self) -> int:
        """The width of the features' counter in bits."""
        return max(1, (self.features - 1).bit_length())

    @property
    def in_memory(self) -> bool:
        """Whether thresholds stand in a block RAM."""
        return self.features > LOGIC_FEATURES

    @property
    def key_bits(self) -> int:
        """The width in bits of what tells the comparators which feature it is: the index, or the row of the block RAM."""
        return len(self.columns) if self.in_memory else self.index_bits

    @property
    def rows(self) -> Ints:
        """The block RAM's content: column ``i`` is bit ``i``, the mark of the last feature is the highest."""
        columns = (*self.columns, 1 << self.features - 1)
        return tuple(sum((mask >> f & 1) << i for i, mask in enumerate(columns)) for f in range(self.features))

    @property
    def row_bits(self) -> int:
        """The width of the block RAM in bits."""
        return len(self.columns) + 1

    @property
    def memory_bits(self) -> int:
        """The size of the block RAM in bits; 0 without one."""
        return self.features * self.row_bits if self.in_memory else 0

    @property
    def captured(self) -> int:
        """The number of flip-flops of all shift registers."""
        return sum(map(len, self.chains))

    @property
    def shifts(self) -> Ints:
        """The different sets of features on which chains shift, as masks over features."""
        return tuple(dict.fromkeys(map(_members, self.chains)))

    def shift_of(self, chain: int) -> int:
        """The place in :attr:`shifts` of the features on which a chain shifts."""
        return self.shifts.index(_members(self.chains[chain]))

    def threshold_bit(self, chain: int, bit: int) -> tuple[int, int]:
        """One bit of (threshold − lowest word) for the features of a chain: (mask of ones, mask of these features)."""
        ones = sum(((t - self.word.low) >> bit & 1) << f for f, t in self.chains[chain])
        return ones, _members(self.chains[chain])


def _members(chain: Chain) -> int:
    return sum(1 << feature for feature, _ in chain)


@functools.lru_cache(maxsize=16)
def schedule(node: ir.Thermometer, before: ir.Edge) -> FeatureSchedule:
    """Plan how the encoder ``node`` takes the features of the edge ``before`` in turn."""
    formats = before.flat_formats()
    word = ir.Format.covering(min(fmt.low for fmt in formats), max(fmt.high for fmt in formats))
    ranked = [
        sorted({t for t in row if fmt.low < t <= fmt.high}) for row, fmt in zip(node.thresholds, formats, strict=True)
    ]
    chains = tuple(
        tuple((feature, own[rank]) for feature, own in enumerate(ranked) if rank < len(own))
        for rank in range(max(map(len, ranked)))
    )
    held = {member: (c, at) for c, chain in enumerate(chains) for at, member in enumerate(chain)}
    places = tuple(
        held.get((feature, t), t <= fmt.low)
        for feature, (row, fmt) in enumerate(zip(node.thresholds, formats, strict=True))
        for t in row
    )
    found = FeatureSchedule(word, len(formats), chains, places, ())
    return FeatureSchedule(word, len(formats), chains, places, _columns(found)) if found.in_memory else found


def _columns(plan: FeatureSchedule) -> Ints:
    """The columns in which features differ, each different one once."""
    everything = (1 << plan.features) - 1
    bits = [plan.threshold_bit(c, bit) for c in range(len(plan.chains)) for bit in range(plan.word.bits)]
    bits += [(mask, everything) for mask in plan.shifts]
    return tuple(dict.fromkeys(ones for ones, members in bits if ones not in (0, members)))
