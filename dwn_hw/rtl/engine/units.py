"""Holds what the engine's components have in common: how they are placed, the numbers of each step, delays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import ClockSignal, Const, Instance, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from dwn_hw.ir import Format
from dwn_hw.rtl.hdl import Hdl


class Unit(wiring.Component):  # type: ignore[misc]  # amaranth ships no types
    """A component that becomes a Verilog module of its own; ``reset``: whether it has a reset."""

    def __init__(self, module: str, ports: dict[str, Hdl], reset: bool = False) -> None:
        self.module, self.reset = module, reset
        super().__init__(ports)


def place(m: Module, name: str, unit: Unit, instances: bool, **wires: Any) -> None:
    """Put ``unit`` into ``m``, each port at its wire: as an instance of its Verilog module, or as a submodule."""
    if instances:
        clocks = {"i_clk": ClockSignal()} | ({"i_rst": ResetSignal()} if unit.reset else {})
        ports = {f"{'i' if unit.signature.members[p].flow == In else 'o'}_{p}": wire for p, wire in wires.items()}
        m.submodules[name] = Instance(f"dwn_{unit.module}", **clocks, **ports)
        return
    m.submodules[name] = unit
    for port, wire in wires.items():
        own = getattr(unit, port)
        m.d.comb += own.eq(wire) if unit.signature.members[port].flow == In else wire.eq(own)


def bits_for(highest: int) -> int:
    """The bits of a register that goes from 0 to ``highest``."""
    return max(1, highest.bit_length())


def number(bits: Any, fmt: Format) -> Any:
    """The integer that ``bits`` are in ``fmt``."""
    return bits.as_signed() if fmt.signed else bits


class Program:
    """The numbers that every step has its own of: wires by name, which a table drives that ``step`` chooses a row of.

    ``steps``: their names. With ``instances`` the table is a Verilog module of its own; without, a switch.
    """

    def __init__(self, module: str, steps: Sequence[str], instances: bool) -> None:
        self.module, self.steps, self.instances = module, steps, instances
        self.columns: dict[str, tuple[Any, Sequence[int]]] = {}

    def of(self, name: str, values: Sequence[int]) -> Any:
        """The value of each step, from ``values``: a constant if all are the same, else the wire ``name``."""
        fmt = Format.covering(min(0, *values, 0), max(values))
        if len(set(values)) == 1:
            return number(Const(values[0], fmt.bits), fmt)
        wire, _ = self.columns.setdefault(name, (Signal(fmt.bits, name=name), values))
        return number(wire, fmt)

    def place(self, m: Module, step: Any) -> None:
        """Put the table into ``m``: after all numbers are known."""
        if self.instances and self.columns:
            wires = {f"o_{name}": wire for name, (wire, _) in self.columns.items()}
            m.submodules.numbers = Instance(f"dwn_{self.module}", i_step=step, **wires)
            return
        with m.Switch(step):
            for i in range(len(self.steps)):
                with m.Case(i):
                    m.d.comb += [wire.eq(values[i]) for wire, values in self.columns.values()]

    def verilog(self) -> str:
        """The table's Verilog module."""
        bits = bits_for(len(self.steps) - 1)
        ports = [f"    output reg  {_extent(wire)}{name}" for name, (wire, _) in self.columns.items()]
        lines = [f"module dwn_{self.module} (", ",\n".join([f"    input  wire [{bits - 1}:0] step", *ports]), ");"]
        lines += ["  always @*", "    case (step)"]
        for i, step in enumerate(self.steps):
            # The last row stands for the steps that there are not, too.
            row = f"{bits}'d{i}" if i < len(self.steps) - 1 else "default"
            lines.append(f"      {row}: begin  // {step}")
            lines += [
                f"        {name} = {len(wire)}'d{values[i] % (1 << len(wire))};"
                for name, (wire, values) in self.columns.items()
            ]
            lines.append("      end")
        return "\n".join([*lines, "    endcase", "endmodule", ""])


def _extent(wire: Any) -> str:
    return f"[{len(wire) - 1}:0] "


def delayed(m: Module, name: str, value: Any, clocks: int, first: int = 1, reset_less: bool = False) -> list[Any]:
    """The value now, and as it was 1, 2, … ``clocks`` clocks ago: registers ``<name><first>`` and so on."""
    held = [value]
    for i in range(clocks):
        held.append(Signal(len(value), name=f"{name}{first + i}", reset_less=reset_less))
        m.d.sync += held[-1].eq(held[-2])
    return held
