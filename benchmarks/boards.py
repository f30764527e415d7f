"""Utilisation and clock of whole board designs, UART included: the table of docs/boards.md.

    python benchmarks/boards.py --cache FOLDER [--data FOLDER] [--nets digits mnist-300 ...] [--boards icebreaker ...] [--seeds N]

``digits`` is the demo's network, all features at once; the nets of MNIST's size (:mod:`nets`) take one pixel a transfer. Each is
exported for the board's family. What does not fit, or misses its clock, says so in its row.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import nets
import numpy as np

from dwn_hw.errors import Unfit
from dwn_hw.exports import writer
from dwn_hw.exports.options import Options
from dwn_hw.fpga import boards, building
from dwn_hw.frontend import checkpoints
from dwn_hw.ir import sample_files
from dwn_hw.ir.emulate import Emulator
from dwn_hw.nn import digits

DIGITS = "digits"


def export(name: str, target: str, cache: Path, source: Path) -> Path:
    """The export of a net for a family; builds of the same Verilog stay where they were made before."""
    out = cache / "exports" / f"{name}-{target}"
    path = checkpoint(name, cache, source)
    options: dict[str, Any] = {"target": target}
    if name != DIGITS:
        options |= {"encoder": "streamed", "input_format": nets.NETS[name].own_port}
    out.parent.mkdir(parents=True, exist_ok=True)
    writer.export(checkpoints.load(path), out, Options(**options))
    return out


def checkpoint(name: str, cache: Path, source: Path) -> Path:
    """The trained net, made once."""
    path = cache / f"{name}.pt"
    if name != DIGITS:
        return nets.net(name, cache, source)
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        model, thermometer, _ = digits.train_digits(0)
        checkpoints.save(model, path, thermometer=thermometer)
    return path


def accuracy(name: str, folder: Path, source: Path) -> float:
    """Of the integers, on the test images."""
    network = building.read_export(folder).network
    if name == DIGITS:
        split = digits.load_digits_split()
        x, y = np.asarray(split.x_test), np.asarray(split.y_test)
    else:
        images = nets.images(source)
        x, y = images.x_test.numpy(), images.y_test.numpy()
    samples = sample_files.Samples(x, None, y, name)
    return float(np.mean(Emulator(network).run(sample_files.to_codes(samples, network).codes)[1].ravel() == y))


def row(folder: Path, board: boards.Board, seeds: int) -> list[str]:
    """What a build came to."""
    started = time.perf_counter()
    try:
        report = building.build(folder, board.key, seeds=seeds)
    except Unfit as error:
        return [str(error).splitlines()[0].split(";")[0]]
    seconds = "" if report["cached"] else f"{time.perf_counter() - started:.0f} s"
    found = report["used"] if report["bitstream"] else report["needs"]
    if found is None:
        return ["a project for Quartus, checked"]
    shares = [f"{found[kind]:,} ({found[kind] / size:.0%})" for kind, size in board.capacity.items()]
    if not report["bitstream"]:
        return [*shares, f"counted by yosys; a project for {board.flow.title()}", seconds]
    timing = report["timing"]
    known = "" if timing["registers_timed"] == timing["registers"] else "*"
    return [*shares, f"{timing['fmax_median']:.1f}{known} of {board.clock_mhz:g} MHz", seconds]


def main() -> None:
    """Build everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    nets.add_arguments(parser, [DIGITS, "mnist-300", "mnist-1000"], [DIGITS])
    parser.add_argument("--boards", nargs="+", choices=boards.names(), default=[b.key for b in boards.every()])
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("give --data FOLDER, or set DWN_HW_DATA")
    source = Path(arguments.data)
    print(
        "| net | board | LUT | flip-flops | block RAM | clock | built in |\n| --- | --- | ---: | ---: | ---: | --- | ---: |"
    )
    for name in arguments.nets:
        for key in arguments.boards:
            board = boards.read(key)
            folder = export(name, board.family, arguments.cache, source)
            cells = row(folder, board, arguments.seeds)
            print(f"| {name} | {key} | {' | '.join(cells)} |", flush=True)
        print(f"{name}: {accuracy(name, folder, source):.4f} of the test images", flush=True)


if __name__ == "__main__":
    main()
