"""Rounds the weights of layers that were trained in floating point to integers of a few bits, on a grid of a power of two."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dwn_hw.errors import OptionError, Problem
from dwn_hw.frontend.integer_networks.trained_network import Doubles, TrainedNetwork, Weighted

#: The bits of a weight where nothing was said, and the most that may be asked for.
DEFAULT_BITS, MOST_BITS = 8, 24

#: The powers of two by which a grid's end may lie below the greatest weight, which is then clamped to it.
_CLIPPED = 4


def parse(text: str | None, layers: int) -> tuple[int, ...]:
    """Read ``8``, for all of ``layers`` layers, or ``8,4,4``, one for each. Raises OptionError."""
    parts = (str(DEFAULT_BITS) if text is None else text).split(",")
    good = all(part.strip().isdigit() and 1 <= int(part) <= MOST_BITS for part in parts)
    if not good or len(parts) not in (1, layers):
        rule = f"bits of 1 to {MOST_BITS}, for all layers or for each of {layers} whose weights are to be rounded"
        raise OptionError(
            Problem("--weights", rule, repr(text), "Say --weights 8, or one number for each layer: 8,4,6.")
        )
    bits = tuple(int(part) for part in parts)
    return bits * layers if len(bits) == 1 else bits


def round_weights(model: TrainedNetwork, stated: str | None) -> TrainedNetwork:
    """Round weights that lie on no grid yet to the bits ``stated`` (:func:`parse`), each layer to the grid of least error."""
    layers = [layer for layer in model.layers if layer.low is None]
    if not layers:
        if stated is not None:
            remedy = "Leave --weights out: powers of two are kept as they are."
            raise OptionError(Problem("--weights", "layers whose weights are no powers of two", "none", remedy))
        return model
    bits = iter(parse(stated, len(layers)))
    steps = [_rounded(s, next(bits)) if isinstance(s, Weighted) and s.low is None else s for s in model.steps]
    return replace(model, steps=tuple(steps))


def _rounded(layer: Weighted, bits: int) -> Weighted:
    top = int(np.frexp(np.abs(layer.weights).max(initial=0.0))[1])
    choices = [top - clipped - max(bits - 1, 0) for clipped in range(_CLIPPED)]
    low = min(choices, key=lambda low: float(((on_grid(layer.weights, low, bits) - layer.weights) ** 2).sum()))
    return replace(layer, weights=on_grid(layer.weights, low, bits), low=low, bits=bits)


def on_grid(weights: Doubles, low: int, bits: int) -> Doubles:
    """The weights rounded to multiples of ``2**low``, the nearest, of at most ``2**(bits - 1) - 1``; of one bit, their signs."""
    if bits == 1:
        return np.where(weights < 0, -1.0, 1.0) * 2.0**low
    most = (1 << (bits - 1)) - 1
    return np.asarray(np.clip(np.rint(weights * 2.0**-low), -most, most) * 2.0**low)


def error(before: Doubles, after: Doubles) -> float:
    """The root of the mean squared change of a layer's weights, as a share of their root mean square."""
    return float(np.sqrt(((before - after) ** 2).mean() / max((before**2).mean(), 1e-300)))
