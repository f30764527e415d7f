"""Whether a design fits a board: by estimate before anything is built, by the synthesised cells then, and what to try if not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dwn_hw import boards, cost, interface
from dwn_hw.boards import Board
from dwn_hw.design import ParallelDesign
from dwn_hw.errors import Unfit
from dwn_hw.families import FAMILIES
from dwn_hw.streaming import Schedule
from dwn_hw.verifier import Exported

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

#: What the UART takes whatever the export, as built by this version.
_SHELL_LUTS = {"ice40": 690, "ecp5": 760, "gowin": 870, "xc7": 370, "generic": 370}
_SHELL_FF = 300

#: Of a device, what place and route can be expected to fill.
_FULL = 0.95


def estimate(exported: Exported, family: str) -> dict[str, int]:
    """LUTs, flip-flops and blocks of RAM of the whole board design, by the mapped netlists and what its shell takes."""
    said = exported.interface
    own_target = said["target"] if said["kind"] == "folded" else family  # a folded engine is plain Verilog everywhere
    design = interface.read_design({**said, "target": own_target}, exported.network, lowered=True)
    total = cost.total(cost.estimate(design, FAMILIES[family]))
    around = shell(said, family)
    streamed = design.stream if isinstance(design, ParallelDesign) else None
    own = {"lut": total.site, "ff": total.ff, "bram": total.bram + blocks(streamed, family)}
    return {kind: own[kind] + around[kind] for kind in own}


def shell(said: Mapping[str, Any], family: str) -> dict[str, int]:
    """What the UART takes around an export, about: so much always, and a register of all bits that come in at once."""
    bits = said["input"]["bits"]
    # A logic cell of iCE40 whose register holds such a bit has no use for its LUT.
    return {"lut": _SHELL_LUTS[family] + bits * (family == "ice40"), "ff": _SHELL_FF + bits, "bram": 1}


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
    lut = {name: part["lut"] + _CARRY_LUTS[board.family] * part["carry"] for name, part in parts.items()}
    needs = {"lut": sum(lut.values())} | {kind: sum(part[kind] for part in parts.values()) for kind in ("ff", "bram")}
    units = {"lut": "LUTs", "ff": "flip-flops", "bram": "blocks of RAM"}
    for kind in boards.KINDS:
        if needs[kind] > board.capacity[kind]:
            by_part = lut if kind == "lut" else {name: part[kind] for name, part in parts.items()}
            why = f"needs {needs[kind]:,} of {board.capacity[kind]:,} {units[kind]}"
            raise unfit(board, why, by_part, exported)
    return needs


def unfit(board: Board, why: str, by_part: Mapping[str, int], exported: Exported) -> Unfit:
    """The error of a design that is too large: why, its largest parts, and what to try."""
    largest = sorted(by_part.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{name} {count:,}" for name, count in largest if count)
    streamed = ["--encoder streamed at the export"] * (exported.interface.get("encoder") == "parallel")
    larger = [row["board"] for row in survey(exported) if row["fits"] and _exceeds(boards.read(row["board"]), board)]
    tries = " or ".join([*streamed, *(f"--board {name}" for name in larger[:1])])
    return Unfit(f"does not fit {board.key}: {why}: {shown}" + (f"; try {tries}" if tries else ""))


def _exceeds(other: Board, board: Board) -> bool:
    return other.flow == "nextpnr" and other.capacity["lut"] > board.capacity["lut"]
