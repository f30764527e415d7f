"""Fmax of designs on ECP5 after place and route, in a wrapper that is the same for every design.

    python benchmarks/fmax.py VERILOG_FOLDER ... [--top dwn_top] [--seeds 5]

The wrapper: one shift register, fed by one pin, holds all inputs of the design but its clock; all outputs are registered, and
the XOR of those registers is registered again and drives one pin. So every path of the design runs from register to register,
no pin's delay counts, nothing of it is constant or unread, and the wrapper's own paths are one hop or one XOR. Whether one of
those was ever the critical path is checked for each seed, and said.

``synth_ecp5``, then nextpnr-ecp5 with seeds 1, 2, …, on the 25k device, or on the 85k for all if one design is too large; Fmax
is what the report gives after routing; the median of the seeds counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rivals

CELLS = ("LUT4", "CCU2C", "PFUMX", "L6MUX21", "TRELLIS_FF")

#: LUT sites, and as many flip-flops, that a design may take on the 25k device: 85 % of what it has.
ROOM_25K = 20_600

WRAPPER = """
module bench (input wire clk, input wire si, output wire so);
  (* keep *) reg [{last_in}:0] bench_in;
  (* keep *) reg [{last_out}:0] bench_out;
  reg bench_so;
  wire [{last_out}:0] outputs;
  always @(posedge clk) begin
    bench_in <= {{bench_in, si}};
    bench_out <= outputs;
    bench_so <= ^bench_out;
  end
  assign so = bench_so;
  {top} dut ({connections});
endmodule
"""


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """Registers at both ends, ``luts`` and ``carries`` between them, ns of ``logic`` (setup included) and of ``wires``.

    A register is called by a wire that it drives, mostly an input of what reads it: ``popcount.lut_g3_w2_1.A`` stands before
    the popcount.
    """

    start: str
    end: str
    luts: int
    carries: int
    logic: float
    wires: float

    @property
    def of_wrapper(self) -> bool:
        """Whether no logic of the design is on it."""
        return self.luts + self.carries == 0 or self.end in ("bench_in", "bench_so")

    def __str__(self) -> str:
        cells = f"{self.luts} LUT or mux, {self.carries} carry, {self.logic:.2f} ns in cells, {self.wires:.2f} in wires"
        return f"{self.start} -> {self.end}: {cells}"


@dataclass(frozen=True, slots=True)
class Measured:
    """``fmax`` in MHz and the critical ``paths``, one a seed; ``cells`` by type, without the wrapper's flip-flops.

    ``sites``: what the LUTs and carry cells occupy, two for a CCU2C, as nextpnr counts them. The wrapper's XOR is in them.
    """

    fmax: tuple[float, ...]
    paths: tuple[CriticalPath, ...]
    cells: dict[str, int]
    sites: int
    device: str

    @property
    def median(self) -> float:
        """MHz."""
        return statistics.median(self.fmax)

    @property
    def middle(self) -> CriticalPath:
        """The critical path of the seed that gave the median."""
        return self.paths[sorted(range(len(self.fmax)), key=self.fmax.__getitem__)[len(self.fmax) // 2]]

    def __str__(self) -> str:
        cells = ", ".join(f"{cell} {count}" for cell, count in self.cells.items())
        own = sum(path.of_wrapper for path in self.paths)
        return (
            f"median {self.median:.1f} MHz of {', '.join(f'{f:.1f}' for f in self.fmax)} on {self.device}\n"
            f"    {cells}; {self.sites} LUT sites\n"
            f"    critical: {self.middle}\n"
            f"    the wrapper's own path was critical in {own} of {len(self.paths)} runs"
        )


def measure(designs: Mapping[str, rivals.Verilog], seeds: int = 5) -> dict[str, Measured]:
    """Each design synthesised once, placed and routed once a seed, all on the same device."""
    with tempfile.TemporaryDirectory() as temporary:
        folders = {name: Path(temporary) / str(i) for i, name in enumerate(designs)}
        cells = {name: _synthesize(designs[name], folder) for name, folder in folders.items()}
        size = max(max(c["LUT4"] + 2 * c["CCU2C"], c["TRELLIS_FF"]) for c in cells.values())
        device = "25k" if size <= ROOM_25K else "85k"
        return {name: _measure(folder, cells[name], device, seeds) for name, folder in folders.items()}


def wrapper(design: rivals.Verilog) -> str:
    """The wrapper's Verilog."""
    connections, used = [], {"input": 0, "output": 0}
    for direction, name, width in design.ports():
        if name == "clk":
            connections.append(".clk(clk)")
            continue
        low = used[direction]
        used[direction] += width
        vector = "bench_in" if direction == "input" else "outputs"
        connections.append(f".{name}({vector}[{low + width - 1}:{low}])")
    last = {"last_in": used["input"] - 1, "last_out": used["output"] - 1}
    return WRAPPER.format(top=design.top, connections=", ".join(connections), **last)


def _synthesize(design: rivals.Verilog, folder: Path) -> dict[str, int]:
    """``bench.json`` in ``folder``; its cells by type."""
    read = design.copy_to(folder)
    (folder / "bench.v").write_text(wrapper(design))
    rivals.yosys(f"{read}; synth_ecp5 -top bench -json bench.json; tee -q -o stat.json stat -json", folder)
    counted = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
    return {cell: counted.get(cell, 0) for cell in CELLS}


def _measure(folder: Path, cells: dict[str, int], device: str, seeds: int) -> Measured:
    # Two at a time: nextpnr uses one core.
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda seed: _route(folder, device, seed), range(1, seeds + 1)))
    registers = _registers(json.loads((folder / "bench.json").read_text())["modules"]["bench"])
    own = sum(name.startswith("bench_") for name in registers.values())
    return Measured(
        tuple(next(iter(report["fmax"].values()))["achieved"] for report in reports),
        tuple(_critical(report, registers) for report in reports),
        {**cells, "TRELLIS_FF": cells["TRELLIS_FF"] - own},
        reports[0]["utilization"]["TRELLIS_COMB"]["used"],
        device,
    )


def _route(folder: Path, device: str, seed: int) -> dict[str, Any]:
    report = f"report{seed}.json"
    options = ["--json", "bench.json", f"--{device}", "--package", "CABGA381", "--seed", str(seed), "--freq", "400"]
    rivals.nextpnr_ecp5(folder, *options, "--timing-allow-fail", "--report", report, "-q")
    found: dict[str, Any] = json.loads((folder / report).read_text())
    return found


def _registers(module: dict[str, Any]) -> dict[str, str]:
    """What each flip-flop's output is called: by the wrapper, else by the source; of several names, the shortest."""
    names: dict[int, list[str]] = {}
    for name, net in module["netnames"].items():
        for bit in net["bits"]:
            names.setdefault(bit, []).append(name.removeprefix("dut."))

    def rank(name: str) -> tuple[bool, int]:
        return not name.startswith("bench_"), len(name)

    flip_flops = {name: cell for name, cell in module["cells"].items() if cell["type"] == "TRELLIS_FF"}
    return {name: min(names[cell["connections"]["Q"][0]], key=rank) for name, cell in flip_flops.items()}


def _critical(report: dict[str, Any], registers: dict[str, str]) -> CriticalPath:
    """The path from clock to clock; the report lists those to and from pins as well."""
    steps = next(p for p in report["critical_paths"] if "async" not in p["from"] + p["to"])["path"]
    delay: Counter[str] = Counter()
    for step in steps:
        delay["wires" if step["type"] == "routing" else "logic"] += step["delay"]
    logic = [step for step in steps if step["type"] == "logic"]
    carries = sum("FCO" in step["to"]["port"] or "FCI" in step["from"]["port"] for step in logic)
    ends = (registers[steps[i]["to"]["cell"]] for i in (0, -1))
    return CriticalPath(*ends, len(logic) - carries, carries, delay["logic"], delay["wires"])


def main() -> None:
    """Measure the designs in the folders given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="VERILOG_FOLDER")
    parser.add_argument("--top", default="dwn_top")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    designs = {str(folder): rivals.Verilog(folder, arguments.top) for folder in arguments.folders}
    for name, measured in measure(designs, arguments.seeds).items():
        print(f"{name}\n    {measured}")


if __name__ == "__main__":
    main()
