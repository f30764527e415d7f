"""A calibration on samples that the model was trained on is warned of; on unseen ones it is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from groups import swept
from torch import nn

import dwn_hw
from dwn_hw.errors import CheckpointError, DataError
from dwn_hw.exports import planning
from dwn_hw.exports.options import Options
from dwn_hw.frontend import training_record
from dwn_hw.ir import sample_files
from dwn_hw.nn import DistributiveThermometer, GroupSum, LUTLayer

FEATURES, CLASSES = 5, 2


def samples(count, seed):
    """Samples of two classes, which a threshold on their mean tells apart."""
    x = np.random.default_rng(seed).normal(size=(count, FEATURES)).astype(np.float32)
    return x, (x.mean(axis=1) > 0).astype(np.int64)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    thermometer = DistributiveThermometer(3).fit(torch.from_numpy(samples(1000, 0)[0]))
    return nn.Sequential(LUTLayer(FEATURES * 3, 40, n=4), GroupSum(CLASSES)), thermometer


@pytest.mark.parametrize("size", [300, 20_000])
@pytest.mark.parametrize("dtype", ["f4", "f8", ">f4"])
def test_the_share_of_samples_that_were_trained_on_is_found_whatever_their_order_and_dtype(size, dtype):
    x, other = samples(size, 1)[0], samples(size, 2)[0]
    record = training_record.record(x)
    assert record.samples == size
    shuffled = np.random.default_rng(0).permutation(x).astype(dtype)
    assert record.share(shuffled) == record.share(shuffled[: size // 2]) == 1
    assert record.share(other.astype(dtype)) == 0
    mixed = np.concatenate([shuffled[: size // 4], other[: size * 3 // 4]])
    assert abs(record.share(mixed) - 0.25) < 0.05
    assert record.share(other[:1]) is None or size <= training_record.KEPT


def test_bytes_and_their_floats_are_the_same_samples():
    x = np.random.default_rng(0).integers(0, 256, (50, 7)).astype(np.uint8)
    record = training_record.record(x)
    assert record.share(x.astype(np.float64)) == 1
    assert record.share(x / 255) == 0


@pytest.mark.parametrize("part", [slice(None), *swept(slice(100, 700))])
def test_a_calibration_on_the_training_samples_is_warned_of_and_refused_if_strict(model, tmp_path, part):
    x, _ = samples(1000, 0)
    dwn_hw.save(model[0], tmp_path / "m.pt", thermometer=model[1], trained_on=torch.from_numpy(x))
    torch.load(tmp_path / "m.pt", weights_only=True)
    trained = dwn_hw.load(tmp_path / "m.pt")
    given = sample_files.Samples(x[part], None, None, "train.npz")
    (warning,) = planning.plan(trained, Options(calibrate=given)).report["warnings"]
    assert "about 100% of the samples of train.npz are among those that the model was trained on" in warning
    with pytest.raises(DataError, match="trained on"):
        planning.plan(trained, Options(calibrate=given, strict=True))
    unseen = sample_files.Samples(samples(600, 5)[0], None, None, "x.npz")
    assert planning.plan(trained, Options(calibrate=unseen, strict=True)).report["warnings"] == []


@pytest.mark.parametrize(
    ("beside", "name"),
    [
        ({"test_acc": 0.7}, "test_acc"),
        *swept(
            ({"results": {"best_accuracy": 70.0, "train_acc": 1.0}}, "results.best_accuracy"),
            ({"config": {"num_classes": CLASSES, "val_accuracy": 0.7}}, "val_accuracy"),
            ({"acc": 0.7, "accuracy": 0.6, "epoch": 5}, "acc"),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_accuracy_far_above_what_the_checkpoint_reports_is_warned_of(model, tmp_path, beside, name):
    layers, thermometer = model
    content = {"state_dict": layers.state_dict(), "thermometer": {"thresholds": thermometer.thresholds}}
    torch.save({**content, "config": {"num_classes": CLASSES}, **beside}, tmp_path / "m.pt")
    trained = dwn_hw.load(tmp_path / "m.pt")
    assert trained.reported == (name, 0.7)
    x, _ = samples(600, 5)
    own = layers(thermometer.binarize(torch.from_numpy(x)).flatten(start_dim=1)).argmax(dim=1).numpy()
    noise = np.random.default_rng(3).random(600)
    for right, warned in ((0.9, True), (0.72, False)):
        y = np.where(noise < right, own, 1 - own)
        found = planning.plan(trained, Options(calibrate=sample_files.Samples(x, None, y, "x.npz"))).report["warnings"]
        assert [f"the checkpoint reports 0.700 ({name})" in text for text in found] == [True] * warned


def test_what_was_trained_on_and_an_accuracy_that_cannot_be_are_refused(model, tmp_path):
    for x in (np.zeros((5, 3)), np.zeros(5), "train.npz", np.zeros((0, FEATURES))):
        with pytest.raises(CheckpointError, match="trained_on"):
            dwn_hw.save(model[0], tmp_path / "m.pt", thermometer=model[1], trained_on=x)
    for accuracy in (-0.1, 0, 72.3):
        with pytest.raises(CheckpointError, match="a share of samples"):
            dwn_hw.save(model[0], tmp_path / "m.pt", thermometer=model[1], accuracy=accuracy)
    assert not (tmp_path / "m.pt").exists()


def test_a_damaged_record_is_none():
    digests = np.arange(3)
    for damaged in (
        7,
        {"samples": 3},
        {"samples": 3, "digests": digests[None]},
        {"samples": 2, "digests": digests / 2},
    ):
        assert training_record.read(damaged) is None
    assert training_record.read({"samples": 3, "digests": digests}).samples == 3
