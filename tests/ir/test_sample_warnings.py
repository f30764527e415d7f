"""Samples in other units and labels that are none are said, or refused: every command alike, and never where all is right."""

from __future__ import annotations

import gzip
import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from groups import swept

import dwn_hw
from dwn_hw.cli import main
from dwn_hw.exports import planning, prediction
from dwn_hw.exports.options import Options
from dwn_hw.ir import sample_warnings
from dwn_hw.ir.sample_files import Samples

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def jets(tmp_path_factory):
    """The real network on JSC, exported, with its held-out samples and classes."""
    import conftest

    folder = tmp_path_factory.mktemp("jets")
    file = np.load(conftest.data_path("jsc-1000") / "jsc_openml42468_test1000.npz")
    checkpoint = conftest.data_path("torch_dwn-jsc") / "dwn_jsc_t4_distributive_300-100_lr_checkpoint.pt"
    shutil.copy(checkpoint, folder / "model.pt")
    dwn_hw.export(dwn_hw.load(folder / "model.pt"), folder / "out", x=file["x"], y=file["y"], shell="none")
    return folder, file["x"], file["y"]


def predicted(folder, x, y=None):
    from dwn_hw.ir import serialize

    return prediction.predict(serialize.load(folder / "out" / "network.safetensors"), Samples(x, None, y, "s"))[0]


UNITS = {
    "divided by 255": lambda x: x / 255,
    "in thousands": lambda x: x / 1000,
    "times a thousand": lambda x: x * 1000,
    "standardised": lambda x: (x - x.mean(0)) / x.std(0),
    "from 0 to 1": lambda x: (x - x.min(0)) / (x.max(0) - x.min(0)),
    "moved": lambda x: x + 1000,
}


@pytest.mark.parametrize("units", UNITS)
def test_real_samples_in_other_units_are_said_with_both_ranges(jets, units):
    folder, x, y = jets
    right, other = predicted(folder, x, y), predicted(folder, UNITS[units](x), y)
    assert right["warnings"] == []
    assert other["accuracy"] < right["accuracy"] - 0.3  # what is warned of is wrong indeed
    assert any("x spans" in text and "thresholds -3.36987…113.184" in text for text in other["warnings"])


@pytest.mark.parametrize(
    ("rule", "scale", "port"),
    [
        ("DistributiveThermometer", 1.0, "u8"),
        ("Thermometer", 1 / 255, "u8/255"),
        *swept(
            ("Thermometer", 1.0, "u8"),
            ("GaussianThermometer", 1.0, "u8"),
            ("DistributiveThermometer", 1 / 255, "u8/255"),
            ("GaussianThermometer", 1 / 255, "u8/255"),
        ),
    ],
)
def test_real_images_in_other_units_are_said_and_in_their_own_never(data, rule, scale, port):
    from dwn_hw import nn
    from dwn_hw.frontend.extract import extract_modules

    raw = gzip.decompress((data("mnist") / "t10k-images-idx3-ubyte.gz").read_bytes())
    images = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 784).astype("f4")
    thermometer = getattr(nn, rule)(3).fit(torch.tensor(images[:3000] * scale))
    model = torch.nn.Sequential(nn.LUTLayer(784 * 3, 20, n=6), nn.GroupSum(10))
    network = planning.plan(extract_modules(model, thermometer), Options(input_format=port)).frozen
    own = images[5000:5200] * scale
    normed = (images[5000:5200] / 255 - 0.1307) / 0.3081
    others = (own / 255, own * 255, normed, images[5000:5200] / 127.5 - 1)
    said = [sample_warnings.encoded(network, Samples(x, None, None, "x"))[1] for x in (own, *others)]
    assert said[0] == []
    assert all(said[1:])


def test_too_few_samples_and_codes_say_nothing(jets):
    folder, x, _ = jets
    assert predicted(folder, x[:15] / 255)["warnings"] == []


COMMANDS = {
    "predict": ["predict", "{out}", "{data}"],
    "check --data": ["check", "{model}", "--data", "{data}", "--input-format", "s24"],
    "verify --data": ["verify", "{out}", "--data", "{data}", "--simulator", "icarus", "--vectors", "0"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_warns_and_strict_refuses_with_status_2(jets, tmp_path, command):
    folder, x, y = jets
    np.savez(tmp_path / "d.npz", x=x[:60] / 255, y=y[:60])
    named = {"out": folder / "out", "model": folder / "model.pt", "data": tmp_path / "d.npz"}
    words = [word.format(**named) for word in COMMANDS[command]]
    told = CliRunner().invoke(main.main, [*words, "--json", "--quiet"])
    assert told.exit_code == 0, told.stderr
    assert "WARNING    x spans -0.0" in told.stderr
    assert json.loads(told.stdout)["warnings"][0].startswith("x spans -0.0")
    strict = CliRunner().invoke(main.main, [*words, "--strict"])
    assert strict.exit_code == 2
    assert "samples that fit the network, for --strict; got x spans -0.0" in strict.stderr


def test_strict_writes_no_export(jets, tmp_path):
    folder, x, _ = jets
    np.savez(tmp_path / "d.npz", x=x / 255)
    words = [
        "export",
        folder / "model.pt",
        "-o",
        tmp_path / "new",
        "--data",
        tmp_path / "d.npz",
        "--strict",
        "--input-format",
        "s24",
    ]
    assert CliRunner().invoke(main.main, list(map(str, words))).exit_code == 2
    assert not (tmp_path / "new").exists()


@pytest.mark.sweeps
def test_saturation_that_a_calibration_chose_is_said_to_be_chosen(jets, tmp_path):
    folder, x, y = jets
    report = dwn_hw.export(
        dwn_hw.load(folder / "model.pt"), tmp_path / "out", x=x, y=y, calibrate=(x, y), max_drop=0.05, shell="none"
    )
    assert report["warnings"] == []
    assert report["data"]["saturated"] > 0
    assert report["data"]["saturation"] == "chosen by calibration"


LABELS = {
    "from 1": (lambda y: y + 1, "y of whole numbers from 0 to 4; got 1 to 5: numbers from 1. Save y - 1."),
    "one-hot": (lambda y: np.eye(5)[y], r"y of shape (1000,), one class a sample; got (1000, 5). Save y.argmax(axis=1)."),
    "negative": (lambda y: y.astype(int) - 1, "y of whole numbers from 0 to 4; got -1 ("),
    "NaN": (lambda y: np.where(y == 0, np.nan, y), "y of whole numbers from 0 to 4; got nan ("),
    "halves": (lambda y: y / 2, "y of whole numbers from 0 to 4; got 0.5 ("),
    "beyond": (lambda y: y * 3, "y of whole numbers from 0 to 4; got "),
    "other names": (lambda y: np.array(list("abcde"))[y], "y of the model's classes (g, q, t, w, z); got 'a', 'b', 'c'. Name"),
}  # fmt: skip


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("command", ["predict", "check --data", "check --calibrate"])
def test_labels_that_are_none_are_refused_by_every_command_alike(jets, tmp_path, kind, command):
    folder, x, y = jets
    made, message = LABELS[kind]
    np.savez(tmp_path / "d.npz", x=x, y=made(y))
    named = {"out": folder / "out", "model": folder / "model.pt", "data": tmp_path / "d.npz"}
    words = COMMANDS.get(command, ["check", "{model}", "--calibrate", "{data}"])
    result = CliRunner().invoke(main.main, [word.format(**named) for word in words])
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    "given", [lambda y: y.astype(float), lambda y: np.array(list("gqtwz"))[y], lambda y: y.astype("u8")]
)
def test_labels_as_whole_floats_and_as_the_names_of_classes_mean_what_they_say(jets, given):
    folder, x, y = jets
    assert predicted(folder, x, given(y))["accuracy"] == predicted(folder, x, y)["accuracy"] > 0.7


def test_labels_in_another_order_are_near_chance_and_that_is_said(jets):
    folder, x, y = jets
    assert any("is near chance (0.200 for 5 classes)" in text for text in predicted(folder, x, (2 * y) % 5)["warnings"])
