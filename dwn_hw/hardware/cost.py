"""Counts the LUTs, flip-flops and levels of each part from the mapped netlists, without any tool.

For a target whose LUT primitives are instantiated this is what synthesis gives. A tool that maps the portable form again
may find more or fewer; both figures are printed side by side. For smaller LUTs, larger cells count by Shannon expansion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import assert_never

from dwn_hw.hardware import cell_cost, split_netlist
from dwn_hw.hardware.block_ram import Memory, added, banks, block_rams
from dwn_hw.hardware.design import ParallelDesign, clock_estimate
from dwn_hw.hardware.families import FAMILIES, Family
from dwn_hw.hardware.folded import EngineSchedule, FoldedDesign
from dwn_hw.hardware.folded.lane_kinds import IntegerLanes
from dwn_hw.hardware.kinds import Design
from dwn_hw.hardware.streamed_encoder_plan import FeatureSchedule


@dataclass(frozen=True, slots=True)
class Cost:
    """A cost: ``lut`` LUTs, ``ff`` flip-flops, ``carry`` sites of carry chains, ``depth`` levels of LUTs, ``ram`` bits of
    block RAM in ``bram`` blocks, of the size that the family's boards are counted in, where half a block may be one (24.5).

    A site of a chain has its LUT in front of it, which is among ``lut``. ``passing``: further LUTs that only pass a net on,
    into a site that needs none or out of a chain.
    """

    lut: int
    ff: int
    depth: int
    carry: int = 0
    passing: int = 0
    ram: int = 0
    bram: float = 0

    @property
    def site(self) -> int:
        """All LUTs that are taken, whatever for."""
        return self.lut + self.passing

    def as_report(self) -> dict[str, float]:
        """The figures by name, as reports and JSON hold them."""
        return asdict(self) | {"site": self.site}


def estimate(design: Design, family: Family | None = None) -> dict[str, Cost]:
    """The cost of each part by name, on the design's own family or another. Flip-flops: inside the part and behind it."""
    family = family or FAMILIES[design.target]
    match design:
        case ParallelDesign():
            return _estimate_parallel(design, family)
        case FoldedDesign():
            gives_numbers = design.with_scores or not design.schedule.classifies
            behind = _estimate_parallel(design.tail, family) if design.tail else {}
            return _estimate_folded(design.schedule, family, gives_numbers) | behind
        case _:
            assert_never(design)


def clock(design: Design) -> float | None:
    """MHz that the longest path allows, where the delay model of the design's family can say it."""
    match design:
        case ParallelDesign():
            return clock_estimate(design)
        case FoldedDesign():
            return None
        case _:
            assert_never(design)


def _estimate_parallel(design: ParallelDesign, family: Family) -> dict[str, Cost]:
    costs = {}
    for stage, netlist in zip(design.pipeline.stages, design.netlists, strict=True):
        widths = split_netlist.widths(netlist)
        inside = sum(widths[level - 1] for level in stage.registers.inside)
        ff = inside + netlist.output_bits * stage.registers.after
        lut, carry, passing = cell_cost.counted(family, netlist)
        costs[stage.name] = Cost(lut, ff, netlist.depth(), carry, passing)
    if design.with_scores:  # they wait beside the last part
        last = design.pipeline.stages[-1]
        waiting = design.network.scores_edge.bits * last.registers.count
        costs[last.name] = replace(costs[last.name], ff=costs[last.name].ff + waiting)
    if plan := design.stream:
        first = design.pipeline.stages[0]
        costs[first.name] = _streamed(costs[first.name], plan, len(design.netlists[0].outputs), family)
    return costs


def _streamed(compared: Cost, plan: FeatureSchedule, outputs: int, family: Family) -> Cost:
    """The cost of a streamed encoder, from that of its comparators, which counts a flip-flop for each output.

    Around them are a counter and what captures. The counter takes a LUT for each bit, one for when it moves, and one for its
    end; a second one for its end with a block RAM.
    """
    counter = plan.index_bits + 2 + plan.in_memory
    rows = plan.features if plan.in_memory else 0
    return replace(
        compared,
        lut=compared.lut + counter,
        ff=compared.ff - outputs + plan.captured + plan.index_bits,
        ram=plan.memory_bits,
        bram=block_rams(Memory(plan.row_bits, rows), family.block_ram),
    )


def total(costs: dict[str, Cost]) -> Cost:
    """The cost of all parts together; ``depth`` is that of the deepest part."""
    values: Sequence[Cost] = list(costs.values())
    counts = {kind: sum(getattr(c, kind) for c in values) for kind in ("lut", "ff", "carry", "passing", "ram")}
    return Cost(**counts, bram=added(c.bram for c in values), depth=max(c.depth for c in values))


def _estimate_folded(plan: EngineSchedule, family: Family, gives_numbers: bool) -> dict[str, Cost]:
    """The cost of a folded engine. Block RAMs and the lanes' registers are counted, and the result's; the rest is rough.

    The rough figures are some LUTs and flip-flops for each bit of what a part does.
    """
    sums, operand, columns = plan.total.bits, plan.operand.bits, len(plan.steps)
    lanes, lane = plan.lanes, _lane(plan, family)
    address = (plan.buffers[0].rows - 1).bit_length()
    last = plan.steps[-1]
    held = gives_numbers * plan.result.bits * last.size
    search = plan.levels.depth * plan.rounded.bits
    in_turn = any(step.pick.in_turn for step in plan.steps)
    known = {"lanes": Cost(lanes * lane.lut, lanes * lane.ff, lane.depth)} if plan.weights.rows else {}
    known |= {
        "sequencer": _rough(12 * address + 4 * columns, 11 * address),
        "reader": _rough((4 + 4 * in_turn) * operand, (4 + 2 * in_turn) * operand),
        "writer": _rough(6 * sums + 6 * address + search, 4 * sums + 3 * address + 3 * search),
        "result": _rough(2 * plan.result.bits, plan.result.bits + 2 * last.size.bit_length() + held),
    }
    return known | {name: _memory(memory, family) for name, memory in plan.memories.items()}


def _lane(plan: EngineSchedule, family: Family) -> Cost:
    """The cost of a lane, carry chains aside."""
    sums, code = plan.total.bits, plan.kind.code_bits
    if isinstance(plan.kind, IntegerLanes):
        # The weight or 0, what it is added to, what leaves; the adder is in its carry chain.
        return Cost(code + 2 * sums, code + 2 * sums, 2)
    shifted = min(sums, plan.operand.bits + plan.kind.widest)
    # The LUTs for each bit of a shifter: one a bit of the shift where a LUT chooses one of two, fewer with one of four.
    levels = -(-3 * plan.kind.shift_bits // 4) if family.lut_inputs == 6 else plan.kind.shift_bits
    return Cost(shifted * levels + 2 * sums, code + 1 + shifted + 2 * sums, levels + 1)


def _rough(lut: int, ff: int) -> Cost:
    return Cost(lut, ff, depth=0)


def _memory(memory: Memory, family: Family) -> Cost:
    if not memory.block:
        return Cost(-(-memory.size // (1 << family.lut_inputs)), memory.bits, depth=1)
    chosen = memory.bits * (banks(memory, family.block_ram) - 1)
    lut = chosen if family.lut_inputs < 6 else -(-2 * chosen // 3)
    return Cost(lut, ff=0, depth=0, ram=memory.size, bram=block_rams(memory, family.block_ram))
