"""Shells around the core: how codes come in and results go out.

``none``
    ``clk``, ``x`` in, ``y`` out (and ``scores``): a result leaves every clock, ``latency`` clocks after its codes. No
    reset, no handshake. A combinational design has no clock either.
``stream``
    valid/ready on both sides (the rules of :mod:`amaranth.lib.stream`: a transfer happens in a clock in which both are high;
    valid never waits for ready; a payload holds until it is taken), and a synchronous reset that forgets what is under
    way. The core stalls as a whole while a result waits.

``uart`` and ``axis`` are ``stream`` with more Verilog around it: :mod:`dwn_hw.rtl.shells.wrap`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, ResetSignal, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from dwn_hw.hardware.shell_facts import SHELLS
from dwn_hw.rtl.core import Core
from dwn_hw.rtl.hdl import Hdl


class FreeShell(wiring.Component):  # type: ignore[misc]  # amaranth ships no types
    """The core alone, always advancing: a result every clock.

    ``x``: packed codes; ``y``: the output edge, then, if the core gives them, the scores above it.
    """

    reset: ClassVar = False

    def __init__(self, core: Core) -> None:
        self.core = core
        super().__init__({"x": In(len(core.x)), "y": Out(output_width(core))})

    def ports(self) -> dict[str, Hdl]:
        """Top-level ports by name, the clock excepted."""
        return {"x": self.x, "y": self.y}

    def elaborate(self, platform: object) -> Module:
        """Wires."""
        m = Module()
        y, enable, _ = place_core(m, self.core, self.x, Const(1, 1))
        m.d.comb += [self.y.eq(y), enable.eq(1)]
        return m


class StreamShell(wiring.Component):  # type: ignore[misc]  # amaranth ships no types
    """The core between two streams; also for use inside other Amaranth designs.

    Members
        ``x``: ``In(stream.Signature(width of the packed codes))``;
        ``y``: ``Out(stream.Signature(width of the output edge, then, if the core gives them, of the scores above it))``.

    Latency: ``pipeline.latency`` clocks when nothing stalls; interval: one clock. ``sync``'s reset empties it.
    With a streamed encoder each transfer on ``x`` is one feature's code, feature 0 first after a reset; latency and interval are
    those of the core.
    """

    reset: ClassVar = True

    def __init__(self, core: Core) -> None:
        self.core = core
        super().__init__({"x": In(stream.Signature(len(core.x))), "y": Out(stream.Signature(output_width(core)))})

    def ports(self) -> dict[str, Hdl]:
        """Top-level ports by name, clock and reset excepted."""
        return {
            f"{side}_{name}": getattr(getattr(self, side), name)
            for side in ("x", "y")
            for name in ("payload", "valid", "ready")
        }

    def elaborate(self, platform: object) -> Module:
        """A valid bit travels beside each register of the core."""
        m = Module()
        y, enable, complete = place_core(m, self.core, self.x.payload, self.x.valid)
        m.d.comb += self.y.payload.eq(y)
        latency = self.core.pipeline.latency
        if latency == 0:
            m.d.comb += [self.y.valid.eq(self.x.valid), self.x.ready.eq(self.y.ready)]
            return m
        working = Signal(latency)  # bit i: stage i holds real work
        vacant = Signal()  # no result waits
        m.d.comb += [vacant.eq(~working[-1]), self.y.valid.eq(working[-1])]
        m.d.comb += [enable.eq(self.y.ready | vacant), self.x.ready.eq(enable)]
        with m.If(enable):
            m.d.sync += working.eq(Cat(complete, working)[:latency])
        return m


def shell_around(core: Core) -> FreeShell | StreamShell:
    """The top module of a design, as its shell says."""
    return StreamShell(core) if SHELLS[core.design.shell].streams else FreeShell(core)


def output_width(core: Core) -> int:
    """Bits of the packed result."""
    return len(core.y) + (len(core.scores) if core.with_scores else 0)


def place_core(m: Module, core: Core, x: Any, valid: Any, name: str = "core") -> tuple[Any, Any, Any]:
    """Put ``core`` into ``m``, fed by ``x``; its packed result, its enable (idle when it has no registers), and whether this
    clock's ``x`` completes a sample. ``name``: its own, and what its module's ends with."""
    clocked, streamed = core.pipeline.latency > 0, core.design.stream is not None
    last, complete = Signal(name="last"), valid
    if streamed:
        complete = Signal(name="complete")
        m.d.comb += complete.eq(valid & last)
    enable = core.enable if clocked and not core.instances else Signal(name="enable" if clocked else "unused_enable")
    if not core.instances:
        m.submodules[name] = core
        m.d.comb += core.x.eq(x)
        if streamed:
            m.d.comb += [core.valid.eq(valid), last.eq(core.last)]
        return (Cat(core.y, core.scores) if core.with_scores else core.y), enable, complete
    outputs = {port: Signal(len(getattr(core, port)), name=f"{name}_{port}") for port in core.outputs()}
    connections: dict[str, Hdl] = {"i_x": x, **{f"o_{port}": signal for port, signal in outputs.items()}}
    if clocked:
        connections |= {"i_clk": ClockSignal(), "i_enable": enable}
    if streamed:
        connections |= {"i_rst": ResetSignal(), "i_valid": valid, "o_last": last}
    m.submodules[name] = Instance(f"dwn_{name}", **connections)
    return Cat(*outputs.values()), enable, complete
