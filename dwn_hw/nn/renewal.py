"""Candidates of a mapping that are chosen seldom give way to inputs that would lower the loss most.

Sparse training with wires that move, after Evci et al., "Rigging the Lottery" (ICML 2020, arXiv:1911.11134): connections of small
weight are dropped, those of steepest gradient grow. Here a slot's weight of an input that is no candidate has the gradient
``(2x − 1)ᵀ g`` that it would have in a mapping with all inputs; some hundred samples say enough of it, once an epoch.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from dwn_hw.nn.lut_layer import LUTLayer
from dwn_hw.nn.mapping import CandidateMapping

#: The part of a slot's candidates that gives way, and how far below the chosen weight a newcomer's begins.
SHARE, BELOW = 0.25, 0.02

#: The slots whose gradients for all inputs are held at a time.
_SLOTS = 2048


def renew(
    model: nn.Sequential,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    y: torch.Tensor,
    allowed: torch.Tensor | None = None,
) -> None:
    """Replace the candidates of least weight in the first layer, a :class:`LUTLayer` that has candidates.

    ``x`` (samples, inputs) bits, ``y`` (samples,) class numbers: the gradient is that of their cross entropy. The optimiser
    forgets what it knew of the weights that give way. ``allowed`` (inputs,): the inputs that may be candidates, if not all.
    """
    layer = model[0]
    assert isinstance(layer, LUTLayer)
    mapping = layer.mapping
    assert isinstance(mapping, CandidateMapping)
    inputs = mapping.input_size if allowed is None else int(allowed.sum())
    count = min(int(SHARE * len(mapping.weights)), inputs - len(mapping.weights))
    if count <= 0:
        return
    read = mapping(x).detach().requires_grad_()
    cross_entropy(model[1:](layer.look_up(read)), y).backward()  # type: ignore[no-untyped-call]
    optimizer.zero_grad()
    assert read.grad is not None
    signs = x.to(read.dtype).mul(2).sub_(1).t().contiguous()
    kept = [values for values in optimizer.state[mapping.weights].values() if values.shape == mapping.weights.shape]
    with torch.no_grad():
        for first in range(0, mapping.output_size, _SLOTS):
            own = slice(first, first + _SLOTS)
            gradient = signs @ read.grad[:, own]
            if allowed is not None:
                gradient[~allowed.to(gradient.device)] = torch.inf
            _renew_slots(mapping, own, gradient, count, kept)


def _renew_slots(
    mapping: CandidateMapping, own: slice, gradient: torch.Tensor, count: int, kept: list[torch.Tensor]
) -> None:
    """Replace ``count`` candidates of some slots, by ``gradient`` (inputs, those slots)."""
    candidates, weights = mapping.candidates[:, own], mapping.weights[:, own]
    others = gradient.scatter(0, candidates.long(), torch.inf)
    newcomers = others.topk(count, dim=0, largest=False).indices.to(candidates.dtype)
    leaving = weights.topk(count, dim=0, largest=False).indices
    begin = (weights.amax(dim=0) - BELOW).expand(count, -1)
    mapping.candidates[:, own] = candidates.scatter(0, leaving, newcomers)
    mapping.weights[:, own] = weights.scatter(0, leaving, begin)
    for values in kept:
        values[:, own] = values[:, own].scatter(0, leaving, 0.0)
