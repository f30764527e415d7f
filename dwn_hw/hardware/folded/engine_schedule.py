"""The schedule of a folded engine: when each step does what, and what stands in which memory, all as numbers.

A tap of a window enters in every clock. When the last one is in, the sums of all lanes move on together and leave one a
clock, through bias, rounding and clamping, into the buffer, while the next window is summed; a window with fewer taps than
sums before it waits for them. Buffers take turns: what a step wrote in one the next step reads, and writes the other one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw.errors import OptionError, Problem
from dwn_hw.hardware.block_ram import Memory
from dwn_hw.hardware.folded.engine_step import EngineStep
from dwn_hw.hardware.folded.lane_kinds import IntegerLanes, LaneKind, ShiftLanes, width
from dwn_hw.hardware.folded.levels import LevelTables
from dwn_hw.hardware.folded.pointwise import span_of
from dwn_hw.hardware.folded.steps import make_steps
from dwn_hw.ir import Edge, Format, Ints

#: Registers on the way of a tap, numbered from the clock in which the loops stand at it: with ``LOADED`` its window is whole in
#: the lanes, with ``HELD`` its sums stand still to leave, and behind ``CLAMPED`` the first of them is whole, with its bias,
#: rounded and clamped. :mod:`dwn_hw.rtl.engine` builds as many as these say.
LOADED = 6
HELD = LOADED + 1
CLAMPED = HELD + 4

#: The widest shift that a lane makes: its shifter takes a level of LUTs for every doubling.
WIDEST_SHIFT = 31

#: Kbit of block RAM in the largest part of the 7 series (XC7VX1140T): more cannot be had on one of them.
MOST_KBIT = 67680


@dataclass(frozen=True, eq=False)
class EngineSchedule:
    """The steps of a network on ``lanes`` lanes, with the clocks and memories that follow from them.

    ``kind``: that of the lanes. ``edges``: the network's edges. ``classifies``: whether the greatest of the last step's numbers
    is looked for. ``behind``: the clocks that what reads these numbers takes, where they are not the result.
    """

    steps: tuple[EngineStep, ...]
    lanes: int
    kind: LaneKind
    edges: tuple[Edge, ...] = field(repr=False)
    classifies: bool = False
    behind: int = 0

    # What flows.

    def values(self, edge: int) -> Format:
        """The narrowest format of all numbers on an edge."""
        return span_of(self.edges[edge])[1]

    @cached_property
    def reads(self) -> Ints:
        """The buffer that each step reads, 0 or 1; it writes the other one."""
        turns = itertools.accumulate(not step.goes_on for step in self.steps)
        return tuple((turn - 1) % 2 for turn in turns)

    @cached_property
    def stored(self) -> tuple[Ints, Ints]:
        """The indices of the edges that each buffer holds in turn. The last step's numbers go to the result alone."""
        held: tuple[list[int], list[int]] = [0], []
        for step, read in zip(self.steps[:-1], self.reads, strict=False):
            held[1 - read].append(step.edge)
        return tuple(held[0]), tuple(held[1])

    @cached_property
    def buffer_formats(self) -> tuple[Format, ...]:
        """The format of each buffer, which covers all that it holds. A single step needs one buffer, more steps need two."""
        return tuple(_join([self.values(edge) for edge in held]) for held in self.stored if held)

    @cached_property
    def buffers(self) -> tuple[Memory, ...]:
        """The buffers as memories, with a row for each number of the largest edge that they hold."""
        sizes = (max(self.edges[edge].size for edge in held) for held in self.stored if held)
        return tuple(Memory(fmt.bits, rows) for fmt, rows in zip(self.buffer_formats, sizes, strict=True))

    @property
    def operand(self) -> Format:
        """The format of what the lanes read: that of all buffers together."""
        return _join(self.buffer_formats)

    @property
    def picked(self) -> Format:
        """The format of what steps that pool pick: a number, or its place in the window."""
        places = [Format.covering(0, step.taps - 1) for step in self.steps if step.pick.place]
        return _join([self.operand, *places])

    @property
    def result(self) -> Format:
        """The format of the last step's numbers."""
        return self.values(self.steps[-1].edge)

    @cached_property
    def order(self) -> Ints:
        """The addresses of the last step's numbers in the order in which they are written."""
        step = self.steps[-1]
        together, groups = self.full(step), step.places().reshape(step.groups, step.outputs, -1)
        blocks = [group[at : at + together] for group in groups for at in range(0, step.outputs, together)]
        return tuple(np.concatenate([block.T.reshape(-1) for block in blocks]).tolist())

    @property
    def written(self) -> Format:
        """The format of what the steps write, all of them together."""
        return _join([self.values(step.edge) for step in self.steps])

    @property
    def total(self) -> Format:
        """The signed format of a sum, with its bias and what is added for rounding."""
        ends = [end for step in self.steps for end in (*step.span, *(end + step.post.offset for end in step.span))]
        return _signed(min(ends), max(ends))

    @property
    def rounded(self) -> Format:
        """The signed format of a sum after it was rounded and before it is clamped."""
        ends = [step.post.rounded(end) for step in self.steps for end in step.span]
        return _signed(min(ends), max(ends))

    @cached_property
    def levels(self) -> LevelTables:
        """The tables of what sums become where they become levels."""
        counts = [len(step.biases) for step in self.steps]
        firsts = (0, *itertools.accumulate(counts[:-1]))
        steps = tuple((step.levels, first) for step, first in zip(self.steps, firsts, strict=True))
        return LevelTables(steps, self.rounded, self.written)

    @property
    def arrival(self) -> int:
        """The register of a number on its way into the buffer: :data:`CLAMPED`, or behind the search for levels."""
        return CLAMPED + self.levels.registers

    @property
    def flush(self) -> int:
        """Clocks from a step's last tap to its first sum written."""
        return self.arrival - 1

    # The weights.

    @cached_property
    def weights(self) -> Memory:
        """The weights' memory: a row for each tap, in the order in which taps come; in it a code for each lane, lane 0 lowest."""
        rows = sum(step.groups * step.blocks * step.taps // step.passes for step in self.steps if not step.pools)
        return Memory(self.lanes * self.kind.code_bits, rows)

    def weight_rows(self) -> npt.NDArray[np.uint8]:
        """The content of the weights' memory: (rows, bits), the lowest bit first."""
        return np.concatenate([self._rows_of(step) for step in self.steps if not step.pools])

    def _rows_of(self, step: EngineStep) -> npt.NDArray[np.uint8]:
        groups, _, taps = step.weights.shape
        padded = np.zeros((groups, step.blocks * self.lanes, taps), np.int64)
        padded[:, : step.outputs] = step.weights
        lanes = padded.reshape(groups, step.blocks, self.lanes, taps).transpose(0, 1, 3, 2).reshape(-1, self.lanes)
        codes = self.kind.codes(lanes)
        bits = codes[:, :, None] >> np.arange(self.kind.code_bits) & 1
        return np.asarray(bits.reshape(len(lanes), -1), np.uint8)

    @cached_property
    def biases(self) -> Memory:
        """The biases' memory: a row for each output, in the order in which outputs come."""
        return Memory(self.total.bits, len(self.bias_rows))

    @cached_property
    def bias_rows(self) -> Ints:
        """The content of the biases' memory: each bias with what is added for rounding."""
        return tuple(bias + step.post.offset for step in self.steps for bias in step.biases)

    @cached_property
    def memories(self) -> dict[str, Memory]:
        """All memories by name; those that no step needs are not there."""
        only_read = {"weights": self.weights, "biases": self.biases}
        found = {name: memory for name, memory in only_read.items() if memory.rows}
        found |= {name: memory for name, (memory, _) in self.levels.memories.items()}
        return found | {f"buffer{i}": memory for i, memory in enumerate(self.buffers)}

    # The clocks.

    def full(self, step: EngineStep) -> int:
        """The number of sums of a block, for every block but a group's last one."""
        return min(self.lanes, step.outputs)

    def rest(self, step: EngineStep) -> int:
        """The number of sums of a group's last block."""
        return step.outputs - (step.blocks - 1) * self.full(step)

    def clocks(self, step: EngineStep) -> int:
        """The clocks from a step's first tap to the first tap of the next step."""
        full, rest = (max(step.taps, sums) for sums in (self.full(step), self.rest(step)))
        windows = step.groups * step.positions * ((step.blocks - 1) * full + rest)
        # The first window waits for none, and none waits for the last one but the next step.
        return windows - rest + step.taps + self.rest(step) + self.flush

    @property
    def latency(self) -> int:
        """The clocks from the last code accepted to the result."""
        return 1 + sum(map(self.clocks, self.steps)) + self.behind

    def __str__(self) -> str:
        """The schedule as a table with a line for each step, and one for the lanes."""
        rows = [("step", "windows", "taps", "sums", "clocks", "reads", "writes")]
        for i, step in enumerate(self.steps):
            sums = str(self.rest(step)) if step.blocks == 1 else f"{self.full(step)}, {self.rest(step)}"
            windows = step.groups * step.blocks * step.positions
            target = f"buffer{1 - self.reads[i]}" if step is not self.steps[-1] else "result"
            source = f"buffer{self.reads[i]}"
            rows.append((step.name, f"{windows}", f"{step.taps}", sums, f"{self.clocks(step)}", source, target))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, *[f"{self.kind}, {self.weights.size} bits in all"] * bool(self.weights.rows)])


def schedule(network: ir.Network, lanes: int) -> EngineSchedule:
    """Schedule ``network`` on ``lanes`` lanes. Raises OptionError for what no engine can hold, with the number."""
    if lanes < 1:
        raise OptionError(Problem("--lanes", "at least 1", f"{lanes}", "Ask for some lanes."))
    found = _cheapest(network, lanes)
    widest = max(step.outputs for step in found.steps)
    problems = []
    if lanes > widest:
        rule = f"at most {widest}: no layer has more outputs in a group, so more lanes would idle"
        problems.append(Problem("--lanes", rule, f"{lanes}", f"Ask for {widest} or fewer."))
    if isinstance(found.kind, ShiftLanes) and found.kind.widest > WIDEST_SHIFT:
        name = max(found.steps, key=lambda step: int(np.abs(step.weights).max(initial=0))).name
        rule = f"weights within 2^{WIDEST_SHIFT} of each other, the widest shift of a lane"
        problems.append(Problem(name, rule, f"2^{found.kind.widest}", "Train with fewer weight bits."))
    kbit = sum(memory.size for memory in found.memories.values()) // 1024
    if kbit > MOST_KBIT:
        rule = f"at most {MOST_KBIT} Kbit of memory, what the largest 7-series part has"
        got = f"{kbit} ({found.weights.size // 1024} of them weights)"
        problems.append(Problem("folded engine", rule, got, "Make the network smaller."))
    if problems:
        raise OptionError(*problems)
    return found


def _cheapest(network: ir.Network, lanes: int) -> EngineSchedule:
    """Of the kinds of lanes the one with the least product of clocks and the weights' memory; shifts where all weights are."""
    weighted = [node for node in network.nodes if isinstance(node, ir.Dense | ir.Conv2d | ir.ConvTranspose2d)]
    shifts = scheduled(network, lanes)
    if all(map(ir.is_shift, weighted)):
        return shifts
    widths = sorted({width(np.array(node.weights, np.int64)) for node in weighted})
    choices = [shifts] * (widest_shift(shifts.steps) <= WIDEST_SHIFT)
    choices += [scheduled(network, lanes, IntegerLanes(bits)) for bits in widths]
    return min(choices, key=lambda choice: choice.latency * choice.weights.size)


def scheduled(network: ir.Network, lanes: int, kind: LaneKind | None = None) -> EngineSchedule:
    """``network`` on ``lanes`` lanes of a kind, as it is; without one, of shifts as wide as it needs."""
    steps = make_steps(network, lanes, kind or ShiftLanes())
    kind = kind or ShiftLanes(widest_shift(steps))
    return EngineSchedule(steps, lanes, kind, network.edges(), network.classifies)


def widest_shift(steps: Sequence[EngineStep]) -> int:
    """The greatest shift of steps on lanes of shifts."""
    return max(int(np.abs(step.weights).max(initial=1)) for step in steps).bit_length() - 1


def _join(formats: list[Format] | tuple[Format, ...]) -> Format:
    return Format.covering(min(fmt.low for fmt in formats), max(fmt.high for fmt in formats))


def _signed(low: int, high: int) -> Format:
    return Format.covering(min(low, -1), high)
