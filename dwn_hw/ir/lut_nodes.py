"""The nodes of networks of look-up tables: thermometer, LUT layer, group sum, first maximum."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from dwn_hw.ir.edges import BIT, Edge, Format, Ints
from dwn_hw.ir.rules import MAX_CODE_BITS, check, is_whole

#: Rows of integers, which may differ in length.
Rows: TypeAlias = tuple[Ints, ...]


#: The most inputs that one LUT of a model may have.
MAX_LUT_INPUTS = 8


@dataclass(frozen=True, slots=True)
class Thermometer:
    """A thermometer: bit ``b`` of feature ``f`` is ``code[f] >= thresholds[f][b]``; feature-major, (Σ bits,) out.

    A threshold of the lowest code is constant 1, one above the highest code is constant 0.
    """

    short_name: ClassVar[str] = "encoder"

    thresholds: Rows

    def __post_init__(self) -> None:
        check(any(self.thresholds), "thermometer", "there is at least one threshold", "none")

    @property
    def bits(self) -> int:
        """The number of bits that come out."""
        return sum(len(row) for row in self.thresholds)

    def output(self, edge: Edge) -> Edge:
        """The edge after this node."""
        check(
            edge.size == len(self.thresholds),
            "thermometer",
            f"one row of thresholds for each of {edge.size} features",
            len(self.thresholds),
        )
        for feature, (row, fmt) in enumerate(zip(self.thresholds, edge.flat_formats(), strict=True)):
            rule = f"thresholds of a {fmt} feature lie in {fmt.low}…{fmt.high + 1}"
            outside = [t for t in row if not fmt.low <= t <= fmt.high + 1]
            check(not outside, f"thermometer feature {feature}", rule, outside[:3])
        return Edge((self.bits,), (BIT,))

    def __str__(self) -> str:
        distinct = sum(len(set(row)) for row in self.thresholds)
        return f"{len(self.thresholds)} features, {self.bits} thresholds, {distinct} distinct"


@dataclass(frozen=True, slots=True)
class LutLayer:
    """A layer of LUTs: ``out[j] = tables[j] >> Σ_l in[wires[j][l]]·2**l & 1``; 1 to 8 inputs each, mixed within a layer."""

    short_name: ClassVar[str] = "l"

    wires: Rows
    tables: Ints

    def __post_init__(self) -> None:
        rule = "as many tables as rows of wires, at least one"
        check(0 < len(self.wires) == len(self.tables), "LUT layer", rule, f"{len(self.wires)}, {len(self.tables)}")
        for j, (row, table) in enumerate(zip(self.wires, self.tables, strict=True)):
            rule = f"1 to {MAX_LUT_INPUTS} inputs"
            check(1 <= len(row) <= MAX_LUT_INPUTS, f"LUT {j}", rule, len(row))
            rule = f"a table of {len(row)} inputs has {1 << len(row)} bits"
            check(0 <= table < 1 << (1 << len(row)), f"LUT {j}", rule, hex(table))

    def is_wire(self, j: int) -> bool:
        """Whether LUT ``j`` gives the one bit that it reads: such a LUT needs no hardware."""
        return (len(self.wires[j]), self.tables[j]) == (1, 0b10)

    def is_constant(self, j: int) -> bool:
        """Whether LUT ``j`` gives the same for every address."""
        return self.tables[j] in (0, (1 << (1 << len(self.wires[j]))) - 1)

    def output(self, edge: Edge) -> Edge:
        """The edge after this node."""
        check(edge.is_bits, "LUT layer", "it reads bits", edge)
        for j, row in enumerate(self.wires):
            rule = f"wires lie in 0…{edge.size - 1}"
            check(min(row) >= 0 and max(row) < edge.size, f"LUT {j}", rule, row)
        return Edge((len(self.tables),), (BIT,))

    def __str__(self) -> str:
        wires = sum(map(self.is_wire, range(len(self.tables))))
        sizes = sorted({len(row) for j, row in enumerate(self.wires) if not self.is_wire(j)})
        luts = [f"{len(self.tables) - wires} LUT{'/'.join(map(str, sizes))}"] if sizes else []
        return ", ".join(luts + ([f"{wires} wires"] if wires else []))


@dataclass(frozen=True, slots=True)
class Group:
    """A group of a sum: ``bias`` + Σ ``weights[i]`` · bit ``members[i]``."""

    members: Ints
    weights: Ints
    bias: int

    @property
    def low(self) -> int:
        """The least sum that the group's bits could give."""
        return self.bias + sum(weight for weight in self.weights if weight < 0)

    @property
    def high(self) -> int:
        """The greatest sum that the group's bits could give."""
        return self.bias + sum(weight for weight in self.weights if weight > 0)


@dataclass(frozen=True, slots=True)
class GroupSum:
    """Sums of bits, one for each group: popcounts in a model, and in general a bias and a weight for each member.

    A model's vote is ``groups`` contiguous equal slices, in order, of all bits, padded with zeros at the end; ``members`` is
    empty, or the model's permutation (``members[i]`` is the bit that comes to place ``i``). Passes make more of it: with
    ``sizes``, group ``g`` has the next ``sizes[g]`` of ``members``, with their ``weights`` (empty: each 1), and ``biases[g]``
    (empty: 0). ``tau``, the model's divisor, never changes which group is greatest: it is text.
    """

    short_name: ClassVar[str] = "popcount"

    groups: int
    members: Ints = ()
    tau: str = "1"
    sizes: Ints = ()
    weights: Ints = ()
    biases: Ints = ()

    def __post_init__(self) -> None:
        check(is_whole(self.groups), "group sum", "the number of groups is an integer", self.groups)
        check(self.groups >= 1, "group sum", "at least one group", self.groups)
        check(isinstance(self.tau, str), "group sum", "tau is text", self.tau)
        for name, values, wanted in (
            ("sizes", self.sizes, self.groups),
            ("biases", self.biases, len(self.sizes)),
            ("weights", self.weights, len(self.members) if self.sizes else 0),
        ):
            check(len(values) in (0, wanted), "group sum", f"no {name}, or {wanted}", len(values))
        rule = f"sizes that add up to {len(self.members)} members"
        good = not self.sizes or (min(self.sizes) >= 0 and sum(self.sizes) == len(self.members))
        check(good, "group sum", rule, self.sizes)
        check(0 not in self.weights, "group sum", "no weight is 0", self.weights)

    @classmethod
    def of(cls, groups: Sequence[Group], tau: str) -> GroupSum:
        """The node that sums each of ``groups``."""
        members, weights = (
            tuple(itertools.chain(*rows)) for rows in ([g.members for g in groups], [g.weights for g in groups])
        )
        biases, sizes = tuple(group.bias for group in groups), tuple(len(group.members) for group in groups)
        weights = () if set(weights) <= {1} else weights
        return cls(len(groups), members, tau, sizes, weights, biases if any(biases) else ())

    def split(self, bits: int) -> tuple[Group, ...]:
        """The groups of an edge of ``bits`` bits, each with what it counts; padding is no member."""
        members = self.members if self.sizes or self.members else tuple(range(bits))
        weights, biases = self.weights or (1,) * len(members), self.biases or (0,) * self.groups
        ends = itertools.accumulate(self.sizes or (-(-bits // self.groups),) * self.groups)
        starts = itertools.chain((0,), ends)
        places = [slice(a, b) for a, b in itertools.pairwise(starts)]
        return tuple(Group(members[at], weights[at], bias) for at, bias in zip(places, biases, strict=True))

    def output(self, edge: Edge) -> Edge:
        """The edge after this node."""
        check(edge.is_bits, "group sum", "it counts bits", edge)
        if self.sizes:
            outside = [member for member in self.members if not 0 <= member < edge.size]
            check(not outside, "group sum", f"members lie in 0…{edge.size - 1}", outside[:3])
            groups = self.split(edge.size)
            low, high = min(group.low for group in groups), max(group.high for group in groups)
            rule = f"sums of at most {MAX_CODE_BITS} bits"
            check(max(-low, high).bit_length() < MAX_CODE_BITS, "group sum", rule, f"{low}…{high}")
            return Edge((self.groups,), (Format.covering(low, high),))
        # The length first: a file may claim any size.
        is_permutation = len(self.members) == edge.size and sorted(self.members) == list(range(edge.size))
        rule, got = f"a permutation of {edge.size} bits", f"{len(self.members)} entries"
        check(not self.members or is_permutation, "group sum", rule, got)
        check(self.groups <= edge.size, "group sum", f"no more groups than {edge.size} bits", self.groups)
        return Edge((self.groups,), (Format.covering(0, -(-edge.size // self.groups)),))

    def __str__(self) -> str:
        how = ", permuted" if self.members else ""
        if self.sizes:
            odd = sum(weight != 1 for weight in self.weights)
            how = f" of {_span(self.sizes)} members, {odd} weighted, bias {_span(self.biases or (0,))}"
        return f"{self.groups} groups{how}, tau {self.tau}"


@dataclass(frozen=True, slots=True)
class ArgMax:
    """The index of the first maximum along the last axis: the lowest index wins a tie. Of one row it is the index of a class."""

    short_name: ClassVar[str] = "argmax"

    def output(self, edge: Edge) -> Edge:
        """The edge after this node."""
        check(len(edge.shape) >= 1 and len(edge.formats) == 1, "argmax", "rows of numbers of one format", edge)
        return Edge(edge.shape[:-1], (Format.covering(0, edge.shape[-1] - 1),))

    def __str__(self) -> str:
        return "first maximum"


def _span(values: Ints) -> str:
    return "…".join(str(value) for value in sorted({min(values), max(values)}))


#: The nodes of networks of look-up tables.
LutNode: TypeAlias = Thermometer | LutLayer | GroupSum | ArgMax
