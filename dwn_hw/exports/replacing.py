"""Replaces the content of an export directory so that, whatever ends the process, it is the old or the new one, whole.

The directory itself cannot be exchanged: it may be the current one, or a mount point. The new content lies complete in a
folder inside it when a list of what is to be moved appears there, in one step. Before that the old export is whole, and what
was written is of no account. After that whoever comes next, a reader or another export, finishes the moves.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from dwn_hw import _json
from dwn_hw.errors import ExportError, Problem

#: The folder in an export directory in which the next export is written.
PARTIAL = ".dwn-hw.partial"

#: In it, once all is written: the names that are moved, and those that are removed before.
_LIST = "moves.json"


def replace(out: Path, removed: Sequence[str]) -> None:
    """Move what lies in the folder :data:`PARTIAL` of ``out`` to its places; what else bears one of the names ``removed`` goes.

    Raises OSError.
    """
    partial = out / PARTIAL
    for path in partial.rglob("*"):
        if path.is_file():
            _flush(path)
    moves = {"new": sorted(path.name for path in partial.iterdir()), "removed": list(removed)}
    draft = partial / f"{_LIST}.new"
    draft.write_text(json.dumps(moves), "utf-8")
    _flush(draft)
    draft.replace(partial / _LIST)
    _move(out, moves)


def is_decided(out: Path) -> bool:
    """Whether the moves have begun, and have to be finished."""
    return (out / PARTIAL / _LIST).is_file()


def finish(out: Path) -> None:
    """Finish the moves that an ended process had begun, if there are any. Raises ExportError where that cannot be done."""
    if not is_decided(out):
        return
    try:
        moves = _json.parse((out / PARTIAL / _LIST).read_text("utf-8"))
        if not all(isinstance(name, str) and Path(name).name == name for part in moves.values() for name in part):
            raise ValueError("a list of other names")
        _move(out, moves)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        rule, got = "an export that was finished", f"one that was interrupted, which cannot be finished ({error})"
        raise ExportError(Problem(str(out), rule, got, f"Remove {PARTIAL} in it, and export again.")) from None


def _move(out: Path, moves: dict[str, list[str]]) -> None:
    """Do what is left of the moves: what is no more in :data:`PARTIAL` is in its place already."""
    partial = out / PARTIAL
    for name in moves["removed"]:
        if name not in moves["new"]:
            _remove(out / name)
    for name in moves["new"]:
        if (partial / name).exists():
            _remove(out / name)
            (partial / name).rename(out / name)
    (partial / _LIST).unlink()
    shutil.rmtree(partial)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.is_symlink() or path.exists():
        path.unlink()


def _flush(path: Path) -> None:
    """Have a file's content on the disk before its name is in a list."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
