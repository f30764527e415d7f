"""The netlist read back from a finished iCE40 bitstream, driven through its UART and compared with the network."""

from __future__ import annotations

import re
import shlex
import tempfile
from pathlib import Path

from dwn_hw import toolchain
from dwn_hw._json import Document
from dwn_hw._progress import Progress, ahead
from dwn_hw.errors import ExportError, Mismatch, OptionError, Problem, ToolError
from dwn_hw.exports import kept_records, reader
from dwn_hw.exports.reader import Exported
from dwn_hw.fpga import boards, programming, serial_host, session, virtual_board
from dwn_hw.fpga.boards import Board
from dwn_hw.fpga.boards.project import TOP
from dwn_hw.hardware.families import SYNTHESES
from dwn_hw.ir import sample_files, sample_warnings, vectors
from dwn_hw.verification.compare_netlist import models_for

#: Seconds that a simulated bitstream may take for a batch of samples beside their time on the line, and how often it is asked:
#: its line loses nothing but what comes before its reset is over.
_PATIENCE, _ATTEMPTS = 20.0, 2


def verify_bitstream(
    folder: Path,
    board: str,
    *,
    random: int = 200,
    seed: int = 0,
    samples: sample_files.Samples | None = None,
    strict: bool = False,
    timeout: float = 1800.0,
    progress: Progress = lambda text: None,
) -> Document:
    """Read the bitstream that was built for an iCE40 board back, simulate it, and compare what it answers; counts.

    Raises Mismatch with the first vector that is answered wrongly, BoardError where the design does not answer at all.
    """
    chosen = boards.read(board)
    exported = reader.read_export(folder)
    report = programming.built(exported, board)
    if chosen.family != "ice40":
        ice40 = ", ".join(b.key for b in boards.every() if b.family == "ice40")
        rule = f"a board whose bitstream can be read back ({ice40})"
        remedy = f"Use --level netlist --target {chosen.family}."
        raise OptionError(Problem("--board", rule, f"{board}, of {chosen.family}", remedy))
    given = sample_warnings.given(exported.network, samples, strict)
    stimulus = vectors.make(exported.network, random=random, seed=seed, data=given.codes, addresses=True)
    programming.bitstream(exported, board)  # the one that was built, and no other
    clocks = report["clocks_per_bit"]
    ahead(progress, 2)
    progress("reading the bitstream back")
    sources = {
        "chip.v": read_back(chosen, folder / "build" / chosen.key, timeout),
    }
    sources["cells.v"] = models_for(sources["chip.v"], toolchain.yosys_models(SYNTHESES["ice40"].models), "ice40")
    program = virtual_board.compiled(sources, folder / "verify" / f"bitstream-{chosen.key}", clocks, progress=progress)
    progress(f"{len(stimulus.codes)} vectors through the pins of the UART")
    repeat = (
        f"dwn-hw verify {shlex.quote(str(folder))} --level bitstream --board {board} --vectors {random} --seed {seed}"
    )
    with kept_records.recorded(folder, f"bitstream-{chosen.key}") as record:
        values = _drive(exported, program, stimulus, repeat, progress)
        record |= {
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
            "notes": given.notes,
            "warnings": given.warnings,
        }
    return record


def _drive(exported: Exported, program: Path, stimulus: vectors.Vectors, repeat: str, progress: Progress) -> int:
    """Every vector through a simulated board's serial line; how many values were equal."""
    wanted = session.expected(exported.network, stimulus.codes)
    with virtual_board.start(program) as simulated, serial_host.open_line(simulated.device) as line:
        board = serial_host.BoardLink(line, session.check(exported), _PATIENCE, _ATTEMPTS)
        board.check()
        answers = session.run(exported, board, stimulus.codes, progress)
    try:
        return session.compare(answers, wanted, "vector", "the bitstream")
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
