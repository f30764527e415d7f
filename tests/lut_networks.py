"""A random network of look-up tables, small enough to be simulated whole, shells included."""

from __future__ import annotations

import numpy as np

from dwn_hw.ir import ArgMax, Format, GroupSum, Input, LutLayer, Network, Thermometer


def random_network(seed=1, features=5, bits=6, luts=(20, 12), groups=3, inputs=4):
    rng = np.random.default_rng(seed)
    fmt = Format(bits, signed=True)
    rows = tuple(tuple(rng.integers(fmt.low, fmt.high + 2, rng.integers(1, 5)).tolist()) for _ in range(features))
    nodes, size = [Thermometer(rows)], sum(map(len, rows))
    for count in luts:
        wires = tuple(tuple(rng.integers(0, size, inputs).tolist()) for _ in range(count))
        tables = rng.integers(0, (1 << (1 << inputs)) - 1, count, np.uint64 if inputs == 6 else np.int64, endpoint=True)
        nodes.append(LutLayer(wires, tuple(tables.tolist())))
        size = count
    return Network(Input((features,), (fmt,)), (*nodes, GroupSum(groups), ArgMax()))
