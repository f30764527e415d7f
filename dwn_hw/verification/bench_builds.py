"""A bench in Verilog and what it drives, built for a simulator and kept where it was built; the command that runs it."""

from __future__ import annotations

import functools
import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dwn_hw import _assets, toolchain
from dwn_hw._progress import Progress, ahead, begin
from dwn_hw.exports import kept_builds
from dwn_hw.verification import verilated_programs

SIMULATORS = ("verilator", "icarus")

#: Phases of a simulation, as a watcher sees them: elaborating, with Verilator compiling, and simulating.
PHASES = {"verilator": 3, "icarus": 2}


@dataclass(frozen=True, slots=True)
class BenchBuild:
    """A module ``bench`` in ``bench``, a file of ``sim/``, with ``sources``, built in ``folder`` with ``macros`` defined before.

    ``optimize``: how g++ compiles what Verilator writes.
    """

    simulator: str
    bench: str
    sources: tuple[Path, ...]
    folder: Path
    macros: Mapping[str, str | int]
    optimize: str = "-O0"

    def key(self) -> str:
        """A digest of all that goes in. Raises ToolError where Verilator is missing."""
        version = toolchain.verilator().version if self.simulator == "verilator" else ""
        state = hashlib.sha256(f"{self.simulator} {version} {self.optimize} {self._defines()}".encode())
        for path in (*self._files(), _assets.asset("sim", "bench.cpp")):
            state.update(path.name.encode() + path.read_bytes())
        return state.hexdigest()

    def command(self) -> list[str]:
        """What runs it once it is built."""
        program = str(self.folder.resolve() / "bench")
        return ["vvp", "-n", program] if self.simulator == "icarus" else [program]

    def _defines(self) -> str:
        return "".join(f"`define {name} {value}\n" for name, value in self.macros.items())

    def _files(self) -> tuple[Path, ...]:
        return (_assets.asset("sim", self.bench), *self.sources)


def is_built(build: BenchBuild) -> bool:
    """Whether it is kept where it would be built; nothing is removed."""
    return kept_builds.is_sealed(build.folder, build.key())


def built(build: BenchBuild, timeout: float, progress: Progress) -> list[str]:
    """The command that runs it: built now, unless the same was built there. Raises ToolError.

    A watcher has been told of :data:`PHASES` phases ahead.
    """
    require(build.simulator)
    if kept_builds.is_kept(build.folder, build.key()):
        ahead(progress, 1 - PHASES[build.simulator])
        return build.command()
    build.folder.mkdir(parents=True, exist_ok=True)
    begin(progress, f"elaborating in {build.simulator}")
    defines = build.folder / "defines.v"
    defines.write_text(build._defines())
    sources = [str(path.resolve()) for path in (defines, *build._files()) if path.suffix == ".v"]
    run = functools.partial(toolchain.run, cwd=build.folder, clean=True, timeout=timeout)
    if build.simulator == "icarus":
        run(["iverilog", "-g2012", "-o", "bench", "-s", "bench", *sources], name="icarus (build)")
    else:
        _verilate(build, sources, run, progress)
    kept_builds.keep(build.folder, build.key())
    return build.command()


def require(simulator: str) -> None:
    """Raise ToolError for everything that a simulator needs and this machine lacks."""
    if simulator == "verilator":
        toolchain.verilator()
    else:
        toolchain.require_programs("iverilog", "vvp")


def _verilate(build: BenchBuild, sources: list[str], run: Callable[..., str], progress: Progress) -> None:
    """Verilator's C++, compiled and linked."""
    tool = toolchain.verilator()
    words = ["--cc", "--top-module", "bench", "-Wno-fatal", "-Wno-lint", "-Wno-style", "-O3", "--Mdir", "."]
    words += ["--x-assign", "unique", "--x-initial", "unique", *sources]
    run([tool.path, *words], name="verilator (build)", env=tool.env)
    shutil.copyfile(_assets.asset("sim", "bench.cpp"), build.folder / "main.cpp")
    begin(progress, "compiling what Verilator wrote")
    verilated_programs.compile_program(build.folder, build.optimize, tool.version, run, progress)
