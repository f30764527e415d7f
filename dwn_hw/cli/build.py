"""Commands that bring an export onto a board: what boards there are, the build, and programming."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from dwn_hw.cli.arguments import BAUD, BOARD, directory
from dwn_hw.cli.screen import Report, Screen, command

_board = click.option("--board", required=True, type=BOARD, help="One of `dwn-hw boards`.")


@click.command(short_help="The boards, and which of them an export fits.")
@click.argument("directory", type=click.Path(path_type=Path), required=False)
@command
def boards(screen: Screen, directory: Path | None) -> None:
    """List the boards with what they hold; with the DIRECTORY of an export, also what it takes there, and whether it fits."""
    from dwn_hw.fpga import building

    screen.progress("estimating" if directory else "reading the boards")
    rows = building.overview(directory)
    _show_overview(screen, rows, directory is not None)
    screen.result({"boards": rows})


def _fits(row: Report) -> str:
    """Whether an export fits a board: as it is, or exported for the board's family."""
    return "no" if not row["fits"] else "yes" if row["takes_target"] else f"as {row['target']}"


def _show_overview(screen: Screen, rows: list[Report], of_export: bool) -> None:
    built = any(row["built"] for row in rows)
    headings = ["board", "target", "lut", "ff", "bram", "MHz", "with"]
    if of_export:
        headings = ["board", "lut", "ff", "bram", "needs lut", "ff", "bram", "fits"]
        headings += ["built lut", "MHz"] if built else []
    table = []
    for row in rows:
        cells = [row["board"]] if of_export else [row["board"], row["target"]]
        cells += [f"{row['capacity'][kind]:,}" for kind in ("lut", "ff")]
        cells += [f"{row['capacity']['bram']}×{row['bram_kbit']}K"]
        if of_export:
            found = row["built"] or {}
            cells += [f"{row['needs'][kind]:,}" for kind in ("lut", "ff", "bram")] + [_fits(row)]
            figures = [f"{found['lut']:,}", f"{found['fmax_mhz']:.0f}"] if found else ["", ""]
            cells += figures if built else []
        else:
            cells += [f"{row['clock_mhz']:g}", row["flow"]]
        table.append(cells)
    screen.show(headings, table, left=1 if of_export else 2, dense=True)
    if of_export:
        screen.say("", "needs are estimates of the whole design, its UART included; what was built is measured")
        if any(row["fits"] and not row["takes_target"] for row in rows):
            screen.say("as FAMILY: if exported again with that --target, or with --target generic")


@click.command(short_help="A bitstream for a board, or a vendor's project.")
@directory
@_board
@click.option(
    "--seeds", type=click.IntRange(1, 100), default=3, show_default=True, help="Of place and route; the best."
)
@click.option("--baud", type=BAUD, help="Of the UART. Default: the board's own.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Copy the bitstream there.")
@command
def build(screen: Screen, directory: Path, board: str, seeds: int, baud: int | None, out: Path | None) -> None:
    """Synthesise, place and route an export with its UART for a board; or write a project for the vendor's tool."""
    from dwn_hw.fpga import building

    report = building.build(directory, board, seeds=seeds, baud=baud, out=out, progress=screen.progress)
    place = directory / "build" / report["board"]
    if report["parts"]:
        _show_parts(screen, report)
    if report["bitstream"]:
        _say_timing(screen, report)
        screen.say(f"bitstream  {place / report['bitstream']}{' (built before)' if report['cached'] else ''}")
        screen.say(f"serial     {report['baud']} baud, {report['clocks_per_bit']} clocks a bit: {report['uart']}")
        screen.say(f"next: dwn-hw program {shlex.quote(str(directory))} --board {report['board']}")
    else:
        screen.say(f"project    {place}: checked with yosys; {report['tool']} makes {report['makes']}")
        estimate = f"about {report['estimate_mhz']:.0f} MHz by estimate" if report["estimate_mhz"] else "no estimate"
        screen.say(
            f"clock      {report['clock_mhz']:g} MHz needed, {estimate} of the network; {report['tool']} says what is met"
        )
        screen.say(f"next: {report['command']}, in that directory")
    if report["notes"]:
        screen.say(f"board      {report['notes']}")
    screen.result(report)


def _show_parts(screen: Screen, report: Report) -> None:
    kinds = ("lut", "ff", "carry", "mux", "bram")
    screen.say(f"counted    {report['name']}, {report['device']}", "")
    rows = ([name, *(str(counts[kind]) for kind in kinds)] for name, counts in report["parts"].items())
    screen.show(("part", *kinds), rows, dense=True)
    screen.say("")
    # Before place and route nobody knows which flip-flops share a cell with a LUT.
    what = "used" if "used" in report else "needs"
    if found := report[what]:
        shown = (f"{found[kind]:,} of {size:,} {kind}" for kind, size in report["capacity"].items())
        screen.say(f"{what:10} {', '.join(shown)}{' after place and route' if what == 'used' else ''}")


def _say_timing(screen: Screen, report: Report) -> None:
    timing = report["timing"]
    seeds = ", ".join(f"{mhz:.1f}" for mhz in timing["fmax_by_seed"].values())
    screen.say(f"clock      {timing['fmax_mhz']:.1f} MHz, {report['clock_mhz']:g} needed (seeds: {seeds})")
    if path := timing["critical_path"]:
        screen.say(f"longest    {path['text']}")
    if timing["registers_timed"] < timing["registers"]:
        estimate = timing["estimate_mhz"]
        known = f"{timing['registers_timed']} of {timing['registers']} flip-flops"
        model = f"; the delay model says about {estimate:.0f} MHz of the network" if estimate else ""
        screen.say(f"           nextpnr knows the delays of paths to {known} only{model}")


@click.command(short_help="Load a built bitstream onto a board.")
@directory
@_board
@command
def program(screen: Screen, directory: Path, board: str) -> None:
    """Load the bitstream that `dwn-hw build` made of an export, with a program that is installed; or say the command."""
    from dwn_hw.fpga import programming

    report = programming.program(directory, board, screen.progress)
    screen.say(f"programmed {report['board']}")
    screen.result(report)
