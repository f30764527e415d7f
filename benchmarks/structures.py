"""What the parts cost by themselves: popcounts by width, argmax by shape, the encoder a threshold, a small core.

    python benchmarks/structures.py --cache FOLDER [--data FOLDER] [--nets t200 t8 …] [--only shapes|nets]

Every figure is counted by yosys from emitted Verilog (:mod:`counting`), with the estimate that ``export`` reports beside it;
with Xilinx' own cells the two are equal. Popcount and argmax stand beside dwn2rtl's of the same shape. Of trained nets: LUTs
a threshold of the encoder in words of 14 and of 16 bits, and the core, which is all that follows the encoder.
"""

from __future__ import annotations

import argparse
import importlib.resources
import json
import math
import re
import tempfile
from pathlib import Path

import counting
import nets
import rivals
import torch

from dwn_hw import ir, rtl
from dwn_hw.hardware import cost
from dwn_hw.hardware.design import make_design

WIDTHS = (10, 20, 32, 50, 64, 100, 128, 200, 256, 512)
SHAPES = ((5, 4), (5, 5), (10, 5), (10, 7), (10, 8))
WORDS = (14, 16)


def popcount(width: int) -> ir.Network:
    """The sum of ``width`` bits."""
    return ir.Network(ir.Input((width,), (ir.Format(1),)), (ir.GroupSum(1),))


def argmax(classes: int, bits: int) -> ir.Network:
    """The first maximum of ``classes`` unsigned numbers of ``bits``."""
    return ir.Network(ir.Input((classes,), (ir.Format(bits),)), (ir.ArgMax(),))


def built(network: ir.Network) -> list[object]:
    """A network without registers: LUTs estimated without carry chains, estimated with, and what yosys counts."""
    designs = [make_design(network, latency=0, shell="none", target=target) for target in ("generic", "xc7")]
    estimates = [cost.total(cost.estimate(design)).lut for design in designs]
    found = _counted(rtl.to_verilog(designs[-1]), "dwn_top")
    return [*estimates, found.lut, found.carry, found.sites, found.levels]


def theirs(module: str, **parameters: int) -> counting.Count:
    """dwn2rtl's module of that name."""
    text = (importlib.resources.files("dwn2rtl") / "rtl" / f"{module}.v").read_text(encoding="utf-8")
    for name, value in parameters.items():
        text = re.sub(rf"(parameter integer {name}\s*=) \d+", rf"\1 {value}", text)
    return _counted({f"{module}.v": text}, module)


def _counted(sources: dict[str, str], top: str) -> counting.Count:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "rtl"
        folder.mkdir()
        for name, text in sources.items():
            (folder / name).write_text(text, encoding="utf-8")
        return counting.count(rivals.Verilog(folder, top), Path(temporary) / "count")


def show_shapes() -> None:
    """Popcounts and argmax, without registers."""
    popcounts = {f"popcount {n}": (n, popcount(n), theirs("popcount", WIDTH=n)) for n in WIDTHS}
    shapes = {f"argmax {k} x {w}": (k * w, argmax(k, w), theirs("argmax", K=k, W=w)) for k, w in SHAPES}
    rows = {}
    for name, (bits, network, rival) in (popcounts | shapes).items():
        *costs, sites, levels = built(network)
        rows[name] = [rival.lut, rival.carry, rival.sites, *costs, sites, levels, sites / bits]
    columns = [
        "dwn2rtl LUT",
        "CARRY4",
        "sites",
        "dwn-hw, no carries: estimate",
        "with: estimate",
        "LUT",
        "CARRY4",
        "sites",
    ]
    columns += ["levels", "sites a bit"]
    rivals.show("structure", rows, columns)


def show_nets(checkpoints: dict[str, Path]) -> None:
    """Encoder and core of each net at each width of words, the scaler left to the host."""
    rows = {}
    for name, checkpoint in checkpoints.items():
        for bits in WORDS:
            with tempfile.TemporaryDirectory() as temporary:
                rows[f"{name}, {bits} bits"] = _net(checkpoint, bits, Path(temporary))
    columns = ["thresholds", "encoder: estimate", "LUT", "a threshold", "core: estimate", "LUT", "export, s"]
    rivals.show("net", rows, columns)


def _net(checkpoint: Path, bits: int, place: Path) -> list[object]:
    saved = torch.load(checkpoint, map_location="cpu", weights_only=False)  # chosen by who runs this
    whole = math.frexp(float(saved["thermometer"]["thresholds"].abs().max()))[1]
    form = f"sQ{whole}.{bits - 1 - whole}"
    scaler = [] if saved.get("scaler") is None else ["--no-scaler"]
    design = rivals.dwn_hw(checkpoint, place / "out", "--input-format", form, *scaler, "--target", "xc7")
    network = rivals.network_of(design)
    parts = counting.count(design, place / "count", counting.by_name(network.names())).parts
    estimate = {
        name: part["lut"] for name, part in json.loads((place / "out" / "report.json").read_text())["estimate"].items()
    }
    encoder, thresholds = parts.pop("encoder")[0], network.edges()[1].size
    core = sum(lut for lut, _ in parts.values())
    expected = estimate.pop("encoder")
    return [thresholds, expected, encoder, encoder / thresholds, sum(estimate.values()), core, f"{design.seconds:.1f}"]


def main() -> None:
    """Print both tables, or the one asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    nets.add_arguments(parser, [nets.REAL, "t4", "t8", "t200", "magic-t200"])
    parser.add_argument("--only", choices=["shapes", "nets"], help="one of the two tables")
    arguments = parser.parse_args()
    if arguments.only != "nets":
        show_shapes()
    if arguments.only != "shapes":
        show_nets(nets.parse(parser)[1])


if __name__ == "__main__":
    main()
