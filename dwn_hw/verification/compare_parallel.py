"""A parallel design in a simulator: what its pins and each of its parts hold in each clock, against what the network gives.

The bench (``sim/bench_core.v``) only plays clocks and records them; :mod:`dwn_hw.verification.clock_plan` says which vector is
where. So no Python runs while the design is simulated, and all values of a part are compared at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dwn_hw import toolchain
from dwn_hw._progress import Progress, begin, silent, within
from dwn_hw.errors import ToolError
from dwn_hw.exports.reader import Exported
from dwn_hw.hardware import port_packing
from dwn_hw.hardware.design import ParallelDesign
from dwn_hw.hardware.interface import Interface
from dwn_hw.ir import evaluate, packing, vectors
from dwn_hw.verification import bench_builds, clock_plan, hex_rows, verilog_places
from dwn_hw.verification.bench_builds import BenchBuild
from dwn_hw.verification.benches import BEFORE, BEHIND, FIRST, TRACE, Counts
from dwn_hw.verification.mismatches import Difference
from dwn_hw.verification.verilog_places import Place

Bytes = npt.NDArray[np.uint8]

#: Samples for which all nodes are held in memory at once while expected values are computed.
_BLOCK = 2048

#: Bits of a word of x in a file of clocks, and what a bench says of its progress.
_WORD, _COUNT = 1024, re.compile(r"@ (\d+)")


@dataclass(frozen=True, slots=True)
class Pin:
    """What is recorded of each clock: a ``wire`` of the bench, of so many ``bits``, in entries of ``width`` bits."""

    name: str
    wire: str
    bits: int
    width: int

    @property
    def units(self) -> int:
        """How many entries."""
        return self.bits // self.width


@dataclass(frozen=True, slots=True)
class _Seen:
    """A pin, what it must hold: ``rows[vector]``, in which clocks, of which vectors."""

    pin: Pin
    rows: Bytes
    clocks: clock_plan.Ints
    vectors: clock_plan.Ints


class Bench:
    """A parallel design and vectors for it: :class:`dwn_hw.verification.benches.Bench`.

    ``slow``: vectors of each slow run. ``inside``: whether the parts' modules are there to be looked into, or only the ports.
    """

    def __init__(
        self,
        exported: Exported,
        design: ParallelDesign,
        sources: tuple[Path, ...],
        stimulus: vectors.Vectors,
        slow: int,
        inside: bool = True,
    ) -> None:
        self.exported, self.interface, self.design = exported, exported.interface, design
        self.sources, self.inside = sources, inside
        self.codes, self.seed, self.slow = stimulus.codes, stimulus.seed, slow
        self.pins = clock_plan.Pins(
            self.interface.has_streams, bool(self.interface.reset), design.latency, design.interval
        )
        self.plan = clock_plan.make(self.pins, len(self.codes), slow, self.seed)

    def clocks(self) -> int:
        """How many are simulated."""
        return len(self.plan.offered)

    def build(self, place: Path, simulator: str) -> BenchBuild:
        """What is built in ``place``."""
        return BenchBuild(
            simulator, "bench_core.v", self.sources, place / "build", _macros(self.interface, self._recorded())
        )

    def run(self, place: Path, simulator: str, timeout: float, progress: Progress = silent) -> Counts | Difference:
        """Simulate and compare; what was compared in each phase, or the first difference. Raises ToolError."""
        command = bench_builds.built(self.build(place, simulator), timeout, progress)
        begin(progress, f"simulating in {simulator}")
        expected = expected_rows(self.design, self.codes)
        # What the registers hold at first is random, so that nothing relies on it.
        command += ["+verilator+rand+reset+2", f"+verilator+seed+{self.seed % 10**9 + 1}"]
        folder = place / "build"
        said = self._play(folder, command, expected["x"], timeout, _counting(progress, self.clocks()))
        found = self._compare(expected, self._lines(folder / "seen", said))
        for name in ("clocks", "seen"):
            (folder / name).unlink()
        return found

    def place(self, found: Difference) -> Place | None:
        """The line that drives the lowest bit that differs; of a netlist none."""
        return verilog_places.find(self.exported, found.node, found.bit) if self.inside else None

    def trace(self, place: Path, found: Difference | None, timeout: float) -> Path:
        """The waveform around a difference, or of the first clocks. Raises ToolError."""
        place.mkdir(parents=True, exist_ok=True)
        command = bench_builds.built(self.build(place, "icarus"), timeout, silent)
        first = max(1, found.clock - BEFORE) if found else 1
        until = min(found.clock + BEHIND if found else FIRST, self.clocks())
        command += [f"+trace={place.resolve() / TRACE}", f"+from={first}", f"+until={until}"]
        (place / TRACE).unlink(missing_ok=True)  # it may be a link
        self._play(place / "build", command, expected_rows(self.design, self.codes)["x"], timeout, None)
        return place / TRACE

    def _play(self, folder: Path, command: list[str], x: Bytes, timeout: float, heard: toolchain.Heard | None) -> str:
        (folder / "clocks").write_bytes(_clock_lines(self.plan, x, self.pins, self.seed))
        words = [*command, "+clocks=clocks", "+seen=seen"]
        return toolchain.run(words, name="simulation", cwd=folder, clean=True, timeout=timeout, heard=heard)

    def _recorded(self) -> list[Pin]:
        """All that is recorded, in the order in which differences are looked for: handshake, parts, result."""
        streams = [Pin(name, name, 1, 1) for name in ("y_valid", "x_ready")] if self.pins.streams else []
        output = self.interface.output
        result = Pin("result", "y", output.bits, output.fields[0].bits)
        return [*streams, *(pin for pin, _, _ in self.parts()), result]

    def parts(self) -> list[tuple[Pin, int, int]]:
        """Each part's pin, the clocks behind the codes, its node."""
        edges, found = self.design.network.edges(), []
        for i, stage in enumerate(self.design.pipeline.stages if self.inside else ()):
            # What a streamed encoder gives are its own flip-flops.
            clocks = self.design.pipeline.before(i) + (i == 0 and bool(self.design.stream))
            edge = edges[stage.node + 1]
            width = edge.formats[0].bits
            pin = Pin(stage.name, f"dut.core.{stage.name}.y", width * edge.size, width)
            found.append((pin, clocks, stage.node))
        return found

    def _lines(self, path: Path, said: str) -> Bytes:
        """What was recorded: a row of characters a clock."""
        clocks = self.clocks()
        width = sum(hex_rows.digits(pin.bits) + 1 for pin in self._recorded())
        if not path.is_file() or path.stat().st_size != clocks * width:
            raise ToolError(f"the simulation did not record {clocks} clocks; it said:\n{said[-2000:]}")
        return np.memmap(path, np.uint8, "r", shape=(clocks, width))

    def _compare(self, expected: dict[str, Bytes], lines: Bytes) -> Counts | Difference:
        plan, found, at = self.plan, [], 0
        for seen in self._due(expected):
            end = at + hex_rows.digits(seen.pin.bits)
            wrong = np.flatnonzero((lines[seen.clocks, at:end] != seen.rows[seen.vectors]).any(axis=1))
            if len(wrong):
                first = int(wrong[0])
                clock, row = int(seen.clocks[first]), seen.rows[seen.vectors[first]]
                unit, wanted, got = hex_rows.first_difference(row, np.asarray(lines[clock, at:end]), seen.pin.width)
                phase = next(name for name, start, end in plan.phases if start <= clock < end)
                vector = int(plan.offered[clock]) if seen.pin.wire in ("y_valid", "x_ready") else seen.vectors[first]
                found.append(Difference(phase, int(vector), seen.pin.name, unit, wanted, got, clock, seen.pin.width))
            at = end + 1
        return min(found, key=lambda one: one.clock) if found else self._counts()

    def _due(self, expected: dict[str, Bytes]) -> list[_Seen]:
        """What is compared, in the order of :meth:`_recorded`; in a reset nothing is."""
        plan = self.plan
        runs = np.flatnonzero(plan.reset == 0)
        last = plan.behind(self.pins.latency)
        moves = plan.advances(self.pins) if self.pins.latency else plan.ready == 1
        found = []
        streams, result = self._recorded()[: 2 * self.pins.streams], self._recorded()[-1]
        levels = np.array([[ord("0")], [ord("1")]], np.uint8)
        for pin, level in zip(streams, (last != clock_plan.NONE, moves), strict=False):
            found.append(_Seen(pin, levels, runs, level[runs].astype(np.int64)))
        for pin, clocks, node in self.parts():
            vectors = plan.behind(clocks)[runs]
            rows = hex_rows.to_text(expected[f"node{node}"], pin.bits)
            known = vectors != clock_plan.NONE
            found.append(_Seen(pin, rows, runs[known], vectors[known]))
        known = last[runs] != clock_plan.NONE
        rows = hex_rows.to_text(expected["y"], result.bits)
        return [*found, _Seen(result, rows, runs[known], last[runs][known])]

    def _counts(self) -> Counts:
        plan = self.plan
        last, moves = plan.behind(self.pins.latency), plan.advances(self.pins)
        counts = {}
        for name, start, end in plan.phases:
            runs = np.arange(start, end)[plan.reset[start:end] == 0]
            given = (last[runs] != clock_plan.NONE) & ((plan.ready[runs] == 1) | (not self.pins.streams))
            values = sum(
                pin.units * int((plan.behind(clocks)[runs] != clock_plan.NONE).sum()) for pin, clocks, _ in self.parts()
            )
            counts[name] = {
                "clocks": end - start,
                "results": int(given.sum()),
                "node_values": values,
                "stalled": int((~moves[runs]).sum()),
                "idle": int((plan.offered[runs] == clock_plan.NONE).sum()),
                "resets": end - start - len(runs),
            }
        return counts


def _macros(interface: Interface, recorded: list[Pin]) -> dict[str, str | int]:
    """What ``sim/bench_core.v`` is told of a design."""
    suffix = "_payload" if interface.has_streams else ""
    ports = {f"x{suffix}": "x", f"y{suffix}": "y"}
    names = ("x_valid", "x_ready", "y_valid", "y_ready") if interface.has_streams else ()
    ports |= {name: name for name in names} | {pin: pin for pin in ("clk", "rst") if _has(interface, pin)}
    return {
        "TOP": interface.top,
        "PORTS": ", ".join(f".{port}({wire})" for port, wire in ports.items()),
        "X_BITS": interface.input.bits,
        "Y_BITS": recorded[-1].bits,
        "SEEN": ", ".join(pin.wire for pin in recorded),
        "FORMAT": '"' + " ".join(["%h"] * len(recorded)) + '\\n"',
    }


def _has(interface: Interface, pin: str) -> bool:
    return bool(interface.clock if pin == "clk" else interface.reset)


def _clock_lines(plan: clock_plan.Clocks, x: Bytes, pins: clock_plan.Pins, seed: int) -> bytes:
    """The file of clocks that the bench plays; where nothing is on offer, x is all zeros or all ones, at random."""
    clocks = np.arange(len(plan.offered))
    late = clocks % clock_plan.LATE == 0
    controls = 8 * late + 4 * plan.reset + 2 * plan.ready + (plan.offered != clock_plan.NONE)
    ones = np.random.default_rng(seed).integers(0, 2, len(clocks)) * 255
    rows = x[np.where(plan.offered == clock_plan.NONE, 0, plan.offered * pins.interval + plan.word)]
    rows = np.where((plan.offered == clock_plan.NONE)[:, None], ones[:, None].astype(np.uint8), rows)
    space = np.full((len(clocks), 1), ord(" "), np.uint8)
    columns = [hex_rows.to_text(controls[:, None].astype(np.uint8), 4)]
    for start in range(0, rows.shape[1], _WORD // 8):
        word = rows[:, start : start + _WORD // 8]
        columns += [space, hex_rows.to_text(word, 8 * word.shape[1])]
    columns.append(np.full((len(clocks), 1), ord("\n"), np.uint8))
    return np.concatenate(columns, axis=1).tobytes()


def expected_rows(design: ParallelDesign, codes: npt.NDArray[np.int64]) -> dict[str, Bytes]:
    """Packed rows, one a vector, lowest bit first: every node's output and the port ``y``; of the port ``x`` one a transfer."""
    network = design.network
    edges = network.edges()
    blocks: dict[str, list[Bytes]] = {}
    for start in range(0, len(codes), _BLOCK):
        values = evaluate.trace(network, codes[start : start + _BLOCK])
        bits = [packing.pack(value, edge) for value, edge in zip(values, edges, strict=True)]
        rows = {"x": port_packing.pack_input(values[0], design), **{f"node{i}": row for i, row in enumerate(bits[1:])}}
        rows["y"] = port_packing.pack_output(values, design)
        for name, row in rows.items():
            blocks.setdefault(name, []).append(np.packbits(row, axis=1, bitorder="little"))
    return {name: np.concatenate(parts) for name, parts in blocks.items()}


def _counting(progress: Progress, total: int) -> toolchain.Heard:
    """Tell how many clocks a bench says it has played."""

    def heard(line: str) -> bool:
        found = _COUNT.fullmatch(line)
        if found:
            within(progress, f"{int(found[1]):,} of {total:,} clocks", int(found[1]), total)
        return found is not None

    return heard
