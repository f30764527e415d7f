"""Place and route with nextpnr, several seeds, and what its report says: clock, utilisation, and the longest path in words."""

from __future__ import annotations

import json
import re
import shutil
import statistics
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dwn_hw import toolchain
from dwn_hw._progress import Progress, within
from dwn_hw.errors import ToolError, Unfit
from dwn_hw.fpga import floor_plan
from dwn_hw.hardware.families import FAMILIES

#: What nextpnr appends to the name of the cell that something became.
_SUFFIX = re.compile(r"(_(SB_DFF|TRELLIS_FF|DFF|SB_LUT4|LUT4|SB_CARRY|CCU2C|ALU)\w*|_(DFF)?LC)$")


#: What nextpnr says when it begins to pack, place, route, and report; and about how much of its time is over then.
_STAGES = {
    "packing": (re.compile(r"Info: Pack(ing)?\b"), 0.0),
    "placing": (re.compile(r"Info: (Placed \d|Creating initial|Running .*plac)"), 0.05),
    "routing": (re.compile(r"Info: (Routing\.\.|Running router)"), 0.4),
    "timing": (re.compile(r"Info: (Routing complete|Router\d time|Program finished)"), 0.95),
}


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """The longest path from clock to clock: its ends, ``(unit, cells)`` in between in order, nanoseconds in cells and wires."""

    start: str
    end: str
    units: tuple[tuple[str, int], ...]
    logic: float
    wires: float

    def __str__(self) -> str:
        between = ", ".join(f"{cells} of {unit}" for unit, cells in self.units)
        cells = sum(count for _, count in self.units)
        through = f" through {cells} cells ({between})" if cells else ""
        return f"{self.start} -> {self.end}{through}: {self.logic:.1f} ns in cells, {self.wires:.1f} ns in wires"


@dataclass(frozen=True, slots=True)
class Routed:
    """One seed's result. ``fmax`` in MHz; ``timed``: flip-flops that end a path whose delay nextpnr knows."""

    seed: int
    folder: Path
    fmax: float
    path: CriticalPath | None
    used: dict[str, int]
    timed: int


def route(
    command: Sequence[str], folder: Path, family: str, seeds: int, *, jobs: int, timeout: float, progress: Progress
) -> list[Routed]:
    """Run ``command`` once a seed, each in a folder of its own below ``folder``; the results by seed.

    Raises Unfit with its own words where nextpnr finds no room, ToolError where it fails otherwise.
    """
    wanted = [word for word in command if (folder / word).is_file() and Path(word).suffix != ".tim"]
    wanted += [word.split("=")[1] for word in command if "=" in word and (folder / word.split("=")[1]).is_file()]

    told = _Told(progress, seeds)

    def one(seed: int) -> Routed:
        place = folder / f"seed{seed}"
        place.mkdir()
        for name in wanted:
            shutil.copy(folder / name, place)
        # It is quiet by itself, and then says nothing of where it is.
        own = [word for word in command[1:] if word not in ("-q", "--quiet")]
        words = [*toolchain.wheel(command[0]), *own, "--seed", str(seed), "--timing-allow-fail"]
        words += [] if "--write" in own else ["--write", floor_plan.PLACED]
        words += ["--report", "routed.json", "--detailed-timing-report"]
        try:
            heard = stages(lambda stage: told.begins(seed, stage))
            toolchain.run(words, name=command[0], cwd=place, timeout=timeout, heard=heard)
        except ToolError as error:
            raise _explained(error, place) from None
        return read_report(json.loads((place / "routed.json").read_text()), seed, place, family)

    done: list[Routed] = []
    for routed in toolchain.together((partial(one, seed) for seed in range(1, seeds + 1)), jobs):
        done.append(routed)
        told.finished(routed)
    return sorted(done, key=lambda routed: routed.seed)


class _Told:
    """Tells of several seeds at once: which stage each is in, and which of them are done."""

    def __init__(self, progress: Progress, seeds: int) -> None:
        self.progress, self.seeds, self.done = progress, seeds, 0
        self.at: dict[int, str] = {}
        self.lock = threading.Lock()  # each seed is heard in a thread of its own

    def begins(self, seed: int, stage: str) -> None:
        """``seed 3 routing, 1 2 placing``."""
        with self.lock:
            self.at[seed] = stage
            of = {each: " ".join(str(one) for one in sorted(self.at) if self.at[one] == each) for each in _STAGES}
            text = ", ".join(f"{some} {each}" for each, some in reversed(of.items()) if some)
            within(self.progress, f"seed {text}", self._far(), self.seeds)

    def finished(self, routed: Routed) -> None:
        """Also aloud."""
        with self.lock:
            self.at.pop(routed.seed, None)
            self.done += 1
            text = f"seed {routed.seed}: {routed.fmax:.1f} MHz"
            aloud = f"{text} ({self.done} of {self.seeds} done)"
            within(self.progress, text, self._far(), self.seeds, aloud=aloud)

    def _far(self) -> float:
        return self.done + sum(_STAGES[stage][1] for stage in self.at.values())


def stages(tell: Callable[[str], None]) -> toolchain.Heard:
    """What listens to a nextpnr that is not quiet, and tells of each of its stages. Warnings and errors are kept."""

    def heard(line: str) -> bool:
        for stage, (begins, _) in _STAGES.items():
            if begins.match(line):
                tell(stage)
        return line.startswith("Info: ") or not line.strip()

    return heard


def _explained(error: ToolError, place: Path) -> ToolError | Unfit:
    """nextpnr says what it lacks in its log, and nothing of it when quiet."""
    log = "".join(path.read_text(errors="replace") for path in place.glob("*.tim"))
    faults = [line.removeprefix("ERROR: ") for line in log.splitlines() if line.startswith("ERROR")]
    if any(
        re.search(r"no BELs remaining|[Uu]nable to (find|place|legalise)|more .* than available", f) for f in faults
    ):
        return Unfit(faults[0].strip())
    return ToolError(f"{error}\n{' '.join(faults)}".strip())


def read_report(report: dict[str, Any], seed: int, folder: Path, family: str) -> Routed:
    """What nextpnr's ``--report`` says. Raises ToolError where it names no clock."""
    if not report.get("fmax"):
        raise ToolError("nextpnr found no clock in the design")
    # The slowest against its constraint, were there several.
    clock, found = min(report["fmax"].items(), key=lambda item: item[1]["achieved"] / item[1]["constraint"])
    ends = {e["cell"] for net in report.get("detailed_net_timings", ()) for e in net["endpoints"]}
    available = report["utilization"]
    used = {
        kind: sum(available[name]["used"] for name in names if name in available)
        for kind, names in (FAMILIES[family].resources or {}).items()
    }
    paths = [p["path"] for p in report["critical_paths"] if p["from"] == p["to"] == f"posedge {clock}"]
    return Routed(seed, folder, found["achieved"], _path(paths[0]) if paths else None, used, len(ends))


def _path(steps: list[dict[str, Any]]) -> CriticalPath:
    delay: Counter[str] = Counter()
    for step in steps:
        delay["wires" if step["type"] == "routing" else "logic"] += step["delay"]
    units: dict[str, int] = {}
    for step in steps:
        if step["type"] == "logic":
            unit = floor_plan.unit(step["from"]["cell"])
            units[unit] = units.get(unit, 0) + 1
    wires = [step["net"] for step in steps if step["type"] == "routing"]
    start = _name(wires[0]) if wires else _name(steps[0]["from"]["cell"])
    return CriticalPath(start, _name(steps[-1]["to"]["cell"]), tuple(units.items()), delay["logic"], delay["wires"])


def _name(cell: str) -> str:
    """As the Verilog calls it, without where it stands in the whole and without what the tools appended."""
    parts = cell.split(".")
    while parts[:1] and parts[0] in floor_plan.CORE and len(parts) > 1:
        parts = parts[1:]
    return _SUFFIX.sub("", ".".join(parts))


def summary(routed: list[Routed]) -> dict[str, Any]:
    """As plain values: the best seed, whose bitstream is taken, and all seeds' clocks."""
    taken = best(routed)
    return {
        "fmax_mhz": round(taken.fmax, 2),
        "fmax_by_seed": {str(r.seed): round(r.fmax, 2) for r in routed},
        "fmax_median": round(statistics.median(r.fmax for r in routed), 2),
        "seed": taken.seed,
        "critical_path": None if taken.path is None else asdict(taken.path) | {"text": str(taken.path)},
        "registers_timed": taken.timed,
        "used": taken.used,
    }


def best(routed: list[Routed]) -> Routed:
    """The fastest; of equals the lowest seed."""
    return max(routed, key=lambda r: (r.fmax, -r.seed))
