"""The command that runs an export in software."""

from __future__ import annotations

from pathlib import Path

import click

from dwn_hw.cli.arguments import directory, strict
from dwn_hw.cli.screen import Report, Screen, command
from dwn_hw.cli.verify import samples_of


@click.command(short_help="Emulate an export, bit for bit and fast.")
@directory
@click.argument("samples", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write y, scores and codes to this .npz.")
@strict
@command
def predict(screen: Screen, directory: Path, samples: Path, out: Path | None, strict: bool) -> None:
    """Emulate an export on SAMPLES (.npz, .csv, .npy, …), bit for bit and fast."""
    from dwn_hw.exports import prediction
    from dwn_hw.ir import sample_files, serialize

    network = serialize.load(directory / "network.safetensors")
    loaded = samples_of(samples)
    screen.progress(f"predicting {len(loaded)} samples")
    found, arrays = prediction.predict(network, loaded, strict, screen.progress)
    report: Report = found
    if out is not None:
        sample_files.save_predictions(out, network, *arrays)
    figures = {key: value for key, value in report.items() if key not in ("classes", "warnings")}
    screen.say(", ".join(f"{key.replace('_', ' ')} {value}" for key, value in figures.items()))
    screen.warn(report)
    if out is None and report.get("classes"):
        screen.say("first      " + " ".join(map(str, report["classes"])))
    screen.result(report | ({"out": str(out)} if out else {}))
