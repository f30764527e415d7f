"""Search a smaller structure for a counter or a first maximum; with ``--write`` store it where it is the smallest.

    python benchmarks/search_structures.py argmax 5 4 --afresh --seed 2 --steps 1000
    python benchmarks/search_structures.py count 8 --steps 100000 --write

Kinds and shapes are those of ``dwn_hw/hardware/lowering/stored_structures.py``, of at most 20 input bits. The search begins with
what is stored, or with ``--afresh`` with what dwn-hw builds by rule, and walks at random among networks of LUTs
(``lut_search.cpp``, compiled here with g++), seeded and bounded in steps: the same arguments give the same figure.
Every step is exact for all inputs. The first command finds the stored argmax in seconds.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dwn_hw.hardware.lowering import stored_structures
from dwn_hw.hardware.lowering.absorb import absorb
from dwn_hw.hardware.lowering.popcount_carries import count_ones
from dwn_hw.hardware.lowering.vote import tournament
from dwn_hw.hardware.lut_netlist import Lut, LutBuilder, LutNetlist
from dwn_hw.ir import ArgMax, Edge, Format, Ints

MOST_INPUTS = 20

K = stored_structures.LUT_INPUTS


def by_rule(kind: str, shape: Ints) -> LutNetlist:
    """What dwn-hw builds where nothing is stored."""
    if kind == "count":
        (bits,) = shape
        builder = LutBuilder(bits)
        columns = [list(range(bits)), *[[] for _ in range(bits.bit_length() - 1)]]
        return absorb(builder.finish(count_ones(builder, "count", columns, K)), K)
    entries, bits = shape
    before, last = Edge((entries,), (Format(bits),)), ArgMax()
    return absorb(tournament(before, last.output(before), K), K)


def write_domain(path: Path, netlist: LutNetlist) -> None:
    """The file that ``lut_search`` reads: every input and its outputs, in random order, so that any part is a fair sample."""
    cases = np.random.default_rng(0).permutation(1 << netlist.inputs)
    inputs = (cases[:, None] >> np.arange(netlist.inputs) & 1).astype(np.uint8)
    outputs = netlist.evaluate(inputs).astype(np.uint8)
    words = -(-len(cases) // 64)
    columns = [*inputs.T, np.ones(len(cases), np.uint8), *outputs.T]
    padded = np.zeros((len(columns), words * 64), np.uint8)
    padded[:, : len(cases)] = columns
    head = np.array([inputs.shape[1], outputs.shape[1], words], "<i4")
    path.write_bytes(head.tobytes() + np.packbits(padded, axis=1, bitorder="little").tobytes())


def search(start: LutNetlist, seed: int, steps: int) -> LutNetlist:
    """What ``lut_search`` makes of a netlist: the same function, and at most as many LUTs."""
    lines = [f"{start.inputs} {len(start.cells)} {len(start.outputs)}"]
    lines += [f"{len(c.inputs)} {_words(c.inputs)} {c.table:x}" for c in start.cells]
    text = "\n".join([*lines, _words(start.outputs)])
    with tempfile.TemporaryDirectory() as place:
        program, points = Path(place) / "lut_search", Path(place) / "domain"
        source = Path(__file__).with_name("lut_search.cpp")
        subprocess.run(["g++", "-O3", "-march=native", "-std=c++17", "-o", program, source], check=True)
        write_domain(points, start)
        command = [str(program), str(points), str(seed), str(steps)]
        found = subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=True).stdout
    head, *luts, outputs = found.splitlines()
    cells = []
    for i, line in enumerate(luts):
        _, *nets, table = line.split()
        cells.append(Lut(f"n{i:03}", tuple(map(int, nets)), int(table, 16)))
    return LutNetlist(int(head.split()[0]), tuple(cells), tuple(map(int, outputs.split())))


def _words(numbers: Iterable[int]) -> str:
    return " ".join(map(str, numbers))


def main() -> None:
    """Search, say what was found, and store it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("count", "argmax"))
    parser.add_argument("shape", type=int, nargs="+", help="as in dwn_hw/hardware/lowering/stored_structures.py")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--afresh", action="store_true", help="begin with what rules give, not with what is stored")
    parser.add_argument("--write", action="store_true", help="store what is found")
    parser.add_argument("--file", type=Path, default=stored_structures.FILE, help="where to store it")
    arguments = parser.parse_args()
    kind, shape = arguments.kind, tuple(arguments.shape)
    rule = by_rule(kind, shape)
    if rule.inputs > MOST_INPUTS:
        parser.error(f"at most {MOST_INPUTS} input bits, not {rule.inputs}")
    known = {(each.kind, each.shape): each.netlist for each in stored_structures.read(arguments.file)}
    before = known.get((kind, shape), rule)
    netlist = search(rule if arguments.afresh else before, arguments.seed, arguments.steps)
    print(
        f"{kind} {_words(shape)}: {len(netlist.cells)} LUTs, depth {netlist.depth()}; by rule {len(rule.cells)}", end=""
    )
    print(f", stored {len(before.cells)}" if before is not rule else "")
    if arguments.write and len(netlist.cells) < len(before.cells):
        known[kind, shape] = netlist
        entries = [stored_structures.Structure(*key, each) for key, each in known.items()]
        arguments.file.write_text(stored_structures.dump(entries))


if __name__ == "__main__":
    main()
