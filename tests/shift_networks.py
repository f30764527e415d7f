"""Random networks of shift layers, for several test files."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from dwn_hw import ir


def shift_weights(rng: np.random.Generator, count: int, span: int = 6) -> tuple[tuple[int, ...], int]:
    """Weights of ±2^s and low; a third are 0."""
    signs, shifts = rng.integers(-1, 2, count).tolist(), rng.integers(-span, 1, count).tolist()
    return ir.powers_of_2(signs, shifts, -span), -span


def biases(rng: np.random.Generator, count: int) -> tuple[int, ...]:
    return tuple(rng.integers(-200, 200, count).tolist())


def dense(rng: np.random.Generator, inputs: int, outputs: int, span: int = 6) -> ir.Dense:
    weights, low = shift_weights(rng, inputs * outputs, span)
    return ir.Dense(weights, biases(rng, outputs), low)


def narrow(rng: np.random.Generator, lsb: int) -> ir.Quantize:
    rounding = str(rng.choice(["floor", "half_up", "half_even"]))
    lowest = int(rng.integers(-100, 1))
    return ir.Quantize(lsb + int(rng.integers(-2, 7)), rounding, lowest, int(rng.integers(1, 120)))


@st.composite
def images(draw) -> ir.Network:
    """A few layers of images, then maybe a dense one; shapes are hypothesis' own, so that it shrinks them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    small = st.tuples(st.integers(1, 2), st.integers(1, 2))
    shape = (draw(st.integers(1, 3)), draw(st.integers(3, 6)), draw(st.integers(3, 6)))
    formats = tuple(ir.Format(int(rng.integers(1, 7)), bool(rng.integers(0, 2))) for _ in range(shape[0]))
    source = ir.Input(shape, formats if draw(st.booleans()) else formats[:1])
    network: tuple[ir.Node, ...] = ()
    edge = source.edge
    for kind in draw(
        st.lists(st.sampled_from(["affine", "conv", "depthwise", "pool", "relu", "quantize"]), min_size=1, max_size=4)
    ):
        channels, height, width = edge.shape
        lsb = edge.formats[0].lsb
        node: ir.Node
        if kind == "affine":
            count = channels if rng.integers(0, 2) else 1
            multipliers = tuple(rng.integers(-99, 100, count).tolist())
            node = ir.Affine(multipliers, biases(rng, count), int(rng.integers(0, 7)), lsb)
        elif kind in ("conv", "depthwise"):
            groups = channels if kind == "depthwise" else 1
            window = (min(height, draw(st.integers(1, 3))), min(width, draw(st.integers(1, 3))))
            padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
            dilation = draw(small) if min(height, width) > 4 else (1, 1)
            kernel = (groups * draw(st.integers(1, 3)), channels // groups, *window)
            weights, low = shift_weights(rng, int(np.prod(kernel)))
            mode = draw(st.sampled_from(["zeros", "circular"]))
            if mode == "circular":
                padding = (min(padding[0], height), min(padding[1], width))
            more = (draw(small), padding, mode, dilation, groups)
            node = ir.Conv2d(kernel, weights, biases(rng, kernel[0]), low, *more)
        elif kind == "pool":
            padding = (1, 1) if min(height, width) > 2 and draw(st.booleans()) else (0, 0)
            node = ir.MaxPool2d((2, 2), draw(small), padding) if min(height, width) > 1 else ir.Relu()
        else:
            node = ir.Relu() if kind == "relu" else narrow(rng, lsb)
        try:
            edge = node.output(edge)
        except Exception:  # noqa: BLE001  # a window that does not fit, or sums that are too wide: leave it out
            continue
        network = (*network, node)
    if draw(st.booleans()):
        size = edge.size
        network = (*network, ir.Reshape((size,)), dense(rng, size, draw(st.integers(1, 5))))
        if draw(st.booleans()):
            network = (*network, ir.ArgMax())
    return ir.Network(source, network or (ir.Relu(),))


def codes_of(network: ir.Network, seed: int, samples: int) -> np.ndarray:
    """The least and the greatest of every feature, then random ones."""
    rng = np.random.default_rng(seed)
    formats = network.input.edge.flat_formats()
    low, high = (np.array([getattr(fmt, end) for fmt in formats]) for end in ("low", "high"))
    codes = rng.integers(low, high + 1, (samples, len(formats)))
    codes[0], codes[1] = low, high
    return codes.reshape(samples, *network.input.shape)


def mlp(seed: int = 0, inputs: int = 64, hidden: int = 32, outputs: int = 10) -> ir.Network:
    """inputs → hidden → outputs, with 12-bit activations between."""
    rng = np.random.default_rng(seed)
    first, last = dense(rng, inputs, hidden, 7), dense(rng, hidden, outputs, 7)
    middle = (ir.Relu(), ir.Quantize(-4, "floor", 0, 4095))
    return ir.Network(ir.Input((inputs,), (ir.Format(5),)), (first, *middle, last, ir.ArgMax()))


def small_convolution(seed: int = 0) -> ir.Network:
    """Every kind of step: affine by channel, grouped circular convolution, overlapping pool with padding, dense."""
    rng = np.random.default_rng(seed)
    weights, low = shift_weights(rng, 24)
    conv = ir.Conv2d((4, 1, 3, 2), weights, biases(rng, 4), low, (2, 1), (1, 1), "circular", (1, 2), 2)
    nodes = (
        ir.Affine((37, -5), (3, -4), 3, -4),
        ir.Quantize(-3, "half_up", -100, 100),
        conv,
        ir.MaxPool2d((2, 2), (1, 2), (1, 1)),
        ir.Relu(),
        ir.Quantize(-3, "half_even", 0, 200),
        ir.Reshape((64,)),
        dense(rng, 64, 5),
        ir.ArgMax(),
    )
    return ir.Network(ir.Input((2, 6, 7), (ir.Format(4, True),)), nodes)
