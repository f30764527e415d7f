"""The interface of an export as an object: which bit is what, when, and under which names.

``interface.json`` holds it (:mod:`dwn_hw.exports.interface_json`), ``INTERFACE.md`` says it in words
(:mod:`dwn_hw.exports.interface_text`), and whatever ties something to an export reads it: shells, hosts, benches, proofs.
:func:`dwn_hw.exports.derive_interface.describe` derives it from a design; it is never written a second time.

The names and the order of the fields are those of the document. A field with the default None is left out of the document
where it is None; one without a default is null there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from dwn_hw import ir
from dwn_hw._version import __version__
from dwn_hw.errors import OptionError, Problem
from dwn_hw.hardware.serial_frames import Layout
from dwn_hw.hardware.shell_facts import Wrapper
from dwn_hw.ir.columns import TableCoding

#: Raised by one whenever an older reader would misunderstand a newer file.
FORMAT = 1

#: What writes exports, as they say it.
TOOL = f"dwn-hw {__version__}"


@dataclass(frozen=True, slots=True)
class Word:
    """The format of a code where a transfer carries one: ``bits``, two's complement if ``signed``."""

    bits: int
    signed: bool


@dataclass(frozen=True, slots=True)
class Feature:
    """Feature ``index``: where its code lies, and that it stands for the real number ``code · step + offset``.

    ``lsb``: its lowest bit in the port, 0 where features come in turn. ``bits``: two's complement if ``signed``. ``step`` and
    ``offset``: fractions, as text.
    """

    index: int
    name: str
    lsb: int
    bits: int
    signed: bool
    step: str
    offset: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPort:
    """The port that codes come in by, of so many ``bits``; ``valid`` and ``ready``: its handshake, if it has one.

    ``chosen``: how the format of the codes came about; ``scaler``: what became of the model's scaler, both for people.
    ``rounding`` (:data:`ir.integer_nodes.ROUNDINGS`): how a host makes a code of a number between two.
    ``word``: what a transfer carries where features come in turn, the first one first; else all come at once.
    ``table``: how the columns of a table become the features, where the model was trained on one.
    """

    port: str
    valid: str | None = None
    ready: str | None = None
    bits: int
    chosen: str
    scaler: str
    rounding: str
    word: Word | None = None
    features: tuple[Feature, ...]
    table: TableCoding | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """A part of the result, from bit ``lsb`` up: ``count`` values of ``bits`` each, the first lowest, two's complement if
    ``signed``. ``name``: ``class`` or ``scores``.
    """

    name: str
    lsb: int
    bits: int
    count: int
    signed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPort:
    """The port that results go out by; ``valid`` and ``ready``: its handshake, if it has one."""

    port: str
    valid: str | None = None
    ready: str | None = None
    fields: tuple[Field, ...]

    @property
    def bits(self) -> int:
        """Of all fields together."""
        return sum(field.bits * field.count for field in self.fields)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of parallel hardware, which computes ``node``: after which of its levels it has registers, and whether one
    follows it.
    """

    name: str
    node: str
    registers_inside: tuple[int, ...]
    register_after: bool


@dataclass(frozen=True, slots=True)
class ParallelSettings:
    """What is said of parallel hardware alone: its encoder, whether comparisons share logic, its parts in a row.

    ``sorters``: by what its sorting networks are chosen (:data:`dwn_hw.hardware.sorting_networks.CRITERIA`), where not by size.
    """

    kind: ClassVar[str] = "parallel"

    encoder: str
    shared_encoder: bool
    parts: tuple[Part, ...]
    sorters: str | None = None


@dataclass(frozen=True, slots=True)
class FoldedStep:
    """A step of a folded engine: the node that it ``writes``, or ``input``, and for how many ``clocks``."""

    name: str
    writes: str
    clocks: int


@dataclass(frozen=True, slots=True)
class FoldedSettings:
    """What is said of a folded engine alone: its lanes, and its steps in a row."""

    kind: ClassVar[str] = "folded"

    lanes: int
    steps: tuple[FoldedStep, ...]


#: What is said of a kind of hardware alone, for a ``match`` that mypy checks to be complete.
Settings: TypeAlias = ParallelSettings | FoldedSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """All that a host, a testbench or a surrounding design needs to know of an export.

    ``digest``: of its network. ``name``: what its modules' names begin with; ``top``: the module with the ports.
    ``clock``, ``reset``: names of ports; without registers there is no clock, and without streams no reset. ``latency``: clocks
    from a sample's last transfer to its result when nothing stalls; ``interval``: clocks from a sample's first transfer to the
    next one's, at least; ``transfers``: of a sample. ``classes``: names, where they are known; ``ties``: which of several
    equal scores wins.
    """

    format: int
    tool: str
    digest: str
    name: str
    top: str
    shell: str
    target: str
    clock: str | None
    reset: str | None
    latency: int
    interval: int
    transfers: int
    settings: Settings
    input: InputPort
    output: OutputPort
    classes: tuple[str, ...]
    ties: str
    wrapper: Wrapper | None = None

    @property
    def kind(self) -> str:
        """Of hardware."""
        return self.settings.kind

    @property
    def has_streams(self) -> bool:
        """Whether both ports have a handshake."""
        return self.input.valid is not None

    @property
    def in_turn(self) -> bool:
        """Whether a transfer carries one feature's code."""
        return self.input.word is not None

    @property
    def with_scores(self) -> bool:
        """Whether the result holds the scores beside the class."""
        return len(self.output.fields) > 1

    @property
    def layout(self) -> Layout:
        """What its samples and results look like in whole bytes."""
        version = self.tool.split()[-1].split(".")[:3]
        major, minor, patch = (min(255, int("".join(filter(str.isdigit, part)) or 0)) for part in version)
        return Layout(self.digest, (major, minor, patch), self.input.bits, self.transfers, self.output.bits)


def output_edges(network: ir.Network, with_scores: bool) -> tuple[tuple[str, ir.Edge], ...]:
    """What the output carries, lowest first: the field's name and its edge. Raises OptionError for scores of no class."""
    if not network.classifies:
        if with_scores:
            rule = "only where the network ends in an argmax; else the scores are its result"
            raise OptionError(Problem("--scores", rule, type(network.nodes[-1]).__name__, "Leave it out."))
        return (("scores", network.output),)
    scores = (("scores", network.scores_edge),) if with_scores else ()
    return (("class", network.output), *scores)
