"""What a design takes on a 7-series FPGA: LUTs by part, carry cells, sites, flip-flops and levels, from yosys' netlist.

**LUT** is every cell LUT1 … LUT6, LUT6_2 and INV. Two small LUTs that could share a site count as two, for everyone.

**Sites** make carries comparable with LUTs. A carry position (a quarter of a CARRY4) lies beside one LUT, which drives its S
pin. If a counted LUT drives it, the position costs nothing more; if an input, a flip-flop or a constant does, the LUT beside
it only passes that on, and is used up without being counted. So ``sites = LUTs + carry positions in use - LUTs that drive an
S pin``, each such LUT once: a LUT that drives two is needed in two places. A position is in use if it, or one above it in
its CARRY4, gives something that is read.

**Levels**: cells (LUT, MUXF, CARRY4) on the longest path between registers or ports.
"""

from __future__ import annotations

import functools
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rivals

COMMAND = "synth_xilinx -flatten -noiopad"

KINDS = {"LUT": r"LUT[1-6]|LUT6_2|INV", "CARRY4": r"CARRY4", "MUXF": r"MUXF[78]", "FF": r"FD[RSCP]E"}


@dataclass(frozen=True, slots=True)
class Count:
    """A design's cells; ``parts``: LUTs and CARRY4s of each part, which add up to the whole."""

    lut: int
    carry: int
    sites: int
    mux: int
    ff: int
    levels: int
    parts: dict[str, tuple[int, int]]


#: The part that a cell of a netlist belongs to.
PartOf = Callable[["Netlist", str], str]


class Netlist:
    """The flattened module ``top`` of a netlist that yosys wrote: ``cells`` by name, who drives and who reads each net."""

    def __init__(self, path: Path, top: str) -> None:
        module = json.loads(path.read_text())["modules"][top]
        self.cells: dict[str, dict[str, Any]] = {}
        self.kind: dict[str, str] = {}
        self.driver: dict[int, str] = {}
        self.readers: dict[int, list[str]] = {}
        self.ports = {bit for port in module["ports"].values() if port["direction"] == "output" for bit in port["bits"]}
        for name, cell in module["cells"].items():
            kind = next((kind for kind, cells in KINDS.items() if re.fullmatch(cells, cell["type"])), None)
            if kind is None:
                continue
            self.cells[name], self.kind[name] = cell, kind
            for bit in self.outputs(name):
                self.driver[bit] = name
            for bit in self.inputs(name):
                self.readers.setdefault(bit, []).append(name)
        sys.setrecursionlimit(100_000)

    def inputs(self, name: str) -> list[int]:
        """Nets that a cell reads; constants left out."""
        return self._bits(name, "input")

    def outputs(self, name: str) -> list[int]:
        """Nets that a cell drives."""
        return self._bits(name, "output")

    def _bits(self, name: str, direction: str) -> list[int]:
        cell = self.cells[name]
        pins = (pin for pin, way in cell["port_directions"].items() if way == direction)
        return [bit for pin in pins for bit in cell["connections"].get(pin, ()) if isinstance(bit, int)]

    def of_kind(self, kind: str) -> list[str]:
        """Names of the cells of a kind."""
        return [name for name, own in self.kind.items() if own == kind]

    def sites(self) -> int:
        """As defined above."""
        positions, sharing = 0, set()
        for name in self.of_kind("CARRY4"):
            pins = self.cells[name]["connections"]
            read = [i for i in range(4) if any(self._is_read(pins[pin][i]) for pin in ("O", "CO") if pin in pins)]
            used = pins["S"][: max(read, default=-1) + 1]
            positions += len(used)
            sharing |= {driver for bit in used if self.kind.get(driver := self.driver.get(bit, "")) == "LUT"}
        return len(self.of_kind("LUT")) + positions - len(sharing)

    def _is_read(self, bit: int | str) -> bool:
        return bit in self.ports or bit in self.readers

    def levels(self) -> int:
        """As defined above."""

        @functools.cache
        def level(name: str) -> int:
            below = (self.driver.get(bit) for bit in self.inputs(name))
            return 1 + max((level(cell) for cell in below if cell and self.kind[cell] != "FF"), default=0)

        return max((level(name) for name, kind in self.kind.items() if kind != "FF"), default=0)

    @functools.cached_property
    def rank(self) -> Callable[[str], int]:
        """Of a cell: how many registers lie between it and the outputs."""

        @functools.cache
        def rank(name: str) -> int:
            nets = self.outputs(name)
            return max((self._rank_of(reader, rank) for bit in nets for reader in self.readers.get(bit, ())), default=0)

        return rank

    def _rank_of(self, reader: str, rank: Callable[[str], int]) -> int:
        return rank(reader) + (self.kind[reader] == "FF")


def by_register(parts: Sequence[str]) -> PartOf:
    """For a design with a register after each of its ``parts``: a cell belongs to the part whose register it leads to."""
    return lambda netlist, name: parts[-netlist.rank(name)]


def by_name(parts: Sequence[str]) -> PartOf:
    """For a design whose cells keep the names of their instances: ``core.popcount.g0_w1_2``, or ``core.popcount_s1.…``."""
    pattern = re.compile(rf"(?:.*\.)?({'|'.join(parts)})(?:_s\d+)?\..*")
    return lambda netlist, name: found[1] if (found := pattern.fullmatch(name)) else "other"


def count(design: rivals.Verilog, folder: Path, part_of: PartOf | None = None, extra: str = "") -> Count:
    """Synthesise in ``folder``, a new one, and count."""
    read = design.copy_to(folder)
    rivals.yosys(f"{read}; {COMMAND} {extra} -top {design.top}; write_json netlist.json", folder)
    netlist = Netlist(folder / "netlist.json", design.top)
    kinds = Counter(netlist.kind.values())
    return Count(
        kinds["LUT"],
        kinds["CARRY4"],
        netlist.sites(),
        kinds["MUXF"],
        kinds["FF"],
        netlist.levels(),
        _parts(netlist, part_of),
    )


def _parts(netlist: Netlist, part_of: PartOf | None) -> dict[str, tuple[int, int]]:
    if part_of is None:
        return {}
    found = Counter((part_of(netlist, name), kind) for name, kind in netlist.kind.items() if kind in ("LUT", "CARRY4"))
    return {part: (found[part, "LUT"], found[part, "CARRY4"]) for part in sorted({part for part, _ in found})}


def show_parts(counted: Mapping[str, tuple[int, int]], part: str) -> str:
    """LUTs of a part, and its CARRY4s if it has any: ``188 + 64c``."""
    lut, carry = counted.get(part, (0, 0))
    return f"{lut} + {carry}c" if carry else str(lut)
