"""Build a design with a simulator and run a cocotb bench on it, in a child process of its own.

cocotb's runner changes the environment, leaves by ``sys.exit``, and returns normally when tests fail or when the bench
cannot even be imported. So it runs in a child, and the results file is read here: no file, no tests, or fewer tests than
expected are failures.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import importlib.util
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dwn_hw import _assets, toolchain
from dwn_hw._progress import Progress, ahead, begin, silent, within
from dwn_hw.errors import ToolError
from dwn_hw.exports import kept_builds
from dwn_hw.verification.bench_builds import PHASES

#: A line of make that compiles a file; in what Verilator writes for make, the name of one; what a bench says of its progress.
_COMPILES, _CLASS = re.compile(r" -c -o \S+\.o\b"), re.compile(r"^  (\w+) \\$", re.M)
_COUNT = re.compile(r"@ (\d+) (\d+)")

#: What Verilator must leave visible to a bench: the pins, and what leaves each part, nothing inside them.
_VISIBLE = """`verilator_config
public_flat_rw -module "{top}" -var "*"
public_flat_rd -module "{name}_*" -var "y"
"""


#: Paths that make and the shells below it take as they are.
PLAIN = re.compile(r"[A-Za-z0-9_./+@=,-]+")


@dataclass(frozen=True, slots=True)
class Simulation:
    """Sources to build in ``folder``, the ``bench`` module in ``sim/``, its job file, and the tests it must run.

    ``top``: the module under test, whose name begins as that of all below it; ``parameters``: values for its parameters.
    """

    simulator: str
    sources: tuple[Path, ...]
    folder: Path
    bench: str
    job: Path
    tests: tuple[str, ...]
    top: str = "dwn_top"
    parameters: Mapping[str, int] = field(default_factory=dict)


def write_job(job: Mapping[str, object], path: Path) -> Path:
    """What a bench reads, as JSON in the file ``path``, which is given back."""
    path.write_text(json.dumps(job))
    return path


def run(simulation: Simulation, *, build_timeout: float, test_timeout: float, progress: Progress = silent) -> bool:
    """Build (unless the same sources were built there) and run; whether every test passed. Raises ToolError.

    A watcher has been told of :data:`PHASES` phases ahead.
    """
    env = environment(simulation.simulator)
    with _where_make_can_work(simulation) as moved:
        return _run(moved, env, build_timeout, test_timeout, progress)


@contextlib.contextmanager
def _where_make_can_work(simulation: Simulation) -> Iterator[Simulation]:
    """The same, or, since make takes no spaces and the like in a path, a copy in a temporary directory."""
    if PLAIN.fullmatch(str(simulation.folder.resolve())):
        yield simulation
        return
    with tempfile.TemporaryDirectory(prefix="dwn-hw-") as name:
        sources = tuple(Path(shutil.copy(path, name)) for path in simulation.sources)
        yield dataclasses.replace(simulation, sources=sources, folder=Path(name) / "build")


def _run(
    simulation: Simulation, env: dict[str, str], build_timeout: float, test_timeout: float, progress: Progress
) -> bool:
    folder = simulation.folder
    key = _key(simulation)
    if not kept_builds.is_kept(folder, key):
        folder.mkdir(parents=True, exist_ok=True)
        _child("build", simulation, env, build_timeout, _listen(progress, simulation.simulator, folder))
        kept_builds.keep(folder, key)
    else:
        ahead(progress, 1 - PHASES[simulation.simulator])
    begin(progress, f"simulating in {simulation.simulator}")
    results = folder / "results.xml"
    results.unlink(missing_ok=True)
    output = _child("test", simulation, env, test_timeout, _counting(progress))
    return _passed(results, simulation.tests, output)


def _listen(progress: Progress, simulator: str, folder: Path) -> toolchain.Heard | None:
    """Tell of a build: that it begins, and of Verilator's how far it is. What Verilator and make say is kept."""
    begin(progress, f"elaborating in {simulator}")
    if simulator != "verilator":
        return None
    compiled = 0

    def heard(line: str) -> bool:
        nonlocal compiled
        if line.startswith("make: Entering"):
            begin(progress, "compiling what Verilator wrote")
        elif _COMPILES.search(line):
            files = _files(folder)
            within(progress, f"file {min(compiled + 1, files)} of {files}", min(compiled, files), files)
            compiled += 1
        return False

    return heard


def _files(folder: Path) -> int:
    """How many files make compiles of what Verilator wrote: the design's, in one if it is small; the library's; the program's."""
    told = "".join(path.read_text() for path in folder.glob("*_classes.mk"))
    names = _CLASS.findall(told)
    library = [name for name in names if name.startswith("verilated")]
    return 1 + len(library) + (1 if "VM_PARALLEL_BUILDS = 0" in told else len(names) - len(library))


def _counting(progress: Progress) -> toolchain.Heard:
    """Tell how many results a bench says it has compared."""

    def heard(line: str) -> bool:
        found = _COUNT.fullmatch(line)
        if found:
            done, total = int(found[1]), int(found[2])
            within(progress, f"{done:,} of {total:,} results", done, total)
        return found is not None

    return heard


def environment(simulator: str) -> dict[str, str]:
    """What a child needs in its environment. Raises ToolError for everything that is missing on this machine."""
    if importlib.util.find_spec("cocotb_tools") is None:
        raise toolchain.missing("cocotb")
    if simulator == "verilator":
        return dict(toolchain.verilator().env)
    toolchain.require_programs("iverilog", "vvp")
    return {}


def _key(simulation: Simulation) -> str:
    state = hashlib.sha256(f"{simulation.simulator} {importlib.metadata.version('cocotb')} {_VISIBLE}".encode())
    state.update(f"{simulation.top} {sorted(simulation.parameters.items())}".encode())
    if simulation.simulator == "verilator":
        state.update(toolchain.verilator().version.encode())
    for path in simulation.sources:
        state.update(path.name.encode() + path.read_bytes())
    return state.hexdigest()


def _child(
    action: str, simulation: Simulation, env: dict[str, str], timeout: float, heard: toolchain.Heard | None
) -> str:
    spec = {
        "action": action,
        "simulator": simulation.simulator,
        "sources": [str(path.resolve()) for path in simulation.sources],
        "folder": str(simulation.folder.resolve()),
        "bench": simulation.bench,
        "top": simulation.top,
        "parameters": dict(simulation.parameters),
        "bench_folder": str(_assets.asset("sim", f"{simulation.bench}.py").parent),
    }
    env = {**env, "DWN_HW_JOB": str(simulation.job.resolve())}
    command = [sys.executable, "-m", "dwn_hw.verification.simulate"]
    name = f"{simulation.simulator} ({action})"
    return toolchain.run(command, name=name, stdin=json.dumps(spec), env=env, clean=True, timeout=timeout, heard=heard)


def _passed(results: Path, expected: tuple[str, ...], output: str) -> bool:
    from cocotb_tools.check_results import get_results

    tail = "\n".join(output.strip().splitlines()[-15:])
    if not results.is_file():
        raise ToolError(f"the bench wrote no results; it said:\n{tail}")
    tests, failed = get_results(results)
    if tests < len(expected):
        raise ToolError(f"the bench ran {tests} tests, expected {len(expected)} ({', '.join(expected)}):\n{tail}")
    return bool(failed == 0)


def _main() -> None:
    """The child: one build or one test run, as standard input says."""
    from cocotb_tools.runner import VerilatorControlFile, Verilog, get_runner

    spec = json.load(sys.stdin)
    folder = Path(spec["folder"])
    runner = get_runner(spec["simulator"])
    sources: list[Verilog | VerilatorControlFile] = [Verilog(path) for path in spec["sources"]]
    arguments: list[str] = []
    if spec["simulator"] == "verilator":
        control = folder / "visible.vlt"
        control.write_text(_VISIBLE.format(top=spec["top"], name=spec["top"].rpartition("_")[0]))
        sources = [VerilatorControlFile(control), *sources]
        # cocotb makes every signal of the design public, which costs most of the speed; the control file names a few.
        # For the vectors of a verification, what g++ saves without optimising is more than what the simulation then loses.
        arguments = ["--no-public-flat-rw", "-O3", "-CFLAGS", "-O0", "--x-assign", "fast", "-Wno-fatal"]
    if spec["action"] == "build":
        runner.build(
            sources=sources,
            hdl_toplevel=spec["top"],
            parameters=spec["parameters"],
            build_dir=folder,
            build_args=arguments,
            always=True,
            timescale=("1ns", "1ps"),
        )
        return
    # cocotb passes sys.path on as PYTHONPATH, whatever PYTHONPATH was.
    sys.path.insert(0, spec["bench_folder"])
    # In some settings cocotb leaves by SystemExit when tests fail, in others it returns: the results file decides.
    with contextlib.suppress(SystemExit):
        runner.test(
            hdl_toplevel=spec["top"],
            hdl_toplevel_lang="verilog",
            test_module=spec["bench"],
            build_dir=folder,
            test_dir=folder,
            results_xml=str(folder / "results.xml"),
        )


if __name__ == "__main__":
    try:
        _main()
    except RuntimeError as failed:  # the simulator has said why
        sys.exit(f"{failed}")
