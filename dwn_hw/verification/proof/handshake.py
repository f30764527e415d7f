"""Proves what registers do while a result waits or a reset comes: a stream loses, doubles and invents nothing.

Let the design *advance* in a clock in which ``x_ready`` is high. Facts about one clock, whatever the registers hold, are enough:

1. ``x_ready`` is high exactly if nothing waits (``y_valid`` low) or what waits is taken (``y_ready`` high);
2. in a clock in which it does not advance, every register keeps its value;
3. in a clock in which it advances, every register takes the value that it takes in a pipeline that never waits;
4. the other outputs are what they are in a pipeline that never waits;
5. the registers between ``x_valid`` and ``y_valid`` are 0 after a reset.

In a pipeline that never waits ``y_valid`` is ``x_valid`` of as many clocks before as the result is of its codes. So, after one
reset, the result of every vector that was accepted is offered once, in order, and stays until it is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

from dwn_hw.errors import Mismatch
from dwn_hw.verification.proof.aig import TRUE, pack, unpack
from dwn_hw.verification.proof.clocked import ClockStep, RegisterPaths
from dwn_hw.verification.proof.read_verilog import Bit
from dwn_hw.verification.proof.sat import Verdict, compare


@dataclass(frozen=True, slots=True)
class Stream:
    """The names of a stream's ports: valid and ready of input and output, and the reset, if there is one."""

    x_valid: str
    x_ready: str
    y_valid: str
    y_ready: str
    reset: str | None

    def advancing(self) -> dict[str, int]:
        """The values of ports with which every register advances in every clock."""
        return {self.y_ready: 1} | ({self.reset: 0} if self.reset else {})


def valid_chain(pipeline: RegisterPaths, ports: Stream, latency: int) -> list[Bit]:
    """The registers between ``x_valid`` and ``y_valid``. Raises Mismatch unless one is the other of ``latency`` clocks before."""
    design = pipeline.step.design
    sink = pipeline.step.literals(design.outputs[ports.y_valid])
    logic, _ = pipeline.follow(sink, design.inputs[ports.x_valid])
    if logic.outputs != [logic.literals()[0]] or pipeline.stages(sink) != [latency]:
        raise Mismatch(
            f"the Verilog is not a pipeline: {ports.y_valid} is not {ports.x_valid} of {latency} clocks before"
        )
    return pipeline.registers(sink)


def prove_handshake(pipeline: RegisterPaths, ports: Stream, chain: list[Bit], timeout: float) -> Verdict:
    """Prove the facts, for all values of all registers and ports. Raises Mismatch with the name of what breaks one."""
    steady, design = pipeline.step, pipeline.step.design
    free = ClockStep(design, {}, steady.leaves)
    logic = free.logic
    x_ready, y_ready, y_valid = (
        free.literals(bits)[0]
        for bits in (design.outputs[ports.x_ready], design.inputs[ports.y_ready], design.outputs[ports.y_valid])
    )
    running = free.literals(design.inputs[ports.reset])[0] ^ 1 if ports.reset else TRUE
    others = [bit for name, bits in design.outputs.items() if name != ports.x_ready for bit in bits]
    steady.logic.outputs = [*steady.literals(others), *(steady.source(bit) for bit in design.registers)]
    moving = logic.place(steady.logic, [free.leaf[bit] for bit in steady.leaves])
    has = [x_ready, *free.literals(others)]
    wants = [logic.either(y_ready, y_valid ^ 1) if chain else y_ready, *moving[: len(others)]]
    for bit, advances in zip(design.registers, moving[len(others) :], strict=True):
        following = logic.choose(x_ready, advances, free.leaf[bit])
        # The data that a reset leaves behind does not matter: no valid bit goes with it.
        has.append(free.source(bit) if bit in chain else logic.both(running, free.source(bit)))
        wants.append(logic.both(running, following))
    left, right = (logic.cone(outputs) for outputs in (has, wants))
    verdict = compare(left, right, timeout)
    if verdict.case is not None:
        planes = pack(verdict.case[None])
        differs = unpack(left.simulate(planes) ^ right.simulate(planes), 1)[0]
        names = [ports.x_ready, *map(design.name, others), *map(design.name, design.registers)]
        raise Mismatch(
            f"the Verilog does not wait, advance or reset as a stream must: see {names[int(differs.argmax())]}"
        )
    return verdict
