"""Whether a design fits a board: by estimate before anything is built, by the synthesised cells then, and what to try if not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from dwn_hw.errors import Unfit
from dwn_hw.exports.reader import Exported
from dwn_hw.fpga import boards
from dwn_hw.fpga.boards import Board
from dwn_hw.hardware import cost, encoders, serial_frames
from dwn_hw.hardware.block_ram import Memory, added, block_rams
from dwn_hw.hardware.design import ParallelDesign
from dwn_hw.hardware.families import FAMILIES, TARGETS, Family
from dwn_hw.hardware.folded import FoldedDesign
from dwn_hw.hardware.interface import Interface
from dwn_hw.hardware.kinds import Design
from dwn_hw.hardware.lut_netlist import LutNetlist

#: Flip-flops that the UART shell takes, whatever the export.
_UART_FF = 300

#: The share of a device that place and route can be expected to fill.
_FULL = 0.95


def estimate(exported: Exported, family: str) -> dict[str, float]:
    """LUTs, flip-flops and blocks of RAM of the whole board design, by the mapped netlists and what its shell takes."""
    return needed(exported.design.lowered(family if family in TARGETS else "generic"), exported.interface, family)


def needed(design: Design, interface: Interface, family: str) -> dict[str, float]:
    """As :func:`estimate`, of a lowered design with its interface."""
    total = cost.total(cost.estimate(design, FAMILIES[family]))
    around = shell(interface, family)
    own = {"lut": total.site + _passed(design, family), "ff": total.ff, "bram": total.bram}
    return {kind: added((own[kind], around[kind])) for kind in own}


def _passed(design: Design, family: str) -> int:
    """LUTs that only pass something on to a flip-flop: what a streamed encoder captures, wires, and wide multiplexers."""
    match design:
        case ParallelDesign():
            return _passed_in_parallel(design, FAMILIES[family]) if FAMILIES[family].registers_take_luts else 0
        case FoldedDesign():
            return 0
        case _:
            assert_never(design)


def _passed_in_parallel(design: ParallelDesign, family: Family) -> int:
    most, found = family.lut_inputs, 0
    for stage, part, edge in zip(design.pipeline.stages, design.netlists, design.network.edges()[1:], strict=True):
        if not stage.registers.after:
            continue
        if design.stream and stage.node == 0:
            found += edge.bits
        elif isinstance(part, LutNetlist):
            cells = (part.cells[net - part.inputs] if net >= part.inputs else None for net in part.outputs)
            found += sum(cell is None or len(cell.inputs) > most for cell in cells)
    return found


def shell(interface: Interface, family: str) -> dict[str, float]:
    """What the UART takes around an export, about: so much always, and a register of all bits that come in at once."""
    bits, known = interface.input.bits, FAMILIES[family]
    registers = bits if known.registers_take_luts else 0
    buffer = block_rams(Memory(8, serial_frames.BUFFER), known.block_ram)
    return {"lut": known.uart_luts + registers, "ff": _UART_FF + bits, "bram": buffer}


def fits(board: Board, needs: Mapping[str, float]) -> bool:
    """Whether a board holds so much, with room to place and route."""
    return all(needs[kind] <= most for kind, most in room(board).items())


def room(board: Board) -> dict[str, float]:
    """What of a board place and route can be expected to fill, by kind."""
    return {kind: _FULL * board.capacity[kind] for kind in boards.KINDS}


@dataclass(frozen=True, slots=True)
class Fit:
    """What an export ``needs`` on a board, by kind (:data:`boards.KINDS`), and whether that ``fits``."""

    board: Board
    needs: dict[str, float]
    fits: bool


def survey(exported: Exported) -> tuple[Fit, ...]:
    """The fit of an export on every board, by estimate."""
    by_family = {family: estimate(exported, family) for family in sorted({b.family for b in boards.every()})}
    needs = [(board, by_family[board.family]) for board in boards.every()]
    return tuple(Fit(board, own, fits(board, own)) for board, own in needs)


def check_parts(board: Board, exported: Exported) -> None:
    """Raise Unfit, before anything is synthesised, if by estimate one part alone takes more than a board has.

    What is mapped again for another family than the export's, and an engine, are estimated within a factor of two.
    """
    family = board.family
    design = exported.design.lowered(family if family in TARGETS else "generic")
    costs = {name: part.site for name, part in cost.estimate(design, FAMILIES[family]).items()}
    sure = isinstance(design, ParallelDesign) and exported.interface.target == family
    name, largest = max(costs.items(), key=lambda part: part[1])
    if largest > board.capacity["lut"] * (1 if sure else 2):
        why = f"by estimate {name} alone needs {largest:,} of {board.capacity['lut']:,} LUTs"
        raise unfit(board, why, costs, exported)


def check(board: Board, parts: Mapping[str, Mapping[str, float]], exported: Exported) -> dict[str, float]:
    """What the synthesised ``parts`` need together. Raises Unfit, with the parts by size and what to try, if a board has less."""
    lut = _luts(board, parts)
    needs = {"lut": sum(lut.values())} | {kind: added(part[kind] for part in parts.values()) for kind in ("ff", "bram")}
    units = {"lut": "LUTs", "ff": "flip-flops", "bram": "blocks of RAM"}
    for kind in boards.KINDS:
        if needs[kind] > board.capacity[kind]:
            by_part = lut if kind == "lut" else {name: part[kind] for name, part in parts.items()}
            why = f"needs {needs[kind]:,} of {board.capacity[kind]:,} {units[kind]}"
            raise unfit(board, why, by_part, exported)
    return needs


def crowded(board: Board, parts: Mapping[str, Mapping[str, float]], exported: Exported, said: str) -> Unfit:
    """The error of a design that has cells enough on a board, and finds no place there; ``said``: by place and route."""
    lut = _luts(board, parts)
    why = f"{sum(lut.values()):,} of {board.capacity['lut']:,} LUTs, and flip-flops that need more, find no place ({said})"
    return unfit(board, why, lut, exported)


def _luts(board: Board, parts: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {name: part["lut"] + FAMILIES[board.family].carry_luts * part["carry"] for name, part in parts.items()}


def unfit(board: Board, why: str, by_part: Mapping[str, float], exported: Exported) -> Unfit:
    """The error of a design that is too large: why, its largest parts, and what to try."""
    largest = sorted(by_part.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{name} {count:,}" for name, count in largest if count)
    # Without its encoder, what is left must fit: else streaming it helps nothing.
    others = sum(by_part.values()) - by_part.get("encoder", 0)
    helps = _has_parallel_encoder(exported.design) and others <= _FULL * board.capacity["lut"]
    own = exported.interface.target == "generic" and board.family in TARGETS and others <= 2 * board.capacity["lut"]
    larger = [row.board.key for row in survey(exported) if row.fits and _exceeds(row.board, board)]
    tries = ["--encoder streamed at the export"] * helps + [f"--target {board.family} at the export"] * own
    tries += [f"--board {name}" for name in larger[:1]]
    return Unfit(f"does not fit {board.key}: {why}: {shown}" + (f"; try {' or '.join(tries)}" if tries else ""))


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
