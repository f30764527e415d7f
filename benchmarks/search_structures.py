"""Search a smaller structure for a counter, a first maximum or a vote; prove it; with ``--write`` store it where it is the smallest.

    python benchmarks/search_structures.py argmax 5 4 --seed 2 --steps 2000 --afresh
    python benchmarks/search_structures.py vote 5 20 --steps 300000 --write

Kinds and shapes are those of ``dwn_hw/lowering/stored.py``. The search begins with what is stored, or with ``--afresh`` with what
dwn-hw builds by rule, and walks at random among networks of LUTs (``lut_search.cpp``, compiled here with g++), seeded and bounded
in steps: the same arguments give the same figure. Where all that can occur is too much to simulate, it walks on a sample; what it
finds is then proven by enumeration, and what refutes it joins the sample. A group of a vote keeps the first LUTs of its counter.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dwn_hw.ir import ArgMax, Edge, Format, Ints
from dwn_hw.lowering import stored
from dwn_hw.lowering.absorb import absorb
from dwn_hw.lowering.counters import count_ones, plan
from dwn_hw.lowering.enumeration import Leaf, counterexample
from dwn_hw.lowering.vote import tournament
from dwn_hw.mapped import Builder, Lut, Netlist

#: Points of the domain that are simulated: all of them, or a sample of about so many.
POINTS = 400_000
MOST_POINTS = 1 << 20

K = stored.LUT_INPUTS

Bits = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Task:
    """``start`` is to become smaller. Its inputs are those of ``leaves`` in order, each behind ``front`` where there is one.

    ``count``: the outputs are the only leaf's value, not the first maximum.
    """

    start: Netlist
    leaves: tuple[Leaf, ...]
    front: Netlist
    count: bool = False

    def whole(self, top: Netlist) -> Netlist:
        """The structure with its fronts."""
        wide = self.front.inputs
        builder = Builder(wide * len(self.leaves))
        nets = [
            net
            for i in range(len(self.leaves))
            for net in stored.place(builder, self.front, range(i * wide, (i + 1) * wide))
        ]
        return builder.finish(stored.place(builder, top, nets))

    def top(self, whole: Netlist) -> Netlist | None:
        """What of a structure stands behind the fronts, or None if it has others."""
        fronts = self.whole(_wires(len(self.leaves) * len(self.front.outputs)))
        behind = len(fronts.cells)
        if [(c.inputs, c.table) for c in whole.cells[:behind]] != [(c.inputs, c.table) for c in fronts.cells]:
            return None
        number = {net: i for i, net in enumerate(fronts.outputs)}
        shift = len(fronts.outputs) - whole.inputs - behind
        first = whole.inputs + behind

        def renumber(nets: Sequence[int]) -> Ints:
            return tuple(net + shift if net >= first else number[net] for net in nets)

        cells = tuple(Lut(c.name, renumber(c.inputs), c.table) for c in whole.cells[behind:])
        return Netlist(len(fronts.outputs), cells, renumber(whole.outputs))


def _wires(count: int) -> Netlist:
    return Netlist(count, (), tuple(range(count)))


def _bits_of(values: npt.NDArray[np.int64], wide: int) -> Bits:
    return (values[:, None] >> np.arange(wide) & 1).astype(np.uint8)


def task(kind: str, shape: Ints) -> Task:
    """What is asked for, beginning with what rules give."""
    if kind == "count":
        (bits,) = shape
        counter, _ = _counter(bits)
        patterns = _bits_of(np.arange(1 << bits), bits)
        return Task(counter, (Leaf(patterns, patterns.sum(axis=1, dtype=np.int64)),), _wires(bits), count=True)
    if kind == "argmax":
        entries, bits = shape
        values = np.arange(1 << bits)
        return Task(_argmax(entries, bits), (Leaf(_bits_of(values, bits), values),) * entries, _wires(bits))
    groups, size = shape
    counter, last = _counter(size)
    front, top = _cut(counter, len(counter.cells) - last)
    patterns = _bits_of(np.arange(1 << size), size)
    seen = np.concatenate([patterns.sum(axis=1, dtype=np.int64)[:, None], front.evaluate(patterns)], axis=1)
    seen = np.unique(seen, axis=0)
    builder = Builder(groups * len(front.outputs))
    wide = len(front.outputs)
    counts = [net for i in range(groups) for net in stored.place(builder, top, range(i * wide, (i + 1) * wide))]
    start = builder.finish(stored.place(builder, _argmax(groups, size.bit_length()), counts))
    return Task(start, (Leaf(seen[:, 1:].astype(np.uint8), seen[:, 0]),) * groups, front)


def _counter(bits: int) -> tuple[Netlist, int]:
    """A counter by rule, and the LUTs of its last step."""
    wide = bits.bit_length()
    builder = Builder(bits)
    counter = builder.finish(count_ones(builder, "count", [list(range(bits)), *[[] for _ in range(wide - 1)]], K))
    return counter, plan((bits, *[0] * (wide - 1)), K)[-1].cost


def _argmax(entries: int, bits: int) -> Netlist:
    before = Edge((entries,), (Format(bits),))
    return absorb(tournament(before, ArgMax().output(before), K), K)


def _cut(netlist: Netlist, cells: int) -> tuple[Netlist, Netlist]:
    """The first cells, and the rest on those of their nets that it reads."""
    end = netlist.inputs + cells
    crossing = {net for cell in netlist.cells[cells:] for net in cell.inputs} | set(netlist.outputs)
    nets = sorted(net for net in crossing if net < end)
    builder = Builder(len(nets))
    number = {net: i for i, net in enumerate(nets)}
    for i, cell in enumerate(netlist.cells[cells:]):
        number[end + i] = builder.lut(cell.name, [number[net] for net in cell.inputs], cell.table)
    front = Netlist(netlist.inputs, netlist.cells[:cells], tuple(nets))
    return front, builder.finish([number[net] for net in netlist.outputs])


def domain(asked: Task, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Points, each a pattern of every leaf: all, or a sample in which most points have several leaves near the greatest."""
    sizes = [len(leaf.values) for leaf in asked.leaves]
    if np.prod(sizes, dtype=float) <= MOST_POINTS:
        return np.stack(np.meshgrid(*map(np.arange, sizes), indexing="ij"), axis=-1).reshape(-1, len(sizes))
    values = asked.leaves[0].values
    groups = [np.flatnonzero(values == value) for value in range(int(values.max()) + 1)]
    anything = rng.integers(0, len(groups), (POINTS, len(sizes)))
    near = rng.integers(0, len(groups), (POINTS, 1)) + rng.integers(-2, 2, anything.shape)
    near = np.clip(np.where(rng.random(anything.shape) < 0.3, np.minimum(near, anything), near), 0, len(groups) - 1)
    wanted = np.where(np.arange(POINTS)[:, None] % 3 > 0, near, anything)
    points = np.empty_like(wanted)
    for value, members in enumerate(groups):
        points[wanted == value] = rng.choice(members, int((wanted == value).sum()))
    return points


def write_domain(path: Path, asked: Task, points: npt.NDArray[np.int64]) -> None:
    """The file that ``lut_search`` reads: points in random order, so that any part of them is a fair sample."""
    chosen = np.random.default_rng(0).permutation(np.asarray(points))
    inputs = np.concatenate([leaf.bits[chosen[:, i]] for i, leaf in enumerate(asked.leaves)], axis=1)
    values = np.stack([leaf.values[chosen[:, i]] for i, leaf in enumerate(asked.leaves)], axis=1)
    outputs = _bits_of(values[:, 0] if asked.count else values.argmax(axis=1), len(asked.start.outputs))
    words = -(-len(chosen) // 64)
    columns = [*inputs.T, np.ones(len(chosen), np.uint8), *outputs.T]
    padded = np.zeros((len(columns), words * 64), np.uint8)
    padded[:, : len(chosen)] = columns
    head = np.array([inputs.shape[1], outputs.shape[1], words], "<i4")
    path.write_bytes(head.tobytes() + np.packbits(padded, axis=1, bitorder="little").tobytes())


def walk(program: Path, points: Path, start: Netlist, seed: int, steps: int) -> Netlist:
    """What ``lut_search`` makes of a netlist."""
    lines = [f"{start.inputs} {len(start.cells)} {len(start.outputs)}"]
    lines += [f"{len(c.inputs)} {' '.join(map(str, c.inputs))} {c.table:x}" for c in start.cells]
    text = "\n".join([*lines, " ".join(map(str, start.outputs))])
    command = [str(program), str(points), str(seed), str(steps)]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    head, *luts, outputs = done.stdout.splitlines()
    cells = []
    for line in luts:
        _, *nets, table = line.split()
        cells.append(Lut("n", tuple(map(int, nets)), int(table, 16)))
    return Netlist(int(head.split()[0]), tuple(cells), tuple(map(int, outputs.split())))


def search(asked: Task, seed: int, steps: int) -> Netlist:
    """A smaller netlist than ``asked.start`` that is proven to do the same; that one if none is found."""
    points = domain(asked, np.random.default_rng(seed))
    with tempfile.TemporaryDirectory() as place:
        program, file = Path(place) / "lut_search", Path(place) / "domain"
        source = Path(__file__).with_name("lut_search.cpp")
        subprocess.run(["g++", "-O3", "-march=native", "-std=c++17", "-o", program, source], check=True)
        for attempt in range(5):
            write_domain(file, asked, points)
            found = walk(program, file, asked.start, seed, steps)
            wrong = None if asked.count else counterexample(found, asked.leaves)
            if wrong is None:
                return found
            print(f"attempt {attempt + 1}: {len(found.cells)} LUTs refuted by {wrong}")
            points = np.concatenate([points, _around(wrong, asked, np.random.default_rng(attempt))])
    return asked.start


def _around(point: Ints, asked: Task, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """A point, and others that share most of its patterns."""
    others = np.tile(np.array(point), (POINTS // 100, 1))
    for i, leaf in enumerate(asked.leaves):
        changed = rng.random(len(others)) < 0.3
        others[changed, i] = rng.integers(0, len(leaf.values), int(changed.sum()))
    others[0] = point
    return others


def main() -> None:
    """Search, say what was found, and store it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("count", "argmax", "vote"))
    parser.add_argument("shape", type=int, nargs="+", help="as in dwn_hw/lowering/stored.py")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--afresh", action="store_true", help="begin with what rules give, not with what is stored")
    parser.add_argument("--write", action="store_true", help="store what is found")
    parser.add_argument("--file", type=Path, default=stored.FILE, help="where to store it")
    arguments = parser.parse_args()
    shape = tuple(arguments.shape)
    asked = task(arguments.kind, shape)
    by_rule = asked.whole(asked.start)
    known = {(each.kind, each.shape): each for each in stored.read(arguments.file)}
    before = known.get((arguments.kind, shape))
    if before and not arguments.afresh:
        start = asked.top(before.netlist)
        asked = dataclasses.replace(asked, start=start) if start else asked
    netlist = asked.whole(search(asked, arguments.seed, arguments.steps))
    name = " ".join([arguments.kind, *map(str, shape)])
    print(f"{name}: {len(netlist.cells)} LUTs, depth {netlist.depth()}, proven; by rule {len(by_rule.cells)}", end="")
    print(f", stored {len(before.netlist.cells)}" if before else "")
    if arguments.write and len(netlist.cells) < len((before.netlist if before else by_rule).cells):
        found = f"{name} --seed {arguments.seed} --steps {arguments.steps}" + " --afresh" * arguments.afresh
        known[arguments.kind, shape] = stored.Structure(arguments.kind, shape, found, netlist)
        arguments.file.write_text(stored.dump(list(known.values())))


if __name__ == "__main__":
    main()
