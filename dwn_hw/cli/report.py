"""The command that shows exports to a person."""

from __future__ import annotations

from pathlib import Path

import click

from dwn_hw.cli.grouped_help import GroupedCommand
from dwn_hw.cli.screen import Screen, command
from dwn_hw.cli.verify import samples_of

_GROUPS = (("What is shown", ("data_file", "beside")), ("What is written", ("out", "csv_file", "svg_folder")))
_PATH = click.Path(path_type=Path)


@click.command(short_help="Exports as one HTML page, with charts.", cls=GroupedCommand, groups=_GROUPS)
@click.argument("directories", nargs=-1, required=True, type=_PATH)
@click.option("--data", "data_file", type=_PATH, help="Samples for accuracy, confusion and histograms.")
@click.option(
    "--beside",
    type=click.Choice(["auto", "jsc", "mnist", "none"]),
    default="auto",
    show_default=True,
    help="Published rows beside a comparison; auto: by the networks' sizes.",
)
@click.option("-o", "--out", type=_PATH, help="The page. Default: report.html here, unless --csv or --svg is given.")
@click.option("--csv", "csv_file", type=_PATH, help="A row of figures for each export.")
@click.option("--svg", "svg_folder", type=_PATH, help="A folder for the charts, one file each.")
@command
def report(
    screen: Screen,
    directories: tuple[Path, ...],
    data_file: Path | None,
    beside: str,
    out: Path | None,
    csv_file: Path | None,
    svg_folder: Path | None,
) -> None:
    """Show an export as one HTML page that needs no network: its network, thresholds, cost, delays, accuracy, checks.

    Several DIRECTORIES: what differs, and accuracy against LUTs, with published rows beside.
    """
    from dwn_hw.exports.page import page_files

    if out is None and csv_file is None and svg_folder is None:
        out = Path("report.html")
    page, table = page_files.make(directories, samples_of(data_file), beside, screen.progress)
    written = []
    if out is not None:
        page_files.write(page_files.html(page, screen.progress), out)
        written.append(str(out))
    if csv_file is not None:
        page_files.write_table(table, csv_file)
        written.append(str(csv_file))
    if svg_folder is not None:
        written += [str(svg_folder / name) for name in page_files.write_charts(page, svg_folder)]
    screen.say(*(f"wrote      {path}" for path in written[:8]))
    screen.say(*([f"           and {len(written) - 8} more"] if len(written) > 8 else []))
    screen.result(
        {
            "directories": [str(path) for path in directories],
            "written": written,
            "exports": [dict(zip(table.head, row, strict=True)) for row in table.rows],
        }
    )
