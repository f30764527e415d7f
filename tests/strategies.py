"""Random nodes that count in integers, for property tests of several modules."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from dwn_hw import ir

FORMATS = st.builds(ir.Format, st.integers(1, 9), st.booleans(), st.integers(-9, 3))


def weights(draw, count: int) -> tuple[tuple[int, ...], int]:
    """Weights and low: powers of two with their signs, or any integers."""
    if draw(st.booleans()):
        return tuple(draw(st.lists(st.integers(-100, 100), min_size=count, max_size=count))), draw(st.integers(-5, 2))
    signs = tuple(draw(st.lists(st.sampled_from((-1, 0, 1)), min_size=count, max_size=count)))
    shifts = tuple(draw(st.lists(st.integers(-6, 4), min_size=count, max_size=count)))
    used = [shift for sign, shift in zip(signs, shifts, strict=True) if sign]
    low = min(used, default=0) - draw(st.integers(0, 2))
    return ir.powers_of_2(signs, shifts, low), low


def bias(draw, count: int) -> tuple[int, ...]:
    return tuple(draw(st.lists(st.integers(-(2**12), 2**12), min_size=count, max_size=count)))


@st.composite
def convolutions(draw) -> tuple[ir.Conv2d, ir.Input]:
    groups, inputs, per_group = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    window, stride, dilation = draw(pair), draw(pair), draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    mode = draw(st.sampled_from(("zeros", "circular")))
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    least = [max(p, d * (w - 1) + 1 - 2 * p, 1) for w, d, p in zip(window, dilation, padding, strict=True)]
    shape = (groups * inputs, *(low + draw(st.integers(0, 3)) for low in least))
    kernel = (groups * per_group, inputs, *window)
    values, low = weights(draw, int(np.prod(kernel)))
    node = ir.Conv2d(kernel, values, bias(draw, kernel[0]), low, stride, padding, mode, dilation, groups)
    return node, ir.Input(shape, (draw(FORMATS),))


@st.composite
def dense(draw) -> tuple[ir.Dense, ir.Input]:
    inputs, outputs = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    values, low = weights(draw, inputs * outputs)
    return ir.Dense(values, bias(draw, outputs), low), ir.Input((inputs,), (draw(FORMATS),))


def codes_for(port: ir.Input, seed: int, samples: int = 6) -> np.ndarray:
    """Random ones, and the two extremes."""
    fmt = port.formats[0]
    codes = np.random.default_rng(seed).integers(fmt.low, fmt.high + 1, (samples, *port.shape))
    codes[0], codes[1] = fmt.low, fmt.high
    return codes
