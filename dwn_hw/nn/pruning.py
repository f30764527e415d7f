"""Takes LUTs away that the vote does without, and says which.

A LUT that votes is replaced by half a vote for each sample: since every class loses as many LUTs, half a vote is the same for all
and may be left out. That changes a class's score by ±1/2 of what a vote counts, and the loss by what follows exactly from the
scores; the LUT of each class goes for which the loss rises least.
"""

from __future__ import annotations

import torch
from torch import nn

from dwn_hw.nn.lut_layer import LUTLayer

#: The samples by which LUTs are compared.
SAMPLES = 8192


def kept(votes: torch.Tensor, y: torch.Tensor, classes: int, tau: float, width: int) -> torch.Tensor:
    """The indices of the voters that stay, ``width`` of them, rising, as many of each class.

    ``votes`` (samples, voters) of 0 and 1, a class's voters side by side; ``y`` (samples,) class numbers; a vote counts 1 / tau.
    """
    own = (votes - 0.5).view(len(votes), classes, -1) / tau  # what each adds, beside half a vote
    scores = own.sum(dim=2)
    left = torch.ones(own.shape[1:], dtype=torch.bool)
    target = torch.nn.functional.one_hot(y, classes)
    for _ in range((votes.shape[1] - width) // classes):
        shares = torch.softmax(scores, dim=1)
        # Of a sample: log(1 + p·(e^−v − 1)), plus v where the class is the right one.
        rise = torch.log1p(shares[:, :, None] * torch.expm1(-own)) + target[:, :, None] * own
        least = rise.sum(dim=0).masked_fill(~left, float("inf")).argmin(dim=1)
        left[torch.arange(classes), least] = False
        scores = scores - own[:, torch.arange(classes), least]
    return left.flatten().nonzero().flatten()


def keep(model: nn.Sequential, optimizer: torch.optim.Optimizer, kept: torch.Tensor) -> None:
    """Keep the LUTs ``kept`` (indices, rising) of the last layer of ``model``, in place, and what ``optimizer`` knows of them."""
    layer = [module for module in model if isinstance(module, LUTLayer)][-1]
    slots = (kept[:, None] * layer.n + torch.arange(layer.n)).flatten()

    def part(name: str, values: torch.Tensor) -> torch.Tensor:
        chosen = slots if name.startswith("mapping.") else kept
        chosen = chosen.to(values.device)
        if name.endswith("dummy_mapping"):
            return values[: len(kept)]
        return values[:, chosen] if name.startswith("mapping.") else values[chosen]

    for name, values in [*layer.named_parameters(), *layer.named_buffers()]:
        for key, known in optimizer.state.get(values, {}).items():
            if known.shape == values.shape:
                optimizer.state[values][key] = part(name, known).contiguous()
        values.grad = None
        values.data = part(name, values.data).contiguous()
    layer.output_size = len(kept)
    if not isinstance(layer.mapping, nn.Parameter):
        layer.mapping.output_size = len(slots)
