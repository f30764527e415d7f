"""The command that counts what an export takes of an FPGA."""

from __future__ import annotations

from pathlib import Path

import click

from dwn_hw.cli.arguments import directory
from dwn_hw.cli.screen import Report, Screen, command
from dwn_hw.hardware.families import SYNTHESES


@click.command(short_help="Count LUTs, flip-flops and carries by part.")
@directory
@click.option("--target", type=click.Choice(list(SYNTHESES)), default="xc7", show_default=True, help="The FPGA.")
@command
def synth(screen: Screen, directory: Path, target: str) -> None:
    """Count the LUTs, flip-flops and carries of an export, by part, beside the estimate."""
    from dwn_hw.fpga import synthesis

    screen.progress(f"synthesising for {target}")
    report = synthesis.synth(directory, target, progress=screen.progress)
    show_counts(screen, report)
    screen.result(report)


def show_counts(screen: Screen, report: Report) -> None:
    """A table of the counts by part, beside the estimate."""
    kinds = ("lut", "ff", "carry", "mux", "bram", "dsp")
    screen.say(f"counted    {report['target']}, {report['tool']}: {report['command']}", "")
    rows = [*report["parts"].items(), ("whole, flattened", report["total"])]
    estimates = {**report["estimate"]["parts"], "whole, flattened": report["estimate"]["total"]}
    table = ([name, *(str(counts[kind]) for kind in kinds), str(estimates[name]["lut"])] for name, counts in rows)
    screen.show(("part", *kinds, "estimated lut"), table)
    screen.say("")
    if report["exported_for"] != report["target"]:
        again = f"the export is for {report['exported_for']}, mapped again here: the estimate is of its own LUTs, each by itself"
        screen.say(f"rough      {again}")
