"""The nodes that count in integers, against torch's own operators in float64, where every sum here is exact."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import FORMATS, codes_for, convolutions, dense
from torch.nn import functional

from dwn_hw import ir
from dwn_hw.errors import IRError
from dwn_hw.ir import evaluate, serialize


def real(node: ir.Dense | ir.Conv2d) -> torch.Tensor:
    values = [weight * 2.0**node.low for weight in node.weights]
    return torch.tensor(values, dtype=torch.float64)


def compare(node: ir.Node, port: ir.Input, codes: np.ndarray, wanted: torch.Tensor) -> None:
    """Codes times the grid equal torch's numbers, within the format that the edge states."""
    network = ir.Network(port, (node,))
    got, fmt = evaluate.evaluate(network, codes), network.edges()[-1].formats[0]
    assert got.shape[1:] == network.edges()[-1].shape
    assert (torch.from_numpy(got).double() * 2.0**fmt.lsb == wanted).all()
    assert fmt.low <= got.min()
    assert got.max() <= fmt.high


@given(case=dense(), seed=st.integers(0, 99))
def test_a_shift_dense_layer_equals_torch_linear_in_float64(case, seed):
    node, port = case
    codes, lsb = codes_for(port, seed), port.formats[0].lsb
    x = torch.from_numpy(codes).double() * 2.0**lsb
    b = torch.tensor(node.bias, dtype=torch.float64) * 2.0 ** (lsb + node.low)
    compare(node, port, codes, functional.linear(x, real(node).reshape(len(node.bias), -1), b))


@given(case=convolutions(), seed=st.integers(0, 99))
def test_a_shift_convolution_equals_torch_conv2d_in_float64(case, seed):
    node, port = case
    codes, lsb = codes_for(port, seed), port.formats[0].lsb
    x = torch.from_numpy(codes).double() * 2.0**lsb
    b = torch.tensor(node.bias, dtype=torch.float64) * 2.0 ** (lsb + node.low)
    layer = torch.nn.Conv2d(
        port.shape[0],
        node.kernel[0],
        node.kernel[2:],
        node.stride,
        node.padding,
        node.dilation,
        node.groups,
        padding_mode=node.padding_mode,
        dtype=torch.float64,
    )
    layer.weight.data, layer.bias.data = real(node).reshape(node.kernel), b
    compare(node, port, codes, layer(x).detach())


@given(case=dense(), draw=st.data())
def test_every_sum_that_the_signs_allow_lies_in_the_stated_format_and_the_format_is_tight(case, draw):
    node, port = case
    fmt, inputs = port.formats[0], port.shape[0]
    rows = np.sign(node.weights).reshape(-1, inputs)
    highest = np.where(rows > 0, fmt.high, fmt.low)
    lowest = np.where(rows > 0, fmt.low, fmt.high)
    network = ir.Network(port, (node,))
    out, edge = evaluate.evaluate(network, np.concatenate([highest, lowest])), network.edges()[-1].formats[0]
    assert edge.low <= out.min()
    assert out.max() <= edge.high
    sums = np.concatenate([out.reshape(-1), (out - np.array(node.bias)).reshape(-1)])
    assert ir.Format.covering(int(sums.min()), int(sums.max())).bits == edge.bits


@given(
    fmt=FORMATS,
    lsb=st.integers(-9, 3),
    rounding=st.sampled_from(("floor", "half_up", "half_even")),
    seed=st.integers(0, 9),
)
def test_quantize_equals_fractions_rounded_by_hand(fmt, lsb, rounding, seed):
    port = ir.Input((5,), (fmt,))
    node = ir.Quantize(lsb, rounding, -20, 30)
    codes = codes_for(port, seed)
    for code, got in zip(
        codes.reshape(-1), evaluate.evaluate(ir.Network(port, (node,)), codes).reshape(-1), strict=True
    ):
        exact = Fraction(int(code)) * Fraction(2) ** (fmt.lsb - lsb)
        near = {"floor": exact.__floor__(), "half_up": (exact + Fraction(1, 2)).__floor__(), "half_even": round(exact)}
        assert got == min(max(near[rounding], -20), 30)


@given(seed=st.integers(0, 99), shift=st.integers(0, 5), fmt=FORMATS)
def test_affine_multiplies_adds_and_floors_by_channel(seed, shift, fmt):
    port = ir.Input((3, 2, 2), (fmt,))
    rng = np.random.default_rng(seed)
    m, b = (tuple(rng.integers(-50, 50, 3).tolist()) for _ in range(2))
    codes = codes_for(port, seed)
    network = ir.Network(port, (ir.Affine(m, b, shift, -4),))
    got = evaluate.evaluate(network, codes)
    wanted = [[(int(v) * m[c] + b[c]) // 2**shift for v in image[c].reshape(-1)] for image in codes for c in range(3)]
    assert got.reshape(-1, 4).tolist() == wanted
    edge = network.edges()[-1].formats[0]
    assert edge.lsb == -4
    assert edge.low <= got.min() <= got.max() <= edge.high


@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    fmt=FORMATS,
    seed=st.integers(0, 99),
)
def test_max_pool_and_relu_equal_torch(kernel, stride, dilation, fmt, seed):
    padding = (kernel[0] // 2, kernel[1] // 2)
    port = ir.Input((2, 7, 6), (fmt,))
    codes = codes_for(port, seed)
    x = torch.from_numpy(codes).double() * 2.0**fmt.lsb
    compare(ir.Relu(), port, codes, functional.relu(x))
    wanted = functional.max_pool2d(x, kernel, stride, padding, dilation)
    compare(ir.MaxPool2d(kernel, stride, padding, dilation), port, codes, wanted)
    compare(ir.Reshape((84,)), port, codes, x.flatten(1))


@given(case=convolutions())
def test_a_network_of_integers_survives_its_file(case):
    node, port = case
    size = int(np.prod(node.output(port.edge).shape))
    nodes = (node, ir.Relu(), ir.Quantize(-3, "floor", 0, 255), ir.Reshape((size,)), ir.ArgMax())
    network = ir.Network(port, nodes)
    assert serialize.loads(serialize.dumps(network)) == network
    assert network.names() == ("conv", "relu", "quantize", "reshape", "argmax")


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        (lambda: ir.powers_of_2((1, 1), (0, -3), -2), "shifts in -2"),
        (lambda: ir.powers_of_2((1, 1), (0, 70), 0), "shifts in 0"),
        (lambda: ir.Dense((1, 1, 1), (0, 0), 0), "as many weights for each of 2 outputs"),
        (lambda: ir.Conv2d((1, 1, 1, 1), (1,), (0,), 0, (0, 1)), "stride"),
        (lambda: ir.Conv2d((1, 1, 1, 1), (1,), (0,), 0, padding_mode="reflect"), "padding mode"),
        (lambda: ir.Conv2d((3, 1, 1, 1), (1,) * 3, (0,) * 3, 0, groups=2), "equal groups"),
        (lambda: ir.Dense((1, 0.5), (0,), 0), "weights and biases that are integers; got float"),
        (lambda: ir.Dense((1, 2), (True,), 0), "weights and biases that are integers; got bool"),
        (lambda: ir.MultiThreshold(((0.5,),), ((0, 1),)), "thresholds and values that are integers; got float"),
        (lambda: ir.MultiThreshold(((2, 1),), ((0, 1, 2),)), "thresholds that never fall"),
        (lambda: ir.Quantize(0, "up", 0, 1), "rounding one of"),
        (lambda: ir.Quantize(0, "floor", 2, 1), "lowest at most highest"),
        (lambda: ir.MaxPool2d((2, 2), (2, 2), (2, 0)), "padding at most half"),
    ],
)
def test_a_node_refuses_what_it_cannot_mean(node, sentence):
    with pytest.raises(IRError, match=sentence):
        node()


@pytest.mark.parametrize(
    ("nodes", "sentence"),
    [
        ((ir.Dense((1,) * 8, (0,), 0),), "flatten images first"),
        ((ir.Reshape((7,)),), "a shape of 8 numbers"),
        ((ir.MaxPool2d((3, 3), (1, 1)),), "fits into 2×2"),
        ((ir.Reshape((8,)), ir.Dense((1,) * 7, (0,), 0)), "8 weights for each of 1 outputs"),
        ((ir.Reshape((8,)), ir.Dense((1 << 55, *(1,) * 7), (0,), 0)), "sums of at most 62 bits"),
        ((ir.Conv2d((1, 3, 1, 1), (1,) * 3, (0,), 0),), "3 channels"),
    ],
)
def test_a_network_refuses_nodes_that_do_not_fit_together(nodes, sentence):
    with pytest.raises(IRError, match=sentence):
        ir.Network(ir.Input((2, 2, 2), (ir.Format(8),)), nodes)


def test_the_work_of_a_transposed_convolution_does_not_grow_with_the_stride_that_a_file_states():
    """A list of all rests of such a stride would not fit into any memory."""
    node = ir.ConvTranspose2d((1, 1, 2, 2), (1, -2, 3, 4), (5,), 0, stride=(10**12, 10**12))
    # Every output is 5 and one product: -6 … 17 with what is partial.
    assert node.output(ir.Edge((1, 1, 1), (ir.Format(2),))) == ir.Edge((1, 2, 2), (ir.Format(6, signed=True),))
