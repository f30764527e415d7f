"""The compiled kernel for sums of integers gives what the oracle gives, whatever the network, its formats and the samples."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import node_examples
import numpy as np
import pytest
import shift_networks
from groups import swept
from hypothesis import given, settings
from hypothesis import strategies as st

from dwn_hw import _assets, ir
from dwn_hw.errors import DataError, OptionError
from dwn_hw.ir import emulate_shifts, evaluate, shift_program
from dwn_hw.ir.emulate import Emulator

pytest.importorskip("numba")


@pytest.fixture(autouse=True)
def _forced(monkeypatch):
    """Else networks as small as these are not worth it."""
    monkeypatch.setenv(_assets.VARIABLE, "numba")


def codes_for(network, seed, samples):
    """Random codes; the first two samples are all lowest and all highest."""
    rng = np.random.default_rng(seed)
    formats = network.input.edge.flat_formats()
    codes = np.stack([rng.integers(fmt.low, fmt.high + 1, samples) for fmt in formats], axis=1)
    codes[:1], codes[1:2] = [fmt.low for fmt in formats], [fmt.high for fmt in formats]
    return codes.reshape(samples, *network.input.shape)


def hold_equal(network, codes):
    assert emulate_shifts.is_worth(network, len(codes)) == bool(len(codes))
    before, after = Emulator(network).run(codes)
    traced = evaluate.trace(network, codes)
    assert (before.shape, after.shape) == (traced[-2].shape, traced[-1].shape)
    assert (before == traced[-2]).all()
    assert (after == traced[-1]).all()
    assert before.dtype == after.dtype == np.int64


def ended(network):
    """With a node behind it, so that all before go through the kernel; None if it adds nothing up."""
    network = ir.Network(network.input, (*network.nodes, ir.Relu()))
    return network if shift_program.fits(network) else None


def is_narrow(network):
    """Whether it takes the types that all tests compile: the other pairs are in sweeps, for each takes some seconds."""
    return shift_program.types(network)[0] == np.int16


def convolution(rng, shape, outputs, window, span, formats, more=(), signed_bias=2000):
    """A network of one convolution and what may follow."""
    groups = more[4] if len(more) == 5 else 1
    kernel = (outputs, shape[0] // groups, *window)
    count = int(np.prod(kernel))
    signs = tuple(rng.choice([-1, 0, 1], count, p=[0.4, 0.2, 0.4]).tolist())
    shifts = tuple(rng.integers(-span, 1, count).tolist())
    bias = tuple(rng.integers(-signed_bias, signed_bias, outputs).tolist())
    node = ir.Conv2d(kernel, ir.powers_of_2(signs, shifts, -span), bias, -span, *more)
    return ir.Network(ir.Input(shape, tuple(formats)), (node, ir.Relu()))


@given(
    network=shift_networks.images(), seed=st.integers(0, 1000), samples=st.sampled_from([0, 1, 2, 31, 33, 64, 65, 130])
)
@settings(max_examples=60)
def test_the_kernel_equals_the_oracle_on_any_network_of_integers(network, seed, samples):
    network = ended(network)
    if network is not None and is_narrow(network):
        hold_equal(network, codes_for(network, seed, samples))


@pytest.mark.sweeps
@given(network=shift_networks.images(), seed=st.integers(0, 1000), samples=st.integers(0, 150))
@settings(max_examples=1500, deadline=None)
def test_the_kernel_equals_the_oracle_on_many_networks_of_integers(network, seed, samples):
    network = ended(network)
    if network is not None:
        hold_equal(network, codes_for(network, seed, samples))


@pytest.mark.parametrize("samples", [1, 63, 64, 65, 513, *swept(31, 32, 33, 127, 512, 1100)])
def test_no_sample_count_is_special(samples):
    for network in (shift_networks.small_convolution(), shift_networks.mlp()):
        hold_equal(network, codes_for(network, samples, samples))


def test_every_kind_of_node_goes_through_the_kernel():
    kinds = {type(node) for node in node_examples.IMAGES.nodes}
    assert {*shift_program.KNOWN, ir.ArgMax} == kinds
    for count in range(2, len(node_examples.IMAGES.nodes) + 1):
        network = node_examples.IMAGES.upto(count)
        hold_equal(network, codes_for(network, count, 200))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [1, 12, *swept(2, 8, 14, 15, 16, 17, 24, 25, 31, 32, 33, 40, 48)])
def test_numbers_of_every_width_add_up(bits, signed):
    """Sums of 16 to 62 bits, numbers that no narrow type holds with their negatives among them."""
    rng = np.random.default_rng(bits)
    for span in (0, 5, 12 if bits < 48 else 2):
        network = convolution(rng, (3, 5, 6), 4, (3, 2), span, [ir.Format(bits, signed)])
        hold_equal(network, codes_for(network, span, 70))
        row = shift_networks.dense(rng, 90, 7, span)
        network = ir.Network(ir.Input((90,), (ir.Format(bits, signed),)), (row, ir.Relu(), ir.ArgMax()))
        hold_equal(network, codes_for(network, span, 70))


@pytest.mark.parametrize("mode", ["zeros", "circular"])
@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"),
    [
        ((1, 1), (0, 0), (1, 1), 1),
        ((2, 3), (2, 1), (1, 2), 2),
        *swept(((1, 2), (3, 4), (2, 1), 4), ((3, 1), (0, 2), (2, 3), 1), ((4, 5), (1, 1), (1, 1), 2)),
    ],
)
def test_convolutions_of_every_form_are_the_oracles(mode, stride, padding, dilation, groups):
    rng = np.random.default_rng(5)
    formats = [ir.Format(7, True), ir.Format(5), ir.Format(2), ir.Format(9, True)]
    for shape in ((4, 9, 11), (4, 7, 8)):
        network = convolution(rng, shape, 8, (3, 2), 6, formats, (stride, padding, mode, dilation, groups))
        hold_equal(network, codes_for(network, 1, 100))


def test_a_wide_image_and_a_wide_row_are_added_block_after_block(monkeypatch):
    monkeypatch.setattr(shift_program, "_BLOCK", 16_384)
    rng = np.random.default_rng(6)
    image = convolution(rng, (40, 6, 30), 9, (5, 5), 9, [ir.Format(12, True)])
    row = shift_networks.dense(rng, 1500, 20, 9)
    long = ir.Network(ir.Input((1500,), (ir.Format(12),)), (row, ir.Relu(), ir.ArgMax()))
    for network in (image, long):
        assert emulate_shifts.CompiledShifts(network).program.segments[1][6] > 2
        hold_equal(network, codes_for(network, 1, 66))


@pytest.mark.parametrize("rounding", ["floor", "half_up", "half_even"])
def test_rounding_and_clamping_are_the_oracles_at_every_rest(rounding):
    nodes = (
        shift_networks.dense(np.random.default_rng(7), 1, 9),
        *(ir.Quantize(lsb, rounding, -37, 90) for lsb in (-3, 0, -2)),
    )
    network = ir.Network(ir.Input((1,), (ir.Format(9, True),)), (*nodes, ir.ArgMax()))
    hold_equal(network, np.arange(-256, 256)[:, None])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads_gives_the_same_and_tells_in_order(monkeypatch, threads):
    monkeypatch.setattr(emulate_shifts.os, "cpu_count", lambda: threads)
    network = shift_networks.mlp()
    codes, told = codes_for(network, 0, 1200), []
    assert (Emulator(network).run(codes, told.append)[1] == evaluate.evaluate(network, codes)).all()
    assert told == [512, 1024, 1200]


@pytest.mark.parametrize("kind", ["u1", ">i2", "u8"])
def test_codes_may_be_of_any_integer_type_and_lie_anyhow_in_memory(kind):
    network = shift_networks.mlp()
    codes = codes_for(network, 5, 700)
    wanted = evaluate.trace(network, codes)[-1]
    given = codes.astype(kind)
    for view in (given, np.asfortranarray(given), np.repeat(given, 2, axis=1)[:, ::2], given[::-1][::-1]):
        assert (Emulator(network).run(view)[1] == wanted).all()


def test_a_code_that_the_port_cannot_carry_is_refused_with_its_sample():
    network = shift_networks.mlp()
    codes = codes_for(network, 0, 1000)
    codes[777, 3] = 32
    with pytest.raises(DataError, match="got 32 in sample 777, feature 3"):
        Emulator(network).run(codes)


def dense_of(bits, inputs=10, span=12):
    """A network of one dense layer."""
    node = shift_networks.dense(np.random.default_rng(0), inputs, 3, span)
    return ir.Network(ir.Input((inputs,), (ir.Format(bits),)), (node, ir.Relu(), ir.ArgMax()))


def test_the_kernel_is_taken_where_it_pays(monkeypatch):
    emulate_shifts.kernel.cache_clear()
    monkeypatch.delenv(_assets.VARIABLE)
    image, wide = shift_networks.small_convolution(), dense_of(45)
    few_bits, row, middle = dense_of(6), dense_of(15), dense_of(30)  # sums for float32, the kernel in 32 bits, float64
    most, few = emulate_shifts.WORTH, emulate_shifts.WORTH_DENSE // 30
    convolved = 24 * 4 * 7 * 2 // 2  # never more than this many additions a sample, of the convolution
    assert not emulate_shifts.is_worth(image, most // 10_000)
    assert emulate_shifts.is_worth(image, most // convolved)
    assert [emulate_shifts.is_worth(row, count) for count in (few - 1, few + 1)] == [False, True]
    assert not emulate_shifts.is_worth(few_bits, 10**12)
    assert not emulate_shifts.is_worth(middle, 10**12)
    assert [emulate_shifts.is_worth(wide, count) for count in (most // 30 - 1, most // 30 + 1)] == [False, True]
    emulate_shifts.kernel()  # what is loaded already pays earlier, but where the tables take longest
    assert emulate_shifts.is_worth(wide, most // 30 // 50)
    assert not emulate_shifts.is_worth(row, few - 1)
    for said in ("numpy", "torch"):
        monkeypatch.setenv(_assets.VARIABLE, said)
        assert not emulate_shifts.is_worth(image, 10**12)


def test_without_numba_numpy_does_it_and_asking_for_the_kernel_is_refused(monkeypatch):
    monkeypatch.setattr(_assets.importlib.util, "find_spec", lambda name: None)
    network = shift_networks.mlp()
    with pytest.raises(OptionError, match="numba to be installed; got none"):
        Emulator(network).run(codes_for(network, 0, 3))
    monkeypatch.delenv(_assets.VARIABLE)
    assert not emulate_shifts.is_worth(network, 10**12)
    codes = codes_for(network, 0, 3)
    assert (Emulator(network).run(codes)[1] == evaluate.evaluate(network, codes)).all()


def test_what_the_kernel_does_not_know_is_left_to_others():
    assert not emulate_shifts.is_worth(node_examples.LUTS, 10**12)
    assert not emulate_shifts.is_worth(ir.Network(ir.Input((3,), (ir.Format(3),)), (ir.Relu(), ir.ArgMax())), 10**12)
    layer = shift_networks.dense(np.random.default_rng(0), 3, 2)
    far = ir.Network(dense_of(3, 3).input, (layer, ir.Quantize(70, "floor", -3, 3), ir.ArgMax()))
    assert not emulate_shifts.is_worth(far, 10**12)


def test_pools_that_make_an_image_larger_and_smaller_have_the_room():
    pools = (
        ir.MaxPool2d((2, 2), (1, 1), (1, 1)),
        ir.MaxPool2d((2, 3), (1, 1), (1, 1)),
        ir.MaxPool2d((3, 3), (2, 3), (1, 0)),
    )
    first = convolution(np.random.default_rng(3), (2, 5, 6), 5, (3, 2), 4, [ir.Format(5)])
    for count in (1, 2, 3):
        network = ir.Network(first.input, (first.nodes[0], *pools[:count], ir.Relu(), ir.Relu()))
        hold_equal(network, codes_for(network, count, 70))


def test_a_tap_beyond_the_buffer_is_an_error():
    """LLVM's own loads know no bounds: the kernel looks at all of them before."""
    made = emulate_shifts.CompiledShifts(shift_networks.mlp())
    taps, *others = made.program.tables
    for wrong in (-1, 10**6):
        made.program.tables = (np.where(np.arange(len(taps)) == 5, wrong, taps).astype(np.int32), *others)
        with pytest.raises(IndexError, match="a tap beyond the buffer"):
            made.run(codes_for(shift_networks.mlp(), 0, 3))


def test_compiling_is_told_before_it_begins(monkeypatch):
    for known, wanted in ((False, ["compiling the kernels for this machine, once; about 10 s"]), (True, [])):
        monkeypatch.setattr(emulate_shifts, "is_compiled", lambda program, known=known: known)
        told = []
        emulate_shifts.CompiledShifts(shift_networks.mlp(), told.append)
        assert told == wanted


@pytest.fixture
def folded(monkeypatch):
    """``benchmarks/folded.py``, which knows the network."""
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("folded")
    sys.modules.pop("folded")


@pytest.mark.sweeps
def test_whole_images_through_a_real_network_are_equal(data, folded):
    network = folded.deepshift_mnist(data("deepshift-mnist"))
    images, _ = folded.mnist_images(data("mnist"), 70)
    hold_equal(network, images)


@pytest.mark.sweeps
@pytest.mark.parametrize("setting", [{"NUMBA_BOUNDSCHECK": "1"}, {"PYTHONOPTIMIZE": "1"}, {"NUMBA_OPT": "0"}], ids=str)
def test_the_same_holds_under_bounds_checks_and_without_asserts_and_optimisation(tmp_path, setting):
    """In a process of its own: the kernel is compiled anew, and an index that is out of bounds is an error."""
    code = (
        "import sys; sys.path[:0] = [sys.argv[1], sys.argv[2]]\n"
        "import numpy as np\n"
        "import node_examples, shift_networks\n"
        "from dwn_hw.ir import evaluate\n"
        "from dwn_hw.ir.emulate import Emulator\n"
        "from test_emulate_shifts import codes_for, convolution\n"
        "from dwn_hw import ir\n"
        "rng = np.random.default_rng(0)\n"
        "more = ((2, 1), (2, 1), 'circular', (1, 2), 2)\n"
        "wide = [convolution(rng, (4, 7, 9), 6, (3, 2), 9, [ir.Format(b, True)], more) for b in (12, 20, 40)]\n"
        "for network in (node_examples.IMAGES, shift_networks.small_convolution(), shift_networks.mlp(), *wide):\n"
        "    codes = codes_for(network, 0, 150)\n"
        "    before, after = Emulator(network).run(codes)\n"
        "    traced = evaluate.trace(network, codes)\n"
        "    if not ((before == traced[-2]).all() and (after == traced[-1]).all()): sys.exit('differs')\n"
        "print('equal')\n"
    )
    here = Path(__file__).resolve()
    env = {**os.environ, **setting, "NUMBA_CACHE_DIR": str(tmp_path), _assets.VARIABLE: "numba"}
    command = [sys.executable, "-c", code, str(here.parent), str(here.parents[1])]
    done = subprocess.run(
        command, cwd=here.parents[2], env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout == "equal\n", done.stderr
