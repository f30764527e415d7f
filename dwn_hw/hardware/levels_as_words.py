"""Lets levels that are sorted travel as words with a bit for each level, so that nothing codes and decodes them in between."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from dwn_hw import ir
from dwn_hw.hardware import cell_cost
from dwn_hw.hardware.families import Family
from dwn_hw.hardware.lowering import lower_network

#: The bits of a number whose code of levels tools make of it in LUTs of six inputs, without a net for each comparison.
IN_LUTS = 12

#: The most levels above the lowest: each takes a comparison, and a sort of bits.
MOST = 15


def levels_as_words(network: ir.Network, family: Family) -> ir.Network:
    """The same network, where each ``Sort`` behind levels takes these as words if that needs fewer LUTs of ``family``."""
    nodes, edges = list(network.nodes), network.edges()

    def luts(some: Sequence[ir.Node], before: ir.Edge) -> int:
        own = ir.Network(ir.Input(before.shape, before.formats), tuple(some))
        return sum(cell_cost.sites(family, logic) for logic in lower_network(own, family))

    # What changes no number may stand in between.
    kept = [i for i, node in enumerate(nodes) if not isinstance(node, ir.Reshape)]
    for i, j in itertools.pairwise(kept):
        if family.lut_inputs == 6 and max(fmt.bits for fmt in edges[i].formats) <= IN_LUTS:
            continue
        if pair := _as_words(nodes[i], nodes[j]):
            words = [pair[0], *nodes[i + 1 : j], pair[1]]
            if luts(words, edges[i]) < luts(nodes[i : j + 1], edges[i]):
                nodes[i : j + 1] = words
    return replace(network, nodes=tuple(nodes))


def _as_words(levels: ir.Node, sort: ir.Node) -> tuple[ir.MultiThreshold, ir.Sort] | None:
    """Both with words between; None where they are no levels that rise and a sort of them."""
    if not isinstance(levels, ir.MultiThreshold) or not isinstance(sort, ir.Sort) or sort.levels:
        return None
    rows = [levels.reached(row) for row in range(len(levels.values))]
    values = sorted({value for row in rows for value in row})
    if not 1 < len(values) <= MOST + 1 or any(list(row) != sorted(row) for row in rows):
        return None
    # A value that no number takes may be none of these.
    word = {value: (1 << i) - 1 for i, value in enumerate(values)}
    words = tuple(tuple(word.get(value, 0) for value in row) for row in levels.values)
    return ir.MultiThreshold(levels.thresholds, words), replace(sort, levels=tuple(values), lsb=levels.lsb)
