"""Chooses how a host rounds a number that lies between two codes of the port.

Thresholds of a thermometer are often values of the training data (torch_dwn's ``DistributiveThermometer``), and a sample that
*is* such a value is compared with ``>``: 0. Rounded to the nearest code, half of these become ones, since the code may lie above
the threshold; rounded down, none does. A number that is no threshold is at most half a step off by the first rule and a whole
one by the second. So neither is better everywhere: with samples at hand the one is taken behind which fewer thermometer bits
differ from the model's own, without them the thresholds decide.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw.frontend import freeze_dwn
from dwn_hw.frontend.input_port import Port
from dwn_hw.frontend.trained_dwn import TrainedDwn
from dwn_hw.ir.arrays import Floats
from dwn_hw.ir.codes import encode
from dwn_hw.ir.network import is_dyadic

#: The most samples that are tried, evenly spread, and how many of them at once.
MOST_SAMPLES, _CHUNK = 32_768, 2048

#: The fewest thresholds of a feature by which a formula is told from data: two are always symmetric.
_LEAST = 3

#: How far apart, as a share of their span, thresholds that a formula made in float32 may lie from symmetry.
_TOLERANCE = 1e-4


def choose(model: TrainedDwn, port: Port, x: npt.NDArray[Any] | None) -> Port:
    """The port with its rounding, and with the reason for that in words where it is not to the nearest.

    ``x`` (samples, features) are numbers in the units of the port, None where there are none.
    """
    if not all(map(is_dyadic, port.steps)):
        return port
    if x is not None:
        return _measured(model, port, x)
    if port.origin == "default" and model.scaler is None and not _by_formula(model.thresholds):
        return _down(
            port, "the thresholds are likely values of the data, which are compared exactly then; not measured"
        )
    return port


def _measured(model: TrainedDwn, port: Port, x: npt.NDArray[Any]) -> Port:
    """The rounding behind which fewer thermometer bits change."""
    down = dataclasses.replace(port, rounding="floor")
    nearest, floor = changed_bits(model, [port, down], x)
    if floor >= nearest:
        return port
    return _down(port, f"{floor} thermometer bits of the data change by that, {nearest} by the nearest code")


def _down(port: Port, why: str) -> Port:
    return dataclasses.replace(port, rounding="floor", reason=f"{port.reason}; numbers are rounded down ({why})")


def changed_bits(model: TrainedDwn, ports: list[Port], x: npt.NDArray[Any]) -> list[int]:
    """The number of thermometer bits that are not the model's own behind each of ``ports``, which differ in rounding alone."""
    sources = [port.input(len(model.thresholds)) for port in ports]
    turns = freeze_dwn.bisect(model, sources[0])
    if len(x) > MOST_SAMPLES:
        x = x[np.linspace(0, len(x) - 1, MOST_SAMPLES).astype(np.int64)]
    found = [0] * len(ports)
    for start in range(0, len(x), _CHUNK):
        part = x[start : start + _CHUNK]
        wanted = model.binarize(part.astype(freeze_dwn.model_dtype(model)))
        for index, source in enumerate(sources):
            got = encode(source, part).codes[:, :, None] >= turns
            found[index] += int((got != wanted).sum())
    return found


def _by_formula(thresholds: Floats) -> bool:
    """Whether thresholds (features, bits) lie symmetrically in each feature, as evenly spaced and Gaussian ones do."""
    if thresholds.shape[1] < _LEAST:
        return False
    rows = np.sort(np.asarray(thresholds, np.float64), axis=1)
    apart = np.ptp(rows, axis=1, keepdims=True)
    middles = rows + rows[:, ::-1]
    return bool((np.ptp(middles, axis=1, keepdims=True) <= _TOLERANCE * apart).all())
