"""The command line: a thin skin over the Python API.

Exit status 0 good, 1 mismatch or failed tool, 2 unusable input. Human text and progress go to standard error; with
``--json`` standard output holds exactly one JSON document, errors included.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.markup import escape
from rich.table import Table

from dwn_hw._version import __version__
from dwn_hw.cli import board, build
from dwn_hw.cli.plan_text import say_plan
from dwn_hw.cli.screen import Commands, Report, Screen, command
from dwn_hw.cli.verify import samples_of, say_verified, verify
from dwn_hw.hardware import encoders, shell_facts
from dwn_hw.hardware.encoders import ENCODERS
from dwn_hw.hardware.families import SYNTHESES, TARGETS
from dwn_hw.hardware.shell_facts import SHELLS


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dwn-hw")
def main() -> None:
    """From a trained multiplication-free network to Verilog that is proven equal to it."""


main.add_command(board.run)
main.add_command(board.board_sim)
for _command in (verify, build.boards, build.build, build.program):
    main.add_command(_command)

_directory = click.argument("directory", type=click.Path(path_type=Path))

#: What every generator of random numbers takes.
_SEED = click.IntRange(min=0)


def _sentence(between: str, texts: Iterable[str]) -> str:
    """A line of help, of what is said of each choice."""
    text = between.join(texts)
    return f"{text[0].upper()}{text[1:]}."


#: The options that decide what hardware a model becomes.
_MODEL_OPTIONS = (
    click.argument("model", type=click.Path(path_type=Path)),
    click.option(
        "--data",
        "data_file",
        type=click.Path(path_type=Path),
        help="Samples (.npz): set the input grid, and are measured.",
    ),
    click.option(
        "--calibrate",
        type=click.Path(path_type=Path),
        metavar="DATA.npz",
        help="Samples to find the narrowest port by that keeps every prediction.",
    ),
    click.option(
        "--max-drop",
        type=float,
        metavar="PART",
        help="For --calibrate: keep accuracy within this instead, 0.01 for one in a hundred.",
    ),
    click.option(
        "--arch", metavar="FILE.py:CLASS", help="Your own class, for weights with shift layers; FILE.py is run."
    ),
    click.option(
        "--activations", metavar="I.F", help="Integer and fraction bits between shift layers, as DeepShift's 16.16."
    ),
    click.option("--input-format", metavar="FORMAT", help="What the port carries: u8, s12, u8/255, sQ3.12, …"),
    click.option("--normalize", metavar="MEAN,STD", help="Normalisation before the model, as torchvision's."),
    click.option("--input-shape", metavar="C,H,W", help="Shape of a sample, for --normalize by channel."),
    click.option("--no-scaler", is_flag=True, help="Leave the model's scaler to the host."),
    click.option(
        "--shell",
        type=click.Choice(list(SHELLS)),
        default=shell_facts.DEFAULT,
        show_default=True,
        help=_sentence(", ", (shell.help for shell in SHELLS.values())),
    ),
    click.option(
        "--latency", type=int, metavar="CLOCKS", help="Registers to place (0: none). Default: after each part."
    ),
    click.option("--clock-mhz", type=float, metavar="MHZ", help="As few registers as meet this clock, by estimate."),
    click.option(
        "--lanes", type=click.IntRange(min=1), help="Of the folded engine; else parallel where layers are small."
    ),
    click.option(
        "--name",
        default="dwn",
        show_default=True,
        help="What all modules and files are called after: jets_top, …",
    ),
    click.option("--scores", is_flag=True, help="Put the scores on the output port too."),
    click.option(
        "--target",
        type=click.Choice(TARGETS),
        default="generic",
        show_default=True,
        help="Plain Verilog, or a family's own cells.",
    ),
    click.option(
        "--encoder",
        type=click.Choice(list(ENCODERS)),
        default=encoders.DEFAULT,
        show_default=True,
        help=_sentence(", or ", (encoder.help for encoder in ENCODERS.values())),
    ),
    click.option("--no-optimize", is_flag=True, help="One LUT a neuron, one comparator a threshold."),
    click.option(
        "--seed",
        type=_SEED,
        default=0,
        show_default=True,
        help="Of the vectors compared, and of --calibrate's split.",
    ),
)


def _model_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """A command that takes a model, and all that is to be said of its hardware."""
    for option in reversed(_MODEL_OPTIONS):
        function = option(function)
    return function


def _options(arguments: dict[str, Any]) -> Any:
    from dwn_hw.exports.options import Options

    use_scaler, optimize = not arguments.pop("no_scaler"), not arguments.pop("no_optimize")
    calibrate = samples_of(arguments.pop("calibrate"))
    return Options(use_scaler=use_scaler, optimize=optimize, calibrate=calibrate, **arguments)


@main.command(short_help="Freeze a model and write its export directory.")
@_model_options
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The export directory to write.")
@command
def export(screen: Screen, model: Path, out: Path, data_file: Path | None, **arguments: Any) -> None:
    """Freeze MODEL and write its Verilog, interface, vectors and report."""
    from dwn_hw import api
    from dwn_hw.exports import writer

    arch = arguments.pop("arch")
    options, samples = _options(arguments), samples_of(data_file)
    writer.check_out(out)
    screen.progress("reading the model")
    report: Report = writer.export(api.load(model, arch), out, options, samples, screen.progress)
    say_plan(screen, report)
    for name in report.get("removed", ()):
        screen.say(f"removed {out / name}, built of other Verilog")
    screen.say(f"wrote {out}", f"next: dwn-hw verify {shlex.quote(str(out))}")
    screen.result(report | {"out": str(out)})


@main.command(short_help="All problems of a model, or what would be built.")
@_model_options
@command
def check(screen: Screen, model: Path, data_file: Path | None, **arguments: Any) -> None:
    """Say everything that is wrong with MODEL at once, or what would be built. Writes nothing."""
    from dwn_hw import api
    from dwn_hw.exports import planning

    arch = arguments.pop("arch")
    options, samples = _options(arguments), samples_of(data_file)
    screen.progress("reading the model")
    report = planning.plan(api.load(model, arch), options, samples, screen.progress).report
    say_plan(screen, report)
    screen.result(report)


@main.command(short_help="Prove an export equal for all inputs.")
@_directory
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


@main.command(short_help="Emulate an export, bit for bit and fast.")
@_directory
@click.argument("samples", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write y, scores and codes to this .npz.")
@command
def predict(screen: Screen, directory: Path, samples: Path, out: Path | None) -> None:
    """Emulate an export on SAMPLES (.npz), bit for bit and fast."""
    from dwn_hw.exports import prediction
    from dwn_hw.ir import sample_files, serialize

    network = serialize.load(directory / "network.safetensors")
    loaded = sample_files.load(samples)
    screen.progress(f"predicting {len(loaded)} samples")
    found, arrays = prediction.predict(network, loaded)
    report: Report = found
    if out is not None:
        sample_files.save_predictions(out, network, *arrays)
    screen.say(", ".join(f"{key.replace('_', ' ')} {value}" for key, value in report.items() if key != "classes"))
    if out is None and report.get("classes"):
        screen.say("first      " + " ".join(map(str, report["classes"])))
    screen.result(report | ({"out": str(out)} if out else {}))


@main.command(short_help="Count LUTs, flip-flops and carries by part.")
@_directory
@click.option("--target", type=click.Choice(list(SYNTHESES)), default="xc7", show_default=True, help="The FPGA.")
@command
def synth(screen: Screen, directory: Path, target: str) -> None:
    """Count the LUTs, flip-flops and carries of an export, by part, beside the estimate."""
    from dwn_hw.fpga import synthesis

    screen.progress(f"synthesising for {target}")
    report = synthesis.synth(directory, target, progress=screen.progress)
    _show_counts(screen, report)
    screen.result(report)


def _show_counts(screen: Screen, report: Report) -> None:
    kinds = ("lut", "ff", "carry", "mux", "bram", "dsp")
    screen.say(f"counted    {report['target']}, {report['tool']}: {report['command']}", "")
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("part", *kinds, "estimated lut"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    rows = [*report["parts"].items(), ("whole, flattened", report["total"])]
    estimates = {**report["estimate"]["parts"], "whole, flattened": report["estimate"]["total"]}
    for name, counts in rows:
        table.add_row(escape(name), *(str(counts[kind]) for kind in kinds), str(estimates[name]["lut"]))
    screen.show(table)
    screen.say("")
    if report["exported_for"] != report["target"]:
        again = f"the export is for {report['exported_for']}, mapped again here: the estimate is of its own LUTs, each by itself"
        screen.say(f"rough      {again}")


@main.command(short_help="What is missing on this machine.")
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


@main.command(short_help="The whole road on built-in data.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("digits-demo"),
    show_default=True,
    help="The directory to write.",
)
@click.option("--target", type=click.Choice(list(SYNTHESES)), default="xc7", show_default=True, help="The FPGA.")
@click.option("--seed", type=_SEED, default=0, show_default=True, help="Of everything random.")
@command
def demo(screen: Screen, out: Path, target: str, seed: int) -> None:
    """The whole road on built-in data: train, export, verify, count."""
    from dwn_hw.cli import demo as show

    report = show.run(out, seed=seed, target=target, progress=screen.progress)
    trained = report["trained"]
    screen.say(f"trained    a DWN on the 8x8 digits: {trained['accuracy']:.1%} of {trained['test_images']} test images")
    say_plan(screen, report["export"])
    say_verified(screen, report["verify"])
    _show_counts(screen, report["synth"])
    screen.say("Verilog    " + str(out / "export" / "rtl"), "interface  " + str(out / "export" / "INTERFACE.md"))
    screen.say("model      " + str(out / "model.pt"), "test data  " + str(out / "digits.npz"))
    screen.result(report)
