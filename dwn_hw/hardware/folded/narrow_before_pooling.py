"""Before a network is folded: what makes numbers narrow is done before pooling, not after it.

The greatest of rounded numbers is the greatest one, rounded: rounding, clamping and ReLU are monotone. So the pooled image is
stored in fewer bits, and no step is needed for them. A Reshape between is no obstacle.
"""

from __future__ import annotations

import dataclasses

from dwn_hw.ir import MaxPool2d, Network, Quantize, Relu, Reshape


def narrow_before_pooling(network: Network) -> Network:
    """The same function, with every ReLU and every Quantize that widens nothing moved before what it follows."""
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
