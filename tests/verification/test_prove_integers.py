"""prove for networks that count in integers: small ones are proven, and each planted fault is refuted by codes that show it.

Needs pyosys.
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
from dwn_hw.ir import evaluate, packing
from dwn_hw.verification import proof
from dwn_hw.verification.proof.aig import pack, unpack
from dwn_hw.verification.proof.naive import reference

pytest.importorskip("pyosys")


def network(bits, *nodes, shape=(4,), signed=False):
    return ir.Network(ir.Input(shape, (ir.Format(bits, signed),)), nodes)


SUMS = network(
    3,
    ir.Dense((3, -2, 1, 0, -1, 4, 0, 2, 5, -3, 0, 1), (1, 0, -4), -1),
    ir.Relu(),
    ir.Quantize(1, "half_even", 0, 9),
    ir.ArgMax(),
)
ORDER = network(
    3, ir.MultiThreshold(((-2, 0, 0, 2),), ((2, -3, 1, 0, 1),)), ir.Sort(keep=2, descending=True), signed=True
)
WORDS = network(3, ir.MultiThreshold(((-2, 0, 1),), ((-1, 0, 2, 3),)), ir.Sort(), signed=True)
MEANS = network(2, ir.CompareToMean(), shape=(3,))
IMAGE = network(2, ir.Conv2d((1, 1, 2, 1), (1, -3), (2,), 0), ir.MaxPool2d((1, 2), (1, 1), (0, 1)), shape=(1, 3, 2))
SORTER = network(4, ir.Sort(), shape=(5,))
SIXTEEN = network(1, ir.Sort(keep=7), shape=(16,))
GROWN = network(2, ir.ConvTranspose2d((1, 1, 2, 2), (1, -2, 3, 4), (1,), 0, stride=(2, 1)), shape=(1, 2, 2))
LINEAR = network(4, ir.Affine((3, -5), (1, 2), 2, 0), ir.Quantize(1, "half_up", -3, 5), shape=(2,), signed=True)


def write(net, out, **options):
    writer.write(planning.ExportPlan(make_design(net, **options), 0, {}, None), out)
    return out


@pytest.mark.parametrize(
    ("net", "options"),
    [
        (SUMS, {}),
        (ORDER, {"latency": 4}),
        *swept(*((net, {}) for net in (WORDS, MEANS, IMAGE, SORTER, SIXTEEN, GROWN, LINEAR))),
    ],
)
def test_small_networks_are_proven(net, options, tmp_path):
    report = proof.prove(write(net, tmp_path / "export", **options))
    assert report["proven"]
    assert {claim["name"] for claim in report["claims"]} >= set(net.names())


@pytest.mark.parametrize("net", [SUMS, ORDER, MEANS, IMAGE, GROWN, LINEAR])
def test_the_reference_is_what_the_nodes_mean_for_all_codes(net):
    fmt, size = net.input.edge.formats[0], net.input.edge.size
    codes = np.array(list(itertools.product(range(fmt.low, fmt.high + 1), repeat=size)), np.int64)
    values = evaluate.trace(net, codes.reshape(-1, *net.input.shape))
    for step in net.steps():
        logic = reference([step.node], step.before)
        got = unpack(logic.simulate(pack(packing.pack(values[step.index], step.before))), len(codes))
        assert np.array_equal(got, packing.pack(values[step.index + 1], step.after))


@pytest.mark.parametrize(
    ("net", "part", "pattern", "fault"),
    [
        (SORTER, "sort", r"\.LUT\(\d+'h(.)", lambda digit: f"{int(digit, 16) ^ 1:x}"),
        (MEANS, "mean", r" (<) ", lambda _: "<="),
        *swept(
            (SUMS, "quantize", r" (\+) ", lambda _: "-"),
            (ORDER, "levels", r" (<) ", lambda _: "<="),
        ),
    ],
)
def test_planted_faults_are_refuted(net, part, pattern, fault, tmp_path):
    path = write(net, tmp_path / "export") / "rtl" / f"dwn_{part}.v"
    text = path.read_text()
    places = list(re.finditer(pattern, text))
    assert places
    for found in places[:3]:
        path.write_text(text[: found.start(1)] + fault(found[1]) + text[found.end(1) :])
        with pytest.raises(Mismatch, match=part):
            proof.prove(tmp_path / "export")
