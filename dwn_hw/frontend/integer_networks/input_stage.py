"""Chooses what stands before the first layer that sums: the port, and the nodes from its codes to what it reads, exactly.

A model that takes ``(x/255 − mean)/std`` and floors it to a grid is, as a function of the byte, a digital line: for a
multiplier, a bias and a shift found here, ``(code · m + b) >> s`` equals the model's own arithmetic in float32 for *every* code.
On a grid so fine that float32's errors show, no line may do that; then it is the same arithmetic in float64 that the line equals
for every code, and at how many float32 gives a neighbour is counted. Where neither exists, or the port has too many codes to
try, the port carries the layer's activations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw.frontend import input_port
from dwn_hw.frontend.integer_networks.trained_network import Doubles, FixedPoint, TrainedNetwork
from dwn_hw.frontend.trained_dwn import Scaler
from dwn_hw.ir.codes import are_codes, check_features, decode, encode
from dwn_hw.ir.edges import Ints
from dwn_hw.ir.rules import MAX_CODE_BITS
from dwn_hw.ir.sample_files import Samples

#: The most bits of a port that is tried code by code.
_MOST_BITS = 16

#: The greatest shift tried, and how many multipliers at each, those nearest to the slope.
_MOST_SHIFT, _MULTIPLIERS = 40, 64


@dataclass(frozen=True, slots=True)
class Front:
    """The port, the nodes between it and the first layer's activations, and why.

    ``scaled``: whether a normalisation is in them; ``kind``: in which floating point the model's own arithmetic on the way is
    theirs, for each of ``codes`` codes and channels; in float32 ``moved`` of these round to a neighbour. ``folded``: whether the
    first layer reads the port's codes, its weights holding what these are to the model.
    """

    port: ir.Input
    nodes: tuple[ir.Node, ...]
    origin: str
    reason: str
    scaled: bool
    kind: type[np.floating[Any]] = np.float64
    codes: int = 0
    moved: int = 0
    folded: bool = False

    def values(self, model: TrainedNetwork, codes: npt.NDArray[Any]) -> Doubles:
        """The values (samples, *shape) that the first step takes for ``codes`` of the port."""
        return codes.astype(np.float64) if self.folded else self.own(model, codes)

    def own(self, model: TrainedNetwork, codes: npt.NDArray[Any]) -> Doubles:
        """The values (samples, *shape) that the model takes for ``codes`` of the port, normalised as the front is equal to."""
        real = decode(self.port, codes.reshape(len(codes), -1), np.dtype(self.kind))
        if self.scaled and model.scaler is not None:
            real = _cast(model.scaler, self.kind).apply(real)
        return np.asarray(real, np.float64).reshape(codes.shape)


def port(model: TrainedNetwork, stated: str | None, x: npt.NDArray[Any] | None) -> input_port.Port | None:
    """The port: as ``stated`` (``u8/255``); else the grid that ``x`` (samples, features) in the user's units lies on; else None,
    for a port that carries the first layer's activations.
    """
    found = input_port.choose(np.zeros((math.prod(model.shape), 1)), stated, x)
    return None if found.origin == "default" else found


def choose(model: TrainedNetwork, first: FixedPoint, wanted: input_port.Port | None) -> Front:
    """The front that gives ``first``, the format of the first layer's activations, behind the port ``wanted`` if it can be."""
    if wanted is not None and (made := _by_step(model, wanted, first)):
        return made
    own = model.scaler is not None and _is_dyadic(model.scaler) and len(model.shape) == 1
    if own and model.scaler is not None and (wanted is None or wanted.origin == "data"):
        return _scaled(model, model.scaler, first)
    made = None if wanted is None else _by_line(model, wanted, first)
    return made or _own(model, first, wanted)


def _by_step(model: TrainedNetwork, port: input_port.Port, first: FixedPoint) -> Front | None:
    """The front of a port on a power-of-two grid, which needs no multiplier, but rounding at most; None for another port.

    Also behind a scaler that divides all features by one power of two, which moves the point alone.
    """
    step, scaler = port.steps[0], model.scaler
    exponent = step.numerator.bit_length() - step.denominator.bit_length()
    if step != Fraction(2) ** exponent or port.offsets != (Fraction(0),):
        return None
    if scaler is not None:
        if not _is_dyadic(scaler) or scaler.offset.any() or len(np.unique(scaler.factor)) > 1:
            return None
        exponent -= math.frexp(float(scaler.factor.flat[0]))[1] - 1
    fmt = port.formats[0]
    # Rounding twice is rounding once where the host leaves to the hardware what that rounds.
    rounding = first.rounding if exponent == first.lsb else "floor" if exponent < first.lsb else ir.NEAREST
    source = ir.Input(model.shape, (ir.Format(fmt.bits, fmt.signed, exponent),), (str(step),), rounding=rounding)
    return Front(source, quantize(source.edge, first), port.origin, port.reason, scaled=scaler is not None)


def _is_dyadic(scaler: Scaler) -> bool:
    """Whether a scaler subtracts and divides by powers of two, so that a port's steps and offsets can do the same exactly."""
    return scaler.kind == "standard" and scaler.clip is None and bool((np.frexp(scaler.factor)[0] == 0.5).all())


def _scaled(model: TrainedNetwork, scaler: Scaler, first: FixedPoint) -> Front:
    """The front whose port carries the first layer's activations, by steps and offsets that are the scaler: each feature its own,
    so that integers are numbers there, and no codes.
    """
    features = math.prod(model.shape)
    steps, offsets = (np.broadcast_to(v, (features,)).tolist() for v in (scaler.factor, scaler.offset))
    fmt, lsb = first.format, Fraction(2) ** first.lsb
    source = ir.Input(
        model.shape,
        (fmt,),
        tuple(str(Fraction(step) * lsb) for step in steps),
        tuple(str(Fraction(offset)) for offset in offsets),
        rounding=first.rounding,
    )
    reason = f"the port carries the first layer's activations, {fmt!r}; each feature's step and offset are the model's scaler"
    return Front(source, quantize(source.edge, first), "scaler", reason, scaled=True)


def _by_line(model: TrainedNetwork, port: input_port.Port, first: FixedPoint) -> Front | None:
    """The front with an :class:`ir.Affine` that equals the model's own normalisation and rounding for each code of the port."""
    fmt = port.formats[0]
    if fmt.bits > _MOST_BITS or not _by_channel(model):
        return None
    codes = np.arange(fmt.low, fmt.high + 1)
    single, double = (_channels(model, port, first, codes, kind) for kind in (np.float32, np.float64))
    kind: type[np.floating[Any]] = np.float32
    found = find_lines(codes, single)
    if found is None:
        kind, found = np.float64, find_lines(codes, double)
    if found is None:
        return None
    multipliers, biases, shift = found
    source = ir.Input(model.shape, port.formats, tuple(map(str, port.steps)), tuple(map(str, port.offsets)))
    affine = ir.Affine(multipliers, biases, shift, first.lsb)
    nodes = (affine, *quantize(affine.output(source.edge), first))
    moved = 0 if kind is np.float32 else sum(int((a != b).sum()) for a, b in zip(single, double, strict=True))
    count = len(codes) * len(single)
    return Front(source, nodes, port.origin, port.reason, model.scaler is not None, kind, count, moved)


def _by_channel(model: TrainedNetwork) -> bool:
    """Whether a scaler does the same to all numbers of a channel, as a multiplier of the hardware does."""
    features, channels = math.prod(model.shape), model.shape[0]
    parts = () if model.scaler is None else (model.scaler.offset, model.scaler.factor)
    rows = (np.broadcast_to(part, (features,)).reshape(channels, -1) for part in parts)
    return all(bool((row == row[:, :1]).all()) for row in rows)


def _channels(
    model: TrainedNetwork, port: input_port.Port, first: FixedPoint, codes: npt.NDArray[np.int64], kind: type[Any]
) -> list[npt.NDArray[np.int64]]:
    """The values that the port's codes become, before they are clamped: once, or for each channel where channels differ."""
    source = ir.Input((1,), port.formats, tuple(map(str, port.steps)), tuple(map(str, port.offsets)))
    real = decode(source, codes[:, None], np.dtype(kind))
    scaler = model.scaler
    if scaler is None:
        return [first.round(real[:, 0].astype(np.float64)).astype(np.int64)]
    features, channels = math.prod(model.shape), model.shape[0]
    offsets, factors = (
        np.broadcast_to(v, (features,))[:: features // channels] for v in (scaler.offset, scaler.factor)
    )
    pairs = list(zip(offsets.tolist(), factors.tolist(), strict=True))
    pairs = pairs[:1] if len(set(pairs)) == 1 else pairs
    each = [_cast(Scaler(scaler.kind, np.array([o]), np.array([f]), scaler.clip), kind) for o, f in pairs]
    return [first.round(own.apply(real)[:, 0].astype(np.float64)).astype(np.int64) for own in each]


def _cast(scaler: Scaler, kind: type[Any]) -> Scaler:
    """The scaler with its numbers in another precision, in which its arithmetic is then done."""
    return replace(scaler, offset=scaler.offset.astype(kind), factor=scaler.factor.astype(kind))


def real_samples(model: TrainedNetwork, stated: str | None, samples: Samples) -> Doubles:
    """The samples' ``x`` as the model takes them, (samples, *shape), normalised in its own float32. Raises DataError."""
    assert samples.x is not None
    flat = check_features(ir.Input((math.prod(model.shape),), (ir.BIT,)), samples.x)
    if stated is not None:
        port = input_port.parse(stated).input(flat.shape[1])
        if are_codes(port, flat):
            flat = decode(port, flat, np.dtype(np.float32))
    real = flat.astype(np.float32) if model.scaler is None else model.scaler.apply(flat)
    return np.asarray(real, np.float64).reshape(len(flat), *model.shape)


def first_values(model: TrainedNetwork, front: Front | None, stated: str | None, samples: Samples) -> Doubles:
    """What the first step takes for ``samples``: their codes, where ``front`` gives it these; else :func:`real_samples`."""
    if front is None or not front.folded:
        return real_samples(model, stated, samples)
    assert samples.x is not None
    port = replace(front.port, shape=(math.prod(model.shape),))
    flat = check_features(port, samples.x)
    codes = flat if are_codes(port, flat) else encode(port, flat).codes
    return np.asarray(codes, np.float64).reshape(len(flat), *model.shape)


def find_lines(codes: npt.NDArray[np.int64], targets: list[npt.NDArray[np.int64]]) -> tuple[Ints, Ints, int] | None:
    """Multipliers and biases, one of each for every target, and the least shift they share, such that
    ``(codes · m + b) >> shift`` equals each target at every code; or None. ``codes`` rise by 1.
    """
    for shift in range(_MOST_SHIFT + 1):
        lines = [_line(codes, target, shift) for target in targets]
        good = [line for line in lines if line is not None]
        if len(good) == len(lines):
            return tuple(m for m, _ in good), tuple(b for _, b in good), shift
    return None


def _line(codes: npt.NDArray[np.int64], target: npt.NDArray[np.int64], shift: int) -> tuple[int, int] | None:
    """A multiplier and a bias for one shift: ``target · 2**shift <= codes · m + b < (target + 1) · 2**shift``."""
    run, rise = int(codes[-1] - codes[0]), int(target[-1] - target[0])
    # From the first code to the last a line rises by less than 1 more or less than the rounded values do.
    least, most = -((1 - rise << shift) // run), (rise + 1 << shift) // run
    middle = round((rise << shift) / run)
    tried = range(max(least, middle - _MULTIPLIERS // 2), min(most, middle + _MULTIPLIERS // 2) + 1)
    bits = max(abs(int(v)) for v in (*codes[[0, -1]], *target[[0, -1]])).bit_length()
    if not tried or bits + max(shift, abs(tried[0]).bit_length(), abs(tried[-1]).bit_length()) + 2 > MAX_CODE_BITS:
        return None
    multipliers = np.array(tried, np.int64)[:, None]
    floor = (target << shift) - codes * multipliers
    low, high = floor.max(axis=1), floor.min(axis=1) + (1 << shift) - 1
    good = np.flatnonzero(low <= high)
    if not len(good):
        return None
    best = good[np.argmax((high - low)[good])]
    return int(multipliers[best, 0]), int(low[best] + high[best]) // 2


def quantize(edge: ir.Edge, wanted: FixedPoint) -> tuple[ir.Node, ...]:
    """The node that rounds ``edge`` to ``wanted``, within what can come; none where nothing would change."""
    low, high = min(f.low for f in edge.formats), max(f.high for f in edge.formats)
    dropped = wanted.lsb - edge.formats[0].lsb
    if dropped == 0 and wanted.lowest <= low and high <= wanted.highest:
        return ()
    half = 1 << (dropped - 1) if dropped > 0 and wanted.rounding == "half_up" else 0
    least, most = ((end + half) >> dropped if dropped > 0 else end << -dropped for end in (low, high))
    ends = (min(max(end, wanted.lowest), wanted.highest) for end in (least, most))
    return (ir.Quantize(wanted.lsb, wanted.rounding, *ends),)


def _own(model: TrainedNetwork, first: FixedPoint, wanted: input_port.Port | None) -> Front:
    """The front whose port carries the first layer's activations."""
    fmt = first.format
    source = ir.Input(model.shape, (fmt,), (str(Fraction(2) ** first.lsb),), rounding=first.rounding)
    why = "no format was stated, and no data lies on a grid" if wanted is None else f"no exact line: {wanted.reason}"
    reason = f"the port carries the first layer's activations, {fmt!r} ({why})"
    return Front(source, quantize(source.edge, first), "activations", reason, scaled=False)
