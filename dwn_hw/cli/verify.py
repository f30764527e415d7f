"""The command that compares an export with its network: its Verilog, its mapped netlist, or its bitstream."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from dwn_hw.cli.arguments import BOARD, SEED, directory, strict
from dwn_hw.cli.screen import Report, Screen, command
from dwn_hw.hardware.families import SYNTHESES


def samples_of(path: Path | None) -> Any:
    """A file of samples, named as it was given, for a command that repeats what was done."""
    from dwn_hw.frontend import sample_formats

    return None if path is None else replace(sample_formats.read(path), name=str(path))


def stream_of(path: Path, network: Any) -> Any:
    """The same part by part as what a network takes, for a command that needs no more than a part at once."""
    from dwn_hw.frontend import sample_formats

    return replace(sample_formats.stream(path, network.table), name=str(path))


@click.command(short_help="Simulate an export and compare every node.")
@directory
@click.option(
    "--level",
    type=click.Choice(["rtl", "netlist", "bitstream"]),
    default="rtl",
    show_default=True,
    help="The Verilog, a family's cells, or what was built.",
)
@click.option("--target", type=click.Choice(list(SYNTHESES)), help="Of --level netlist.")
@click.option("--board", type=BOARD, help="Of --level netlist (its family) and bitstream (iCE40).")
@click.option(
    "--simulator",
    type=click.Choice(["auto", "verilator", "icarus"]),
    default="auto",
    show_default=True,
    help="What runs it; auto: what is sooner done (Icarus, below some 30 kB of Verilog), or was built before.",
)
@click.option("--thorough", is_flag=True, help="Longer runs with pauses and resets, in Verilator; and again in cocotb.")
@click.option("--trace", is_flag=True, help="A waveform of the first difference, or of the first vectors.")
@click.option("--data", "data_file", type=click.Path(path_type=Path), help="Samples (.npz, .csv, …) to run as well.")
@click.option("--vectors", type=click.IntRange(min=0), default=1000, show_default=True, help="Random vectors.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of everything random.")
@strict
@click.option("--trust-edited", is_flag=True, help="Simulate edited Verilog whatever it asks of the simulator.")
@command
def verify(
    screen: Screen,
    directory: Path,
    level: str,
    target: str | None,
    board: str | None,
    simulator: str,
    thorough: bool,
    trace: bool,
    data_file: Path | None,
    strict: bool,
    trust_edited: bool,
    **vectors: int,
) -> None:
    """Simulate the Verilog of an export and compare every node with the network, exactly; or the results of what it became."""
    where = _check(level, target, board, simulator)
    ways: dict[str, Any] = {"simulator": simulator, "thorough": thorough}
    random, seed = vectors["vectors"], vectors["seed"]
    options: dict[str, Any] = {
        "random": random,
        "seed": seed,
        "samples": samples_of(data_file),
        "strict": strict,
        "progress": screen.progress,
    }
    match level:
        case "rtl":
            from dwn_hw.verification import compare_rtl

            report = compare_rtl.verify(directory, trace=trace, trust_edited=trust_edited, **ways, **options)
            say_verified(screen, report)
        case "netlist":
            from dwn_hw.verification import compare_netlist

            report = compare_netlist.verify_netlist(directory, where, **ways, **options)
            _say_compared(screen, report)
        case _:
            from dwn_hw.verification import compare_bitstream

            report = compare_bitstream.verify_bitstream(directory, str(where), **options)
            _say_compared(screen, report)
    screen.warn(report)
    screen.result(report)


def _check(level: str, target: str | None, board: str | None, simulator: str) -> str | None:
    """The target of a netlist (None: the export's own), or the board of a bitstream. Raises OptionError."""
    from dwn_hw.errors import OptionError, Problem

    if level == "rtl" and (target or board):
        option = "--target" if target else "--board"
        raise OptionError(Problem(option, "with --level netlist or bitstream", "--level rtl", "Leave it out."))
    if level == "bitstream" and (target or board is None):
        rule, got = "with --level bitstream a board, and no --target", target or "none"
        raise OptionError(Problem("--board", rule, got, "Name the board that it was built for."))
    if level == "bitstream" and simulator not in ("auto", "verilator"):
        raise OptionError(Problem("--simulator", "verilator for a bitstream", simulator, "Leave it out."))
    if target and board:
        raise OptionError(Problem("--target", "not with --board, which has a family", "both", "Leave one of them out."))
    if level == "netlist" and board:
        from dwn_hw.fpga import boards

        return boards.read(board).family
    return board if level == "bitstream" else target


def say_verified(screen: Screen, report: Report) -> None:
    """What was compared of the Verilog."""
    screen.say(
        f"EQUAL      {report['vectors']} vectors ({_kinds(report)})",
        f"           {report['node_values']} values of {report['nodes']} nodes, in {report['simulator']}",
        f"           results {_phases(report)}",
    )
    if report["cocotb"]:
        screen.say(f"           {report['cocotb']} values again, by a bench in cocotb")
    if report["simulator_because"] != "as asked":
        screen.say(f"simulator  {report['simulator']}: {report['simulator_because']}")
    if report["waveform"]:
        screen.say(f"waveform   {report['waveform']}")
    screen.say(f"reached    {report['reached']['text']}")
    if report["random_left_out"]:
        screen.say(
            f"           {report['random_left_out']} random vectors left out: each takes too many clocks to be worth it"
        )
    if "ports" in report:
        shell, phases = report["ports"], ", ".join(name.replace("_", " ") for name in report["ports"]["phases"])
        screen.say(f"           {shell['samples']} samples through the ports of the {shell['shell']} shell: {phases}")


def _say_compared(screen: Screen, report: Report) -> None:
    screen.say(f"EQUAL      {report['vectors']} vectors ({_kinds(report)})")
    if report["level"] == "netlist":
        screen.say(
            f"           {report['results']} results of the {report['target']} netlist, in {report['simulator']}"
        )
        screen.say(f"           {_phases(report)}")
    else:
        screen.say(f"           through the UART's pins of the bitstream for {report['board']}, read back")


def _phases(report: Report) -> str:
    """How many results were compared in each phase."""
    return ", ".join(f"{name.replace('_', ' ')} {found['results']}" for name, found in report["phases"].items())


def _kinds(report: Report) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in report["kinds"].items() if count)
