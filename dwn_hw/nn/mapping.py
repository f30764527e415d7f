"""Mappings, which say which input bit goes to which slot of which LUT: drawn once, or learned.

A mapping is int32 of shape (luts, n): ``mapping[j][l]`` is the index of the input bit that slot ``l`` of LUT
``j`` reads, and slot 0 is the address LSB.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from dwn_hw.nn._checks import real_number, rows_of_bits, whole_number


def layer_mapping(input_size: int, tuple_lenght: int, output_size: int, random: bool = True) -> torch.Tensor:
    """A mapping (output_size, tuple_lenght) that uses every input equally often, to within one.

    Rounds of all inputs follow each other, each freshly shuffled if ``random``, else in order; the last is
    cut off. Shuffles come from torch's global generator, with the draws that ``torch_dwn`` would make, so
    that a seed means the same mapping here and there. (``tuple_lenght`` is spelled as upstream spells it.)
    """
    inputs = whole_number("layer_mapping input_size", input_size)
    slots = whole_number("layer_mapping tuple_lenght", tuple_lenght)
    luts = whole_number("layer_mapping output_size", output_size)
    rounds = slots * luts // inputs + 1
    order = torch.cat([torch.randperm(inputs) if random else torch.arange(inputs) for _ in range(rounds)])
    return order[: slots * luts].reshape(luts, slots).to(torch.int32)


class LearnableMappingFunction(torch.autograd.Function):
    """Each output reads the input of largest weight: the first of them, if several are largest.

    ``x`` (samples, inputs), ``weights`` (inputs, outputs), ``tau`` a float → (samples, outputs).
    Backward: ``weights`` ← ``(2x − 1)ᵀ g``, as if each input were ±1 and the outputs were sums weighted
    by ``weights``; ``x`` ← ``g softmax(weights / tau, dim=0)ᵀ``, which is the choice itself for small ``tau``.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weights: torch.Tensor, tau: float) -> torch.Tensor:
        """Select from ``x`` the input of largest weight for each output."""
        ctx.save_for_backward(x, weights)
        ctx.tau = tau
        # max documents the first maximum as argmax does, and is a third faster down a column on a CPU.
        chosen = weights.max(dim=0).indices
        return x.gather(1, chosen.expand(len(x), -1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None]:
        """The gradients of ``x`` and ``weights``, each only where it is asked for."""
        x, weights = ctx.saved_tensors
        grad = grad_outputs[0]
        x_grad = weights_grad = None
        if ctx.needs_input_grad[0]:
            x_grad = (grad.to(weights.dtype) @ torch.softmax(weights / ctx.tau, dim=0).T).to(x.dtype)
        if ctx.needs_input_grad[1]:
            weights_grad = (2 * x.to(weights.dtype) - 1).T @ grad.to(weights.dtype)
        return x_grad, weights_grad, None


class LearnableMapping(nn.Module):
    """(samples, input_size) → (samples, output_size): every output one of the inputs, chosen by training.

    ``weights`` (input_size, output_size), float32, starts uniform in 0..1; output ``j`` is the input
    ``weights[:, j].argmax()``. In a LUT layer ``output_size`` is luts·n, and output ``j·n + l`` feeds slot ``l``
    of LUT ``j``. The gradient is that of :class:`LearnableMappingFunction`.
    """

    def __init__(self, input_size: int, output_size: int, tau: float = 0.001) -> None:
        super().__init__()
        self.input_size = whole_number("LearnableMapping input_size", input_size)
        self.output_size = whole_number("LearnableMapping output_size", output_size)
        self.tau = real_number("LearnableMapping tau", tau, positive=True)
        self.weights = nn.Parameter(torch.rand(self.input_size, self.output_size, dtype=torch.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Select from ``x``; bool and integer bits become numbers of the dtype of ``weights``."""
        rows_of_bits("LearnableMapping", x, self.input_size)
        x = x if x.is_floating_point() else x.to(self.weights.dtype)
        chosen: torch.Tensor = LearnableMappingFunction.apply(x, self.weights, self.tau)  # type: ignore[no-untyped-call]
        return chosen

    def extra_repr(self) -> str:
        """The arguments, for ``repr``."""
        return f"{self.input_size}, {self.output_size}, tau={self.tau:g}"
