"""What a hostile file may cost: 5 seconds and a gigabyte, whatever it holds; it is refused in words."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dwn_hw import _json
from dwn_hw.cli import main
from dwn_hw.errors import CheckpointError, DataError, ExportError, IRError
from dwn_hw.frontend import checkpoints
from dwn_hw.ir import sample_files, serialize

SECONDS, BYTES = 5.0, 1 << 30


def cost(action):
    """The exception of an action, after a check of its time and of the most memory of this process."""
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises((CheckpointError, DataError, ExportError, ValueError)) as caught:
        action()
    assert time.process_time() - started < SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < BYTES
    return str(caught.value)


def archived(pickled, records=(), compressed=True):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as file:
        file.writestr("m/data.pkl", pickled)
        for name, data in records:
            file.writestr(f"m/data/{name}", data)
    return buffer.getvalue()


def text(value):
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value):
    return pickle.dumps(value, 2)[2:-1]


def strange_text():
    """NumPy text whose numbers are no characters."""
    raw = np.array([0x110000] * 4, "<u4").tobytes()
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    dtype = (
        b"cnumpy\ndtype\n"
        + text("U4")
        + b"K\x00K\x01\x87R(K\x03"
        + text("<")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    return b"\x80\x02" + array + b"(K\x01K\x01\x85" + dtype + b"\x89" + b"C" + bytes([len(raw)]) + raw + b"tb."


def colliding(kind):
    """Numbers, or tuples of them, that all have one hash."""
    modulus = (1 << 61) - 1
    if kind == "tuples":
        keys = [tuple(-1 - (i >> bit & 1) for bit in range(17)) for i in range(1 << 17)]
    else:
        keys = [i * modulus for i in range(1, 20_000)]
    body = b"".join(number(key) + b"N" for key in keys)
    return b"\x80\x02}(" + body + b"u." if kind != "set" else b"\x80\x04\x8f(" + b"".join(map(number, keys)) + b"\x90."


def repeated_list():
    """A tensor subclass whose arguments hold one list again and again."""
    body = b"](" + b"K\x01" * 30_000 + b"e" + b"q\x01"
    pairs = b"(" + b"h\x01" * 20_000 + b"t"
    return (
        b"\x80\x02"
        + body
        + b"0ctorch._tensor\n_rebuild_from_type_v2\n(ccollections\nOrderedDict\nctorch\nTensor\n"
        + pairs
        + b"}tR."
    )


def expanded(count=1000):
    """Many tables that are each one number."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x01tQq\x05"
    one = (
        b"ctorch._utils\n_rebuild_tensor_v2\n(h\x05K\x00(M\x00\x10K\x40t(K\x00K\x00t\x89ccollections\nOrderedDict\n)RtR"
    )
    tables = b"".join(text(f"{i}.luts") + one for i in range(count))
    return b"\x80\x02" + storage + b"0}(" + tables + b"u."


HOSTILE = {
    "text of no characters": (strange_text, ()),
    "integers with one hash": (lambda: colliding("integers"), ()),
    "a set of integers with one hash": (lambda: colliding("set"), ()),
    "tuples with one hash": (lambda: colliding("tuples"), ()),
    "a list repeated through a tensor with attributes": (repeated_list, ()),
    "expanded tables": (expanded, [("0", bytes(4))]),
    "one instruction 20 million times": (lambda: b"\x80\x02" + b"N0" * 10_000_000 + b"N.", ()),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_checkpoint_is_refused_within_its_budget(tmp_path, what):
    make, records = HOSTILE[what]
    raw = archived(make(), records, compressed="instruction" in what)
    (tmp_path / "m.pt").write_bytes(raw)
    assert cost(lambda: checkpoints.load(tmp_path / "m.pt"))


def npz(**entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, raw in entries.items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as entry:
                for part in raw:
                    entry.write(part)
    return buffer.getvalue()


def header(shape):
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode()


@pytest.mark.parametrize(
    "shape", ["(True, 4)", "(2.5,)", "(-1, 4)", "(99999999999999999999,)", "'x'", "((1,),)", "None"]
)
def test_a_header_of_another_shape_is_refused(tmp_path, shape):
    (tmp_path / "d.npz").write_bytes(npz(x=[header(shape), bytes(64)]))
    assert "an .npz file of samples" in cost(lambda: sample_files.load(tmp_path / "d.npz"))


def test_an_archive_of_zeros_is_refused_and_images_that_are_mostly_zero_are_read(tmp_path):
    zeros = [header("(500000000,)"), *[bytes(1 << 24)] * 64]
    (tmp_path / "d.npz").write_bytes(npz(x=zeros))
    assert "save it uncompressed, or in several files" in cost(lambda: sample_files.load(tmp_path / "d.npz"))
    images = np.zeros((3000, 784), np.uint8)
    images[:, 300:330] = 200
    np.savez_compressed(tmp_path / "i.npz", x=images)
    assert len(sample_files.load(tmp_path / "i.npz")) == 3000


def test_json_of_escaped_quotes_is_read_once_and_a_name_said_twice_is_refused():
    assert "Unterminated string" in cost(lambda: _json.parse('"' + '\\"' * 2_000_000))
    cost(lambda: _json.parse('{"a": "' + '\\"' * 1_000_000))
    with pytest.raises(ValueError, match="says 'a' twice"):
        _json.parse('{"b": {"a": 1, "c": 2, "a": 3}}')


def test_a_newer_file_is_said_to_be_newer(tmp_path, small_export):
    torch = pytest.importorskip("torch")
    torch.save({"format": "dwn-hw", "version": 7}, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="got version 7, which is newer"):
        checkpoints.load(tmp_path / "m.pt")
    path = small_export(tmp_path / "out") / "network.safetensors"
    raw = path.read_bytes().replace(b'\\"format\\":1', b'\\"format\\":9')
    with pytest.raises(ExportError, match="network format 1 is read; got format 9, which is newer"):
        serialize.loads(raw)


def test_a_message_about_one_name_shows_one_name(tmp_path, small_export):
    import dataclasses

    from dwn_hw.exports import reader

    network = reader.read_export(small_export(tmp_path / "out", features=300)).network
    names = (*(f"feature {i}" for i in range(299)), "line\nbreak")
    with pytest.raises(IRError) as caught:
        dataclasses.replace(network, feature_names=names)
    assert len(str(caught.value)) < 250
    assert r"['line\nbreak'] (1 of 3" in str(caught.value)


@pytest.mark.parametrize("command", ["run", "build"])
def test_a_rate_that_no_system_takes_is_refused(tmp_path, command):
    words = {"run": ["run", "out", "x.npz", "--port", "p"], "build": ["build", "out", "--board", "icebreaker"]}[command]
    result = CliRunner().invoke(main.main, [*words, "--baud", str(2**31)])
    assert result.exit_code == 2
    assert "2147483647" in result.stderr


def test_a_full_disk_and_a_deleted_directory_are_errors_in_words(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    program = [sys.executable, "-m", "dwn_hw"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*program, "boards", "--json"], stdout=full, stderr=subprocess.PIPE, text=True, env=env, check=False
        )
    assert (done.returncode, "Traceback" in done.stderr, "Exception ignored" in done.stderr) == (2, False, False)
    assert "standard output: readable or writable; got No space left on device." in done.stderr
    code = "import os, runpy, sys; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone'); sys.argv = {!r}; "
    code += "runpy.run_module('dwn_hw', run_name='__main__')"
    for words in (
        ["check", "m.pt"],
        ["predict", "out", "x.npz"],
        ["export", "m.pt", "-o", "out"],
        ["boards"],
        ["verify", "out"],
    ):
        run = [sys.executable, "-c", code.format(["dwn-hw", *words])]
        done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, env=env, check=False)
        assert "Traceback" not in done.stderr, words
        assert done.returncode in (0, 2), words


def test_json_reports_are_json(tmp_path):
    assert json.loads(CliRunner().invoke(main.main, ["boards", "--json"]).stdout)
