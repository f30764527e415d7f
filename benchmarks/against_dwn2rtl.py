"""dwn-hw beside dwn2rtl: the same checkpoint, the same input words, the same commands of the same tools, in one run.

    python benchmarks/against_dwn2rtl.py --cache FOLDER [--data FOLDER] [--nets jsc t200 …] [--no-fmax] [--portable]

For each net (:mod:`nets`): LUTs by part, carries, sites, flip-flops and levels on a 7-series FPGA (:mod:`counting`), the
seconds that each tool takes from checkpoint to Verilog, and Fmax on ECP5 in one wrapper (:mod:`fmax`), both tools at their
default pipeline and dwn-hw pipelined for a clock.

dwn2rtl's port carries scaled features in words of its own choice. dwn-hw is shown with those same words (``--no-scaler``: the
same job), compared on all of dwn2rtl's own test vectors first, and with its own port (unscaled features: the whole job).
Nets with enough training samples are also shown calibrated: the narrowest words that keep every prediction of 10,000 of them.
``--portable`` adds its Verilog without Xilinx' cells, which yosys maps again.

Needs ``pip install -c constraints.txt -e '.[bench]'``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import counting
import fmax
import nets
import rivals

RIVAL, SAME, OWN = "dwn2rtl", "dwn-hw, same words", "dwn-hw, own port"
CALIBRATED = "dwn-hw, calibrated"

#: Options of ``dwn-hw export`` for counting on 7 series.
XC7 = ["--target", "xc7"]

#: The designs whose Fmax is measured on ECP5, by name: their options besides the words. The last one gives the ratios.
PIPELINED = "dwn-hw, --clock-mhz 150"
ECP5 = {SAME: ["--target", "ecp5"], PIPELINED: ["--target", "ecp5", "--clock-mhz", "150"]}


def count(name: str, checkpoint: Path, place: Path, data: Path, portable: bool, extra: str) -> dict[str, object]:
    """Print what each design takes on 7 series; the ratios dwn-hw / dwn2rtl."""
    rival = rivals.dwn2rtl(checkpoint, place / "dwn2rtl")
    designs = {
        SAME: rivals.dwn_hw(checkpoint, place / "same", *rival.same_port(), *XC7),
        OWN: rivals.dwn_hw(checkpoint, place / "own", *nets.own_port(name), *XC7),
    }
    print(f"words {rival.form}; equal on dwn2rtl's {rivals.compare(rival, designs[SAME])} test vectors\n")
    samples = nets.calibration(name, data, place / "calibrate.npz")
    if samples is not None:
        designs[CALIBRATED] = rivals.dwn_hw(checkpoint, place / "calibrated", "--calibrate", str(samples), *XC7)
        model, narrow = (nets.predictions(name, data, rivals.network_of(designs[key])) for key in (OWN, CALIBRATED))
        print(f"calibrated: {int((model != narrow).sum())} of {len(model)} test predictions differ from the model's\n")
    if portable:
        designs["dwn-hw, same words, portable"] = rivals.dwn_hw(checkpoint, place / "portable", *rival.same_port())
    parts = rivals.network_of(designs[SAME]).names()
    counts = {RIVAL: counting.count(rival, place / "c", counting.by_register(parts), extra)}
    for name, design in designs.items():
        by_part = None if "portable" in name else counting.by_name(parts)
        counts[name] = counting.count(design, place / f"c {name}", by_part, extra)
    everything = {RIVAL: rival, **designs}
    rows = {name: _row(found, everything[name]) for name, found in counts.items()}
    theirs = counts[RIVAL]
    ratios: dict[str, object] = {}
    for key, kind in ((SAME, "same words"), (CALIBRATED, "calibrated")):
        found = [counts[key].lut / theirs.lut, counts[key].sites / theirs.sites] if key in counts else ["", ""]
        ratios |= {f"LUT, {kind}": found[0], f"sites, {kind}": found[1]}
        if key in counts:
            rows[f"ratio, {kind}"] = [found[0], "", found[1], *[""] * (len(rows[RIVAL]) - 3)]
    columns = [
        "LUT",
        "CARRY4",
        "sites",
        "MUXF",
        "FF",
        "levels",
        "encoder",
        "layers",
        "popcount",
        "argmax",
        "clocks",
        "export, s",
    ]
    rivals.show("7 series", rows, columns)
    return {**ratios, "export, s": designs[SAME].seconds}


def _row(count: counting.Count, design: rivals.Verilog) -> list[object]:
    layers = {part: found for part, found in count.parts.items() if part.startswith("l")}
    merged = {**count.parts, "layers": tuple(map(sum, zip(*layers.values(), strict=True)))}
    parts = (
        [counting.show_parts(merged, part) for part in ("encoder", "layers", "popcount", "argmax")]
        if layers
        else [""] * 4
    )
    cells = [count.lut, count.carry, count.sites, count.mux, count.ff, count.levels]
    return [*cells, *parts, design.clocks, f"{design.seconds:.1f}"]


def speed(checkpoint: Path, place: Path, seeds: int) -> dict[str, float]:
    """Print Fmax of both on ECP5 with the same words; the ratios."""
    rival = rivals.dwn2rtl(checkpoint, place / "dwn2rtl-ecp5")
    designs = {RIVAL: rival}
    for name, options in ECP5.items():
        designs[name] = rivals.dwn_hw(checkpoint, place / f"ecp5 {name}", *rival.same_port(), *options)
    found = fmax.measure(designs, seeds)
    rows = {
        name: [
            f"{m.median:.1f}",
            f"{min(m.fmax):.1f} to {max(m.fmax):.1f}",
            *m.cells.values(),
            m.sites,
            designs[name].clocks,
        ]
        for name, m in found.items()
    }
    a, b = found[PIPELINED], found[RIVAL]
    ratios = {"Fmax": a.median / b.median, "LUT4": a.cells["LUT4"] / b.cells["LUT4"], "ECP5 sites": a.sites / b.sites}
    rows["ratio, pipelined"] = [ratios["Fmax"], "", ratios["LUT4"], "", "", "", "", ratios["ECP5 sites"], ""]
    columns = ["Fmax, MHz", f"{seeds} seeds", *fmax.CELLS, "sites", "clocks"]
    rivals.show(f"ECP5 {a.device}", rows, columns)
    for name, m in found.items():
        own = sum(path.of_wrapper for path in m.paths)
        print(f"{name}: critical path {m.middle}; the wrapper's own in {own} of {seeds} runs")
    print(flush=True)
    return ratios


def main() -> None:
    """Measure the nets that were chosen, then print the ratios of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    nets.add_arguments(parser, [nets.REAL, *nets.NETS])
    parser.add_argument("--no-fmax", action="store_true", help="no place and route")
    parser.add_argument("--portable", action="store_true", help="count the portable Verilog too")
    parser.add_argument("--seeds", type=int, default=5, help="of nextpnr")
    parser.add_argument("--extra", default="", help="further options of synth_xilinx, such as --extra=-nocarry")
    arguments, checkpoints = nets.parse(parser)
    ratios = {}
    for name, checkpoint in checkpoints.items():
        print(f"## {name}\n", flush=True)
        with tempfile.TemporaryDirectory() as temporary:
            place = Path(temporary)
            ratios[name] = count(name, checkpoint, place, Path(arguments.data), arguments.portable, arguments.extra)
            if not arguments.no_fmax:
                ratios[name] |= speed(checkpoint, place, arguments.seeds)
    print("## dwn-hw / dwn2rtl\n")
    rivals.show(
        "net", {name: list(found.values()) for name, found in ratios.items()}, list(next(iter(ratios.values())))
    )


if __name__ == "__main__":
    main()
