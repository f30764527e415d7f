"""The command that tries many designs of a table."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from dwn_hw.cli.arguments import BOARD, SEED
from dwn_hw.cli.grouped_help import GroupedCommand
from dwn_hw.cli.screen import Report, Screen, command

_PATH = click.Path(path_type=Path)

#: The settings that options give values of, with help where the name says too little: those of a training, and of an export.
_TRAIN = {
    "luts": "LUTs of each layer, 1000 or 500,300.",
    "budget_lut": "The largest network that takes so many LUTs.",
    "n": "Inputs of a LUT.",
    "bits": "Thresholds of a feature.",
    "thermometer": "How thresholds are placed.",
    "tau": "The temperature of the vote.",
    "candidates": "Wires that a slot chooses among.",
    "cheap_encoder": "Readers that a comparison needs, a LUT.",
    "prune": "The share of the last layer that goes.",
    "hidden": "Of --kind shift: units of each layer.",
    "weight_bits": "Of --kind shift.",
    "fraction_bits": "Of --kind shift.",
    "epochs": "At most.",
    "batch_size": "Samples of a step.",
    "lr": "Learning rate.",
}
_EXPORT = {
    "target": "FPGA family.",
    "encoder": "parallel or streamed.",
    "clock_mhz": "As few registers as meet it.",
    "latency": "Registers.",
    "input_format": "What the port carries.",
    "max_drop": "The narrowest port that keeps accuracy within this; 0: every prediction.",
}

#: The options in the order in which help shows them.
_GROUPS = (
    ("Files", ("study", "label", "categorical", "ignore_column", "test", "resume")),
    ("Budget", ("trials", "minutes", "jobs", "dask")),
    ("What LUTs are counted by; else the estimate", ("synth", "place")),
    (
        "The space: an option said several times, or a range 4..32 or 100..3000:log",
        ("space", "kind", *_TRAIN, *_EXPORT),
    ),
)


def settings_options(names: Sequence[str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options for settings of a space, each to be said several times."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in reversed(names):
            words, text = f"--{name.replace('_', '-')}", (_TRAIN | _EXPORT)[name]
            function = click.option(words, name, multiple=True, metavar="VALUE", help=text)(function)
        return function

    return decorate


def samples_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What is said of the samples, as ``train`` has it."""
    for option in (
        click.option("--test", type=_PATH, help="Samples to test on; else a fifth of TABLE."),
        click.option(
            "--ignore-column", multiple=True, metavar="COLUMN", help="A column that is no feature. Repeatable."
        ),
        click.option("--categorical", multiple=True, metavar="COLUMN", help="Its numbers are names. Repeatable."),
        click.option("--label", help="The column of classes; else y, label, class or target."),
    ):
        function = option(function)
    return function


def budget_options(trials: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """What bounds the work of ``sweep`` and ``fit``, and who does it; ``trials`` if nothing is said."""
    options = (
        click.option("--trials", type=int, help=f"How many are tried in all; {trials} unless --minutes is said."),
        click.option("--minutes", type=float, help="How long new trials begin."),
        click.option("--jobs", type=int, default=1, show_default=True, help="Processes of this machine."),
        click.option(
            "--dask", metavar="ADDRESS|local", help="A scheduler of Dask, or a cluster of --jobs processes here."
        ),
    )

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


@click.command(cls=GroupedCommand, groups=_GROUPS, short_help="Try many designs, and find those that none beats.")
@click.argument("table", type=_PATH)
@click.option("--study", type=_PATH, required=True, help="The folder of the study, which processes share.")
@samples_options
@click.option("--resume", is_flag=True, help="Go on with the study that is there, or help with it.")
@budget_options(20)
@click.option("--synth", metavar="FAMILY", help="yosys, for a family.")
@click.option("--place", type=BOARD, help="Place and route, for one of `dwn-hw boards`.")
@click.option("--space", type=_PATH, metavar="SPACE.toml", help="Tables [train] and [export] of the settings below.")
@click.option("--kind", metavar="dwn|shift|difflogic-like", help="Of network.")
@settings_options((*_TRAIN, *_EXPORT))
@click.option("--vectors", type=click.IntRange(min=0), help="Random ones, of each comparison; 200 by default.")
@click.option("--seed", type=SEED, help="Of everything random; 0 by default.")
@command
def sweep(
    screen: Screen,
    table: Path,
    study: Path,
    categorical: tuple[str, ...],
    ignore_column: tuple[str, ...],
    space: Path | None,
    kind: str | None,
    **given: Any,
) -> None:
    """Try designs for TABLE: each is trained, exported, compared with its network, and counted.

    What none beats in accuracy and LUTs is the front, shown whenever it changes, and in front.csv and report.html of the
    study. The samples are cut in three: to train on, to choose by, and to test on, which no choice looks at.
    """
    from dwn_hw.studies import sweeping

    texts = {name: given.pop(name) for name in (*_TRAIN, *_EXPORT)}
    asked = {**given, "kind": kind, "categorical": categorical, "ignore_columns": ignore_column}
    report = sweeping.sweep(
        *(table, study), space=space_of(space, texts, kind), progress=screen.progress, told=teller(screen), **asked
    )
    say_found(screen, report)
    screen.result(report)


def space_of(
    path: Path | None, texts: dict[str, tuple[str, ...]], kind: str | None, board: str | None = None
) -> dict[str, Any] | None:
    """What a file says, with options in the place of its settings; None: neither says anything.

    Without a file, options are the space if one of them has several values; else they are put into the one by rule.
    """
    from dwn_hw.studies import default_space
    from dwn_hw.studies import space as spaces

    said = dict(spaces.read(path)) if path is not None else {}
    own = said["train"].get("kind") if isinstance(said.get("train"), dict) else None
    given = spaces.of_texts(texts, kind or own or "dwn")
    if path is None and given and not spaces.varies(given):
        said = default_space.of(kind or "dwn", board)
        if "luts" in given.get("train", {}):
            del said["train"]["budget_lut"]
    for part, settings in given.items():
        said[part] = {**said.get(part, {}), **settings}
    return said or None


def teller(screen: Screen) -> Callable[[Sequence[Any], Sequence[Report]], None]:
    """What says a line of each trial that is over, and shows the front where that has changed."""
    shown: list[Any] = []

    def tell(rows: Sequence[Any], records: Sequence[Report]) -> None:
        for record in records:
            screen.say(_line(record))
        if list(rows) != shown:
            shown[:] = rows
            show_front(screen, [row.plain() for row in rows], tested=False)

    return tell


def _line(record: Report) -> str:
    if record["state"] == "failed":
        return f"trial {record['number']:<4} failed: {record['reason'].splitlines()[0]}"
    found = record["result"]
    point = ", ".join(f"{name} {short(value)}" for name, value in record["point"].items())
    return f"trial {record['number']:<4} {found['luts']:,} LUTs, {found['right'] / found['samples']:.1%}: {point}"


def short(value: Any) -> str:
    """A value of a setting, in a few characters."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def show_front(screen: Screen, rows: Sequence[Report], *, tested: bool) -> None:
    """The front as a table, in 80 columns: with the settings, or if ``tested`` with accuracy on the test samples, and digests."""
    names = [] if tested else list(dict.fromkeys(name for row in rows for name in row["point"]))
    head = ["trial", "LUTs", "accuracy", *(name.replace("_", " ") for name in names)]
    head += ["on the test samples", "design"] if tested else []
    cells = [
        [
            *(str(row["trial"]), f"{row['luts']:,}", f"{row['accuracy']:.1%}"),
            *(short(row["point"][name]) for name in names),
            *([_interval(row), row["design"]] if tested else []),
        ]
        for row in rows
    ]
    screen.show(head, cells, left=0, dense=True)


def _interval(row: Report) -> str:
    low, high = row["test_interval"]
    return f"{row['test_accuracy']:.1%} ({low:.1%} to {high:.1%})"


def say_trials(screen: Screen, report: Report) -> None:
    """What was tried in a sweep, on what, and how it was counted."""
    counts, samples = report["trials"], report["samples"]
    left = "".join(f", {counts[state]} {state}" for state in ("running", "waiting") if counts[state])
    screen.say(f"trials     {counts['complete']} complete, {counts['fail']} failed{left}")
    screen.say(
        f"samples    {samples['train']:,} trained on, {samples['validation']:,} chosen by, {samples['test']:,} tested on"
    )
    by, of = report["counted_by"]
    words = {"estimate": "by estimate", "synth": f"by yosys for {of}", "place": f"placed on {of}, the UART included"}
    screen.say(f"LUTs       {words[by]}")


def say_found(screen: Screen, report: Report) -> None:
    """What a sweep came to."""
    say_trials(screen, report)
    if report["front"]:
        show_front(screen, report["front"], tested=True)
        screen.say(*(f"wrote      {path}" for path in report["written"]))
        best = max(report["front"], key=lambda row: row["accuracy"])
        folder = Path(report["study"]) / "designs" / best["design"]
        screen.say(f"next: dwn-hw boards {shlex.quote(str(folder))}")
