"""What netlists of LUTs and of words have in common: cells one above the other, and registers that can stand between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dwn_hw.ir.edges import Ints


class Cell(Protocol):
    """What stands in a netlist."""

    @property
    def reads(self) -> Ints:
        """Nets below its own, without constants."""

    @property
    def levels(self) -> int:
        """How many levels it adds above those."""


class Net(Protocol):
    """Net ``i`` below ``inputs`` is an input, net ``inputs + i`` is the output of cell ``i``, and those below 0 are constants."""

    @property
    def inputs(self) -> int:
        """How many come in."""

    @property
    def cells(self) -> Sequence[Cell]:
        """In topological order."""

    @property
    def outputs(self) -> Ints:
        """The nets that leave."""

    def earliest(self) -> list[int]:
        """As :meth:`Levelled.earliest`."""

    def depth(self) -> int:
        """As :meth:`Levelled.depth`."""


class Levelled:
    """The levels of a :class:`Net`."""

    __slots__ = ()

    def depth(self: Net) -> int:
        """Levels on the longest way from an input to an output."""
        level = self.earliest()
        return max((level[net] for net in self.outputs if net >= 0), default=0)

    def earliest(self: Net) -> list[int]:
        """The level of each net when every cell stands as near to the inputs, which are level 0, as it can."""
        level = [0] * self.inputs
        for cell in self.cells:
            level.append(cell.levels + max(level[net] for net in cell.reads))
        return level

    def latest(self: Net) -> list[int]:
        """The level of each net when every cell stands as near to the outputs as it can."""
        level = [0] * self.inputs + [self.depth()] * len(self.cells)
        for i in reversed(range(len(self.cells))):
            cell = self.cells[i]
            for net in cell.reads:
                if net >= self.inputs:
                    level[net] = min(level[net], level[self.inputs + i] - cell.levels)
        return level

    def read(self: Net) -> set[int]:
        """The inputs that something reads."""
        nets = {net for cell in self.cells for net in cell.reads} | set(self.outputs)
        return {net for net in nets if 0 <= net < self.inputs}
