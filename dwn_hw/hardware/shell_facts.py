"""The shells: how codes come in and results go out. Whatever else is said of a shell is derived from this table.

``stream`` and ``none`` are the top module itself, as :mod:`dwn_hw.rtl.shells.stream` writes it; the others are Verilog
around a top module with streams, as :mod:`dwn_hw.rtl.shells.wrap` writes it. Nothing heavy is imported here, so that the
command line can say what there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from dwn_hw.hardware.encoders import ENCODERS
from dwn_hw.hardware.serial_frames import Layout


@dataclass(frozen=True, slots=True)
class UartWrapper:
    """The module of the ``uart`` shell: the names of its ports, the bytes of a sample and of a result with its clocks, the
    samples of a frame, and the parameter that says how many clocks a bit lasts.
    """

    suffix: ClassVar[str] = "uart"

    top: str
    clock: str
    reset: str
    input: str
    output: str
    sample_bytes: int
    result_bytes: int
    batch: int
    clocks_per_bit: str

    @classmethod
    def around(cls, name: str, latency: int, layout: Layout) -> UartWrapper:
        """Around the core that is called ``name``; a serial line is too slow for its ``latency`` to be stated."""
        return cls(
            top=f"{name}_{cls.suffix}",
            clock="clk",
            reset="rst",
            input="rx",
            output="tx",
            sample_bytes=layout.sample_bytes,
            result_bytes=layout.result_bytes,
            batch=layout.batch,
            clocks_per_bit="CLOCKS_PER_BIT",
        )


@dataclass(frozen=True, slots=True)
class AxisWrapper:
    """The module of the ``axis`` shell: what the names of its ports are or begin with, the bytes of a beat on both sides,
    the beats of a sample, and the clocks from a sample's last beat to its result.
    """

    suffix: ClassVar[str] = "axis"

    top: str
    clock: str
    reset: str
    input: str
    output: str
    in_bytes: int
    beats: int
    out_bytes: int
    latency: int

    @classmethod
    def around(cls, name: str, latency: int, layout: Layout) -> AxisWrapper:
        """Around the core that is called ``name``, with a register behind its ``latency``."""
        return cls(
            top=f"{name}_{cls.suffix}",
            clock="aclk",
            reset="aresetn",
            input="s_axis",
            output="m_axis",
            in_bytes=layout.x_bytes,
            beats=layout.transfers,
            out_bytes=layout.y_bytes,
            latency=latency + 1,
        )


#: What stands around a top module, for a ``match`` that mypy checks to be complete.
Wrapper: TypeAlias = UartWrapper | AxisWrapper


@dataclass(frozen=True, slots=True)
class Shell:
    """``name``: what ``--shell`` takes. ``help``: what the command line says of it, in few words.

    ``streams``: whether the top module has valid, ready and a reset. ``wrapper``: what stands around it, if anything does.
    ``kinds``: of hardware that may have it.
    """

    name: str
    help: str
    streams: bool
    wrapper: type[UartWrapper] | type[AxisWrapper] | None
    kinds: tuple[str, ...]

    def takes(self, encoder: str) -> bool:
        """Whether a design with an encoder of this name may have it."""
        return self.streams or not ENCODERS[encoder].needs_streams


#: The shells by name.
SHELLS = {
    shell.name: shell
    for shell in (
        Shell("stream", "valid/ready", streams=True, wrapper=None, kinds=("parallel", "folded")),
        Shell("none", "bare ports", streams=False, wrapper=None, kinds=("parallel",)),
        Shell("uart", "serial line", streams=True, wrapper=UartWrapper, kinds=("parallel",)),
        Shell("axis", "AXI4-Stream", streams=True, wrapper=AxisWrapper, kinds=("parallel",)),
    )
}

#: The shell of a design for which none was asked.
DEFAULT = "stream"
