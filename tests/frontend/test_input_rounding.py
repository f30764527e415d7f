"""How a host rounds between two codes: by what the data or the thresholds show, said everywhere, and the same everywhere."""

from __future__ import annotations

import dataclasses
import gzip
import json
from fractions import Fraction

import numpy as np
import pytest
from groups import swept

import dwn_hw
from dwn_hw import ir
from dwn_hw.errors import IRError
from dwn_hw.exports import c_host, planning, reader
from dwn_hw.exports.derive_interface import describe
from dwn_hw.exports.options import Options
from dwn_hw.frontend.trained_dwn import Scaler, TrainedDwn, TrainedGroupSum, TrainedLutLayer
from dwn_hw.ir import evaluate, sample_files, serialize
from dwn_hw.ir.codes import encode
from dwn_hw.ir.emulate import Emulator
from dwn_hw.ir.integer_nodes import ROUNDINGS

BITS = 9


def trained(thresholds, scaler=None, luts=60, seed=3):
    """An untrained network behind real thresholds."""
    rng = np.random.default_rng(seed)
    layer = TrainedLutLayer(
        rng.integers(0, thresholds.size, (luts, 6)), rng.integers(0, 2, (luts, 64)).astype(np.uint8)
    )
    return TrainedDwn(thresholds, scaler, (layer,), TrainedGroupSum(3, 1.0, None), source="a test")


def own_bits(model, x):
    """The model's own thermometer, in its own dtype."""
    if model.scaler is not None:
        x = (x.astype(model.scaler.offset.dtype) - model.scaler.offset) / model.scaler.factor
    return (x.astype(model.thresholds.dtype)[:, :, None] > model.thresholds).reshape(len(x), -1).astype(int)


def bits_changed(model, network, x):
    return int((evaluate.apply(network.nodes[0], encode(network.input, x).codes) != own_bits(model, x)).sum())


def measured(data, name):
    """A data set's features, standardised by its first two thirds, in the two parts; those that vary."""
    with gzip.open(data("uci-pmlb") / f"{name}.tsv.gz", "rt") as file:
        x = np.loadtxt(file, delimiter="\t", skiprows=1)[:, :-1]
    x = x[np.random.default_rng(0).permutation(len(x))]
    first = x[: len(x) * 2 // 3]
    kept = first.std(axis=0) > 0
    x = ((x - first.mean(axis=0)) / np.where(kept, first.std(axis=0), 1)).astype(np.float32)[:, kept]
    return x[: len(first)], x[len(first) :]


def distributive(x, bits=BITS):
    """Thresholds that are values of the data, as torch_dwn's ``DistributiveThermometer`` takes them."""
    return np.sort(x, axis=0)[[len(x) * (i + 1) // (bits + 1) for i in range(bits)]].T.copy()


@pytest.mark.needs_data("uci-pmlb")
@pytest.mark.parametrize("name", ["ecoli", "phoneme", "segmentation", *swept("satimage", "australian")])
@pytest.mark.parametrize("given", [False, True], ids=["without data", "with data"])
def test_real_data_that_come_scaled_are_rounded_so_that_values_at_a_threshold_stay_below_it(data, name, given):
    first, rest = measured(data, name)
    model = trained(distributive(first))
    samples = sample_files.Samples(rest, None, None, "x.npz") if given else None
    found = planning.plan(model, Options(), samples)
    network = found.frozen
    assert found.report["input"]["rounding"] == network.input.rounding == "floor"
    assert "numbers are rounded down" in found.report["input"]["reason"]
    other = dataclasses.replace(network, input=dataclasses.replace(network.input, rounding=ir.NEAREST))
    down, nearest = (bits_changed(model, each, rest) for each in (network, other))
    assert down < nearest / 2
    if given:
        assert found.report["data"]["encoder_bits_changed"] == down
        assert f"({down} thermometer bits of the data change by that, {nearest} by" in found.report["input"]["reason"]


def test_numbers_that_are_no_thresholds_are_rounded_to_the_nearest_where_data_show_it():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(9000, 4)).astype(np.float32)
    model = trained(distributive(x[:3000]))
    samples = sample_files.Samples(x[3000:], None, None, "x.npz")
    found = planning.plan(model, Options(input_format="sQ3.6"), samples)
    assert found.report["input"]["rounding"] == ir.NEAREST
    down = dataclasses.replace(found.frozen, input=dataclasses.replace(found.frozen.input, rounding="floor"))
    assert bits_changed(model, found.frozen, x[3000:]) < bits_changed(model, down, x[3000:])


def test_without_data_thresholds_by_a_formula_a_scaler_and_a_grid_of_the_users_are_rounded_to_the_nearest():
    rng = np.random.default_rng(2)
    even = np.linspace(-1.7, 2.1, BITS, dtype=np.float32)[None] * np.ones((4, 1), np.float32) + rng.random(
        (4, 1), np.float32
    )
    values = distributive(rng.normal(size=(500, 4)).astype(np.float32))
    scaler = Scaler("standard", np.zeros(4, np.float32), np.ones(4, np.float32))
    for model, options in (
        (trained(even), Options()),
        (trained(values, scaler), Options()),
        (trained(values), Options(input_format="s12*2")),
        (trained(values), Options(input_format="u8/255")),
    ):
        assert planning.plan(model, options).frozen.input.rounding == ir.NEAREST
    assert planning.plan(trained(values), Options()).frozen.input.rounding == "floor"
    assert planning.plan(trained(values, scaler), Options(use_scaler=False)).frozen.input.rounding == "floor"


@pytest.mark.needs_data("uci-pmlb")
@pytest.mark.sweeps
def test_a_calibration_takes_the_rounding_that_needs_fewer_bits(data):
    """Behind the nearest code no port of so few bits keeps what the model sees."""
    first, rest = measured(data, "phoneme")
    model = trained(distributive(first))
    found = planning.plan(model, Options(calibrate=sample_files.Samples(rest, None, None, "x.npz")))
    assert found.report["calibration"]["met"]
    assert found.frozen.input.rounding == "floor"
    predictions = evaluate.evaluate(found.frozen, encode(found.frozen.input, rest).codes)
    bits = own_bits(model, rest)
    for node in found.frozen.nodes[1:]:
        bits = evaluate.apply(node, bits)
    assert (predictions == bits).all()
    nearest = dataclasses.replace(found.frozen, input=dataclasses.replace(found.frozen.input, rounding=ir.NEAREST))
    assert (evaluate.evaluate(nearest, encode(nearest.input, rest).codes) != bits).any()


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_place_that_says_how_a_host_rounds_says_the_same(tmp_path, rounding):
    """The network's file, the interface, its text, and the C header, on numbers between two codes of which Fraction knows all."""
    rng = np.random.default_rng(4)
    values = distributive(rng.normal(size=(500, 4)).astype(np.float32))
    found = planning.plan(trained(values), Options(shell="stream"))
    port = dataclasses.replace(found.frozen.input, rounding=rounding)
    network = dataclasses.replace(found.frozen, input=port)
    again = serialize.loads(serialize.dumps(network))
    assert again == network
    assert (serialize.digest(again) == serialize.digest(found.frozen)) == (rounding == found.frozen.input.rounding)
    steps = [Fraction(step) for step in port.steps]
    x = np.array(
        [[float((code + part) * step) for step in steps] for code in (-3, 0, 7) for part in (0.0, 0.25, 0.5, 0.75)]
    )
    got = encode(port, x).codes
    for row, codes in zip(x.tolist(), got.tolist(), strict=True):
        for value, step, code in zip(row, steps, codes, strict=True):
            exact = Fraction(value) / step
            wanted = {"floor": exact // 1, "half_up": (exact + Fraction(1, 2)) // 1, "half_even": round(exact)}[
                rounding
            ]
            assert code == wanted
    design = dataclasses.replace(found.design, network=dataclasses.replace(found.design.network, input=port))
    described = describe(design)
    assert described.input.rounding == rounding
    calls = {"floor": "floor(code);", "half_up": "floor(code + 0.5);", "half_even": "nearbyint(code);"}
    text = c_host.header(described)
    assert [call in text for call in calls.values()].count(True) == 1
    assert f"code = {calls[rounding]}" in text


def test_an_export_says_its_rounding_and_predicts_by_it(tmp_path):
    rng = np.random.default_rng(5)
    x = rng.integers(0, 12, (800, 4)) / np.float32(7) - np.float32(0.3)
    model = trained(distributive(x[:500], 3))
    dwn_hw.export(model, tmp_path / "out")
    exported = reader.read_export(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "interface.json").read_text())["input"]["rounding"] == "floor"
    assert "A host rounds **down**" in (tmp_path / "out" / "INTERFACE.md").read_text()
    got, _ = dwn_hw.predict(tmp_path / "out", x)
    bits = own_bits(model, x)
    for node in exported.network.nodes[1:]:
        bits = evaluate.apply(node, bits)
    assert (got == bits).all()


@pytest.mark.parametrize(("stated", "rounding"), [(None, "floor"), ("sQ3.20", "floor"), ("sQ5.4", "half_even")])
def test_numbers_between_the_codes_of_a_port_as_fine_as_a_shift_layer_are_floored_as_that_layer_floors_them(
    tmp_path, stated, rounding
):
    """So the scores are the module's own for numbers of any fineness, and not only for those that are codes."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(7)
    model = torch.nn.Sequential(dwn_hw.nn.LinearShift(6, 4, floored=True)).eval()
    x = np.random.default_rng(8).normal(size=(400, 6))
    dwn_hw.export(model, tmp_path / "out", input_format=stated)
    network = reader.read_export(tmp_path / "out").network
    assert network.input.rounding == rounding
    scores, _ = Emulator(network).run(encode(network.input, x).codes)
    wanted = model.double()(torch.from_numpy(x)).detach().numpy()
    same = scores * 2.0 ** network.scores_edge.formats[0].lsb == wanted
    assert same.all() if rounding == "floor" else not same.any(axis=1).all()


def test_rounding_other_than_to_the_nearest_is_refused_where_floats_lie_beside_the_grid():
    for step in ("1/255", "3", "1/3"):
        with pytest.raises(IRError, match="every step is a power of two"):
            ir.Input((2,), (ir.Format(8),), (step,), rounding="floor")
    with pytest.raises(IRError, match="rounding one of"):
        ir.Input((2,), (ir.Format(8),), rounding="up")
