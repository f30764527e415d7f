"""From a node of the network to a netlist of LUT cells (:mod:`dwn_hw.mapped`)."""

from __future__ import annotations

from typing import assert_never

from dwn_hw import ir
from dwn_hw.lowering.absorb import absorb
from dwn_hw.lowering.encoder import lower_thermometer
from dwn_hw.lowering.functions import shannon
from dwn_hw.lowering.vote import lower_argmax, lower_group_sum
from dwn_hw.mapped import Builder, Netlist

__all__ = ["LUT_INPUTS", "lower", "lower_network"]

#: Inputs of a LUT of most of today's larger FPGAs.
LUT_INPUTS = 6


def lower_network(network: ir.Network, k: int = LUT_INPUTS, share: bool = True) -> tuple[Netlist, ...]:
    """One netlist a node. Bits of an edge are packed: its first entry's LSB is bit 0. ``share``: as in :func:`lower`."""
    edges = network.edges()
    return tuple(
        lower(node, name, before, after, k, share)
        for node, name, before, after in zip(network.nodes, network.names(), edges, edges[1:], strict=False)
    )


def lower(
    node: ir.Node, name: str, before: ir.Edge, after: ir.Edge, k: int = LUT_INPUTS, share: bool = True
) -> Netlist:
    """The netlist of one node, of LUTs of at most ``k`` inputs; ``share`` off keeps thermometer comparisons apart."""
    match node:
        case ir.Thermometer():
            return absorb(lower_thermometer(node, before, k, share), k)
        case ir.LutLayer():
            return _lower_layer(node, name, before, k)
        case ir.GroupSum():
            return lower_group_sum(node, before, after, k)
        case ir.ArgMax():
            return lower_argmax(before, after, k)
        case _:
            assert_never(node)


def _lower_layer(node: ir.LutLayer, name: str, before: ir.Edge, k: int) -> Netlist:
    builder = Builder(before.size)
    digits = max(3, len(str(len(node.tables) - 1)))
    outputs = [
        shannon(builder, f"{name}_n{j:0{digits}}", wires, table, k)
        for j, (wires, table) in enumerate(zip(node.wires, node.tables, strict=True))
    ]
    return builder.finish(outputs)
