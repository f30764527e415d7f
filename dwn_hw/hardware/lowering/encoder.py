"""The shared-chain thermometer encoder: exact comparators that share what they can.

:mod:`dwn_hw.hardware.lowering.comparator_sharing` plans what is shared; here the plan becomes LUTs, exact by construction: every
table is worked out from what its inputs say of the code. Cost of a plain comparator of w bits: ⌈(w−1)/5⌉ LUT6. Of this
form: one LUT a threshold, plus the chains, plus at most one LUT for the range of all thresholds.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

from dwn_hw import ir
from dwn_hw._progress import Progress, counted, silent
from dwn_hw.hardware.lowering import comparator_sharing
from dwn_hw.hardware.lowering.comparator_sharing import Chain, Slice
from dwn_hw.hardware.lowering.windows import Signal, Window, value
from dwn_hw.hardware.lut_netlist import LutBuilder, LutNetlist
from dwn_hw.hardware.naming import number_label
from dwn_hw.ir.truth_tables import FALSE, LUT_INPUTS, TRUE, table_of


def lower_thermometer(
    node: ir.Thermometer,
    before: ir.Edge,
    k: int,
    share: bool = True,
    progress: Progress = silent,
    *,
    quick: bool = False,
) -> LutNetlist:
    """Lower the encoder to LUTs of at most ``k`` inputs. The last cell of a comparison carries its name, ``f03_ge_117``.

    ``share`` off: a plain comparator for each different threshold. ``quick``: without a search, in up to a third more LUTs.
    """
    builder = LutBuilder(before.bits)
    digits = max(2, len(str(len(node.thresholds) - 1)))
    outputs: list[int] = []
    low = 0
    tell = counted(progress, "planning the comparisons of each feature", len(node.thresholds))
    for feature, (row, fmt) in enumerate(zip(node.thresholds, before.flat_formats(), strict=True)):
        bits = range(low, low + fmt.bits)
        nets = _Feature(builder, f"f{feature:0{digits}}", bits, fmt, k).build(row, share, quick)
        outputs += [nets[threshold] for threshold in row]
        low += fmt.bits
        tell(feature + 1)
    return builder.finish(outputs)


def rough_cost(row: ir.Ints, fmt: ir.Format, k: int = LUT_INPUTS) -> int:
    """The number of LUTs for one feature's comparisons before groupings are searched.

    It is up to a third too high, and found in milliseconds.
    """
    real = _real(row, fmt)
    return comparator_sharing.rough_cost(real, fmt.bits, k) if real else 0


def _real(row: ir.Ints, fmt: ir.Format) -> ir.Ints:
    """The different thresholds that some codes reach and others do not, rising, counted from the lowest code."""
    return tuple(sorted({threshold - fmt.low for threshold in row if fmt.low < threshold <= fmt.high}))


@dataclass(frozen=True, slots=True)
class _Feature:
    """The builder of one feature's comparisons, with its ``bits`` (nets, LSB first) and its name, ``f03``."""

    builder: LutBuilder
    name: str
    bits: range
    fmt: ir.Format
    k: int
    built: dict[range, int] = field(default_factory=dict)  # nets of signals that are no bits of the code

    def build(self, row: ir.Ints, share: bool, quick: bool) -> dict[int, int]:
        """Build the comparisons with all thresholds in ``row``. Returns the net of each different threshold."""
        nets = {t: TRUE for t in row if t <= self.fmt.low} | {t: FALSE for t in row if t > self.fmt.high}
        serial, asked = 0, (_real(row, self.fmt), self.fmt.bits, self.k)
        plan = comparator_sharing.quick_plan(*asked) if quick and share else comparator_sharing.plan(*asked, share)
        for stage in plan.stages:
            carries: dict[int, tuple[int, int]] = {}
            for chain in stage.chains:
                carry = self._chain(f"{self.name}_chain{serial}", chain)
                carries |= dict.fromkeys(chain.members, (carry, chain.low_bits))
                serial += 1
            for window in stage.windows:
                u = window.threshold
                carry, low_bits = carries.get(u, (TRUE, window.low_bits))
                net = self._final(window, low_bits, carry)
                nets[u + self.fmt.low] = self.built[range(u, 1 << self.fmt.bits)] = net
        return nets

    def _label(self, code: int) -> str:
        return number_label(code + self.fmt.low)

    def _flip(self, signal: Signal) -> bool:
        """Whether the net of a signal is its inverse: codes are counted from the lowest one, which inverts the sign."""
        return self.fmt.signed and signal == self.fmt.bits - 1

    def _net(self, signal: Signal) -> int:
        if not isinstance(signal, range):
            return self.bits[signal]
        if signal not in self.built:  # a range, told by the top bits
            top = min(self.k, self.fmt.bits)
            low = self.fmt.bits - top
            flip = self.fmt.signed << (top - 1)
            table = table_of(top, lambda address: (address ^ flip) << low in signal)
            name = f"{self.name}_in_{self._label(signal.start)}_{self._label(signal.stop - 1)}"
            self.built[signal] = self.builder.lut(name, self.bits[low:], table)
        return self.built[signal]

    def _final(self, window: Window, low_bits: int, carry: int) -> int:
        """The net of a comparison: one LUT of the carry, the window's edges, and the bits that tell its blocks apart."""
        block = [*range(low_bits, low_bits + window.address_bits(low_bits))]
        signals: list[Signal] = [*(edge.signal for edge in window.edges), *block]
        flips = sum(self._flip(signal) << i for i, signal in enumerate(signals))
        first, own = window.span.start >> low_bits, window.threshold >> low_bits

        def passes(address: int) -> bool:
            told = (address >> 1) ^ flips
            for i, edge in enumerate(window.edges):
                if bool(told >> i & 1) != edge.inside:
                    return edge.beyond
            here = first + ((told >> len(window.edges)) - first) % (1 << len(block))
            return here > own or (here == own and bool(address & 1))

        table = table_of(1 + len(signals), passes)
        label = f"{self.name}_ge_{self._label(window.threshold)}"
        return self.builder.lut(label, [carry, *map(self._net, signals)], table)

    def _chain(self, name: str, chain: Chain) -> int:
        """The net of the carry that all members of a chain share."""
        carry = TRUE
        for piece in chain.slices:
            signals: list[Signal] = [*range(piece.low, piece.low + piece.width), *piece.select]
            last = piece.low + piece.width == chain.low_bits
            table = table_of(1 + len(signals), functools.partial(self._carries, piece, self._parts(piece, chain)))
            label = name if last else f"{name}_from{piece.low}"
            carry = self.builder.lut(label, [carry, *map(self._net, signals)], table)
        return carry

    def _parts(self, piece: Slice, chain: Chain) -> dict[int, int]:
        """The slice of the constant that is compared with, by the value of the selecting nets."""
        parts = {}
        for u in chain.members:
            block = range(u, u + 1)
            chosen = sum((bool(value(s, block)) ^ self._flip(s)) << i for i, s in enumerate(piece.select))
            parts[chosen] = u >> piece.low & (1 << piece.width) - 1
        return parts

    def _carries(self, piece: Slice, parts: dict[int, int], address: int) -> bool:
        """Whether a chain LUT carries. ``address``, from the low end: the carry below, the low bits, the selecting nets."""
        mask = (1 << piece.width) - 1
        flip = self._flip(piece.low + piece.width - 1) << (piece.width - 1)
        value = (address >> 1 & mask) ^ flip
        return value + (address & 1) > parts.get(address >> (1 + piece.width), 0)
