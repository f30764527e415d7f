"""Networks emulated by Triton's kernels, run by its interpreter, give what the oracle gives."""

from __future__ import annotations

import numpy as np
import pytest
from groups import swept
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dwn_hw import _assets, ir
from dwn_hw.errors import DataError, OptionError
from dwn_hw.exports import prediction
from dwn_hw.ir import emulate_compiled, evaluate
from dwn_hw.ir.sample_files import Samples

pytest.importorskip("torch")
pytest.importorskip("triton")

from dwn_hw.frontend import emulate_triton
from dwn_hw.frontend.emulate_triton import TritonEmulator


@pytest.fixture(autouse=True)
def _interpreted(monkeypatch):
    if not _assets.interprets_triton():
        pytest.skip("TRITON_INTERPRET is off: kernels would be compiled")
    monkeypatch.setenv(_assets.VARIABLE, "triton")


def codes_for(network, seed, samples):
    rng = np.random.default_rng(seed)
    formats = network.input.edge.flat_formats()
    return np.stack([rng.integers(fmt.low, fmt.high + 1, samples) for fmt in formats], axis=1)


def network_of(formats, seed=0, sizes=(1, 2, 3, 4, 2), thresholds=5, vote=None):
    """A network of two layers, with LUTs of several sizes, on features of these formats."""
    rng = np.random.default_rng(seed)
    rows = tuple(tuple(rng.integers(fmt.low, fmt.high + 2, thresholds).tolist()) for fmt in formats)
    nodes = [ir.Thermometer(rows)]
    width = sum(map(len, rows))
    for _ in range(2):
        wires = tuple(tuple(rng.integers(0, width, n).tolist()) for n in sizes)
        tables = tuple(int.from_bytes(rng.bytes(32), "little") % (1 << (1 << n)) for n in sizes)
        nodes.append(ir.LutLayer(wires, tables))
        width = len(sizes)
    return ir.Network(ir.Input((len(formats),), tuple(formats)), (*nodes, vote or ir.GroupSum(4), ir.ArgMax()))


def hold_equal(network, codes):
    scores, y = TritonEmulator(network).run(codes)
    traced = evaluate.trace(network, codes)
    assert (scores.shape, y.shape) == (traced[-2].shape, traced[-1].shape)
    assert (scores == traced[-2]).all()
    assert (y == traced[-1]).all()
    assert scores.dtype == y.dtype == np.int64


@pytest.mark.parametrize(
    ("bits", "signed"),
    [
        (6, False),
        (13, True),
        *swept((1, False), (8, False), (8, True), (16, False), (31, False), (32, True), (32, False), (60, True)),
    ],
)
def test_codes_of_every_width_are_emulated(bits, signed):
    network = network_of([ir.Format(bits, signed)] * 3, bits)
    ends = np.array(
        [
            [fmt.low for fmt in network.input.edge.flat_formats()],
            [fmt.high for fmt in network.input.edge.flat_formats()],
        ]
    )
    hold_equal(network, np.concatenate([ends, codes_for(network, bits, 70)]))


@pytest.mark.sweeps
@settings(max_examples=30)
@given(draw=st.data(), seed=st.integers(0, 1000), samples=st.integers(0, 70))
def test_any_classifier_is_emulated(networks, draw, seed, samples):
    network = draw.draw(networks(last="class"))
    assume(emulate_compiled.fits(network))
    hold_equal(network, codes_for(network, seed, samples))


@pytest.mark.sweeps
def test_luts_of_every_size_are_emulated():
    network = network_of([ir.Format(5)] * 3, sizes=(1, 2, 3, 4, 5, 6, 7, 8, 6))
    hold_equal(network, codes_for(network, 0, 200))


@pytest.mark.sweeps
def test_votes_of_any_weight_are_counted_and_of_equals_the_first_wins():
    weights = (1 << 31, -(1 << 30), 3, -1, 1)
    same = ir.Group((0, 1), (2, -2), 1)
    groups = [ir.Group(tuple(range(5)), weights, -(1 << 33)), same, same, ir.Group((), (), 1)]
    network = network_of([ir.Format(4)] * 2, vote=ir.GroupSum.of(groups, "1"))
    hold_equal(network, codes_for(network, 1, 33))
    small = network_of([ir.Format(4)] * 2, vote=ir.GroupSum.of([same, same, same], "1"))
    assert (TritonEmulator(small).run(codes_for(small, 0, 9))[1] == 0).all()


def test_parts_of_many_samples_are_put_together_and_bits_are_taken_as_codes_and_as_planes(monkeypatch):
    monkeypatch.setattr(emulate_triton, "AT_ONCE", 64)
    layers = network_of([ir.Format(3)] * 3).nodes[1:]
    network = ir.Network(ir.Input((15,), (ir.Format(1),)), layers)
    codes = codes_for(network, 7, 131)
    hold_equal(network, codes)
    packed = np.packbits(codes.T.astype(bool), axis=1, bitorder="little")
    planes = np.ascontiguousarray(np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8)))).view(np.uint64)
    told = []
    scores, y = TritonEmulator(network).run_packed(planes, 131, told.append)
    traced = evaluate.trace(network, codes)
    assert (scores == traced[-2]).all()
    assert (y == traced[-1]).all()
    assert told == [64, 128, 131]


def test_predict_uses_it_where_it_is_asked_for(monkeypatch):
    network = network_of([ir.Format(4)] * 2)
    codes = codes_for(network, 3, 40)
    used = []
    run = TritonEmulator.run
    monkeypatch.setattr(TritonEmulator, "run", lambda self, *words: used.append(1) or run(self, *words))
    _, (_, scores, y) = prediction.predict(network, Samples(None, codes, None, "s"))
    assert (y == evaluate.evaluate(network, codes)).all()
    assert (scores == evaluate.trace(network, codes)[-2]).all()
    assert used
    used.clear()
    prediction.predict(network.upto(2), Samples(None, codes, None, "s"))  # which the kernels do not know
    monkeypatch.delenv(_assets.VARIABLE)
    prediction.predict(network, Samples(None, codes, None, "s"))
    assert not used


def test_a_code_outside_its_range_and_a_gpu_that_is_not_there_are_sentences(monkeypatch):
    network = network_of([ir.Format(4)] * 2)
    with pytest.raises(DataError, match="16"):
        TritonEmulator(network).run(np.array([[3, 16]]))
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    monkeypatch.setattr(emulate_triton.torch.cuda, "is_available", lambda: False)
    with pytest.raises(OptionError, match="DWN_HW_KERNELS: triton on tensors of a GPU; got triton on a cpu"):
        TritonEmulator(network)
