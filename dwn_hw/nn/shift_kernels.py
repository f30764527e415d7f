"""The rounded weights of shift layers by compiled kernels (``kernels/train_shifts.py``): one pass, the same numbers to the bit.

In torch alone each rounding, sign, power and product is a tensor of the weights' size, forward and backward, which together take
several times as long as the matrix product. ``DWN_HW_KERNELS=torch`` does so.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from dwn_hw import _assets
from dwn_hw.nn import kernels, shift_ste
from dwn_hw.nn.ste import through

#: The weights from which the kernels are called, and the least exponent that they write.
_WORTH, _LEAST = 1 << 14, -126


def takes(shift_range: tuple[int, int] | None, rounding: str, *weights: torch.Tensor) -> bool:
    """Whether the kernels take such weights: rounded to the nearest, within a range, float32 on a CPU, and many."""
    plain = rounding == "deterministic" and shift_range is not None and shift_range[0] >= _LEAST
    return plain and weights[0].numel() >= _WORTH and all(kernels.is_ours(tensor) for tensor in weights)


class _FromShifts(torch.autograd.Function):
    """``apply(shift, sign)``: ``2^round(shift) · sign(round(sign))``, with the gradients of DeepShift's code."""

    @staticmethod
    def forward(ctx: Any, shift: torch.Tensor, sign: torch.Tensor) -> torch.Tensor:
        """The weights."""
        out = torch.empty_like(shift)
        arrays = (_flat(shift), _flat(sign))
        bits = _flat(out).view(np.int32)
        plain = kernels.each(out.numel(), 1, lambda first, last: _kernel().from_shifts(*arrays, first, last, bits))
        if not all(plain):  # a NaN stays one
            out = 2.0 ** shift.round() * sign.round().sign()
        ctx.save_for_backward(out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor]:
        """The gradients of both; a sign's is the weight's own."""
        (weights,) = ctx.saved_tensors
        grad = grad_outputs[0].contiguous()
        if not ctx.needs_input_grad[0]:
            return None, grad
        out = torch.empty_like(grad)
        arrays, result = (_flat(grad), _flat(weights), np.float32(math.log(2.0))), _flat(out)
        kernels.each(out.numel(), 1, lambda first, last: _kernel().shift_gradients(*arrays, first, last, result))
        return out, grad


def from_shifts(shift: torch.Tensor, sign: torch.Tensor) -> torch.Tensor:
    """The weights of exponents and signs, both of any shape; gradients as :class:`dwn_hw.nn.shift_layers.PsWeights` has them."""
    weights: torch.Tensor = _FromShifts.apply(shift, sign)  # type: ignore[no-untyped-call]
    return weights


def from_weights(weight: torch.Tensor, least: float, most: float) -> torch.Tensor | None:
    """Clamp magnitudes in place, and give the powers of two of ``weight``, straight through; None if there is a NaN."""
    out, count = torch.empty_like(weight), weight.numel()
    source, bits, unsure = _flat(weight).view(np.int32), _flat(out).view(np.int32), np.empty(count, np.int64)
    ends = (np.float32(least), np.float32(most))
    kernel, flat = _kernel().from_weights, _flat(weight)
    parts = kernels.each(count, 1, lambda first, last: (first, kernel(flat, source, *ends, first, last, bits, unsure)))
    if any(found < 0 for _, found in parts):
        return None
    places = torch.from_numpy(np.concatenate([unsure[first : first + found] for first, found in parts]))
    if len(places):
        near = weight.detach().flatten()[places]
        out.view(-1)[places] = shift_ste.round_power_of_2(near)
    return through(weight, out)


def _kernel() -> Any:
    return _assets.kernel("train_shifts.py")


def _flat(tensor: torch.Tensor) -> Any:
    return tensor.detach().view(-1).numpy()
