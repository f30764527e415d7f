"""The samples of a study in three parts: to train on, to choose by, and to test on, which no choice looks at."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw.errors import DataError, Problem
from dwn_hw.frontend import sample_folders, sample_formats, table_training
from dwn_hw.frontend.training_run import TEST
from dwn_hw.ir.sample_files import Samples

#: The part of the samples that are no test by which designs are compared.
VALIDATION = 0.2


@dataclass(frozen=True, slots=True)
class Parts:
    """The three parts; of a table each is one, with its classes apart."""

    train: Samples
    validation: Samples
    test: Samples


def read(path: Path, test: Path | None, label: str | None) -> tuple[Samples, Samples | None]:
    """The samples of a file, or of a folder of a training and a test file, and those to test on if there are some."""
    if path.is_dir():
        path, found = sample_folders.find(path)
        test = test or found
    return sample_formats.read(path, label), None if test is None else sample_formats.read(test, label)


def cut(samples: Samples, tested: Samples | None, seed: int) -> Parts:
    """The parts: a fifth to test on, unless there are ``tested`` samples, and a fifth of the rest to choose by; by class."""
    from dwn_hw.nn import trainer

    whole = _with_classes(samples)
    classes = np.unique(_classes(whole), return_inverse=True)[1]
    rest = np.arange(len(classes))
    if tested is None:
        rest, at = trainer.stratified(classes, TEST, seed)
        test = _rows(whole, at, "test")
    else:
        test = _with_classes(tested)
    train, validation = trainer.stratified(classes[rest], VALIDATION, seed)
    return Parts(_rows(whole, rest[train], "training"), _rows(whole, rest[validation], "validation"), test)


def digest(samples: Samples) -> str:
    """16 hex digits of what samples are: their values, classes and the names of columns, whatever file they stood in."""
    table = samples.table
    arrays = [samples.x, samples.codes, samples.y, *(table.columns if table else ())]
    found = hashlib.sha256(repr(table and table.names).encode())
    for array in arrays:
        found.update(b"none" if array is None else _bytes(array))
    return found.hexdigest()[:16]


def _bytes(array: npt.NDArray[Any]) -> bytes:
    if array.dtype.kind == "O":
        return repr(array.tolist()).encode()
    return f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes()


def _with_classes(samples: Samples) -> Samples:
    found = table_training.separated(samples)[0]
    if found.y is None or (found.x is None and found.table is None):
        remedy = "Give y, or a table with a column y, label, class or target, or name it with --label."
        raise DataError(Problem(found.name, "samples x with their classes y", "no classes", remedy))
    return found


def _classes(samples: Samples) -> npt.NDArray[Any]:
    assert samples.y is not None
    few = np.unique(samples.y, return_counts=True)
    if few[1].min() < 2:
        got = f"one of class {few[0][int(few[1].argmin())]}"
        rule = "several samples of each class: to learn from, to choose by and to test on"
        raise DataError(Problem(samples.name, rule, got, "Leave that class out, or find more."))
    return samples.y


def _rows(samples: Samples, at: npt.NDArray[np.intp], part: str) -> Samples:
    """Some samples, called after their part."""
    taken: dict[str, Any] = {"x": None if samples.x is None else samples.x[at]}
    if samples.table is not None:
        columns = tuple(column[at] for column in samples.table.columns)
        taken["table"] = replace(samples.table, columns=columns, first=1, unit=f"sample of the {part} part")
    assert samples.y is not None
    return replace(samples, y=samples.y[at], name=f"the {part} part of {samples.name}", **taken)
