"""What a window's numbers are compared for: the greatest or the least of them, its place, or what comes behind the one before."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal

from dwn_hw.hardware.folded.engine_schedule import EngineSchedule
from dwn_hw.rtl.engine.units import bits_for, delayed, number
from dwn_hw.rtl.hdl import Hdl

#: For each thing that a step's :class:`~dwn_hw.hardware.folded.engine_step.Pick` says, the wire that says so.
BY_STEP = {"in_turn": "bounded", "least": "least", "place": "gives_place"}


def picks(plan: EngineSchedule, what: str) -> bool:
    """Whether any step's pick says ``what``."""
    return any(getattr(step.pick, what) for step in plan.steps)


def pick(m: Module, plan: EngineSchedule, reader: Hdl, operand: Any) -> Any:
    """What was picked of a window, at register 7. ``operand`` (4): a number of it; ``reader``: has the ports that say when.

    The least number is the one whose inverse is the greatest. Equal numbers are told apart by their places, of which the first
    wins: so those that are picked in turn fall, or their places rise.
    """
    bits = plan.operand.bits
    taken, begins = (
        delayed(m, name, flag, 1, 4, True)[-1] for name, flag in (("take", reader.take), ("begins", reader.begins))
    )
    best, some = Signal(bits, name="best5", reset_less=True), Signal(name="some5", reset_less=True)
    seen = Signal()
    inverse = reader.least.replicate(bits) if picks(plan, "least") else None
    key = operand if inverse is None else _named(m, "key4", operand ^ inverse)
    here, known = number(key, plan.operand), number(best, plan.operand)
    place, best_place = _places(m, plan, taken, begins)
    if picks(plan, "in_turn"):
        bounded = delayed(m, "bounded", reader.bounded, 1, 4, True)[-1]
        renewed = _named(m, "renewed", taken & begins)
        # What the window before picked is still there while the first number of this one is looked at.
        last, last_place = (
            _of_window_before(m, name, value, renewed) for name, value in (("best", best), ("place", best_place))
        )
        bound = number(last, plan.operand)
        follows = (here < bound) | ((here == bound) & (place > last_place))
        taken = _named(m, "eligible", taken & (~bounded | follows))
    m.d.comb += seen.eq(some & ~begins)
    m.d.sync += some.eq(taken | seen)
    with m.If(taken & (~seen | (here > known))):
        m.d.sync += best.eq(key)
        if best_place is not None:
            m.d.sync += best_place.eq(place)
    value = best if inverse is None else best ^ inverse
    delay = delayed(m, "best", value, 1, 6, True)[-1]
    picked = number(delay, plan.operand)
    if picks(plan, "place"):
        picked = Mux(reader.gives_place, delayed(m, "best_place", best_place, 1, 6, True)[-1], picked)
    held = Signal(plan.picked.bits, name="held7", reset_less=True)
    with m.If(reader.load):
        m.d.sync += held.eq(picked)
    return held


def _places(m: Module, plan: EngineSchedule, taken: Any, begins: Any) -> tuple[Any, Any]:
    """The place of a number in its window, and the register for that of the best; None where no step asks for places."""
    if not (picks(plan, "in_turn") or picks(plan, "place")):
        return None, None
    bits = bits_for(max(step.taps for step in plan.steps if step.pick.in_turn or step.pick.place) - 1)
    following = Signal(bits, name="place_next5", reset_less=True)
    place = _named(m, "place_in_window", Mux(begins, 0, following)[:bits])
    with m.If(taken):
        m.d.sync += following.eq(place + 1)
    return place, Signal(bits, name="best_place5", reset_less=True)


def _of_window_before(m: Module, name: str, value: Any, renewed: Any) -> Any:
    """``value`` as the window before left it: still in its register while ``renewed``, at this window's first number."""
    held = Signal(len(value), name=f"last_{name}5", reset_less=True)
    with m.If(renewed):
        m.d.sync += held.eq(value)
    return _named(m, f"bound_{name}", Mux(renewed, value, held))


def _named(m: Module, name: str, value: Any) -> Any:
    """A wire for what is read more than once."""
    wire = Signal(len(value), name=name)
    m.d.comb += wire.eq(value)
    return wire
