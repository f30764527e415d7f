"""The command that runs an export in software."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import click

from dwn_hw.cli.arguments import directory, strict
from dwn_hw.cli.screen import Report, Screen, command
from dwn_hw.cli.verify import stream_of
from dwn_hw.errors import DataError, Problem


@click.command(short_help="Emulate an export, bit for bit and fast.")
@directory
@click.argument("samples", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="Write classes and scores to this .npz (with codes), .npy (classes alone), .csv or .parquet.",
)
@strict
@command
def predict(screen: Screen, directory: Path, samples: tuple[Path, ...], out: Path | None, strict: bool) -> None:
    """Emulate an export on SAMPLES (.npz, .csv, .npy, …), bit for bit and fast.

    Several files, or the files of a folder, are taken one after the other. Files may be larger than memory.
    """
    from dwn_hw.exports import prediction, prediction_file
    from dwn_hw.ir import serialize

    network = serialize.load(directory / "network.safetensors")
    streams = [stream_of(path, network) for path in _files(samples)]
    screen.progress(f"predicting {sum(stream.samples for stream in streams)} samples")
    with nullcontext(prediction_file.Nothing()) if out is None else prediction_file.written(out, network) as sink:
        found = prediction.predict_streams(network, streams, sink, strict, screen.progress)
    report: Report = found
    figures = {
        key: value for key, value in report.items() if key not in ("classes", "names", "notes", "warnings", "files")
    }
    screen.say(", ".join(f"{key.replace('_', ' ')} {value}" for key, value in figures.items()))
    for row in report.get("files", ()):
        right = f", accuracy {row['accuracy']}" if "accuracy" in row else ""
        screen.say(f"           {row['name']}: {row['samples']} samples{right}")
    screen.warn(report)
    say_first(screen, report)
    if out is not None:
        screen.say(f"wrote      {out}")
    screen.result(report | ({"out": str(out)} if out else {}))


def say_first(screen: Screen, report: Report) -> None:
    """The classes of the first samples, by name where the network knows names."""
    if first := report.get("names") or report.get("classes"):
        screen.say(f"first      {', '.join(map(str, first))}")


def _files(given: tuple[Path, ...]) -> list[Path]:
    """The files, and those in the folders, by name; what is hidden is left out."""
    found: list[Path] = []
    for path in given:
        inside = (
            sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith(".")) if path.is_dir() else [path]
        )
        if not inside:
            raise DataError(Problem(str(path), "a folder with files of samples", "none", "Give files of samples."))
        found += inside
    return found
