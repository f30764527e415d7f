"""Whether a design fits a board: by estimate before anything is built, by the synthesised cells then, and what to try if not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from dwn_hw.errors import Unfit
from dwn_hw.exports.reader import Exported
from dwn_hw.fpga import boards
from dwn_hw.fpga.boards import Board
from dwn_hw.hardware import cost, encoders
from dwn_hw.hardware.design import ParallelDesign
from dwn_hw.hardware.families import FAMILIES
from dwn_hw.hardware.feature_schedule import Schedule
from dwn_hw.hardware.folded import FoldedDesign
from dwn_hw.hardware.interface import Interface
from dwn_hw.hardware.kinds import Design
from dwn_hw.hardware.lut_netlist import Netlist

#: Words × bits that a block of RAM can be, by family.
_BLOCKS = {
    "ice40": ((256, 16), (512, 8), (1024, 4), (2048, 2)),
    "ecp5": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
    "gowin": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
    "xc7": ((1024, 36), (2048, 18), (4096, 9), (8192, 4), (16384, 2), (32768, 1)),
    "generic": ((256, 40), (512, 20), (1024, 10), (2048, 5), (4096, 2), (8192, 1)),
}

#: LUTs that a carry cell takes the place of.
_CARRY_LUTS = {"ice40": 0, "ecp5": 2, "gowin": 1, "xc7": 0, "generic": 0}

#: Families whose flip-flops are fed by the LUT beside them alone: one that reads anything else takes that LUT's place.
_FED_BY_LUTS = ("ice40", "gowin")

#: What the UART takes whatever the export, as built by this version.
_SHELL_LUTS = {"ice40": 740, "ecp5": 760, "gowin": 1060, "xc7": 370, "generic": 370}
_SHELL_FF = 300

#: Of a device, what place and route can be expected to fill.
_FULL = 0.95


def estimate(exported: Exported, family: str) -> dict[str, int]:
    """LUTs, flip-flops and blocks of RAM of the whole board design, by the mapped netlists and what its shell takes."""
    design = exported.design.lowered(family)
    total = cost.total(cost.estimate(design, FAMILIES[family]))
    around = shell(exported.interface, family)
    passed, memories = _beside(design, family)
    own = {"lut": total.site + passed, "ff": total.ff, "bram": total.bram + memories}
    return {kind: own[kind] + around[kind] for kind in own}


def _beside(design: Design, family: str) -> tuple[int, int]:
    """LUTs and blocks of RAM that its own estimate leaves to the tools."""
    match design:
        case ParallelDesign():
            return _passed(design, family), blocks(design.stream, family)
        case FoldedDesign():
            return 0, 0
        case _:
            assert_never(design)


def _passed(design: ParallelDesign, family: str) -> int:
    """LUTs that only pass something on to a flip-flop: what a streamed encoder captures, wires, and wide multiplexers."""
    if family not in _FED_BY_LUTS:
        return 0
    most, found = FAMILIES[family].lut_inputs, 0
    for stage, part, edge in zip(design.pipeline.stages, design.netlists, design.network.edges()[1:], strict=True):
        if not stage.registers.after:
            continue
        if design.stream and stage.node == 0:
            found += edge.bits
        elif isinstance(part, Netlist):
            cells = (part.cells[net - part.inputs] if net >= part.inputs else None for net in part.outputs)
            found += sum(cell is None or len(cell.inputs) > most for cell in cells)
    return found


def shell(interface: Interface, family: str) -> dict[str, int]:
    """What the UART takes around an export, about: so much always, and a register of all bits that come in at once."""
    bits = interface.input.bits
    return {"lut": _SHELL_LUTS[family] + bits * (family in _FED_BY_LUTS), "ff": _SHELL_FF + bits, "bram": 1}


def blocks(plan: Schedule | None, family: str) -> int:
    """Blocks of RAM for the thresholds of a streamed encoder, in the shape that takes fewest."""
    if plan is None or not plan.in_memory:
        return 0
    return min(-(-plan.features // words) * -(-plan.row_bits // bits) for words, bits in _BLOCKS[family])


def fits(board: Board, needs: Mapping[str, int]) -> bool:
    """Whether a board holds so much, with room to place and route."""
    return all(needs[kind] <= _FULL * board.capacity[kind] for kind in boards.KINDS)


def survey(exported: Exported) -> list[dict[str, Any]]:
    """For every board: its capacity, what the export would take there, and whether that fits."""
    by_family = {family: estimate(exported, family) for family in sorted({b.family for b in boards.every()})}
    found = []
    for board in boards.every():
        needs = by_family[board.family]
        found.append({"board": board.key, "needs": needs, "fits": fits(board, needs)})
    return found


def check(board: Board, parts: Mapping[str, Mapping[str, int]], exported: Exported) -> dict[str, int]:
    """What the synthesised ``parts`` need together. Raises Unfit, with the parts by size and what to try, if a board has less."""
    lut = _luts(board, parts)
    needs = {"lut": sum(lut.values())} | {kind: sum(part[kind] for part in parts.values()) for kind in ("ff", "bram")}
    units = {"lut": "LUTs", "ff": "flip-flops", "bram": "blocks of RAM"}
    for kind in boards.KINDS:
        if needs[kind] > board.capacity[kind]:
            by_part = lut if kind == "lut" else {name: part[kind] for name, part in parts.items()}
            why = f"needs {needs[kind]:,} of {board.capacity[kind]:,} {units[kind]}"
            raise unfit(board, why, by_part, exported)
    return needs


def crowded(board: Board, parts: Mapping[str, Mapping[str, int]], exported: Exported, said: str) -> Unfit:
    """The error of a design that has cells enough on a board, and finds no place there; ``said``: by place and route."""
    lut = _luts(board, parts)
    why = f"{sum(lut.values()):,} of {board.capacity['lut']:,} LUTs, and flip-flops that need more, find no place ({said})"
    return unfit(board, why, lut, exported)


def _luts(board: Board, parts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    return {name: part["lut"] + _CARRY_LUTS[board.family] * part["carry"] for name, part in parts.items()}


def unfit(board: Board, why: str, by_part: Mapping[str, int], exported: Exported) -> Unfit:
    """The error of a design that is too large: why, its largest parts, and what to try."""
    largest = sorted(by_part.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{name} {count:,}" for name, count in largest if count)
    streamed = ["--encoder streamed at the export"] if _has_parallel_encoder(exported.design) else []
    larger = [row["board"] for row in survey(exported) if row["fits"] and _exceeds(boards.read(row["board"]), board)]
    tries = " or ".join([*streamed, *(f"--board {name}" for name in larger[:1])])
    return Unfit(f"does not fit {board.key}: {why}: {shown}" + (f"; try {tries}" if tries else ""))


def _has_parallel_encoder(design: Design) -> bool:
    match design:
        case ParallelDesign():
            return design.encoder == encoders.PARALLEL
        case FoldedDesign():
            return False
        case _:
            assert_never(design)


def _exceeds(other: Board, board: Board) -> bool:
    return other.flow == "nextpnr" and other.capacity["lut"] > board.capacity["lut"]
