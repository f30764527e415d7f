"""Merges LUTs into the LUTs that read them."""

from __future__ import annotations

import dataclasses

from dwn_hw import ir
from dwn_hw.ir.truth_tables import LUT_INPUTS, compose


def merge_into_readers(network: ir.Network, k: int = LUT_INPUTS) -> ir.Network:
    """Merge a LUT into all LUTs that read it if they stay within ``k`` inputs; its own inputs pass through its layer.

    A bit that passes is a wire in the layer, no LUT, but one more bit on the edge. So only LUTs go of whose inputs all but one
    pass already: there is always a LUT less, and never a bit more.
    """
    nodes = list(network.nodes)
    for index in range(1, len(nodes)):
        source, reader = nodes[index - 1], nodes[index]
        if isinstance(source, ir.LutLayer) and isinstance(reader, ir.LutLayer):
            pair = _Pair(source, reader, k)
            pair.merge()
            nodes[index - 1 : index + 1] = pair.layers()
    return dataclasses.replace(network, nodes=tuple(nodes))


class _Pair:
    """Two layers, one reading the other."""

    def __init__(self, source: ir.LutLayer, reader: ir.LutLayer, k: int) -> None:
        self.k = k
        self.luts = list(zip(source.wires, source.tables, strict=True))
        self.out = list(zip(reader.wires, reader.tables, strict=True))
        self.passing = {row[0]: j for j, (row, _) in enumerate(self.luts) if source.is_wire(j)}
        self.readers: dict[int, list[int]] = {}
        for j, row in enumerate(reader.wires):
            for wire in set(row):
                self.readers.setdefault(wire, []).append(j)
        # A reader that is a wire would become a LUT itself.
        kept = {wire for j, row in enumerate(reader.wires) if reader.is_wire(j) for wire in row}
        self.candidates = [j for j in self.readers if j not in kept and not source.is_wire(j)]

    def layers(self) -> tuple[ir.LutLayer, ir.LutLayer]:
        """The two layers as they are now; what was merged is still in the first, and read by nobody."""
        rows, tables = zip(*self.luts, strict=True)
        out_rows, out_tables = zip(*self.out, strict=True)
        return ir.LutLayer(rows, tables), ir.LutLayer(out_rows, out_tables)

    def merge(self) -> None:
        """Merge all LUTs that can be merged, those first that need no bit more."""
        changed = True
        while changed:
            changed = False
            for j in sorted(self.candidates, key=lambda j: (self._new_bits(j), j)):
                if self._new_bits(j) <= 1 and self._fits(j):
                    self._merge(j)
                    self.candidates.remove(j)
                    changed = True

    def _new_bits(self, j: int) -> int:
        return sum(wire not in self.passing for wire in self.luts[j][0])

    def _fits(self, j: int) -> bool:
        # A bit that passes has the number of its wire; of one that does not yet, a negative one that nothing else has.
        inputs = {self.passing.get(wire, ~wire) for wire in self.luts[j][0]}
        return all(len(set(self.out[reader][0]) - {j} | inputs) <= self.k for reader in self.readers[j])

    def _merge(self, j: int) -> None:
        row, table = self.luts[j]
        for wire in row:
            if wire not in self.passing:
                self.passing[wire] = len(self.luts)
                self.luts.append(((wire,), 0b10))
        inputs = tuple(self.passing[wire] for wire in row)
        for reader in self.readers[j]:
            self.out[reader] = compose(*self.out[reader], j, inputs, table)
