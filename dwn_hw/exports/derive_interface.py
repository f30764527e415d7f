"""The interface of a design: derived from its network and what was decided of its hardware."""

from __future__ import annotations

from dataclasses import replace

from dwn_hw import ir
from dwn_hw.hardware.interface import FORMAT, TOOL, Feature, Field, InputPort, Interface, OutputPort, Word, output_edges
from dwn_hw.hardware.kinds import Design
from dwn_hw.hardware.shell_facts import SHELLS
from dwn_hw.ir import serialize


def describe(design: Design) -> Interface:
    """What ``interface.json`` says of a design. Nothing of it depends on netlists, so the design need not be lowered."""
    network, shell = design.network, SHELLS[design.shell]
    clocked = design.latency > 0
    inner = Interface(
        format=FORMAT,
        tool=TOOL,
        digest=serialize.digest(network),
        name=design.name,
        top=f"{design.name}_top",
        shell=shell.name,
        target=design.target,
        clock="clk" if clocked else None,
        reset="rst" if clocked and shell.streams else None,
        latency=design.latency,
        interval=design.interval,
        transfers=design.transfers,
        settings=design.settings(),
        input=_input(design, shell.streams),
        output=_output(design, shell.streams),
        classes=tuple(network.class_names),
        ties="the lowest class index wins",
    )
    if shell.wrapper is None:
        return inner
    return replace(inner, wrapper=shell.wrapper.around(inner.name, inner.latency, inner.layout))


def _input(design: Design, streams: bool) -> InputPort:
    network, word = design.network, design.word
    notes = dict(network.notes)
    return InputPort(
        port="x_payload" if streams else "x",
        valid="x_valid" if streams else None,
        ready="x_ready" if streams else None,
        bits=word.bits if word else network.input.edge.bits,
        chosen=notes.get("input", ""),
        scaler=notes.get("scaler", "none"),
        rounding=network.input.rounding,
        word=Word(word.bits, word.signed) if word else None,
        features=_features(network, in_turn=word is not None),
        table=network.table,
    )


def _features(network: ir.Network, in_turn: bool) -> tuple[Feature, ...]:
    """``in_turn``: the port carries one at a time; else they lie one above the other."""
    edge, features, low = network.input.edge, [], 0
    count = edge.size
    steps, offsets = (v * count if len(v) == 1 else v for v in (network.input.steps, network.input.offsets))
    per_entry = count // edge.shape[0]
    for i, fmt in enumerate(edge.flat_formats()):
        at = i if len(steps) == count else i // per_entry
        name = network.feature_names[i] if network.feature_names else f"f{i}"
        features.append(Feature(i, name, low, fmt.bits, fmt.signed, steps[at], offsets[at]))
        if not in_turn:
            low += fmt.bits
    return tuple(features)


def _output(design: Design, streams: bool) -> OutputPort:
    return OutputPort(
        port="y_payload" if streams else "y",
        valid="y_valid" if streams else None,
        ready="y_ready" if streams else None,
        fields=_fields(design.network, design.with_scores),
    )


def _fields(network: ir.Network, with_scores: bool) -> tuple[Field, ...]:
    """The output of the last node, and above it the edge before that, if it is wanted."""
    fields, low = [], 0
    for name, edge in output_edges(network, with_scores):
        fmt = edge.flat_formats()[0]
        fields.append(Field(name, low, fmt.bits, edge.size, fmt.signed))
        low += edge.bits
    return tuple(fields)
