"""The search for the level of a sum: one comparison for each halving of the intervals, every one a number a clock."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal

from dwn_hw.hardware.folded.engine_schedule import CLAMPED, EngineSchedule
from dwn_hw.rtl.engine.units import Program, bits_for, delayed
from dwn_hw.rtl.hdl import Hdl


def find_level(
    m: Module, plan: EngineSchedule, program: Program, ports: dict[str, Hdl], rounded: Any, value: Any, row: Any
) -> Any:
    """What goes into the buffer at register ``plan.arrival``: a level in steps that have them, in others ``value`` (11).

    ``rounded`` (10): a sum from which the middle threshold was taken off; ``row`` (10): of its bias. ``ports``: by name those of
    each table, ``<name>_address`` and, a clock later, ``<name>_data``.
    """
    tables, stage = plan.levels, CLAMPED
    rows = {kind: _row(m, plan, program, kind, row) for kind in ("thresholds", "values")}
    found = _later(m, "found", ~rounded[-1], stage)
    total = _later(m, "compared", rounded, stage).as_signed()
    for i in range(1, tables.depth):
        m.d.comb += ports[f"levels{i}_address"].eq(Cat(found, rows["thresholds"]))
        found, total, rows = _all_later(m, found, total, rows, stage + 1)
        reached = total >= ports[f"levels{i}_data"].as_signed()
        found, total, rows = _all_later(m, Cat(reached, found), total, rows, stage + 2)
        stage += 2
    m.d.comb += ports["values_address"].eq(Cat(found, rows["values"]))
    others = delayed(m, "value", value, tables.registers, CLAMPED + 1, True)[-1]
    return Mux(program.of("has_levels", [step.levels is not None for step in plan.steps]), ports["values_data"], others)


def _row(m: Module, plan: EngineSchedule, program: Program, kind: str, row: Any) -> Any:
    """The row of a table, from that of the bias."""
    shared, offsets = plan.levels.rows(kind)
    own = Mux(program.of(f"{kind}_shared", shared), 0, row)
    held = Signal(bits_for(plan.levels.row_count(kind) - 1), name=f"{kind}_row{CLAMPED}", reset_less=True)
    m.d.sync += held.eq(own + program.of(f"{kind}_offset", offsets))
    return held


def _later(m: Module, name: str, value: Any, stage: int) -> Any:
    held = Signal(len(value), name=f"{name}{stage}", reset_less=True)
    m.d.sync += held.eq(value)
    return held


def _all_later(m: Module, found: Any, total: Any, rows: dict[str, Any], stage: int) -> tuple[Any, Any, dict[str, Any]]:
    later = {kind: _later(m, f"{kind}_row", row, stage) for kind, row in rows.items()}
    return _later(m, "found", found, stage), _later(m, "compared", total, stage).as_signed(), later
