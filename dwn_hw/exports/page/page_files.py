"""Writes pages: HTML that stands by itself, charts as SVG, figures as CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import jinja2
from markupsafe import Markup

from dwn_hw._progress import Progress, silent
from dwn_hw.errors import OptionError, Problem
from dwn_hw.exports.page import drawing, kept_facts, one_export, published, sample_results, several_exports
from dwn_hw.exports.page.blocks import Cell, Page, Table, shown
from dwn_hw.ir import sample_files

_TEMPLATE = Path(__file__).with_name("page.html")


def make(
    folders: Sequence[Path],
    samples: sample_files.Samples | None = None,
    beside: str = "auto",
    progress: Progress = silent,
) -> tuple[Page, Table]:
    """The page of one export or of several, and what is said of each in a row.

    ``samples``: what accuracy and histograms are of, instead of what the exports keep. ``beside``: whose published rows are shown
    (:data:`published.ROWS`), ``none``, or ``auto``, by the networks' sizes.
    """
    if not folders:
        raise OptionError(Problem("report", "at least one export directory", "none", "Give one."))
    exports = []
    for folder in folders:
        progress(f"reading {folder}")
        facts = kept_facts.read(folder)
        results = (
            sample_results.of_kept(facts) if samples is None else sample_results.of_samples(facts, samples, progress)
        )
        exports.append((facts, results))
    if len(exports) == 1:
        return one_export.make(*exports[0], progress=progress), several_exports.table(exports)
    data_set = published.data_set([facts.network for facts, _ in exports]) if beside == "auto" else beside
    return several_exports.make(exports, data_set), several_exports.table(exports)


@dataclass(frozen=True, slots=True)
class Shown:
    """A page as ``html``, one document, and a ``table`` with a row for each export; a notebook shows the page in a frame."""

    html: str
    table: Table

    def _repr_html_(self) -> str:
        return f'<iframe srcdoc="{escape(self.html)}" width="100%" height="800" style="border:0" sandbox=""></iframe>'


def html(page: Page, progress: Progress = silent) -> str:
    """A page as one document, which loads nothing. Raises OptionError where the library that draws is not installed."""
    figures = [figure for section in page.sections for figure in section.figures]
    progress(f"drawing {len(figures)} charts")
    drawn = {id(figure): Markup(drawing.draw(figure, f"c{i}-")) for i, figure in enumerate(figures)}
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_TEMPLATE.read_text("utf-8"))
    return template.render(page=page, drawn=lambda figure: drawn[id(figure)], shown=shown)


def write(text: str, out: Path) -> None:
    """Write a page, whole or not at all."""
    draft = out.with_name(f"{out.name}.partial")
    try:
        draft.write_text(text, "utf-8")
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)


def write_charts(page: Page, folder: Path) -> list[str]:
    """Write every chart of a page as SVG into a folder; their names."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = [figure for section in page.sections for figure in section.figures]
    for figure in figures:
        write(drawing.draw(figure) + "\n", folder / f"{figure.name}.svg")
    return [f"{figure.name}.svg" for figure in figures]


def write_table(table: Table, out: Path) -> None:
    """Write a table as CSV."""
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(table.head)
        writer.writerows([_plain(cell) for cell in row] for row in table.rows)


def _plain(cell: Cell) -> Cell:
    """A cell that no spreadsheet takes for a formula."""
    return (
        f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@")) else "" if cell is None else cell
    )
