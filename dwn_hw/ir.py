"""The waist: a frozen network, over integers and bits only.

A :class:`Network` is an :class:`Input` and a chain of nodes. Every edge carries a tensor of integers with a
static shape and a stated :class:`Format`; a bit is the format of width 1. Nodes are frozen dataclasses that
check themselves when they are built; the network checks that each node accepts the edge before it. What a
node *means* is :mod:`dwn_hw.evaluate`; how it is written to a file is :mod:`dwn_hw.serialize`.

Conventions
    * Bit order: entry 0 of a row of wires is the LSB of a LUT's address; bit ``a`` of a table is the output at
      address ``a``.
    * Thermometer bits are feature-major: all bits of feature 0 first, in the order of the model's thresholds.
    * Floating-point numbers live here only as text, for people and for the host side (``Input.steps``,
      ``GroupSum.tau``, ``Network.notes``).

To add a node: write its dataclass with an ``output`` method, add it to :data:`Node`, and mypy lists every
``match`` that has to learn it. Nothing is registered anywhere.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from dwn_hw.edges import BIT as BIT
from dwn_hw.edges import Edge as Edge
from dwn_hw.edges import Format as Format
from dwn_hw.edges import Ints as Ints
from dwn_hw.errors import IRError, Problem

#: Rows of integers, which may differ in length.
Rows: TypeAlias = tuple[Ints, ...]

#: The most inputs that one LUT of a model may have.
MAX_LUT_INPUTS = 8

#: The widest code of a port: one more than the highest code, and its negative, must fit in an int64.
MAX_CODE_BITS = 62


@dataclass(frozen=True, slots=True)
class Input:
    """The port: ``shape`` integer codes.

    A code stands for the real number ``code · step + offset``, in the user's own, unscaled units. ``formats``,
    ``steps`` and ``offsets`` hold one entry, or one for each entry of the first axis. Steps and offsets are
    exact rationals, as text (``1/255``).
    """

    shape: Ints
    formats: tuple[Format, ...]
    steps: tuple[str, ...] = ("1",)
    offsets: tuple[str, ...] = ("0",)

    def __post_init__(self) -> None:
        _check(all(map(_is_whole, self.shape)), "input", "every extent is an integer", self.shape)
        _check(bool(self.shape) and min(self.shape) >= 1, "input", "every extent is at least 1", self.shape)
        for name, values in (("formats", self.formats), ("steps", self.steps), ("offsets", self.offsets)):
            rule = f"one of {name}, or one for each of {self.shape[0]} entries"
            _check(len(values) in (1, self.shape[0]), "input", rule, len(values))
        widest = max(fmt.bits for fmt in self.formats)
        _check(widest <= MAX_CODE_BITS, "input", f"a code has at most {MAX_CODE_BITS} bits", widest)
        for text in (*self.steps, *self.offsets):
            _check(_is_rational(text), "input", "steps and offsets are rationals such as '1/255'", text)
        _check(all(Fraction(text) > 0 for text in self.steps), "input", "every step is positive", self.steps)

    @property
    def edge(self) -> Edge:
        """What it gives."""
        return Edge(self.shape, self.formats)

    def __str__(self) -> str:
        steps = sorted(set(self.steps))
        text = steps[0] if len(steps) == 1 else f"{len(steps)} different"
        return f"step {text}"


@dataclass(frozen=True, slots=True)
class Thermometer:
    """Bit ``b`` of feature ``f`` is ``code[f] >= thresholds[f][b]``; feature-major, (Σ bits,) out.

    A threshold of the lowest code is constant 1, one above the highest code is constant 0.
    """

    thresholds: Rows

    def __post_init__(self) -> None:
        _check(any(self.thresholds), "thermometer", "there is at least one threshold", "none")

    @property
    def bits(self) -> int:
        """How many bits come out."""
        return sum(len(row) for row in self.thresholds)

    def output(self, edge: Edge) -> Edge:
        """The edge after this node."""
        _check(
            edge.size == len(self.thresholds),
            "thermometer",
            f"one row of thresholds for each of {edge.size} features",
            len(self.thresholds),
        )
        for feature, (row, fmt) in enumerate(zip(self.thresholds, edge.flat_formats(), strict=True)):
            rule = f"thresholds of a {fmt} feature lie in {fmt.low}…{fmt.high + 1}"
            outside = [t for t in row if not fmt.low <= t <= fmt.high + 1]
            _check(not outside, f"thermometer feature {feature}", rule, outside[:3])
        return Edge((self.bits,), (BIT,))

    def __str__(self) -> str:
        distinct = sum(len(set(row)) for row in self.thresholds)
        return f"{len(self.thresholds)} features, {self.bits} thresholds, {distinct} distinct"


@dataclass(frozen=True, slots=True)
class LutLayer:
    """``out[j] = tables[j] >> Σ_l in[wires[j][l]]·2**l & 1``; 1 to 8 inputs a LUT, mixed within a layer."""

    wires: Rows
    tables: Ints

    def __post_init__(self) -> None:
        rule = "as many tables as rows of wires, at least one"
        _check(0 < len(self.wires) == len(self.tables), "LUT layer", rule, f"{len(self.wires)}, {len(self.tables)}")
        for j, (row, table) in enumerate(zip(self.wires, self.tables, strict=True)):
            rule = f"1 to {MAX_LUT_INPUTS} inputs"
            _check(1 <= len(row) <= MAX_LUT_INPUTS, f"LUT {j}", rule, len(row))
            rule = f"a table of {len(row)} inputs has {1 << len(row)} bits"
            _check(0 <= table < 1 << (1 << len(row)), f"LUT {j}", rule, hex(table))

    def is_wire(self, j: int) -> bool:
        """Whether LUT ``j`` gives the one bit that it reads: such a LUT needs no hardware."""
        return (len(self.wires[j]), self.tables[j]) == (1, 0b10)

    def output(self, edge: Edge) -> Edge:
        """The edge after this node."""
        _check(edge.is_bits, "LUT layer", "it reads bits", edge)
        for j, row in enumerate(self.wires):
            rule = f"wires lie in 0…{edge.size - 1}"
            _check(min(row) >= 0 and max(row) < edge.size, f"LUT {j}", rule, row)
        return Edge((len(self.tables),), (BIT,))

    def __str__(self) -> str:
        wires = sum(map(self.is_wire, range(len(self.tables))))
        sizes = sorted({len(row) for j, row in enumerate(self.wires) if not self.is_wire(j)})
        luts = [f"{len(self.tables) - wires} LUT{'/'.join(map(str, sizes))}"] * bool(sizes)
        return ", ".join(luts + [f"{wires} wires"] * bool(wires))


@dataclass(frozen=True, slots=True)
class Group:
    """``bias`` + Σ ``weights[i]`` · bit ``members[i]``."""

    members: Ints
    weights: Ints
    bias: int

    @property
    def low(self) -> int:
        """The least sum that its bits could give."""
        return self.bias + sum(weight for weight in self.weights if weight < 0)

    @property
    def high(self) -> int:
        """The greatest."""
        return self.bias + sum(weight for weight in self.weights if weight > 0)


@dataclass(frozen=True, slots=True)
class GroupSum:
    """Sums of bits, one a group: popcounts in a model, and in general a bias and a weight for each member.

    A model's vote is ``groups`` contiguous equal slices, in order, of all bits, padded with zeros at the end; ``members`` is
    empty, or the model's permutation (``members[i]`` is the bit that comes to place ``i``). Passes make more of it: with
    ``sizes``, group ``g`` has the next ``sizes[g]`` of ``members``, with their ``weights`` (empty: each 1), and ``biases[g]``
    (empty: 0). ``tau``, the model's divisor, never changes which group is greatest: it is text.
    """

    groups: int
    members: Ints = ()
    tau: str = "1"
    sizes: Ints = ()
    weights: Ints = ()
    biases: Ints = ()

    def __post_init__(self) -> None:
        _check(_is_whole(self.groups), "group sum", "the number of groups is an integer", self.groups)
        _check(self.groups >= 1, "group sum", "at least one group", self.groups)
        _check(isinstance(self.tau, str), "group sum", "tau is text", self.tau)
        for name, values, wanted in (
            ("sizes", self.sizes, self.groups),
            ("biases", self.biases, len(self.sizes)),
            ("weights", self.weights, len(self.members) if self.sizes else 0),
        ):
            _check(len(values) in (0, wanted), "group sum", f"no {name}, or {wanted}", len(values))
        rule = f"sizes that add up to {len(self.members)} members"
        good = not self.sizes or (min(self.sizes) >= 0 and sum(self.sizes) == len(self.members))
        _check(good, "group sum", rule, self.sizes)
        _check(0 not in self.weights, "group sum", "no weight is 0", self.weights)

    @classmethod
    def of(cls, groups: Sequence[Group], tau: str) -> GroupSum:
        """The sum of each of ``groups``."""
        members, weights = (
            tuple(itertools.chain(*rows)) for rows in ([g.members for g in groups], [g.weights for g in groups])
        )
        biases, sizes = tuple(group.bias for group in groups), tuple(len(group.members) for group in groups)
        weights = () if set(weights) <= {1} else weights
        return cls(len(groups), members, tau, sizes, weights, biases if any(biases) else ())

    def split(self, bits: int) -> tuple[Group, ...]:
        """What each group counts of an edge of ``bits`` bits; padding is no member."""
        members = self.members if self.sizes or self.members else tuple(range(bits))
        weights, biases = self.weights or (1,) * len(members), self.biases or (0,) * self.groups
        ends = itertools.accumulate(self.sizes or (-(-bits // self.groups),) * self.groups)
        starts = itertools.chain((0,), ends)
        places = [slice(a, b) for a, b in itertools.pairwise(starts)]
        return tuple(Group(members[at], weights[at], bias) for at, bias in zip(places, biases, strict=True))

    def output(self, edge: Edge) -> Edge:
        """The edge after this node."""
        _check(edge.is_bits, "group sum", "it counts bits", edge)
        if self.sizes:
            outside = [member for member in self.members if not 0 <= member < edge.size]
            _check(not outside, "group sum", f"members lie in 0…{edge.size - 1}", outside[:3])
            groups = self.split(edge.size)
            low, high = min(group.low for group in groups), max(group.high for group in groups)
            rule = f"sums of at most {MAX_CODE_BITS} bits"
            _check(max(-low, high).bit_length() < MAX_CODE_BITS, "group sum", rule, f"{low}…{high}")
            return Edge((self.groups,), (Format.covering(low, high),))
        # The length first: a file may claim any size.
        is_permutation = len(self.members) == edge.size and sorted(self.members) == list(range(edge.size))
        rule, got = f"a permutation of {edge.size} bits", f"{len(self.members)} entries"
        _check(not self.members or is_permutation, "group sum", rule, got)
        _check(self.groups <= edge.size, "group sum", f"no more groups than {edge.size} bits", self.groups)
        return Edge((self.groups,), (Format.covering(0, -(-edge.size // self.groups)),))

    def __str__(self) -> str:
        how = ", permuted" if self.members else ""
        if self.sizes:
            odd = sum(weight != 1 for weight in self.weights)
            how = f" of {_span(self.sizes)} members, {odd} weighted, bias {_span(self.biases or (0,))}"
        return f"{self.groups} groups{how}, tau {self.tau}"


@dataclass(frozen=True, slots=True)
class ArgMax:
    """Index of the first maximum: the lowest index wins a tie."""

    def output(self, edge: Edge) -> Edge:
        """The edge after this node."""
        _check(len(edge.shape) == 1 and len(edge.formats) == 1, "argmax", "one row of numbers of one format", edge)
        return Edge((), (Format.covering(0, edge.size - 1),))

    def __str__(self) -> str:
        return "first maximum"


Node: TypeAlias = Thermometer | LutLayer | GroupSum | ArgMax


@dataclass(frozen=True, slots=True)
class Network:
    """``input``, then ``nodes`` in order. Checked when built: each node must accept the edge before it.

    ``class_names`` and ``feature_names`` are empty or complete; ``notes`` are (name, text) pairs of provenance.
    ``repr`` prints it one line a node, with a digest of each node's content, so that texts can be compared.
    """

    input: Input
    nodes: tuple[Node, ...]
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        edges = self.edges()
        _check(bool(self.nodes), "network", "there is at least one node", "none")
        texts = (*self.class_names, *self.feature_names, *(text for pair in self.notes for text in pair))
        _check(all(isinstance(text, str) for text in texts), "network", "names and notes are text", texts)
        # They end up in comments of generated files, so a line break would be code.
        _check(all(text.isprintable() for text in texts), "network", "names and notes are printable", texts)
        rule = f"no feature names, or one for each of {self.input.edge.size}"
        _check(len(self.feature_names) in (0, self.input.edge.size), "network", rule, len(self.feature_names))
        if isinstance(self.nodes[-1], ArgMax):
            classes = edges[-2].size
            rule = f"no class names, or one for each of {classes} classes"
            _check(len(self.class_names) in (0, classes), "network", rule, len(self.class_names))

    def edges(self) -> tuple[Edge, ...]:
        """The edge before each node, and last the output: ``len(nodes) + 1`` of them."""
        edges = [self.input.edge]
        for index, node in enumerate(self.nodes):
            try:
                edges.append(node.output(edges[-1]))
            except IRError as error:
                raise IRError(*(_at_node(index, node, problem) for problem in error.problems)) from None
        return tuple(edges)

    def upto(self, count: int) -> Network:
        """The network of the first ``count`` nodes: its output is what flows on that edge."""
        return Network(self.input, self.nodes[:count], (), self.feature_names, self.notes)

    def names(self) -> tuple[str, ...]:
        """A short name for each node, used in Verilog, reports and mismatches: ``encoder``, ``l0``, ``popcount``…"""
        return tuple(_names(self.nodes))

    def __repr__(self) -> str:
        edges = self.edges()
        lines = [f"{'input':10} {self.input} -> {edges[0]}"]
        for name, node, edge in zip(self.names(), self.nodes, edges[1:], strict=True):
            digest = hashlib.sha256(repr(node).encode()).hexdigest()[:8]
            lines.append(f"{name:10} {type(node).__name__:12} {digest:>8}  {node} -> {edge}")
        return "\n".join(lines)


def _names(nodes: Iterable[Node]) -> Iterator[str]:
    """Layers are numbered from 0; of other kinds the second is ``encoder2``."""
    met = Counter[str]()
    for name in _kinds(nodes):
        met[name] += 1
        if name == "l":
            yield f"l{met[name] - 1}"
        else:
            yield name if met[name] == 1 else f"{name}{met[name]}"


def _kinds(nodes: Iterable[Node]) -> Iterator[str]:
    for node in nodes:
        match node:
            case Thermometer():
                yield "encoder"
            case LutLayer():
                yield "l"
            case GroupSum():
                yield "popcount"
            case ArgMax():
                yield "argmax"


def _span(values: Ints) -> str:
    return "…".join(str(value) for value in sorted({min(values), max(values)}))


def _check(good: bool, thing: str, rule: str, got: object) -> None:
    if not good:
        raise IRError(Problem(thing, rule, f"{got}", "Export the model again, or mend the network that you built."))


def _at_node(index: int, node: Node, problem: Problem) -> Problem:
    thing = f"node {index} ({type(node).__name__}), {problem.thing}"
    return Problem(thing, problem.rule, problem.got, problem.remedy)


def _is_whole(value: object) -> bool:
    # JSON has fractions, and Python counts True as 1: neither is a number of things.
    return isinstance(value, int) and not isinstance(value, bool)


def _is_rational(text: object) -> bool:
    # Not Fraction alone: it would work out the billion digits of 1e999999999.
    number = re.compile(r"-?[0-9]{1,300}(\.[0-9]{1,300}|/0*[1-9][0-9]{0,299})?")
    return isinstance(text, str) and number.fullmatch(text) is not None
