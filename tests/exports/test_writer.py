"""An export directory: the same bytes every time, everything in it true, and real checkpoints as they are."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import types
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import dwn_hw
from dwn_hw.errors import ExportError, OptionError
from dwn_hw.exports import planning, reader, writer
from dwn_hw.exports.options import Options
from dwn_hw.frontend import checkpoints
from dwn_hw.frontend.trained_dwn import Scaler, TrainedDwn, TrainedGroupSum, TrainedLutLayer
from dwn_hw.ir import sample_files, serialize
from dwn_hw.ir.network import LEFT_TO_HOST
from dwn_hw.verification import compare_parallel

ROOT = Path(__file__).resolve().parents[2]


def model(features=5, bits=3, luts=(12, 8), classes=3, seed=0, scaler=None, names=True):
    """An untrained network with a permutation and mixed values."""
    rng = np.random.default_rng(seed)
    layers, size = [], features * bits
    for count in luts:
        tables = rng.integers(0, 2, (count, 16)).astype(np.uint8)
        layers.append(TrainedLutLayer(rng.integers(0, size, (count, 4)), tables))
        size = count
    return TrainedDwn(
        np.sort(rng.normal(size=(features, bits)), axis=1).astype("f4"),
        scaler,
        tuple(layers),
        TrainedGroupSum(classes, 2.0, rng.permutation(size)),
        tuple(f"class {i}" for i in range(classes)) if names else (),
        tuple(f"feature {i}" for i in range(features)) if names else (),
        "a test",
    )


def samples(features=5, count=300, seed=1, spread=1):
    rng = np.random.default_rng(seed)
    return sample_files.Samples(
        rng.normal(scale=spread, size=(count, features)).astype("f4"), None, rng.integers(0, 3, count), "x.npz"
    )


def naive(network, codes):
    """(scores, class) of one vector of codes, in plain Python, from the definitions in docs/nodes.md."""
    thermometer, *layers, groups, argmax = network.nodes
    bits = [int(code >= t) for code, row in zip(codes, thermometer.thresholds, strict=True) for t in row]
    for layer in layers:
        bits = [
            table >> sum(bits[wire] << slot for slot, wire in enumerate(row)) & 1
            for row, table in zip(layer.wires, layer.tables, strict=True)
        ]
    if groups.sizes:
        starts = [sum(groups.sizes[:g]) for g in range(groups.groups)]
        weighted = [bits[m] * w for m, w in zip(groups.members, groups.weights or [1] * len(bits), strict=False)]
        parts = [weighted[start : start + size] for start, size in zip(starts, groups.sizes, strict=True)]
        scores = [sum(part) + bias for part, bias in zip(parts, groups.biases or [0] * len(parts), strict=True)]
    else:
        bits = [bits[i] for i in groups.members] if groups.members else bits
        bits += [0] * (-len(bits) % groups.groups)
        each = len(bits) // groups.groups
        scores = [sum(bits[g * each : (g + 1) * each]) for g in range(groups.groups)]
    assert type(argmax).__name__ == "ArgMax"
    return scores, scores.index(max(scores))


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def arrays_of(path):
    with np.load(path) as file:
        return dict(file)


# -------------------------------------------------------------------------------------------- the directory


def test_the_same_model_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        writer.export(model(), tmp_path / name, samples=samples())
    assert content(tmp_path / "one") == content(tmp_path / "two")
    with zipfile.ZipFile(tmp_path / "one" / "vectors" / "golden.npz") as file:
        assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.sweeps
def test_another_process_with_another_hash_seed_gives_the_same_bytes(tmp_path):
    script = (
        "import pathlib, sys, test_writer as t; from dwn_hw.exports import writer; "
        "writer.export(t.model(), pathlib.Path(sys.argv[1]), samples=t.samples())"
    )
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "exports")])
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-c", script, str(tmp_path / seed)]
        subprocess.run(command, env=env, check=True, timeout=120, cwd=tmp_path)
    writer.export(model(), tmp_path / "here", samples=samples())
    assert content(tmp_path / "1") == content(tmp_path / "2") == content(tmp_path / "here")


def test_no_path_and_no_date_is_in_any_file(tmp_path):
    writer.export(model(), tmp_path / "out", samples=samples())
    for name, raw in content(tmp_path / "out").items():
        assert str(tmp_path).encode() not in raw, name
        assert str(Path.home()).encode() not in raw or str(Path.home()) == "/", name
        assert not re.search(rb"20[2-9]\d-[01]\d", raw), name


def test_all_that_the_readme_lists_is_there_and_nothing_else(tmp_path):
    writer.export(model(), tmp_path / "out")
    table = (ROOT / "README.md").read_text().split("| file | what it is |")[1].split("\n\n")[0]
    listed = {name for row in table.splitlines()[2:] for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
    assert listed == {
        "rtl/*.v", "interface.json", "INTERFACE.md", "network.safetensors", "vectors/golden.npz", "vectors/x.hex",
        "vectors/y.hex", "report.json", "frozen.safetensors", "host/dwn_host.h", "rtl/SHA256SUMS", "SHA256SUMS",
        "FEATURES.md", "instance.v", "instance.vhd", "handshake.svg", "handshake.json", "files.f", "sim.f", "fusesoc.core",
        "component.xml", "tb/dwn_tb.sv", "tb/dwn_params.vh", "constraints/dwn.xdc", "constraints/dwn.sdc",
    }  # fmt: skip
    there = {re.sub(r"rtl/\w+\.v", "rtl/*.v", name) for name in content(tmp_path / "out")}
    assert there == listed


def test_the_verilog_holds_every_module_once_and_the_top(tmp_path):
    writer.export(model(), tmp_path / "out")
    names = sorted(path.stem for path in (tmp_path / "out" / "rtl").glob("*.v"))
    parts = ("argmax", "core", "encoder", "l0", "l1", "lut", "popcount", "top")
    assert names == [f"dwn_{part}" for part in parts]
    for name in names:
        text = (tmp_path / "out" / "rtl" / f"{name}.v").read_text()
        assert re.findall(r"^module (\w+)", text, re.M) == [name]


def test_golden_vectors_are_what_a_naive_evaluation_gives(tmp_path):
    writer.export(model(), tmp_path / "out", samples=samples())
    golden = arrays_of(tmp_path / "out" / "vectors" / "golden.npz")
    network = serialize.load(tmp_path / "out" / "network.safetensors")
    wanted = [naive(network, codes) for codes in golden["codes"].tolist()]
    assert golden["scores"].tolist() == [scores for scores, _ in wanted]
    assert golden["y"].tolist() == [y for _, y in wanted]
    assert len(set(golden["y"].tolist())) > 1
    # Corners, boundaries, ties, and the user's own samples are all among them.
    ends = [(fmt.low, fmt.high) for fmt in network.input.edge.flat_formats()]
    assert golden["codes"][0].tolist() == [low for low, _ in ends]
    assert golden["codes"][1].tolist() == [high for _, high in ends]
    tied = [sorted(scores)[-1] == sorted(scores)[-2] for scores, _ in wanted]
    assert sum(tied) >= 50
    own = sample_files.to_codes(samples(), network).codes[: writer.GOLDEN_SAMPLES]
    assert golden["codes"][-len(own) :].tolist() == own.tolist()


def test_the_reports_agreement_is_what_an_independent_count_gives(tmp_path):
    given, trained = (
        samples(count=400, spread=3),
        model(scaler=Scaler("standard", np.full(5, 0.5, "f4"), np.full(5, 3, "f4"))),
    )
    report = writer.export(trained, tmp_path / "out", Options(input_format="s5/4", optimize=False), given)
    assert report == json.loads((tmp_path / "out" / "report.json").read_text())
    network = serialize.load(tmp_path / "out" / "network.safetensors")
    # Rounding by hand: s5/4 carries -16..15 quarters.
    quarters = [[float(v) * 4 for v in row] for row in given.x]
    codes = [[min(15, max(-16, round(v))) for v in row] for row in quarters]
    scaled = ((given.x - np.float32(0.5)) / np.float32(3)).tolist()
    bits = [
        [int(v > t) for v, row in zip(vector, trained.thresholds.tolist(), strict=True) for t in row]
        for vector in scaled
    ]
    got_bits = [
        [int(c >= t) for c, row in zip(vector, network.nodes[0].thresholds, strict=True) for t in row]
        for vector in codes
    ]
    predictions = [naive(network, vector)[1] for vector in codes]
    exact = [torch_free_class(trained, row) for row in bits]
    assert report["data"] == {
        "samples": 400,
        "rounded": sum(v != round(v) for row in quarters for v in row),
        "saturated": sum(not -16 <= round(v) <= 15 for row in quarters for v in row),
        "encoder_bits_changed": sum(
            a != b for x, y in zip(bits, got_bits, strict=True) for a, b in zip(x, y, strict=True)
        ),
        "predictions_changed": sum(a != b for a, b in zip(exact, predictions, strict=True)),
        "accuracy": round(sum(a == b for a, b in zip(predictions, given.y.tolist(), strict=True)) / 400, 6),
    }
    assert report["data"]["encoder_bits_changed"] > 0
    assert report["data"]["saturated"] > 0


def torch_free_class(trained, bits):
    """The class for thermometer bits, from the trained arrays."""
    for layer in trained.layers:
        address = [sum(bits[w] << s for s, w in enumerate(row)) for row in layer.mapping.tolist()]
        bits = [int(layer.tables[j, a]) for j, a in enumerate(address)]
    bits = [bits[i] for i in trained.group.permutation.tolist()]
    bits += [0] * (-len(bits) % trained.group.k)
    each = len(bits) // trained.group.k
    scores = [sum(bits[g * each : (g + 1) * each]) for g in range(trained.group.k)]
    return scores.index(max(scores))


def redundant():
    """A model with voters that are constant, equal and inverse, all of them of three groups of four."""
    rng = np.random.default_rng(0)
    mapping, tables = rng.integers(0, 15, (6, 3)), rng.integers(0, 2, (6, 8)).astype(np.uint8)
    tables[:, 0], tables[:, 7] = 0, 1
    order = [0, 1, 0, 2, 3, 4, 3, 3, 5, 1, 5, 4]
    voters = tables[order].copy()
    voters[3], voters[6], voters[10] = 1, 0, 1 - voters[10]
    layer = TrainedLutLayer(mapping[order], voters)
    thresholds = np.sort(rng.normal(size=(5, 3)), axis=1).astype("f4")
    return TrainedDwn(thresholds, None, (layer,), TrainedGroupSum(3, 1.0), source="a test")


def test_what_the_passes_took_out_is_in_the_report_and_the_sums_are_the_model_s(tmp_path):
    """Group 0: a, b, a, 1; group 1: d, e, 0, d; group 2: f, b, not f, e."""
    plain = writer.export(redundant(), tmp_path / "plain", Options(optimize=False))
    report = writer.export(redundant(), tmp_path / "out")
    assert plain["optimized"] is None
    assert report["optimized"]["popcount"] == {"constant members": 4, "duplicate members": 2}
    assert report["checked"]["optimized_sums"] > 1000
    vote = serialize.load(tmp_path / "out" / "network.safetensors").nodes[-2]
    assert (vote.sizes, vote.biases) == ((2, 2, 2), (1, 0, 1))
    network = serialize.load(tmp_path / "plain" / "network.safetensors")
    golden = arrays_of(tmp_path / "out" / "vectors" / "golden.npz")
    assert [naive(network, codes)[0] for codes in golden["codes"].tolist()] == golden["scores"].tolist()


# ---------------------------------------------------------------------------------------------- the interface


@pytest.mark.parametrize("stated", ["s7/8", None])
def test_the_bit_positions_are_those_that_the_bench_drives(tmp_path, stated):
    """Each feature and field is cut out of the packed words at the place that interface.json says."""
    writer.export(model(), tmp_path / "out", Options(scores=True, input_format=stated))
    exported = reader.read_export(tmp_path / "out")
    golden = arrays_of(tmp_path / "out" / "vectors" / "golden.npz")
    packed = compare_parallel.expected_rows(exported.design, golden["codes"].astype(np.int64))
    for i in range(len(golden["codes"])):
        x = int.from_bytes(packed["x"][i].tobytes(), "little")
        for f, feature in enumerate(exported.interface.input.features):
            assert cut(x, feature.lsb, feature.bits, feature.signed) == golden["codes"][i, f]
        y = int.from_bytes(packed["y"][i].tobytes(), "little")
        klass, scores = exported.interface.output.fields
        assert (klass.name, klass.lsb, klass.count) == ("class", 0, 1)
        assert cut(y, klass.lsb, klass.bits, klass.signed) == golden["y"][i]
        assert scores.name == "scores"
        for c in range(scores.count):
            place = scores.lsb + c * scores.bits
            assert cut(y, place, scores.bits, scores.signed) == golden["scores"][i, c]


def cut(word, low, bits, signed):
    value = word >> low & ((1 << bits) - 1)
    return value - (1 << bits) if signed and value >> (bits - 1) else value


def test_names_formats_and_steps_are_in_the_interface(tmp_path):
    writer.export(model(), tmp_path / "out", Options(input_format="u8/255"))
    described = json.loads((tmp_path / "out" / "interface.json").read_text())
    assert described["classes"] == ["class 0", "class 1", "class 2"]
    assert [f["name"] for f in described["input"]["features"]] == [f"feature {i}" for i in range(5)]
    assert {(f["bits"], f["signed"], f["step"], f["offset"]) for f in described["input"]["features"]} == {
        (8, False, "1/255", "0")
    }
    assert described["input"]["bits"] == 40
    text = (tmp_path / "out" / "INTERFACE.md").read_text()
    assert "Every code is of u8, with step 1/255 and offset 0. " in text
    assert "| 2 | class 2 |" in text
    assert "| 4 | feature 4 | [39:32] | u8 | 1/255 | 0 |" in (tmp_path / "out" / "FEATURES.md").read_text()


SCALER = Scaler("standard", np.linspace(-1, 1, 5), np.linspace(0.5, 2, 5))


def test_a_scaler_is_folded_in_and_no_scaler_says_loudly_that_it_is_not(tmp_path):
    writer.export(model(scaler=SCALER), tmp_path / "folded")
    writer.export(model(scaler=SCALER), tmp_path / "left", Options(use_scaler=False))
    writer.export(model(), tmp_path / "none", Options(use_scaler=False))
    loud = LEFT_TO_HOST
    told = {}
    for name in ("folded", "left", "none"):
        described = json.loads((tmp_path / name / "interface.json").read_text())
        report = json.loads((tmp_path / name / "report.json").read_text())
        told[name] = described["input"]["scaler"]
        assert report["input"]["scaler"] == told[name]
        text = (tmp_path / name / "INTERFACE.md").read_text()
        assert (f"**{loud}" in text) == (name == "left")
        assert ("in the units that the user's data is in" in text) == (name != "left")
        assert (loud in (tmp_path / name / "rtl" / "dwn_top.v").read_text()) == (name == "left")
    assert told["folded"] == "standard, folded into the thresholds"
    assert told["left"] == f"{loud} the model's standard scaler comes before this port (--no-scaler)"
    assert told["none"] == "none"


def test_no_scaler_is_the_network_of_the_model_without_its_scaler(tmp_path):
    writer.export(model(scaler=SCALER), tmp_path / "left", Options(use_scaler=False))
    writer.export(model(), tmp_path / "bare")
    left, bare = (serialize.load(tmp_path / name / "network.safetensors") for name in ("left", "bare"))
    assert (left.input, left.nodes) == (bare.input, bare.nodes)


# ------------------------------------------------------------------------------------------- --normalize


def image_model(pixels, seed=3):
    rng = np.random.default_rng(seed)
    layer = TrainedLutLayer(rng.integers(0, pixels * 2, (6, 3)), rng.integers(0, 2, (6, 8)).astype(np.uint8))
    thresholds = np.sort(rng.normal(size=(pixels, 2)), axis=1).astype("f4")
    return TrainedDwn(thresholds, None, (layer,), TrainedGroupSum(2, 1.0), source="a test")


@pytest.mark.parametrize(
    ("normalize", "shape", "means", "stds"),
    [
        ("0.1307,0.3081", None, [0.1307] * 12, [0.3081] * 12),
        ("0.1307,0.3081", "1,3,4", [0.1307] * 12, [0.3081] * 12),
        (
            "0.485,0.456,0.406,0.229,0.224,0.225", "3,2,2",
            [m for m in (0.485, 0.456, 0.406) for _ in range(4)], [s for s in (0.229, 0.224, 0.225) for _ in range(4)],
        ),
    ],
)  # fmt: skip
def test_normalize_is_torchvisions_formula_in_float32_for_every_pixel_value(normalize, shape, means, stds):
    """ToTensor's x/255, then Normalize's (x − mean)/std, each in float32, at all 256 values of every pixel."""
    trained = image_model(12)
    options = Options(input_format="u8/255", normalize=normalize, input_shape=shape, optimize=False)
    network = planning.plan(trained, options).design.network
    pixels = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 12, axis=1)
    tensor = pixels.astype(np.float32) / np.float32(255)
    normalized = (tensor - np.array(means, np.float32)) / np.array(stds, np.float32)
    wanted = normalized[:, :, None] > trained.thresholds
    got = pixels.astype(int)[:, :, None] >= np.array(network.nodes[0].thresholds)
    assert np.array_equal(got, wanted)


def test_normalize_agrees_with_torch_itself():
    torch = pytest.importorskip("torch")
    trained = image_model(12)
    options = Options(input_format="u8/255", normalize="0.1307,0.3081", optimize=False)
    network = planning.plan(trained, options).design.network
    pixels = torch.arange(256, dtype=torch.uint8)[:, None].expand(256, 12)
    normalized = pixels.to(torch.float32).div(255).sub_(torch.tensor(0.1307)).div_(torch.tensor(0.3081))
    wanted = normalized[:, :, None] > torch.from_numpy(trained.thresholds)
    got = pixels.numpy().astype(int)[:, :, None] >= np.array(network.nodes[0].thresholds)
    assert np.array_equal(got, wanted.numpy())


# ------------------------------------------------------------------------------------------ the real network


def real_forms(jsc, tmp_path, monkeypatch):
    """The real checkpoint as it is, as a whole-module pickle of torch_dwn's classes, and as our own save."""
    torch = pytest.importorskip("torch")
    path = jsc / "dwn_jsc_t4_distributive_300-100_lr_checkpoint.pt"
    found = checkpoints.read(path)
    state, config = found["state_dict"], found["config"]
    modules = {
        name: types.ModuleType(f"torch_dwn.{name}") for name in ("lut_layer", "mapping", "utils", "binarization")
    }
    monkeypatch.setitem(sys.modules, "torch_dwn", types.ModuleType("torch_dwn"))
    for module in modules.values():
        monkeypatch.setitem(sys.modules, module.__name__, module)

    def make(module, name, base=torch.nn.Module, **attributes):
        kind = type(name, (base,), {"__module__": f"torch_dwn.{module}"})
        kind = modules[module].__dict__.setdefault(name, kind)
        made = kind()
        for key, value in attributes.items():
            setattr(made, key, value)
        return made

    def parameter(values):
        return torch.nn.Parameter(torch.tensor(values), requires_grad=False)

    learned = make("mapping", "LearnableMapping", weights=parameter(state["0.mapping.weights"]), tau=0.001)
    first = make("lut_layer", "LUTLayer", n=6, ste=True, mapping=learned, luts=parameter(state["0.luts"]))
    second = make(
        "lut_layer", "LUTLayer", n=6, ste=True, mapping=parameter(state["1.mapping"]), luts=parameter(state["1.luts"])
    )
    group = make("utils", "GroupSum", k=config["num_classes"], tau=config["tau"], randperm=None)
    thresholds = torch.tensor(found["thermometer"]["thresholds"])
    thermometer = make("binarization", "DistributiveThermometer", object, num_bits=4, thresholds=thresholds)
    scaler = {key: torch.tensor(value) for key, value in found["scaler"].items()}
    whole = torch.nn.Sequential(first, second, group)
    torch.save({"model": whole, "thermometer": thermometer, "scaler": scaler}, tmp_path / "whole.pt")
    dwn_hw.save(whole, tmp_path / "own.pt", thermometer=thermometer, scaler=scaler)
    for name in [name for name in sys.modules if name.split(".")[0] == "torch_dwn"]:
        monkeypatch.delitem(sys.modules, name)
    return {"dict": path, "whole": tmp_path / "whole.pt", "own": tmp_path / "own.pt"}


def test_the_real_jsc_network_exported_in_every_form_gives_the_recorded_bits_and_predictions(
    jsc, data, tmp_path, monkeypatch
):
    recorded = arrays_of(jsc / "dwn_jsc_t4_distributive_300-100_lr_testvectors.npz")
    unscaled = arrays_of(data("jsc-1000") / "jsc_openml42468_test1000.npz")["x"]
    assert recorded["pred"].shape == (1000,)
    assert recorded["x_binarized"].shape == (1000, 64)
    for name, path in real_forms(jsc, tmp_path, monkeypatch).items():
        out = tmp_path / name
        dwn_hw.export(dwn_hw.load(path), out)
        classes, scores = dwn_hw.predict(out, unscaled)
        assert np.array_equal(classes, recorded["pred"]), name
        assert scores.shape == (1000, 5)
        network = serialize.load(out / "network.safetensors")
        thresholds = np.array(network.nodes[0].thresholds)
        steps = np.array([float(Fraction(step)) for step in network.input.steps])
        codes = np.clip(np.rint(unscaled.astype(np.float64) / steps), -(1 << 15), (1 << 15) - 1)
        bits = (codes[:, :, None] >= thresholds).reshape(1000, 64)
        assert np.array_equal(bits, recorded["x_binarized"]), name
    # The same hardware from every form: what tests/verification/test_compare_rtl.py simulates of one holds for all.
    verilog = {name: hardware(tmp_path / name) for name in ("dict", "whole", "own")}
    assert verilog["dict"] == verilog["whole"] == verilog["own"]


def hardware(out):
    """The Verilog without its comments: the header names the file that the model came from, by the digest."""
    return {path.name: re.sub(r"//.*", "", path.read_text()) for path in sorted((out / "rtl").glob("*.v"))}


# --------------------------------------------------------------------------------- what the Python API refuses


def test_an_option_that_the_command_line_cannot_give_is_refused_too(tmp_path):
    with pytest.raises(OptionError, match="--shell: one of stream, none, uart, axis; got 'pcie'"):
        dwn_hw.export(model(), tmp_path / "out", shell="pcie")
    assert not (tmp_path / "out").exists()


def test_a_directory_with_other_content_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(ExportError, match=r"other content \(mine.txt\)"):
        dwn_hw.export(model(), tmp_path)
