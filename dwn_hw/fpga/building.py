"""From an export to a bitstream of a whole board design: synthesis, place and route, packing; or a vendor's project.

What is built lies in ``build/<board>/`` of the export: sources, constraints, logs, the bitstream and ``report.json``. It is
made beside its place and moved there when it is whole; a build with the same inputs, tools and options is not repeated.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwn_hw import _json, rtl, toolchain
from dwn_hw._json import Document
from dwn_hw._progress import Progress, ahead, within
from dwn_hw.errors import OptionError, Problem, ToolError, TooSlow, Unfit
from dwn_hw.exports import kept_builds, verilog_checksums
from dwn_hw.exports.reader import Exported, read_export
from dwn_hw.fpga import boards, fitting, floor_plan, routing, synthesis
from dwn_hw.fpga.boards import Board, project
from dwn_hw.hardware import cost
from dwn_hw.hardware.families import FAMILIES, SYNTHESES
from dwn_hw.rtl.shells import uart

#: How yosys checks a vendor's project: what it reads to know the vendor's cells, and whether it looks down from the top module.
#: Its models of Intel's buffers lack a pin that amaranth uses, so there the top module is read, but not looked into.
_CHECKED = {
    "vivado": ("read_verilog -lib +/xilinx/cells_sim.v; read_verilog -lib +/xilinx/cells_xtra.v; ", True),
    "quartus": ("", False),
}

#: Files that are large, that only lead from one tool to the next, and that a repeated build makes again.
_PASSING = (".json", ".asc", ".config", ".svf", ".rpt")


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be built: everything that decides the bits."""

    exported: Exported
    board: Board
    baud: int
    clocks_per_bit: int
    seeds: int
    made: project.Project

    def key(self) -> str:
        """The digest of all that goes in: files, commands, seeds, versions of the tools."""
        tools = toolchain.versions(*(words[0] for words in self.made.commands if words[0] in toolchain.WHEELS))
        content = [self.made.files, self.made.commands, self.seeds, tools]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def plan(folder: Path, board: str, seeds: int = 3, baud: int | None = None) -> Job:
    """Read an export and say what is to be built for a board. Raises OptionError for what cannot be."""
    chosen = boards.read(board)
    exported = read_export(folder)
    verilog_checksums.check(exported.folder / "rtl")  # a bitstream says that it holds the network
    said = exported.interface
    boards.check_target(chosen, said.target)
    if not said.has_streams:
        rule = "for a board an export with streams, around which the UART is built"
        raise OptionError(Problem("--shell", rule, said.shell, "Export again without --shell."))
    fitting.check_parts(chosen, exported)
    clocks = chosen.clocks_per_bit(baud)
    sources = {path.name: path.read_text("utf-8") for path in (*exported.sources, *exported.memories)}
    name = said.name
    if chosen.flow == "nextpnr" and f"{name}_lut.v" in sources:
        sources[f"{name}_lut.v"] = rtl.lut_cell(name)
    made = project.make(chosen, sources | uart.to_verilog(said, clocks), clocks, name)
    return Job(exported, chosen, baud or chosen.baud, clocks, seeds, made)


def build(
    folder: Path,
    board: str,
    *,
    seeds: int = 3,
    baud: int | None = None,
    out: Path | None = None,
    timeout: float = 3600.0,
    progress: Progress = lambda text: None,
) -> dict[str, Any]:
    """Build an export for a board; the report, which is also ``build/<board>/report.json``. ``out``: a copy of the bitstream.

    Raises Unfit where the design is too large, or too slow for the board's clock; then nothing is written.
    """
    if seeds < 1:
        raise OptionError(Problem("--seeds", "1 or more", str(seeds), "Give each place and route a seed."))
    progress(f"preparing {board}")
    job = plan(folder, board, seeds, baud)
    place = folder / "build" / board
    report = cached(place, job.key())
    if report is None:
        for words in job.made.commands if job.board.flow == "nextpnr" else ():
            if words[0] in toolchain.WHEELS:
                toolchain.wheel(words[0])  # what is missing is said before the work
        place.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial.", dir=place.parent) as name:
            work = Path(name) / board
            work.mkdir()
            for file, text in job.made.files.items():
                (work / file).write_text(text, "utf-8")
            make = _bitstream if job.board.flow == "nextpnr" else _vendor_project
            report = _head(job) | make(job, work, timeout, progress)
            text = json.dumps(report, indent=2) + "\n"
            (work / "report.json").write_text(text, "utf-8")
            report = json.loads(text)
            kept_builds.keep(work, job.key())
            _move(work, place)
    if out is not None and report["bitstream"]:
        shutil.copyfile(place / report["bitstream"], out)
    return report


def cached(place: Path, key: str) -> dict[str, Any] | None:
    """The report of a build by this user that had the same key, if its files are still what it made."""
    try:
        report: dict[str, Any] = _json.parse((place / "report.json").read_text("utf-8"))
        whole = report["key"] == key and kept_builds.is_sealed(place, key)
        if whole and report["bitstream"]:
            whole = verilog_checksums.digest(place / report["bitstream"]) == report["bitstream_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return report | {"cached": True} if whole else None


def overview(folder: Path | None = None) -> list[Document]:
    """Every board's data; of an export also the estimated needs, whether they fit, and what was built of it."""
    exported = None if folder is None else read_export(folder)
    found = {row.board.key: row for row in fitting.survey(exported)} if exported else {}
    rows: list[Document] = []
    for board in boards.every():
        row: Document = {
            "board": board.key,
            "name": board.name,
            "device": board.device,
            "target": board.targets[0],
            "flow": board.flow,
            "capacity": board.capacity,
            "bram_kbit": FAMILIES[board.family].block_ram.kbit,
            "clock_mhz": board.clock_mhz,
            "baud": board.baud,
            "uart": board.uart,
            "built": _built(exported, board) if exported else None,
            "takes_target": exported is None or exported.interface.target in board.targets,
        }
        if own := found.get(board.key):
            row |= {"needs": own.needs, "fits": own.fits}
        rows.append(row)
    return rows


def _built(exported: Exported, board: Board) -> dict[str, Any] | None:
    """What the last build of this very network for a board came to."""
    path = exported.folder / "build" / board.key / "report.json"
    try:
        report = _json.parse(path.read_text("utf-8"))
        if report["digest"] != exported.interface.digest or not report["bitstream"]:
            return None
        return {**report["used"], "fmax_mhz": report["timing"]["fmax_mhz"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _head(job: Job) -> Document:
    return {
        "board": job.board.key,
        "name": job.board.name,
        "device": job.board.device,
        "flow": job.board.flow,
        "digest": job.exported.interface.digest,
        "clock_mhz": job.board.clock_mhz,
        "baud": job.baud,
        "clocks_per_bit": job.clocks_per_bit,
        "key": job.key(),
        "tools": toolchain.versions(*(words[0] for words in job.made.commands if words[0] in toolchain.WHEELS)),
        "capacity": job.board.capacity,
        "uart": job.board.uart,
        "notes": job.board.notes,
        "cached": False,
    }


def _bitstream(job: Job, work: Path, timeout: float, progress: Progress) -> Document:
    # What is left of a command line that no wheel can do (dfu-suffix) is of no consequence for the bits.
    synth, route, pack = (words for words in job.made.commands if words[0] in toolchain.WHEELS)
    ahead(progress, 3)
    progress(f"synthesising for {job.board.family}")
    heard = synthesis.passes(lambda at: within(progress, at))
    words = [*toolchain.wheel(synth[0]), *synthesis.NAMING_PASSES, *synth[1:]]
    toolchain.run(words, name="yosys", cwd=work, timeout=timeout, heard=heard)
    parts = count_parts(json.loads((work / f"{project.TOP}.stat.json").read_text()), job)
    needs = fitting.check(job.board, parts, job.exported)
    seeds = "a seed" if job.seeds == 1 else f"{job.seeds} seeds"
    progress(f"placing and routing with {seeds}: {needs['lut']} LUTs, {needs['ff']} flip-flops")
    jobs = max(1, min(job.seeds, os.cpu_count() or 1))
    try:
        routed = routing.route(route, work, job.board.family, job.seeds, jobs=jobs, timeout=timeout, progress=progress)
    except Unfit as error:
        raise fitting.crowded(job.board, parts, job.exported, str(error)) from None
    taken = routing.best(routed)
    timing = _timing(job, routed, int(needs["ff"]))
    _check_clock(job, timing)
    progress(f"packing seed {taken.seed}")
    for path in taken.folder.iterdir():
        shutil.move(path, work / path.name)
    toolchain.run([*toolchain.wheel(pack[0]), *pack[1:]], name=pack[0], cwd=work, timeout=timeout)
    placement = json.dumps(floor_plan.read(work / floor_plan.written_by(route))) + "\n"
    for path in [*work.glob("seed*"), *work.iterdir()]:
        if path.is_dir():
            shutil.rmtree(path)
        elif path.suffix in _PASSING and path.exists():
            path.unlink()
    (work / floor_plan.KEPT).write_text(placement, "utf-8")
    bits = job.made.bitstream
    if not (work / bits).is_file():
        raise ToolError(f"{pack[0]} wrote no {bits}")
    used = needs | timing.pop("used")
    return {
        "bitstream": bits,
        "bitstream_sha256": verilog_checksums.digest(work / bits),
        "used": used,
        "needs": needs,
        "parts": parts,
        "timing": timing,
    }


def count_parts(stat: dict[str, Any], job: Job) -> dict[str, dict[str, float]]:
    """What each part takes by itself, from yosys' statistics by module.

    ``registers``: what stands between the parts; ``shell``: all that is around the design of the export.
    """
    modules = job.exported.design.modules()
    names = list(modules)
    begin = f"{job.exported.interface.name}_"
    own = {path.stem.removeprefix(begin) for path in job.exported.sources}
    own -= {fixed.removeprefix("dwn_") for fixed in ("dwn_uart", *uart.FIXED)}
    target = SYNTHESES[job.board.family]
    parts: dict[str, dict[str, float]] = {
        name: dict.fromkeys(target.cells, 0) for name in (*names, "registers", "shell")
    }
    for module, found in stat["modules"].items():
        name = module.removeprefix("\\").removeprefix(begin)
        # A part may be several modules: popcount_s1, popcount; encoder, encoder_compare.
        of = [part for part in names if f"{name}_".startswith(f"{part}_")]
        of += [part for part in names if name in modules[part]]
        part = (max(of, key=len) if of else "registers") if name in own else "shell"
        counted = synthesis.count_cells(found.get("num_cells_by_type", {}), target)
        times = max(1, modules.get(part, ()).count(name))  # a module may stand in a part several times
        parts[part] = {kind: parts[part][kind] + times * counted[kind] for kind in counted}
    return parts


def _timing(job: Job, routed: list[routing.Routed], registers: int) -> dict[str, Any]:
    """nextpnr's figures; where it knows no delay for some registers, also what the delay model of the family says."""
    found = routing.summary(routed)
    timed = min(found["registers_timed"], registers)
    known = timed == registers or job.exported.interface.target == "generic"
    return {
        **found,
        "registers_timed": timed,
        "registers": registers,
        "estimate_mhz": None if known else _estimate(job),
    }


def _estimate(job: Job) -> float | None:
    found = cost.clock(job.exported.design.lowered())
    return None if found is None else round(found, 1)


def _check_clock(job: Job, timing: dict[str, Any]) -> None:
    """Raise Unfit with the slack and the path where the clock is not met."""
    wanted = job.board.clock_mhz
    if timing["fmax_mhz"] < wanted:
        slack = 1000 / wanted - 1000 / timing["fmax_mhz"]
        path = timing["critical_path"]
        # The delay model is as wrong in the next export as it was in this one.
        optimism = (_estimate(job) or 0) / timing["fmax_mhz"]
        ask = wanted * max(1.25, 1.05 * optimism)
        raise TooSlow(
            f"too slow for {job.board.key}: {timing['fmax_mhz']:.1f} MHz of {wanted:g} MHz, slack {slack:.1f} ns "
            f"(seeds: {', '.join(f'{mhz:.1f}' for mhz in timing['fmax_by_seed'].values())})\n"
            f"longest path: {path['text'] if path else 'not said'}\n"
            f"Export again with --target {job.board.family} and --clock-mhz {ask:.3g}, or try more --seeds.",
            timing["fmax_mhz"],
        )


def _vendor_project(job: Job, work: Path, timeout: float, progress: Progress) -> Document:
    """Reads the project with yosys, as the vendor's tool would: every module there, every wire driven, every part counted."""
    ahead(progress, 1)
    progress("checking the project with yosys")
    name = job.exported.interface.name
    read = " ".join(sorted(file for file in job.made.files if _is_verilog(file) and file != f"{name}_lut.v"))
    cell = work / "lut_cell.v"
    cell.write_text(rtl.lut_cell(name))
    cells, whole = _CHECKED[job.board.flow]
    top, parts_apart = (
        project.TOP if whole else uart.top(job.exported.interface),
        project.PARTS_APART.replace("{name}", name),
    )
    script = f"{cells}read_verilog -lib {cell.name}; read_verilog {read}; "
    # A parameter for the vendor's simulator alone, which yosys' model of the cell has not.
    script += f"setparam -unset SIM_DEVICE t:BUFGCTRL; hierarchy -check -top {top}; {parts_apart}; proc; check -assert"
    counted = job.board.family in SYNTHESES
    if counted:
        command = SYNTHESES[job.board.family].command
        script += f"; {command} -top {project.TOP}; tee -q -o {project.TOP}.stat.json stat -json"
    words = [*toolchain.yosys(), "-q", *synthesis.NAMING_PASSES, "-p", script]
    heard = synthesis.passes(lambda at: within(progress, at))
    toolchain.run(words, name="yosys", cwd=work, timeout=timeout, heard=heard)
    parts = count_parts(json.loads((work / f"{project.TOP}.stat.json").read_text()), job) if counted else None
    needs = fitting.check(job.board, parts, job.exported) if parts else None
    for name in (cell.name, f"{project.TOP}.stat.json"):
        (work / name).unlink(missing_ok=True)
    return {
        "bitstream": None,
        "bitstream_sha256": None,
        "command": f"sh build_{project.TOP}.sh",
        "tool": job.made.commands[0][0],
        "makes": job.made.bitstream,
        "estimate_mhz": _estimate(job) if job.exported.interface.target == job.board.family else None,
        "needs": needs,
        "parts": parts,
    }


def _is_verilog(name: str) -> bool:
    return name.endswith(".v") and not name.endswith(".debug.v")


def _move(work: Path, place: Path) -> None:
    if place.exists():
        shutil.rmtree(place)
    work.rename(place)
