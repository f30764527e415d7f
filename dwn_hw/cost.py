"""How many LUTs, flip-flops and levels each part takes, without any tool: the mapped netlists, counted.

For a target whose LUT primitives are instantiated this is what synthesis gives. A tool that maps the portable form again
may find more or fewer; both figures are printed side by side. For smaller LUTs, larger cells count by Shannon expansion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dwn_hw import cuts
from dwn_hw.design import Design
from dwn_hw.families import FAMILIES, Family
from dwn_hw.mapped import CARRY, LUT
from dwn_hw.streaming import Schedule


@dataclass(frozen=True, slots=True)
class Cost:
    """``lut`` LUTs, ``ff`` flip-flops, ``carry`` sites of carry chains, ``depth`` levels of LUTs, ``ram`` bits of block RAM.

    A site of a chain has its LUT in front of it, which is among ``lut``. ``site``: all that is taken, with the LUTs that
    carries pass on their way out of a chain.
    """

    lut: int
    ff: int
    depth: int
    carry: int
    site: int
    ram: int = 0


def estimate(design: Design, family: Family | None = None) -> dict[str, Cost]:
    """The cost of each part by name, on the design's own family or another. Flip-flops: inside the part and behind it."""
    family = family or FAMILIES[design.target]
    costs = {}
    for stage, netlist in zip(design.pipeline.stages, design.netlists, strict=True):
        widths = cuts.widths(netlist)
        inside = sum(widths[level - 1] for level in stage.registers.inside)
        ff = inside + len(netlist.outputs) * stage.registers.after
        lut = sum(family.luts(len(cell.inputs)) for cell in netlist.cells if cell.kind == LUT)
        carry = sum(cell.kind == CARRY for cell in netlist.cells)
        costs[stage.name] = Cost(lut, ff, netlist.depth(), carry, family.sites(netlist))
    if plan := design.stream:
        first = design.pipeline.stages[0]
        costs[first.name] = _streamed(costs[first.name], plan, len(design.netlists[0].outputs))
    return costs


def _streamed(compared: Cost, plan: Schedule, outputs: int) -> Cost:
    """What is around the comparators, whose cost counts a flip-flop for each output: a counter and what captures.

    A LUT for each bit of the counter, one for when it moves, and one for its end; a second for that with a block RAM.
    """
    counter = plan.index_bits + 2 + plan.in_memory
    return replace(
        compared,
        lut=compared.lut + counter,
        site=compared.site + counter,
        ff=compared.ff - outputs + plan.captured + plan.index_bits,
        ram=plan.memory_bits,
    )


def total(costs: dict[str, Cost]) -> Cost:
    """All parts together; ``depth`` is the deepest part."""
    values: Sequence[Cost] = list(costs.values())
    added = {kind: sum(getattr(c, kind) for c in values) for kind in ("lut", "ff", "carry", "site", "ram")}
    return Cost(**added, depth=max(c.depth for c in values))
