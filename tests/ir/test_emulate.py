"""The fast emulator equals the oracle, whatever the network, the number of samples, and the type of the codes."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwn_hw import ir
from dwn_hw.errors import DataError
from dwn_hw.ir import evaluate
from dwn_hw.ir.emulate import CHUNK, Emulator


def codes_for(network: ir.Network, seed: int, samples: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    formats = network.input.edge.flat_formats()
    return np.stack([rng.integers(fmt.low, fmt.high + 1, samples) for fmt in formats], axis=1)


def hold_equal(network: ir.Network, codes: np.ndarray) -> None:
    before, after = Emulator(network).run(codes)
    traced = evaluate.trace(network, codes)
    assert (before.shape, after.shape) == (traced[-2].shape, traced[-1].shape)
    assert (before == traced[-2]).all()
    assert (after == traced[-1]).all()
    assert before.dtype == after.dtype == np.int64


@given(draw=st.data(), seed=st.integers(0, 1000), samples=st.integers(0, 130))
def test_emulation_equals_the_oracle_on_any_network(networks, draw, seed, samples):
    network = draw.draw(networks())
    hold_equal(network, codes_for(network, seed, samples))


def medium(signed: bool = False, bits: int = 6) -> ir.Network:
    rng = np.random.default_rng(7)
    fmt = ir.Format(bits, signed)
    rows = tuple(tuple(int(t) for t in rng.integers(fmt.low, fmt.high + 2, 5)) for _ in range(3))
    wires = tuple(tuple(int(w) for w in rng.integers(0, 15, n)) for n in (1, 2, 3, 4, 5, 6, 7, 8, 6))
    tables = tuple(int.from_bytes(rng.bytes(32), "little") % (1 << (1 << len(row))) for row in wires)
    nodes = (ir.Thermometer(rows), ir.LutLayer(wires, tables), ir.GroupSum(4), ir.ArgMax())
    return ir.Network(ir.Input((3,), (fmt,)), nodes)


@pytest.mark.parametrize("samples", [0, 1, 63, 64, 65, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 64])
def test_no_sample_count_is_special(samples):
    hold_equal(medium(), codes_for(medium(), samples, samples))


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_network_may_end_in_any_node(count):
    network = medium().upto(count)
    hold_equal(network, codes_for(network, 3, 100))


def test_a_network_may_begin_with_any_node():
    port, rng = ir.Input((2, 3), (ir.BIT,)), np.random.default_rng(0)
    codes = rng.integers(0, 2, (70, 2, 3))
    luts = ir.LutLayer(((5, 0), (1, 2, 3)), (0b0110, 0b10010110))
    hold_equal(ir.Network(port, (luts, ir.GroupSum(2), ir.ArgMax())), codes)
    hold_equal(ir.Network(port, (ir.GroupSum(4), ir.ArgMax())), codes)
    hold_equal(ir.Network(ir.Input((6,), (ir.Format(4, True),)), (ir.ArgMax(),)), rng.integers(-8, 8, (70, 6)))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i2", ">u8"])
def test_every_integer_dtype_of_codes_gives_the_same(dtype, signed):
    """Thresholds reach one beyond what the codes' dtype may hold: 128 for s8 codes in an int8 array."""
    fmt = ir.Format(8, signed)
    low, high = (0, 127) if signed or "i1" in dtype else (0, 255)
    low = fmt.low if signed and "i" in dtype else low
    rows = ((fmt.low, -1 if signed else 1, 100, fmt.high, fmt.high + 1),)
    network = ir.Network(ir.Input((1,), (fmt,)), (ir.Thermometer(rows),))
    codes = np.arange(low, high + 1).astype(dtype)[:, None]
    hold_equal(network, codes)


def test_codes_of_booleans_are_codes():
    network = ir.Network(ir.Input((3,), (ir.Format(2),)), (ir.Thermometer(((1,), (0, 2), (1, 4))),))
    hold_equal(network, np.random.default_rng(0).integers(0, 2, (9, 3)).astype(bool))


def test_wide_codes_in_uint64_are_compared_as_integers():
    """numpy compares int8 with uint64 as float64, which holds no 2**60 + 1."""
    fmt, big = ir.Format(62, True), 2**60
    network = ir.Network(ir.Input((1,), (fmt,)), (ir.Thermometer(((-1, big, big + 1),)),))
    hold_equal(network, np.array([[big - 1], [big], [big + 1]], np.uint64))


def test_arrays_need_not_be_contiguous():
    network = medium()
    codes = codes_for(network, 5, 300).astype(np.uint8)
    wanted = Emulator(network).run(codes)[1]
    for view in (np.asfortranarray(codes), np.repeat(codes, 2, axis=0)[::2], np.repeat(codes, 2, axis=1)[:, ::2]):
        assert not view.flags.c_contiguous
        assert (Emulator(network).run(view)[1] == wanted).all()
    assert (Emulator(network).run(codes[::-1])[1] == wanted[::-1]).all()
    frozen = codes.copy()
    frozen.flags.writeable = False
    assert (Emulator(network).run(frozen)[1] == wanted).all()


def test_progress_adds_up_in_order():
    told: list[int] = []
    Emulator(medium()).run(codes_for(medium(), 0, 2 * CHUNK + 5), told.append)
    assert told == [CHUNK, 2 * CHUNK, 2 * CHUNK + 5]


def test_a_bad_code_is_named_by_its_place_in_the_whole_array():
    codes = codes_for(medium(), 0, 2 * CHUNK)
    codes[CHUNK + 3, 1] = codes[CHUNK + 9, 2] = 64
    message = f"codes of a u6 feature lie in 0…63; got 64 in sample {CHUNK + 3}, feature 1 (2 in all)"
    for run in (Emulator(medium()).run, lambda codes: evaluate.evaluate(medium(), codes)):
        with pytest.raises(DataError, match=re.escape(message)):
            run(codes)


@pytest.mark.parametrize("codes", [np.zeros((4, 2), int), np.zeros(3, int), np.array(0), np.zeros((0, 4), int)])
def test_codes_of_another_shape_are_refused(codes):
    with pytest.raises(DataError, match=r"an array of shape \(samples, 3\)"):
        Emulator(medium()).run(codes)


def test_real_numbers_are_refused_even_if_there_are_none():
    with pytest.raises(DataError, match="codes are integers; got float64"):
        Emulator(medium()).run(np.zeros((0, 3)))
