"""The folder of a study: what it is of, and what was found, a file a trial; a study of something else is refused.

::

    study.json       what it is of: digests of the samples, how they are cut, the space, what is counted
    journal.log      Optuna's journal
    trials/0007.json what came of a trial; beside it its lock, and who began with it
    models/KEY/      a training, by its settings
    designs/DIGEST/  an export that was verified, by its digest; DIGEST.json: what was counted of it
    front.csv        the designs that none beats
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwn_hw import _json
from dwn_hw._json import Document
from dwn_hw.errors import OptionError, Problem, in_words
from dwn_hw.exports import kept_builds
from dwn_hw.frontend.learned_columns import AskedColumns
from dwn_hw.frontend.training_run import TEST
from dwn_hw.hardware.interface import TOOL
from dwn_hw.studies import check_space, sample_parts
from dwn_hw.studies.sample_parts import Parts
from dwn_hw.studies.space import Space, parse

_FORMAT = "dwn-hw study 1"

#: What is said of a study in messages, by its key in ``study.json``.
_WORDS = {
    "samples": "the table's content",
    "test": "the content of the test file",
    "label": "--label",
    "columns": "--categorical, --ignore-column",
    "split": "how the samples are cut",
    "kind": "--kind",
    "space": "the space",
    "count": "what LUTs are counted by",
    "vectors": "--vectors",
    "board": "--board",
    "seed": "--seed",
}


@dataclass(frozen=True, slots=True)
class Study:
    """A study that is there: its ``folder``, what is ``said`` of it, its space, and its samples."""

    folder: Path
    said: Document
    space: Space
    parts: Parts

    @property
    def columns(self) -> AskedColumns:
        """What was said of the columns of a table."""
        said: Any = self.said["columns"]
        return AskedColumns(tuple(said["categorical"]), tuple(said["ignored"]))

    @property
    def seed(self) -> int:
        """Of everything random."""
        return int(str(self.said["seed"]))

    def records(self) -> list[Document]:
        """What came of each trial that is over, by number."""
        return [read_json(path) for path in sorted((self.folder / "trials").glob("*.json"))]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a study is to be of. ``said``: the keys of ``study.json`` that were asked for; the others follow, or have defaults."""

    table: Path
    test: Path | None = None
    label: str | None = None
    said: Mapping[str, Any] | None = None


def begin(folder: Path, asked: Asked, space: Mapping[str, Any]) -> Study:
    """Make the study of a ``space`` in a folder that is absent or empty. Raises OptionError or DataError with every reason."""
    if is_study(folder):
        raise OptionError(
            Problem("--study", "a folder without a study", f"one in {folder}", "Say --resume to go on with it.")
        )
    said = _defaults() | {key: value for key, value in (asked.said or {}).items() if value is not None}
    parsed = parse(space, said["kind"])
    samples, tested = sample_parts.read(asked.table, asked.test, asked.label)
    parts = sample_parts.cut(samples, tested, said["seed"])
    columns = AskedColumns(tuple(said["columns"]["categorical"]), tuple(said["columns"]["ignored"]))
    check_space.check(parsed, parts.train, columns)
    said |= {"kind": parsed.kind, "space": parsed.plain(), "samples": sample_parts.digest(samples)}
    said |= {"test": None if tested is None else sample_parts.digest(tested), "label": asked.label}
    said |= {"counted": {name: len(getattr(parts, name)) for name in ("train", "validation", "test")}}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with kept_builds.alone(folder):
            if is_study(folder):
                remedy = "Say --resume to go on with it."
                raise OptionError(Problem("--study", "a folder without a study", "one that began meanwhile", remedy))
            write_json(folder / "study.json", {"format": _FORMAT, "tool": TOOL, **said})
    except OSError as error:
        raise OptionError(Problem("--study", "a folder to write", in_words(error), "Choose another.")) from None
    return Study(folder, said, parsed, parts)


def resume(folder: Path, asked: Asked, space: Mapping[str, Any] | None = None) -> Study:
    """The study in a folder. Raises OptionError where there is none, or one of something else, with everything that differs."""
    if not is_study(folder):
        raise OptionError(Problem("--resume", "a study to go on with", f"none in {folder}", "Leave --resume out."))
    said = _read(folder / "study.json")
    label = said["label"] if asked.label is None else asked.label
    samples, tested = sample_parts.read(asked.table, asked.test, label)
    now = {key: value for key, value in (asked.said or {}).items() if value is not None}
    now |= {"samples": sample_parts.digest(samples), "label": label}
    now |= {"test": None if tested is None else sample_parts.digest(tested)}
    now |= {} if space is None else {"space": parse(space, said["kind"]).plain()}
    remedy = "Ask for the same, or choose another --study."
    problems = [
        Problem(
            f"the study in {folder}", f"of the same {_WORDS[key]}", f"{_told(value)}, not {_told(said[key])}", remedy
        )
        for key, value in json.loads(json.dumps(now)).items()
        if said[key] != value
    ]
    if problems:
        raise OptionError(*problems)
    return Study(folder, said, parse(said["space"], said["kind"]), sample_parts.cut(samples, tested, said["seed"]))


def is_study(folder: Path) -> bool:
    """Whether a folder holds a study. Raises OptionError where it is something else than that, and not empty."""
    if (folder / "study.json").is_file():
        return True
    try:
        others = [path.name for path in folder.iterdir() if path.name != ".lock"] if folder.exists() else []
    except OSError as error:
        raise OptionError(Problem("--study", "a folder", f"{folder}: {in_words(error)}", "Choose another.")) from None
    if others:
        got = f"{folder} with {', '.join(sorted(others)[:4])}, and no study.json"
        raise OptionError(Problem("--study", "a folder that is absent, empty, or a study", got, "Choose another."))
    return False


def _defaults() -> dict[str, Any]:
    return {
        "columns": {"categorical": [], "ignored": []},
        "split": {"test": TEST, "validation": sample_parts.VALIDATION},
        "kind": None,
        "count": ["estimate", None],
        "vectors": 200,
        "board": None,
        "seed": 0,
    }


def _read(path: Path) -> Any:
    try:
        said = _json.parse(path.read_text("utf-8"))
        missing = [key for key in _WORDS if key not in said]
        if said.get("format") != _FORMAT or missing:
            raise ValueError(f"format {said.get('format')!r}" if not missing else f"no {', '.join(missing)}")
    except (OSError, ValueError, AttributeError, TypeError) as error:
        got = in_words(error)
        raise OptionError(
            Problem(str(path), f"a study of format {_FORMAT!r}", got, "Choose another --study.")
        ) from None
    return said


def _told(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 100 else f"{text[:98]}…"


def read_json(path: Path) -> Document:
    """A document that :func:`write_json` wrote."""
    found: Document = json.loads(path.read_text("utf-8"))
    return found


def write_json(path: Path, value: Document) -> None:
    """Write a document, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(value, indent=2) + "\n", "utf-8")
    draft.replace(path)
