"""Moves what makes numbers narrow from behind pooling to before it, in a network that is to be folded.

The greatest of rounded numbers is the greatest one, rounded: rounding, clamping and ReLU are monotone. So the pooled image is
stored in fewer bits, and no step is needed for them. A Reshape between is no obstacle.
"""

from __future__ import annotations

import dataclasses

from dwn_hw.ir import MaxPool2d, Network, Quantize, Relu, Reshape


def narrow_before_pooling(network: Network) -> Network:
    """Return a network of the same function, with every ReLU and Quantize that widens nothing before the pool or Reshape."""
    nodes, edges = list(network.nodes), network.edges()
    widths = [max(fmt.bits for fmt in edge.flat_formats()) for edge in edges]
    moved = True
    while moved:
        moved = False
        for i in range(len(nodes) - 1):
            first, node = nodes[i : i + 2]
            known = isinstance(first, MaxPool2d | Reshape) and isinstance(node, Relu | Quantize)
            if known and widths[i + 2] <= widths[i + 1]:
                nodes[i : i + 2] = [node, first]
                widths[i + 1] = widths[i + 2]
                moved = True
    return dataclasses.replace(network, nodes=tuple(nodes))
