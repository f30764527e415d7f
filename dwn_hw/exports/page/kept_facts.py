"""What an export directory holds beside its hardware: the reports that commands left there. Any of it may be a stranger's.

A report that cannot be read, is of another network, or says something else than it should counts as not there: what is
missing is shown as missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from dwn_hw import _json, ir
from dwn_hw.exports.reader import Exported, read_export

#: What a command left, of which nothing is certain.
Report: TypeAlias = dict[str, Any]

#: The most rows that are taken from a list in a report: no command writes so many.
MOST = 256

#: The largest report that is read, in bytes: many times what any command writes.
LARGEST = 16 << 20


@dataclass(frozen=True, slots=True)
class Facts:
    """An export with the reports in it: of the export itself, of its proof, of simulations, synthesis and builds by name.

    ``label``: the directory as it was given; ``placements``: by board, where cells lie.
    """

    label: str
    exported: Exported
    report: Report
    proof: Report | None
    simulations: Mapping[str, Report]
    syntheses: Mapping[str, Report]
    builds: Mapping[str, Report]
    placements: Mapping[str, Report]

    @property
    def network(self) -> ir.Network:
        """What the export computes."""
        return self.exported.network


def read(folder: Path) -> Facts:
    """Read an export and what commands left in it. Raises ExportError for a directory that is none."""
    exported = read_export(folder)
    digest = exported.interface.digest
    report = _document(folder / "report.json") or {}
    boards = {path.parent.name: path.parent for path in sorted(folder.glob("build/[!.]*/report.json"))}
    simulations, syntheses = (_named(folder / name, digest) for name in ("verify", "synth"))
    builds = {name: found for name, place in boards.items() if (found := _of(place / "report.json", digest))}
    placements = {name: found for name in builds if (found := _document(boards[name] / "placement.json"))}
    proof = _of(folder / "prove" / "report.json", digest)
    return Facts(str(folder), exported, report, proof, simulations, syntheses, builds, placements)


def _named(folder: Path, digest: str) -> dict[str, Report]:
    return {path.stem: found for path in sorted(folder.glob("*.json")) if (found := _of(path, digest))}


def _of(path: Path, digest: str) -> Report | None:
    """A report of the network that the export holds now."""
    found = _document(path)
    return found if found is not None and found.get("digest") == digest else None


def _document(path: Path) -> Report | None:
    try:
        if path.is_symlink() or path.stat().st_size > LARGEST:
            return None
        found = _json.parse(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def at(value: Any, *names: str) -> Any:
    """What stands at ``names`` in a document, or None."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def number(value: Any, *names: str) -> float | int | None:
    """The finite number at ``names``, or None."""
    found = at(value, *names)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return found if abs(found) < 1e300 else None


def text(value: Any, *names: str) -> str | None:
    """The text at ``names``, or None."""
    found = at(value, *names)
    return found if isinstance(found, str) else None


def rows(value: Any, *names: str, most: int = MOST) -> list[Report]:
    """The documents in the list at ``names``; none where there is no such list."""
    found = at(value, *names)
    return [row for row in found[:most] if isinstance(row, dict)] if isinstance(found, list) else []


def parts(value: Any, *names: str) -> dict[str, Report]:
    """The documents by name at ``names``."""
    found = at(value, *names)
    kept = list(found.items())[:MOST] if isinstance(found, dict) else []
    return {name: row for name, row in kept if isinstance(row, dict)}
