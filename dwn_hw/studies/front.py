"""The front of a study: the designs that none beats in accuracy and in LUTs at once; as rows, as CSV, as the page of exports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwn_hw._json import Document
from dwn_hw._progress import Progress
from dwn_hw.exports.page import page_files
from dwn_hw.exports.page.blocks import Table
from dwn_hw.ir import proportions
from dwn_hw.studies.study_folder import Study

#: The most designs of a front that a page shows beside each other.
_MOST_ON_A_PAGE = 12


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a trial that was verified. ``right`` of ``samples``: of those to choose by; ``test_…``: that nobody chose by.

    ``lut_inputs``: the LUTs that ``luts`` counts are of so many inputs.
    """

    number: int
    point: Document
    design: str
    right: int
    samples: int
    test_right: int
    test_samples: int
    luts: int
    lut_inputs: int

    @property
    def accuracy(self) -> float:
        """On the samples to choose by."""
        return self.right / self.samples

    @property
    def test(self) -> tuple[float, float, float]:
        """Accuracy on the test samples, and the ends of its 95 % interval."""
        return self.test_right / self.test_samples, *proportions.interval(self.test_right, self.test_samples)

    def settings(self) -> str:
        """What it was asked, in words."""
        shown = ((name, _short(value)) for name, value in self.point.items())
        return " ".join(f"{name}={value}" for name, value in shown)

    def plain(self) -> Document:
        """As JSON holds it."""
        share, low, high = self.test
        return {
            "trial": self.number,
            "luts": self.luts,
            "lut_inputs": self.lut_inputs,
            "accuracy": round(self.accuracy, 6),
            "test_accuracy": round(share, 6),
            "test_interval": [round(low, 6), round(high, 6)],
            "design": self.design,
            "point": self.point,
        }


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def found(records: Sequence[Document]) -> list[Found]:
    """The trials among the records that were verified, one for each design: the first."""
    rows: dict[str, Found] = {}
    for record in records:
        if record["state"] == "complete":
            result: Any = record["result"]
            taken = {name: result[name] for name in Found.__dataclass_fields__ if name in result}
            one: Any = Found(number=record["number"], point=record["point"], **taken)  # type: ignore[arg-type]  # as JSON has them
            rows.setdefault(one.design, one)
    return list(rows.values())


def front(rows: Sequence[Found]) -> list[Found]:
    """Those that none beats, by LUTs; LUTs of other sizes are not compared. Of equal ones the first."""
    kept = []
    for one in rows:
        others = (other for other in rows if other is not one and other.lut_inputs == one.lut_inputs)
        if not any(_beats(other, one) for other in others):
            kept.append(one)
    return sorted(kept, key=lambda one: (one.lut_inputs, one.luts))


def _beats(one: Found, other: Found) -> bool:
    pair = (one.luts - other.luts, other.accuracy - one.accuracy)
    return max(pair) <= 0 and (min(pair) < 0 or one.number < other.number)


def write_csv(study: Study, rows: Sequence[Found]) -> Path:
    """Write the front as ``front.csv`` of a study."""
    names = list(study.space.dimensions)
    head = (
        "trial",
        "design",
        "counted_luts",
        "lut_inputs",
        "accuracy",
        "test_accuracy",
        "test_low",
        "test_high",
        *names,
    )
    lines: Any = [
        (
            *(one.number, one.design, one.luts, one.lut_inputs, round(one.accuracy, 6)),
            *(round(share, 6) for share in one.test),
            *(_short(one.point[name]) for name in names),
        )
        for one in rows
    ]
    path, draft = study.folder / "front.csv", study.folder / ".front.csv"
    page_files.write_table(Table(head, lines), draft)
    draft.replace(path)
    return path


def write_page(study: Study, rows: Sequence[Found], progress: Progress) -> Path:
    """Write ``report.html`` of a study: the designs of the front side by side, of a long one every so manieth."""
    step = -(-len(rows) // _MOST_ON_A_PAGE)
    folders = [study.folder / "designs" / one.design for one in rows[::step]]
    page, _ = page_files.make(folders, None, "auto", progress)
    path = study.folder / "report.html"
    page_files.write(page_files.html(page, progress), path)
    return path
