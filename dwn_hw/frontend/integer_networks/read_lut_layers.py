"""Reads DWN's layers where they stand behind layers that sum: thermometers of these sums, look-up tables, and the vote."""

from __future__ import annotations

from typing import Any

import numpy as np

from dwn_hw import ir
from dwn_hw.frontend.integer_networks.trained_network import Doubles, FixedPoint, Levels, Smooth, TrainedStep
from dwn_hw.frontend.module_state import Findings
from dwn_hw.frontend.read_luts import lut_source, read_group, read_layer
from dwn_hw.frontend.read_thermometer import fit_width, read_thresholds
from dwn_hw.ir import evaluate
from dwn_hw.ir.edges import Ints


def lut_layer(part: str, module: Any, before: Ints, found: Findings) -> list[TrainedStep]:
    """A layer of look-up tables that reads the bits of one row; none with problems in ``found``."""
    read = read_layer(lut_source((part, module)), before[-1], found)
    if read is None:
        return []
    wires = tuple(tuple(row) for row in read.mapping.tolist())
    return [ir.LutLayer(wires, tuple(evaluate.table_of(row) for row in read.tables))]


def group_sum(part: str, module: Any, before: Ints, found: Findings) -> list[TrainedStep]:
    """The vote of the bits of one row; none with problems in ``found``."""
    read = read_group((part, module), before[-1], found)
    if read is None:
        return []
    order = () if read.permutation is None else tuple(read.permutation.tolist())
    return [ir.GroupSum(read.k, order, f"{read.tau:g}")]


def thermometer(part: str, module: Any, smooth: Smooth, before: Ints, found: Findings) -> list[TrainedStep]:
    """A thermometer of the numbers that ``smooth`` makes of sums: how many thresholds each exceeds, and a bit for each of these.

    Thresholds of a feature may stand in any order: a number exceeds one where it exceeds as many as are at most that.
    """
    thresholds = read_thresholds(module, found)
    if thresholds is None:
        return []
    fitted = fit_width(thresholds, thresholds.shape[1] * before[-1], before[-1], found)
    if len(fitted) != before[-1]:
        return []
    kind = fitted.dtype

    def exceeded(x: Doubles) -> Doubles:
        return np.asarray((x.astype(kind)[..., None] > fitted).sum(axis=-1), np.float64)

    ranks = (fitted[:, None, :] <= fitted[:, :, None]).sum(axis=2)
    grid = FixedPoint(0, 0, fitted.shape[1])
    node = ir.Thermometer(tuple(tuple(row) for row in ranks.tolist()))
    return [Levels(part, smooth, exceeded, np.empty(0), grid), node]
