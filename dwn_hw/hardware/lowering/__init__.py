"""Turns each node of a network into a netlist of LUT cells (:mod:`dwn_hw.hardware.lut_netlist`) or of words."""

from __future__ import annotations

from typing import assert_never

from dwn_hw import ir
from dwn_hw._progress import Progress, silent
from dwn_hw.hardware import cell_cost, encoders, sorting_networks
from dwn_hw.hardware.families import FAMILIES, Family
from dwn_hw.hardware.lowering.absorb import absorb
from dwn_hw.hardware.lowering.discrete import lower_codebook
from dwn_hw.hardware.lowering.encoder import lower_thermometer
from dwn_hw.hardware.lowering.integers import fits, lower_integers
from dwn_hw.hardware.lowering.shannon import shannon
from dwn_hw.hardware.lowering.sorters import lower_sort
from dwn_hw.hardware.lowering.streamed_comparators import lower_streamed
from dwn_hw.hardware.lowering.vote import lower_argmax, lower_group_sum
from dwn_hw.hardware.lut_netlist import LutBuilder, LutNetlist
from dwn_hw.hardware.split_netlist import Logic
from dwn_hw.ir.truth_tables import LUT_INPUTS

__all__ = ["LUT_INPUTS", "fits", "lower", "lower_network"]


def lower_network(
    network: ir.Network,
    family: Family = FAMILIES["generic"],
    share: bool = True,
    encoder: str = encoders.DEFAULT,
    progress: Progress = silent,
    *,
    quick: bool = False,
    sorters: str = sorting_networks.SIZE,
) -> tuple[Logic, ...]:
    """Lower a network to one netlist for each node: of words for one that counts in integers, else of LUT cells.

    A codebook is LUTs, a sort whichever takes fewer (``sorters``: what its network is chosen by), a first maximum is made of what
    the numbers before it are made of. Bits of an edge are packed: its first entry's LSB is bit 0. ``share``: as in
    :func:`lower`. With a ``streamed`` encoder the first netlist is that of its comparators (:func:`lower_streamed`).
    ``quick``: as in :func:`lower`. Each node is built of cells of every size that the family has, and the fewest LUTs win.
    """
    found: list[Logic] = []
    sizes = range(family.lut_inputs, family.cell_inputs + 1)
    in_words = False
    for step in network.steps():
        node, named = step.node, (step.name, step.before, step.after)
        in_words = isinstance(node, ir.IntegerNode) or (isinstance(node, ir.ArgMax) and (in_words or _has_rows(step)))
        if in_words or isinstance(node, ir.IntegerNode):
            found.append(_lower_integers(step, family, sorters))
            continue
        if step.index == 0 and encoder == encoders.STREAMED and network.encoder:
            built = [absorb(lower_streamed(network.encoder, step.before, k), k) for k in sizes]
        else:
            built = [lower(node, *named, k, share, family.chain_inputs, progress, quick=quick) for k in sizes]
        found.append(min(built, key=lambda netlist: (cell_cost.sites(family, netlist), netlist.depth())))
    return tuple(found)


def _has_rows(step: ir.PlacedNode) -> bool:
    return len(step.before.shape) > 1


def _lower_integers(step: ir.PlacedNode, family: Family, sorters: str) -> Logic:
    """Lower a node that counts in integers to words, or to LUTs where it is made of these."""
    match step.node:
        case ir.Sort():
            return lower_sort(step.node, step.name, step.before, step.after, family, sorters)
        case ir.Codebook():
            sizes = range(family.lut_inputs, family.cell_inputs + 1)
            built = [lower_codebook(step.node, step.name, step.before, step.after, k) for k in sizes]
            return min(built, key=lambda netlist: (cell_cost.sites(family, netlist), netlist.depth()))
        case _:
            return lower_integers(step.node, step.name, step.before, step.after)


def lower(
    node: ir.LutNode,
    name: str,
    before: ir.Edge,
    after: ir.Edge,
    k: int = LUT_INPUTS,
    share: bool = True,
    chain_inputs: int = 0,
    progress: Progress = silent,
    *,
    quick: bool = False,
) -> LutNetlist:
    """Lower one node to a netlist of LUTs of at most ``k`` inputs; ``share`` off keeps thermometer comparisons apart.

    ``chain_inputs``: the inputs of the LUT in front of a site of a carry chain; 0: no chains. ``quick``: with what is found at
    once, for an estimate: somewhat more LUTs.
    """
    match node:
        case ir.Thermometer():
            return absorb(lower_thermometer(node, before, k, share, progress, quick=quick), k)
        case ir.LutLayer():
            return _lower_layer(node, name, before, k)
        case ir.GroupSum():
            return absorb(lower_group_sum(node, before, after, k, chain_inputs, quick=quick), k)
        case ir.ArgMax():
            return lower_argmax(before, after, k)
        case _:
            assert_never(node)


def _lower_layer(node: ir.LutLayer, name: str, before: ir.Edge, k: int) -> LutNetlist:
    builder = LutBuilder(before.size)
    digits = max(3, len(str(len(node.tables) - 1)))
    outputs = [
        shannon(builder, f"{name}_n{j:0{digits}}", wires, table, k)
        for j, (wires, table) in enumerate(zip(node.wires, node.tables, strict=True))
    ]
    return builder.finish(outputs)
