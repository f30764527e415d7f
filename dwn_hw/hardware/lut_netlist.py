"""Netlists of LUT cells, each with a name and a truth table: one level below the network.

A part of the network (an encoder, a layer, a vote) lowers into a :class:`LutNetlist` (:mod:`dwn_hw.hardware.lowering`).
Emission, the cost figures and later proof all read it, so that what is counted is what is built.

A *net* is an integer: ``0 … inputs-1`` are the part's input bits, ``inputs + i`` is the output of cell ``i``; :data:`FALSE` and
:data:`TRUE` are constants. Cells stand in topological order: a cell reads only nets below its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw.errors import IRError, Problem
from dwn_hw.hardware.netlist_levels import Levelled
from dwn_hw.ir import MAX_LUT_INPUTS, Ints
from dwn_hw.ir.truth_tables import FALSE, TRUE, invert_input, simplify

#: The kinds of cells: a LUT, or one of the two functions of a site of a carry chain. ``SUM`` is the XOR of the LUT's output and
#: the carry below. ``CARRY`` reads the LUT's output, a bit and the carry below; the first says which of the others is the carry
#: above.
LUT, SUM, CARRY = "lut", "sum", "carry"

_SUM_TABLE, _CARRY_TABLE = 0b0110, 0b11100100


@dataclass(frozen=True, slots=True)
class Lut:
    """A cell: ``out = table >> Σ inputs[l]·2**l & 1``. Every input matters; none is constant, but a ``CARRY``'s bit may be 0."""

    name: str
    inputs: Ints
    table: int
    kind: str = LUT

    @property
    def levels(self) -> int:
        """The number of levels that the cell adds: 1 for a LUT, 0 in carry chains, which are fast."""
        return int(self.kind == LUT)

    @property
    def reads(self) -> Ints:
        """The cell's inputs that are no constants."""
        return self.inputs if self.kind == LUT else tuple(net for net in self.inputs if net >= 0)


@dataclass(frozen=True, slots=True)
class LutNetlist(Levelled):
    """``cells`` over ``inputs`` input bits; ``outputs[i]`` is the net of output bit ``i``. A netlist checks itself when built."""

    inputs: int
    cells: tuple[Lut, ...]
    outputs: Ints

    def __post_init__(self) -> None:
        for i, cell in enumerate(self.cells):
            below = self.inputs + i
            good = 1 <= len(cell.inputs) <= MAX_LUT_INPUTS and 0 <= cell.table < 1 << (1 << len(cell.inputs))
            good &= cell.kind == LUT or (cell.kind, cell.table) in ((SUM, _SUM_TABLE), (CARRY, _CARRY_TABLE))
            good = good and len(cell.reads) >= len(cell.inputs) - (cell.kind == CARRY and cell.inputs[1] == FALSE)
            if not good or min(cell.reads) < 0 or max(cell.inputs) >= below:
                rule = f"1 to {MAX_LUT_INPUTS} nets in 0…{below - 1} and a table of that size"
                raise IRError(Problem(f"cell {cell.name}", rule, f"{cell.inputs}", "Mend the lowering."))
        if any(not TRUE <= net < self.inputs + len(self.cells) for net in self.outputs):
            raise IRError(Problem("netlist", "outputs are nets", f"{self.outputs}", "Mend the lowering."))

    @property
    def output_widths(self) -> Ints:
        """The number of bits of each output."""
        return (1,) * len(self.outputs)

    @property
    def output_bits(self) -> int:
        """The number of flip-flops that hold all outputs."""
        return len(self.outputs)

    def bits(self, net: int) -> int:
        """The number of flip-flops that hold a net."""
        return 1

    def piece(self, entering: Sequence[int], kept: Sequence[int], leaving: Sequence[int]) -> LutNetlist:
        """The piece between two cuts: the cells ``kept``, between the nets that cross the one cut and the other."""
        number = {net: i for i, net in enumerate(entering)}
        number |= {self.inputs + cell: len(entering) + i for i, cell in enumerate(kept)}
        cells = [self.cells[cell] for cell in kept]
        return LutNetlist(
            len(entering),
            tuple(replace(cell, inputs=tuple(number.get(net, net) for net in cell.inputs)) for cell in cells),
            tuple(number.get(net, net) for net in leaving),
        )

    def evaluate(self, bits: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """The outputs (samples, outputs) for input ``bits`` (samples, inputs): what the netlist means."""
        values = [bits[:, i].astype(np.int64) for i in range(self.inputs)]
        for cell in self.cells:
            address = sum((values[net] if net >= 0 else 0) << slot for slot, net in enumerate(cell.inputs))
            entries = np.array([cell.table >> a & 1 for a in range(1 << len(cell.inputs))], np.int64)
            values.append(entries[address])
        constant = {FALSE: np.zeros(len(bits), np.int64), TRUE: np.ones(len(bits), np.int64)}
        return np.stack([constant[net] if net < 0 else values[net] for net in self.outputs], axis=1)

    def __repr__(self) -> str:
        lines = [f"{self.inputs} inputs, {len(self.cells)} cells, {len(self.outputs)} outputs"]
        for i, c in enumerate(self.cells):
            lines.append(f"{self.inputs + i}: {c.name} {c.inputs} {f'{c.table:#x}' if c.kind == LUT else c.kind}")
        return "\n".join([*lines, f"out {self.outputs}"])


class LutBuilder:
    """Builds a netlist cell by cell, folding what costs nothing: constants, inverters, repeated and idle inputs, equal cells."""

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self._cells: list[Lut] = []
        self._known: dict[tuple[Ints, int], int] = {}

    def lut(self, name: str, inputs: Sequence[int], table: int) -> int:
        """The net of a LUT: a new cell, or a constant, an input or an earlier cell that is the same function."""
        sources = list(inputs)
        for slot, net in enumerate(inputs):
            cell = self._cells[net - self.inputs] if net >= self.inputs else None
            if cell is not None and len(cell.inputs) == 1:  # an inverter: a wire would have no cell
                sources[slot] = cell.inputs[0]
                table = invert_input(table, len(inputs), slot)
        nets, table = simplify(tuple(sources), table)
        if not nets:
            return TRUE if table & 1 else FALSE
        if (nets, table) == ((nets[0],), 0b10):
            return nets[0]
        if (nets, table) not in self._known:
            self._known[nets, table] = self._add(Lut(name, nets, table))
        return self._known[nets, table]

    def chain(self, name: str, carry: int, sites: Sequence[tuple[int, int]]) -> list[int]:
        """Add a carry chain over ``sites`` (net of the LUT's output, the bit or FALSE). Returns the sums, then the last carry.

        With ``u`` in front of it, a LUT gives ``u ^ v`` for the bit ``v``: each site then adds ``u``, ``v`` and the carry below.
        """
        sums = []
        for i, (lut, bit) in enumerate(sites):
            sums.append(self._add(Lut(f"{name}_sum{i}", (lut, carry), _SUM_TABLE, SUM)))
            carry = self._add(Lut(f"{name}_carry{i + 1}", (lut, bit, carry), _CARRY_TABLE, CARRY))
        return [*sums, carry]

    def keep(self, cell: Lut) -> int:
        """The net of a cell, which is added as it is; a LUT may be known already."""
        return self.lut(cell.name, cell.inputs, cell.table) if cell.kind == LUT else self._add(cell)

    def _add(self, cell: Lut) -> int:
        self._cells.append(cell)
        return self.inputs + len(self._cells) - 1

    def finish(self, outputs: Sequence[int]) -> LutNetlist:
        """The netlist of the cells that the outputs need."""
        needed, stack = set[int](), [net for net in outputs if net >= self.inputs]
        while stack:
            net = stack.pop()
            if net not in needed:
                needed.add(net)
                stack += [n for n in self._cells[net - self.inputs].inputs if n >= self.inputs]
        number = {net: self.inputs + i for i, net in enumerate(sorted(needed))}
        cells = tuple(
            replace(cell, inputs=tuple(number.get(n, n) for n in cell.inputs))
            for cell in (self._cells[net - self.inputs] for net in sorted(needed))
        )
        return LutNetlist(self.inputs, cells, tuple(number.get(net, net) for net in outputs))
