"""A saved network is read back equal, has the same bytes everywhere, and is refused when anything in it changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from dwn_hw import ir
from dwn_hw.errors import ExportError, InputError, IRError
from dwn_hw.ir import serialize


def small() -> ir.Network:
    return ir.Network(
        ir.Input((2,), (ir.Format(8), ir.Format(6, signed=True)), ("1/255", "1/2")),
        (
            ir.Thermometer(((3, 117, 117), (-32, 32))),
            ir.LutLayer(((0, 4), (1, 2, 3, 4, 0, 1, 2, 3)), (6, (1 << 255) + 5)),
            ir.GroupSum(2, (1, 0), "3.33"),
            ir.ArgMax(),
        ),
        ("nein", "ja µ"),
        ("a", "b"),
        (("source", "a test"),),
    )


@given(draw=st.data())
def test_a_network_survives_saving_and_loading(networks, draw):
    network = draw.draw(networks())
    raw = serialize.dumps(network)
    assert serialize.loads(raw) == network
    assert serialize.dumps(serialize.loads(raw)) == raw


def test_save_and_load_go_through_a_file(tmp_path):
    serialize.save(small(), tmp_path / "n.safetensors")
    assert serialize.load(tmp_path / "n.safetensors") == small()


@pytest.mark.parametrize("width", [31, 32, 33, 40, 62])
def test_thresholds_of_every_width_survive(width):
    """numpy joins int8 and uint64 to float64: that must not reach the file."""
    fmt = ir.Format(width, signed=True)
    network = ir.Network(ir.Input((1,), (fmt,)), (ir.Thermometer(((fmt.low, -1, 0, fmt.high, fmt.high + 1),)),))
    assert serialize.loads(serialize.dumps(network)) == network


def test_the_same_network_gives_the_same_bytes_in_every_process():
    script = (
        "import sys; from dwn_hw import ir; from dwn_hw.ir import serialize;"
        "n = ir.Network(ir.Input((2,), (ir.Format(8),), ('1/255',)), (ir.Thermometer(((1, 2), (3,))),"
        "ir.LutLayer(((0, 1), (2,)), (6, 1)), ir.GroupSum(2, (1, 0)), ir.ArgMax()), ('a', 'b'), (), (('k', 'v'),));"
        "sys.stdout.buffer.write(serialize.dumps(n))"
    )
    outputs = set()
    for seed in ("0", "1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, timeout=60, check=True
        )
        outputs.add(done.stdout)
    assert len(outputs) == 1
    assert serialize.loads(outputs.pop()).names() == ("encoder", "l0", "popcount", "argmax")


def test_the_digest_is_that_of_the_content():
    network = small()
    renamed = ir.Network(network.input, network.nodes, ("nein", "doch"), network.feature_names, network.notes)
    assert serialize.digest(network) == serialize.digest(small())
    assert serialize.digest(network) != serialize.digest(renamed)
    assert len(serialize.digest(network)) == 16


def test_every_truncation_is_refused():
    raw = serialize.dumps(small())
    for length in range(len(raw)):
        with pytest.raises(ExportError):
            serialize.loads(raw[:length])


def survives(raw: bytes) -> bool:
    """Whether a changed file is refused or says the same; anything else is an error here."""
    try:
        return serialize.loads(raw) == small()
    except ExportError:
        return True


def test_every_changed_byte_is_refused_or_changes_nothing():
    raw = serialize.dumps(small())
    rng = np.random.default_rng(1)
    for at in range(len(raw)):
        changed = bytearray(raw)
        changed[at] ^= int(rng.integers(1, 256))
        assert survives(bytes(changed)), at


@given(st.integers(0, 2**32 - 1))
def test_no_garbage_gives_another_exception_or_another_network(seed):
    raw = bytearray(serialize.dumps(small()))
    rng = np.random.default_rng(seed)
    for _ in range(int(rng.integers(1, 8))):
        at = int(rng.integers(0, len(raw)))
        raw[at : at + int(rng.integers(0, 4))] = rng.bytes(int(rng.integers(0, 4)))
    assert survives(bytes(raw))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_network_are_refused(raw):
    with pytest.raises(ExportError):
        serialize.loads(raw)


def forge(change) -> bytes:
    """A file whose header was changed by somebody who also mended the digest."""
    header, arrays = serialize._encode(small())
    header.pop("digest", None)
    change(header, arrays)
    header["digest"] = serialize._digest(header, arrays)
    return safetensors.numpy.save(arrays, {"dwn_hw": json.dumps(header)})


def test_another_format_number_is_refused_with_the_remedy():
    with pytest.raises(ExportError) as caught:
        serialize.loads(forge(lambda header, arrays: header.update(format=2)), "n.safetensors")
    assert str(caught.value) == (
        "n.safetensors: network format 1 is read; got format 2, which is newer. "
        "Export the model again with this version, or install the version that wrote it."
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda header, arrays: header["input"]["formats"][0].update(bits=8.5),
        lambda header, arrays: header["input"]["formats"][0].update(bits=True),
        lambda header, arrays: header["input"]["formats"][0].update(signed="yes"),
        lambda header, arrays: header["input"].update(shape=[2.0]),
        lambda header, arrays: header["input"].update(shape=[10**30]),
        lambda header, arrays: header["input"].update(steps=["1e999999999"]),
        lambda header, arrays: header["nodes"][2].update(groups=1.5),
        lambda header, arrays: header["nodes"][2].update(groups=10**40),
        lambda header, arrays: header["nodes"][2].update(tau=0.3),
        lambda header, arrays: arrays.update({"2.sizes": np.array([1, 1, 0])}),
        lambda header, arrays: arrays.update({"2.sizes": np.array([2, -1])}),
        lambda header, arrays: arrays.update({"2.weights": np.array([2, 1])}),
        lambda header, arrays: header.update(class_names=["a\nb", "c"]),
        lambda header, arrays: header.update(class_names=[1, 2]),
    ],
)
def test_a_forged_file_breaks_a_rule_of_the_ir(change):
    with pytest.raises(IRError):
        serialize.loads(forge(change))


@pytest.mark.parametrize(
    "change",
    [
        lambda header, arrays: header["nodes"].__setitem__(0, 7),
        lambda header, arrays: header["nodes"][0].update(kind="Pickle"),
        lambda header, arrays: header["nodes"][0].update(kind=["Thermometer"]),
        lambda header, arrays: header["nodes"][3].update(extra=1),
        lambda header, arrays: header["input"].update(shape=None),
        lambda header, arrays: header["input"].update(formats=3),
        lambda header, arrays: header.pop("nodes"),
        lambda header, arrays: header.update(notes=[["one"]]),
        lambda header, arrays: arrays.update({"0.thresholds": np.zeros(5, np.float32)}),
        lambda header, arrays: arrays.update({"0.thresholds.sizes": np.array([9, 9])}),
        lambda header, arrays: arrays.update({"0.thresholds.sizes": np.array([-1, 6])}),
        lambda header, arrays: arrays.update({"1.tables": np.zeros((2, 2, 2), np.uint8)}),
        lambda header, arrays: arrays.pop("1.wires"),
    ],
)
def test_a_forged_file_that_is_no_network_is_refused(change):
    with pytest.raises(InputError):
        serialize.loads(forge(change))


def test_a_header_that_is_no_object_is_refused():
    for text in ("[]", "1", "null", '"x"', "{", '{"digest": 1}', "[" * 100000):
        with pytest.raises(ExportError, match="a frozen network"):
            serialize.loads(safetensors.numpy.save({}, {"dwn_hw": text}))
    with pytest.raises(ExportError, match="a frozen network"):
        serialize.loads(safetensors.numpy.save({"a": np.zeros(1)}))


def test_a_changed_network_is_named_by_its_digest():
    header, arrays = serialize._encode(small())
    arrays["1.wires"][0] ^= 1
    raw = safetensors.numpy.save(arrays, {"dwn_hw": json.dumps({**header, "digest": serialize.digest(small())})})
    with pytest.raises(ExportError, match=f"its content has the digest {serialize.digest(small())}; got "):
        serialize.loads(raw)


def test_a_missing_file_and_a_directory_are_named(tmp_path):
    with pytest.raises(ExportError, match="gone: a readable file; got No such file"):
        serialize.load(tmp_path / "gone")
    with pytest.raises(ExportError, match="a readable file; got Is a directory"):
        serialize.load(tmp_path)
