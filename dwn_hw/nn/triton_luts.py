"""A layer of look-up tables as one step of autograd on a GPU, by Triton's kernels: the function of :mod:`dwn_hw.nn.lut_layer`.

Forward is exact, backward equal to the rounding of sums, and the same every time. The wires of a learned mapping are chosen in
the same step, so that what the slots read is never written out: of the input only addresses are kept, a byte a LUT, and for the
gradient of a mapping the input itself, of type bool as bits, 32 samples in a word.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.utils.weak import WeakIdKeyDictionary

from dwn_hw.nn import triton_kernels, triton_planes
from dwn_hw.nn.mapping import CandidateMapping, Learned

#: Where each input is read, of mappings that were used: (what they looked like, firsts, places).
_TRANSPOSED: Any = WeakIdKeyDictionary()


def layer(
    x: torch.Tensor,
    luts: torch.Tensor,
    weights: torch.Tensor | None,
    mapping: torch.Tensor | Learned,
    alpha: float,
    beta: float,
    ste: bool,
) -> torch.Tensor:
    """:class:`TritonLUTFunction`; of bits that nobody asks a gradient of, with 32 samples in a word."""
    if ste and not torch.is_grad_enabled():
        return triton_planes.evaluate(x, wires_of(mapping, len(luts)), luts)
    out: torch.Tensor = TritonLUTFunction.apply(  # type: ignore[no-untyped-call]
        x, luts, weights, mapping, alpha, beta, ste
    )
    return out


class TritonLUTFunction(torch.autograd.Function):
    """``apply(x, luts, weights, mapping, alpha, beta, ste)``: (samples, inputs) → (samples, luts), in the type of ``luts``.

    ``mapping``: int32 (luts, n), and ``weights`` None; or the module that learns it, and its weights. ``ste``: the entry's step
    instead of the entry, with its gradient passed straight through.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        luts: torch.Tensor,
        weights: torch.Tensor | None,
        mapping: torch.Tensor | Learned,
        alpha: float,
        beta: float,
        ste: bool,
    ) -> torch.Tensor:
        """Choose the wires and look the tables up."""
        ctx.mapping, ctx.rates, ctx.x_dtype, ctx.inputs = mapping, (alpha, beta), x.dtype, x.shape[1]
        wires = wires_of(mapping, len(luts))
        out, addresses = triton_kernels.look_up(x, wires, luts, ste)
        values = None
        if weights is not None and ctx.needs_input_grad[2]:
            values = triton_planes.pack(x) if x.dtype == torch.bool and _candidates(mapping) is not None else x
        ctx.save_for_backward(addresses, luts, wires, weights, values)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients of ``x``, ``luts`` and ``weights``, each only where it is asked for."""
        addresses, luts, wires, weights, values = ctx.saved_tensors
        needs_x, needs_tables, needs_weights = ctx.needs_input_grad[:3]
        grads, candidates, (alpha, beta) = grad_outputs[0], _candidates(ctx.mapping), ctx.rates
        tables = triton_kernels.table_gradients(luts, addresses, grads) if needs_tables else None
        if not (needs_x or needs_weights):
            return None, tables, None, None, None, None, None
        slots = triton_kernels.slot_gradients(luts, addresses, grads, alpha, beta, by_slot=True)
        x_grad = weights_grad = None
        if needs_weights and candidates is not None:
            weights_grad = triton_kernels.candidate_weight_gradients(values, candidates, slots).to(weights.dtype)
        elif needs_weights:
            weights_grad = triton_kernels.weight_gradients(values, slots.t(), weights.dtype)
        if needs_x and weights is not None and candidates is None:
            tau = ctx.mapping.tau
            x_grad = triton_kernels.shared_input_gradients(weights, wires.flatten(), slots.t(), tau, ctx.x_dtype)
        elif needs_x:
            shares = None if weights is None else torch.softmax(weights / ctx.mapping.tau, dim=0)
            places = transposed(ctx.mapping if candidates is None else candidates, ctx.inputs)
            x_grad = triton_kernels.input_gradients(slots, *places, shares, ctx.x_dtype)
        return x_grad, tables, weights_grad, None, None, None, None


def wires_of(mapping: torch.Tensor | Learned, luts: int) -> torch.Tensor:
    """The input of each slot, int32 (luts, n): of a learned mapping the choice that its weights make now."""
    if isinstance(mapping, torch.Tensor):
        return mapping
    return triton_kernels.choose(mapping.weights.detach(), _candidates(mapping)).view(luts, -1)


def transposed(wires: torch.Tensor, inputs: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each input is read: input ``i`` at ``places[firsts[i]:firsts[i + 1]]`` of the flattened ``wires``, in order; int64.

    Kept for as long as the tensor lives, is where it was, and is not written to (but for a write through ``.data``).
    """
    state = (inputs, wires.data_ptr(), wires._version)
    known = _TRANSPOSED.get(wires)
    if known is None or known[0] != state:
        flat = wires.detach().flatten().long()
        firsts = torch.zeros(inputs + 1, dtype=torch.int64, device=wires.device)
        firsts[1:] = torch.bincount(flat, minlength=inputs).cumsum(0)
        _TRANSPOSED[wires] = known = (state, firsts, torch.argsort(flat, stable=True))
    return known[1], known[2]


def _candidates(mapping: torch.Tensor | Learned) -> torch.Tensor | None:
    return mapping.candidates if isinstance(mapping, CandidateMapping) else None
