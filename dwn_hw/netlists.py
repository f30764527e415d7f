"""The ladder of equality, above the RTL: the mapped netlist, and the netlist read back from a finished bitstream.

A mapped netlist of ``dwn_top`` is compared at its ports, by the bench that the RTL is compared with. An iCE40 bitstream is
unpacked into Verilog again, and that is driven as a board is, through the pins of its UART, by the same host.
"""

from __future__ import annotations

import re
import shlex
import tempfile
from pathlib import Path
from typing import Any

from dwn_hw import boards, data, host, programming, running, simulate, synthesis, toolchain, vectors, verifier, virtual
from dwn_hw.boards import Board
from dwn_hw.boards.project import TOP
from dwn_hw.errors import ExportError, Mismatch, OptionError, Problem, ToolError
from dwn_hw.verifier import Exported, Progress

LEVELS = ("rtl", "netlist", "bitstream")

#: yosys' models of a family's cells.
_MODELS = {
    "ice40": "ice40/cells_sim.v",
    "ecp5": "ecp5/cells_sim.v",
    "gowin": "gowin/cells_sim.v",
    "xc7": "xilinx/cells_sim.v",
}

#: Ports with default values are not what every simulator takes.
_DEFINES = "`define NO_ICE40_DEFAULT_ASSIGNMENTS\n"

#: Seconds that a simulated bitstream may take for a batch of samples beside their time on the line, and how often it is asked:
#: its line loses nothing but what comes before its reset is over.
_PATIENCE, _ATTEMPTS = 20.0, 2


def verify_netlist(
    folder: Path,
    target: str | None = None,
    *,
    simulator: str = "verilator",
    random: int = 1000,
    seed: int = 0,
    samples: data.Samples | None = None,
    timeout: float = 1800.0,
    progress: Progress = lambda text: None,
) -> dict[str, Any]:
    """Synthesise an export for ``target`` (its own by default), simulate the cells, and compare the results; counts.

    Raises Mismatch with the first vector whose result differs, and the command that repeats it.
    """
    exported = verifier.read_export(folder)
    verifier.parallel(exported)  # or it is refused before the work
    asked, target = target, target or exported.interface["target"]
    if target not in synthesis.TARGETS:
        rule = f"one of {', '.join(synthesis.TARGETS)}"
        got = repr(asked) if asked else "none, and a generic export has no family of its own"
        raise OptionError(Problem("--target", rule, got, "Say for which family to synthesise."))
    simulate.environment(simulator)  # what is missing is said before the work
    codes = None if samples is None else data.to_codes(samples, exported.network).codes
    stimulus = vectors.make(exported.network, random=random, seed=seed, data=codes, addresses=True)
    place = folder / "verify" / f"netlist-{target}-{simulator}"
    place.mkdir(parents=True, exist_ok=True)
    progress(f"synthesising for {target}")
    path = synthesis.netlist(exported, target, place, timeout)
    models = place / "cells.v"
    models.write_text(models_for(path.read_text("utf-8"), toolchain.yosys_models(_MODELS[target]), target))
    repeat = (
        f"dwn-hw verify {shlex.quote(str(folder))} --level netlist --target {target} --vectors {random} --seed {seed}"
    )
    repeat += f" --data {shlex.quote(samples.name)}" if samples is not None else ""
    progress(f"building and running {len(stimulus.codes)} vectors in {simulator}")
    bench = verifier.Bench(simulator, (models, path), place, repeat, inside=False)
    counts = verifier.run_bench(exported, stimulus, bench, timeout)
    found = verifier.summarize(counts, stimulus, simulator, 0, exported)
    return {"level": "netlist", "target": target, **found}


def models_for(netlist: str, library: str, target: str) -> str:
    """Of a library of models those that a netlist instantiates, and theirs: not every simulator reads all of them.

    Raises ToolError for cells that the library lacks.
    """
    module = re.compile(r"^[ \t]*module\s+(\w+)\b.*?^[ \t]*endmodule\b", re.M | re.S)
    known = {match[1]: match[0] for match in module.finditer(library)}
    used, found = set(re.findall(r"^ *([A-Z]\w+) (?:#\(|\S+ +\()", netlist, re.M)), set[str]()
    if absent := sorted(used - set(known)):
        raise ToolError(f"yosys has no simulation model of {', '.join(absent)} of {target}: verify another --target")
    while used:
        name = used.pop()
        found.add(name)
        used |= {word for word in re.findall(r"\w+", known[name]) if word in known} - found
    # Conditions may begin or end within what is left out.
    return _DEFINES + module.sub(
        lambda m: m[0] if m[1] in found else "\n".join(re.findall(r"^`.*", m[0], re.M)), library
    )


def verify_bitstream(
    folder: Path,
    board: str,
    *,
    random: int = 200,
    seed: int = 0,
    samples: data.Samples | None = None,
    timeout: float = 1800.0,
    progress: Progress = lambda text: None,
) -> dict[str, Any]:
    """Read the bitstream that was built for an iCE40 board back, simulate it, and compare what it answers; counts.

    Raises Mismatch with the first vector that is answered wrongly, BoardError where the design does not answer at all.
    """
    chosen = boards.read(board)
    exported = verifier.read_export(folder)
    report = programming.built(folder, board)
    if chosen.family != "ice40":
        ice40 = ", ".join(b.key for b in boards.every() if b.family == "ice40")
        rule = f"a board whose bitstream can be read back ({ice40})"
        remedy = f"Use --level netlist --target {chosen.family}."
        raise OptionError(Problem("--board", rule, f"{board}, of {chosen.family}", remedy))
    codes = None if samples is None else data.to_codes(samples, exported.network).codes
    stimulus = vectors.make(exported.network, random=random, seed=seed, data=codes, addresses=True)
    programming.bitstream(folder, board)  # the one that was built, and no other
    clocks = report["clocks_per_bit"]
    progress("reading the bitstream back")
    sources = {
        "chip.v": read_back(chosen, folder / "build" / chosen.key, timeout),
    }
    sources["cells.v"] = models_for(sources["chip.v"], toolchain.yosys_models(_MODELS["ice40"]), "ice40")
    program = virtual.compiled(sources, folder / "verify" / f"bitstream-{chosen.key}", clocks, progress=progress)
    progress(f"{len(stimulus.codes)} vectors through the pins of the UART")
    repeat = (
        f"dwn-hw verify {shlex.quote(str(folder))} --level bitstream --board {board} --vectors {random} --seed {seed}"
    )
    values = _drive(exported, program, stimulus, repeat, progress)
    return {
        "level": "bitstream",
        "board": chosen.key,
        "equal": True,
        "digest": report["digest"],
        "bitstream_sha256": report["bitstream_sha256"],
        "simulator": "verilator",
        "vectors": len(stimulus.codes),
        "kinds": dict(stimulus.kinds),
        "seed": seed,
        "values": values,
    }


def _drive(exported: Exported, program: Path, stimulus: vectors.Vectors, repeat: str, progress: Progress) -> int:
    """Every vector through a simulated board's serial line; how many values were equal."""
    wanted = running.expected(exported.network, stimulus.codes)
    with virtual.start(program) as simulated, host.open_line(simulated.device) as line:
        board = host.Board(line, running.check(exported), _PATIENCE, _ATTEMPTS)
        board.check()
        answers = running.run(exported, board, stimulus.codes, progress)
    try:
        return running.compare(answers, wanted, "vector", "the bitstream")
    except Mismatch as error:
        raise Mismatch(f"{error}\n  repeat: {repeat}") from None


def read_back(board: Board, place: Path, timeout: float) -> str:
    """Verilog of what a built iCE40 bitstream configures, as ``dwn_uart`` with the ports of the shell.

    Raises ToolError where icestorm's icebox_vlog is missing, or the file is no bitstream.
    """
    toolchain.require_programs("icebox_vlog")
    bits, pins = place / f"{TOP}.bin", place / f"{TOP}.pcf"
    for path in (bits, pins):
        if not path.is_file():
            remedy = f"Run `dwn-hw build` again for {board.key}."
            raise ExportError(Problem(str(path), "what the build made", "nothing there", remedy))
    with tempfile.TemporaryDirectory(prefix="dwn-hw-") as name:
        work = Path(name)
        (work / "chip.bin").write_bytes(bits.read_bytes())
        (work / "chip.pcf").write_bytes(pins.read_bytes())
        command = [*toolchain.wheel("iceunpack"), "chip.bin", "chip.asc"]
        toolchain.run(command, name="iceunpack", cwd=work, timeout=timeout)
        text = toolchain.run(["icebox_vlog", "-s", "-p", "chip.pcf", "chip.asc"], cwd=work, timeout=timeout)
    return with_shell_ports(text, pins.read_text("utf-8"))


def with_shell_ports(text: str, constraints: str) -> str:
    """icebox_vlog's module ``chip`` with ports that every simulator takes, inside a ``dwn_uart`` with its four ports."""
    # Its header declares the ports, and its body declares them again.
    head = re.search(r"^module chip \(([^)]*)\);", text, re.M)
    names = dict.fromkeys(re.findall(r"^set_io (\S+)", constraints, re.M), "")
    kinds = {"clk": r"clk\w*", "rx": r"uart_0__rx\w*", "tx": r"uart_0__tx\w*"}
    found = {port: [n for n in names if re.fullmatch(pattern, n)] for port, pattern in kinds.items()}
    if head is None or any(len(of) != 1 for of in found.values()):
        raise ToolError(f"icebox_vlog gave another module than one with {', '.join(names)}")
    ports = [port.split() for port in head[1].split(",")]
    declared = "".join(f"{way} {name};\n" for way, name in ports)
    module = text.replace(head[0], f"module chip ({', '.join(name for _, name in ports)});\n{declared}", 1)
    wires = ", ".join(f".{of[0]}({port})" for port, of in found.items() if of[0] in {name for _, name in ports})
    # The chip's own reset follows its configuration, which is the beginning of the simulation.
    shell = "module dwn_uart (input wire clk, input wire rst, input wire rx, output wire tx);\n"
    return f"{module}\n{shell}  chip chip ({wires});\nendmodule\n"
