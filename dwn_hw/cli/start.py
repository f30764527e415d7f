"""The commands that a new user types first: what is missing, and the whole road on built-in data."""

from __future__ import annotations

from pathlib import Path

import click

from dwn_hw.cli.arguments import SEED
from dwn_hw.cli.plan_text import say_plan
from dwn_hw.cli.screen import Report, Screen, command
from dwn_hw.cli.synth import show_counts
from dwn_hw.cli.verify import say_verified
from dwn_hw.hardware.families import SYNTHESES


@click.command(short_help="What is missing on this machine.")
@command
def doctor(screen: Screen) -> int:
    """Say what is missing on this machine, and the one command that mends it."""
    from dwn_hw.toolchain import doctor as physician

    report: Report = physician.report(physician.examine())
    for found in report["findings"]:
        mark = "✓" if found["version"] else "–" if found["optional"] else "✗"
        screen.say(f"{mark} {found['what']:31} {found['version'] or _absent(found):22} {found['used_for']}")
        if not found["version"]:
            screen.say(f"  {'':31} -> {found['remedy']}")
    screen.say("", _diagnosis(report["findings"]))
    screen.result(report)
    return 0 if report["complete"] else 1


def _absent(found: Report) -> str:
    return "optional" if found["optional"] else "MISSING"


def _diagnosis(findings: list[Report]) -> str:
    """How many things are there, and what is missing."""
    absent = [found for found in findings if not found["version"]]
    told = f"{len(findings) - len(absent)} of {len(findings)} found"
    for words, optional in (("MISSING", False), ("optional and not there", True)):
        if names := [found["what"] for found in absent if found["optional"] is optional]:
            told += f"; {words}: {', '.join(names)}"
    return told if absent else f"{told}: everything is there"


@click.command(short_help="The whole road on built-in data.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("digits-demo"),
    show_default=True,
    help="The directory to write.",
)
@click.option("--target", type=click.Choice(list(SYNTHESES)), default="xc7", show_default=True, help="The FPGA.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of everything random.")
@command
def demo(screen: Screen, out: Path, target: str, seed: int) -> None:
    """The whole road on built-in data: train, export, verify, count."""
    from dwn_hw.cli import demo as show

    report = show.run(out, seed=seed, target=target, progress=screen.progress)
    trained = report["trained"]
    screen.say(f"trained    a DWN on the 8x8 digits: {trained['accuracy']:.1%} of {trained['test_images']} test images")
    say_plan(screen, report["export"])
    say_verified(screen, report["verify"])
    show_counts(screen, report["synth"])
    screen.say("Verilog    " + str(out / "export" / "rtl"), "interface  " + str(out / "export" / "INTERFACE.md"))
    screen.say("model      " + str(out / "model.pt"), "test data  " + str(out / "digits.npz"))
    screen.result(report)
