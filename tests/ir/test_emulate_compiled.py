"""The compiled kernel gives what the oracle gives, whatever the network, the number of samples and the type of the codes."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from groups import swept
from hypothesis import given
from hypothesis import strategies as st

from dwn_hw import _assets, ir
from dwn_hw.errors import DataError, OptionError
from dwn_hw.ir import emulate_compiled, evaluate
from dwn_hw.ir.emulate import Emulator

pytest.importorskip("numba")


@pytest.fixture(autouse=True)
def _forced(monkeypatch):
    """Else networks as small as these are not worth it."""
    monkeypatch.setenv(_assets.VARIABLE, "numba")


def codes_for(network, seed, samples):
    rng = np.random.default_rng(seed)
    formats = network.input.edge.flat_formats()
    return np.stack([rng.integers(fmt.low, fmt.high + 1, samples) for fmt in formats], axis=1)


def hold_equal(network, codes):
    assert emulate_compiled.is_worth(network, len(codes)) == bool(len(codes))
    scores, y = Emulator(network).run(codes)
    traced = evaluate.trace(network, codes)
    assert (scores.shape, y.shape) == (traced[-2].shape, traced[-1].shape)
    assert (scores == traced[-2]).all()
    assert (y == traced[-1]).all()
    assert scores.dtype == y.dtype == np.int64


def network_of(formats, seed=0, sizes=(1, 2, 3, 4, 5, 6, 7, 8, 6), thresholds=5, vote=None):
    """A network with each size of LUT twice over, on features of these formats."""
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


@given(draw=st.data(), seed=st.integers(0, 1000), samples=st.integers(0, 130))
def test_the_kernel_equals_the_oracle_on_any_classifier(networks, draw, seed, samples):
    network = draw.draw(networks(last="class"))
    hold_equal(network, codes_for(network, seed, samples))


@pytest.mark.parametrize("samples", [1, 7, 8, 63, 64, 65, 1023, 1024, 1025, 16 * 1024 + 3])
def test_no_sample_count_is_special(samples):
    network = network_of([ir.Format(6), ir.Format(3, True), ir.Format(5)])
    hold_equal(network, codes_for(network, samples, samples))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 60])
@pytest.mark.parametrize("features", [1, *swept(5, 9)])
def test_codes_of_every_width_are_compared_at_their_thresholds_and_ends(bits, signed, features):
    formats = [ir.Format(bits, signed)] * features
    network = network_of(formats, bits)
    edges = [
        sorted({c for t in row for d in (-1, 0, 1) if fmt.low <= (c := t + d) <= fmt.high} | {fmt.low, fmt.high})
        for row, fmt in zip(network.encoder.thresholds, formats, strict=True)
    ]
    rows = list(itertools.zip_longest(*edges, fillvalue=formats[0].low))
    hold_equal(network, np.concatenate([np.array(rows, np.int64), codes_for(network, 1, 40)]))


def test_formats_of_each_feature_and_features_without_a_threshold_are_taken():
    formats = [ir.Format(3), ir.Format(12, True), ir.Format(1), ir.Format(9), ir.Format(8, True), ir.Format(2, True)]
    network = network_of(formats, 4)
    thermometer = ir.Thermometer(((), *network.encoder.thresholds[1:4], (), network.encoder.thresholds[5]))
    layer = network_of([ir.Format(3)] * 4).nodes[1]
    few = ir.Network(network.input, (thermometer, layer, ir.GroupSum(3), ir.ArgMax()))
    for one in (network, few):
        hold_equal(one, codes_for(one, 0, 200))


@pytest.mark.parametrize("kind", ["u1", "i2", ">i2", "u4", "i8", "u8", "?"])
def test_codes_may_be_of_any_integer_type_and_lie_anyhow_in_memory(kind):
    network = network_of([ir.Format(1 if kind == "?" else 7)] * 11)
    codes = codes_for(network, 5, 3000)
    wanted = evaluate.trace(network, codes)[-1]
    given = codes.astype(kind)
    spread = np.repeat(given, 2, axis=1)[:, ::2]
    for view in (given, np.asfortranarray(given), spread, given[::-1][::-1]):
        assert (Emulator(network).run(view)[1] == wanted).all()


@pytest.mark.parametrize(
    "weights", [(1,) * 9, (5, -3, 1, 64, -64, 7, 2, 1, -1), (1 << 20, -(1 << 30), 3, 1, 1, 1, 1, 1, 1)]
)
@pytest.mark.parametrize("biases", [(0, 0), (-7, 1 << 20)])
def test_votes_of_any_weight_and_bias_are_counted(weights, biases):
    groups = [ir.Group(tuple(range(9)), weights, biases[0]), ir.Group((3, 3, 3, 8), weights[:4], biases[1])]
    network = network_of([ir.Format(4)] * 3, vote=ir.GroupSum.of([*groups, ir.Group((), (), 4)], "1"))
    hold_equal(network, codes_for(network, 2, 300))


def test_of_equal_scores_the_first_class_wins():
    group = ir.Group((0, 1), (1, 1), 0)
    network = network_of([ir.Format(4)] * 2, vote=ir.GroupSum.of([group, group, group], "1"))
    assert (Emulator(network).run(codes_for(network, 0, 100))[1] == 0).all()


def test_a_network_of_bits_is_taken_as_codes_and_as_planes():
    layers = network_of([ir.Format(3)] * 3).nodes[1:]
    network = ir.Network(ir.Input((15,), (ir.BIT,)), layers)
    codes = codes_for(network, 3, 5000)
    hold_equal(network, codes)
    bits = np.ascontiguousarray(np.pad(codes, ((0, 120), (0, 0))).T.astype(bool))
    planes = np.packbits(bits, axis=1, bitorder="little").view(np.uint64)
    scores, y = emulate_compiled.CompiledNetwork(network).run_packed(planes, 5000)
    traced = evaluate.trace(network, codes)
    assert (scores == traced[-2]).all()
    assert (y == traced[-1]).all()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads_gives_the_same_and_tells_in_order(monkeypatch, threads):
    monkeypatch.setattr(emulate_compiled.os, "cpu_count", lambda: threads)
    network = network_of([ir.Format(6)] * 5)
    codes, told = codes_for(network, 0, 50_000), []
    assert (Emulator(network).run(codes, told.append)[1] == evaluate.evaluate(network, codes)).all()
    assert told == [16384, 32768, 49152, 50000]


def test_a_code_that_the_port_cannot_carry_is_refused_with_its_sample():
    network = network_of([ir.Format(6)] * 3)
    codes = codes_for(network, 0, 40_000).astype(np.uint8)
    codes[33_333, 1] = 64
    with pytest.raises(DataError, match="got 64 in sample 33333, feature 1"):
        Emulator(network).run(codes)


def test_the_kernel_is_for_much_work_and_for_networks_that_it_knows(monkeypatch):
    network = network_of([ir.Format(6)] * 3)
    monkeypatch.delenv(_assets.VARIABLE)
    emulate_compiled.kernel.cache_clear()
    luts = sum(len(node.tables) for node in network.nodes[1:3])
    assert not emulate_compiled.is_worth(network, emulate_compiled.WORTH // luts)
    assert emulate_compiled.is_worth(network, emulate_compiled.WORTH // luts + 1)
    emulate_compiled.kernel()
    assert emulate_compiled.is_worth(network, emulate_compiled.WORTH // luts // 50)
    for form in ("numpy", "torch", "triton"):
        monkeypatch.setenv(_assets.VARIABLE, form)
        assert not emulate_compiled.is_worth(network, 10**9)
    monkeypatch.setenv(_assets.VARIABLE, "numba")
    for count in (1, 2, 3, 4):
        assert not emulate_compiled.is_worth(network.upto(count), 10**9)
    heavy = ir.GroupSum.of([ir.Group((0,), (1 << 50,), 0)], "1")
    assert not emulate_compiled.is_worth(network_of([ir.Format(6)] * 3, vote=heavy), 10**9)


def test_another_word_in_the_variable_and_a_numba_that_is_not_there_are_sentences(monkeypatch):
    network = network_of([ir.Format(6)] * 3)
    monkeypatch.setenv(_assets.VARIABLE, "cuda")
    with pytest.raises(OptionError, match="DWN_HW_KERNELS: one of numpy, torch, numba, triton; got 'cuda'"):
        Emulator(network).run(codes_for(network, 0, 3))
    monkeypatch.setattr(_assets.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv(_assets.VARIABLE, "numba")
    with pytest.raises(OptionError, match=r"numba to be installed; got none\. pip install 'dwn-hw\[fast\]'"):
        Emulator(network).run(codes_for(network, 0, 3))
    monkeypatch.delenv(_assets.VARIABLE)
    codes = codes_for(network, 0, 3)
    assert (Emulator(network).run(codes)[1] == evaluate.evaluate(network, codes)).all()


@pytest.mark.sweeps
@pytest.mark.parametrize("setting", [{"NUMBA_BOUNDSCHECK": "1"}, {"PYTHONOPTIMIZE": "1"}, {"NUMBA_OPT": "0"}], ids=str)
def test_the_same_holds_under_bounds_checks_and_without_asserts_and_optimisation(tmp_path, setting):
    """In a process of its own: the kernel is compiled anew, and an index that is out of bounds is an error."""
    code = (
        "import sys; sys.path[:0] = [sys.argv[1], sys.argv[2]]\n"
        "import numpy as np\n"
        "from dwn_hw import ir\n"
        "from dwn_hw.ir import evaluate\n"
        "from dwn_hw.ir.emulate import Emulator\n"
        "from test_emulate_compiled import codes_for, network_of\n"
        "for bits in (1, 6, 13, 32):\n"
        "    network = network_of([ir.Format(bits, bits == 13)] * 9, bits)\n"
        "    codes = codes_for(network, 0, 1500)\n"
        "    scores, y = Emulator(network).run(codes)\n"
        "    traced = evaluate.trace(network, codes)\n"
        "    if not ((scores == traced[-2]).all() and (y == traced[-1]).all()): sys.exit('differs')\n"
        "print('equal')\n"
    )
    here = Path(__file__).resolve()
    env = {**os.environ, **setting, "NUMBA_CACHE_DIR": str(tmp_path), _assets.VARIABLE: "numba"}
    command = [sys.executable, "-c", code, str(here.parent), str(here.parents[1])]
    done = subprocess.run(
        command, cwd=here.parents[2], env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout == "equal\n", done.stderr
