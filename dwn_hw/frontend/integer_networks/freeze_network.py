"""Freezes a trained network of integers, given the format of what each layer that sums reads.

Before a layer that sums stands a :class:`ir.Quantize` to its format, where that drops anything; biases go to the grid of the
sums, so that those of a model with a format of its own are exact. Batch norm becomes an :class:`ir.Affine` of :data:`NORM_BITS`
bits, or goes into the layer before it where its factors are powers of two and its offsets lie on the bias' grid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw.frontend.integer_networks import threshold_search
from dwn_hw.frontend.integer_networks.input_stage import Front, quantize
from dwn_hw.frontend.integer_networks.trained_network import (
    Clamp,
    Doubles,
    FixedPoint,
    Levels,
    Scaled,
    Table,
    TrainedNetwork,
    TrainedStep,
    Weighted,
)
from dwn_hw.ir.network import LEFT_TO_HOST
from dwn_hw.ir.rules import MAX_CODE_BITS

#: The bits of a batch norm's largest multiplier, and the bits that its input keeps below the next layer's grid.
NORM_BITS, NORM_GUARD = 16, 4

#: The grid of a smooth function's values where no layer is behind it: 1/128, of 16 bits.
OUTPUT = FixedPoint(-7, -(1 << 15), (1 << 15) - 1, "half_up")


@dataclass(frozen=True, slots=True)
class Norm:
    """A batch norm in integers: from the grid ``2**lsb`` to ``2**out``, ``(x · multipliers + biases) >> shift``."""

    name: str
    lsb: int
    out: int
    multipliers: ir.Ints
    biases: ir.Ints
    shift: int

    @classmethod
    def of(cls, step: Scaled, out: int) -> Norm:
        """The batch norm ``step`` in the nearest integers, with a largest multiplier of :data:`NORM_BITS` bits."""
        lsb = out - NORM_GUARD
        factors, offsets = step.scale * 2.0 ** (lsb - out), step.offset * 2.0**-out
        shift = max(0, NORM_BITS - math.frexp(float(np.abs(factors).max()) or 1.0)[1])
        multipliers, biases = (np.rint(v * 2.0**shift).astype(np.int64).tolist() for v in (factors, offsets))
        return cls(step.name, lsb, out, tuple(multipliers), tuple(biases), shift)

    def rounding(self, step: Scaled) -> float:
        """The most by which a multiplier differs from the model's, as a share of it."""
        kept = np.array(self.multipliers) * 2.0 ** (self.out - self.lsb - self.shift)
        scale = np.where(step.scale == 0, 1, step.scale)
        return float(np.abs((kept - step.scale) / scale).max())


def tables(model: TrainedNetwork, formats: Sequence[FixedPoint]) -> tuple[FixedPoint, ...]:
    """The grid of each :class:`Table`: the format of the layer that reads its values, or :data:`OUTPUT` where none does: at the
    end of a network, and where the values are compared before that layer.
    """
    found: list[FixedPoint] = []
    grid, left = OUTPUT, list(formats)
    for step in reversed(model.steps):
        if isinstance(step, Weighted):
            grid = left.pop()
        elif isinstance(step, Levels | ir.CompareToMean):
            grid = OUTPUT
        elif isinstance(step, Table):
            found.insert(0, grid)
    return tuple(found)


def rounded(x: Doubles, grid: FixedPoint) -> Doubles:
    """The nearest values of a grid."""
    return np.asarray(np.clip(grid.round(x), grid.lowest, grid.highest) * 2.0**grid.lsb)


def fold(model: TrainedNetwork) -> TrainedNetwork:
    """Fold batch norm that multiplies by powers of two into the layer before it, where that is exact."""
    steps: list[TrainedStep] = []
    for step in model.steps:
        before = steps[-1] if steps else None
        folded = _folded(before, step) if isinstance(step, Scaled) and isinstance(before, Weighted) else None
        steps = [*steps, step] if folded is None else [*steps[:-1], folded]
    return replace(model, steps=tuple(steps))


def _folded(layer: Weighted, norm: Scaled) -> Weighted | None:
    mantissa, exponent = np.frexp(np.abs(norm.scale))
    if (mantissa != 0.5).any() or layer.own is None or layer.low is None or layer.transposed:
        return None
    low = min(0, layer.grid + int(exponent.min()) - 1)
    bias = np.asarray(layer.bias * norm.scale + norm.offset, np.float64)
    folded = replace(layer, weights=layer.weights * norm.scale[:, None], low=low, bias=bias)
    grid = 2.0 ** (layer.own.lsb + low)
    return folded if (np.rint(bias / grid) * grid == bias).all() else None


def plan_norms(model: TrainedNetwork, formats: Sequence[FixedPoint]) -> tuple[Norm, ...]:
    """The batch norms in integers, each on the grid of the layer behind it, or of the one before where there is none."""
    norms, layer = [], 0
    for step in model.steps:
        if isinstance(step, Weighted):
            layer += 1
        elif isinstance(step, Scaled):
            norms.append(Norm.of(step, formats[min(layer, len(formats) - 1)].lsb))
    return tuple(norms)


def bias_codes(layer: Weighted, wanted: FixedPoint) -> npt.NDArray[np.int64]:
    """The bias on the grid of the sums, the nearest."""
    return np.rint(layer.bias * 2.0 ** -(wanted.lsb + layer.grid)).astype(np.int64)


def bias_error(layer: Weighted, wanted: FixedPoint) -> float:
    """The most by which :func:`bias_codes` differ from the model's bias, in the model's own units."""
    kept = bias_codes(layer, wanted) * 2.0 ** (wanted.lsb + layer.grid)
    return float(np.abs(kept - layer.bias).max())


def freeze(model: TrainedNetwork, front: Front, formats: Sequence[FixedPoint]) -> ir.Network:
    """Freeze ``model``, with a format for each layer that sums, behind ``front``. Raises IRError where sums grow too wide."""
    nodes, edge = list(front.nodes), front.port.edge
    for node in nodes:
        edge = node.output(edge)
    wanted, norms, grids = iter(formats), iter(plan_norms(model, formats)), iter(tables(model, formats))
    first = True
    for step in model.steps:
        made: tuple[ir.Node, ...]
        match step:
            case Weighted():
                fixed = next(wanted)
                # The front rounds for the first layer that sums, before which a clamp may need a finer grid for its ends.
                done = step.discrete or (first and edge.formats[0].lsb == fixed.lsb)
                made = (*(() if done else quantize(edge, fixed)), _weighted(step, fixed))
                first = False
            case Scaled():
                made = _norm_nodes(next(norms), edge)
            case Levels():
                made = (threshold_search.node(step, edge),)
            case Table():
                made = (threshold_search.node(_tabled(step, next(grids)), edge),)
            case Clamp():
                made = _clamp(step, edge)
            case _:
                made = (step,)
        for node in made:
            edge = node.output(edge)
            nodes.append(node)
    if model.classifies:
        nodes.append(ir.ArgMax())
    left_out = "; ".join(model.left_out) or "nothing"
    affine = any(isinstance(node, ir.Affine) for node in front.nodes)
    where = "the first layer's weights" if front.folded else "the first multiplier" if affine else "the port's grid"
    scaler = "none" if model.scaler is None else f"{model.scaler.kind}, folded into {where}"
    if model.scaler is not None and not front.scaled:
        scaler = f"{LEFT_TO_HOST} the model's {model.scaler.kind} scaler comes before this port"
    notes = (("source", model.source), ("scaler", scaler), ("input", front.reason), ("left out", left_out))
    return ir.Network(front.port, tuple(nodes), notes=notes)


def _tabled(step: Table, grid: FixedPoint) -> Levels:
    """A smooth function whose values are rounded to a grid. Where it may turn need not be said: between its extremes, what lies
    between two values does so as well.
    """
    return Levels(step.name, step.smooth, lambda x: rounded(x, grid), np.empty(0), grid)


def _clamp(step: Clamp, edge: ir.Edge) -> tuple[ir.Node, ...]:
    """A clamp on the grid of its numbers, or on a finer one, on which its ends lie."""
    given = edge.formats[0].lsb
    finite = [Fraction(end) for end in (step.low, step.high) if not math.isinf(end)]
    lsb = min([given, *(1 - end.denominator.bit_length() for end in finite if end.denominator > 1)])
    least, most = (end * 2.0**-lsb for end in (step.low, step.high))
    low, high = min(fmt.low for fmt in edge.formats), max(fmt.high for fmt in edge.formats)
    ends = [int(min(max(end << given - lsb, least), most)) for end in (low, high)]
    return () if ends == [low, high] and lsb == given else (ir.Quantize(lsb, "floor", *ends),)


def _norm_nodes(norm: Norm, edge: ir.Edge) -> tuple[ir.Node, ...]:
    bound = 1 << (MAX_CODE_BITS - 2)
    before = quantize(edge, FixedPoint(norm.lsb, -bound, bound))
    return (*before, ir.Affine(norm.multipliers, norm.biases, norm.shift, norm.out))


def _weighted(layer: Weighted, wanted: FixedPoint) -> ir.WeightedNode:
    # Through Python's integers: a weight may be 2**62 steps of the grid, which a message says better than an overflow.
    weights = tuple(int(weight) for weight in np.ldexp(layer.weights, -layer.grid).reshape(-1).tolist())
    bias = tuple(bias_codes(layer, wanted).tolist())
    place = layer.window
    if place is None:
        return ir.Dense(weights, bias, layer.grid)
    if place.output_padding is not None:
        rest = (place.stride, place.padding, place.output_padding, place.dilation, place.groups)
        return ir.ConvTranspose2d(place.kernel, weights, bias, layer.grid, *rest)
    more = (place.stride, place.padding, place.padding_mode, place.dilation, place.groups)
    return ir.Conv2d(place.kernel, weights, bias, layer.grid, *more)
