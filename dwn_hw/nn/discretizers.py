"""Activations of few values, learnt or not, and the wrapper that trains layers behind them.

The classes have the names and the meaning of L. Girrbach's notebook "Discrete Latent Representations"
(github.com/LGirrbach/Discrete-Latent-Representation), in which MNIST's digits are classified through them. Elementwise, any
shape. What comes out is exactly the discrete value: the notebook's own sums (``soft + hard − soft``) leave a rounding error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from dwn_hw.nn._checks import refuse, whole_number
from dwn_hw.nn.ste import through

#: The numbers whose gradients are made at a time: with their scores they stay in a processor's cache.
_BLOCK = 4096


class StraightThroughWrapper(nn.Module):
    """``transform`` of the discretised input, trained as if of the plain one as well.

    Forward ``transform(discretizer(x))``. Backward the gradient of ``transform(x)``, and beside it the one through
    ``discretizer``, where that lets one pass: by it a :class:`MultiDiscretizer` learns its levels, and ``transform`` the inputs
    that it is going to get. So a discretizer with the identity's gradient doubles what reaches ``x``, as in the notebook;
    Adam's step has no scale. Both modules take one tensor, and ``transform`` the same shape of both.
    """

    def __init__(self, transform: nn.Module, discretizer: nn.Module) -> None:
        super().__init__()
        self.transform = transform
        self.discretizer = discretizer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The transform of the discretised ``x``."""
        discrete: torch.Tensor = self.transform(self.discretizer(x))
        if not torch.is_grad_enabled():
            return discrete
        plain = self.transform(x)
        return discrete + through(plain, torch.zeros_like(plain))


class BinaryDiscretizer(nn.Module):
    """Numbers of 0…1, as a sigmoid gives them, as 0.0 or 1.0: ``x > 0.5``, strictly; backward the identity."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Binarise ``x``."""
        return through(x, (x > 0.5).to(x.dtype))


class MultiDiscretizer(nn.Module):
    """Each number as one of ``num_values`` learnt levels, its winner.

    Parameters ``offsets`` and ``alpha`` (num_values,). The winner is the arg-max of ``−exp(alpha)·(x − offsets)²``, the first
    of equals, and the value its offset. Levels of equal ``alpha`` win where they are nearest; of unequal ones, the flat one
    (the least ``alpha``) wins on both sides of a sharp one. Backward the gradient of the mean of the offsets, weighted by the
    softmax of the same scores, and to the winning offset its own.

    ``offsets``: where the levels begin, finite and no two equal; by default they are drawn from a normal distribution.
    ``alpha`` begins at 0.
    """

    def __init__(self, num_values: int, offsets: Sequence[float] | torch.Tensor | None = None) -> None:
        super().__init__()
        self.num_values = whole_number("MultiDiscretizer num_values", num_values, 2)
        start = (
            torch.randn(self.num_values) if offsets is None else torch.as_tensor(offsets).to(torch.get_default_dtype())
        )
        self.offsets = nn.Parameter(start.detach().clone())
        self.alpha = nn.Parameter(torch.zeros(self.num_values))
        self.check()

    def check(self) -> None:
        """Raise OptionError where a level can mean nothing: of offsets that are not finite, or equal, or an alpha that is not."""
        thing = "MultiDiscretizer"
        if tuple(self.offsets.shape) != (self.num_values,):
            got = f"shape {tuple(self.offsets.shape)}"
            raise refuse(f"{thing} offsets", f"num_values ({self.num_values}) of them", got, "Give one for each level.")
        for name, values in (("offsets", self.offsets), ("alpha", self.alpha)):
            if not bool(values.isfinite().all()):
                number = values[~values.isfinite()][0].item()
                raise refuse(f"{thing} {name}", "finite numbers", f"{number}", "Train again, at a lower learning rate.")
        if len(set(self.offsets.tolist())) < self.num_values:
            remedy = "Take fewer num_values, or other offsets: the second of two could win nowhere, or say nothing new."
            raise refuse(f"{thing} offsets", "no two equal", f"{sorted(self.offsets.tolist())}", remedy)

    def hard(self, x: torch.Tensor) -> torch.Tensor:
        """The level of each number, without a gradient."""
        with torch.no_grad():
            return _levels(x, self.offsets, self.alpha)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The level of each number."""
        levels: torch.Tensor = _LevelsFunction.apply(x, self.offsets, self.alpha)  # type: ignore[no-untyped-call]
        return levels

    def extra_repr(self) -> str:
        """The arguments, for ``repr``."""
        return f"num_values={self.num_values}"


def _levels(x: torch.Tensor, offsets: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """The offset of each number's winner. Level by level, so that a layer needs no memory for each of its levels."""
    levels, best = torch.full_like(x, float(offsets[0])), torch.full_like(x, -torch.inf)
    for offset, sharpness in zip(offsets, alpha.exp(), strict=True):
        score = -(sharpness * (x - offset) ** 2)
        better = score > best
        levels, best = torch.where(better, offset, levels), torch.where(better, score, best)
    return levels


class _LevelsFunction(torch.autograd.Function):
    """``apply(x, offsets, alpha)``: the levels, and the gradient that :class:`MultiDiscretizer` states.

    With weights p = softmax(s) of scores s = −a·d², where a = exp(alpha) and d = x − offset, the mean is m = Σ p·offset and
    ∂m/∂s = p·(offset − m); a third of the time of autograd's steps.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, offsets: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        levels = _levels(x, offsets, alpha)
        ctx.save_for_backward(x, offsets, alpha, levels)
        return levels

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x, offsets, alpha, levels = ctx.saved_tensors
        flat = torch.stack([x, levels, grad_outputs[0]]).flatten(1)
        starts = range(0, max(1, x.numel()), _BLOCK)
        parts = [_slopes(flat[:, start : start + _BLOCK], offsets, alpha) for start in starts]
        to_x, to_offsets, to_alpha = zip(*parts, strict=True)
        return torch.cat(to_x).reshape(x.shape), torch.stack(to_offsets).sum(0), torch.stack(to_alpha).sum(0)


def _slopes(
    block: torch.Tensor, offsets: torch.Tensor, alpha: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The gradients of numbers, of the offsets and of alpha; a block (3, n): numbers, their levels, the gradients of these."""
    x, levels, gradient = block
    column = offsets.unsqueeze(1)
    distance = x - column
    pulled = alpha.exp().unsqueeze(1) * distance
    scores = -(pulled * distance)
    weights = scores.softmax(0)
    to_scores = weights * (column - offsets @ weights) * gradient
    to_distance = to_scores * pulled
    won = (levels == column).to(x.dtype)
    to_offsets = weights @ gradient + won @ gradient + 2 * to_distance.sum(1)
    return -2 * to_distance.sum(0), to_offsets, (to_scores * scores).sum(1)
