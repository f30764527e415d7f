"""The whole engine between two streams."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from amaranth.hdl import Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from dwn_hw.hardware.folded.folded_design import FoldedDesign
from dwn_hw.rtl.core import Core
from dwn_hw.rtl.engine.lane import Reader, make_lane
from dwn_hw.rtl.engine.memories import Ram, Rom
from dwn_hw.rtl.engine.sequencer import Sequencer
from dwn_hw.rtl.engine.sum_writer import Result, Writer
from dwn_hw.rtl.engine.units import Unit, place
from dwn_hw.rtl.hdl import Hdl
from dwn_hw.rtl.shells.stream import output_width, place_core


class Engine(wiring.Component):  # type: ignore[misc]  # amaranth ships no types
    """The core between two streams; also for use inside other Amaranth designs.

    Members
        ``x``: ``In(stream.Signature(bits of a code))``, a code a transfer, the first feature first;
        ``y``: ``Out(stream.Signature(width of the packed result))``, once a sample.

    Latency and interval: those of the design. ``sync``'s reset forgets what is under way. With ``instances`` the units are named
    Verilog modules that are emitted beside it; without, submodules.
    """

    reset: ClassVar = True

    def __init__(self, design: FoldedDesign, instances: bool = False) -> None:
        self.design, self.instances, self.plan = design, instances, design.schedule
        self.sequencer, self.reader = Sequencer(self.plan, instances), Reader(self.plan)
        self.writer, self.result = Writer(self.plan, instances), Result(self.plan, design.with_scores)
        self.lane = make_lane(self.plan) if self.plan.weights.rows else None
        self.memories = self._memories()
        self.tail = Core(design.tail, instances) if design.tail else None
        width = output_width(self.tail) if self.tail else len(self.result.y)
        super().__init__({"x": In(stream.Signature(design.word.bits)), "y": Out(stream.Signature(width))})

    def ports(self) -> dict[str, Hdl]:
        """Top-level ports by name, clock and reset excepted."""
        return {
            f"{side}_{name}": getattr(getattr(self, side), name)
            for side in ("x", "y")
            for name in ("payload", "valid", "ready")
        }

    def units(self) -> tuple[Unit, ...]:
        """One of each Verilog module."""
        lanes = (self.lane,) if self.lane else ()
        return (self.sequencer, self.reader, *lanes, self.writer, self.result, *self.memories.values())

    def _memories(self) -> dict[str, Unit]:
        plan, found = self.plan, dict[str, Unit]()
        if plan.weights.rows:
            packed = np.packbits(plan.weight_rows(), axis=1, bitorder="little")
            rows = tuple(int.from_bytes(row.tobytes(), "little") for row in packed)
            found["weights"] = Rom("weights", plan.weights, rows)
        if plan.biases.rows:
            mask = (1 << plan.biases.bits) - 1
            biases = tuple(bias & mask for bias in plan.bias_rows)
            found["biases"] = Rom("biases", plan.biases, biases)
        found |= {name: Rom(name, *table) for name, table in plan.levels.memories.items()}
        return found | {f"buffer{i}": Ram(f"buffer{i}", memory) for i, memory in enumerate(plan.buffers)}

    def elaborate(self, platform: object) -> Module:
        """Wires between the units."""
        m = Module()
        wires = {
            name: Signal(len(getattr(unit, name)), name=name)
            for unit in (self.sequencer, self.reader, self.writer)
            for name, member in unit.signature.members.items()
            if member.flow == Out
        }
        data = {name: Signal(len(unit.data), name=f"{name}_data") for name, unit in self.memories.items()}
        held = self._lanes(m, wires, data)
        y = Signal(len(self.result.y), name="result_y")
        m.d.comb += [self.x.ready.eq(wires["x_ready"]), self.y.valid.eq(wires["y_valid"])]
        payload: Any = y
        if self.tail:  # what it reads stands still until the result was taken
            payload, enable, _ = place_core(m, self.tail, y, Const(1, 1), "tail")
            m.d.comb += enable.eq(1)
        m.d.comb += self.y.payload.eq(payload)
        self._place(m, self.sequencer, wires, x_valid=self.x.valid, y_ready=self.y.ready)
        reads = {f"data{i}": data[f"buffer{i}"] for i in range(len(self.plan.buffers))}
        self._place(m, self.reader, wires, **reads)
        bias = data.get("biases", Const(0, self.plan.total.bits))
        tables = {f"{name}_data": data[name] for name in self.plan.levels.memories}
        self._place(m, self.writer, wires, held=held, bias=bias, **tables)
        self._buffers(m, wires, data, y)
        return m

    def _place(self, m: Module, unit: Unit, wires: dict[str, Hdl], name: str = "", **others: Any) -> None:
        own = {port: others[port] if port in others else wires[port] for port in unit.signature.members}
        place(m, name or unit.module, unit, self.instances, **own)

    def _lanes(self, m: Module, wires: dict[str, Hdl], data: dict[str, Hdl]) -> Any:
        """All lanes, the first below; what leaves."""
        plan = self.plan
        above: Any = Const(0, plan.total.bits)
        tables = {name: wires[f"{name}_address"] for name in plan.levels.memories}
        for name, row in {"weights": wires["weight"], "biases": wires["row"], **tables}.items():
            if name in self.memories:
                place(m, name, self.memories[name], self.instances, address=row, data=data[name])
        if self.lane is None:
            return above
        width = plan.kind.code_bits
        digits = max(2, len(str(plan.lanes - 1)))
        for i in reversed(range(plan.lanes)):
            held = Signal(plan.total.bits, name=f"lane{i:0{digits}}_held")
            code = data["weights"][i * width : (i + 1) * width]
            lane = self.lane if i == 0 or self.instances else make_lane(plan)
            self._place(m, lane, wires, f"lane{i:0{digits}}", code=code, above=above, held=held)
            above = held
        return above

    def _buffers(self, m: Module, wires: dict[str, Hdl], data: dict[str, Hdl], y: Any) -> None:
        """A step writes the buffer that it does not read; the last step writes the result."""
        plan, step = self.plan, wires["step"]
        last, taken = Signal(), Signal()
        m.d.comb += [last.eq(step == len(plan.steps) - 1), taken.eq(self.x.valid & wires["x_ready"])]
        stored, resulting = Signal(), Signal()
        m.d.comb += [stored.eq(wires["write"] & ~last), resulting.eq(wires["write"] & last)]
        for i in range(len(plan.buffers)):
            unit = self.memories[f"buffer{i}"]
            odd, at, value = wires["odd"], wires["at"], wires["value"]
            write = stored & (odd if i == 0 else ~odd)
            ports = {
                name: Signal(len(getattr(unit, name)), name=f"buffer{i}_{name}") for name in unit.signature.members
            }
            m.d.comb += [ports["address"].eq(wires["address"]), ports["write"].eq(write)]
            m.d.comb += [ports["write_address"].eq(at), ports["write_data"].eq(value)]
            if i == 0:
                with m.If(wires["x_ready"]):
                    m.d.comb += [ports["write"].eq(taken), ports["write_address"].eq(wires["index"])]
                    m.d.comb += ports["write_data"].eq(self._code())
            place(m, f"buffer{i}", unit, self.instances, **(ports | {"data": data[f"buffer{i}"]}))
        final = Signal(plan.result.bits, name="result_value")
        m.d.comb += final.eq(wires["value"])
        own = {"write": resulting, "done": wires["finished"], "value": final, "y": y}
        place(m, "result", self.result, self.instances, **own)

    def _code(self) -> Any:
        """The code at the port, as wide as the buffer."""
        return self.x.payload.as_signed() if self.design.word.signed else self.x.payload
