"""One combinational component a section of the design: its netlist of LUT cells, as instances.

Every part has one input port ``x`` and one output port ``y``, both plain bit vectors: entry ``i`` of an edge lies at
bits ``[Σ widths below i +: width]``, the first entry lowest. Latency 0; the core puts the registers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from dwn_hw.design import Design
from dwn_hw.mapped import FALSE, TRUE, Netlist


def _portable(inputs: Sequence[Any], table: int, output: Any) -> Instance:
    n = len(inputs)
    return Instance("dwn_lut", p_WIDTH=n, p_LUT=Const(table, 1 << n), i_A=Cat(*inputs), o_Y=output)


def _xilinx(inputs: Sequence[Any], table: int, output: Any) -> Instance:
    n = len(inputs)
    pins = {f"i_I{i}": bit for i, bit in enumerate(inputs)}
    return Instance(f"LUT{n}", p_INIT=Const(table, 1 << n), **pins, o_O=output)


@dataclass(frozen=True, slots=True)
class Target:
    """How a LUT cell is instantiated, and which shipped file holds the module that a simulator needs for it."""

    instance: Callable[[Sequence[Any], int, Any], Instance]
    models: str
    portable: bool


#: ``generic``: the module ``dwn_lut``, for every tool. ``xc7``: Xilinx' LUT1 … LUT6, which synthesis keeps as they are.
TARGETS = {
    "generic": Target(_portable, "dwn_lut.v", portable=True),
    "xc7": Target(_xilinx, "xilinx_luts.v", portable=False),
}


class Part(wiring.Component):  # type: ignore[misc]  # amaranth ships no types
    """A netlist as hardware: one instance a cell, ``lut_<name>``, driving the wire ``<name>``."""

    def __init__(self, name: str, netlist: Netlist, target: str = "generic") -> None:
        self.name, self.netlist, self.target = name, netlist, TARGETS[target]
        super().__init__({"x": In(netlist.inputs), "y": Out(len(netlist.outputs))})

    def elaborate(self, platform: object) -> Module:
        """One instance a cell."""
        m = Module()
        nets: list[Any] = [self.x[i] for i in range(self.netlist.inputs)]
        for cell in self.netlist.cells:
            output = Signal(name=cell.name)
            m.submodules[f"lut_{cell.name}"] = self.target.instance(
                [nets[net] for net in cell.inputs], cell.table, output
            )
            nets.append(output)
        constants = {FALSE: Const(0, 1), TRUE: Const(1, 1)}
        m.d.comb += self.y.eq(Cat(*(constants[n] if n < 0 else nets[n] for n in self.netlist.outputs)))
        read = self.netlist.read()
        idle = [self.x[i] for i in range(self.netlist.inputs) if i not in read]
        if idle:
            # Linters know a signal of this name to be deliberate; synthesis removes it.
            unused = Signal(name="unused")
            m.d.comb += unused.eq(Cat(*idle).any())
        return m


def make_parts(design: Design) -> tuple[Part, ...]:
    """The components of all sections, in order."""
    return tuple(Part(section.name, section.netlist, design.target) for section in design.sections())
