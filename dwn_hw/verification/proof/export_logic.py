"""Reads an export's Verilog as logic, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dwn_hw import ir
from dwn_hw.errors import Mismatch
from dwn_hw.exports.reader import Exported
from dwn_hw.hardware import design as decided
from dwn_hw.hardware.families import model_files
from dwn_hw.hardware.interface import Interface
from dwn_hw.verification.proof import read_verilog
from dwn_hw.verification.proof.aig import Aig
from dwn_hw.verification.proof.clocked import CONSTANTS, ClockStep, RegisterPaths
from dwn_hw.verification.proof.handshake import Stream
from dwn_hw.verification.proof.read_verilog import Bit


@dataclass(frozen=True, slots=True)
class Wires:
    """The wires that leave a part (or enter the first): the nodes that the part stands for, its bits, and their age in clocks.

    ``place``: the index of the network's edge that they carry.
    """

    name: str
    nodes: tuple[ir.Node, ...]
    place: int
    edge: ir.Edge
    bits: tuple[Bit, ...]
    clocks: int


@dataclass(frozen=True, slots=True)
class Logic:
    """The logic of a part, over the bits ``ends``; ``given``: the bits of the edge before it, as literals of ``logic``."""

    logic: Aig
    ends: tuple[Bit, ...]
    given: tuple[int, ...]


class Hardware:
    """The design of an export, read from its Verilog. ``wires[0]`` is the input port, ``wires[i + 1]`` what leaves part ``i``.

    ``pipeline``: the parts and registers that the export says.
    """

    def __init__(self, exported: Exported, pipeline: decided.Pipeline, timeout: float) -> None:
        self.interface = exported.interface
        self.stream = _stream(exported.interface)
        # The models of a target's cells are the shipped ones: an export is not asked what its own cells do.
        sources = (*exported.sources, *model_files(exported.interface.target))
        self.design = read_verilog.read(sources, exported.interface.top, exported.interface.clock, timeout)
        self.wires = self._wires(exported, pipeline)
        held = self.stream.advancing() if self.stream else {}
        self.pipeline = RegisterPaths(ClockStep(self.design, held, [bit for wires in self.wires for bit in wires.bits]))

    def _wires(self, exported: Exported, pipeline: decided.Pipeline) -> tuple[Wires, ...]:
        network, edges = exported.network, exported.network.edges()
        port = self.port("inputs", exported.interface.input.port, edges[0].bits)
        found, first = [Wires("input", (), 0, edges[0], port, 0)], 0
        for i, stage in enumerate(pipeline.stages):
            edge = edges[stage.node + 1]
            bits = self.design.wires.get(f"core.{stage.name}.y", ())
            if len(bits) != edge.bits:
                raise Mismatch(f"the Verilog has no part {stage.name} with a port y of {edge.bits} bits; export again")
            found.append(
                Wires(stage.name, network.nodes[first : stage.node + 1], stage.node + 1, edge, bits, pipeline.before(i))
            )
            first = stage.node + 1
        return tuple(found)

    def port(self, way: str, name: str, width: int) -> tuple[Bit, ...]:
        """The bits of a port that the interface names."""
        bits: tuple[Bit, ...] = getattr(self.design, way).get(name, ())
        if len(bits) != width:
            raise Mismatch(f"the Verilog has no port {name} of {width} bits as the interface says; export again")
        return bits

    def part(self, index: int) -> Logic:
        """The logic from what leaves the part before ``index`` to what leaves part ``index``."""
        return self.logic(self.wires[index + 1].bits, self.wires[index].bits)

    def part_of_codes(self, index: int) -> Logic:
        """The logic from the input port to what leaves part ``index``, then to what leaves the part before."""
        return self.logic((*self.wires[index + 1].bits, *self.wires[index].bits), self.wires[0].bits)

    def result(self) -> tuple[Bit, ...]:
        """The bits of the result port."""
        output = self.interface.output
        return self.port("outputs", output.port, output.bits)

    def logic(self, bits: Sequence[Bit], before: Sequence[Bit]) -> Logic:
        """The logic of ``bits`` over ``before``, registers being wires, and over ports that are read past it."""
        step = self.pipeline.step
        stop = [bit for bit in dict.fromkeys(before) if bit not in CONSTANTS]
        literals = [
            CONSTANTS[bit] if bit in CONSTANTS else step.leaf[bit] if bit in stop else step.source(bit) for bit in bits
        ]
        logic, ends = self.pipeline.follow(literals, stop)
        place = {**CONSTANTS, **dict(zip(ends, logic.literals(), strict=True))}
        return Logic(logic, tuple(ends), tuple(place[bit] for bit in before))


def _stream(interface: Interface) -> Stream | None:
    source, sink = interface.input, interface.output
    if source.valid is None or source.ready is None or sink.valid is None or sink.ready is None:
        return None
    return Stream(source.valid, source.ready, sink.valid, sink.ready, interface.reset)
