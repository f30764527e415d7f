"""The nodes of networks that count in integers: shift layers and what stands between them.

These nodes belong to :mod:`dwn_hw.ir`, which has the conventions, and are named there. An edge's format has an ``lsb``: a code
stands for ``code · 2**lsb``, and each node says how its output's follows. Images are (channels, height, width).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from dwn_hw.ir.edges import Edge, Format, Ints
from dwn_hw.ir.rules import MAX_CODE_BITS, check, check_pairs, check_whole, pair_text, shared_lsb, window_positions

#: The ways in which :class:`Quantize` drops fraction bits: towards −∞; to the nearest, halves up; to the nearest, halves to even.
ROUNDINGS = ("floor", "half_up", "half_even")

#: The kinds of padding, which is what a convolution finds beyond the image's rim: zeros, or the opposite rim.
PADDINGS = ("zeros", "circular")


@dataclass(frozen=True, slots=True)
class ShiftDense:
    """A dense layer: ``out[o] = bias[o] + Σ_i signs[o][i] · in[i] · 2**(shifts[o][i] − low)``, exactly; (outputs,) out.

    A weight is ``signs · 2**shifts``, its sign −1, 0 or 1; rows end to end, one an output. ``low`` is at most the least shift
    of a weight that is not 0, so that no bit is lost: the output's lsb is the input's + ``low``. ``bias`` (one an output) is on
    that grid. The output's format is the narrowest that holds every sum that the input's format allows.
    """

    short_name: ClassVar[str] = "dense"

    signs: Ints
    shifts: Ints
    bias: Ints
    low: int

    def __post_init__(self) -> None:
        check_weights("shift dense", self.signs, self.shifts, self.bias, self.low)

    def output(self, edge: Edge) -> Edge:
        """The edge after this node."""
        inputs, outputs = len(self.signs) // len(self.bias), len(self.bias)
        check(len(edge.shape) == 1, "shift dense", "a row of numbers; flatten images first", edge)
        check(inputs == edge.size, "shift dense", f"{edge.size} weights for each of {outputs} outputs", inputs)
        lsb = shared_lsb("shift dense", edge)
        limits = [(fmt.low, fmt.high) for fmt in edge.flat_formats()]
        rows = (slice(o * inputs, (o + 1) * inputs) for o in range(outputs))
        sums = [sum_limits(self.signs[row], self.shifts[row], self.low, limits) for row in rows]
        return Edge((outputs,), (_covering("shift dense", sums, self.bias, lsb + self.low),))

    def __str__(self) -> str:
        return f"{len(self.signs) // len(self.bias)} inputs, {describe_weights(self.signs, self.shifts)}"


@dataclass(frozen=True, slots=True)
class ShiftConv2d:
    """A two-dimensional cross-correlation with weights ``signs · 2**shifts``, as :class:`ShiftDense` sums them.

    ``kernel``: (output channels, input channels a group, height, width), and the weights in that order. ``stride``,
    ``dilation``: (rows, columns); ``padding``: rows above and as many below, columns left and as many right, filled as
    ``padding_mode`` says (:data:`PADDINGS`). ``groups``: output and input channels fall into as many equal slices, in order, and
    an output reads the inputs of its own slice.
    (channels, height, width) in and out, as :class:`torch.nn.Conv2d`.
    """

    short_name: ClassVar[str] = "conv"

    kernel: Ints
    signs: Ints
    shifts: Ints
    bias: Ints
    low: int
    stride: Ints = (1, 1)
    padding: Ints = (0, 0)
    padding_mode: str = "zeros"
    dilation: Ints = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        thing = "shift convolution"
        check_weights(thing, self.signs, self.shifts, self.bias, self.low)
        check_whole(thing, "kernel", self.kernel, 4, 1)
        check_pairs(thing, stride=(self.stride, 1), padding=(self.padding, 0), dilation=(self.dilation, 1))
        check_whole(thing, "groups", (self.groups,), 1, 1)
        outputs, inputs, height, width = self.kernel
        check(len(self.bias) == outputs, thing, f"a bias for each of {outputs} channels", len(self.bias))
        check(len(self.signs) == outputs * inputs * height * width, thing, f"weights of {self.kernel}", len(self.signs))
        check(outputs % self.groups == 0, thing, f"{outputs} channels in {self.groups} equal groups", "a rest")
        check(self.padding_mode in PADDINGS, thing, f"padding mode one of {', '.join(PADDINGS)}", self.padding_mode)

    def output(self, edge: Edge) -> Edge:
        """The edge after this node."""
        thing = "shift convolution"
        outputs, inputs, *window = self.kernel
        check(len(edge.shape) == 3, thing, "an image of (channels, height, width)", edge)
        channels, *extent = edge.shape
        check(channels == inputs * self.groups, thing, f"{inputs * self.groups} channels", channels)
        if self.padding_mode == "circular":
            good = all(p <= e for p, e in zip(self.padding, extent, strict=True))
            check(good, thing, f"circular padding of at most the image {tuple(extent)}", self.padding)
        shape = window_positions(thing, extent, window, self.stride, self.padding, self.dilation)
        lsb = shared_lsb(thing, edge)
        formats = edge.formats * channels if len(edge.formats) == 1 else edge.formats
        taps, size = window[0] * window[1], inputs * window[0] * window[1]
        # Padding brings zeros into a sum, which every format but an unsigned one's lowest code holds anyway.
        zero = 0 if self.padding_mode == "zeros" and any(self.padding) else None
        limits = [
            (f.low if zero is None else min(f.low, 0), f.high if zero is None else max(f.high, 0)) for f in formats
        ]
        sums = []
        for o in range(outputs):
            first = o // (outputs // self.groups) * inputs
            read = [limit for limit in limits[first : first + inputs] for _ in range(taps)]
            row = slice(o * size, (o + 1) * size)
            sums.append(sum_limits(self.signs[row], self.shifts[row], self.low, read))
        return Edge((outputs, *shape), (_covering(thing, sums, self.bias, lsb + self.low),))

    def __str__(self) -> str:
        odd = [f"stride {pair_text(self.stride)}"] if self.stride != (1, 1) else []
        odd += [f"padding {pair_text(self.padding)} {self.padding_mode}"] if any(self.padding) else []
        odd += [f"dilation {pair_text(self.dilation)}"] if self.dilation != (1, 1) else []
        odd += [f"groups {self.groups}"] if self.groups > 1 else []
        size = f"{pair_text(self.kernel[2:])} of {self.kernel[1]}"
        return ", ".join([size, *odd, describe_weights(self.signs, self.shifts)])


@dataclass(frozen=True, slots=True)
class Quantize:
    """Rounds to the grid ``2**lsb`` by ``rounding`` (:data:`ROUNDINGS`), then clamps to ``lowest``…``highest``, in its codes.

    The format of the output is the narrowest that holds both. A grid finer than the input's drops nothing.
    """

    short_name: ClassVar[str] = "quantize"

    lsb: int
    rounding: str
    lowest: int
    highest: int

    def __post_init__(self) -> None:
        check_whole("quantize", "lsb, lowest and highest", (self.lsb, self.lowest, self.highest), 3, None)
        check(self.rounding in ROUNDINGS, "quantize", f"rounding one of {', '.join(ROUNDINGS)}", self.rounding)
        check(self.lowest <= self.highest, "quantize", "lowest at most highest", f"{self.lowest}, {self.highest}")
        widest = max(-self.lowest, self.highest, 1).bit_length()
        check(widest < MAX_CODE_BITS, "quantize", f"codes of at most {MAX_CODE_BITS} bits", widest)

    def output(self, edge: Edge) -> Edge:
        """The edge after this node."""
        finer = max(0, shared_lsb("quantize", edge) - self.lsb)
        widest = finer + max(fmt.bits for fmt in edge.formats)
        check(widest <= MAX_CODE_BITS, "quantize", f"codes of at most {MAX_CODE_BITS} bits on the finer grid", widest)
        return Edge(edge.shape, (Format.covering(self.lowest, self.highest, self.lsb),))

    def __str__(self) -> str:
        return f"{self.rounding} to 2^{self.lsb}, clamp to {self.lowest}…{self.highest}"


@dataclass(frozen=True, slots=True)
class Affine:
    """A linear map: ``out = (in · multipliers[c] + biases[c]) >> shift``, towards −∞; ``c``: the entry of the first axis.

    ``multipliers`` and ``biases`` hold one entry, or one for each entry of the first axis. ``lsb`` is stated, not derived: it is
    what the multipliers were chosen for. Folded batch norms are such nodes, and scalers before a shift layer.
    """

    short_name: ClassVar[str] = "affine"

    multipliers: Ints
    biases: Ints
    shift: int
    lsb: int

    def __post_init__(self) -> None:
        check_whole("affine", "multipliers", self.multipliers, len(self.multipliers), None)
        check_whole("affine", "biases", self.biases, len(self.biases), None)
        check_whole("affine", "shift", (self.shift,), 1, 0)
        check_whole("affine", "lsb", (self.lsb,), 1, None)

    def output(self, edge: Edge) -> Edge:
        """The edge after this node."""
        entries = edge.shape[0]
        for name, values in (("multipliers", self.multipliers), ("biases", self.biases)):
            check(len(values) in (1, entries), "affine", f"one of {name}, or one for each of {entries}", len(values))
        columns = (v * entries if len(v) == 1 else v for v in (self.multipliers, self.biases, edge.formats))
        sums = []
        for m, b, fmt in zip(*columns, strict=True):
            assert isinstance(fmt, Format)
            sums += [fmt.low * m + b, fmt.high * m + b]
        widest = max(-min(sums), max(sums), 1).bit_length()
        check(widest < MAX_CODE_BITS, "affine", f"products of at most {MAX_CODE_BITS} bits", widest)
        return Edge(edge.shape, (Format.covering(min(sums) >> self.shift, max(sums) >> self.shift, self.lsb),))

    def __str__(self) -> str:
        return f"{len(self.multipliers)} multipliers, {len(self.biases)} biases, shift {self.shift}"


@dataclass(frozen=True, slots=True)
class Relu:
    """A rectifier: ``max(in, 0)``; unsigned out, on the same grid."""

    short_name: ClassVar[str] = "relu"

    def output(self, edge: Edge) -> Edge:
        """The edge after this node."""
        return Edge(edge.shape, tuple(Format.covering(0, fmt.high, fmt.lsb) for fmt in edge.formats))

    def __str__(self) -> str:
        return "max(x, 0)"


@dataclass(frozen=True, slots=True)
class MaxPool2d:
    """The greatest of each window of ``kernel`` (rows, columns); of padding, nothing is ever greatest.

    (channels, height, width) in and out, as :class:`torch.nn.MaxPool2d` without ``ceil_mode``: padding at most half the kernel.
    """

    short_name: ClassVar[str] = "pool"

    kernel: Ints
    stride: Ints
    padding: Ints = (0, 0)
    dilation: Ints = (1, 1)

    def __post_init__(self) -> None:
        check_pairs("max pool", kernel=(self.kernel, 1), stride=(self.stride, 1), padding=(self.padding, 0))
        check_pairs("max pool", dilation=(self.dilation, 1))
        good = all(2 * p <= k for p, k in zip(self.padding, self.kernel, strict=True))
        check(good, "max pool", f"padding at most half of the kernel {self.kernel}", self.padding)

    def output(self, edge: Edge) -> Edge:
        """The edge after this node."""
        check(len(edge.shape) == 3, "max pool", "an image of (channels, height, width)", edge)
        channels, *extent = edge.shape
        shape = window_positions("max pool", extent, self.kernel, self.stride, self.padding, self.dilation)
        return Edge((channels, *shape), edge.formats)

    def __str__(self) -> str:
        odd = [f"padding {pair_text(self.padding)}"] if any(self.padding) else []
        odd += [f"dilation {pair_text(self.dilation)}"] if self.dilation != (1, 1) else []
        return ", ".join([pair_text(self.kernel), f"stride {pair_text(self.stride)}", *odd])


@dataclass(frozen=True, slots=True)
class Reshape:
    """Gives the numbers another shape, in C order; ``(n,)`` flattens."""

    short_name: ClassVar[str] = "reshape"

    shape: Ints

    def __post_init__(self) -> None:
        check_whole("reshape", "shape", self.shape, len(self.shape), 1)

    def output(self, edge: Edge) -> Edge:
        """The edge after this node."""
        size = Edge(self.shape, ()).size
        check(size == edge.size, "reshape", f"a shape of {edge.size} numbers", self.shape)
        formats = edge.formats if len(edge.formats) == 1 else edge.flat_formats()
        check(len(formats) in (1, self.shape[0]), "reshape", "numbers of one format, or one axis", edge)
        return Edge(self.shape, formats)

    def __str__(self) -> str:
        return "C order"


#: The nodes of networks that count in integers.
IntegerNode: TypeAlias = ShiftDense | ShiftConv2d | Quantize | Affine | Relu | MaxPool2d | Reshape


def check_weights(thing: str, signs: Ints, shifts: Ints, bias: Ints, low: int) -> None:
    """Check weights by the rules that :class:`ShiftDense` states. Raises IRError."""
    check_whole(thing, "low", (low,), 1, None)
    check(len(bias) > 0, thing, "at least one output", "none")
    check(len(signs) == len(shifts) > 0, thing, "as many signs as shifts, at least one", f"{len(signs)}, {len(shifts)}")
    check(len(signs) % len(bias) == 0, thing, f"as many weights for each of {len(bias)} outputs", len(signs))
    check(set(signs) <= {-1, 0, 1}, thing, "signs are -1, 0 or 1", sorted(set(signs) - {-1, 0, 1})[:3])
    used = [shift for sign, shift in zip(signs, shifts, strict=True) if sign]
    least, most = min(used, default=low), max(used, default=low)
    check(
        low <= least and most - low < MAX_CODE_BITS,
        thing,
        f"shifts in {low}…{low + MAX_CODE_BITS - 1}",
        f"{least}…{most}",
    )


def sum_limits(signs: Ints, shifts: Ints, low: int, limits: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The least and the greatest sum of weighted inputs that lie within ``limits``, on the grid of ``low``."""
    least = most = 0
    for sign, shift, (bottom, top) in zip(signs, shifts, limits, strict=True):
        if sign > 0:
            least, most = least + (bottom << (shift - low)), most + (top << (shift - low))
        elif sign < 0:
            least, most = least - (top << (shift - low)), most - (bottom << (shift - low))
    return least, most


def describe_weights(signs: Ints, shifts: Ints) -> str:
    """A text for people: how many weights are not 0, and their range."""
    used = [shift for sign, shift in zip(signs, shifts, strict=True) if sign]
    span = f" of ±2^{min(used)}…±2^{max(used)}" if used else ""
    return f"{len(used)} of {len(signs)} weights{span}"


def _covering(thing: str, sums: Sequence[tuple[int, int]], bias: Ints, lsb: int) -> Format:
    """The narrowest format of every sum, each with its bias."""
    low = min(least + b for (least, _), b in zip(sums, bias, strict=True))
    high = max(most + b for (_, most), b in zip(sums, bias, strict=True))
    # Every partial sum must fit as well, in any order: that is what the sums without their bias bound.
    low, high = min(low, *(least for least, _ in sums)), max(high, *(most for _, most in sums))
    widest = max(-low, high, 1).bit_length()
    check(widest < MAX_CODE_BITS, thing, f"sums of at most {MAX_CODE_BITS} bits", f"{low}…{high}")
    return Format.covering(low, high, lsb)
