"""Random networks of integer weights, levels and transposed convolutions, for several test files."""

from __future__ import annotations

import numpy as np
import shift_networks as nets
from hypothesis import strategies as st

from dwn_hw import ir
from dwn_hw.errors import InputError


def weights(rng: np.random.Generator, count: int, bits: int) -> tuple[int, ...]:
    """Weights of all that ``bits`` hold; the least is often among them."""
    high = 1 << bits - 1
    return tuple(np.where(rng.random(count) < 0.1, -high, rng.integers(-high, high, count)).tolist())


def levels(rng: np.random.Generator, edge: ir.Edge, most: int = 9) -> ir.MultiThreshold:
    """Thresholds within and beyond what the edge can hold, some of them equal; shared, or a row an entry."""
    low, high = min(fmt.low for fmt in edge.formats), max(fmt.high for fmt in edge.formats)
    rows = edge.shape[0] if rng.integers(0, 2) else 1
    count = int(rng.integers(1, most + 1))
    spread = (high - low) // 6 + 1
    thresholds = [sorted(rng.integers(low // 2 - 2, high // 2 + spread, count).tolist()) for _ in range(rows)]
    for row in thresholds:
        row[-1:] = row[-2:-1] or row[-1:]
    kind = rng.integers(0, 3)
    width = 1 if kind == 0 else int(rng.integers(2, 60))
    values = rng.integers(-width if kind == 2 else 0, width + 1, (rows, count + 1))
    if rng.integers(0, 2):
        values[:] = values[0]
    return ir.MultiThreshold(
        tuple(map(tuple, thresholds)), tuple(map(tuple, values.tolist())), int(rng.integers(-2, 2))
    )


def convolution(rng: np.random.Generator, edge: ir.Edge, *, transposed: bool) -> ir.Node:
    """Any stride, padding, dilation and groups; it may not fit the edge."""
    channels, *extent = edge.shape
    groups = int(rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
    window = tuple(rng.integers(1, 4, 2).tolist())
    stride, dilation, padding = (tuple(rng.integers(low, 3, 2).tolist()) for low in (1, 1, 0))
    outputs = int(rng.integers(1, 4))
    bits = int(rng.integers(2, 9))
    if transposed:
        stride = tuple(rng.integers(1, 4, 2).tolist())
        more = tuple(int(rng.integers(0, max(s, d))) for s, d in zip(stride, dilation, strict=True))
        kernel = (channels, outputs, *window)
        own = (weights(rng, int(np.prod(kernel)), bits), nets.biases(rng, outputs * groups), 0)
        return ir.ConvTranspose2d(kernel, *own, stride, padding, more, dilation, groups)
    window = tuple(min(w, e) for w, e in zip(window, extent, strict=True))
    kernel = (outputs * groups, channels // groups, *window)
    own = (weights(rng, int(np.prod(kernel)), bits), nets.biases(rng, outputs * groups), 0)
    mode = str(rng.choice(["zeros", "circular"]))
    return ir.Conv2d(kernel, *own, stride, padding, mode, dilation, groups)


KINDS = ("conv", "transposed", "levels", "levels", "pool", "relu", "quantize", "affine", "shift")


@st.composite
def images(draw, kinds=KINDS, most=5) -> ir.Network:
    """A few layers of images, then maybe a dense one and maybe a class."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(1, 3)), draw(st.integers(2, 4)), draw(st.integers(2, 4)))
    formats = tuple(ir.Format(int(rng.integers(1, 9)), bool(rng.integers(0, 2))) for _ in range(shape[0]))
    source = ir.Input(shape, formats if draw(st.booleans()) else formats[:1])
    nodes: tuple[ir.Node, ...] = ()
    edge = source.edge
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=most)):
        try:
            node = _node(rng, kind, edge)
            after = node.output(edge)
        except InputError:  # a window that does not fit, or sums that are too wide: leave it out
            continue
        if after.size <= 120:
            nodes, edge = (*nodes, node), after
    if draw(st.booleans()):
        count = draw(st.integers(1, 5))
        last = ir.Dense(weights(rng, edge.size * count, draw(st.integers(2, 8))), nets.biases(rng, count), 0)
        nodes = (*nodes, ir.Reshape((edge.size,)), last, *[ir.ArgMax()] * draw(st.booleans()))
    return ir.Network(source, nodes or (ir.Relu(),))


def _node(rng: np.random.Generator, kind: str, edge: ir.Edge) -> ir.Node:
    channels, lsb = edge.shape[0], edge.formats[0].lsb
    match kind:
        case "conv" | "transposed":
            return convolution(rng, edge, transposed=kind == "transposed")
        case "levels":
            return levels(rng, edge)
        case "pool":
            return ir.MaxPool2d((2, 2), tuple(rng.integers(1, 3, 2).tolist()), tuple(rng.integers(0, 2, 2).tolist()))
        case "affine":
            return ir.Affine(tuple(rng.integers(-99, 100, channels).tolist()), nets.biases(rng, channels), 3, lsb)
        case "shift":
            found, low = nets.shift_weights(rng, channels * channels)
            return ir.Conv2d((channels, channels, 1, 1), found, nets.biases(rng, channels), low)
        case "quantize":
            return nets.narrow(rng, lsb)
        case _:
            return ir.Relu()


@st.composite
def ordered(
    draw, kinds=("sort", "sort", "mean", "nearest", "argmax", "levels", "quantize", "relu"), most=4
) -> ir.Network:
    """A few nodes that compare numbers with each other, and some between and behind them; few codes, so that many are equal."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = tuple(rng.integers(1, 5, draw(st.integers(1, 3))).tolist())
    source = ir.Input(shape, (ir.Format(int(rng.integers(1, 5)), bool(rng.integers(0, 2))),))
    nodes: tuple[ir.Node, ...] = ()
    edge = source.edge
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=most)):
        if not edge.shape:
            break
        for node in _ordering(rng, kind, edge):
            nodes, edge = (*nodes, node), node.output(edge)
    if edge.shape and draw(st.booleans()):
        last = ir.Dense(weights(rng, edge.size * 3, 4), nets.biases(rng, 3), 0)
        nodes = (*nodes, ir.Reshape((edge.size,)), last, *[ir.ArgMax()] * draw(st.booleans()))
    return ir.Network(source, nodes)


def _ordering(rng: np.random.Generator, kind: str, edge: ir.Edge) -> tuple[ir.Node, ...]:
    shape = edge.shape
    match kind:
        case "sort":
            axes = tuple(rng.permutation(len(shape))[: rng.integers(1, len(shape) + 1)].tolist())
            if len(axes) > 1 and len(shape) > 2:  # what a step's loops reach
                axes = (len(shape) - 1, len(shape) - 2)
            keep = int(rng.integers(0, min(shape[axis] for axis in axes) + 1))
            return (ir.Sort(axes, keep, bool(rng.integers(0, 2))),)
        case "mean":
            return (ir.CompareToMean(),)
        case "nearest":
            values = rng.integers(-9, 10, (shape[-1], int(rng.integers(1, 4))))
            return ir.ArgMax(), ir.Codebook(tuple(map(tuple, values.tolist())), int(rng.integers(-2, 2)))
        case "argmax":
            return (ir.ArgMax(),)
        case _:
            return (_node(rng, kind, edge),)
