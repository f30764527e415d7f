"""Calibration: that what it says holds for an oracle that shares no code with it, on made-up models and on a real one."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import numpy as np
import pytest

import dwn_hw
from dwn_hw.errors import DataError, InputError, OptionError
from dwn_hw.exports import planning, writer
from dwn_hw.exports.options import Options
from dwn_hw.frontend import freeze_dwn
from dwn_hw.frontend.calibration import port_search, statistics, widths
from dwn_hw.frontend.calibration.port_trials import Trial
from dwn_hw.frontend.trained_dwn import Scaler, TrainedDwn, TrainedGroupSum, TrainedLutLayer
from dwn_hw.hardware import cost
from dwn_hw.hardware.design import make_design
from dwn_hw.hardware.lowering.encoder import rough_cost
from dwn_hw.ir import evaluate, passes, sample_files, serialize
from dwn_hw.ir.codes import encode
from dwn_hw.verification import compare_rtl

CLASSES = 3


def made_up(features=4, bits=3, luts=40, seed=0, dtype="f4", scaled=True, unread=()):
    """An untrained network of one layer; no LUT reads the features ``unread``."""
    rng = np.random.default_rng(seed)
    thresholds = np.sort(rng.normal(size=(features, bits)), axis=1).astype(dtype)
    readable = [f * bits + b for f in range(features) if f not in unread for b in range(bits)]
    layer = TrainedLutLayer(rng.choice(readable, (luts, 4)), rng.integers(0, 2, (luts, 16)).astype(np.uint8))
    offset, factor = (
        values.astype(dtype) for values in (rng.normal(size=features) * 9, 10 ** rng.uniform(-2, 2, features))
    )
    scaler = Scaler("standard", offset, factor) if scaled else None
    return TrainedDwn(
        thresholds, scaler, (layer,), TrainedGroupSum(CLASSES, 1.0, rng.permutation(luts)), source="a test"
    )


def model_classes(model, x):
    """What the model says, in plain numpy from its definition, in its own dtype."""
    kind = model.thresholds.dtype
    x = np.asarray(x).reshape(len(x), -1).astype(kind)
    if model.scaler is not None:
        x = (x - model.scaler.offset) / model.scaler.factor
    bits = (x[:, :, None] > model.thresholds).reshape(len(x), -1).astype(int)
    for layer in model.layers:
        address = sum(bits[:, layer.mapping[:, slot]] << slot for slot in range(layer.mapping.shape[1]))
        bits = layer.tables[np.arange(len(layer.tables)), address].astype(int)
    group = model.group
    bits = bits if group.permutation is None else bits[:, group.permutation]
    bits = np.pad(bits, ((0, 0), (0, -bits.shape[1] % group.k)))
    return bits.reshape(len(bits), group.k, -1).sum(axis=2).argmax(axis=1)


def hardware_classes(folder, x):
    """What the exported integers say to codes that a host makes from the interface's numbers, in rational arithmetic."""
    described = json.loads((folder / "interface.json").read_text())["input"]["features"]
    assert not any(feature["signed"] for feature in described)
    grids = [(Fraction(f["offset"]), Fraction(f["step"]), 2 ** f["bits"] - 1) for f in described]
    codes = [
        [
            min(max(round((Fraction(value) - low) / step), 0), most)
            for value, (low, step, most) in zip(row, grids, strict=True)
        ]
        for row in np.asarray(x).reshape(len(x), -1).tolist()
    ]
    return evaluate.evaluate(serialize.load(folder / "network.safetensors"), np.array(codes))


def measurements(model, count=600, seed=1, right=0.7):
    """Samples in the units before the scaler, and classes that the model gives to about ``right`` of them."""
    rng = np.random.default_rng(seed + 100)
    x = rng.normal(size=(count, len(model.thresholds)))
    if model.scaler is not None:
        x = x * model.scaler.factor + model.scaler.offset
    x = x.astype(model.thresholds.dtype)
    noise = rng.integers(0, CLASSES, count)
    return x, np.where(rng.random(count) < right, model_classes(model, x), noise)


def export(model, out, x, y=None, **options):
    report = writer.export(model, out, Options(calibrate=sample_files.Samples(x, None, y, "x.npz"), **options))
    return report["calibration"], report


# ---- every prediction kept -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_every_prediction_of_every_sample_is_kept(tmp_path, seed):
    model = made_up(seed=seed, scaled=seed % 2 == 0, dtype=("f4", "f8")[seed // 2])
    x, y = measurements(model, seed=seed)
    found, report = export(model, tmp_path / "out", x, y)
    wanted = model_classes(model, x)
    assert len(set(wanted.tolist())) == CLASSES
    assert (hardware_classes(tmp_path / "out", x) == wanted).all()
    assert found["met"]
    assert found["taken"]["holds"]
    assert report["input"]["origin"] == "calibrated"
    assert (found["taken"]["changed"], found["taken"]["agreement"]) == (0, 1.0)
    # A width for each feature is no dearer than one for all, nor is that than the widest of the curve.
    assert found["taken"]["lut"] == min(found["per_feature"]["lut"], found["shared"]["lut"])
    assert found["taken"]["lut"] < found["curve"][-1]["lut"]
    assert found["taken"]["port_bits"] < found["curve"][-1]["port_bits"]


def test_what_is_reported_of_the_validation_part_is_so(tmp_path):
    model = made_up(seed=5)
    x, y = measurements(model, seed=5)
    found, report = export(model, tmp_path / "out", x, y, max_drop=0.05)
    _, rest = statistics.split(len(x), y, 0)
    wanted, got = model_classes(model, x)[rest], hardware_classes(tmp_path / "out", x)[rest]
    taken, right = found["taken"], got == y[rest]
    assert taken["changed"] == (wanted != got).sum() > 0
    assert taken["agreement"] == round((wanted == got).mean(), 6)
    assert taken["accuracy"] == round(right.mean(), 6)
    assert taken["standard_error"] == round(right.std() / math.sqrt(len(rest)), 6)
    assert found["model"]["accuracy"] == round((wanted == y[rest]).mean(), 6)
    assert found["model"]["changed"] == 0
    assert (found["calibration_samples"], found["validation_samples"]) == (300, 300)
    network = serialize.load(tmp_path / "out" / "network.safetensors")
    formats = [fmt.bits for fmt in network.input.edge.flat_formats()]
    assert (taken["least_bits"], taken["most_bits"], taken["port_bits"]) == (min(formats), max(formats), sum(formats))
    assert taken["lut"] == sum(part["lut"] for part in report["estimate"].values())
    assert taken["encoder_lut"] == report["estimate"]["encoder"]["lut"]


def test_the_curve_is_that_of_exports_with_those_widths():
    """Each row against an export of its own for the same grids: LUTs by ``cost``, predictions by the oracle's model."""
    model = made_up(seed=3)
    x, y = measurements(model, seed=3)
    samples = sample_files.Samples(x, None, y, "x.npz")
    found = planning.plan(model, Options(calibrate=samples)).report["calibration"]
    assert [row["most_bits"] for row in found["curve"]] == list(range(1, 17))
    assert all(row["least_bits"] == row["most_bits"] for row in found["curve"])
    first, rest = statistics.split(len(x), y, 0)
    trial = Trial(model, x, rough_cost)
    choices = [trial.choices(feature, first) for feature in range(4)]
    wanted = model_classes(model, x)
    for row in found["curve"][::5]:
        port = widths.port(widths.shared(choices, row["most_bits"]), trial.finest, "a test")
        network = freeze_dwn.freeze_dwn(model, port)
        got = evaluate.evaluate(network, encode(network.input, x).codes)
        assert row["changed"] == (got != wanted)[rest].sum()
        costs = cost.estimate(make_design(passes.optimize(network)))
        assert row["lut"] == sum(part.lut for part in costs.values())
    # Rough agreement: what 16 bits keep, 2 bits do not.
    assert found["curve"][-1]["changed"] == 0 < found["curve"][1]["changed"]


def test_the_same_samples_give_the_same_export_and_another_seed_another_split(tmp_path):
    model = made_up(seed=2)
    x, y = measurements(model, seed=2)
    for name, seed in (("one", 0), ("two", 0), ("other", 7)):
        export(model, tmp_path / name, x, y, seed=seed)
    files = {
        name: {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()}
        for name in ("one", "two", "other")
    }
    assert files["one"] == files["two"]
    assert files["one"] != files["other"]
    assert (statistics.split(len(x), y, 0)[0] != statistics.split(len(x), y, 7)[0]).any()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_values_exactly_at_thresholds_are_kept_on_their_side(tmp_path, dtype):
    """As in real data: thresholds are quantiles of measurements. A comparison is strict, so such a value is below."""
    base = made_up(seed=8, dtype=dtype, scaled=False)
    model = TrainedDwn(np.round(base.thresholds * 256) / 256, None, base.layers, base.group)
    x, _ = measurements(model, seed=8)
    pick = np.random.default_rng(0).integers(0, 3, x.shape)
    x[::3] = np.take_along_axis(model.thresholds.T, pick, axis=0)[::3]
    found, _ = export(model, tmp_path / "out", x)
    assert found["met"]
    assert (hardware_classes(tmp_path / "out", x) == model_classes(model, x)).all()


def test_classes_need_not_be_known(tmp_path):
    model = made_up()
    x, _ = measurements(model)
    found, report = export(model, tmp_path / "out", x)
    assert (hardware_classes(tmp_path / "out", x) == model_classes(model, x)).all()
    assert "accuracy" not in found["taken"]
    assert "validation samples right" not in report["input"]["reason"]


# ---- features that matter less -------------------------------------------------------------------------------------


def test_a_feature_that_nothing_reads_has_one_bit_and_stays_on_the_port(tmp_path):
    model = made_up(unread=(2,))
    x, y = measurements(model)
    export(model, tmp_path / "out", x, y)
    features = json.loads((tmp_path / "out" / "interface.json").read_text())["input"]["features"]
    assert features[2]["bits"] == 1
    assert min(feature["bits"] for i, feature in enumerate(features) if i != 2) > 1


def test_a_feature_that_is_read_but_changes_no_prediction_is_narrowed_first():
    """Its votes go to all classes alike."""
    rng = np.random.default_rng(0)
    idle = np.array([[0, 0, 1, 1, 0, 1, 0, 1]] * 3, np.uint8)  # of three thresholds of feature 0
    tables = np.concatenate([idle, rng.integers(0, 2, (36, 8)).astype(np.uint8)])
    wires = np.concatenate([np.tile([0, 1, 2], (3, 1)), rng.integers(3, 12, (36, 3))])
    order = np.argsort(np.arange(39) % 3, kind="stable")  # one of the three in each group
    thresholds = np.sort(rng.normal(size=(4, 3)), axis=1)
    model = TrainedDwn(thresholds, None, (TrainedLutLayer(wires, tables),), TrainedGroupSum(3, 1.0, order))
    x = rng.normal(size=(800, 4))
    samples = sample_files.Samples(x, None, None, "x.npz")
    network = planning.plan(model, Options(calibrate=samples)).design.network
    bits = [fmt.bits for fmt in network.input.edge.flat_formats()]
    assert network.nodes[0].thresholds[0] != ()  # it is read
    assert bits[0] == min(bits) < min(bits[1:])


def test_thresholds_far_from_zero_need_no_bits_for_the_distance():
    near, far = made_up(seed=4, scaled=False, dtype="f8"), made_up(seed=4, scaled=False, dtype="f8")
    far = TrainedDwn(far.thresholds + 1024, None, far.layers, far.group)
    x, y = measurements(near, seed=4)
    bits = [
        planning.plan(model, Options(calibrate=sample_files.Samples(values, None, y, "x.npz"))).report["calibration"]
        for model, values in ((near, x), (far, x + 1024))
    ]
    assert abs(bits[0]["taken"]["port_bits"] - bits[1]["taken"]["port_bits"]) <= 4


# ---- data on a grid ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_whole_numbers_keep_their_meaning_in_the_host_s_hands(tmp_path, dtype):
    """Integers are numbers, not codes, whatever the widths; predictions of the export are those that were validated."""
    rng = np.random.default_rng(0)
    base = made_up(features=5, bits=4, seed=6, scaled=False)
    model = TrainedDwn(np.sort(rng.integers(0, 200, (5, 4)), axis=1).astype("f4"), None, base.layers, base.group)
    x = rng.integers(0, 201, (500, 5)).astype(dtype)
    found, _ = export(model, tmp_path / "out", x, model_classes(model, x))
    assert found["curve"][-1]["most_bits"] <= 8
    assert found["curve"][-1]["changed"] == 0
    y, _ = dwn_hw.predict(tmp_path / "out", x)
    assert (y == model_classes(model, x)).all()
    assert (hardware_classes(tmp_path / "out", x) == y).all()


def test_integers_of_one_feature_are_refused_for_they_might_be_codes(tmp_path):
    model = made_up(features=1, bits=8, seed=3, scaled=False)
    with pytest.raises(DataError, match="numbers, which of one feature are not told from codes as integers; got int64"):
        export(model, tmp_path / "out", np.arange(400).reshape(-1, 1))


def test_pixels_near_black_need_one_bit(tmp_path):
    """A threshold at 0 of data on the grid of 1/255: codes 0 and 1, and everything brighter saturates."""
    rng = np.random.default_rng(0)
    base = made_up(features=4, bits=1, luts=12, seed=1, scaled=False)
    model = TrainedDwn(np.zeros((4, 1), "f4"), None, base.layers, base.group)
    x = (rng.integers(0, 256, (400, 4)) * (rng.random((400, 4)) < 0.5)).astype("f4") / np.float32(255)
    found, _ = export(model, tmp_path / "out", x)
    assert found["taken"]["port_bits"] == 4
    features = json.loads((tmp_path / "out" / "interface.json").read_text())["input"]["features"]
    assert {(f["step"], f["offset"]) for f in features} == {("1/255", "0")}
    assert (hardware_classes(tmp_path / "out", x) == model_classes(model, x)).all()


# ---- a drop in accuracy allowed ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seed", "drop"), [(0, 0.05), (1, 0.03), (2, 0.1)])
def test_the_drop_is_within_what_was_asked_in_both_parts_and_with_confidence_in_one(tmp_path, seed, drop):
    model = made_up(seed=seed)
    x, y = measurements(model, seed=seed)
    found, report = export(model, tmp_path / "out", x, y, max_drop=drop)
    first, rest = statistics.split(len(x), y, 0)
    before, after = model_classes(model, x) == y, hardware_classes(tmp_path / "out", x) == y
    for part in (first, rest):
        assert before[part].mean() - after[part].mean() <= drop
    lost, gained = int((before & ~after)[rest].sum()), int((after & ~before)[rest].sum())
    limit = found["taken"]["most_dropped"]
    assert limit == round(statistics.most_dropped(lost, gained, len(rest)), 6) <= drop
    said = f"accuracy falls by at most {math.ceil(limit * 1e4) / 1e4:.2%}, with 95% confidence"
    assert said in report["input"]["reason"]
    exact = planning.plan(model, Options(calibrate=sample_files.Samples(x, None, y, "x.npz"))).report["calibration"]
    assert found["taken"]["lut"] <= exact["taken"]["lut"]
    assert found["taken"]["port_bits"] < exact["taken"]["port_bits"]


def answers(wanted, changes):
    """Predictions of which the given samples are wrong; all true classes are 0."""
    got = wanted.copy()
    got[list(changes)] = 1
    return got


@pytest.fixture
def evidence():
    """800 samples that the model has right; the even ones calibrate."""

    def make(max_drop):
        zeros, order = np.zeros(800, np.int64), np.arange(800)
        return port_search.Evidence(zeros, zeros, order[::2], order[1::2], max_drop)

    return make


def test_to_keep_every_prediction_the_narrowest_port_is_taken_that_changes_none_of_either_part(evidence):
    own = evidence(None)
    ports = [answers(own.wanted, changes) for changes in ([], [1], [], [0], [], [0, 1])]
    assert own.narrowest(ports) == 4
    assert own.narrowest(ports[:4]) == 2
    assert own.narrowest(ports[3:4]) is None
    assert own.narrowest([]) is None


def test_a_claim_of_accuracy_is_followed_from_the_wide_end_to_the_first_port_that_fails(evidence):
    """Else of many ports that are too narrow one would be found that passes by luck."""
    own = evidence(0.02)
    validation = [list(range(1, 2 * lost, 2)) for lost in (0, 1, 2, 30, 1, 0)]
    assert own.narrowest([answers(own.wanted, changes) for changes in validation]) == 2
    # A port that fails in calibration is left out, and is no end.
    calibration_fails = answers(own.wanted, range(0, 100, 2))
    ports = [own.wanted, calibration_fails, own.wanted, answers(own.wanted, validation[3])]
    assert own.narrowest(ports) == 2
    assert own.narrowest([answers(own.wanted, validation[3]), own.wanted]) is None


def test_gains_make_up_for_losses_as_far_as_the_score_interval_lets_them():
    y = np.zeros(2000, np.int64)
    wanted = y.copy()
    wanted[1:40:2] = 1  # wrong by the model
    got = y.copy()
    got[101:140:2] = 1  # right by it, wrong now; the others are mended
    order = np.arange(2000)
    own = port_search.Evidence(wanted, y, order[::2], order[1::2], 0.02)
    assert own.paired(got, own.validation) == (20, 20)
    assert own.validated(got)
    assert not port_search.Evidence(wanted, y, order[::2], order[1::2], 0.01).validated(got)
    got[1:40:2] = 1
    assert own.paired(got, own.validation) == (20, 0)
    assert not own.validated(got)


def test_a_claim_that_no_port_can_keep_is_said_not_to_be_met(tmp_path):
    """Values closer to a threshold than 26 bits tell apart, on both sides of it: no grid is fine enough."""
    base = made_up(features=2, bits=2, luts=12, seed=3, scaled=False, dtype="f8")
    model = TrainedDwn(np.array([[-1.0, 1.0], [-1.0, 1.0]]), None, base.layers, base.group)
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], (600, 2)) + rng.choice([-1e-12, 1e-12], (600, 2))
    found, report = export(model, tmp_path / "out", x)
    assert not found["met"]
    assert found["shared"] is found["per_feature"] is None
    assert not found["taken"]["holds"]
    assert found["taken"]["least_bits"] == found["taken"]["most_bits"] == widths.WIDEST - 1
    assert found["taken"]["changed"] > 0
    reason = report["input"]["reason"]
    assert reason.startswith("calibrated, NOT MET (every prediction): 25 bits a feature, the finest tried; ")
    assert reason in (tmp_path / "out" / "INTERFACE.md").read_text()
    _, rest = statistics.split(len(x), None, 0)
    got = hardware_classes(tmp_path / "out", x)
    assert found["taken"]["changed"] == (got != model_classes(model, x))[rest].sum()


# ---- time ----------------------------------------------------------------------------------------------------------


def test_the_curve_of_large_encoders_has_fewer_widths():
    assert port_search._curve_widths(16, [tuple(range(4))] * 16) == list(range(1, 17))
    assert port_search._curve_widths(8, [tuple(range(3))] * 784) == list(range(1, 9))
    assert port_search._curve_widths(16, [tuple(range(200))] * 16) == [4, 8, 12, 16]
    assert port_search._curve_widths(3, [tuple(range(200))] * 16) == [1, 2, 3]
    assert port_search._curve_widths(1, [()]) == [1]


# ---- what cannot be ------------------------------------------------------------------------------------------------


def refused(kind=DataError, x=None, y=None, codes=None, model=None, **options):
    """The problems of a calibration that is refused before anything is computed."""
    model = made_up() if model is None else model
    samples = sample_files.Samples(x, codes, y, "f.npz")
    with pytest.raises(InputError) as caught:
        planning.plan(model, Options(calibrate=samples, **options))
    assert type(caught.value) is kind
    return str(caught.value)


GOOD = np.zeros((300, 4)), np.arange(300) % 3


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((300, 5)), None, "f.npz: samples of 4 features: shape (samples, 4); got shape (300, 5). Give the"),
        (np.zeros(300), None, "f.npz: samples of 4 features: shape (samples, 4); got shape (300,). Give the features"),
        (np.full((300, 4), "a"), None, "f.npz: numbers; got dtype <U1. Save x as floats or integers."),
        (np.full((300, 4), np.nan), None, "f.npz: finite numbers; got nan in sample 0, feature 0 (1200 in all). Remo"),
        (GOOD[0], np.zeros(300), "f.npz: y of at least two classes; got class 0.0 alone, 300 times. Give samples of"),
        (GOOD[0], GOOD[1] + 1, "f.npz: y of whole numbers from 0 to 2; got 1 to 3: numbers from 1. Save y - 1."),
        (GOOD[0], GOOD[1] / 2, "f.npz: y of whole numbers from 0 to 2; got 0.5 (100 such). Save the number of each"),
        (GOOD[0], GOOD[1][:9], "f.npz: y of shape (300,), one class a sample; got (9,). Save y again."),
        (GOOD[0], np.full(300, np.nan), "f.npz: y of whole numbers from 0 to 2; got nan (300 such). Save the number"),
        (GOOD[0][:249], None, "f.npz: at least 250 samples, of which 125 validate: fewer would not show that 3% of a"),
        (GOOD[0][:0], None, "f.npz: at least 250 samples, of which 125 validate: fewer would not show that 3% of all p"),
        (GOOD[0], GOOD[1], "f.npz: samples of which the model makes more than one class; got class"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_calibrated_by_are_refused(x, y, message):
    assert refused(x=x, y=y).splitlines()[0].startswith(message)


def test_codes_are_refused():
    assert refused(codes=np.zeros((300, 4), int)).startswith(
        "f.npz: numbers to calibrate a port by; got codes, which a"
    )


def test_too_few_samples_for_a_drop_are_refused_with_the_number_and_with_the_drop_that_they_support():
    x, y = measurements(made_up(), 600)
    message = refused(x=x, y=y, max_drop=0.005)
    assert message == (
        "f.npz: at least 1530 samples, of which 765 validate, to support --max-drop 0.005; got 600, which leave 300. "
        "Give more samples, or ask for --max-drop 0.013 or more."
    )
    samples = sample_files.Samples(x, None, y, "f.npz")
    planning.plan(made_up(), Options(calibrate=samples, max_drop=0.013))
    assert "to support --max-drop 0.012" in refused(x=x, y=y, max_drop=0.012)


@pytest.mark.parametrize("drop", [0.0, -0.1, 1.0, 2.0, math.nan, math.inf])
def test_a_drop_that_is_no_part_is_refused(drop):
    x, y = measurements(made_up())
    message = refused(OptionError, x=x, y=y, max_drop=drop)
    assert message.startswith(f"--max-drop: a part of all samples, above 0 and below 1; got {drop:g}. Say 0.01 for one")


def test_options_that_do_not_go_together_are_refused():
    x, y = measurements(made_up())
    message = refused(OptionError, x=x, y=y, input_format="u8")
    assert message == "--calibrate: not with --input-format; got 'u8' as well. Leave one of them out."
    with pytest.raises(OptionError) as caught:
        planning.plan(made_up(), Options(max_drop=0.01))
    assert (
        str(caught.value)
        == "--max-drop: only with --calibrate; got 0.01 alone. Add --calibrate DATA.npz, or leave it out."
    )
    message = refused(x=x, max_drop=0.1)
    assert message == "f.npz: y, the classes, for --max-drop; got x alone. Add y, or leave --max-drop out."


def test_all_problems_are_said_at_once():
    message = refused(OptionError, x=np.zeros((100, 3)), y=np.full(100, 7), max_drop=0.01, input_format="u8")
    assert [line.split(";")[0] for line in message.splitlines()] == [
        "--calibrate: not with --input-format",
        "f.npz: samples of 4 features: shape (samples, 4)",
        "f.npz: y of whole numbers from 0 to 2",
        "f.npz: y of at least two classes",
        "f.npz: at least 762 samples, of which 381 validate, to support --max-drop 0.01",
    ]
    assert len(refused(OptionError, x=np.zeros((100, 3)), max_drop=-1, input_format="u8").splitlines()) == 4


# ---- the hardware, and a real model --------------------------------------------------------------------------------


def test_the_verilog_of_a_port_with_widths_of_their_own_is_verified(tmp_path):
    model = made_up(luts=12, seed=8, unread=(1,))
    x, y = measurements(model, seed=8)
    export(model, tmp_path / "out", x, y)
    network = serialize.load(tmp_path / "out" / "network.safetensors")
    assert len(set(network.input.formats)) > 2
    assert {offset != "0" for offset in network.input.offsets} == {True, False}
    report = compare_rtl.verify(
        tmp_path / "out", simulator="icarus", random=50, seed=0, samples=sample_files.Samples(x, None, None, "x.npz")
    )
    assert report["equal"]
    assert report["kinds"]["data"] == len(x)


def test_the_python_api_takes_arrays(tmp_path):
    model = made_up()
    x, y = measurements(model)
    found = dwn_hw.export(model, tmp_path / "one", calibrate=x)["calibration"]
    assert found["max_drop"] is None
    assert "accuracy" not in found["model"]
    found = dwn_hw.export(model, tmp_path / "two", calibrate=(x, y), max_drop=0.05)["calibration"]
    assert found["max_drop"] == 0.05
    got, _ = dwn_hw.predict(tmp_path / "one", x)
    assert (got == model_classes(model, x)).all()


@pytest.mark.sweeps
def test_on_real_jets_widths_of_their_own_keep_every_prediction_with_fewer_luts_than_one_width(jsc, tmp_path):
    model = dwn_hw.load(jsc / "dwn_jsc_t4_distributive_300-100_lr_checkpoint.pt")
    with np.load(jsc.parent / "jsc-1000" / "jsc_openml42468_test1000.npz") as file:
        x, y = file["x"], file["y"]
    with np.load(jsc / "dwn_jsc_t4_distributive_300-100_lr_testvectors.npz") as file:
        recorded = file["pred"]
    found, _ = export(model, tmp_path / "out", x, y)
    got, _ = dwn_hw.predict(tmp_path / "out", x)
    assert (got == recorded).all()
    assert (hardware_classes(tmp_path / "out", x[::20]) == recorded[::20]).all()
    at16 = found["curve"][-1]
    assert at16["lut"] > found["shared"]["lut"] > found["per_feature"]["lut"]
    assert at16["port_bits"] == 256
    assert found["shared"]["most_bits"] == min(row["most_bits"] for row in found["curve"] if row["holds"])
    assert found["taken"] == found["per_feature"]
    assert found["taken"]["port_bits"] < found["shared"]["port_bits"]
