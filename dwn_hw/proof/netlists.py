"""A mapped netlist as logic."""

from __future__ import annotations

from dwn_hw import mapped
from dwn_hw.proof.aig import FALSE, TRUE, Aig


def logic_of(netlist: mapped.Netlist) -> Aig:
    """The same function: each cell is the table that it says, of the nets that it says."""
    logic = Aig(netlist.inputs)
    nets = logic.literals()
    constants = {mapped.FALSE: FALSE, mapped.TRUE: TRUE}

    def literal(net: int) -> int:
        return constants[net] if net < 0 else nets[net]

    for cell in netlist.cells:
        nets.append(logic.table([literal(net) for net in cell.inputs], cell.table))
    logic.outputs = [literal(net) for net in netlist.outputs]
    return logic
