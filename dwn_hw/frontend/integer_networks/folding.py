"""Folds what multiplies into layers whose weights are rounded anyway: the port's step, the scaler, and batch norm behind a layer.

What a layer reads are then the port's own codes, and no multiplier is left. Weights are multiplied in float64 before they are
rounded; offsets go into the biases after it, so that what comes out is the model with those rounded weights, multiplied out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dwn_hw import ir
from dwn_hw.frontend import input_port
from dwn_hw.frontend.integer_networks.freeze_network import bias_codes
from dwn_hw.frontend.integer_networks.input_stage import Front
from dwn_hw.frontend.integer_networks.trained_network import (
    Doubles,
    FixedPoint,
    Levels,
    Scaled,
    Table,
    TrainedNetwork,
    TrainedStep,
    Weighted,
)
from dwn_hw.frontend.integer_networks.weight_rounding import round_weights


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
    """What a code of each feature is to the model: ``code · gain + offset``, both (features,)."""

    gain: Doubles
    offset: Doubles


def fold(model: TrainedNetwork, port: input_port.Port | None, bits: str | None) -> tuple[TrainedNetwork, Front | None]:
    """``model`` with rounded weights (:func:`weight_rounding.parse`); and the front of a ``port`` whose codes its first layer
    reads, or None where these have to become the model's own numbers first.
    """
    model = _norms(model)
    line = None if port is None else _line(model, port)
    first = next(at for at, step in enumerate(model.steps) if not isinstance(step, ir.Reshape))
    layer = model.steps[first]
    gains = offsets = None
    if line is not None and isinstance(layer, Weighted) and layer.low is None:
        shapes = [model.shape, *(step.shape for step in model.steps[:first] if isinstance(step, ir.Reshape))]
        gains, offsets = (_by_weight(layer, values, shapes[-1]) for values in (line.gain, line.offset))
    if port is None or line is None or gains is None or offsets is None or (_padded(layer) and offsets.any()):
        return round_weights(model, bits), None
    assert isinstance(layer, Weighted)
    fmt = port.formats[0]
    own = FixedPoint(0, fmt.low, fmt.high)
    folded = replace(_times(layer, gains), own=own, discrete=True)
    rounded = round_weights(_with(model, first, folded), bits)
    layer = rounded.steps[first]
    assert isinstance(layer, Weighted)
    if offsets.any():
        rounded = _moved(rounded, first, ((layer.weights / gains) * offsets).sum(axis=1))
    source = ir.Input(
        model.shape, port.formats, tuple(map(str, port.steps)), tuple(map(str, port.offsets)), port.rounding
    )
    scaled = model.scaler is not None
    what = "its step and the scaler are" if scaled else "its step is"
    plain = bool((line.gain == 1).all() and not line.offset.any())
    reason = port.reason if plain else f"{port.reason}; {what} in the first layer's weights"
    return rounded, Front(source, (), port.origin, reason, scaled, folded=True)


def module_weights(
    model: TrainedNetwork, trained: TrainedNetwork, formats: Sequence[FixedPoint]
) -> dict[str, tuple[Doubles, Doubles]]:
    """The rounded weights and biases of ``model`` as its module would hold them, by the names of layers; ``trained``: before
    folding and rounding.
    """
    found = {}
    for layer, before, wanted in zip(model.layers, trained.layers, formats, strict=True):
        if layer.bits is not None:
            grid = 2.0 ** (wanted.lsb + layer.grid)
            moved = bias_codes(layer, wanted) * grid - layer.bias
            factor = np.ones(1) if layer.factor is None else np.broadcast_to(layer.factor, layer.weights.shape)
            scale = np.ones(1) if layer.scale is None else layer.scale
            with np.errstate(divide="ignore", invalid="ignore"):
                weights = np.where(factor == 0, before.weights, layer.weights / factor)
                found[layer.name] = weights, np.where(scale == 0, 0.0, moved / scale)
    return found


def _with(model: TrainedNetwork, at: int, step: TrainedStep) -> TrainedNetwork:
    return replace(model, steps=(*model.steps[:at], step, *model.steps[at + 1 :]))


def _moved(model: TrainedNetwork, at: int, offset: Doubles) -> TrainedNetwork:
    """``model`` with an offset of each output added behind the layer ``at``; unrounded, where a function of numbers is there."""
    layer, *behind = model.steps[at : at + 2]
    assert isinstance(layer, Weighted)
    if not behind or not isinstance(function := behind[0], Levels | Table):
        return _with(model, at, replace(layer, bias=layer.bias + offset))
    smooth = function.smooth

    def moved(x: Doubles) -> Doubles:
        return smooth(x + offset.reshape(-1, *[1] * (x.ndim - 2)))

    return _with(model, at + 1, replace(function, smooth=moved))


def _times(layer: Weighted, factor: Doubles) -> Weighted:
    return replace(
        layer, weights=layer.weights * factor, factor=factor * (1.0 if layer.factor is None else layer.factor)
    )


def _norms(model: TrainedNetwork) -> TrainedNetwork:
    """Batch norm behind a layer that is not rounded yet goes into its weights and bias."""
    steps: list[TrainedStep] = []
    for step in model.steps:
        before = steps[-1] if steps else None
        if isinstance(step, Scaled) and isinstance(before, Weighted) and before.low is None:
            folded = _times(before, _by_output(before, step.scale))
            scale = step.scale * (1.0 if before.scale is None else before.scale)
            steps[-1] = replace(folded, bias=before.bias * step.scale + step.offset, scale=scale)
        else:
            steps.append(step)
    return replace(model, steps=tuple(steps))


def _by_output(layer: Weighted, values: Doubles) -> Doubles:
    """One number of each output, for each weight."""
    if not layer.transposed:
        return values[:, None]
    assert layer.window is not None
    inputs, outputs, *taps = layer.window.kernel
    groups = layer.window.groups
    rows = values.reshape(groups, outputs, 1) * np.ones(math.prod(taps))
    return np.asarray(np.repeat(rows.reshape(groups, -1), inputs // groups, axis=0))


def _line(model: TrainedNetwork, port: input_port.Port) -> _Line | None:
    step, offset = (np.array([float(v) for v in values]) for values in (port.steps, port.offsets))
    features, scaler = math.prod(model.shape), model.scaler
    if len(port.formats) > 1 or (scaler is not None and scaler.clip is not None):
        return None
    if scaler is not None:
        own, factor = scaler.offset.astype(np.float64), scaler.factor.astype(np.float64)
        standard = scaler.kind == "standard"
        step, offset = (step / factor, (offset - own) / factor) if standard else (step * factor, offset * factor + own)
    return _Line(np.broadcast_to(step, (features,)), np.broadcast_to(offset, (features,)))


def _padded(layer: TrainedStep) -> bool:
    """Whether some outputs of a layer add up fewer products than others, so that an offset is no bias."""
    return isinstance(layer, Weighted) and layer.window is not None and (layer.transposed or any(layer.window.padding))


def _by_weight(layer: Weighted, values: Doubles, shape: ir.Ints) -> Doubles | None:
    """One number of each feature, for each weight that reads it; None where a weight reads features of different ones."""
    if (values == values[0]).all():
        return np.full((1, 1), values[0])
    if layer.window is None:
        return values[None, :]
    channels = values.reshape(shape[0], -1)
    if layer.transposed or (channels != channels[:, :1]).any():
        return None
    outputs, inputs, *taps = layer.window.kernel
    groups = layer.window.groups
    rows = channels[:, 0].reshape(groups, inputs, 1) * np.ones(math.prod(taps))
    return np.asarray(np.repeat(rows.reshape(groups, -1), outputs // groups, axis=0))
