"""How many LUTs, flip-flops and levels each part takes, without any tool: the mapped netlists, counted.

For a target whose LUT primitives are instantiated this is what synthesis gives. A tool that maps the portable form again
may find more or fewer; both figures are printed side by side. For smaller LUTs, larger cells count by Shannon expansion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dwn_hw import cuts
from dwn_hw.design import Design
from dwn_hw.lowering.functions import shannon_cost
from dwn_hw.mapped import Netlist


@dataclass(frozen=True, slots=True)
class Cost:
    """``lut`` cells of at most the target's inputs, ``ff`` flip-flops, ``depth`` levels of LUTs."""

    lut: int
    ff: int
    depth: int


def estimate(design: Design, lut_inputs: int = 6) -> dict[str, Cost]:
    """The cost of each part by name. Flip-flops are those inside the part and those that follow it."""
    costs = {}
    for stage, netlist in zip(design.pipeline.stages, design.netlists, strict=True):
        widths = cuts.widths(netlist)
        inside = sum(widths[level - 1] for level in stage.registers.inside)
        ff = inside + len(netlist.outputs) * stage.registers.after
        costs[stage.name] = Cost(_luts(netlist, lut_inputs), ff, netlist.depth())
    return costs


def _luts(netlist: Netlist, lut_inputs: int) -> int:
    return sum(shannon_cost(len(cell.inputs), lut_inputs) for cell in netlist.cells)


def total(costs: dict[str, Cost]) -> Cost:
    """All parts together; ``depth`` is the deepest part."""
    values: Sequence[Cost] = list(costs.values())
    return Cost(sum(c.lut for c in values), sum(c.ff for c in values), max(c.depth for c in values))
