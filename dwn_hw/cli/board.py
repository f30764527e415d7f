"""Commands that talk to a board, real or virtual."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import click

from dwn_hw.cli.arguments import BAUD, BOARD, directory, strict
from dwn_hw.cli.predict import say_first
from dwn_hw.cli.screen import Report, Screen, command
from dwn_hw.cli.verify import samples_of


@click.command(short_help="Predict on a board, through its serial line.")
@directory
@click.argument("samples", type=click.Path(path_type=Path), required=False)
@click.option("--port", metavar="DEVICE", help="The board's serial port, say /dev/ttyUSB1.")
@click.option("--virtual", is_flag=True, help="A simulated board instead.")
@click.option("--board", "key", type=BOARD, help="What it was built for: at the baud rate of that build.")
@click.option("--baud", type=BAUD, help="Of the port. Default: of the build for --board, else 115200.")
@click.option("--compare", is_flag=True, help="Compare every answer with the network.")
@click.option("--self-test", is_flag=True, help="Run the export's golden vectors first.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="Write y, codes (and scores, if it has them) to this .npz.",
)
@strict
@command
def run(
    screen: Screen,
    directory: Path,
    samples: Path | None,
    port: str | None,
    virtual: bool,
    key: str | None,
    baud: int | None,
    compare: bool,
    self_test: bool,
    out: Path | None,
    strict: bool,
) -> None:
    """Send SAMPLES (.npz, .csv, .npy, …) through a board that holds an export, and read its answers."""
    from dwn_hw.errors import OptionError, Problem
    from dwn_hw.exports import reader
    from dwn_hw.fpga import open_board
    from dwn_hw.ir import sample_files

    if out is not None and samples is None:
        raise OptionError(Problem("--out", "only with a file of samples", "none", "Give one."))
    if compare and samples is None:
        raise OptionError(Problem("--compare", "only with a file of samples", "none", "Give one."))
    if out is not None:
        sample_files.check_out(out)
    exported = reader.read_export(directory)
    loaded = None if samples is None else samples_of(samples)
    where: dict[str, Any] = {"port": port, "virtual": virtual, "board": key, "baud": baud}
    with open_board.opened(exported, **where, progress=screen.progress) as board:
        from dwn_hw.fpga import session

        report, answers = session.session(
            exported, board, loaded, compared=compare, self_test=self_test, strict=strict, progress=screen.progress
        )
    if out is not None and answers is not None:
        fields = answers.fields
        last = fields["class" if "class" in fields else "scores"]
        sample_files.save_predictions(out, exported.network, answers.codes, fields.get("scores"), last)
        report |= {"out": str(out)}
    _say(screen, report)
    screen.say(*([f"wrote      {out}"] if out is not None else []))
    screen.warn(report)
    screen.result(report)


def _say(screen: Screen, report: Report) -> None:
    line = report["line"]
    if "self_test" in report:
        test = report["self_test"]
        screen.say(f"self-test  {test['vectors']} golden vectors, {test['values']} values equal")
    if "samples" in report:
        keys = ("samples", "rounded", "saturated", "samples_per_second", "accuracy")
        screen.say("board      " + ", ".join(f"{key.replace('_', ' ')} {report[key]}" for key in keys if key in report))
        say_first(screen, report)
        low, high = report["clocks"]
        screen.say(f"clocks     {low if low == high else f'{low} to {high}'} from the last code to the result")
    if "equal_values" in report:
        screen.say(f"EQUAL      {report['equal_values']} values of {report['samples']} samples")
    screen.say(f"line       {line['requests']} requests, {line['refused']} refused, {line['unanswered']} unanswered")


@click.command("board-sim", short_help="Simulate a board with a serial port.")
@directory
@command
def board_sim(screen: Screen, directory: Path) -> None:
    """Simulate a board that holds an export; prints the name of its serial port and runs until interrupted."""
    from dwn_hw.exports import reader
    from dwn_hw.fpga import session, virtual_board

    exported = reader.read_export(directory)
    session.check(exported)
    with virtual_board.board(exported, screen.progress) as board, contextlib.suppress(KeyboardInterrupt):
        screen.stop()
        click.echo(json.dumps({"device": board.device}) if screen.as_json else board.device)
        screen.say("Interrupt to end.")
        board.child.wait()
