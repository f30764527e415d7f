"""Runs the quantised model in torch, in float64, where every sum here is exact: the frozen network is compared with it.

It shares no code with :mod:`dwn_hw.ir.evaluate`: real numbers, torch's own operators, and the model's normalisation as it is. A
sum of float64 is exact while all that is added up stays below 2**53 of its grid, which is checked of every sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, assert_never

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from dwn_hw import ir
from dwn_hw.frontend.integer_networks.freeze_network import Norm, bias_codes, plan_norms, rounded, tables
from dwn_hw.frontend.integer_networks.trained_network import (
    Clamp,
    Doubles,
    FixedPoint,
    Levels,
    Scaled,
    Table,
    TrainedNetwork,
    Weighted,
)

#: The number of samples that are run at once.
_CHUNK = 256


#: A function that is told, for each layer that sums, its number and the values (samples, …) that come to it, before rounding.
Watch: TypeAlias = Callable[[int, Doubles], None]

#: A format that rounds nothing worth mentioning: for what a model does before formats are chosen.
WIDE = FixedPoint(-24, -(1 << 52), 1 << 52)


def run(
    model: TrainedNetwork, formats: Sequence[FixedPoint], x: Doubles, watch: Watch = lambda layer, values: None
) -> tuple[Doubles, npt.NDArray[np.bool_]]:
    """The scores (samples, classes) of ``x`` (samples, *shape), what the model takes; and of which samples all sums are exact."""
    norms = plan_norms(model, formats)
    parts = [_run(model, formats, norms, x[start : start + _CHUNK], watch) for start in range(0, len(x), _CHUNK)]
    return np.concatenate([scores for scores, _ in parts]), np.concatenate([exact for _, exact in parts])


def _run(
    model: TrainedNetwork, formats: Sequence[FixedPoint], norms: Sequence[Norm], x: Doubles, watch: Watch
) -> tuple[Doubles, npt.NDArray[np.bool_]]:
    value = torch.from_numpy(np.ascontiguousarray(x, np.float64))
    exact = torch.ones(len(value), dtype=torch.bool)
    waiting, scales, grids = enumerate(formats), iter(norms), iter(tables(model, formats))
    with torch.no_grad():
        for step in model.steps:
            match step:
                case Weighted():
                    layer, wanted = next(waiting)
                    watch(layer, value.numpy())
                    value, good = _weighted(step, wanted, value)
                    exact &= good
                case Scaled():
                    value, good = _scaled(next(scales), value)
                    exact &= good
                case Levels():
                    value = torch.from_numpy(step(value.numpy()))
                case Table():
                    value = torch.from_numpy(rounded(step.smooth(value.numpy()), next(grids)))
                case Clamp():
                    value = value.clamp(step.low, step.high)
                case ir.Sort():
                    value = _sorted(step, value)
                case ir.Codebook():
                    value = (torch.tensor(step.values, dtype=torch.float64) * 2.0**step.lsb)[value.long()]
                case ir.Thermometer():
                    value = (value.flatten(1)[:, :, None] >= torch.tensor(step.thresholds)).double().flatten(1)
                case ir.LutLayer():
                    value = _looked_up(step, value)
                case ir.GroupSum():
                    ordered = value[:, list(step.members)] if step.members else value
                    padded = functional.pad(ordered, (0, -ordered.shape[1] % step.groups))
                    value = padded.reshape(len(padded), step.groups, -1).sum(2)
                case ir.CompareToMean():
                    flat = value.flatten(1)
                    value = (flat.shape[1] * flat >= flat.sum(1, keepdim=True)).double().reshape(value.shape)
                case ir.ArgMax():
                    value = value.argmax(-1).double()
                case ir.Relu():
                    value = functional.relu(value)
                case ir.MaxPool2d():
                    value = functional.max_pool2d(value, step.kernel, step.stride, step.padding, step.dilation)
                case ir.Reshape():
                    value = value.reshape(len(value), *step.shape)
                case _:
                    assert_never(step)
    return value.numpy(), exact.numpy()


def _sorted(step: ir.Sort, value: torch.Tensor) -> torch.Tensor:
    """Along each axis by itself; of several the results stand beside each other, from the least of these axes on flat."""
    ordered = []
    for axis in (axis + 1 for axis in step.axes):
        along = value.sort(axis, step.descending).values
        ordered.append(along.narrow(axis, 0, step.keep or along.shape[axis]))
    if len(ordered) == 1:
        return ordered[0]
    joined = min(step.axes) + 1
    return torch.cat([along.flatten(joined) for along in ordered], joined)


def _looked_up(layer: ir.LutLayer, bits: torch.Tensor) -> torch.Tensor:
    """What each table has at the address of its bits, slot 0 the least significant."""
    outputs = []
    for wires, table in zip(layer.wires, layer.tables, strict=True):
        entries = torch.tensor([table >> at & 1 for at in range(1 << len(wires))], dtype=torch.float64)
        address = bits[:, list(wires)] @ (2.0 ** torch.arange(len(wires), dtype=torch.float64))
        outputs.append(entries[address.long()])
    return torch.stack(outputs, 1)


def _weighted(layer: Weighted, wanted: FixedPoint, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    half = 0.5 if wanted.rounding == "half_up" else 0.0
    codes = torch.floor(value * 2.0**-wanted.lsb + half).clamp(wanted.lowest, wanted.highest)
    grid = 2.0 ** (wanted.lsb + layer.grid)
    bias = torch.from_numpy(bias_codes(layer, wanted) * grid)
    weight = torch.from_numpy(layer.weights)
    # The sum of all that is added up for an output, were every sign the same.
    every = weight.abs().sum() if layer.transposed else weight.abs().sum(dim=1).max()
    largest = _samples_max(codes) * 2.0**wanted.lsb * every + bias.abs().max()
    return _sums(layer, codes * 2.0**wanted.lsb, weight, bias), largest < 2.0**53 * grid


def _sums(layer: Weighted, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    at = layer.window
    if at is None:
        return functional.linear(x, weight, bias)
    if at.output_padding is not None:
        rest = (at.stride, at.padding, at.output_padding, at.groups, at.dilation)
        return functional.conv_transpose2d(x, weight.reshape(at.kernel), bias, *rest)
    padding: Any = at.padding
    if at.padding_mode == "circular":
        rows, columns = at.padding
        x, padding = functional.pad(x, (columns, columns, rows, rows), mode="circular"), (0, 0)
    return functional.conv2d(x, weight.reshape(at.kernel), bias, at.stride, padding, at.dilation, at.groups)


def _scaled(norm: Norm, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    axes = (-1, *[1] * (value.ndim - 2))
    multipliers, biases = (torch.tensor(v, dtype=torch.float64).reshape(axes) for v in (norm.multipliers, norm.biases))
    codes = torch.floor(value * 2.0**-norm.lsb)
    largest = _samples_max(codes) * multipliers.abs().max() + biases.abs().max()
    return torch.floor((codes * multipliers + biases) * 2.0**-norm.shift) * 2.0**norm.out, largest < 2.0**53


def _samples_max(value: torch.Tensor) -> torch.Tensor:
    return value.abs().reshape(len(value), -1).amax(dim=1)
