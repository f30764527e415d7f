"""The nodes that sum weighted numbers: dense layers, convolutions and transposed convolutions, with integer weights.

These nodes belong to :mod:`dwn_hw.ir`, which has the conventions, and are named there. A weight is an integer on the grid
``2**low``; shift layers are those whose weights are all ``±2**s`` or 0 (:func:`is_shift`), and nothing else tells them apart.
Images are (channels, height, width).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from dwn_hw.ir.edges import Edge, Format, Ints
from dwn_hw.ir.rules import MAX_CODE_BITS, check, check_pairs, check_whole, pair_text, shared_lsb, window_positions

#: The kinds of padding, which is what a convolution finds beyond the image's rim: zeros, or the opposite rim.
PADDINGS = ("zeros", "circular")

#: The lowest and the highest number of an entry.
Limits: TypeAlias = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Dense:
    """A dense layer: ``out[o] = bias[o] + Σ_i weights[o][i] · in[i]``, exactly; (outputs,) out.

    ``weights``: rows end to end, one an output, on the grid ``2**low``, so that the output's lsb is the input's + ``low``.
    ``bias`` (one an output) is on that grid. The output's format is the narrowest that holds every sum that the input's allows.
    """

    short_name: ClassVar[str] = "dense"

    weights: Ints
    bias: Ints
    low: int

    def __post_init__(self) -> None:
        _check_weights("dense", self.weights, self.bias, self.low)
        rule = f"as many weights for each of {len(self.bias)} outputs"
        check(len(self.weights) % len(self.bias) == 0, "dense", rule, len(self.weights))

    def output(self, edge: Edge) -> Edge:
        """The edge after this node."""
        inputs, outputs = len(self.weights) // len(self.bias), len(self.bias)
        check(len(edge.shape) == 1, "dense", "a row of numbers; flatten images first", edge)
        check(inputs == edge.size, "dense", f"{edge.size} weights for each of {outputs} outputs", inputs)
        lsb = shared_lsb("dense", edge)
        sums = sum_limits(self.weights, outputs, _limits(edge.flat_formats()))
        return Edge((outputs,), (_covering("dense", sums, self.bias, lsb + self.low),))

    def __str__(self) -> str:
        return f"{len(self.weights) // len(self.bias)} inputs, {describe_weights(self.weights, self.low)}"


@dataclass(frozen=True, slots=True)
class Conv2d:
    """A two-dimensional cross-correlation with integer weights, as :class:`Dense` sums them.

    ``kernel``: (output channels, input channels a group, height, width), and the weights in that order. ``stride``,
    ``dilation``: (rows, columns); ``padding``: rows above and as many below, columns left and as many right, filled as
    ``padding_mode`` says (:data:`PADDINGS`). ``groups``: output and input channels fall into as many equal slices, in order, and
    an output reads the inputs of its own slice.
    (channels, height, width) in and out, as :class:`torch.nn.Conv2d`.
    """

    short_name: ClassVar[str] = "conv"

    kernel: Ints
    weights: Ints
    bias: Ints
    low: int
    stride: Ints = (1, 1)
    padding: Ints = (0, 0)
    padding_mode: str = "zeros"
    dilation: Ints = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        thing = "convolution"
        _check_windowed(thing, self, channels=self.kernel[:1], stride=(self.stride, 1), padding=(self.padding, 0))
        check(self.padding_mode in PADDINGS, thing, f"padding mode one of {', '.join(PADDINGS)}", self.padding_mode)

    def output(self, edge: Edge) -> Edge:
        """The edge after this node."""
        thing = "convolution"
        outputs, inputs, *window = self.kernel
        check(len(edge.shape) == 3, thing, "an image of (channels, height, width)", edge)
        channels, *extent = edge.shape
        check(channels == inputs * self.groups, thing, f"{inputs * self.groups} channels", channels)
        if self.padding_mode == "circular":
            good = all(p <= e for p, e in zip(self.padding, extent, strict=True))
            check(good, thing, f"circular padding of at most the image {tuple(extent)}", self.padding)
        shape = window_positions(thing, extent, window, self.stride, self.padding, self.dilation)
        lsb = shared_lsb(thing, edge)
        # Padding brings zeros into a sum, which every format but an unsigned one's lowest code holds anyway.
        padded = self.padding_mode == "zeros" and any(self.padding)
        limits = _limits(_by_channel(edge), with_zero=padded)
        each, taps = outputs // self.groups, math.prod(window)
        rows = np.array(self.weights, np.int64).reshape(self.groups, -1)
        sums: list[tuple[int, int]] = []
        for group, weights in enumerate(rows):
            own = limits[group * inputs : (group + 1) * inputs]
            sums += sum_limits(weights, each, [limit for limit in own for _ in range(taps)])
        return Edge((outputs, *shape), (_covering(thing, sums, self.bias, lsb + self.low),))

    def __str__(self) -> str:
        return _describe_windowed(self, self.kernel[1], f" {self.padding_mode}")


@dataclass(frozen=True, slots=True)
class ConvTranspose2d:
    """A transposed convolution: each number of the image adds its multiple of the kernel to the output, ``stride`` apart.

    ``out[o][y·stride + ky·dilation − padding] += weights[i][o][ky] · in[i][y]``, and so along the columns; what falls outside is
    cut off. ``kernel``: (input channels, output channels a group, height, width), and the weights in that order; the output is
    ``(extent − 1)·stride − 2·padding + dilation·(kernel − 1) + output_padding + 1`` long.
    (channels, height, width) in and out, as :class:`torch.nn.ConvTranspose2d`.
    """

    short_name: ClassVar[str] = "transposed"

    kernel: Ints
    weights: Ints
    bias: Ints
    low: int
    stride: Ints = (1, 1)
    padding: Ints = (0, 0)
    output_padding: Ints = (0, 0)
    dilation: Ints = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        thing = "transposed convolution"
        channels = (self.kernel[1] * self.groups,) if len(self.kernel) > 1 else ()
        _check_windowed(thing, self, channels=channels, stride=(self.stride, 1), padding=(self.padding, 0))
        check_pairs(thing, output_padding=(self.output_padding, 0))
        axes = zip(self.output_padding, self.stride, self.dilation, strict=True)
        good = all(extra < max(stride, dilation) for extra, stride, dilation in axes)
        check(good, thing, "output padding below stride or dilation", self.output_padding)

    def output(self, edge: Edge) -> Edge:
        """The edge after this node."""
        thing = "transposed convolution"
        inputs, outputs, *_ = self.kernel
        check(len(edge.shape) == 3, thing, "an image of (channels, height, width)", edge)
        channels, *extent = edge.shape
        check(channels == inputs, thing, f"{inputs} channels", channels)
        shape = self.output_shape(extent)
        check(min(shape) >= 1, thing, "an output of at least 1×1", pair_text(shape))
        lsb = shared_lsb(thing, edge)
        # Near the rim some of the taps are missing, which is as if they were 0.
        limits = _limits(_by_channel(edge), with_zero=True)
        weights = np.array(self.weights, np.int64).reshape(self.groups, -1, *self.kernel[1:])
        sums: list[tuple[int, int]] = []
        for group, own in enumerate(weights):  # (inputs a group, outputs a group, rows, columns)
            read = limits[group * len(own) : (group + 1) * len(own)]
            met = [_sums_that_meet(own, read, rows) for rows in self._phases()]
            sums += [(min(low for low, _ in each), max(high for _, high in each)) for each in zip(*met, strict=True)]
        return Edge((outputs * self.groups, *shape), (_covering(thing, sums, self.bias, lsb + self.low),))

    def output_shape(self, extent: Sequence[int]) -> Ints:
        """The (rows, columns) of the output for an image of ``extent``."""
        axes = zip(extent, self.kernel[2:], self.stride, self.padding, self.output_padding, self.dilation, strict=True)
        return tuple((e - 1) * s - 2 * p + d * (k - 1) + extra + 1 for e, k, s, p, extra, d in axes)

    def _phases(self) -> Iterable[tuple[Ints, Ints]]:
        """The taps (rows, columns) of the kernel that may meet in one sum: their places differ by multiples of the stride."""
        rests = []
        for size, stride, apart in zip(self.kernel[2:], self.stride, self.dilation, strict=True):
            # Only rests that occur: a file may state any stride.
            met = {k * apart % stride for k in range(size)}
            rests.append([tuple(k for k in range(size) if k * apart % stride == rest) for rest in met])
        return [(rows, columns) for rows in rests[0] for columns in rests[1]]

    def __str__(self) -> str:
        return _describe_windowed(self, self.kernel[0] // self.groups)


#: The nodes that sum weighted numbers.
WeightedNode: TypeAlias = Dense | Conv2d | ConvTranspose2d


def is_shift(node: WeightedNode) -> bool:
    """Whether every weight is 0 or ``±2**s``."""
    return all(weight & (weight - 1) == 0 for weight in map(abs, node.weights))


def powers_of_2(signs: Sequence[int], shifts: Sequence[int], low: int) -> Ints:
    """The weights ``signs · 2**shifts`` on the grid ``2**low``; a shift below ``low`` raises IRError."""
    used = [shift for sign, shift in zip(signs, shifts, strict=True) if sign]
    span = f"{min(used, default=low)}…{max(used, default=low)}"
    good = low <= min(used, default=low) and max(used, default=low) - low < MAX_CODE_BITS
    check(good, "weights", f"shifts in {low}…{low + MAX_CODE_BITS - 1}", span)
    return tuple(sign << (shift - low) if sign else 0 for sign, shift in zip(signs, shifts, strict=True))


def sum_limits(weights: Sequence[int] | npt.NDArray[np.int64], outputs: int, limits: Limits) -> list[tuple[int, int]]:
    """The least and the greatest sum of each of ``outputs`` rows of weights, of numbers that lie within ``limits``."""
    most = max((max(-low, high) for low, high in limits), default=0)
    rows = np.array(weights, np.int64).reshape(outputs, -1)
    # In int64 where no sum can leave it, else in Python's integers.
    reach = most * int(np.abs(rows).max(initial=0)) * rows.shape[1]
    kind: Any = np.int64 if reach < 1 << 62 else object
    rows = rows.astype(kind)
    low, high = (np.array(ends, kind).reshape(-1) for ends in ([a for a, _ in limits], [b for _, b in limits]))
    up, down = np.maximum(rows, 0), np.minimum(rows, 0)
    least, greatest = up @ low + down @ high, up @ high + down @ low
    return [(int(a), int(b)) for a, b in zip(least, greatest, strict=True)]


def describe_weights(weights: Ints, low: int) -> str:
    """A text for people: how many weights are not 0, and their range."""
    used = {abs(weight) for weight in weights if weight}
    text = f"{sum(map(bool, weights))} of {len(weights)} weights"
    if not used:
        return text
    if all(weight & (weight - 1) == 0 for weight in used):
        ends = (end.bit_length() - 1 + low for end in (min(used), max(used)))
        return text + " of ±2^{}…±2^{}".format(*ends)
    return f"{text} of {min(weights)}…{max(weights)}" + (f"·2^{low}" if low else "")


def _sums_that_meet(weights: npt.NDArray[np.int64], limits: Limits, taps: tuple[Ints, Ints]) -> list[tuple[int, int]]:
    """The limits of each output's sums over some taps. ``weights``: (inputs, outputs, rows, columns)."""
    rows, columns = taps
    outputs = weights.shape[1]
    chosen = weights[:, :, rows][:, :, :, columns].transpose(1, 0, 2, 3)
    return sum_limits(chosen.reshape(-1), outputs, [limit for limit in limits for _ in range(len(rows) * len(columns))])


def _check_weights(thing: str, weights: Ints, bias: Ints, low: int) -> None:
    check_whole(thing, "low", (low,), 1, None)
    check(len(bias) > 0, thing, "at least one output", "none")
    check(len(weights) > 0, thing, "at least one weight", "none")
    other = {type(number).__name__ for number in (*weights, *bias)} - {"int"}
    check(not other, thing, "weights and biases that are integers", ", ".join(sorted(other)))
    widest = max(-min(weights), max(weights)).bit_length()
    check(widest < MAX_CODE_BITS, thing, f"weights of at most {MAX_CODE_BITS} bits", f"{widest + 1} bits")


def _check_windowed(thing: str, node: Conv2d | ConvTranspose2d, channels: Ints, **pairs: tuple[Ints, int]) -> None:
    """Check what both kinds of convolution state. ``channels``: the number of output channels, alone."""
    _check_weights(thing, node.weights, node.bias, node.low)
    check_whole(thing, "kernel", node.kernel, 4, 1)
    check_pairs(thing, dilation=(node.dilation, 1), **pairs)
    check_whole(thing, "groups", (node.groups,), 1, 1)
    check(len(node.bias) == channels[0], thing, f"a bias for each of {channels[0]} channels", len(node.bias))
    check(len(node.weights) == math.prod(node.kernel), thing, f"weights of {node.kernel}", len(node.weights))
    rule = f"{node.kernel[0]} channels in {node.groups} equal groups"
    check(node.kernel[0] % node.groups == 0, thing, rule, "a rest")


def _describe_windowed(node: Conv2d | ConvTranspose2d, inputs: int, mode: str = "") -> str:
    odd = [f"stride {pair_text(node.stride)}"] if node.stride != (1, 1) else []
    odd += [f"padding {pair_text(node.padding)}{mode}"] if any(node.padding) else []
    odd += [f"dilation {pair_text(node.dilation)}"] if node.dilation != (1, 1) else []
    odd += [f"groups {node.groups}"] if node.groups > 1 else []
    return ", ".join([f"{pair_text(node.kernel[2:])} of {inputs}", *odd, describe_weights(node.weights, node.low)])


def _by_channel(edge: Edge) -> tuple[Format, ...]:
    return edge.formats * edge.shape[0] if len(edge.formats) == 1 else edge.formats


def _limits(formats: Sequence[Format], *, with_zero: bool = False) -> list[tuple[int, int]]:
    if with_zero:
        return [(min(fmt.low, 0), max(fmt.high, 0)) for fmt in formats]
    return [(fmt.low, fmt.high) for fmt in formats]


def _covering(thing: str, sums: Limits, bias: Ints, lsb: int) -> Format:
    """The narrowest format of every sum, each with its bias."""
    low = min(least + b for (least, _), b in zip(sums, bias, strict=True))
    high = max(most + b for (_, most), b in zip(sums, bias, strict=True))
    # Every partial sum must fit as well, in any order: that is what the sums without their bias bound.
    low, high = min(low, *(least for least, _ in sums)), max(high, *(most for _, most in sums))
    widest = max(-low, high, 1).bit_length()
    check(widest < MAX_CODE_BITS, thing, f"sums of at most {MAX_CODE_BITS} bits", f"{widest + 1} bits: {low}…{high}")
    return Format.covering(low, high, lsb)
