"""Stored structures are what their kind and shape say, for all inputs; lowering uses them; the file reads and writes itself."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dwn_hw.hardware.lowering import lower, stored_structures
from dwn_hw.hardware.lowering.vote import tournament
from dwn_hw.ir import ArgMax, Edge, Format, GroupSum


@pytest.mark.parametrize("found", stored_structures.load(), ids=lambda found: f"{found.kind} {found.shape}")
def test_a_stored_structure_equals_its_meaning_for_all_inputs(found):
    netlist = found.netlist
    assert netlist.inputs == np.prod(found.shape) <= 20
    assert max(len(cell.inputs) for cell in netlist.cells) <= stored_structures.LUT_INPUTS
    for start in range(0, 1 << netlist.inputs, 1 << 16):
        cases = np.arange(start, min(start + (1 << 16), 1 << netlist.inputs))
        bits = cases[:, None] >> np.arange(netlist.inputs) & 1
        if found.kind == "count":
            wanted = bits.sum(axis=1)
        else:
            entries, wide = found.shape
            wanted = (bits.reshape(-1, entries, wide) @ (1 << np.arange(wide))).argmax(axis=1)
        assert np.array_equal(netlist.evaluate(bits) @ (1 << np.arange(len(netlist.outputs))), wanted)


@pytest.mark.parametrize(("bits", "most"), [(7, 4), (8, 6), (11, 8), (12, 9)])
def test_a_stored_counter_serves_each_group_of_its_size(bits, most):
    rng = np.random.default_rng(bits)
    node, before = GroupSum(3, tuple(rng.permutation(3 * bits).tolist())), Edge((3 * bits,), (Format(1),))
    netlist = lower(node, "popcount", before, node.output(before))
    assert len(netlist.cells) <= 3 * most
    values = rng.integers(0, 2, (2000, 3 * bits))
    wide = bits.bit_length()
    got = netlist.evaluate(values).reshape(-1, 3, wide) @ (1 << np.arange(wide))
    assert np.array_equal(got, values[:, node.members].reshape(-1, 3, bits).sum(axis=2))


@pytest.mark.parametrize(("entries", "bits", "most"), [(5, 4, 16), (5, 3, 14), (4, 4, 12), (3, 4, 7), (2, 2, 1)])
def test_a_stored_argmax_serves_all_shapes_up_to_its_own(entries, bits, most):
    before, node = Edge((entries,), (Format(bits),)), ArgMax()
    after = node.output(before)
    netlist = lower(node, "argmax", before, after)
    assert len(netlist.cells) <= min(most, len(tournament(before, after, 6).cells))
    if entries * bits > 16:
        numbers = np.random.default_rng(0).integers(0, 1 << bits, (20000, entries))
    else:
        numbers = np.array(list(itertools.product(range(1 << bits), repeat=entries)))
    values = (numbers[:, :, None] >> np.arange(bits) & 1).reshape(len(numbers), -1)
    got = netlist.evaluate(values) @ (1 << np.arange(len(netlist.outputs)))
    assert np.array_equal(got, numbers.argmax(axis=1))


def test_signed_numbers_and_smaller_luts_take_no_stored_structure():
    node = ArgMax()
    for before, k in ((Edge((5,), (Format(4, signed=True),)), 6), (Edge((5,), (Format(4),)), 4)):
        netlist = lower(node, "argmax", before, node.output(before), k)
        assert len(netlist.cells) > 16
        assert max(len(cell.inputs) for cell in netlist.cells) <= k


def test_the_file_reads_and_writes_itself(tmp_path):
    path = tmp_path / "stored.json"
    path.write_text(stored_structures.dump(stored_structures.load()))
    assert stored_structures.read(path) == stored_structures.load()
    assert path.read_bytes() == stored_structures.FILE.read_bytes()


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ to compile the search with")
@pytest.mark.sweeps
def test_the_search_finds_the_stored_argmax_again_and_stores_it(tmp_path):
    path = tmp_path / "stored.json"
    path.write_text("[]")
    script = Path(__file__).parents[2] / "benchmarks" / "search_structures.py"
    options = ["argmax", "5", "4", "--afresh", "--seed", "2", "--steps", "1000", "--write", "--file"]
    said = subprocess.run([sys.executable, script, *options, path], capture_output=True, text=True, check=True).stdout
    assert said == "argmax 5 4: 16 LUTs, depth 7; by rule 19\n"
    (found,) = stored_structures.read(path)
    assert (found.kind, found.shape, len(found.netlist.cells)) == ("argmax", (5, 4), 16)
