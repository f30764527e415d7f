"""Makes the thermometer of a network in training cheap: thresholds at round numbers, and no comparison that few LUTs read.

A comparison with a constant takes LUTs for the bits of the code from the top down to the constant's lowest one that is set: one
with half of the range is a wire, one with a multiple of a sixty-fourth of it a LUT of six inputs, one with any number of eight
bits two LUTs. So thresholds first move to the roundest number that is in reach (:func:`move_to_round`): between two samples of
near ranks it makes little difference where a threshold lies.

And what nobody reads is not built. The slots of the first layer choose among all bits, and spread over them. With a weight ``w``
a bit whose comparison takes ``c`` LUTs stays only if at least ``w · c`` slots read it; else it goes, and its slots choose among
what is left (:func:`let_go`). So the comparisons take at most a ``w``-th of a LUT for each slot, and the greater ``w``, the fewer
they are. The weight rises from 0 in the first part of the training, so that features go one after the other, those that are read
least first, and the others learn to do without them.
"""

from __future__ import annotations

import math

import torch

from dwn_hw.nn.binarization import Thermometer
from dwn_hw.nn.mapping import CandidateMapping, LearnableMapping

#: The part of the samples between two thresholds over which one may move at most, and the weight from which on it may.
REACH, FULL_REACH_AT = 0.5, 4.0

#: The inputs of the LUTs that comparisons are counted in, of which one goes to the next LUT of a chain.
_LUT_INPUTS = 6

#: The bits of a code where the data lies on no coarser grid of powers of two.
_CODE_BITS = 16

#: A weight of a mapping at which a candidate is never chosen, and from which no training brings it back.
_GONE = -1e4

#: How often another candidate is drawn where the slot had that one.
_TRIES = 4


def move_to_round(thermometer: Thermometer, x: torch.Tensor, weight: float) -> None:
    """Move each threshold of a fitted ``thermometer`` to the roundest number in reach, of samples ``x`` (samples, features).

    Within reach is what differs from the threshold on at most ``REACH · min(1, weight / FULL_REACH_AT)`` of the samples between
    it and the nearer one of its neighbours, or the end of the data. Of the multiples of the greatest power of two that has one
    there, the nearest is taken. The threshold then lies just below it, since a bit is ``x > threshold``, and a code is compared
    by ``>=``. One that no sample is above stays.
    """
    assert thermometer.thresholds is not None
    part = REACH * min(1.0, weight / FULL_REACH_AT)
    moved = thermometer.thresholds.clone()
    for feature, row in enumerate(moved):
        values, counts = torch.unique(x[:, feature], return_counts=True)  # rising
        passing = counts.flip(0).cumsum(0).flip(0)  # the samples from each value on
        above = [int(counts[values > threshold].sum()) for threshold in row.tolist()]
        marks = {0, *above, len(x)}
        for bit, (threshold, own) in enumerate(zip(row.tolist(), above, strict=True)):
            if not 0 < own < len(x):
                continue
            reach = int(part * min(abs(own - mark) for mark in marks - {own}))
            near = ((passing[1:] - own).abs() <= reach).nonzero().flatten()
            ends = float(values[near[0]]), float(values[near[-1] + 1])
            row[bit] = _just_below(_roundest(*ends, threshold), row)
    thermometer.thresholds = moved


def comparison_luts(thermometer: Thermometer, x: torch.Tensor) -> torch.Tensor:
    """The LUTs of each comparison by itself, (features·bits,), by its number and the range of ``x``: an estimate.

    It does not know which of them will share chains. −1 for a bit that is needed never: it is constant on ``x``, or the same as
    one before it.
    """
    thresholds = thermometer.thresholds
    assert thresholds is not None
    low, high = x.amin(dim=0).double(), x.amax(dim=0).double()
    # Features lie from −2**top up to, and not at, 2**top.
    top = torch.frexp(torch.maximum(high * (1 + 2**-20), -low * (1 - 2**-20))).exponent[:, None, None]
    numbers = torch.nextafter(thresholds, torch.full_like(thresholds, math.inf)).double()
    places = torch.arange(_CODE_BITS + 1)
    exact = torch.remainder(numbers[:, :, None], torch.pow(2.0, (top - places).double())) == 0
    inputs = torch.where(exact, places, _CODE_BITS).amin(dim=2) + int((x < 0).any())
    luts = torch.where(inputs <= 1, 0, 1 + (inputs - 2).clamp(min=0) // (_LUT_INPUTS - 1))
    constant = (thresholds >= high[:, None]) | (thresholds < low[:, None])
    ordered, order = thresholds.sort(dim=1, stable=True)
    twice = torch.zeros_like(constant)
    twice[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    return torch.where(constant | torch.zeros_like(twice).scatter(1, order, twice), -1, luts).flatten()


def let_go(
    mapping: LearnableMapping | CandidateMapping,
    left: torch.Tensor,
    luts: torch.Tensor,
    weight: float,
    generator: torch.Generator,
) -> torch.Tensor:
    """Let inputs go until each is read by at least ``weight`` slots for each of its ``luts`` (as :func:`comparison_luts` says).

    ``left`` (inputs,): those that had not gone before. Returns the same for those that have not now. The inputs that fewest
    slots read for a LUT go first, and these slots choose anew before the next one goes. Candidates that went are replaced by
    others, drawn from what is left.
    """
    weights = mapping.weights.data.cpu()
    candidates = mapping.candidates.long().cpu() if isinstance(mapping, CandidateMapping) else None
    left = left & (luts >= 0)
    chosen = _choose(weights, candidates, left)
    readers = torch.bincount(chosen[chosen >= 0], minlength=len(left)).double()
    while int(left.sum()) > 1:
        worth = torch.where(left & (luts > 0), readers / luts, math.inf)
        least = int(worth.argmin())
        if float(worth[least]) >= weight:
            break
        left[least] = False
        slots = (chosen == least).nonzero().flatten()
        chosen[slots] = again = _choose(weights[:, slots], None if candidates is None else candidates[:, slots], left)
        readers += torch.bincount(again[again >= 0], minlength=len(left))
    if isinstance(mapping, LearnableMapping) or candidates is None:
        weights[~left] = _GONE
    else:
        _redraw(weights, candidates, left, generator)
        mapping.candidates.copy_(candidates)
    mapping.weights.data.copy_(weights)
    return left


def _choose(weights: torch.Tensor, candidates: torch.Tensor | None, left: torch.Tensor) -> torch.Tensor:
    """The input of greatest weight of each slot among those that are left; −1 where none of its candidates is."""
    if candidates is None:
        return weights.masked_fill(~left[:, None], -math.inf).max(dim=0).indices
    best = weights.masked_fill(~left[candidates], -math.inf).max(dim=0)
    chosen = candidates.gather(0, best.indices[None])[0]
    return torch.where(best.values > -math.inf, chosen, -1)


def _redraw(weights: torch.Tensor, candidates: torch.Tensor, left: torch.Tensor, generator: torch.Generator) -> None:
    """Replace candidates that went, in place, by others of those left, of weights up to 1 below the slot's greatest.

    As at the start of a training the weights are spread over 1. Where a slot has all that are left, what went is buried.
    """
    known = left.nonzero().flatten()
    top = weights.masked_fill(~left[candidates], -math.inf).amax(dim=0)
    top = torch.where(top > -math.inf, top, weights.amax(dim=0))
    for own, row in zip(candidates, weights, strict=True):  # one after the other, so that all of a slot differ
        for _ in range(_TRIES):
            drawn = known[torch.randint(len(known), own.shape, generator=generator)]
            below = torch.rand(own.shape, generator=generator)
            new = ~left[own] & (candidates != drawn).all(dim=0)
            own[new], row[new] = drawn[new], (top - below)[new]
        row[~left[own]] = _GONE


def _just_below(number: float, like: torch.Tensor) -> torch.Tensor:
    at = torch.tensor(number, dtype=like.dtype)
    return torch.nextafter(at, torch.tensor(-math.inf, dtype=like.dtype))


def _roundest(low: float, high: float, near: float) -> float:
    """The number above ``low`` and up to ``high`` that is a multiple of the greatest power of two; of several the nearest."""
    if low < 0 <= high:
        return 0.0
    step = 2.0 ** math.ceil(math.log2(max(abs(low), abs(high))))
    while math.floor(high / step) * step <= low:
        step /= 2
    first, last = math.floor(low / step) + 1, math.floor(high / step)
    return min(max(round(near / step), first), last) * step
