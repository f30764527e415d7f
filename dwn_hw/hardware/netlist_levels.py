"""Levels, which netlists of LUTs and of words have in common: cells one above the other, with room for registers between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dwn_hw.ir.edges import Ints


class Cell(Protocol):
    """A cell of a netlist."""

    @property
    def reads(self) -> Ints:
        """The nets that the cell reads, without constants; all are below its own."""

    @property
    def levels(self) -> int:
        """The number of levels that the cell adds above those."""


class Net(Protocol):
    """A netlist of cells. Net ``i`` below ``inputs`` is an input, net ``inputs + i`` the output of cell ``i``; nets below 0 are
    constants.
    """

    @property
    def inputs(self) -> int:
        """The number of inputs."""

    @property
    def cells(self) -> Sequence[Cell]:
        """The cells in topological order."""

    @property
    def outputs(self) -> Ints:
        """The nets that leave."""

    def earliest(self) -> list[int]:
        """See :meth:`Levelled.earliest`."""

    def depth(self) -> int:
        """See :meth:`Levelled.depth`."""


class Levelled:
    """Computes the levels of a :class:`Net`."""

    __slots__ = ()

    def depth(self: Net) -> int:
        """The number of levels on the longest way from an input to an output."""
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
