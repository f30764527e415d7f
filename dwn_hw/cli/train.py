"""The command that trains a network on a table or on images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dwn_hw.cli.arguments import BOARD, SEED
from dwn_hw.cli.grouped_help import GroupedCommand
from dwn_hw.cli.screen import Report, Screen, command
from dwn_hw.errors import OptionError, Problem

_WHOLE = click.IntRange(min=1)


class _Layers(click.ParamType[tuple[int, ...]]):
    """Widths of layers, ``2000,1000``."""

    name = "LUTS"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        """The widths."""
        try:
            return value if isinstance(value, tuple) else tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is no list of whole numbers such as 1000,500", param, ctx)


#: The options in the order in which help shows them.
_GROUPS = (
    ("Files", ("out", "label", "test", "resume")),
    ("Size by budget", ("budget_lut", "board")),
    ("Network", ("kind", "luts", "bits", "thermometer", "tau", "n", "candidates")),
    ("Network of --kind shift", ("hidden", "weight_bits", "integer_bits", "fraction_bits")),
    ("Fewer LUTs", ("cheap_encoder", "prune")),
    ("Training", ("epochs", "batch_size", "lr", "patience", "seed", "device")),
)


@click.command(cls=GroupedCommand, groups=_GROUPS, short_help="Train a network on a table or on images.")
@click.argument("samples", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path("model.pt"), show_default=True, help="The model."
)
@click.option("--label", help="The column of classes of a table; else y, label, class or target.")
@click.option("--categorical", multiple=True, metavar="COLUMN", help="Its numbers are names of categories. Repeatable.")
@click.option("--ignore-column", multiple=True, metavar="COLUMN", help="A column that is no feature. Repeatable.")
@click.option(
    "--test", type=click.Path(path_type=Path), help="Samples to test on; else a fifth of SAMPLES, kept apart."
)
@click.option("--kind", default="dwn", show_default=True, metavar="dwn|shift|difflogic-like", help="Of network.")
@click.option(
    "--budget-lut",
    type=int,
    metavar="N",
    help="The largest network that takes N LUTs, encoder included; by estimate, and checked.",
)
@click.option("--board", type=BOARD, help="The largest network that fits one of `dwn-hw boards`, beside its UART.")
@click.option("--luts", type=_Layers(), help="LUTs of each layer, 1000,500; the default follows from the data.")
@click.option("--n", "n", type=click.IntRange(1, 8), help="Inputs of a LUT; 6 by default.")
@click.option("--bits", type=_WHOLE, help="Thresholds of a feature.")
@click.option(
    "--thermometer", type=click.Choice(["distributive", "linear", "gaussian"]), help="How thresholds are placed."
)
@click.option("--tau", type=float, help="The temperature of the vote.")
@click.option(
    "--candidates", type=click.IntRange(min=0), help="Wires that a slot of the first layer chooses among; 0: all."
)
@click.option("--hidden", type=_Layers(), help="Units of each hidden layer, 64,32.")
@click.option("--weight-bits", type=click.IntRange(2, 8), help="Bits of a weight; 4 by default.")
@click.option("--integer-bits", type=click.IntRange(2, 16), help="Of activations, with the sign; 6 by default.")
@click.option("--fraction-bits", type=click.IntRange(0, 16), help="Of activations; 4 by default.")
@click.option("--epochs", type=_WHOLE, help="At most; 30 by default.")
@click.option("--batch-size", type=_WHOLE, help="Samples of a step.")
@click.option("--lr", type=float, help="Learning rate; 0.01 by default.")
@click.option(
    "--patience", type=click.IntRange(min=0), help="Epochs without a better validation; 10 by default, 0: all epochs."
)
@click.option(
    "--cheap-encoder",
    type=click.FloatRange(min=0),
    metavar="WEIGHT",
    help="LUT inputs that must read a comparison, for each LUT that it takes; else it goes. 0, the default: all stay.",
)
@click.option(
    "--prune",
    type=click.FloatRange(min=0, max=1, max_open=True),
    metavar="SHARE",
    help="The share of the last layer that goes in training: what the vote needs least. 0 by default.",
)
@click.option("--seed", type=SEED, help="Of everything random; 0 by default.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where it trains; auto: on a GPU where there is one.",
)
@click.option("--resume", is_flag=True, help="Go on with a training that was cut off, with the same numbers.")
@command
def train(
    screen: Screen,
    samples: Path,
    out: Path,
    label: str | None,
    test: Path | None,
    kind: str,
    budget_lut: int | None,
    board: str | None,
    resume: bool,
    device: str,
    **asked: Any,
) -> None:
    """Train a network on SAMPLES (.csv, .tsv, .parquet, .arff, .npz, idx, …), which hold classes.

    SAMPLES may be a folder with a file that begins with train, and one with test or t10k (MNIST's idx files).

    A tenth of the training samples decides when to stop; the test samples are seen once, at the end.
    """
    from dwn_hw.fpga import size_budget
    from dwn_hw.frontend import learned_columns, sample_folders, sample_formats, training_run

    columns = learned_columns.AskedColumns(asked.pop("categorical"), asked.pop("ignore_column"))
    budget = size_budget.make(budget_lut, board, kind)
    screen.progress("reading the samples")
    if samples.is_dir():
        samples, found = sample_folders.find(samples)
        test = test or found
    loaded = sample_formats.read(samples, label)
    tested = None if test is None else sample_formats.read(test, label)
    _check_out(out)
    how: dict[str, Any] = {"columns": columns, "kind": kind, "budget": budget, "resume": resume, "device": device}
    report: Report = training_run.run(loaded, tested, out, asked, progress=screen.progress, **how)
    screen.say(*_columns(report["table"], report["features"]))
    screen.say(*(f"recipe     {line}" for line in report["recipe_in_words"]))
    screen.say(
        f"trained    epoch {report['best_epoch']} of {report['epochs']} is the best: {report['validation_accuracy']:.1%} of "
        f"{report['validation_samples']} validation samples; {report['seconds']:.0f} s"
    )
    if report["device"] != "cpu":
        screen.say(f"device     {report['device']}")
    if shaped := report["shaped"]:
        layers = ", ".join(map(str, shaped["layers"]))
        screen.say(f"shaped     {shaped['thermometer_bits']} thermometer bits and layers of {layers} LUTs are left")
    low, high = report["interval"]
    screen.say(
        f"accuracy   {report['accuracy']:.1%} of {report['test_samples']} test samples, which it has not seen "
        f"(95 % interval {low:.1%} to {high:.1%})"
    )
    screen.say(f"wrote      {out}" + (f", and the test samples: {report['test_file']}" if report["test_file"] else ""))
    if report["budget"]:
        screen.say(_budget(report["budget"]))
    screen.say(f"next: {report['next']}")
    if "then" in report:
        screen.say(f"then: {report['then']}")
    screen.warn(report)
    screen.result(report)


def _budget(report: Report) -> str:
    """What became of a budget, in a line."""
    shown = (f"{count:,g} {of}" for of, count in report["planned"].items())
    before = next(iter(report["estimate"].values()))
    largest = "; larger ones are not tried for so few samples" if report["largest_allowed"] else ""
    return f"budget     {', '.join(shown)} by plan, within {report['asked']} ({before:,g} LUTs before the training){largest}"


def _columns(table: Report | None, features: int) -> list[str]:
    """The columns of a table that were coded, in words."""
    if table is None:
        return []
    coded = [f"{each['name']} {len(each['categories'])}" for each in table["columns"] if "categories" in each]
    told = f"; categories of {', '.join(coded[:8])}{', …' if len(coded) > 8 else ''}" if coded else ""
    return [f"columns    {len(table['columns'])} become {features} features{told}"]


def _check_out(out: Path) -> None:
    if out.suffix not in (".pt", ".pth"):
        raise OptionError(Problem("-o", "a name that ends in .pt", str(out), "Say -o model.pt."))
    if not out.resolve().parent.is_dir():
        raise OptionError(
            Problem("-o", "a folder that is there", f"no folder {out.parent}", "Make it, or choose another.")
        )
