"""Files of samples: what is read, everything that is refused and how, and results written whole or not at all."""

from __future__ import annotations

import contextlib
import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwn_hw import ir
from dwn_hw.errors import DataError
from dwn_hw.ir import sample_files as samples

NETWORK = ir.Network(
    ir.Input((2,), (ir.Format(8),), ("1/255",)), (ir.Thermometer(((3,), (200, 7))), ir.GroupSum(2), ir.ArgMax())
)


def saved(folder: Path, **arrays) -> Path:
    np.savez(folder / "d.npz", **arrays)
    return folder / "d.npz"


def refused(path: Path, message: str) -> None:
    with pytest.raises(DataError) as caught:
        samples.load(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_samples_and_classes_are_read(tmp_path):
    x, y = np.random.default_rng(0).random((5, 2)), np.arange(5) % 2
    read = samples.load(saved(tmp_path, x=x, y=y, extra=np.zeros(3)))
    assert (read.x == x).all()
    assert (read.y == y).all()
    assert read.codes is None
    assert (len(read), read.name) == (5, "d.npz")
    encoded = samples.to_codes(read, NETWORK)
    assert (encoded.codes == np.rint(x * 255)).all()
    assert encoded.rounded == 10


def test_codes_are_read_as_they_are(tmp_path):
    read = samples.load(saved(tmp_path, codes=np.array([[1, 2], [255, 0], [3, 4]], np.uint8)))
    assert len(read) == 3
    assert samples.to_codes(read, NETWORK).codes.tolist() == [[1, 2], [255, 0], [3, 4]]


def test_codes_of_several_axes_become_the_port_s_shape(tmp_path):
    read = samples.load(saved(tmp_path, codes=np.ones((3, 2, 1), np.uint8)))
    assert samples.to_codes(read, NETWORK).codes.shape == (3, 2)


@pytest.mark.parametrize("codes", [np.full((1, 2), 256), np.zeros((1, 3), int), np.zeros((1, 2)), np.zeros(2, int)])
def test_codes_that_the_port_cannot_carry_are_refused(tmp_path, codes):
    with pytest.raises(DataError, match="codes: "):
        samples.to_codes(samples.load(saved(tmp_path, codes=codes)), NETWORK)


def test_a_compressed_file_is_read(tmp_path):
    np.savez_compressed(tmp_path / "d.npz", x=np.zeros((2, 2)))
    assert len(samples.load(tmp_path / "d.npz")) == 2


# ---- refusals ------------------------------------------------------------------------------------------------------


def test_a_missing_file_and_a_directory_are_refused(tmp_path):
    refused(tmp_path / "gone.npz", "an .npz file of samples; got No such file or directory")
    refused(tmp_path, "an .npz file of samples; got Is a directory")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"\x93NUMPY"])
def test_what_is_no_zip_of_arrays_is_refused(tmp_path, content):
    path = tmp_path / "d.npz"
    path.write_bytes(content)
    refused(path, "")


def test_a_single_array_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 2)))
    refused(tmp_path / "a.npy", "an .npz file of samples; got a single .npy array. Save it with numpy.savez(path, x=s")


class Boom:
    def __reduce__(self):
        return (pytest.fail, ("a file of samples was executed",))


def test_pickles_are_refused_and_never_run(tmp_path):
    (tmp_path / "d.npz").write_bytes(pickle.dumps(Boom()))
    refused(tmp_path / "d.npz", "an .npz file of samples; got ")
    hidden = io.BytesIO()
    np.lib.format.write_array(hidden, np.array([[Boom()]], object), allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as file:
        file.writestr("x.npy", hidden.getvalue())
    refused(tmp_path / "d.npz", "got Object arrays cannot be loaded when allow_pickle=False")


def test_an_entry_that_is_no_array_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as file:
        file.writestr("x.npy", b"no array")
    refused(tmp_path / "d.npz", "got an entry x that is no array")


def test_one_of_x_and_codes_is_needed(tmp_path):
    one = np.zeros((2, 2))
    refused(saved(tmp_path, x=one, codes=one), "one of the arrays x and codes; got x, codes. Save it with numpy.savez")
    refused(saved(tmp_path, a=one, y=one), "one of the arrays x and codes; got a, y.")
    refused(saved(tmp_path), "one of the arrays x and codes; got none.")


@pytest.mark.parametrize("name", ["x", "codes"])
def test_no_samples_are_refused(tmp_path, name):
    for empty in (np.zeros((0, 2)), np.float64(3)):
        refused(saved(tmp_path, **{name: empty}), "at least one sample; got none. Give a file that holds samples.")


def test_an_encrypted_entry_and_an_unknown_compression_are_refused(tmp_path):
    raw = bytearray(saved(tmp_path, x=np.zeros((2, 2))).read_bytes())
    directory = raw.index(b"PK\x01\x02")
    for at, message in ((directory + 8, "is encrypted"), (directory + 10, "a compression that numpy does not write")):
        changed = bytearray(raw)
        changed[at] ^= 1
        changed[at - directory - 2] ^= 1
        (tmp_path / "d.npz").write_bytes(changed)
        refused(tmp_path / "d.npz", message)


@pytest.mark.parametrize("y", [np.zeros(3), np.zeros((2, 1)), np.float64(1), np.zeros(0)])
def test_classes_of_another_shape_are_refused(tmp_path, y):
    refused(saved(tmp_path, x=np.zeros((2, 2)), y=y), f"y of shape (2,), one class a sample; got {y.shape}. Save y")


def test_classes_that_are_neither_numbers_nor_names_are_refused(tmp_path):
    rule = "y of numbers or of names, one class a sample"
    refused(saved(tmp_path, x=np.zeros((2, 2)), y=np.zeros(2, "c8")), f"{rule}; got complex64. Save y again.")


def test_every_truncation_is_refused(tmp_path):
    raw = saved(tmp_path, x=np.arange(12.0).reshape(6, 2), y=np.arange(6)).read_bytes()
    path = tmp_path / "cut.npz"
    for length in range(0, len(raw), 3):
        path.write_bytes(raw[:length])
        refused(path, "")


@given(seed=st.integers(0, 2**32 - 1), packed=st.booleans())
def test_no_damage_gives_anything_but_samples_or_a_refusal(tmp_path_factory, seed, packed):
    path, rng = tmp_path_factory.mktemp("damage") / "d.npz", np.random.default_rng(seed)
    (np.savez_compressed if packed else np.savez)(path, x=np.arange(12.0).reshape(6, 2), y=np.arange(6))
    raw = bytearray(path.read_bytes())
    for _ in range(int(rng.integers(1, 6))):
        raw[int(rng.integers(0, len(raw)))] = int(rng.integers(0, 256))
    path.write_bytes(raw)
    with contextlib.suppress(DataError):
        assert len(samples.load(path)) > 0


# ---- results -------------------------------------------------------------------------------------------------------


def test_predictions_are_written_with_codes_scores_and_class(tmp_path):
    path = tmp_path / "out.npz"
    codes, scores, y = np.array([[1, 2], [255, 0]]), np.array([[0, 2], [1, 1]]), np.array([1, 0])
    samples.save_predictions(path, NETWORK, codes, scores, y)
    with np.load(path) as file:
        assert sorted(file) == ["codes", "scores", "y"]
        for name, wanted in (("codes", codes), ("scores", scores), ("y", y)):
            assert (file[name] == wanted).all()
            assert file[name].dtype == np.uint8
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.npz"]
    assert len(samples.load(path)) == 2


def test_a_network_without_a_class_gives_its_output_as_scores(tmp_path):
    samples.save_predictions(tmp_path / "o.npz", NETWORK.upto(2), np.zeros((1, 2), int), None, np.array([[5, -300]]))
    with np.load(tmp_path / "o.npz") as file:
        assert sorted(file) == ["codes", "scores"]
        assert file["scores"].tolist() == [[5, -300]]


def test_wide_codes_are_kept_as_integers(tmp_path):
    codes = np.array([[-1, 2**60 + 1]])
    samples.save_predictions(tmp_path / "o.npz", NETWORK, codes, codes, np.zeros(1, int))
    with np.load(tmp_path / "o.npz") as file:
        assert file["codes"].tolist() == codes.tolist()


def test_an_earlier_file_is_replaced(tmp_path):
    path = tmp_path / "o.npz"
    path.write_text("earlier")
    codes = np.zeros((1, 2), int)
    samples.save_predictions(path, NETWORK, codes, codes, np.zeros(1, int))
    assert len(samples.load(path)) == 1


def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "o.npz"
    path.write_text("earlier")

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    codes = np.zeros((1, 2), int)
    with pytest.raises(DataError, match=r"a writable file; got No space left on device. Choose another -o\."):
        samples.save_predictions(path, NETWORK, codes, codes, np.zeros(1, int))
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["earlier"]


def test_what_a_link_leads_to_is_written_and_the_link_stays(tmp_path):
    codes = np.zeros((1, 2), int)
    (tmp_path / "there").mkdir()
    (tmp_path / "link.npz").symlink_to(tmp_path / "there" / "y.npz")
    samples.save_predictions(tmp_path / "link.npz", NETWORK, codes, codes, np.zeros(1, int))
    assert (tmp_path / "link.npz").is_symlink()
    assert np.array_equal(np.load(tmp_path / "there" / "y.npz")["codes"], codes)


def test_a_place_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    codes = np.zeros((1, 2), int)
    monkeypatch.chdir(tmp_path)
    for place in (tmp_path / "file" / "o.npz", tmp_path / "gone" / "o.npz", tmp_path / "folder", Path(), Path("/")):
        with pytest.raises(DataError, match=r"a writable file; got .*\. Choose another -o\."):
            samples.save_predictions(place, NETWORK, codes, codes, np.zeros(1, int))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]
