"""Moves the comparisons of a thermometer behind an engine into it, in a network that is to be folded.

All that a thermometer asks of a number is how many of the thresholds of its channel it reaches. That is a level, which the engine
finds on a sum's way out, with one row of thresholds for a channel; so a number takes two flip-flops for three thresholds instead
of the width of a sum, and what compares behind the engine has two inputs.
"""

from __future__ import annotations

import dataclasses
import itertools

from dwn_hw import ir


def levels_before_thermometer(network: ir.Network) -> ir.Network:
    """Return a network of the same function, whose first node of look-up tables reads levels, where it is a thermometer behind
    numbers that take more bits.
    """
    luts = (step for step in network.steps() if isinstance(step.node, ir.Thermometer | ir.LutLayer | ir.GroupSum))
    first = next(luts, None)
    if first is None or not first.index or not isinstance(first.node, ir.Thermometer):
        return network
    # A Reshape keeps the order, and the channels are before it.
    shapes = itertools.takewhile(lambda node: isinstance(node, ir.Reshape), reversed(network.nodes[: first.index]))
    at = first.index - len(list(shapes))
    edge = network.edges()[at]
    channels = edge.shape[0] if edge.shape else 1
    inner = edge.size // channels
    asked = [first.node.thresholds[c * inner : (c + 1) * inner] for c in range(channels)]
    rows = [tuple(sorted(set(itertools.chain(*several)))) for several in asked]
    levels = ir.MultiThreshold(tuple(rows), tuple(tuple(range(len(row) + 1)) for row in rows))
    if levels.output(edge).formats[0].bits >= max(fmt.bits for fmt in edge.formats):
        return network
    ranks = [{threshold: rank for rank, threshold in enumerate(row, 1)} for row in rows]
    counted = (tuple(ranks[i // inner][t] for t in row) for i, row in enumerate(first.node.thresholds))
    between = network.nodes[at : first.index]
    nodes = (*network.nodes[:at], levels, *between, ir.Thermometer(tuple(counted)), *network.nodes[first.index + 1 :])
    return dataclasses.replace(network, nodes=nodes)
