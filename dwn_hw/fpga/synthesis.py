"""Synthesis with yosys: LUTs, flip-flops and carry cells, whole and by part, beside the estimate.

``total`` is the whole design, flattened. Each part is also synthesised by itself; the parts need not add up to the
total, because flattening lets yosys share and simplify across their borders. A part's flip-flops are those that follow
it; what the shell adds is the total's alone.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from dwn_hw import rtl, toolchain
from dwn_hw._json import Document
from dwn_hw._progress import Progress, silent, within
from dwn_hw.errors import OptionError, Problem, ToolError, in_words
from dwn_hw.exports.reader import Exported, read_export
from dwn_hw.hardware import cost
from dwn_hw.hardware.block_ram import added
from dwn_hw.hardware.families import FAMILIES, SYNTHESES, Synthesis, model_files
from dwn_hw.hardware.kinds import Design


def synth(folder: Path, target: str, *, timeout: float = 1800.0, progress: Progress = lambda text: None) -> Document:
    """Synthesise an export for ``target``; the counts by part and the estimate. Written to ``synth/<target>.json``."""
    if target not in SYNTHESES:
        raise OptionError(Problem("--target", f"one of {', '.join(SYNTHESES)}", repr(target), "Choose one of them."))
    exported = read_export(folder)
    design = exported.design.lowered()
    place = folder / "synth"
    place.mkdir(exist_ok=True)
    modules = design.modules()
    jobs = {"total": "top", **{name: name for names in modules.values() for name in names}}
    counts: dict[str, dict[str, float]] = {}

    def count(name: str) -> tuple[str, dict[str, float]]:
        heard = passes(lambda at: within(progress, f"{name}: {at}", len(counts), len(jobs)))
        return name, _count(exported, target, jobs[name], place, timeout, heard)

    # Two at a time: yosys uses one core.
    for name, found in toolchain.together((partial(count, name) for name in jobs), 2):
        counts[name] = found
        told = f"{name}: {found['lut']} LUT"
        within(progress, told, len(counts), len(jobs), aloud=f"{told} ({len(counts)} of {len(jobs)} done)")
    report = _report(design, exported.interface.digest, target, counts)
    (place / f"{target}.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


def _report(design: Design, digest: str, target: str, counts: dict[str, dict[str, float]]) -> Document:
    estimate = cost.estimate(design, FAMILIES[target])
    parts = {}
    for part, modules in design.modules().items():
        pieces = [counts[name] for name in modules]
        cells = {kind: added(piece[kind] for piece in pieces) for kind in pieces[0]}
        # A module of registers was counted with them.
        ff = cells["ff"] or estimate[part].ff
        parts[part] = {**cells, "ff": ff}
    return {
        "target": target,
        "exported_for": design.target,
        "tool": yosys_version(),
        "command": SYNTHESES[target].command,
        "digest": digest,
        "total": counts["total"],
        "parts": parts,
        "estimate": {
            "total": cost.total(estimate).as_report(),
            "parts": {name: part.as_report() for name, part in estimate.items()},
        },
    }


#: What yosys calls a pass when it begins one; ABC by the name of the tool.
_PASS = re.compile(r"[\d.]+ Executing ([\w-]+)")

#: Options that let a quiet yosys name the passes of its script, and those of a command like ``synth_ice40``.
NAMING_PASSES = ("-v", "2")


def passes(tell: Callable[[str], None]) -> toolchain.Heard:
    """What listens to a yosys that is run with :data:`NAMING_PASSES`, and tells of each pass."""

    def heard(line: str) -> bool:
        found = _PASS.match(line)
        if found:
            tell(f"yosys {found[1].lower()}")
        return found is not None

    return heard


def netlist(exported: Exported, target: str, place: Path, timeout: float, progress: Progress = silent) -> Path:
    """The top module in the cells of a family, flattened, as Verilog in ``place``, a folder in the export's. Raises ToolError."""
    path = place / "netlist.v"
    path.unlink(missing_ok=True)
    last = f"write_verilog -noattr {path.relative_to(exported.folder)}"
    _map(exported, target, "top", place, last, timeout, passes(lambda at: within(progress, at)))
    if not path.is_file():
        raise ToolError("yosys wrote no netlist")
    return path


def _count(
    exported: Exported, target: str, module: str, place: Path, timeout: float, heard: toolchain.Heard
) -> dict[str, float]:
    """Cells of one module, whose name follows the export's, and all below it."""
    result = place / f"{module}.stat.json"
    result.unlink(missing_ok=True)
    try:
        # Under yowasp, what is printed after ABC has run can be lost; a file is not.
        _map(exported, target, module, place, f"tee -q -o synth/{result.name} stat -json", timeout, heard)
        cells = json.loads(result.read_text())["design"]["num_cells_by_type"]
    except (OSError, ValueError, KeyError) as error:
        raise ToolError(f"yosys gave no cell counts for {module} ({in_words(error)})") from None
    finally:
        result.unlink(missing_ok=True)
    return count_cells(cells, SYNTHESES[target])


def _map(
    exported: Exported, target: str, module: str, place: Path, last: str, timeout: float, heard: toolchain.Heard
) -> None:
    """Synthesise one module and all below it in the folder of the export, and run one command more."""
    name, command = exported.interface.name, SYNTHESES[target].command
    top = f"{name}_{module}"
    # Cells of another family than the one asked for are read as what they do.
    foreign = model_files(exported.interface.target) if exported.interface.target != target else ()
    # yosys from the wheel sees only the folder it runs in, and below.
    root = exported.folder
    copies = [Path(shutil.copy(path, place / f"{module}.{path.name}")) for path in foreign]
    paths = [path for path in (*exported.sources, *copies) if path.name != f"{name}_lut.v"]
    own = " ".join(str(path.relative_to(root)) for path in paths)
    cell = place / f"{module}.lut_cell.v"
    cell.write_text(rtl.lut_cell(name))
    script = [
        f"read_verilog -lib {cell.relative_to(root)}",
        f"read_verilog {own}",
        f"hierarchy -top {top}",
        # Elaborating each LUT as a module of its own takes yosys several times longer.
        f"chtype -set $lut t:{name}_lut",
        # A cell of another family may have the name of one of this family's.
        *(["proc", "flatten", f"hierarchy -top {top}"] if foreign else []),
        f"{command} -top {top}",
        last,
    ]
    try:
        words = [*toolchain.yosys(), "-q", *NAMING_PASSES, "-p", "; ".join(script)]
        toolchain.run(words, name="yosys", cwd=root, timeout=timeout, heard=heard)
    finally:
        for path in (cell, *copies):
            path.unlink(missing_ok=True)


def count_cells(cells: dict[str, int], family: Synthesis) -> dict[str, float]:
    """yosys' numbers by type of cell as numbers by what they count as; a cell of half a block RAM is half a block."""
    found: dict[str, float] = {what: _matching(cells, pattern) for what, pattern in family.cells.items()}
    return found | {"bram": added((found["bram"], _matching(cells, family.half_bram) / 2))}


def _matching(cells: dict[str, int], pattern: str) -> int:
    return sum(count for cell, count in cells.items() if re.fullmatch(pattern, cell))


def yosys_version() -> str:
    """What yosys calls itself: ``Yosys 0.70``."""
    text = toolchain.run([*toolchain.yosys(), "--version"], name="yosys", timeout=120)
    return " ".join(text.split()[:2])
