"""Drops the zeros that a finer grid appends to a number, so that hardware does not carry them."""

from __future__ import annotations

from dataclasses import replace

from dwn_hw import ir
from dwn_hw.ir.rules import MAX_CODE_BITS


def drop_finer_grids(network: ir.Network) -> ir.Network:
    """Move a ``Quantize`` that only appends zeros into the grid of the shift layer behind it: ``low`` is as much lower."""
    nodes: list[ir.Node] = []
    edges = network.edges()
    for i, node in enumerate(network.nodes):
        before = nodes[-1] if nodes else None
        if isinstance(before, ir.Quantize) and isinstance(node, ir.ShiftDense | ir.ShiftConv2d):
            finer = edges[i - 1].formats[0].lsb - before.lsb
            formats = edges[i - 1].formats
            clamps = any(
                f.low << finer < before.lowest or f.high << finer > before.highest for f in formats if finer >= 0
            )
            used = [shift for sign, shift in zip(node.signs, node.shifts, strict=True) if sign]
            if finer >= 0 and not clamps and max(used, default=node.low) - node.low + finer < MAX_CODE_BITS:
                nodes[-1] = replace(node, low=node.low - finer)
                continue
        nodes.append(node)
    return replace(network, nodes=tuple(nodes))
