"""Brings samples that are a table to the arrays that a training takes, by rules learnt from its training samples alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dwn_hw._json import Document
from dwn_hw.errors import DataError, OptionError, Problem
from dwn_hw.frontend.learned_columns import AskedColumns, learn
from dwn_hw.frontend.saved_columns import plain
from dwn_hw.ir.column_coding import label_column
from dwn_hw.ir.columns import MISSING, TableCoding, shortly
from dwn_hw.ir.sample_files import Samples, resolved, with_classes

#: From the numbers of the classes of samples to the samples that are trained on.
Rows: TypeAlias = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.intp]]


@dataclass(frozen=True, slots=True)
class CodedSamples:
    """Samples with their features, those of a test file if there is one, and how a table becomes features, or None."""

    samples: Samples
    tested: Samples | None
    coding: TableCoding | None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def report(self) -> Document:
        """How the columns became features, as plain values."""
        said = None if self.coding is None else plain(self.coding)
        features = None if self.coding is None else len(self.coding.feature_names)
        return {"table": said, "features": features, "notes": list(self.notes), "warnings": list(self.warnings)}


def separated(samples: Samples) -> tuple[Samples, str | None]:
    """Samples with the classes of a table as ``y``, and the name of their column."""
    if samples.table is None or samples.y is not None:
        return samples, None
    at = label_column(samples.table, None, samples.name)
    if at is None:
        return samples, None
    found = with_classes(samples)
    if found.y is not None:
        y = found.y
        missing = np.isnan(y) if y.dtype.kind == "f" else np.isin(y, ("", MISSING))
        if missing.any():
            where = samples.table.place(int(np.flatnonzero(missing)[0]))
            got = f"none on {where} ({int(missing.sum())} such)"
            rule = f"a class in column {shortly(samples.table.titles[at])} for each sample"
            raise DataError(Problem(samples.name, rule, got, "Leave those samples out."))
    return found, samples.table.titles[at]


def coded(
    samples: Samples,
    tested: Samples | None,
    label: str | None,
    asked: AskedColumns,
    training_rows: Rows,
) -> CodedSamples:
    """Samples whose classes are separated, with a table coded by the rules that its training samples give.

    ``training_rows``: which samples are trained on, by the numbers of their classes. Raises DataError for a table without rules.
    """
    if samples.table is None or samples.y is None:
        if asked != AskedColumns():
            option = "--categorical" if asked.categorical else "--ignore-column"
            raise OptionError(Problem(option, "a table", f"{samples.name}, which has no columns", "Leave it out."))
        return CodedSamples(samples, None if tested is None else resolved(tested, None)[0], None)
    rows = (
        np.arange(len(samples)) if tested is not None else training_rows(np.unique(samples.y, return_inverse=True)[1])
    )
    coding, warnings = learn(samples.table, rows, label, asked, samples.name)
    found, _ = resolved(samples, coding)
    if tested is None:
        return CodedSamples(found, None, coding, (), tuple(warnings))
    other, told = resolved(tested, coding)
    return CodedSamples(found, other, coding, tuple(told.notes()), (*warnings, *told.warnings()))
