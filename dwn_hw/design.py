"""What is to be built of a network: its netlists, where the registers go, the shell and the target.

Decided once, then read by everything that follows: Verilog, cost, interface.
"""

from __future__ import annotations

from dataclasses import dataclass

from dwn_hw.errors import OptionError, Problem
from dwn_hw.ir import Network
from dwn_hw.lowering import lower_network
from dwn_hw.mapped import Netlist

#: How codes come in and results go out; :mod:`dwn_hw.rtl.shell` has their rules.
SHELLS = ("stream", "none")

#: ``generic``: portable Verilog for every tool. ``xc7``: Xilinx' own LUT cells, which synthesis keeps as they are.
TARGETS = ("generic", "xc7")


@dataclass(frozen=True, slots=True)
class Pipeline:
    """``after[i]``: whether a register follows node ``i``."""

    after: tuple[bool, ...]

    @property
    def latency(self) -> int:
        """Clocks from a code accepted to its result."""
        return sum(self.after)


@dataclass(frozen=True, slots=True)
class Design:
    """``netlists[i]`` is node ``i`` in LUTs; with ``with_scores`` the port also gives the edge before the last node.

    ``share``: whether thermometer comparisons share logic.
    """

    network: Network
    netlists: tuple[Netlist, ...]
    pipeline: Pipeline
    shell: str = "stream"
    with_scores: bool = False
    target: str = "generic"
    share: bool = True


def make_design(
    network: Network,
    *,
    latency: int | None = None,
    shell: str = "stream",
    with_scores: bool = False,
    target: str = "generic",
    share: bool = True,
) -> Design:
    """Lower ``network`` and place its registers. Raises OptionError with everything that cannot be had.

    ``latency``: clocks, or None for a register after each node. ``share`` off keeps one comparator a threshold.
    """
    problems = [
        Problem(option, f"one of {', '.join(known)}", repr(asked), "Choose one of them.")
        for option, asked, known in (("--shell", shell, SHELLS), ("--target", target, TARGETS))
        if asked not in known
    ]
    nodes = len(network.nodes)
    if latency is not None and not 0 <= latency <= nodes:
        rule = f"0 (combinational) to {nodes}, a register after each of {', '.join(network.names())}"
        problems.append(Problem("--latency", rule, f"{latency}", "Choose a latency in that range."))
    if problems:
        raise OptionError(*problems)
    netlists = lower_network(network, share=share)
    depths = tuple(netlist.depth() for netlist in netlists)
    pipeline = Pipeline((True,) * nodes if latency is None else place_registers(depths, latency))
    return Design(network, netlists, pipeline, shell, with_scores, target, share)


def place_registers(depths: tuple[int, ...], registers: int) -> tuple[bool, ...]:
    """The placement with the least depth between registers; of equal ones, the latest registers.

    The last register always follows the last node, so that outputs come from flip-flops.
    """
    if registers == 0:
        return (False,) * len(depths)
    for limit in sorted({sum(depths[i:j]) for i in range(len(depths)) for j in range(i + 1, len(depths) + 1)}):
        cuts, run = [False] * len(depths), 0
        for i in reversed(range(len(depths))):
            run += depths[i]
            if run > limit or i == len(depths) - 1:
                cuts[i], run = True, depths[i]
        if sum(cuts) <= registers and max(depths) <= limit:
            spare = [i for i in reversed(range(len(depths))) if not cuts[i]][: registers - sum(cuts)]
            return tuple(cut or i in spare for i, cut in enumerate(cuts))
    raise AssertionError("the sum of all depths is a limit that one register meets")
