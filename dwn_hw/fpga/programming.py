"""Loading a built bitstream onto a board, with the first of its programs that this machine has; or saying the command."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

from dwn_hw import _json, toolchain
from dwn_hw._progress import Progress
from dwn_hw.errors import ExportError, Problem, ToolError, in_words
from dwn_hw.exports import verilog_checksums
from dwn_hw.exports.reader import Exported, read_export
from dwn_hw.fpga import boards
from dwn_hw.fpga.boards import Board

#: Flash memories are slow.
_TIMEOUT = 600.0

#: Programmers say it in many ways, or not at all.
_REMEDY = (
    "Is the board plugged in and no other program at it (lsusb), and may this user open it (the udev rules that come with"
    " the programmer)?"
)


def built(exported: Exported, board: str) -> dict[str, Any]:
    """The report of what was built of an export for a board. Raises ExportError for none, or for another network's."""
    chosen, folder = boards.read(board), exported.folder
    path = folder / "build" / chosen.key / "report.json"
    remedy = f"Run `dwn-hw build {shlex.quote(str(folder))} --board {chosen.key}`."
    try:
        report: dict[str, Any] = _json.parse(path.read_text("utf-8"))
        found = report["digest"]
    except FileNotFoundError:
        raise ExportError(Problem(str(path.parent), f"a build for {chosen.key}", "none", remedy)) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportError(Problem(str(path), "the report of a build", in_words(error), remedy)) from None
    wanted = exported.interface.digest
    if found != wanted:
        raise ExportError(Problem(str(path.parent), f"a build of network {wanted}", f"one of {found}", remedy))
    _check(report, path, remedy)
    return report


def _check(report: dict[str, Any], path: Path, remedy: str) -> None:
    """Raise ExportError for a report that lacks what is read of it, or has it otherwise than a build writes it."""
    kinds: dict[str, type | tuple[type, ...]] = {
        "board": str,
        "baud": int,
        "clocks_per_bit": int,
        "bitstream": (str, type(None)),
        "bitstream_sha256": str,
    }
    absent = object()
    for name, kind in kinds.items():
        found = report.get(name, absent)
        if not isinstance(found, kind) and (name != "bitstream_sha256" or report["bitstream"] is not None):
            got = f"{name} {found!r}" if found is not absent else f"no {name}"
            raise ExportError(Problem(str(path), "the report of a build", got, remedy))


def bitstream(exported: Exported, board: str) -> Path:
    """The bitstream of an export for a board. Raises ExportError where there is none, or another than the build made."""
    report, folder = built(exported, board), exported.folder
    place = folder / "build" / report["board"]
    if report["bitstream"] is None:
        path: Path = place / report["makes"]
        if not path.is_file():
            remedy = f"Run `{report['command']}` in {place}, which needs {report['tool']}."
            raise ExportError(Problem(str(path), f"the bitstream that {report['flow']} makes", "none", remedy))
        return path
    path = place / report["bitstream"]
    if not path.is_file() or verilog_checksums.digest(path) != report["bitstream_sha256"]:
        remedy = f"Run `dwn-hw build {shlex.quote(str(folder))} --board {report['board']}`."
        got = "another file" if path.exists() else "nothing there"
        raise ExportError(Problem(str(path), "the bitstream that was built", got, remedy))
    return path


def program(folder: Path, board: str, progress: Progress = lambda text: None) -> dict[str, Any]:
    """Load the bitstream; what was run. Raises ToolError with the exact command where no program for it is installed."""
    chosen = boards.read(board)
    path = bitstream(read_export(folder), board)
    every = commands(chosen, path)
    command = next((words for words in every if shutil.which(words[0])), None)
    if command is None:
        lines = [f"{words[0]}: {toolchain.REMEDIES[words[0]]}; then {shlex.join(words)}" for words in every]
        raise ToolError("\n".join([f"nothing that programs {chosen.key} is installed here. One of:", *lines]))
    progress(shlex.join(command))
    try:
        said = toolchain.run(command, timeout=_TIMEOUT)
    except ToolError as error:
        raise ToolError(f"{error}\n{_REMEDY}") from None
    return {"board": chosen.key, "command": list(command), "said": said.strip()}


def commands(board: Board, path: Path) -> list[tuple[str, ...]]:
    """What loads a bitstream, the usual program first."""
    return [tuple(word.replace("{bitstream}", str(path)) for word in words) for words in board.programmers]
