"""The command line: a thin skin over the Python API.

Exit status 0 good, 1 mismatch or failed tool, 2 unusable input. Human text and progress go to standard error; with
``--json`` standard output holds exactly one JSON document, errors included.
"""

from __future__ import annotations

from pathlib import Path

import click

from dwn_hw._version import __version__
from dwn_hw.cli import (
    board,
    build,
    export,
    fit,
    inspect,
    predict,
    project_file,
    prove,
    report,
    start,
    sweep,
    synth,
    train,
    verify,
)
from dwn_hw.cli.screen import Commands, refuse
from dwn_hw.errors import InputError

#: Every command; ``--help`` sorts them.
COMMANDS = (
    *(train.train, export.export, export.check, verify.verify, prove.prove, predict.predict, synth.synth),
    *(report.report, inspect.compare, inspect.explain, sweep.sweep, fit.fit),
    *(build.boards, build.build, build.program, board.run, board.board_sim),
    *(start.doctor, start.demo),
)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dwn-hw")
@click.option(
    "--project",
    type=click.Path(path_type=Path),
    help=f"What commands need not be told again.  [default: {project_file.NAME}, where there is one]",
)
@click.pass_context
def main(context: click.Context, project: Path | None) -> None:
    """From a trained multiplication-free network to Verilog that is proven equal to it."""
    if path := project_file.find(project):
        try:
            context.default_map = project_file.read(path, main.commands)
        except InputError as error:
            refuse(context, error)


for _command in COMMANDS:
    main.add_command(_command)
