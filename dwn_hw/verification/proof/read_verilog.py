"""Reads the Verilog of a design by yosys into bits, gates, tables and flip-flops; nothing is optimised on the way.

yosys elaborates and flattens the design and breaks up words. An indexed constant, which is what a LUT is, stays one piece.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from dwn_hw import toolchain
from dwn_hw.errors import Mismatch, ToolError

#: The gates: for each its inputs from the address LSB up, and its table.
_GATES = {
    "$_BUF_": ("A", 0b10),
    "$_NOT_": ("A", 0b01),
    "$_AND_": ("AB", 0b1000),
    "$_NAND_": ("AB", 0b0111),
    "$_OR_": ("AB", 0b1110),
    "$_NOR_": ("AB", 0b0001),
    "$_XOR_": ("AB", 0b0110),
    "$_XNOR_": ("AB", 0b1001),
    "$_ANDNOT_": ("AB", 0b0010),
    "$_ORNOT_": ("AB", 0b1011),
    "$_MUX_": ("ABS", 0b11001010),
}

#: A bit of the flattened design: a number, or a constant: ``0``, ``1``, or ``x``, which is nothing that hardware can be.
Bit: TypeAlias = int | str

#: A module or a cell in the JSON that yosys writes.
YosysObject: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate: the entry of ``table`` at the address ``inputs`` (LSB first), or, where there is no table, of ``data``."""

    inputs: tuple[Bit, ...]
    table: int | None
    data: tuple[Bit, ...] = ()


@dataclass(frozen=True, slots=True)
class Design:
    """A flattened design: bits of ports and wires by name, lowest first; what drives each bit: a gate, or a flip-flop's D.

    ``core.encoder.y`` is the port ``y`` of the instance ``encoder`` in ``core``.
    """

    inputs: dict[str, tuple[Bit, ...]]
    outputs: dict[str, tuple[Bit, ...]]
    wires: dict[str, tuple[Bit, ...]]
    gates: dict[Bit, Gate]
    registers: dict[Bit, Bit]

    def name(self, bit: Bit) -> str:
        """A name of a bit, the least deep one."""
        names = [(n.count("."), f"{n}[{bits.index(bit)}]") for n, bits in self.wires.items() if bit in bits]
        return min(names)[1] if names else f"{bit}"


def read(sources: Sequence[Path], top: str, clock: str | None, timeout: float) -> Design:
    """Read and flatten a design. All flip-flops must be on the rising edge of ``clock``, and nothing may have two drivers."""
    words = "t:$shiftx %n"
    script = [
        *(f"read_verilog {path.name}" for path in sources),
        f"hierarchy -check -top {top}",
        "proc",
        "flatten",
        # A LUT is an indexed constant; as gates it would be sixty multiplexers. All else becomes gates.
        f"techmap {words}",
        f"simplemap {words}",
        "write_json design.json",
    ]
    with tempfile.TemporaryDirectory(prefix="dwn-hw-") as folder:
        for path in sources:  # yosys quotes no path, and theirs may hold anything
            shutil.copy(path, folder)
        command = toolchain.native_yosys()
        toolchain.run(command, name="yosys", stdin="\n".join(script), cwd=Path(folder), timeout=timeout)
        path = Path(folder) / "design.json"
        if not path.is_file():
            raise ToolError("yosys: read the Verilog, but wrote no netlist")
        return _design(json.loads(path.read_text())["modules"][top], clock)


def _design(module: YosysObject, clock: str | None) -> Design:
    ports = {
        way: {name: tuple(port["bits"]) for name, port in module["ports"].items() if port["direction"] == way}
        for way in ("input", "output")
    }
    wires = {name: tuple(net["bits"]) for name, net in module["netnames"].items()}
    design = Design(ports["input"], ports["output"], wires, {}, {})
    driven = {bit for bits in design.inputs.values() for bit in bits}
    edge = design.inputs[clock][0] if clock else "no clock"
    for name, cell in module["cells"].items():
        if cell["type"] == "$scopeinfo":
            continue
        output = _place(design, name, cell, edge)
        if output in driven:
            raise Mismatch(f"the Verilog is no hardware: {design.name(output)} has two drivers")
        driven.add(output)
    return design


def _place(design: Design, name: str, cell: YosysObject, edge: Bit) -> Bit:
    """Add a cell to ``design``. Returns the bit that it drives."""
    kind, pins = cell["type"], {pin: tuple(bits) for pin, bits in cell["connections"].items()}
    output: Bit
    if kind in _GATES:
        inputs, table = _GATES[kind]
        (output,) = pins["Y"]
        design.gates[output] = Gate(tuple(pins[pin][0] for pin in inputs), table)
    elif kind == "$shiftx" and _is_lookup(cell, pins):
        (output,) = pins["Y"]
        constant = set(pins["A"]) <= {"0", "1"}
        entries = int("".join(map(str, reversed(pins["A"]))), 2) if constant else None
        design.gates[output] = Gate(pins["B"], entries, () if constant else pins["A"])
    elif kind == "$_DFF_P_" and pins["C"] == (edge,):
        (output,) = pins["Q"]
        design.registers[output] = pins["D"][0]
    else:
        on = " on another clock" if kind == "$_DFF_P_" else ""
        rule = f"not logic or a flip-flop on the rising edge of {design.name(edge)}"
        raise Mismatch(f"the Verilog is not a pipeline: {name} is a {kind}{on}, {rule}")
    return output


def _is_lookup(cell: YosysObject, pins: dict[str, tuple[Bit, ...]]) -> bool:
    """Whether the cell gives one bit of A, chosen by B, which reaches all of A and no more."""
    signed = int(cell["parameters"]["B_SIGNED"], 2)
    return len(pins["A"]) == 1 << len(pins["B"]) and len(pins["Y"]) == 1 and not signed
