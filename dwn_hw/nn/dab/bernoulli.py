"""Random bits with given probabilities: drawn in training, reproducible at inference."""

from __future__ import annotations

import math

import torch
from torch import nn

from dwn_hw.nn._checks import boolean, refuse, whole_number
from dwn_hw.nn.dab.approximators import ElementwiseApproximator
from dwn_hw.nn.dab.bridge import DAB

#: x¹⁶ + x¹⁴ + x¹³ + x¹¹ + 1, as the mask of a Galois register that shifts right: 65,535 states, all but 0, follow each other.
_TAPS = 0xB400


def lfsr_states(seed: int, count: int) -> list[int]:
    """``count`` states (1…65535) of a 16-bit linear feedback shift register: each 16 shifts on, the first 16 after the seed."""
    state, states = seed, []
    for _ in range(count):
        for _ in range(16):
            state = (state >> 1) ^ (_TAPS if state & 1 else 0)
        states.append(state)
    return states


class Bernoulli(DAB):
    """1.0 with the probability ``x``, else 0.0; elementwise, (batch, …).

    In training bits are drawn by torch's generator; numbers below 0 count as 0, those above 1 as 1. In eval mode the layer is a
    function: number i of a sample is compared with state i of a register that starts at ``seed`` (1…65535) with each sample, 1
    where ``65536·x > state`` (:func:`lfsr_states`); over the places of a sample that is near to a draw, over samples it is none.
    ``deterministic``: it is ``x ≥ 0.5`` instead, and no seed is needed. The gradient is the approximator's, by default an
    :class:`ElementwiseApproximator`'s: nothing is reparameterised.
    """

    def __init__(
        self,
        seed: int | None = None,
        deterministic: bool = False,
        approximator: nn.Module | None = None,
        gamma: float | None = None,
    ) -> None:
        super().__init__(ElementwiseApproximator() if approximator is None else approximator, gamma)
        self.seed = None if seed is None else whole_number("Bernoulli seed", seed, 1, 65535)
        self.deterministic = boolean("Bernoulli deterministic", deterministic)

    def hard(self, x: torch.Tensor) -> torch.Tensor:
        """The bits of the register with this seed, or of the nearer of 0 and 1."""
        if self.deterministic:
            return (x >= 0.5).to(x.dtype)
        if self.seed is None:
            remedy = "Give Bernoulli(seed=1), or deterministic=True for x ≥ 0.5."
            raise refuse("Bernoulli in eval mode", "a seed, to give the same bits again", "none", remedy)
        states = lfsr_states(self.seed, math.prod(x.shape[1:]))
        thresholds = torch.tensor(states, dtype=torch.float64, device=x.device).reshape(x.shape[1:])
        return (x.double() * 65536 > thresholds).to(x.dtype)

    def training_value(self, x: torch.Tensor) -> torch.Tensor:
        """Bits that are drawn."""
        return torch.bernoulli(x.clamp(0, 1))

    def extra_repr(self) -> str:
        """The arguments, for ``repr``."""
        return f"seed={self.seed}, deterministic={self.deterministic}, {super().extra_repr()}"
