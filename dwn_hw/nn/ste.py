"""The straight-through estimator: a step forward, the identity backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class STEFunction(torch.autograd.Function):
    """Forward ``x > 0`` as 0.0 or 1.0 in the dtype of ``x``; backward the gradient unchanged."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        """Binarise ``x``, of any shape; 0 itself gives 0."""
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> torch.Tensor:
        """Pass the gradient straight through."""
        return grad_outputs[0]


class STE(nn.Module):
    """:class:`STEFunction` as a layer; no parameters, any shape."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Binarise ``x``."""
        bits: torch.Tensor = STEFunction.apply(x)  # type: ignore[no-untyped-call]
        return bits
