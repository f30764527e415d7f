"""Samples read alike from every kind of file, and what is none is refused in words, never with advice to load pickles."""

from __future__ import annotations

import gzip
import pickle
import struct

import numpy as np
import pytest
from click.testing import CliRunner

from dwn_hw.cli import main
from dwn_hw.errors import DataError, ToolError
from dwn_hw.frontend import sample_formats

X = np.round(np.random.default_rng(0).normal(size=(20, 4)), 6)
Y = np.arange(20) % 3
NAMES = np.array(["ape", "bee", "cat"])[Y]


def as_csv(path, delimiter=",", names=("a", "b", "c", "d", "label"), labels=Y):
    lines = [delimiter.join(names)] if names else []
    lines += [
        delimiter.join([*(repr(float(v)) for v in row), str(label)]) for row, label in zip(X, labels, strict=True)
    ]
    path.write_text("\n".join(lines) + "\n")


def as_pt(path):
    torch = pytest.importorskip("torch")
    torch.save({"x": torch.from_numpy(X), "y": torch.from_numpy(Y)}, path)


def as_safetensors(path):
    pytest.importorskip("safetensors.numpy").save_file({"x": X, "y": Y}, path)


def as_parquet(path):
    pyarrow = pytest.importorskip("pyarrow")
    columns = {name: X[:, i] for i, name in enumerate("abcd")} | {"target": Y}
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table(columns), path)


KINDS = {
    "d.npz": lambda path: np.savez(path, x=X, y=Y),
    "d.csv": as_csv,
    "d.tsv": lambda path: as_csv(path, "\t"),
    "d.pt": as_pt,
    "d.safetensors": as_safetensors,
    "d.parquet": as_parquet,
}


@pytest.mark.parametrize("name", KINDS)
def test_samples_and_classes_are_the_same_from_every_kind_of_file(tmp_path, name):
    KINDS[name](tmp_path / name)
    samples = sample_formats.load(tmp_path / name)
    np.testing.assert_array_equal(samples.x, X)
    np.testing.assert_array_equal(samples.y, Y)


def test_samples_alone_come_from_arrays_and_tables_without_names(tmp_path):
    np.save(tmp_path / "d.npy", X)
    np.savetxt(tmp_path / "d.csv", X, delimiter=",")
    for name in ("d.npy", "d.csv"):
        samples = sample_formats.load(tmp_path / name)
        np.testing.assert_allclose(samples.x, X)
        assert samples.y is None


def test_names_of_classes_stand_in_a_column(tmp_path):
    as_csv(tmp_path / "d.csv", names=("Class", "b", "c", "d", "y2")[::-1], labels=NAMES)
    samples = sample_formats.load(tmp_path / "d.csv")
    assert samples.y.tolist() == NAMES.tolist()
    assert samples.x.shape == (20, 4)


def test_real_images_come_from_their_own_files_with_their_labels(data):
    folder = data("mnist")
    samples = sample_formats.load(folder / "t10k-images-idx3-ubyte.gz")
    assert (samples.x.shape, samples.x.dtype, samples.y.shape) == ((10_000, 28, 28), np.uint8, (10_000,))
    assert samples.y[:5].tolist() == [7, 2, 1, 0, 4]
    raw = gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes())
    assert samples.x[3].tobytes() == raw[16 + 3 * 784 : 16 + 4 * 784]


def objects():
    """An array of Python objects, which only a pickle holds."""
    head = "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + pickle.dumps([1, 2])


BROKEN = {
    "empty.csv": (b"", "got no line"),
    "text.csv": (b"a,b\n1,2\n3,oops\n", "got 'oops' on line 3, column b. Fill or drop it; a column of classes is named"),
    "ragged.csv": (b"1,2\n3\n", "2 entries on every line; got 1 on line 2"),
    "binary.csv": (b"\xff\xfe\x00", "bytes that are no text"),
    "two.csv": (b"y,label\n1,2\n", "one column of classes; got y, label"),
    "missing.csv": (b"a,b\n1,\n", "got a missing value on line 2, column b"),
    "pickled.npy": (objects(), "Object arrays cannot be loaded"),
    "no.npy": (b"hello", "another beginning than an array's"),
    "no.pt": (b"hello", "must be a file that torch.save wrote"),
    "no.safetensors": (b"hello", "must be a file that torch.save wrote"),
    "t-idx3-ubyte": (b"\0\0\x08\x01\0\0\0\x09ab", "9 numbers, as its beginning says; got 10 bytes"),
    "u-idx3-ubyte": (b"hello", "an idx file; got another beginning"),
    "v-idx3-ubyte.gz": (gzip.compress(b"\0\0\x08\x01\0\0\0\x02ab")[:-9], "an idx file; got"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_in_words(tmp_path, name):
    raw, message = BROKEN[name]
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(DataError) as caught:
        sample_formats.load(tmp_path / name)
    assert message in str(caught.value)
    assert "allow_pickle=True" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.csv", "a.npy", "a.pt", "a.safetensors", "a-idx3-ubyte", "a.npz"])
def test_a_file_that_is_not_there_is_said_to_be_absent(tmp_path, name):
    with pytest.raises(DataError, match=r"[Nn]o such file"):
        sample_formats.load(tmp_path / name)


def test_a_checkpoint_given_as_samples_is_none(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"state_dict": {"0.luts": torch.zeros(2, 4)}}, tmp_path / "m.pt")
    with pytest.raises(DataError, match=r"tensors x \(or codes\) and y, or one of samples; got a model"):
        sample_formats.load(tmp_path / "m.pt")


def test_parquet_without_its_library_names_the_command_that_installs_it(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ToolError, match=r"pip install 'dwn-hw\[parquet\]'"):
        sample_formats.load(tmp_path / "d.parquet")


def test_commands_take_them(tmp_path, small_export):
    out = small_export(tmp_path / "out")
    codes = np.random.default_rng(1).integers(0, 16, (30, 4))
    np.savez(tmp_path / "d.npz", x=codes.astype("f8"))
    np.savetxt(tmp_path / "d.csv", codes, delimiter=",", fmt="%d")
    told = [
        CliRunner().invoke(main.main, ["predict", str(out), str(tmp_path / name), "--json"])
        for name in ("d.npz", "d.csv")
    ]
    assert [result.exit_code for result in told] == [0, 0]
    classes = [result.stdout.split('"classes"')[1] for result in told]
    assert classes[0] == classes[1]
