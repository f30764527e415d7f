"""Merges a rectifier into the clamp behind it, which then clamps from 0."""

from __future__ import annotations

from dataclasses import replace

from dwn_hw import ir


def merge_clamps(network: ir.Network) -> ir.Network:
    """A ``Relu`` before a ``Quantize`` becomes its lowest code 0: rounding keeps the order of numbers, and gives 0 for 0."""
    nodes: list[ir.Node] = []
    for node in network.nodes:
        if isinstance(node, ir.Quantize) and nodes and isinstance(nodes[-1], ir.Relu) and node.highest >= 0:
            nodes[-1] = replace(node, lowest=max(0, node.lowest))
        else:
            nodes.append(node)
    return replace(network, nodes=tuple(nodes))
