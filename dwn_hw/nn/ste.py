"""Straight-through estimators: a step forward, and backward the gradient as if there were none.

Y. Bengio et al., "Estimating or Propagating Gradients Through Stochastic Neurons for Conditional Computation",
arXiv:1305.2982. A step here is ``x > 0``, strictly, as 0.0 or 1.0. What goes back is the gradient itself in :class:`STE`, which
has torch_dwn's name, and by default the gradient clamped to −1…1 in :class:`StraightThroughEstimator`, whose name and hardtanh
are those of H. Askary's article "Intuitive Explanation of Straight-Through Estimators with PyTorch Implementation" (2020). Both
authors call their function ``STEFunction``; here it is one, with the clamp as an argument.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from dwn_hw.nn._checks import boolean


class StraightThrough(torch.autograd.Function):
    """``apply(x, value)``: forward ``value``, backward the gradient to ``x`` unchanged."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Return ``value``, of the shape of ``x``."""
        return value.clone() if value is x else value

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Pass the gradient straight through."""
        return grad_outputs[0], None


def through(x: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """``value``, of the shape of ``x``, with the gradient of the identity to ``x``, and none to ``value``."""
    result: torch.Tensor = StraightThrough.apply(x, value)  # type: ignore[no-untyped-call]
    return result


class STEFunction(torch.autograd.Function):
    """Forward ``x > 0`` as 0.0 or 1.0 in the dtype of ``x``; backward the gradient, as it is or ``clamped`` to −1…1."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, clamped: bool = False) -> torch.Tensor:
        """Binarise ``x``, of any shape; 0 itself gives 0, and so does NaN."""
        ctx.clamped = clamped
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Pass the gradient through."""
        (gradient,) = grad_outputs
        return functional.hardtanh(gradient) if ctx.clamped else gradient, None


class STE(nn.Module):
    """:class:`STEFunction` as a layer; no parameters, any shape."""

    #: Whether gradients are clamped.
    clamped = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Binarise ``x``."""
        bits: torch.Tensor = STEFunction.apply(x, self.clamped)  # type: ignore[no-untyped-call]
        return bits


class StraightThroughEstimator(STE):
    """An :class:`STE` whose gradients are ``clamped`` to −1…1, by hardtanh; ``clamped=False`` passes them on."""

    def __init__(self, clamped: bool = True) -> None:
        super().__init__()
        self.clamped = boolean("StraightThroughEstimator clamped", clamped)

    def extra_repr(self) -> str:
        """The arguments, for ``repr``."""
        return f"clamped={self.clamped}"
