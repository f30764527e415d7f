"""What an export's ports do clock by clock, as a picture's waves: how samples come in, when results are there, what a stall does.

The clocks are computed by a model of the handshake, which a test compares with the Verilog. The waves are those of WaveDrom
(https://wavedrom.com, WaveJSON): a character a clock, ``.`` for no change, ``|`` for clocks that are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Protocol, TypeAlias

from dwn_hw.exports.handover.outside import Line, Outside, Streams
from dwn_hw.exports.interface_text import rate
from dwn_hw.hardware.interface import FoldedSettings, Interface
from dwn_hw.hardware.serial_frames import CLOCK_BYTES

#: The values of all ports in a clock, by name: a bit, or the label of what a bus carries, or None for nothing.
Clock: TypeAlias = dict[str, int | str | None]

#: As many equal clocks as a picture shows before it leaves some out.
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Wave:
    """A row of the picture: a port, its wave, and the labels on its buses."""

    name: str
    wave: str
    data: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """Rows, a caption, and what is measured: from a clock to a clock, both as columns, in words."""

    waves: tuple[Wave, ...]
    caption: str
    measured: tuple[int, int, str] | None = None


class _Core(Protocol):
    """Hardware between two streams. ``x``: the sample that a transfer completes, if one is offered that does."""

    def result(self, x: str | None) -> str | None: ...

    def ready(self, y_ready: bool) -> bool: ...

    def clock(self, x: str | None, y_ready: bool) -> None: ...


@dataclass(slots=True)
class _Pipeline:
    """Registers that stand still together while a result waits."""

    stages: list[str | None]

    def result(self, x: str | None) -> str | None:
        return self.stages[-1] if self.stages else x

    def ready(self, y_ready: bool) -> bool:
        return y_ready or (bool(self.stages) and self.stages[-1] is None)

    def clock(self, x: str | None, y_ready: bool) -> None:
        if self.stages and self.ready(y_ready):
            self.stages = [x, *self.stages[:-1]]


@dataclass(slots=True)
class _Engine:
    """One sample at a time; ``left``: clocks to its result."""

    latency: int
    sample: str | None = None
    left: int = 0

    def result(self, x: str | None) -> str | None:
        return self.sample if self.left == 0 else None

    def ready(self, y_ready: bool) -> bool:
        return self.sample is None

    def clock(self, x: str | None, y_ready: bool) -> None:
        if self.sample is None:
            self.sample, self.left = x, self.latency - 1
        elif self.left == 0 and y_ready:
            self.sample = None
        else:
            self.left = max(0, self.left - 1)


@dataclass(slots=True)
class _Buffered:
    """A core with the two registers for results that the AXI4-Stream shell puts behind it."""

    core: _Core
    results: list[str] = field(default_factory=list)

    def result(self, x: str | None) -> str | None:
        return self.results[0] if self.results else None

    def ready(self, y_ready: bool) -> bool:
        return self.core.ready(len(self.results) < 2)

    def clock(self, x: str | None, y_ready: bool) -> None:
        room = len(self.results) < 2
        result = self.core.result(x)
        if y_ready:
            self.results = self.results[1:]
        if room and result is not None:
            self.results = [*self.results, result]
        self.core.clock(x, room)


def _core(interface: Interface, outside: Outside) -> _Core:
    folded = isinstance(interface.settings, FoldedSettings)
    core: _Core = _Engine(interface.latency) if folded else _Pipeline([None] * interface.latency)
    return _Buffered(core) if outside.axi else core


#: The label of a transfer, its sample, and whether it is the last one.
_Transfer: TypeAlias = tuple[str, str, bool]


def _completed(transfer: _Transfer | None) -> str | None:
    """The sample that it completes, if it does."""
    return transfer[1] if transfer and transfer[2] else None


def _transfers(interface: Interface) -> Iterator[_Transfer]:
    """Those of the samples A, B, …"""
    count = interface.transfers
    for sample in "ABCD":
        for at in range(count):
            label = f"{sample}{at}" if at < 2 or at >= count - 2 else "…"
            yield (label if count > 1 else sample), sample, at == count - 1


def clocks(interface: Interface, outside: Outside, streams: Streams) -> list[Clock]:
    """All clocks: samples one behind the other, a clock in which a result is not taken, and what follows from it.

    ``x`` of a port without a handshake is taken in every clock.
    """
    core, x, y = _core(interface, outside), streams.x, streams.y
    stalled = "A" if interface.transfers > 1 else "B"
    last = stalled if interface.transfers > 1 else "C"
    todo = list(_transfers(interface))
    found: list[Clock] = []
    waited, over = not y.ready, 0
    while over < 2:
        offered = todo[0] if found and todo else None
        y_ready = waited or core.result(_completed(offered)) != stalled
        waited = waited or not y_ready
        if offered and offered[1] == "D" and not waited:
            offered = None  # it comes when the stall does, so that the picture shows what waits
        label, _, complete = offered or (None, "", False)
        done = _completed(offered)
        result = core.result(done)
        taken = offered is not None and core.ready(y_ready)
        row: Clock = {x.data: label, x.valid or "": int(offered is not None), x.ready or "": int(core.ready(y_ready))}
        row |= {x.last or "": int(complete)}
        row |= {y.data: result, y.valid or "": int(result is not None), y.ready or "": int(y_ready)}
        row |= {y.last or "": None if result is None else 1}
        found.append({name: value for name, value in row.items() if name})
        over += over > 0 or (result == last and y_ready)
        core.clock(done if taken else None, y_ready)
        todo = todo[1:] if taken else todo
    return found


def picture(interface: Interface, outside: Outside) -> Picture:
    """What ``handshake.svg`` shows."""
    speaks = outside.speaks
    if isinstance(speaks, Line):
        return _frames(interface, speaks)
    every = clocks(interface, outside, speaks)
    shown = _shortened(every)
    words = "1 clock" if speaks.latency == 1 else f"{speaks.latency} clocks"
    first = "A" if interface.transfers == 1 else f"A{interface.transfers - 1}"
    start = next(i for i, row in enumerate(shown) if row and _is_taken(row, speaks.x.data, first, speaks.x.ready))
    end = next(i for i, row in enumerate(shown) if row and row[speaks.y.data] == "A")
    beats = "".join("p" if i == 0 else "|" if not row else "." for i, row in enumerate(shown))
    waves = tuple(_wave(name, shown) for name in every[0])
    latency = f"latency {words}" if speaks.latency else "combinational"
    caption = f"{outside.top}: {latency}, {rate(interface.interval)}"
    measured = (start, end, words) if speaks.latency else None
    clock = [Wave(outside.clock, beats)] if outside.clock else []
    return Picture((*clock, *waves), caption, measured)


def _is_taken(row: Clock, port: str, label: str, ready: str | None) -> bool:
    return row[port] == label and (ready is None or row[ready] == 1)


def _shortened(every: Sequence[Clock]) -> list[Clock]:
    """An empty clock in place of the middle of each run of equal ones."""
    found: list[Clock] = []
    for row, same in groupby(every):
        count = len(list(same))
        found += [row] * count if count <= _SHOWN else [row, {}, row]
    return found


def _wave(name: str, shown: Sequence[Clock]) -> Wave:
    wave, data, before = "", [], object()
    for row in shown:
        if not row:
            wave += "|"
            continue
        value = row[name]
        if value == before:
            wave += "."
        elif isinstance(value, str):
            wave += "="
            data.append(value)
        else:
            wave += "x" if value is None else f"{value}"
        before = value
    return Wave(name, wave, tuple(data))


def _frames(interface: Interface, line: Line) -> Picture:
    """A request and its reply, byte by byte."""
    layout = interface.layout
    edges = ("7E", "CRC", "CRC", "7E")
    request = (edges[0], "01", "no.", "len", "len", "x", "…", "x", *edges[1:])
    reply = (edges[0], "81", "no.", "len", "len", "y", "…", *["clk"] * CLOCK_BYTES, *edges[1:])
    idle = len(request) + 1
    waves = (
        Wave(line.rx, f"1{'=' * len(request)}1{'.' * len(reply)}", request),
        Wave(line.tx, f"1{'.' * (idle - 1)}{'=' * len(reply)}1", reply),
    )
    sizes = f"{layout.sample_bytes} bytes of x a sample, {layout.result_bytes} a result"
    return Picture(waves, f"{line.rx}, {line.tx}: a byte a column, 8N1; {sizes}; RFC 1662 framing")


def wavedrom(shown: Picture) -> str:
    """The text of ``handshake.json``, for WaveDrom."""
    signals: list[dict[str, object]] = [
        {"name": wave.name, "wave": wave.wave} | ({"data": list(wave.data)} if wave.data else {})
        for wave in shown.waves
    ]
    document: dict[str, object] = {"signal": signals, "foot": {"text": shown.caption}}
    if shown.measured:
        start, end, words = shown.measured
        ends = {start: "a", end: "b"}
        signals.append({"node": "".join(ends.get(i, ".") for i in range(end + 1))})
        document["edge"] = [f"a<->b {words}"]
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
