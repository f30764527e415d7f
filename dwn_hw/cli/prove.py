"""The command that proves an export equal to its network for all inputs."""

from __future__ import annotations

from pathlib import Path

import click

from dwn_hw.cli.arguments import directory
from dwn_hw.cli.screen import Report, Screen, command


@click.command(short_help="Prove an export equal for all inputs.")
@directory
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="For each claim; what is open then is named, not claimed.",
)
@command
def prove(screen: Screen, directory: Path, timeout: float) -> None:
    """Prove that the Verilog of an export equals the network for all inputs, by SAT and counting; or show an input where not."""
    from dwn_hw.verification import proof

    report = proof.prove(directory, timeout=timeout, progress=screen.progress)
    _say_proven(screen, report)
    screen.result(report)


def _say_proven(screen: Screen, report: Report) -> None:
    for claim in report["claims"]:
        screen.say(f"{claim['name']:10} {claim['what']} ({claim['how']})")
    screen.say(f"PROVEN     for all inputs: {len(report['claims'])} claims")
    screen.say(f"trusted    {'; '.join(report['trusted'])}")
