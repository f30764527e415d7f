"""The commands that make hardware of a model: ``export`` writes it, ``check`` says what would be written."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from dwn_hw.cli.arguments import BOARD, SEED, strict, typed
from dwn_hw.cli.grouped_help import GroupedCommand
from dwn_hw.cli.plan_text import say_plan
from dwn_hw.cli.screen import Report, Screen, command
from dwn_hw.cli.verify import samples_of
from dwn_hw.hardware import encoders, shell_facts
from dwn_hw.hardware.encoders import ENCODERS
from dwn_hw.hardware.families import TARGETS
from dwn_hw.hardware.shell_facts import SHELLS


def _sentence(between: str, texts: Iterable[str]) -> str:
    """A line of help, of what is said of each choice."""
    text = between.join(texts)
    return f"{text[0].upper()}{text[1:]}."


#: The options in the order in which help shows them.
_GROUPS = (
    ("The model", ("key", "ignore", "arch")),
    ("Its numbers", ("weights", "activations", "deterministic", "numbers")),
    ("The input port", ("data_file", "input_format", "normalize", "input_shape", "no_scaler", "calibrate", "max_drop")),
    ("The hardware", ("board", "target", "shell", "scores", "latency", "clock_mhz", "encoder", "lanes", "no_optimize")),
)

_EXAMPLES = """\b
Examples:
  dwn-hw {name} jets.pt{out} --data test.npz
  dwn-hw {name} jets.pt{out} --board ulx3s-25f --clock-mhz 50
  dwn-hw {name} jets.pt{out} --calibrate unseen.npz --max-drop 0.01
  dwn-hw {name} weights.pt --arch net.py:Net{out} --data test.npz
"""

#: The options that decide what hardware a model becomes.
_MODEL_OPTIONS = (
    click.argument("model", type=click.Path(path_type=Path)),
    click.option(
        "--data",
        "data_file",
        type=click.Path(path_type=Path),
        help="Samples (.npz, .csv, …): set the input grid, and are measured.",
    ),
    click.option(
        "--calibrate",
        type=click.Path(path_type=Path),
        metavar="DATA",
        help="Samples to find the narrowest port by that keeps every prediction.",
    ),
    click.option(
        "--max-drop",
        type=float,
        metavar="PART",
        help="For --calibrate: keep accuracy within this instead, 0.01 for one in a hundred.",
    ),
    click.option("--key", metavar="NAME", help="Which network, where MODEL holds several: ema, checkpoint.model, …"),
    click.option(
        "--ignore",
        multiple=True,
        metavar="NAME",
        help="What stands beside the network, and it does not need. Repeatable.",
    ),
    click.option(
        "--arch",
        metavar="FILE.py:CLASS",
        help="Your own class, for weights of a network of torch's layers or shift layers; FILE.py is run.",
    ),
    click.option(
        "--activations", metavar="I.F", help="Integer and fraction bits between layers that sum, as DeepShift's 16.16."
    ),
    click.option(
        "--weights",
        metavar="BITS",
        help="Bits to which trained weights are rounded: 8, or 8,4,6 by layer. [default: 8]",
    ),
    click.option("--deterministic", is_flag=True, help="Bernoulli bits as p ≥ 0.5, whatever their seed."),
    click.option("--numbers", is_flag=True, help="The last layer's row is the result, not which of it is greatest."),
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
        help="Plain Verilog, or a family's own cells. Default: the --board's family, else generic.",
    ),
    click.option("--board", type=BOARD, help="One of `dwn-hw boards`: its family becomes the --target."),
    click.option(
        "--encoder",
        type=click.Choice(list(ENCODERS)),
        default=encoders.DEFAULT,
        show_default=True,
        help=_sentence(", or ", (encoder.help for encoder in ENCODERS.values())),
    ),
    strict,
    click.option("--no-optimize", is_flag=True, help="One LUT a neuron, one comparator a threshold."),
    click.option(
        "--seed",
        type=SEED,
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
    from dwn_hw.fpga import boards

    use_scaler, optimize = not arguments.pop("no_scaler"), not arguments.pop("no_optimize")
    calibrate = samples_of(arguments.pop("calibrate"))
    family = boards.family_of(arguments.pop("board"), arguments["target"])
    return Options(use_scaler=use_scaler, optimize=optimize, calibrate=calibrate, family=family, **arguments)


@click.command(
    cls=GroupedCommand,
    groups=(("The export", ("out", "name", "seed", "strict")), *_GROUPS),
    epilog=_EXAMPLES.format(name="export", out=" -o jets"),
    short_help="Freeze a model and write its export directory.",
)
@_model_options
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The export directory to write.")
@command
def export(screen: Screen, model: Path, out: Path, data_file: Path | None, **arguments: Any) -> None:
    """Freeze MODEL and write its Verilog, interface, vectors and report."""
    from dwn_hw import api
    from dwn_hw.exports import writer

    chosen = {name: arguments.pop(name) for name in ("arch", "key", "ignore")}
    board = arguments["board"]
    options, samples = _options(arguments), samples_of(data_file)
    writer.check_out(out)
    screen.progress("reading the model")
    loaded, command = api.load(model, **chosen), typed(click.get_current_context(), without=("out",))
    report: Report = writer.export(loaded, out, options, samples, screen.progress, command=command)
    say_plan(screen, report)
    for name in report.get("removed", ()):
        screen.say(f"removed {out / name}, built of other Verilog")
    screen.say(f"wrote {out}", f"next: dwn-hw verify {shlex.quote(str(out))}")
    if board:
        screen.say(f"then: dwn-hw build {shlex.quote(str(out))} --board {board}")
    screen.result(report | {"out": str(out)})


@click.command(
    cls=GroupedCommand,
    groups=(*_GROUPS, ("The export", ("name", "seed", "strict"))),
    epilog=_EXAMPLES.format(name="check", out=""),
    short_help="All problems of a model, or what would be built.",
)
@_model_options
@command
def check(screen: Screen, model: Path, data_file: Path | None, **arguments: Any) -> None:
    """Say everything that is wrong with MODEL at once, or what would be built. Writes nothing."""
    from dwn_hw import api
    from dwn_hw.exports import planning

    chosen = {name: arguments.pop(name) for name in ("arch", "key", "ignore")}
    options, samples = _options(arguments), samples_of(data_file)
    screen.progress("reading the model")
    report = planning.plan(api.load(model, **chosen), options, samples, screen.progress).report
    say_plan(screen, report)
    screen.result(report)
