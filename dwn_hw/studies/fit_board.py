"""The most accurate network for a board: designs that fill it are swept, the best placed and routed until one meets its clock.

How large a network may be follows from the board's room by the cost model, as in ``dwn-hw train --board``; what else is tried is
the space of the study. All choices are made on the samples to choose by; accuracy is said of those that no choice looked at.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from dwn_hw._json import Document
from dwn_hw._progress import Progress, terminal
from dwn_hw.errors import OptionError, Problem, TooSlow, Unfit
from dwn_hw.exports import writer
from dwn_hw.fpga import boards, building
from dwn_hw.fpga.boards import Board
from dwn_hw.studies import front, one_trial, sweeping
from dwn_hw.studies import space as spaces
from dwn_hw.studies.front import Found
from dwn_hw.studies.study_folder import Asked, Study
from dwn_hw.studies.sweeping import Budget, Told

PathLike: TypeAlias = str | os.PathLike[str]

#: The trials of which neither a number nor a time is said, and the most designs that are placed and routed.
TRIALS, _MOST_PLACED = 12, 6

#: How much faster than needed a design is asked to be when it was too slow.
_MARGIN = 1.15


def fit_board(
    table: PathLike,
    board: str,
    out: PathLike,
    *,
    study: PathLike | None = None,
    space: Mapping[str, Any] | PathLike | None = None,
    label: str | None = None,
    test: PathLike | None = None,
    trials: int | None = None,
    minutes: float | None = None,
    resume: bool = False,
    jobs: int = 1,
    dask: str | None = None,
    seeds: int = 3,
    progress: Progress | bool = False,
    told: Told = lambda rows, records: None,
    **asked: Any,
) -> dict[str, Any]:
    """Find the most accurate network for a table that fits a board and meets its clock: ``dwn-hw fit``.

    ``out``: the export directory, with the bitstream in ``build/BOARD``. ``study``: the folder of what is tried, else beside
    ``out``. ``space``: what is tried, without ``luts`` and ``budget_lut``, which follow from the board. ``seeds``: of place and
    route. The rest is as for :func:`dwn_hw.sweep`; 12 trials if nothing is said. Returns ``accuracy`` on the test samples with
    its 95 % ``interval``, ``used`` of ``capacity``, ``clock_mhz`` that is needed, ``fmax_mhz``, ``placed``: what was placed and
    what became of it, ``sweep``. Raises Unfit where no design that was tried can be built.
    """
    budget = Budget(TRIALS if trials is None and minutes is None else trials, minutes, jobs, dask)
    chosen = _board(board, budget, seeds)
    sweeping.require(budget)
    out = Path(out)
    writer.check_out(out)
    folder = Path(study) if study is not None else out.with_name(f"{out.name}-study")
    given = spaces.read(Path(space)) if isinstance(space, str | os.PathLike) else space
    _refuse_sizes(given)
    said = sweeping.said(**asked, board=board)
    wanted = Asked(Path(table), None if test is None else Path(test), label, said)
    with terminal.asked(progress) as tell:
        tell("reading the samples")
        opened = sweeping.open_study(folder, wanted, given, resume)
        swept = sweeping.run(opened, wanted, budget, tell, told)
        best, built, placed = _built(opened, chosen, seeds, tell)
        _copy(folder / "designs" / best.design, out)
    return _report(best, built, chosen) | {"out": str(out), "placed": placed, "sweep": swept}


def _board(key: str, budget: Budget, seeds: int) -> Board:
    """The board. Raises OptionError with all that is wrong with what was asked."""
    problems = budget.problems()
    if seeds < 1:
        problems.append(Problem("--seeds", "1 or more", str(seeds), "Give each place and route a seed."))
    try:
        board = boards.routed(key, "--board", f"Use `dwn-hw train --board {key}`, and build its project.")
    except OptionError as error:
        problems += error.problems
    if problems:
        raise OptionError(*problems)
    return board


def _refuse_sizes(space: Mapping[str, Any] | None) -> None:
    train = (space or {}).get("train")
    sizes = [name for name in ("luts", "budget_lut") if isinstance(train, Mapping) and name in train]
    if sizes:
        rule = "a space without sizes, which the board decides"
        raise OptionError(Problem("--space", rule, ", ".join(sizes), "Leave them out, or use `dwn-hw sweep --place`."))


def candidates(study: Study) -> list[Found]:
    """The designs of a study, the most accurate on the samples to choose by first; of equal ones the smaller."""
    return sorted(front.found(study.records()), key=lambda one: (-one.right, one.luts, one.number))


def _built(study: Study, board: Board, seeds: int, progress: Progress) -> tuple[Found, Any, list[Document]]:
    """The first of the best designs that can be built for a board, its build, and what became of those before it."""
    placed: list[Document] = []

    def build(one: Found) -> Any:
        row: Document = {"trial": one.number, "accuracy": round(one.accuracy, 6), "luts": one.luts}
        try:
            built = building.build(study.folder / "designs" / one.design, board.key, seeds=seeds, progress=progress)
        except Unfit as error:
            placed.append(row | {"became": str(error).splitlines()[0]})
            return error
        placed.append(row | {"became": "built"})
        return built

    for one in candidates(study)[:_MOST_PLACED]:
        built = build(one)
        if isinstance(built, TooSlow) and (faster := _faster(study, one, board, built.mhz, progress)):
            one, built = faster, build(faster)  # the same network, with other registers
        if not isinstance(built, Unfit):
            return one, built, placed
    tried = "; ".join(f"trial {row['trial']}: {row['became']}" for row in placed) or "no trial was completed"
    raise Unfit(
        f"no design that was tried can be built for {board.key}: {tried}. Try more --trials, or fewer thresholds (--bits)."
    )


def _faster(study: Study, one: Found, board: Board, mhz: float, progress: Progress) -> Found | None:
    """The design of the same network with registers for a higher clock, by how far the estimate was off; None: there is none.

    It is verified as every design is.
    """
    known = next(record for record in study.records() if record["number"] == one.number)
    result: Any = known["result"]
    if result["clock_mhz"] is None:
        return None
    asked = _MARGIN * board.clock_mhz * result["clock_mhz"] / mhz
    point: Any = known["point"]
    also = {"clock_mhz": round(asked, 1), "latency": None}
    try:
        found: Any = one_trial.run(study, study.space.point(point), progress, also)
    except OptionError:  # no registers meet that clock
        return None
    return replace(one, **{name: found[name] for name in ("design", "right", "test_right", "luts")})


def _copy(design: Path, out: Path) -> None:
    """A design with what was built of it, in the place of an earlier export."""
    if out.exists():
        shutil.rmtree(out)
    draft = out.with_name(f".{out.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(design, draft)
    draft.rename(out)


def _report(best: Found, built: Any, board: Board) -> dict[str, Any]:
    share, low, high = best.test
    return {
        "board": board.key,
        "trial": best.number,
        "point": best.point,
        "accuracy": round(share, 6),
        "interval": [round(low, 6), round(high, 6)],
        "test_samples": best.test_samples,
        "validation_accuracy": round(best.accuracy, 6),
        "used": built["used"],
        "capacity": built["capacity"],
        "clock_mhz": built["clock_mhz"],
        "fmax_mhz": built["timing"]["fmax_mhz"],
        "bitstream": built["bitstream"],
        "digest": built["digest"],
    }
