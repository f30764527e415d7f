"""Commands that look into exports: two beside each other, and one at its work on a sample."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from dwn_hw.cli.arguments import directory
from dwn_hw.cli.screen import Report, Screen, command
from dwn_hw.cli.verify import samples_of

_PATH = click.Path(path_type=Path)

#: The most lines about changes, and about LUTs that decide.
_MOST = 8


@click.command(short_help="What differs between two exports.")
@click.argument("one", type=_PATH)
@click.argument("other", type=_PATH)
@click.option("--data", "data_file", type=_PATH, help="Samples to compare answers on.")
@click.option("--all", "everything", is_flag=True, help="Also what is the same.")
@command
def compare(screen: Screen, one: Path, other: Path, data_file: Path | None, everything: bool) -> None:
    """Show what differs between two exports: settings, LUTs by part, figures; with --data, how often they answer alike."""
    from dwn_hw.exports import comparison

    report: Report = comparison.compare(one, other, samples_of(data_file), screen.progress)
    names = [one.name, other.name] if one.name != other.name else [str(one), str(other)]
    for title, key in (("settings", "settings"), ("LUTs by part, estimated", "lut_by_part"), ("found", "figures")):
        rows = [
            [row["name"], *map(_cell, row["values"])]
            for row in report[key]
            if everything or row["values"][0] != row["values"][1]
        ]
        if rows:
            screen.show([title, *names], rows, left=1)
            screen.say("")
    screen.say(*_verdict(report, names))
    screen.result(report)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) and abs(value) < 10000 else f"{value}"


def _verdict(report: Report, names: list[str]) -> Iterator[str]:
    same = "the same network" if report["same_network"] else "different networks"
    yield f"networks   {same}, {'the same' if report['same_verilog'] else 'different'} Verilog"
    found = report["answers"]
    if found is None:
        yield "           give --data to see how often they answer alike"
        return
    yield f"answers    alike for {found['alike']:,} of {found['samples']:,} samples"
    if found["differ"]:
        yield f"           differ at samples {_some(found['differ'])}"
    if "right" in found:
        told = (f"{name} {count:,}" for name, count in zip(names, found["right_alone"], strict=True))
        yield f"           right where the other is wrong: {', '.join(told)}"
        if not sum(found["right_alone"]):
            return
        chance = f"would be so unequal by chance in {found['p']:.1%} of cases"
        yield f"           if both were as good, these counts {chance} (McNemar's exact test)"


@click.command(short_help="Why an export answers a sample as it does.")
@directory
@click.option("--data", "data_file", type=_PATH, required=True, help="The file with the sample.")
@click.option("--sample", type=click.IntRange(min=0), default=0, show_default=True, help="Which, counted from 0.")
@command
def explain(screen: Screen, directory: Path, data_file: Path, sample: int) -> None:
    """Show what a sample crosses, what votes for which class, by how much, and what would have changed the answer."""
    from dwn_hw.exports import explanation

    report: Report = explanation.explain(directory, samples_of(data_file), sample)
    screen.say(*_explained(report, data_file.name))
    screen.result(report)


def _explained(report: Report, file: str) -> Iterator[str]:
    right = "" if "label_class" not in report else f"; the file says {_named(report, 'label_')}"
    yield f"answer     {_named(report)} for sample {report['sample']} of {file}{right}"
    votes = [f"{_named(vote)} {vote['score']}" for vote in report["votes"]]
    more = f", and {len(votes) - _MOST} more" if len(votes) > _MOST else ""
    yield f"votes      {', '.join(votes[:_MOST])}{more}"
    if report["margin"] is not None:
        tie = ": the first of them is taken" if report["margin"] == 0 else ""
        yield f"           ahead by {report['margin']}{tie}"
    if any("thresholds" in feature for feature in report["features"]):
        crossed, all_of_them = (sum(f[key] for f in report["features"]) for key in ("crossed", "thresholds"))
        yield f"crossed    {crossed} of {all_of_them} thresholds"
    for layer in report["layers"]:
        alone = f"{len(layer['decide'])} would change the answer alone"
        which = f": {_some(layer['decide'])}" if layer["decide"] else ""
        yield f"{layer['layer']:10} {layer['ones']} of {layer['luts']} LUTs give 1; {alone}{which}"
    tried, found = report["changes_tried"], report["changes"]
    if found:
        yield f"changes    of one feature that change the answer, the nearest first ({len(found)} can):"
        yield from map(_changed, found[:_MOST])
    else:
        yield f"changes    of one feature: none of {tried:,} that were tried changes the answer"
    if report["together"]:
        yield "           but these do together, each taken for what it takes of the lead:"
        yield from map(_changed, report["together"])


def _changed(change: Report) -> str:
    unit = "thresholds" if "thresholds" in change else "codes"
    far = f"{change[unit]} {unit if change[unit] > 1 else unit[:-1]}"
    name = change.get("name", f"feature {change['feature']}")
    return f"           {name} {change['from']:.6g} -> {change['to']:.6g} ({far}): {_named(change['gives'])}"


def _some(numbers: list[int]) -> str:
    """The first of some numbers."""
    return ", ".join(map(str, numbers[:_MOST])) + (", …" if len(numbers) > _MOST else "")


def _named(report: Report, prefix: str = "") -> str:
    return str(report.get(f"{prefix}name", f"class {report[f'{prefix}class']}"))
