"""A layer of look-up tables as one step of autograd, by compiled kernels: the function of :mod:`dwn_hw.nn.lut_layer`, quicker.

Forward is exact, backward equal to the rounding of sums. The wires of a learned mapping are chosen, and its gradient taken, in
the same step, so that what the slots read is never written out. Slopes come from one smoothed table a LUT: with ``S`` = Σ over
addresses ``a'`` of ``T[a'] · beta^H(a, a')``, the difference ``D[a][l]`` is ``alpha / (1 − beta)`` times the difference of ``S``
along bit ``l``, so that it costs n · 2^n operations a LUT.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from dwn_hw.nn import kernels
from dwn_hw.nn.mapping import CandidateMapping, Learned


class CompiledLUTFunction(torch.autograd.Function):
    """``apply(x, luts, weights, mapping, alpha, beta, ste)``: (samples, inputs) → (samples, luts), float32.

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
        ctx.learned, ctx.rates, ctx.x_dtype = None, (alpha, beta), x.dtype
        if isinstance(mapping, torch.Tensor):
            wires = mapping.flatten()
        else:
            ctx.learned, wires = mapping, mapping.wires()
        bits, plain = kernels.transposed_bits(x)
        addresses, out = kernels.look_up(bits, wires, luts, ste)
        values = None
        if ctx.learned is not None and ctx.needs_input_grad[2]:
            values = bits if plain else x.detach().t().to(torch.float32).contiguous()
        ctx.save_for_backward(addresses, luts, wires, weights, values)
        ctx.inputs = x.shape[1]
        return out.t()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients of ``x``, ``luts`` and ``weights``, each only where it is asked for."""
        addresses, luts, wires, weights, values = ctx.saved_tensors
        layer = kernels.Layer(addresses, grad_outputs[0].t().contiguous(), luts, *ctx.rates)
        needs_x, _, needs_weights = ctx.needs_input_grad[:3]
        x_grad = weights_grad = None
        candidates = ctx.learned.candidates if isinstance(ctx.learned, CandidateMapping) else None
        if needs_weights and candidates is not None:
            tables, weights_grad = layer.candidate_gradients(values, candidates)
        if needs_x or (needs_weights and candidates is None):
            tables, slots = layer.slot_gradients()
            if needs_x and ctx.learned is None:
                x_grad = kernels.by_wire(slots, wires.numpy(), ctx.inputs)
            elif needs_x:
                x_grad = kernels.spread(slots, weights, ctx.learned.tau, candidates, ctx.inputs)
            if needs_weights and candidates is None:
                weights_grad = ctx.learned.weights_gradient(values, slots)
        elif not needs_weights:
            tables = layer.table_gradients()
        x_grad = None if x_grad is None else x_grad.t().to(ctx.x_dtype)
        return x_grad, tables, weights_grad, None, None, None, None
