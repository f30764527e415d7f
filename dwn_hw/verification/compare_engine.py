"""A folded engine in a simulator: everything that it writes, and when, recorded and then compared with the network.

Nothing of Python runs while it simulates, so that millions of clocks are a matter of seconds: ``sim/bench_engine.v`` is a
Verilog bench, the same for Verilator and Icarus, and records to files.
"""

from __future__ import annotations

import enum
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from dwn_hw import toolchain
from dwn_hw._progress import Progress, begin, silent, within
from dwn_hw.errors import ToolError
from dwn_hw.exports.reader import Exported
from dwn_hw.hardware import port_packing
from dwn_hw.hardware.folded import FoldedDesign
from dwn_hw.ir import evaluate, packing, vectors
from dwn_hw.verification import bench_builds
from dwn_hw.verification.bench_builds import BenchBuild
from dwn_hw.verification.benches import BEFORE, BEHIND, FIRST, TRACE, Counts
from dwn_hw.verification.mismatches import Difference
from dwn_hw.verification.verilog_places import Place

Codes = npt.NDArray[np.int64]

#: The fewest samples of the phases that do not run at full speed.
FEWEST = 2

#: Samples whose values on all edges are held in memory at once.
_BLOCK = 32


class Event(enum.StrEnum):
    """What ``sim/bench_engine.v`` writes of a clock, by the letter that begins the line."""

    BEGINS = "b"  #: the first code of a sample is taken
    FED = "e"  #: its last code is taken
    VALID = "v"  #: the result is there
    TAKEN = "y"  #: the result is taken
    CHANGED = "c"  #: a result changed, or went, while it waited
    RESET = "r"  #: the reset is over
    HANGS = "t"  #: no result came in time


@dataclass(frozen=True, slots=True)
class Phase:
    """A run: of 256 clocks, so many without a code, so many without taking a result; clocks in which reset is high."""

    name: str
    samples: int
    idle: int = 0
    stall: int = 0
    resets: tuple[int, ...] = ()


@dataclass(slots=True)
class Recording:
    """``writes`` (n, 3): step, address, value, −1 where the simulator said unknown. ``events``: (kind, clock, …)."""

    writes: Codes
    events: list[tuple[Event, int, int, str]] = field(repr=False)


class Bench:
    """A folded engine and vectors for it: :class:`dwn_hw.verification.benches.Bench`.

    ``slow_clocks``: of each phase that is not at full speed.
    """

    def __init__(
        self,
        exported: Exported,
        design: FoldedDesign,
        sources: tuple[Path, ...],
        stimulus: vectors.Vectors,
        slow_clocks: int,
    ) -> None:
        self.interface, self.design, self.sources, self.stimulus = exported.interface, design, sources, stimulus
        self.phases = phases(design, len(stimulus.codes), stimulus.seed, slow_clocks)

    def clocks(self) -> int:
        """About how many are simulated."""
        return sum(max(phase.samples * self.design.interval, *phase.resets, 0) for phase in self.phases)

    def build(self, place: Path, simulator: str) -> BenchBuild:
        """What is built in ``place``."""
        interface = self.interface
        bits = interface.input.bits
        macros = {"X_BITS": bits, "X_DIGITS": -(-bits // 4), "Y_BITS": interface.output.bits}
        macros |= {"TRANSFERS": interface.transfers}
        return BenchBuild(
            simulator, "bench_engine.v", self.sources, place / "build", {"TOP": interface.top, **macros}, "-O1"
        )

    def run(self, place: Path, simulator: str, timeout: float, progress: Progress = silent) -> Counts | Difference:
        """Simulate and compare; what was compared in each phase, or the first difference. Raises ToolError."""
        command = bench_builds.built(self.build(place, simulator), timeout, progress)
        begin(progress, f"simulating in {simulator}")
        counts = {}
        for i, phase in enumerate(self.phases):
            within(progress, phase.name.replace("_", " "), i, len(self.phases))
            order = self._order(i)
            codes = self.stimulus.codes[order]
            found = compare(self.design, phase, codes, self.record(command, i, place, timeout))
            if isinstance(found, Difference):
                return replace(found, vector=int(order[min(found.vector, len(order) - 1)]))
            counts[phase.name] = found
        return counts

    def place(self, found: Difference) -> Place | None:
        """The line of the bias of the output channel that differs, where one step makes all of its layer."""
        network, steps = self.design.network, self.design.schedule.steps
        own = [step for step in steps if step.edge and network.names()[step.edge - 1] == found.node]
        if len(own) != 1:
            return None
        row = sum(len(step.biases) for step in steps[: steps.index(own[0])])
        channel = found.unit // math.prod(network.edges()[own[0].edge].shape[1:])
        file = f"rtl/{self.interface.name}_biases.hex"
        return (
            Place(file, row + channel + 1, f"the bias of channel {channel}") if channel < len(own[0].biases) else None
        )

    def trace(self, place: Path, found: Difference | None, timeout: float) -> Path:
        """The waveform of the clocks before a difference, or of the first ones. Raises ToolError."""
        place.mkdir(parents=True, exist_ok=True)
        command = bench_builds.built(self.build(place, "icarus"), timeout, silent)
        index = next((i for i, phase in enumerate(self.phases) if found and phase.name == found.phase), 0)
        first = max(1, found.clock - BEFORE) if found else 1
        until = found.clock + BEHIND if found else FIRST
        words = [f"+trace={place.resolve() / TRACE}", f"+from={first}", f"+until={until}"]
        (place / TRACE).unlink(missing_ok=True)  # it may be a link
        self._play([*command, *words], index, place, timeout)
        return place / TRACE

    def record(self, command: list[str], index: int, place: Path, timeout: float) -> Recording:
        """Run a phase. Raises ToolError."""
        said = self._play(command, index, place, timeout)
        writes, events = place / "build" / "writes", place / "build" / "events"
        if not events.is_file():
            raise ToolError(f"the simulation recorded nothing; it said:\n{said[-2000:]}")
        found = Recording(_read_writes(writes), _read_events(events))
        for path in (writes, events):
            path.unlink()
        return found

    def _order(self, index: int) -> Codes:
        """Which vectors run in a phase, in which order."""
        count, phase = len(self.stimulus.codes), self.phases[index]
        order = np.arange(count)
        if phase.samples == count:
            return order
        return np.random.default_rng(self.stimulus.seed + index).permutation(order)[: phase.samples]

    def _play(self, command: list[str], index: int, place: Path, timeout: float) -> str:
        """Feed the codes of a phase; what was said."""
        phase, seed = self.phases[index], self.stimulus.seed + index
        codes = self.stimulus.codes[self._order(index)]
        folder = place.resolve() / "build"
        files = {name: folder / name for name in ("codes", "writes", "events", "resets")}
        files["codes"].write_text(packing.to_hex(port_packing.pack_input(codes, self.design)))
        files["resets"].write_text("".join(f"{clock}\n" for clock in phase.resets))
        for name in ("writes", "events"):
            files[name].unlink(missing_ok=True)
        # Several times what it should take: what hangs is to be found out.
        limit = min(1000 + 4 * (len(codes) + len(phase.resets) + 1) * self.design.interval, 2**31 - 2)
        numbers = {"samples": len(codes), "limit": limit, "idle": phase.idle, "stall": phase.stall}
        arguments = [f"+{name}={value}" for name, value in (files | numbers | {"seed": seed % (1 << 30)}).items()]
        # What the registers hold at first is random, so that nothing relies on it.
        arguments += ["+verilator+rand+reset+2", f"+verilator+seed+{seed % 10**9 + 1}"]
        # $readmemh looks in the folder that the simulation runs in.
        rtl = self.sources[0].parent
        return toolchain.run([*command, *arguments], name="simulation", cwd=rtl, clean=True, timeout=timeout)


def _read_writes(path: Path) -> Codes:
    raw = np.fromfile(path, np.uint8)
    if not len(raw):
        return np.empty((0, 3), np.int64)
    lines = raw.reshape(-1, int(np.argmax(raw == ord("\n"))) + 1)
    ends = [0, *(np.flatnonzero(lines[0] <= ord(" ")) + 1)]
    digit = np.full(256, -1, np.int64)
    for i, text in enumerate("0123456789abcdef"):
        digit[ord(text)] = i
    columns = []
    for start, end in itertools.pairwise(ends):
        digits = digit[lines[:, start : end - 1]]
        value = np.zeros(len(lines), np.int64)
        for column in digits.T:
            value = value * 16 + column
        columns.append(np.where((digits < 0).any(axis=1), -1, value))
    return np.stack(columns, axis=1)


def _read_events(path: Path) -> list[tuple[Event, int, int, str]]:
    found = []
    for line in path.read_text().splitlines():
        kind, clock, *rest = line.split()
        found.append((Event(kind), int(clock), int(rest[0]) if rest else 0, rest[1] if len(rest) > 1 else ""))
    return found


def phases(design: FoldedDesign, samples: int, seed: int, slow_clocks: int) -> tuple[Phase, ...]:
    """Full speed with all samples; then, with some, idle and back-pressure, resets at random, and resets in every step.

    ``slow_clocks``: about how many each of these takes, and at least two samples.
    """
    few = min(samples, max(FEWEST, slow_clocks // design.interval))
    rng = np.random.default_rng(seed)
    span = (few + 2) * design.interval
    # Codes that are still being fed must be interrupted too, however few clocks that takes of a sample.
    early = rng.integers(3, 3 + 2 * design.transfers, 2)
    resets = tuple(sorted({*early.tolist(), *rng.integers(3, span, min(20, 2 * few)).tolist()}))
    return (
        Phase("full_speed", samples),
        Phase("idle_and_back_pressure", few, 100, 220),
        Phase("reset_in_mid_sample", few, 30, 100, resets),
        Phase("reset_in_each_step", min(samples, FEWEST), resets=_in_each_step(design, rng, slow_clocks)),
    )


def _in_each_step(design: FoldedDesign, rng: np.random.Generator, slow_clocks: int) -> tuple[int, ...]:
    """The clocks of resets that interrupt each step in each clock; in its first, its last and some other ones if steps are long.

    Codes come without a pause in this phase, so that it is known when a step begins: after a reset, the two clocks until the
    bench offers a code, and the transfers.
    """
    behind = [design.schedule.behind] if design.schedule.behind else []
    clocks = [*(design.schedule.clocks(step) for step in design.schedule.steps), *behind]
    begins = list(itertools.accumulate(clocks, initial=1))[:-1]
    some = [int(rng.integers(count)) for count in clocks]
    # While a step's last numbers leave the pipeline, each clock has another register that a reset must clear.
    leaving = [range(max(0, count - design.schedule.flush - 2), count) for count in clocks]
    waits: list[int] = []
    for places in (
        [list(range(count)) for count in clocks],
        [sorted({0, one, *last}) for one, last in zip(some, leaving, strict=True)],
        [sorted({0, one, count - 1}) for one, count in zip(some, clocks, strict=True)],
        [[one] for one in some],
    ):
        waits = [begin + at for begin, several in zip(begins, places, strict=True) for at in several]
        if sum(waits) <= slow_clocks:
            break
    return tuple(itertools.accumulate(2 + design.transfers + wait for wait in waits))


def compare(design: FoldedDesign, phase: Phase, codes: Codes, recording: Recording) -> Difference | dict[str, int]:
    """The first difference, or what was compared: every write of every step, every result, every clock count."""

    def different(node: str, expected: object, got: object, unit: int = 0) -> Difference:
        return Difference(phase.name, vector, node, unit, expected, got, clock)

    counts = {"results": 0, "node_values": 0, "clocks": recording.events[-1][1], "resets": 0, "timings": 0}
    due = _Due(design, codes)
    vector, position, clock = 0, 0, 0
    begun: int | None = None
    fed: int | None = None
    took: int | None = None
    for kind, clock, writes, payload in recording.events:
        match kind:
            case Event.BEGINS:
                if begun is not None and phase.name == "full_speed":
                    counts["timings"] += 1
                    if clock - begun != design.interval:
                        return different("interval in clocks", design.interval, clock - begun)
                begun = clock
            case Event.FED:
                fed = clock
            case Event.VALID:
                if fed is not None:
                    counts["timings"] += 1
                    took = clock - fed
            case Event.TAKEN | Event.RESET:
                rows = recording.writes[position:writes]
                position = writes
                found = due.compare(vector, rows, whole=kind is Event.TAKEN)
                if found is not None:
                    name, unit, expected, got = found
                    return different(name, expected, got, unit)
                counts["node_values"] += len(rows)
                if kind is Event.RESET:
                    counts["resets"], begun, fed = counts["resets"] + 1, None, None
                    continue
                if payload != due.result(vector):
                    return different("result", due.result(vector), payload)
                # Last: where values differ too, they say more.
                if took not in (None, design.latency):
                    return different("latency in clocks", design.latency, took)
                vector, counts["results"] = vector + 1, counts["results"] + 1
            case Event.CHANGED:
                return different("result while it waits", "no change", "another")
            case Event.HANGS:
                return different("result", "one", f"none within {clock} clocks")
            case _:
                assert_never(kind)
    if vector != len(codes):
        return Difference(phase.name, vector, "result", 0, f"{len(codes)} results", vector, clock)
    return counts


class _Due:
    """What each sample must have written, computed in blocks."""

    def __init__(self, design: FoldedDesign, codes: Codes) -> None:
        self.design, self.codes, self.plan = design, codes, design.schedule
        self.start = -1
        self.values: tuple[Codes, ...] = ()
        self.results: list[str] = []

    def _load(self, vector: int) -> int:
        start = vector - vector % _BLOCK
        if start != self.start:
            self.start = start
            self.values = evaluate.trace(self.design.network, self.codes[start : start + _BLOCK])
            self.results = packing.to_hex(port_packing.pack_output(self.values, self.design)).split()
        return vector - start

    def result(self, vector: int) -> str:
        """The packed result, in hexadecimal."""
        return self.results[self._load(vector)]

    def compare(self, vector: int, rows: Codes, whole: bool) -> tuple[str, int, object, object] | None:
        """(node, unit, expected, got) of the first of ``rows`` that is not due; all must be there if ``whole``."""
        at = self._load(vector) if vector < len(self.codes) else None
        if at is None:
            return ("order", 0, "no write", len(rows)) if len(rows) else None
        mask = (1 << self.plan.written.bits) - 1
        for name, step, own in self._by_step(rows):
            wanted = self.values[self.plan.steps[step].edge][at].reshape(-1)
            known = np.isin(own[:, 1], self.plan.steps[step].places())
            places = np.where(known, own[:, 1], 0)
            expected = wanted[places] & mask
            wrong = np.flatnonzero(~known | (own[:, 2] != expected) | (own[:, 0] != step))
            if len(wrong):
                first = int(wrong[0])
                got = int(own[first, 2]) if known[first] and own[first, 2] >= 0 else "unknown"
                return name, int(own[first, 1]), int(wanted[places[first]]), _signed(got, mask, int(wanted.min()))
            if len(set(own[:, 1].tolist())) != len(own):
                return name, 0, "every unit once", "a unit twice"
            due = self.plan.steps[step].size
            if len(own) != due and whole:
                return name, 0, f"{due} units", f"{len(own)}"
        total = sum(step.size for step in self.plan.steps)
        return (
            ("order", 0, f"{total} writes", f"{len(rows)}")
            if len(rows) > total or (whole and len(rows) != total)
            else None
        )

    def _by_step(self, rows: Codes) -> Iterator[tuple[str, int, Codes]]:
        position = 0
        names = self.design.network.names()
        for i, step in enumerate(self.plan.steps):
            own = rows[position : position + step.size]
            position += step.size
            if len(own):
                yield (names[step.edge - 1] if step.edge else "input"), i, own


def _signed(got: int | str, mask: int, least: int) -> Any:
    return got - mask - 1 if isinstance(got, int) and least < 0 and got > mask >> 1 else got
