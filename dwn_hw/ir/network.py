"""The language of the package's waist: a frozen network, over integers and bits only.

A :class:`Network` is an :class:`Input` and a chain of nodes. Every edge carries a tensor of integers with a
static shape and a stated :class:`Format`; a bit is the format of width 1. Nodes are frozen dataclasses that
check themselves when they are built; the network checks that each node accepts the edge before it. What a
node *means* is :mod:`dwn_hw.ir.evaluate`; how it is written to a file is :mod:`dwn_hw.ir.serialize`.

Conventions
    * Bit order: entry 0 of a row of wires is the LSB of a LUT's address; bit ``a`` of a table is the output at
      address ``a``.
    * Thermometer bits are feature-major: all bits of feature 0 first, in the order of the model's thresholds.
    * Floating-point numbers live here only as text, for people and for the host side (``Input.steps``,
      ``GroupSum.tau``, ``Network.notes``).

To add a node: write its dataclass with a ``short_name`` and an ``output`` method, add it to the union below it, and mypy lists
every ``match`` that has to learn it (docs/adding.md). Nothing is registered anywhere.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

from dwn_hw.errors import IRError, Problem
from dwn_hw.ir import columns
from dwn_hw.ir.columns import TableCoding
from dwn_hw.ir.edges import Edge, Format, Ints
from dwn_hw.ir.integer_nodes import ROUNDINGS, IntegerNode
from dwn_hw.ir.lut_nodes import ArgMax, LutNode, Thermometer
from dwn_hw.ir.rules import MAX_CODE_BITS, check, is_whole

#: How a number becomes a code unless the port says otherwise: the nearest, the even one of two.
NEAREST = "half_even"

#: The beginning of the text about the scaler when the hardware does without it.
LEFT_TO_HOST = "LEFT TO THE HOST:"

#: The beginning of the note on a port that was calibrated, so that values beyond its ends were chosen to saturate.
CALIBRATED = "calibrated"

#: And of that on a port that was made just wide enough for the thresholds: values beyond its ends are past all of them.
BY_THRESHOLDS = "DEFAULT"


@dataclass(frozen=True, slots=True)
class Input:
    """The port: integer codes of ``shape``.

    A code stands for the real number ``code · step + offset``, in the user's own, unscaled units. ``formats``,
    ``steps`` and ``offsets`` hold one entry, or one for each entry of the first axis. Steps and offsets are
    exact rationals, as text (``1/255``). A number between two codes becomes one by ``rounding`` (:data:`ROUNDINGS`); other
    than to the nearest only where every step is a power of two, so that no float's own rounding moves it to the code below.
    """

    shape: Ints
    formats: tuple[Format, ...]
    steps: tuple[str, ...] = ("1",)
    offsets: tuple[str, ...] = ("0",)
    rounding: str = NEAREST

    def __post_init__(self) -> None:
        check(all(map(is_whole, self.shape)), "input", "every extent is an integer", self.shape)
        check(bool(self.shape) and min(self.shape) >= 1, "input", "every extent is at least 1", self.shape)
        for name, values in (("formats", self.formats), ("steps", self.steps), ("offsets", self.offsets)):
            rule = f"one of {name}, or one for each of {self.shape[0]} entries"
            check(len(values) in (1, self.shape[0]), "input", rule, len(values))
        widest = max(fmt.bits for fmt in self.formats)
        check(widest <= MAX_CODE_BITS, "input", f"a code has at most {MAX_CODE_BITS} bits", widest)
        for text in (*self.steps, *self.offsets):
            check(_is_rational(text), "input", "steps and offsets are rationals such as '1/255'", text)
        check(all(Fraction(text) > 0 for text in self.steps), "input", "every step is positive", self.steps)
        check(self.rounding in ROUNDINGS, "input", f"rounding one of {', '.join(ROUNDINGS)}", self.rounding)
        rule = f"every step is a power of two where rounding is not {NEAREST}"
        check(self.rounding == NEAREST or all(map(is_dyadic, self.steps)), "input", rule, self.steps)

    @property
    def edge(self) -> Edge:
        """The edge that the port gives."""
        return Edge(self.shape, self.formats)

    def of_feature(self, feature: int) -> tuple[Format, Fraction, Fraction]:
        """(format, step, offset) of a feature, counted over the whole shape."""
        channel = feature * self.shape[0] // self.edge.size
        fmt, step, offset = (channel if len(row) > 1 else 0 for row in (self.formats, self.steps, self.offsets))
        return self.formats[fmt], Fraction(self.steps[step]), Fraction(self.offsets[offset])

    def __str__(self) -> str:
        steps = sorted(set(self.steps), key=Fraction)
        text = f"step {steps[0]}" if len(steps) == 1 else f"steps {steps[0]} to {steps[-1]}, by feature"
        return text + (f", rounded {self.rounding.replace('_', ' ')}" if self.rounding != NEAREST else "")


def is_dyadic(step: Fraction | str) -> bool:
    """Whether a step is a power of two."""
    value = Fraction(step)
    return value > 0 and value.numerator.bit_count() == value.denominator.bit_count() == 1


#: What a network is a chain of. Every ``match`` over it ends in ``assert_never``, or in a refusal that names the node.
Node: TypeAlias = LutNode | IntegerNode


@dataclass(frozen=True, slots=True)
class PlacedNode:
    """A node in its place: its ``index`` in the network, its ``name``, and the edges ``before`` and ``after`` it."""

    index: int
    name: str
    node: Node
    before: Edge
    after: Edge


@dataclass(frozen=True, slots=True)
class Network:
    """A network: ``input``, then ``nodes`` in order. It checks itself when built: each node must accept the edge before it.

    ``class_names`` and ``feature_names`` are empty or complete; ``notes`` are (name, text) pairs of provenance. ``table``: how
    a row of a table becomes the features, which then have its names.
    ``repr`` prints it one line a node, with a digest of each node's content, so that texts can be compared.
    """

    input: Input
    nodes: tuple[Node, ...]
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    table: TableCoding | None = None
    _edges: tuple[Edge, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_edges", self._follow())
        check(bool(self.nodes), "network", "there is at least one node", "none")
        texts = (*self.class_names, *self.feature_names, *(text for pair in self.notes for text in pair))
        other = [text for text in texts if not isinstance(text, str)]
        check(not other, "network", "names and notes are text", other[:1])
        # They end up in comments of generated files, so a line break would be code.
        strange = [text for text in texts if not text.isprintable()]
        check(
            not strange, "network", "names and notes are printable", f"{strange[:1]} ({len(strange)} of {len(texts)})"
        )
        rule = f"no feature names, or one for each of {self.input.edge.size}"
        check(len(self.feature_names) in (0, self.input.edge.size), "network", rule, len(self.feature_names))
        if self.table is not None:
            wrong = columns.faults(self.table, self.input.edge.size)
            check(not wrong, "network", "columns that become its features", ", ".join(wrong[:5]))
            named = self.table.feature_names == self.feature_names
            check(named, "network", "features called as its columns say", "other names")
        if self.classifies:
            classes = self.scores_edge.size
            rule = f"no class names, or one for each of {classes} classes"
            check(len(self.class_names) in (0, classes), "network", rule, len(self.class_names))

    def _follow(self) -> tuple[Edge, ...]:
        edges = [self.input.edge]
        for index, node in enumerate(self.nodes):
            try:
                edges.append(node.output(edges[-1]))
            except IRError as error:
                raise IRError(*(_at_node(index, node, problem) for problem in error.problems)) from None
        return tuple(edges)

    def edges(self) -> tuple[Edge, ...]:
        """The edges: that before each node, and last the output, ``len(nodes) + 1`` in all."""
        return self._edges

    def steps(self) -> tuple[PlacedNode, ...]:
        """The nodes in order, each with its name and the edges before and after it."""
        chain = zip(self.names(), self.nodes, self._edges[:-1], self._edges[1:], strict=True)
        return tuple(PlacedNode(index, *one) for index, one in enumerate(chain))

    @property
    def output(self) -> Edge:
        """The edge behind the last node."""
        return self._edges[-1]

    @property
    def classifies(self) -> bool:
        """Whether the network's result is the index of a class: it ends in the first maximum of one row."""
        return isinstance(self.nodes[-1], ArgMax) and not self.output.shape

    @property
    def scores_edge(self) -> Edge:
        """The edge that holds the scores: what the first maximum chooses from; without one, the output."""
        return self._edges[-2] if self.classifies else self._edges[-1]

    @property
    def classes(self) -> int:
        """The number of classes: of scores that the network compares, or gives out."""
        return self.scores_edge.size

    @property
    def encoder(self) -> Thermometer | None:
        """The thermometer that reads the port, if the network begins with one."""
        first = self.nodes[0]
        return first if isinstance(first, Thermometer) else None

    def is_luts(self) -> bool:
        """Whether the network is one of look-up tables alone; else some of its nodes count in integers."""
        return all(isinstance(node, LutNode) for node in self.nodes)

    def upto(self, count: int) -> Network:
        """The network of the first ``count`` nodes: its output is what flows on that edge."""
        return Network(self.input, self.nodes[:count], (), self.feature_names, self.notes, self.table)

    def names(self) -> tuple[str, ...]:
        """A short name for each node, used in Verilog, reports and mismatches: ``encoder``, ``l0``, ``popcount``…"""
        return tuple(_names(self.nodes))

    def __repr__(self) -> str:
        lines = [f"{'input':10} {self.input} -> {self.input.edge}"]
        for step in self.steps():
            digest = hashlib.sha256(repr(step.node).encode()).hexdigest()[:8]
            lines.append(f"{step.name:10} {type(step.node).__name__:12} {digest:>8}  {step.node} -> {step.after}")
        return "\n".join(lines)


def _names(nodes: Iterable[Node]) -> Iterator[str]:
    """The names of nodes. Layers are numbered from 0; of other kinds the second is ``encoder2``."""
    met = Counter[str]()
    for name in (node.short_name for node in nodes):
        met[name] += 1
        if name == "l":
            yield f"l{met[name] - 1}"
        else:
            yield name if met[name] == 1 else f"{name}{met[name]}"


def _at_node(index: int, node: Node, problem: Problem) -> Problem:
    thing = f"node {index} ({type(node).__name__}), {problem.thing}"
    return Problem(thing, problem.rule, problem.got, problem.remedy)


def _is_rational(text: object) -> bool:
    # Not Fraction alone: it would work out the billion digits of 1e999999999.
    number = re.compile(r"-?[0-9]{1,300}(\.[0-9]{1,300}|/0*[1-9][0-9]{0,299})?")
    return isinstance(text, str) and number.fullmatch(text) is not None
