"""The interface of an export in words: ``INTERFACE.md``, ``FEATURES.md``, and the comment at the top of its Verilog."""

from __future__ import annotations

import html
import re
from typing import assert_never

from dwn_hw import ir
from dwn_hw.exports import columns_text, port_list, shell_text
from dwn_hw.exports.handover import instances, outside, testbench
from dwn_hw.exports.handover.outside import Outside, Streams
from dwn_hw.hardware.families import FAMILIES, own_cells
from dwn_hw.hardware.interface import Feature, FoldedSettings, InputPort, Interface, ParallelSettings, Part
from dwn_hw.ir.network import LEFT_TO_HOST

#: How a number becomes a code, in words, for each of :data:`ir.integer_nodes.ROUNDINGS`.
_ROUNDING = {
    "floor": "**down**, to the code at or below (floor)",
    "half_up": "to the nearest code (the higher one of two)",
    "half_even": "to the nearest code (the even one of two)",
}


def to_markdown(interface: Interface) -> str:
    """``INTERFACE.md``: the same facts for a person."""
    source = interface.input
    lines = [
        f"# Interface of `{interface.top}`",
        "",
        f"Network digest `{interface.digest}`, {interface.tool}.",
        "",
    ]
    lines += _to_begin_with(interface)
    lines += shell_text.to_markdown(interface)
    lines += [
        "## Ports",
        "",
        *port_list.table(port_list.of_core(interface)),
        "",
        "## Timing",
        "",
        *_timing(interface),
        "",
        "## Input",
        "",
    ]
    lines += [*_codes(interface)]
    left = source.scaler.startswith(LEFT_TO_HOST)
    units = "**as the model's scaler gives them**" if left else "in the units that the user's data is in"
    scaler = f"**{source.scaler}.**" if left else f"{source.scaler}."
    lines += [
        f"A code stands for the real number `code * step + offset`, {units}.",
        f"A host rounds {_ROUNDING[source.rounding]}, and saturates at the ends of the format.",
        "`u8` is 0 to 255; `s8` is -128 to 127 in two's complement.",
        "",
    ]
    lines += [f"Format: {source.chosen}.", f"The model's scaler: {scaler}", ""]
    lines += [f"{_alike(source)}[FEATURES.md](FEATURES.md) lists all features{_and_columns(source)}.", ""]
    lines += ["## Output", "", *_result(interface)]
    family = FAMILIES[interface.target]
    if not family.portable:
        models = own_cells(family.name).models
        lines += [f"`rtl/` instantiates cells of {family.name}. A simulator needs `sim/{models}` beside it.", ""]
    if interface.classes:
        lines += ["| class | name |", "| --- | --- |"]
        lines += [f"| {i} | {_cell(name)} |" for i, name in enumerate(interface.classes)]
    return "\n".join(lines).rstrip() + "\n"


def features(interface: Interface) -> str:
    """``FEATURES.md``: each feature of a sample, and the columns of the table that they are made of."""
    source = interface.input
    lines = [f"# Features of `{interface.top}`", "", f"Network digest `{interface.digest}`, {interface.tool}.", ""]
    lines += ["| feature | name | bits of the port | format | step | offset |", "| --- | --- | --- | --- | --- | --- |"]
    for f in source.features:
        high = f.lsb + f.bits - 1
        lines.append(f"| {f.index} | {_cell(f.name)} | [{high}:{f.lsb}] | {_format(f)} | {f.step} | {f.offset} |")
    return "\n".join([*lines, "", *columns_text.to_markdown(source.table, _cell)]).rstrip() + "\n"


def _format(feature: Feature) -> str:
    return f"{'s' if feature.signed else 'u'}{feature.bits}"


def _alike(source: InputPort) -> str:
    """What holds of all features, if they are alike."""
    found = {(_format(f), f.step, f.offset) for f in source.features}
    if len(found) > 1:
        return ""
    fmt, step, offset = found.pop()
    return f"Every code is of {fmt}, with step {step} and offset {offset}. "


def _and_columns(source: InputPort) -> str:
    return "" if source.table is None else ", and the columns of the table that they are made of"


def _to_begin_with(interface: Interface) -> list[str]:
    """The instance, the picture, and what else lies beside this page."""
    seen, name = outside.seen(interface), interface.name
    return [
        "```verilog",
        instances.instance(seen, {port: port for port, *_ in seen.ports}, f"{seen.top}_i"),
        "```",
        "",
        f"{timing(interface, seen).capitalize()}",
        "",
        "![What the ports do, clock by clock](handshake.svg)",
        "",
        "| file | what it is |",
        "| --- | --- |",
        "| `instance.v`, `instance.vhd` | the instance to copy; the component in VHDL |",
        "| `files.f`, `sim.f` | the design, and the testbench beside it, for tools that read lists of files |",
        "| `fusesoc.core`, `component.xml` | the same for FuseSoC (CAPI2) and as IP-XACT (IEEE 1685-2014) |",
        f"| `tb/{name}_tb.sv`, `tb/{name}_params.vh` | a testbench without Python; widths, latency and counts |",
        f"| `constraints/{name}.xdc`, `constraints/{name}.sdc` | the clock |",
        "| `handshake.json` | the picture's waves, for WaveDrom |",
        "| `FEATURES.md` | where each feature's code lies, and what it stands for |",
        "",
        *_to_run(interface),
    ]


def _to_run(interface: Interface) -> list[str]:
    """How the testbench is run."""
    lines = [
        "## Testbench",
        "",
        f"`tb/{interface.name}_tb.sv` compares every result with `vectors/y.hex`, and its clocks with this page.",
        "A difference, an X, or nothing compared is a `$fatal`, and an exit status other than 0. `+count=N` takes the first N",
        "vectors alone. In this directory:",
        "",
        "```sh",
    ]
    for simulator, words in testbench.commands(interface.name).items():
        lines += [f"# {simulator}", *words]
    slow = "An engine takes many clocks a sample: in Icarus a few vectors are enough to begin with, or take Verilator."
    return [*lines, "```", "", *([slow, ""] if isinstance(interface.settings, FoldedSettings) else [])]


def _result(interface: Interface) -> list[str]:
    source, output = interface.input, interface.output
    lines = [
        f"`{output.port}`:",
        "",
        "| field | bits of the port | each |",
        "| --- | --- | --- |",
    ]
    for f in output.fields:
        high = f.lsb + f.bits * f.count - 1
        lines.append(f"| {f.name} | [{high}:{f.lsb}] | {f.count} of {f.bits} bits, first lowest |")
    lines += ["", f"Of equal scores, {interface.ties}.", ""]
    y = ", and `y`, the class" if output.fields[0].name == "class" else ""
    lines += [f"`vectors/golden.npz` holds, one row a vector, `codes` and what they give: `scores`{y}."]
    words = f", {interface.transfers} lines of x a vector" if interface.transfers > 1 else ""
    same = f"`vectors/x.hex` and `vectors/y.hex` are the same as `{source.port}` and `{output.port}`"
    return [*lines, f"{same}, for `$readmemh`{words}.", ""]


#: What a reader of the Verilog must know of the names in it.
_NAMES = {
    "luts": (
        "Names   f03_ge_117: code of feature 3 >= 117 (m117: -117); l0_n017: neuron 17 of LUT layer 0;",
        "        g2_w1_3: a bit of weight 2**1 while the ones of group 2 are counted.",
    ),
    "words": (
        "Names   dense_o3: output 3 of the layer dense; dense_s45: a sum that several outputs share; quantize_7: its entry 7;",
        "        right_wins_0to4: of classes 0 to 4, whether the right half has the greatest score.",
    ),
    "folded": (
        "Names   lane07: its sum of output 7 of a block; operand4, sum6: the 4th and 6th register that a tap passes;",
        "        tap_row, channel, column, …: the loops of a step. Weights, biases and levels are in the .hex files.",
    ),
}


def _reset(interface: Interface) -> list[str]:
    if not interface.reset:
        return []
    match interface.settings:
        case ParallelSettings():
            state = "valid bits and the count of features" if interface.in_turn else "valid bits"
        case FoldedSettings():
            state = "state of the loops"
        case _:
            assert_never(interface.settings)
    return [f"Reset   rst, synchronous, high; needed once. Only the {state} are reset."]


def _named(interface: Interface, network: ir.Network) -> str:
    """Which of :data:`_NAMES` its Verilog has."""
    match interface.settings:
        case ParallelSettings():
            return "luts" if network.is_luts() else "words"
        case FoldedSettings():
            return "folded"
        case _:
            assert_never(interface.settings)


def to_header(interface: Interface, network: ir.Network) -> str:
    """The same in a few lines, for the top of the Verilog."""
    source, output = interface.input, interface.output
    family = FAMILIES[interface.target]
    cells = own_cells(family.name)
    models = "" if family.portable else f". Simulate with sim/{cells.models}"
    names = _named(interface, network)
    luts = f"; {cells.address}{models}" if names == "luts" else ""
    fields = ", ".join(f"{f.name} {f.count} × {f.bits} bits from bit {f.lsb}" for f in output.fields)
    lines = [
        f"{interface.top}: written by {interface.tool}; network digest {interface.digest}",
        "",
        *repr(network).splitlines(),
        "",
        f"Input   {source.port}: {len(source.features)} codes {_codes_lie(interface)}.",
        f"        {source.chosen}",
        f"        Scaler: {source.scaler}.",
        f"Output  {output.port}: {fields}.",
        f"Timing  latency {interface.latency} clocks{_from(interface)}, {rate(interface.interval)}.",
        *_reset(interface),
        *_NAMES[names],
        f"Bits    the first entry of every vector is lowest{luts}.",
        f"Ties    {interface.ties}.",
        "The whole contract is in interface.json and INTERFACE.md.",
    ]
    return "\n".join(lines)


def rate(interval: int) -> str:
    """In words, how often an inference begins."""
    return "one inference a clock" if interval == 1 else f"one inference in {interval} clocks"


def timing(interface: Interface, seen: Outside) -> str:
    """Clock, reset and latency in a line."""
    reset = f"reset {seen.reset}, synchronous, {'low' if seen.low else 'high'}" if seen.reset else "no reset"
    clock = f"clock {seen.clock}, rising edge" if seen.clock else "no clock"
    latency = seen.speaks.latency if isinstance(seen.speaks, Streams) else interface.latency
    return f"{clock}; {reset}; latency {latency} {'clock' if latency == 1 else 'clocks'}, {rate(interface.interval)}."


def _from(interface: Interface) -> str:
    return " from the last feature" if interface.in_turn else ""


def _codes_lie(interface: Interface) -> str:
    bits = interface.input.bits
    if interface.in_turn:
        return f"of {bits} bits in turn, feature 0 first"
    return f"in {bits} bits, feature 0 lowest"


def _codes(interface: Interface) -> list[str]:
    source = interface.input
    lines = [f"`{source.port}` carries {len(source.features)} integer codes {_codes_lie(interface)}."]
    if interface.in_turn:
        lines += [
            f"Each transfer is one feature's code, extended to {source.bits} bits by its sign (an unsigned one by zeros).",
            "Features that the network does not use are transferred as well.",
        ]
    return lines


def _cell(name: str) -> str:
    """A name from a model, as text alone: no markup of Markdown's or HTML's, and no end of the table's column."""
    return re.sub(r"([\\`*\[\]~|])", r"\\\1", html.escape(name, quote=False))


def _registers(part: Part) -> list[str]:
    """Where a part has registers."""
    inside = [f"{len(part.registers_inside)} in {part.name}"] if part.registers_inside else []
    after = [f"after {part.name}"] if part.register_after else []
    return [" and ".join(inside + after)] if inside or after else []


def _timing(interface: Interface) -> list[str]:
    if interface.latency == 0:
        wires = " Valid and ready are wires from one side to the other." if interface.has_streams else ""
        return [f"Combinational: the result follows the codes within the clock.{wires}"]
    match interface.settings:
        case ParallelSettings() as settings:
            return _parallel_timing(interface, settings)
        case FoldedSettings() as settings:
            return _folded_timing(interface, settings)
        case _:
            assert_never(interface.settings)


def _parallel_timing(interface: Interface, settings: ParallelSettings) -> list[str]:
    latency, words = interface.latency, interface.transfers
    where = ", ".join(text for part in settings.parts for text in _registers(part))
    stall = " when nothing stalls" if interface.has_streams else ""
    lines = [f"Latency {latency} clocks{_from(interface)}{stall}, {rate(interface.interval)}. Registers: {where}."]
    if interface.in_turn:
        lines += [f"From the first feature it is {latency + words - 1} clocks. {_sample(words)}"]
    if interface.has_streams:
        lines += ["`x_ready` depends on `y_ready` within the clock, and never on `x_valid`. Inputs are not registered."]
    else:
        lines += ["Nothing is reset and nothing stalls: the first results after power-up are of no input."]
    return lines


def _sample(words: int) -> str:
    counted = "nothing but their number, counted from the reset, says where one begins."
    return f"A sample is {words} transfers, feature 0 first, with any gaps; {counted}"


def _folded_timing(interface: Interface, settings: FoldedSettings) -> list[str]:
    every = rate(interface.interval)
    return [
        f"Latency {interface.latency} clocks{_from(interface)}, {every}, on {settings.lanes} lanes.",
        _sample(interface.transfers),
        "`x_ready` is low from a sample's last code until its result was taken. Neither `x_ready` nor `y_valid` depends on an",
        "input within the clock. Nothing but the result ever waits: the clocks of a step are always the same.",
        "",
        "| step | writes | clocks |",
        "| --- | --- | --- |",
        *(f"| {step.name} | {step.writes} | {step.clocks} |" for step in settings.steps),
    ]
