"""The commands that a new user types first: what is missing, and the whole road on built-in data."""

from __future__ import annotations

from pathlib import Path

import click

from dwn_hw.cli.arguments import SEED
from dwn_hw.cli.plan_text import say_plan
from dwn_hw.cli.screen import Screen, command
from dwn_hw.cli.synth import show_counts
from dwn_hw.cli.verify import say_verified
from dwn_hw.hardware.families import SYNTHESES


@click.command(short_help="What is missing on this machine.")
@command
def doctor(screen: Screen) -> int:
    """Say what is missing on this machine, and the one command that mends it."""
    from dwn_hw.cli import doctor as physician

    report = physician.report(physician.examine())
    for found in report["findings"]:
        state = found["version"] or ("optional" if found["optional"] else "MISSING")
        remedy = "" if found["version"] else f"   -> {found['remedy']}"
        screen.say(f"{found['what']:31} {state:22} {found['used_for']}{remedy}")
    screen.result(report)
    return 0 if report["complete"] else 1


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
