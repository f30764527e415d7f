"""Checksums of exported Verilog: what is built from it, bitstreams and virtual boards, carries the network's identity; and of a
whole export, so that nobody's edits are lost when it is written anew.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from dwn_hw.errors import ExportError, Problem

#: In ``rtl/`` and in the export itself, in the form of ``sha256sum``, which checks it as well: ``sha256sum -c SHA256SUMS``.
SUMS = "SHA256SUMS"

_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write(folder: Path) -> None:
    """Write the checksums of all files of a folder, and of those in its folders."""
    lines = [f"{digest(path)}  {name}\n" for name, path in _files(folder)]
    (folder / SUMS).write_text("".join(lines), "utf-8")


def added(folder: Path, beside: Collection[str] = ()) -> dict[str, str]:
    """Files of a folder that are not as they were exported, or were not: name → how; none where there are no checksums.

    What the folder holds under a name of ``beside`` is not looked at.
    """
    if not (folder / SUMS).is_file():
        return {}
    try:
        wanted = read(folder)
    except ExportError:
        return {SUMS: "edited"}
    changed = [name for name, path in _files(folder, beside) if wanted.get(name) != digest(path)]
    return {name: "edited" if name in wanted else "new" for name in changed}


def _files(folder: Path, beside: Collection[str] = ()) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if name.parts[0] not in (SUMS, *beside) and not path.is_dir():
            yield name.as_posix(), path


def read(rtl: Path) -> dict[str, str]:
    """File name → SHA-256, as the checksums of a folder say. Raises ExportError where there are none."""
    try:
        lines = [_LINE.fullmatch(line) for line in (rtl / SUMS).read_text("utf-8").split("\n") if line]
    except (OSError, ValueError):
        lines = []
    if not lines or None in lines:
        got = "lines of another form" if lines else "none"
        raise ExportError(Problem(str(rtl / SUMS), "checksums of the Verilog", got, "Export the model again."))
    return {line[2]: line[1] for line in lines if line}


def check(rtl: Path) -> None:
    """Raise ExportError, with all files that are not as they were exported."""
    remedy = "Export again, or run `dwn-hw verify` to see whether it still equals the network."
    wanted = read(rtl)
    found = {path.name: digest(path) for path in sorted(rtl.iterdir()) if path.suffix in (".v", ".hex")}
    problems = []
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            got = "nothing there" if name not in found else "edited" if name in wanted else "another file"
            problems.append(Problem(str(rtl / name), "the Verilog as it was exported", got, remedy))
    if problems:
        raise ExportError(*problems)
