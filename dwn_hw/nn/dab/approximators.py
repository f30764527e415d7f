"""Networks that stand in for hard functions in training: small, smooth, three layers with tanh, as the authors have them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from dwn_hw.nn._checks import whole_number

Shape = int | Sequence[int]


def as_shape(thing: str, shape: Shape) -> tuple[int, ...]:
    """A shape without the batch, from one number or several, or OptionError."""
    return tuple(whole_number(thing, n) for n in ([shape] if isinstance(shape, int) else shape))


def _layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, outputs)
    )


class DenseApproximator(nn.Module):
    """(batch, *inputs) → (batch, *outputs): every output sees every input. ``hidden``: half of the outputs by default."""

    def __init__(self, inputs: Shape, outputs: Shape, hidden: int | None = None) -> None:
        super().__init__()
        name = "DenseApproximator"
        sizes = [as_shape(f"{name} {what}", shape) for what, shape in (("inputs", inputs), ("outputs", outputs))]
        counts = [math.prod(shape) for shape in sizes]
        self.outputs = sizes[1]
        wide = max(1, counts[1] // 2) if hidden is None else whole_number(f"{name} hidden", hidden)
        self.layers = _layers(counts[0], wide, counts[1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The approximation."""
        approximated: torch.Tensor = self.layers(x.flatten(1)).unflatten(1, self.outputs)
        return approximated


class ElementwiseApproximator(nn.Module):
    """One small network for every number, of any shape; or, ``width`` above 1, for every vector along the last axis.

    It is added to the number itself. So training begins near a straight-through estimator, and numbers that grow are followed,
    where tanh alone is flat and what is before the bridge runs away.

    ``centred``: it gets each number less the mean of its sample, for functions that compare with that.
    """

    def __init__(self, hidden: int = 16, width: int = 1, centred: bool = False) -> None:
        super().__init__()
        name = "ElementwiseApproximator"
        self.width, self.centred = whole_number(f"{name} width", width), centred
        self.layers = _layers(self.width, whole_number(f"{name} hidden", hidden), self.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The approximation."""
        if self.centred:
            x = x - x.mean(tuple(range(1, x.ndim)), keepdim=True)
        more: torch.Tensor = self.layers(x) if self.width > 1 else self.layers(x.unsqueeze(-1)).squeeze(-1)
        return x + more
