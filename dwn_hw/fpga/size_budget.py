"""Budgets by which ``dwn-hw train`` chooses a size: LUTs of an export, or what a board holds beside its UART."""

from __future__ import annotations

from typing import assert_never

from dwn_hw.errors import OptionError, Problem
from dwn_hw.exports import planning
from dwn_hw.exports.derive_interface import describe
from dwn_hw.exports.options import Options
from dwn_hw.fpga import boards, fitting
from dwn_hw.frontend.size_search import Budget, Care, Measured
from dwn_hw.frontend.trained_dwn import TrainedDwn
from dwn_hw.hardware import cost
from dwn_hw.hardware.families import FAMILIES
from dwn_hw.ir.sample_files import Samples

_UNITS = {"lut": "LUTs", "ff": "flip-flops", "bram": "block RAMs"}


def make(luts: int | None, board_key: str | None, kind: str) -> Budget | None:
    """The budget of ``luts`` LUTs, encoder included, or of a board with its UART, or of both; None: there is none.

    LUTs are those of the family that an export is for: of the board, or with none generic ones of 6 inputs. Raises OptionError
    for a board that is unknown, less than one LUT, and a kind of network whose size no budget chooses.
    """
    if luts is None and board_key is None:
        return None
    if kind == "shift":
        rule = "with networks of LUTs; of layers that shift and add, lanes and block RAM decide what they take"
        remedy = "Say --hidden, and `dwn-hw check` says what it takes."
        raise OptionError(Problem("--budget-lut, --board", rule, "--kind shift", remedy))
    if luts is not None and luts < 1:
        raise OptionError(Problem("--budget-lut", "a whole number from 1", str(luts), "Say how many LUTs there are."))
    board = None if board_key is None else boards.read(board_key)
    target = "generic" if board is None else board.targets[0]
    family = target if board is None else board.family
    room = {} if board is None else fitting.room(board)

    def measure(model: TrainedDwn, samples: Samples | None, care: Care) -> Measured:
        options = Options(target=target)
        match care:
            case Care.PLANNED:
                design = planning.plan(model, options, samples).design
            case Care.LOWERED | Care.QUICK:
                design = planning.sketch(model, options, samples, quick=care is Care.QUICK)
            case _:
                assert_never(care)
        own = cost.total(cost.estimate(design, FAMILIES[family])).site
        needs = {} if board is None else fitting.needed(design, describe(design), family)
        shares = [own / luts] if luts is not None else []
        shares += [needs[of] / most for of, most in room.items()]
        return Measured({"LUTs": own} | {f"{_UNITS[of]} on the board": needs[of] for of in room}, max(shares))

    parts = [] if luts is None else [f"{luts:,} LUTs"]
    if board is not None:
        holds = ", ".join(f"{int(most):,} {_UNITS[of]}" for of, most in room.items())
        parts.append(f"{board.key}, which has room for {holds}")
    options = "" if target == "generic" else f" --target {target}"
    return Budget(" and ".join(parts), measure, options, None if board is None else board.key)
