"""Mappings, which say which input bit goes to which slot of which LUT: drawn once, or learned.

A mapping is int32 of shape (luts, n): ``mapping[j][l]`` is the index of the input bit that slot ``l`` of LUT
``j`` reads, and slot 0 is the address LSB.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from dwn_hw.nn import kernels
from dwn_hw.nn._checks import real_number, refuse, rows_of_bits, whole_number


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
        #: Where a list stands here, compiled backward passes leave the two factors of the gradient of ``weights`` in it, and no
        #: gradient: :class:`dwn_hw.nn.adam.Adam` multiplies and uses them a tile at a time.
        self.factors: list[tuple[torch.Tensor, torch.Tensor]] | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Select from ``x``; bool and integer bits become numbers of the dtype of ``weights``."""
        rows_of_bits("LearnableMapping", x, self.input_size)
        x = x if x.is_floating_point() else x.to(self.weights.dtype)
        chosen: torch.Tensor = LearnableMappingFunction.apply(x, self.weights, self.tau)  # type: ignore[no-untyped-call]
        return chosen

    def wires(self) -> torch.Tensor:
        """The input that each output reads, int32 (output_size,), found by a kernel: weights are float32 on a CPU."""
        return kernels.largest(self.weights)[1]

    def weights_gradient(self, values: torch.Tensor, grads: torch.Tensor) -> torch.Tensor | None:
        """The gradient of ``weights``, ``(2 · values − 1) gradsᵀ``, of the wires' values (input_size, samples) and the outputs'
        gradients (output_size, samples); None where its factors are kept instead.
        """
        factors = (values.to(grads.dtype).mul(2).sub_(1), grads)
        if self.factors is None:
            return factors[0] @ grads.t()
        self.factors.append(factors)
        return None

    def extra_repr(self) -> str:
        """The arguments, for ``repr``."""
        return f"{self.input_size}, {self.output_size}, tau={self.tau:g}"


class CandidateMappingFunction(torch.autograd.Function):
    """The same with a choice among few wires: each output reads that of its candidates whose weight is largest.

    ``x`` (samples, inputs), ``weights`` and ``candidates`` (candidates, outputs). The gradients are those of
    :class:`LearnableMappingFunction` for weights of which all but the candidates' are far below.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weights: torch.Tensor, candidates: torch.Tensor, tau: float) -> torch.Tensor:
        """Select from ``x`` the candidate of largest weight for each output."""
        ctx.save_for_backward(x, weights, candidates)
        ctx.tau = tau
        chosen = candidates.gather(0, weights.max(dim=0, keepdim=True).indices)
        return x.gather(1, chosen.long().expand(len(x), -1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients of ``x`` and ``weights``, each only where it is asked for."""
        x, weights, candidates = ctx.saved_tensors
        grads = (
            grad_outputs[0].to(weights.dtype).t().contiguous()
        )  # a slot a row, so that rows are added and multiplied whole
        x_grad = weights_grad = None
        if ctx.needs_input_grad[0]:
            x_grad = grads.new_zeros(x.shape[1], len(x))
            for own, share in zip(candidates, torch.softmax(weights / ctx.tau, dim=0), strict=True):
                x_grad.index_add_(0, own, share[:, None] * grads)
            x_grad = x_grad.t().to(x.dtype)
        if ctx.needs_input_grad[1]:
            signs = x.to(weights.dtype).t().mul(2).sub_(1).contiguous()
            weights_grad = torch.stack([(signs[own] * grads).sum(dim=1) for own in candidates])
        return x_grad, weights_grad, None, None


class CandidateMapping(nn.Module):
    """(samples, input_size) → (samples, output_size): every output one of a few inputs, which were drawn for it.

    ``weights`` (candidates, output_size), float32, starts uniform in 0..1; ``candidates`` (candidates, output_size), int32, are
    the inputs that an output may be, different ones, all inputs used about equally often. Output ``j`` is the input
    ``candidates[weights[:, j].argmax(), j]``. It takes ``candidates / input_size`` of the memory and time of a
    :class:`LearnableMapping`; 8 to 16 are enough for about the same accuracy.
    """

    candidates: torch.Tensor

    def __init__(self, input_size: int, output_size: int, candidates: int, tau: float = 0.001) -> None:
        super().__init__()
        self.input_size = whole_number("CandidateMapping input_size", input_size)
        self.output_size = whole_number("CandidateMapping output_size", output_size)
        count = whole_number("CandidateMapping candidates", candidates)
        if count > self.input_size:
            rule = f"at most the {self.input_size} inputs that there are"
            raise refuse("CandidateMapping candidates", rule, f"{count}", "Ask for fewer, or for none: all inputs.")
        self.tau = real_number("CandidateMapping tau", tau, positive=True)
        self.weights = nn.Parameter(torch.rand(count, self.output_size, dtype=torch.float32))
        self.register_buffer("candidates", _drawn(self.input_size, self.output_size, count))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Select from ``x``; bool and integer bits become numbers of the dtype of ``weights``."""
        rows_of_bits("CandidateMapping", x, self.input_size)
        x = x if x.is_floating_point() else x.to(self.weights.dtype)
        chosen: torch.Tensor = CandidateMappingFunction.apply(  # type: ignore[no-untyped-call]
            x, self.weights, self.candidates, self.tau
        )
        return chosen

    def wires(self) -> torch.Tensor:
        """The input that each output reads, int32 (output_size,), found by a kernel: weights are float32 on a CPU."""
        return self.candidates.gather(0, kernels.largest(self.weights)[1].long()[None])[0]

    def _load_from_state_dict(self, *arguments: Any) -> None:
        """As any module does; candidates that are no inputs are refused, since kernels read whatever they are told to."""
        super()._load_from_state_dict(*arguments)
        low, high = (int(end) for end in self.candidates.aminmax())
        if low < 0 or high >= self.input_size:
            rule, got = f"inputs in 0..{self.input_size - 1}", f"{low if low < 0 else high}"
            raise refuse("candidates of a mapping", rule, got, "Load a state_dict of this network.")

    def extra_repr(self) -> str:
        """The arguments, for ``repr``."""
        return f"{self.input_size}, {self.output_size}, candidates={len(self.weights)}, tau={self.tau:g}"


#: A mapping that training chooses.
Learned: TypeAlias = LearnableMapping | CandidateMapping


def _drawn(inputs: int, outputs: int, count: int) -> torch.Tensor:
    """Different inputs for each output (count, outputs), by torch's global generator."""
    rows = layer_mapping(inputs, count, outputs)
    ordered = rows.sort(dim=1).values
    twice = (ordered[:, 1:] == ordered[:, :-1]).any(dim=1).nonzero().flatten()
    for row in twice.tolist():  # one that spans two rounds of all inputs
        rows[row] = torch.randperm(inputs)[:count].to(torch.int32)
    return rows.t().contiguous()
