"""Drops the zeros that a finer grid appends to a number, so that hardware does not carry them."""

from __future__ import annotations

from dataclasses import replace

from dwn_hw import ir
from dwn_hw.ir.rules import MAX_CODE_BITS


def drop_finer_grids(network: ir.Network) -> ir.Network:
    """Move a ``Quantize`` that only appends zeros into the weights of the layer behind it: ``low`` is as much lower."""
    nodes: list[ir.Node] = []
    edges = network.edges()
    for i, node in enumerate(network.nodes):
        before = nodes[-1] if nodes else None
        if isinstance(before, ir.Quantize) and isinstance(node, ir.WeightedNode):
            finer = edges[i - 1].formats[0].lsb - before.lsb
            formats = edges[i - 1].formats
            clamps = any(
                f.low << finer < before.lowest or f.high << finer > before.highest for f in formats if finer >= 0
            )
            widest = max(map(abs, node.weights)).bit_length()
            if finer >= 0 and not clamps and widest + finer < MAX_CODE_BITS:
                weights = tuple(weight << finer for weight in node.weights)
                nodes[-1] = replace(node, weights=weights, low=node.low - finer)
                continue
        nodes.append(node)
    return replace(network, nodes=tuple(nodes))
