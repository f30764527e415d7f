"""The schedule of a folded engine: when each step does what, and what stands in which memory, all as numbers.

A tap of a window enters in every clock. When the last one is in, the sums of all lanes move on together and leave one a
clock, through bias, rounding and clamping, into the buffer, while the next window is summed; a window with fewer taps than
sums before it waits for them. Buffers take turns: step ``i`` reads buffer ``i % 2`` and writes the other one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw.errors import OptionError, Problem
from dwn_hw.hardware.block_ram import Memory
from dwn_hw.hardware.folded.steps import EngineStep, make_steps
from dwn_hw.ir import Edge, Format, Ints

#: Registers on the way of a tap, numbered from the clock in which the loops stand at it: with ``LOADED`` its window is whole in
#: the lanes, with ``HELD`` its sums stand still to leave, and behind ``WRITTEN`` the first of them is in the buffer, with its
#: bias, rounded and clamped. :mod:`dwn_hw.rtl.engine` builds as many as these say.
LOADED = 6
HELD = LOADED + 1
WRITTEN = HELD + 4

#: Clocks from a step's last tap to its first sum written.
FLUSH = WRITTEN - 1

#: The widest shift that a lane makes: its shifter takes a level of LUTs for every doubling.
WIDEST_SHIFT = 31

#: Kbit of block RAM in the largest part of the 7 series (XC7VX1140T): more cannot be had on one of them.
MOST_KBIT = 67680


@dataclass(frozen=True, eq=False)
class EngineSchedule:
    """The steps of a network on ``lanes`` lanes, with the clocks and memories that follow from them.

    ``edges``: the network's edges. ``classifies``: whether the greatest of the last step's numbers is looked for.
    """

    steps: tuple[EngineStep, ...]
    lanes: int
    edges: tuple[Edge, ...] = field(repr=False)
    classifies: bool = False

    # What flows.

    def values(self, edge: int) -> Format:
        """The narrowest format of all numbers on an edge."""
        formats = self.edges[edge].formats
        return Format.covering(min(fmt.low for fmt in formats), max(fmt.high for fmt in formats))

    @cached_property
    def stored(self) -> tuple[Ints, Ints]:
        """The indices of the edges that each buffer holds in turn. The last step's numbers go to the result alone."""
        written = (0, *(step.edge for step in self.steps[:-1]))
        return written[::2], written[1::2]

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
    def result(self) -> Format:
        """The format of the last step's numbers."""
        return self.values(self.steps[-1].edge)

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

    # The weights.

    @cached_property
    def widest_shift(self) -> int:
        """The greatest shift of any weight, in bits."""
        return max((int(np.abs(step.weights).max(initial=1)).bit_length() - 1 for step in self.steps), default=0)

    @property
    def shift_bits(self) -> int:
        """The bits of a weight's shift; all ones stand for a weight of 0."""
        return (self.widest_shift + 1).bit_length()

    @property
    def code_bits(self) -> int:
        """The bits of a weight's code: its shift, and above it its sign."""
        return self.shift_bits + 1

    @cached_property
    def weights(self) -> Memory:
        """The weights' memory: a row for each tap, in the order in which taps come; in it a code for each lane, lane 0 lowest."""
        rows = sum(step.groups * step.blocks * step.taps for step in self.steps if not step.pools)
        return Memory(self.lanes * self.code_bits, rows)

    def weight_rows(self) -> npt.NDArray[np.uint8]:
        """The content of the weights' memory: (rows, bits), the lowest bit first."""
        return np.concatenate([self._rows_of(step) for step in self.steps if not step.pools])

    def _rows_of(self, step: EngineStep) -> npt.NDArray[np.uint8]:
        groups, _, taps = step.weights.shape
        padded = np.zeros((groups, step.blocks * self.lanes, taps), np.int64)
        padded[:, : step.outputs] = step.weights
        lanes = padded.reshape(groups, step.blocks, self.lanes, taps).transpose(0, 1, 3, 2).reshape(-1, self.lanes)
        zero = (1 << self.shift_bits) - 1
        # A power of two is exact in floating point, and so is its logarithm.
        shifts = np.where(lanes == 0, zero, np.log2(np.maximum(np.abs(lanes), 1)).astype(np.int64))
        codes = shifts | (lanes < 0) << self.shift_bits
        bits = codes[:, :, None] >> np.arange(self.code_bits) & 1
        return np.asarray(bits.reshape(len(lanes), -1), np.uint8)

    @cached_property
    def biases(self) -> Memory:
        """The biases' memory: a row for each output, in the order in which outputs come."""
        return Memory(self.total.bits, len(self.bias_rows))

    @cached_property
    def bias_rows(self) -> Ints:
        """The content of the biases' memory: each bias with what is added for rounding."""
        return tuple(bias + step.post.offset for step in self.steps for bias in step.biases)

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
        return windows - rest + step.taps + self.rest(step) + FLUSH

    @property
    def latency(self) -> int:
        """The clocks from the last code accepted to the result."""
        return 1 + sum(map(self.clocks, self.steps))

    def __str__(self) -> str:
        """The schedule as a table with a line for each step."""
        rows = [("step", "windows", "taps", "sums", "clocks", "reads", "writes")]
        for i, step in enumerate(self.steps):
            sums = str(self.rest(step)) if step.blocks == 1 else f"{self.full(step)}, {self.rest(step)}"
            windows = step.groups * step.blocks * step.positions
            target = f"buffer{(i + 1) % 2}" if step is not self.steps[-1] else "result"
            source = f"buffer{i % 2}"
            rows.append((step.name, f"{windows}", f"{step.taps}", sums, f"{self.clocks(step)}", source, target))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def schedule(network: ir.Network, lanes: int) -> EngineSchedule:
    """Schedule ``network`` on ``lanes`` lanes. Raises OptionError for what no engine can hold, with the number."""
    if lanes < 1:
        raise OptionError(Problem("--lanes", "at least 1", f"{lanes}", "Ask for some lanes."))
    found = EngineSchedule(make_steps(network, lanes), lanes, network.edges(), network.classifies)
    widest = max(step.outputs for step in found.steps)
    problems = []
    if lanes > widest:
        rule = f"at most {widest}: no layer has more outputs in a group, so more lanes would idle"
        problems.append(Problem("--lanes", rule, f"{lanes}", f"Ask for {widest} or fewer."))
    for step in found.steps:
        shift = int(np.abs(step.weights).max(initial=1)).bit_length() - 1
        if shift > WIDEST_SHIFT:
            rule = f"weights within 2^{WIDEST_SHIFT} of each other, the widest shift of a lane"
            problems.append(Problem(step.name, rule, f"2^{shift}", "Train with fewer weight bits."))
    kbit = sum(memory.size for memory in (found.weights, found.biases, *found.buffers)) // 1024
    if kbit > MOST_KBIT:
        rule = f"at most {MOST_KBIT} Kbit of memory, what the largest 7-series part has"
        got = f"{kbit} ({found.weights.size // 1024} of them weights)"
        problems.append(Problem("folded engine", rule, got, "Make the network smaller."))
    if problems:
        raise OptionError(*problems)
    return found


def _join(formats: list[Format] | tuple[Format, ...]) -> Format:
    return Format.covering(min(fmt.low for fmt in formats), max(fmt.high for fmt in formats))


def _signed(low: int, high: int) -> Format:
    return Format.covering(min(low, -1), high)
