"""The virtual board: the whole design, serial shell and core, simulated, with its line on a pseudo-terminal.

Verilator makes a program of the export's Verilog and ``sim/board.cpp``; any serial program can talk to the device that
it names, at any baud rate. It is kept in the export directory and built again only when something that goes in has changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dwn_hw import _assets, toolchain
from dwn_hw._progress import Progress
from dwn_hw.exports import kept_builds, verilog_checksums
from dwn_hw.exports.reader import Exported
from dwn_hw.hardware.families import model_files
from dwn_hw.rtl.shells import uart

#: Of the simulated line: few, for speed.
CLOCKS_PER_BIT = 4

#: After so many bit times without a byte the shell waits for nothing, and the simulation may rest.
_REST = 8192

_BUILD_TIMEOUT = 1800.0


@dataclass(frozen=True, slots=True)
class Running:
    """A virtual board: ``device`` is the port that a host opens."""

    device: str
    child: toolchain.Child


@contextlib.contextmanager
def board(exported: Exported, progress: Progress = lambda text: None) -> Iterator[Running]:
    """Build the board of an export if need be, and run it. Raises ToolError."""
    with start(build(exported, progress)) as running:
        yield running


@contextlib.contextmanager
def start(program: Path) -> Iterator[Running]:
    """Run a board that was built."""
    with toolchain.Child([program], "virtual board", cwd=program.parent) as child:
        yield Running(child.line(), child)


def build(exported: Exported, progress: Progress = lambda text: None) -> Path:
    """The program, in the export directory's ``virtual/``. Raises ExportError for Verilog that was edited."""
    verilog_checksums.check(exported.folder / "rtl")
    return compiled(
        _sources(exported),
        exported.folder / "virtual",
        CLOCKS_PER_BIT,
        top=uart.top(exported.interface),
        progress=progress,
    )


def compiled(
    sources: dict[str, str],
    place: Path,
    clocks_per_bit: int,
    *,
    top: str = "dwn_uart",
    flags: tuple[str, ...] = (),
    progress: Progress = lambda text: None,
) -> Path:
    """The program in ``place`` that Verilator makes of Verilog with the module ``top``, unless the same was made before."""
    tool = toolchain.verilator()
    sources = sources | {"board.cpp": _assets.asset("sim", "board.cpp").read_text("utf-8")}
    program = place / "board"
    key = _key(sources, f"{tool.version} {top} {clocks_per_bit} {' '.join(flags)}")
    with kept_builds.alone(place, lambda: progress("waiting for another command that works in this export")):
        if not kept_builds.is_kept(place, key):
            progress("building the virtual board in verilator")
            _compile(sources, place, clocks_per_bit, top, flags)
            kept_builds.keep(place, key)
    return program


def _compile(sources: dict[str, str], place: Path, clocks_per_bit: int, top: str, flags: tuple[str, ...]) -> None:
    """Build the program in the empty folder ``place``."""
    tool = toolchain.verilator()
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dwn-hw-") as name:  # make takes no spaces and the like in a path
        folder = Path(name)
        for file, text in sources.items():
            (folder / file).write_text(text, "utf-8")
        defines = f"-DCLOCKS_PER_BIT={clocks_per_bit} -DIDLE_CLOCKS={_REST * clocks_per_bit}"
        command = [tool.path, "--cc", "--exe", "--build", "-j", "2", "-O3", "--x-assign", "fast", "-Wno-fatal", *flags]
        read = [file for file in sources if not file.endswith(".hex")]
        command += [
            "--top-module",
            top,
            "--prefix",
            "Vboard",
            "-CFLAGS",
            f"-O1 {defines}",
            "-Mdir",
            "obj",
            "-o",
            "board",
            *read,
        ]
        toolchain.run(command, name="verilator", cwd=folder, env=tool.env, clean=True, timeout=_BUILD_TIMEOUT)
        shutil.copy(folder / "obj" / "board", place / "board")
        for file in sources.keys() - set(read):  # memories, which the program reads where it runs
            shutil.copy(folder / file, place)


def _sources(exported: Exported) -> dict[str, str]:
    """File name → text of everything that is built. The shell is this version's, whatever the export holds."""
    shell = uart.to_verilog(exported.interface, CLOCKS_PER_BIT)
    paths = (*exported.sources, *exported.memories, *model_files(exported.interface.target))
    return {path.name: path.read_text("utf-8") for path in paths} | shell


def _key(sources: dict[str, str], build: str) -> str:
    state = hashlib.sha256(f"{build} {_REST}".encode())
    for name, text in sorted(sources.items()):
        state.update(f"{name} {len(text)} {text}".encode())
    return state.hexdigest()
