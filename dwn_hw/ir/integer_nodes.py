"""The nodes that stand between sums in networks that count in integers; their union, with those that sum.

These nodes belong to :mod:`dwn_hw.ir`, which has the conventions, and are named there. An edge's format has an ``lsb``: a code
stands for ``code · 2**lsb``, and each node says how its output's follows. Images are (channels, height, width).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from dwn_hw.ir.discrete_nodes import DiscreteNode
from dwn_hw.ir.edges import Edge, Format, Ints
from dwn_hw.ir.rules import MAX_CODE_BITS, check, check_pairs, check_whole, pair_text, shared_lsb, window_positions
from dwn_hw.ir.weighted_nodes import WeightedNode

#: The ways in which :class:`Quantize` drops fraction bits: towards −∞; to the nearest, halves up; to the nearest, halves to even.
ROUNDINGS = ("floor", "half_up", "half_even")


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
IntegerNode: TypeAlias = WeightedNode | DiscreteNode | Quantize | Affine | Relu | MaxPool2d | Reshape
