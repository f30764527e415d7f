"""The command that finds a network for a board."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from dwn_hw.cli import sweep
from dwn_hw.cli.arguments import BOARD, SEED
from dwn_hw.cli.grouped_help import GroupedCommand
from dwn_hw.cli.screen import Report, Screen, command

_PATH = click.Path(path_type=Path)

#: The settings of which options give values: sizes follow from the board.
_TRAIN = ("n", "bits", "thermometer", "tau", "candidates", "cheap_encoder", "prune", "epochs", "batch_size", "lr")
_EXPORT = ("clock_mhz", "latency", "input_format", "max_drop", "encoder")

_GROUPS = (
    ("Files", ("out", "study", "label", "categorical", "ignore_column", "test", "resume")),
    ("Budget", ("trials", "minutes", "jobs", "dask", "seeds")),
    ("What is tried: an option said several times, or a range 4..32", ("space", "kind", *_TRAIN, *_EXPORT)),
)


@click.command(cls=GroupedCommand, groups=_GROUPS, short_help="The most accurate network for a board.")
@click.argument("table", type=_PATH)
@click.option("--board", required=True, type=BOARD, help="One of `dwn-hw boards` that nextpnr routes.")
@click.option("-o", "--out", type=_PATH, help="The export directory. Default: the names of table and board.")
@click.option("--study", type=_PATH, help="The folder of what is tried. Default: beside it, OUT-study.")
@sweep.samples_options
@click.option("--resume", is_flag=True, help="Go on with what was tried.")
@sweep.budget_options(12)
@click.option("--seeds", type=int, default=3, show_default=True, help="Of place and route; the best.")
@click.option("--space", type=_PATH, metavar="SPACE.toml", help="Tables [train] and [export] of the settings below.")
@click.option("--kind", metavar="dwn|difflogic-like", help="Of network.")
@sweep.settings_options((*_TRAIN, *_EXPORT))
@click.option("--vectors", type=click.IntRange(min=0), help="Random ones, of each comparison; 200 by default.")
@click.option("--seed", type=SEED, help="Of everything random; 0 by default.")
@command
def fit(
    screen: Screen,
    table: Path,
    board: str,
    out: Path | None,
    categorical: tuple[str, ...],
    ignore_column: tuple[str, ...],
    space: Path | None,
    kind: str | None,
    **given: Any,
) -> None:
    """Find the most accurate network for TABLE that fits a board and meets its clock, and build it.

    Networks that fill the board by estimate are trained, exported and compared with their Verilog; the best are placed and
    routed until one meets the clock. Accuracy is said of samples that no choice looked at.
    """
    from dwn_hw.studies import fit_board

    texts = {name: given.pop(name) for name in (*_TRAIN, *_EXPORT)}
    place = Path(f"{table.name.split('.')[0]}-{board}") if out is None else out
    asked = {**given, "kind": kind, "categorical": categorical, "ignore_columns": ignore_column}
    own = sweep.space_of(space, texts, kind, board)
    report = fit_board.fit_board(
        *(table, board, place), space=own, progress=screen.progress, told=sweep.teller(screen), **asked
    )
    _say(screen, report)
    screen.result(report)


def _say(screen: Screen, report: Report) -> None:
    sweep.say_trials(screen, report["sweep"])
    for row in report["placed"]:
        screen.say(f"placed     trial {row['trial']}, {row['accuracy']:.1%} on the part to choose by: {row['became']}")
    point = ", ".join(f"{name} {sweep.short(value)}" for name, value in report["point"].items())
    screen.say(f"chosen     trial {report['trial']}: {point}")
    low, high = report["interval"]
    screen.say(
        f"accuracy   {report['accuracy']:.1%} of {report['test_samples']:,} test samples, which no choice looked at "
        f"(95 % interval {low:.1%} to {high:.1%})"
    )
    shown = (f"{report['used'][kind]:,} of {size:,} {kind}" for kind, size in report["capacity"].items())
    screen.say(f"used       {', '.join(shown)} after place and route, the UART included")
    screen.say(f"clock      {report['fmax_mhz']:.1f} MHz, {report['clock_mhz']:g} needed")
    out, name = Path(report["out"]), report["board"]
    screen.say(f"bitstream  {out / 'build' / name / report['bitstream']}")
    screen.say(f"next: dwn-hw program {shlex.quote(str(out))} --board {name}")
