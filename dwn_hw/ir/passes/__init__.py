"""Exact passes, ``Network → Network``: each keeps the meaning for every code that the port can carry.

They run in the order of :data:`PASSES`, again and again until nothing changes. None adds a LUT, or a bit to the edge between two
nodes (a register, by default). What a pass may change is the inside: the port, the groups, their sums and the result stay as
they are, so predictions do too, and the interface, except that sums which cannot become as large as before are narrower.
"""

from __future__ import annotations

from collections.abc import Callable

from dwn_hw import ir
from dwn_hw.ir.passes.clamp import merge_clamps
from dwn_hw.ir.passes.fold import fold_bits
from dwn_hw.ir.passes.grid import drop_finer_grids
from dwn_hw.ir.passes.idle import drop_idle_inputs
from dwn_hw.ir.passes.merge import merge_into_readers
from dwn_hw.ir.passes.removed import removed
from dwn_hw.ir.passes.unread import drop_unread
from dwn_hw.ir.truth_tables import LUT_INPUTS

__all__ = [
    "PASSES",
    "Pass",
    "drop_finer_grids",
    "drop_idle_inputs",
    "drop_unread",
    "fold_bits",
    "merge_clamps",
    "merge_into_readers",
    "optimize",
    "removed",
]

Pass = Callable[[ir.Network], ir.Network]

#: The passes in order; each leaves nodes alone that it knows nothing of. What nobody reads goes before merging, in whose way it
#: would stand, and again after it, which leaves more.
PASSES: tuple[Pass, ...] = (
    merge_clamps,
    drop_finer_grids,
    fold_bits,
    drop_idle_inputs,
    drop_unread,
    merge_into_readers,
    drop_unread,
)

#: The most rounds of all passes. Two or three are enough for the networks that we know; the last changes nothing.
MAX_ROUNDS = 10


def optimize(network: ir.Network, k: int = LUT_INPUTS) -> ir.Network:
    """Run all passes in order, until nothing changes, for LUTs of ``k`` inputs: larger ones are not made of smaller ones."""
    for _ in range(MAX_ROUNDS):
        before = network
        for one in PASSES:
            network = one(network, k) if one is merge_into_readers else one(network)
        if network == before:
            break
    return network
