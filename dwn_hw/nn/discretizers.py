"""Activations of few values, learnt or not, and the wrapper that trains layers behind them.

The classes have the names and the meaning of L. Girrbach's notebook "Discrete Latent Representations"
(github.com/LGirrbach/Discrete-Latent-Representation), in which MNIST's digits are classified through them. Elementwise, any
shape. What comes out is exactly the discrete value: the notebook's own sums (``soft + hard − soft``) leave a rounding error.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from dwn_hw.nn._checks import refuse, whole_number
from dwn_hw.nn.ste import through


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

    def scores(self, x: torch.Tensor) -> torch.Tensor:
        """``−exp(alpha)·(x − offsets)²`` (…, num_values), of numbers (…)."""
        return -(self.alpha.exp() * (x.unsqueeze(-1) - self.offsets) ** 2)

    def hard(self, x: torch.Tensor) -> torch.Tensor:
        """The level of each number, without a gradient."""
        with torch.no_grad():
            return self.offsets[self.scores(x).argmax(-1)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The level of each number."""
        if not torch.is_grad_enabled():
            return self.hard(x)
        scores = self.scores(x)
        level = self.offsets[scores.argmax(-1)]
        mean = scores.softmax(-1) @ self.offsets
        return level + through(mean, torch.zeros_like(mean))

    def extra_repr(self) -> str:
        """The arguments, for ``repr``."""
        return f"num_values={self.num_values}"
