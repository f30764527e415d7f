"""Functions with a straight-through gradient, as DeepShift trains with: rounded forward, the identity backward.

M. Elhoushi et al., "DeepShift: Towards Multiplication-Less Neural Networks", CVPR Workshops 2021 (arXiv:1905.13298); the
functions have the names and the arithmetic of the authors' code. Tensors of any shape.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from dwn_hw.nn._checks import refuse
from dwn_hw.nn.ste import through

#: The ways to round an exponent: to the nearest integer, halves to the even one; or up with the probability of its fraction.
ROUNDINGS = ("deterministic", "stochastic")


class UnsymmetricGradMulFunction(torch.autograd.Function):
    """``apply(a, b)``: forward ``a·b``; backward ``g·b`` to ``a``, and ``g`` alone to ``b``."""

    @staticmethod
    def forward(ctx: Any, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """The product."""
        ctx.save_for_backward(b)
        return a * b

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The gradients of both. A sign's does not shrink with the power of two beside it."""
        (b,) = ctx.saved_tensors
        return grad_outputs[0] * b, grad_outputs[0]


def rounded(x: torch.Tensor, rounding: str = "deterministic") -> torch.Tensor:
    """Round ``x`` to integers by one of :data:`ROUNDINGS`; no gradient of its own."""
    if rounding not in ROUNDINGS:
        rule = f"one of {', '.join(ROUNDINGS)}"
        raise refuse("rounding", rule, repr(rounding), f"Give {rule}.")
    if rounding == "stochastic":
        floor = x.floor()
        return floor + torch.bernoulli((x - floor).nan_to_num(0.0))  # the exponent of 0 is -inf, and stays it
    return x.round()


def round(x: torch.Tensor, rounding: str = "deterministic") -> torch.Tensor:
    """Round as :func:`rounded` does, with the gradient of the identity."""
    return through(x, rounded(x, rounding))


def sign(x: torch.Tensor) -> torch.Tensor:
    """The sign −1, 0 or 1, with the gradient of the identity."""
    return through(x, x.sign())


def clamp(x: torch.Tensor, least: float, most: float) -> torch.Tensor:
    """Clamp to ``least``…``most``, with the gradient of the identity."""
    return through(x, x.clamp(least, most))


def clampabs(x: torch.Tensor, least: float, most: float) -> torch.Tensor:
    """Clamp the magnitude to ``least``…``most``; 0 stays 0. The gradient is that of the identity."""
    return through(x, x.sign() * x.abs().clamp(least, most))


def power_of_2(x: torch.Tensor, rounding: str = "deterministic") -> tuple[torch.Tensor, torch.Tensor]:
    """The (exponents, signs) of the powers of two that ``x`` is rounded to: ``log2|x|`` rounded; −∞ and sign 0 for 0.

    They are worked out in the dtype of ``x``, by the natural logarithm: near the middle between two powers that decides, and
    upstream does so.
    """
    return rounded(x.abs().log() / math.log(2), rounding), x.sign()


def round_power_of_2(x: torch.Tensor, rounding: str = "deterministic") -> torch.Tensor:
    """Round to ``±2**round(log2|x|)``, or 0 for 0, with the gradient of the identity."""
    exponents, signs = power_of_2(x.detach(), rounding)
    return through(x, 2.0**exponents * signs)


def to_fixed_point(x: torch.Tensor, integer_bits: int = 16, fraction_bits: int = 16) -> torch.Tensor:
    """Floor ``x`` to the grid ``2**-fraction_bits``, then clamp it to ``-2**(integer_bits-1)``…``2**(integer_bits-1)-1``.

    The sign is one of ``integer_bits``. With one integer bit the result is ``sign(x) - 1``, as in DeepShift's code. No gradient
    of its own.
    """
    if integer_bits == 1:
        return x.sign() - 1
    bound = 2.0 ** (integer_bits - 1)
    return (torch.floor(x * 2.0**fraction_bits) * 2.0**-fraction_bits).clamp(-bound, bound - 1)


def round_fixed_point(x: torch.Tensor, integer_bits: int = 16, fraction_bits: int = 16) -> torch.Tensor:
    """Round as :func:`to_fixed_point` does, with the gradient of the identity."""
    return through(x, to_fixed_point(x.detach(), integer_bits, fraction_bits))


def unsym_grad_mul(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The product ``a·b``, whose gradient to ``b`` leaves ``a`` out (:class:`UnsymmetricGradMulFunction`)."""
    product: torch.Tensor = UnsymmetricGradMulFunction.apply(a, b)  # type: ignore[no-untyped-call]
    return product
