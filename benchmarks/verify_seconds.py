"""Seconds from a command to its answer: ``dwn-hw verify`` and ``dwn2rtl verify`` of the same checkpoints, in one run.

    python benchmarks/verify_seconds.py --cache FOLDER [--data FOLDER] [--nets jsc digits mnist-300] [--repeat 3]

Each tool checks its own Verilog. dwn-hw: an export that was never verified, the same again, by each simulator, and thoroughly.
Beside the seconds, how many values were compared: dwn-hw compares every output of every node and the result in each clock that
a vector passes it; dwn2rtl the core's and the whole design's predictions. The least of some runs, since other programs run too.

Needs ``pip install -c constraints.txt -e '.[bench]'``, and Icarus.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nets
import rivals

#: What is measured of dwn-hw: options, and whether an earlier ``verify`` is forgotten before each run.
WAYS = {
    "dwn-hw, fresh": ((), True),
    "dwn-hw, again": ((), False),
    "dwn-hw, fresh, Icarus": (("--simulator", "icarus"), True),
    "dwn-hw, fresh, Verilator": (("--simulator", "verilator"), True),
    "dwn-hw, fresh, thorough": (("--thorough",), True),
}

#: The simulations of networks of this many characters of Verilog that are left out in Icarus: minutes.
LARGE = 150_000


def least(job: Callable[[], str], times: int) -> tuple[float, str]:
    """The least seconds of some runs, and what the last one said."""
    seconds, said = [], ""
    for _ in range(times):
        started = time.perf_counter()
        said = job()
        seconds.append(time.perf_counter() - started)
    return min(seconds), said


def ours(folder: Path, options: tuple[str, ...], fresh: bool) -> Callable[[], str]:
    """A run of ``dwn-hw verify``: its report."""

    def job() -> str:
        if fresh:
            shutil.rmtree(folder / "verify", ignore_errors=True)
        return rivals.script("dwn-hw", "verify", folder, "--json", "--quiet", *options)

    return job


def measure(name: str, checkpoint: Path, place: Path, times: int) -> dict[str, float]:
    """Print the seconds of each way to verify a net; the ratios dwn-hw / dwn2rtl."""
    rival = rivals.dwn2rtl(checkpoint, place / "dwn2rtl")
    folder = rivals.dwn_hw(checkpoint, place / "own", "--shell", "stream", *nets.own_port(name)).folder.parent
    rivals.script(
        "dwn-hw", "verify", folder, "--quiet", "--simulator", "verilator"
    )  # its run-time library is there then
    size = sum(path.stat().st_size for path in (folder / "rtl").glob("*.v"))
    rows: dict[str, list[object]] = {}
    for way, (options, fresh) in WAYS.items():
        if "icarus" in options and size > LARGE:
            continue
        seconds, said = least(ours(folder, options, fresh), times)
        report = json.loads(said)
        values = report["node_values"] + report["results"]
        rows[way] = [seconds, report["simulator"], report["vectors"], values, values / seconds]
    seconds, said = least(lambda: rivals.script("dwn2rtl", "verify", rival.folder), times)
    vectors = [int(count) for count in re.findall(r"(\d+) vectors", said)]
    rows["dwn2rtl"] = [seconds, "icarus", max(vectors), sum(vectors), sum(vectors) / seconds]
    for row in rows.values():
        row[-1] = f"{row[-1]:,.0f}"
    ratios = {way: float(str(rows[way][0])) / seconds for way in ("dwn-hw, fresh", "dwn-hw, again")}
    rivals.show(name, rows, ["seconds", "simulator", "vectors", "values compared", "values a second"])
    return ratios


def main() -> None:
    """Measure the nets that were chosen, then print the ratios of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    nets.add_arguments(parser, [nets.REAL, "digits", "mnist-300"])
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, of which the least counts")
    arguments, checkpoints = nets.parse(parser)
    ratios = {}
    for name, checkpoint in checkpoints.items():
        with tempfile.TemporaryDirectory() as temporary:
            ratios[name] = list(measure(name, checkpoint, Path(temporary), arguments.repeat).values())
    rivals.show("seconds, dwn-hw / dwn2rtl", ratios, ["fresh", "again"])


if __name__ == "__main__":
    main()
