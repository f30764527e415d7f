"""The cocotb bench of ``verify --thorough``: it compares as many values as the other one, and finds what is planted by itself."""

from __future__ import annotations

import pytest
from groups import swept
from lut_networks import random_network

from dwn_hw.exports import planning, reader, writer
from dwn_hw.hardware.design import make_design
from dwn_hw.ir import vectors
from dwn_hw.verification import compare_cocotb, compare_parallel, compare_rtl
from dwn_hw.verification.mismatches import Difference

pytest.importorskip("cocotb_tools")


def bench_of(folder, **options):
    design = make_design(random_network(), **options)
    writer.write(planning.ExportPlan(design, 0, {}, None), folder)
    exported = reader.read_export(folder)
    stimulus = vectors.make(exported.network, random=40, seed=3)
    sources = compare_rtl.read_by_simulators(exported)
    return compare_parallel.Bench(exported, exported.design, sources, stimulus, 20)


@pytest.mark.parametrize(
    ("options", "simulator"),
    [
        ({}, "icarus"),
        *swept(
            ({}, "verilator"),
            ({"shell": "none", "latency": 0}, "icarus"),
            ({"encoder": "streamed"}, "icarus"),
            ({"target": "xc7", "latency": 5}, "verilator"),
        ),
    ],
)
def test_both_benches_compare_every_vector_and_node_at_full_speed(tmp_path, options, simulator):
    bench = bench_of(tmp_path / "out", **options)
    ours = bench.run(tmp_path / "one", simulator, 300.0)
    theirs = compare_cocotb.run(bench, tmp_path / "two", simulator, 300.0)
    assert theirs["full_speed"]["results"] == ours["full_speed"]["results"] == len(bench.codes)
    assert theirs["full_speed"]["node_values"] == ours["full_speed"]["node_values"]
    assert set(theirs) == set(ours)


@pytest.mark.parametrize(
    ("part", "line", "instead"),
    [
        ("popcount", "assign y", "assign y = ~("),
        *swept(("encoder", "assign y", "assign y = ~("), ("argmax", "assign y", "assign y = ~(")),
    ],
)
def test_it_finds_a_planted_fault_by_itself(tmp_path, part, line, instead):
    bench = bench_of(tmp_path / "out")
    (path,) = (tmp_path / "out" / "rtl").glob(f"dwn_{part}.v")
    text = path.read_text()
    at = text.rindex(f"{line} = ")
    end = text.index(";", at)
    path.write_text(text[:at] + instead + text[at + len(line) + 3 : end] + ")" + text[end:])
    found = compare_cocotb.run(bench, tmp_path / "two", "icarus", 300.0)
    assert isinstance(found, Difference)
    assert (found.node, found.phase) == (part, "full_speed")
