"""Files of any size, several files and folders are predicted as one array would be, in little memory; files are written whole."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dwn_hw import _assets, ir
from dwn_hw.cli import main
from dwn_hw.errors import DataError
from dwn_hw.exports import prediction, prediction_file
from dwn_hw.frontend import sample_formats
from dwn_hw.ir import evaluate, sample_stream, serialize
from dwn_hw.ir.sample_files import Samples

CLASSES = ("low", "mid", "high")


def network(features=6, names=CLASSES):
    rng = np.random.default_rng(0)
    rows = tuple(tuple(sorted(rng.integers(1, 63, 4).tolist())) for _ in range(features))
    wires = tuple(tuple(row) for row in rng.integers(0, 4 * features, (30, 4)).tolist())
    nodes = (
        ir.Thermometer(rows),
        ir.LutLayer(wires, tuple(rng.integers(1, 65535, 30).tolist())),
        ir.GroupSum(3),
        ir.ArgMax(),
    )
    return ir.Network(ir.Input((features,), (ir.Format(6),)), nodes, names)


@pytest.fixture
def samples():
    rng = np.random.default_rng(1)
    return rng.integers(0, 64, (5000, 6)).astype(np.uint8), rng.integers(0, 3, 5000)


@pytest.fixture
def small_parts(monkeypatch):
    """As if every file were large, in parts of 700 samples."""
    monkeypatch.setattr(sample_stream, "LARGE", 0)
    monkeypatch.setattr(sample_stream, "PART", 700 * 6)


def saved(path, x, y):
    """The samples in a file of the form that its name says."""
    match path.suffix:
        case ".npy":
            np.save(path, x)
        case ".npz" if "packed" in path.name:
            np.savez_compressed(path, x=x, y=y)
        case ".npz" if "codes" in path.name:
            np.savez(path, codes=x, y=y)
        case ".npz" if "names" in path.name:
            np.savez(path, x=x, y=np.array(CLASSES)[y])
        case ".npz":
            np.savez(path, y=y, x=x)
        case ".parquet":
            pa = pytest.importorskip("pyarrow")
            import pyarrow.parquet

            columns = {f"f{i}": x[:, i] for i in range(x.shape[1])}
            pyarrow.parquet.write_table(pa.table({**columns, "label": y}), path)
        case _:
            raise AssertionError(path)
    return path


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "packed.npz", "codes.npz", "names.npz", "x.parquet"])
def test_a_file_in_parts_is_predicted_as_the_whole_is(tmp_path, samples, small_parts, name):
    x, y = samples
    stream = sample_formats.stream(saved(tmp_path / name, x, y))
    assert len(list(stream.parts())) > 5
    assert stream.samples == 5000
    kept = prediction_file.Kept()
    report = prediction.predict_streams(network(), [stream], kept)
    codes, scores, classes = kept.arrays()
    traced = evaluate.trace(network(), x.astype(np.int64))
    assert (codes == x).all()
    assert (scores == traced[-2]).all()
    assert (classes == traced[-1]).all()
    assert report["samples"] == 5000
    if name != "x.npy":
        assert report["accuracy"] == round(float((classes == y).mean()), 6)
    whole, _ = prediction.predict(network(), sample_formats.load(tmp_path / name))
    assert {**report, "samples_per_second": 0} == {**whole, "samples_per_second": 0}


def test_rows_in_another_order_in_memory_and_small_files_are_loaded_whole(tmp_path, samples, small_parts):
    x, _ = samples
    np.save(tmp_path / "f.npy", np.asfortranarray(x))
    stream = sample_formats.stream(tmp_path / "f.npy")
    assert (np.concatenate([part.x for _, part in stream.parts()]) == x).all()
    assert stream.y is None


def test_several_files_and_folders_are_taken_in_order_and_counted_one_by_one(tmp_path, samples):
    x, y = samples
    (tmp_path / "folder").mkdir()
    for index in (1, 2):
        part = slice(1000 * index, 1000 * index + 1000)
        np.savez(tmp_path / "folder" / f"{index}.npz", x=x[part], y=y[part])
    (tmp_path / "folder" / ".hidden").write_text("no samples")
    np.savez(tmp_path / "first.npz", x=x[:1000], y=y[:1000])
    (tmp_path / "out").mkdir()
    serialize.save(network(), tmp_path / "out" / "network.safetensors")
    given = [
        "predict",
        str(tmp_path / "out"),
        str(tmp_path / "first.npz"),
        str(tmp_path / "folder"),
        "-o",
        str(tmp_path / "y.npz"),
    ]
    done = CliRunner().invoke(main.main, [*given, "--json"])
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    wanted = evaluate.evaluate(network(), x[:3000].astype(np.int64))
    with np.load(tmp_path / "y.npz") as file:
        assert (file["y"] == wanted).all()
        assert (file["codes"] == x[:3000]).all()
    assert [row["samples"] for row in report["files"]] == [1000] * 3
    for index, row in enumerate(report["files"]):
        part = slice(1000 * index, 1000 * index + 1000)
        assert row["accuracy"] == round(float((wanted[part] == y[part]).mean()), 6)
    assert report["accuracy"] == round(float((wanted == y[:3000]).mean()), 6)
    assert "2.npz: 1000 samples, accuracy" in CliRunner().invoke(main.main, given).stderr
    (tmp_path / "empty").mkdir()
    done = CliRunner().invoke(main.main, ["predict", str(tmp_path / "out"), str(tmp_path / "empty")])
    assert (done.exit_code, "a folder with files of samples; got none" in done.stderr) == (2, True)


@pytest.mark.parametrize("name", ["y.npz", "y.npy", "y.csv", "y.parquet", "y"])
def test_predictions_are_written_in_the_form_that_the_name_says(tmp_path, samples, small_parts, name):
    x, _ = samples
    scores, wanted = evaluate.trace(network(), x.astype(np.int64))[-2:]
    with prediction_file.written(tmp_path / name, network()) as sink:
        prediction.predict_streams(network(), [sample_formats.stream(saved(tmp_path / "x.npy", x, None))], sink)
    assert {path.name for path in tmp_path.iterdir()} == {name, "x.npy"}
    match Path(name).suffix:
        case ".npy":
            assert (np.load(tmp_path / name) == wanted).all()
        case ".csv":
            with (tmp_path / name).open(newline="") as file:
                rows = list(csv.DictReader(file))
            assert [row["class"] for row in rows] == [str(y) for y in wanted]
            assert [row["name"] for row in rows] == [CLASSES[y] for y in wanted]
            assert [row["score_2"] for row in rows] == [str(score) for score in scores[:, 2]]
        case ".parquet":
            table = pytest.importorskip("pyarrow.parquet").read_table(tmp_path / name)
            assert table["class"].to_pylist() == wanted.tolist()
            assert table["score_0"].to_pylist() == scores[:, 0].tolist()
        case _:
            with np.load(tmp_path / name) as file:
                assert (file["codes"] == x).all()
                assert (file["scores"] == scores).all()
                assert (file["y"] == wanted).all()
                assert file["codes"].dtype == file["y"].dtype == np.uint8


@pytest.mark.parametrize("name", ["y.npz", "y.npy", "y.csv", "y.parquet"])
def test_a_part_that_is_refused_leaves_no_file_and_the_old_one_and_says_which_sample(tmp_path, small_parts, name):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    x = np.random.default_rng(1).integers(0, 64, (5000, 6)).astype(np.float32)
    x[3141, 2] = np.nan
    (tmp_path / name).write_text("an older file")
    monkey = sample_formats.stream(saved(tmp_path / "x.npy", x, None))
    with (
        pytest.raises(DataError, match=r"sample 2,975: finite numbers; got nan in sample 166, feature 2"),
        prediction_file.written(tmp_path / name, network()) as sink,
    ):
        prediction.predict_streams(network(), [monkey], sink)
    assert (tmp_path / name).read_text() == "an older file"
    assert {path.name for path in tmp_path.iterdir()} == {name, "x.npy"}


def test_a_file_that_is_cut_off_or_damaged_is_refused_in_words(tmp_path, samples, small_parts):
    x, y = samples
    path = saved(tmp_path / "x.npy", x, y)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"a file of samples; got 49\d\d of 5000 samples"):
        prediction.predict_streams(network(), [sample_formats.stream(path)], prediction_file.Nothing())
    path = saved(tmp_path / "x.npz", x, y)
    raw = bytearray(path.read_bytes())
    raw[9000] ^= 255  # in the samples: the archive's sum of them is another then
    path.write_bytes(raw)
    with pytest.raises(DataError, match="a file of samples; got Bad CRC-32"):
        prediction.predict_streams(network(), [sample_formats.stream(path)], prediction_file.Nothing())
    with zipfile.ZipFile(tmp_path / "y.npz", "w") as archive:
        for name, array in (("x", x), ("y", y[:-1])):
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, array)
    with pytest.raises(DataError, match=r"y of shape \(5000,\), one class a sample; got \(4999,\)"):
        sample_formats.stream(tmp_path / "y.npz")


@pytest.mark.sweeps
@pytest.mark.parametrize("form", ["npy", "npz"])
def test_a_gigabyte_is_predicted_in_a_fraction_of_it(tmp_path, monkeypatch, form):
    """The file is sparse: all zeros that take no place."""
    pytest.importorskip("numba")
    monkeypatch.setenv(_assets.VARIABLE, "numba")
    serialize.save(network(784, ()), tmp_path / "network.safetensors")
    count = 1_300_000
    path = tmp_path / "x.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (count, 784))
    if form == "npz":
        with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
            archive.write(path, "x.npy")
        path = tmp_path / "x.npz"
    # Compiling the kernel takes more memory than running it, and is done once.
    prediction.predict(network(784, ()), Samples(np.zeros((20, 784), np.uint8), None, None, "few"))
    code = (
        "import re, sys\n"
        "from dwn_hw.cli import main\n"
        "try: main.main(['predict', sys.argv[1], sys.argv[2], '-o', sys.argv[3], '--json'], standalone_mode=False)\n"
        "finally: print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path, path, tmp_path / "y.npy"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert json.loads(done.stdout)["samples"] == count, done.stderr
    assert len(np.load(tmp_path / "y.npy", mmap_mode="r")) == count
    kilobytes = int(done.stderr.split()[-1])
    assert kilobytes < 420_000
