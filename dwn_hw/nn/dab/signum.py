"""Functions that compare each number with a threshold: one that is given, or the mean of the sample."""

from __future__ import annotations

import torch
from torch import nn

from dwn_hw.nn._checks import real_number, refuse
from dwn_hw.nn.dab.approximators import ElementwiseApproximator
from dwn_hw.nn.dab.bridge import DAB


class SignumWithMargin(DAB):
    """−1 below ``−eps``, 1 above ``eps``, and 0 within, ``±eps`` included; elementwise, any shape.

    The approximator is an :class:`ElementwiseApproximator` by default; the authors' own for a layer of 256 is
    ``DenseApproximator(256, 256)``.
    """

    def __init__(self, eps: float = 0.5, approximator: nn.Module | None = None, gamma: float | None = None) -> None:
        super().__init__(ElementwiseApproximator() if approximator is None else approximator, gamma)
        self.eps = real_number("SignumWithMargin eps", eps)
        if self.eps < 0:
            rule = "at least 0: the margin is −eps to eps"
            raise refuse("SignumWithMargin eps", rule, f"{self.eps:g}", "Give 0 for a plain sign.")

    def hard(self, x: torch.Tensor) -> torch.Tensor:
        """The sign of each number, 0 within the margin."""
        return (x > self.eps).to(x.dtype) - (x < -self.eps).to(x.dtype)

    def extra_repr(self) -> str:
        """The arguments, for ``repr``."""
        return f"eps={self.eps:g}, {super().extra_repr()}"


class BinaryByMean(DAB):
    """1.0 where a number is at least the mean of its sample, else 0.0: (batch, …) → the same shape.

    The comparison is ``n·z ≥ Σz`` of the sample's ``n`` numbers, in float64: exact, a mean that is met included, for numbers on a
    grid, as those of hardware are. A rounded mean of ten times 0.1 lies above each of them. The approximator is by default an
    :class:`ElementwiseApproximator` of the numbers less their mean.
    """

    def __init__(self, approximator: nn.Module | None = None, gamma: float | None = None) -> None:
        super().__init__(ElementwiseApproximator(centred=True) if approximator is None else approximator, gamma)

    def hard(self, x: torch.Tensor) -> torch.Tensor:
        """Whether each number is at least the mean."""
        z = x.flatten(1).double()
        return (z * z.shape[1] >= z.sum(1, keepdim=True)).to(x.dtype).reshape(x.shape)
