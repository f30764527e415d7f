"""Builds one combinational component for each section of the design: its netlist of LUT cells, as instances.

Every part has one input port ``x`` and one output port ``y``, both plain bit vectors: entry ``i`` of an edge lies at
bits ``[Σ widths below i +: width]``, the first entry lowest. Latency 0; the core puts the registers.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from dwn_hw.hardware.design import ParallelDesign, Section
from dwn_hw.hardware.lut_netlist import LUT, LutNetlist
from dwn_hw.hardware.word_netlist import WordNetlist
from dwn_hw.ir.truth_tables import FALSE, TRUE
from dwn_hw.rtl.cells import CELLS, carry_blocks, read_outside
from dwn_hw.rtl.word_part import WordPart


class Part(wiring.Component):  # type: ignore[misc]  # amaranth ships no types
    """A netlist as hardware: an instance a LUT, ``lut_<name>``, driving the wire ``<name>``; its carry chains in blocks."""

    def __init__(self, name: str, netlist: LutNetlist, target: str = "generic") -> None:
        self.name, self.netlist, self.cells = name, netlist, CELLS[target]
        super().__init__({"x": In(netlist.inputs), "y": Out(len(netlist.outputs))})

    def elaborate(self, platform: object) -> Module:
        """Build one instance for each LUT, and the blocks of the carry chains."""
        m = Module()
        netlist = self.netlist
        alone = self._alone()
        blocks = tuple(carry_blocks(netlist))
        driven = {net: bit for block in blocks for net, bit in block.nets().items()}
        fronts = {block.sites[0][0]: (block.front, block.half) for block in blocks if block.front}
        nets: list[Any] = [self.x[i] for i in range(netlist.inputs)]
        for net, cell in enumerate(netlist.cells, netlist.inputs):
            if cell.kind != LUT:
                nets.append(driven[net])
                continue
            output = self.y if net == alone else Signal(name=cell.name)
            if net in fronts:
                front, half = fronts[net]
                m.submodules[f"lut_{cell.name}"] = front.instance(nets, output, half)
            else:
                for name, instance in self.cells.lut(cell.name, [nets[n] for n in cell.inputs], cell.table, output):
                    m.submodules[name] = instance
            nets.append(output)
        for block in blocks:
            m.submodules[f"carry_{block.name}"] = block.instance(netlist, nets)
        if alone is None:
            constants = {FALSE: Const(0, 1), TRUE: Const(1, 1)}
            m.d.comb += self.y.eq(Cat(*(constants[n] if n < 0 else nets[n] for n in netlist.outputs)))
        read = netlist.read()
        idle = [self.x[i] for i in range(netlist.inputs) if i not in read]
        outside = read_outside(netlist) | {block.entering for block in blocks}
        idle += [bit for block in blocks for bit in block.unread(outside)]
        if idle:
            # Linters know a signal of this name to be deliberate; synthesis removes it.
            unused = Signal(name="unused")
            m.d.comb += unused.eq(Cat(*idle).any())
        return m

    def _alone(self) -> int | None:
        """The LUT that drives the whole port and nothing else: its own wire would be a second name that nobody reads."""
        first, *others = (*self.netlist.outputs, -1)
        cell = self.netlist.cells[first - self.netlist.inputs] if first >= self.netlist.inputs else None
        read = any(first in other.reads for other in self.netlist.cells)
        return first if others == [-1] and cell is not None and cell.kind == LUT and not read else None


def place(m: Module, section: Section, target: str, instances: bool, x: Any, y: Any) -> None:
    """Put a section into ``m`` between ``x`` and ``y``: as a named Verilog module ``dwn_<name>``, or as a submodule."""
    if instances:
        m.submodules[section.name] = Instance(f"dwn_{section.name}", i_x=x, o_y=y)
        return
    m.submodules[section.name] = part = make_part(section, target)
    m.d.comb += [part.x.eq(x), y.eq(part.y)]


def register(m: Module, name: str, value: Any, enable: Any) -> Any:
    """Add a register. It gives ``value`` a clock later, or as it was while ``enable`` is low; it is never reset."""
    held = Signal(len(value), name=name, reset_less=True)
    with m.If(enable):
        m.d.sync += held.eq(value)
    return held


def make_part(section: Section, target: str) -> Part | WordPart:
    """The component of one section."""
    if isinstance(section.netlist, WordNetlist):
        return WordPart(section.name, section.netlist)
    return Part(section.name, section.netlist, target)


def make_parts(design: ParallelDesign) -> tuple[Part | WordPart, ...]:
    """The components of all sections, in order."""
    return tuple(make_part(section, design.target) for section in design.sections())
