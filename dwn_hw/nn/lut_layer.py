"""A layer of lookup tables with a gradient: the extended finite difference (EFD) of a DWN.

The method is that of Bacellar et al., "Differentiable Weightless Neural Networks", ICML 2024 (arXiv:2410.11112),
and the constants are those of the authors' code. A LUT of ``n`` inputs is a table ``T`` of 2^n numbers. At the
address ``a`` whose bit ``l`` is ``input l > 0`` it gives ``T[a]``. With the output's gradient ``g``:

* ``T[a]`` gets ``g``, the other entries nothing;
* input ``l`` gets ``g · D[a][l]``, where over all 2^n addresses ``a'``::

    D[a][l] = Σ  T[a'] · alpha · beta^H(a, a', l) · (+1 if bit l of a' else −1)

  and ``H`` counts the bits in which ``a`` and ``a'`` differ, bit ``l`` left out: a finite difference along
  ``l``, averaged over all settings of the other inputs, the nearest counting most.

``D`` depends on the table and the address alone: n·2^n numbers a LUT, so that one matrix product a step serves
the whole batch (:func:`_differences`), and each sample only looks its row up.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from dwn_hw.nn import kernels, triton_kernels, triton_luts
from dwn_hw.nn._checks import boolean, real_number, refuse, rows_of_bits, whole_number
from dwn_hw.nn.compiled_luts import CompiledLUTFunction
from dwn_hw.nn.mapping import CandidateMapping, LearnableMapping, layer_mapping
from dwn_hw.nn.ste import STEFunction

MAX_INPUTS = 8
MAPPINGS = ("arange", "learnable", "random")


class EFDFunction(torch.autograd.Function):
    """``apply(x, mapping, luts, alpha, beta)``: one table entry for every sample and LUT.

    ``x`` (samples, inputs) of any dtype; ``mapping`` (luts, n) integers, or None where ``x`` is (samples, luts·n)
    and holds the LUTs' own inputs one after the other; ``luts`` (luts, 2^n) → (samples, luts).
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, mapping: torch.Tensor | None, luts: torch.Tensor, alpha: float, beta: float
    ) -> torch.Tensor:
        """Look the tables up."""
        count, entries = luts.shape
        address = _addresses(x, mapping, count, entries)
        ctx.save_for_backward(mapping, luts, address)
        ctx.alpha, ctx.beta = float(alpha), float(beta)
        ctx.x_shape, ctx.x_dtype = x.shape, x.dtype
        return luts.flatten().index_select(0, address).view(len(x), count)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients of ``x`` and ``luts``, each only where it is asked for."""
        mapping, luts, address = ctx.saved_tensors
        grad = grad_outputs[0].contiguous()
        x_grad = luts_grad = None
        if ctx.needs_input_grad[0]:
            slopes = _differences(luts, ctx.alpha, ctx.beta).index_select(0, address)
            slopes.mul_(grad.view(-1, 1))
            x_grad = _to_inputs(slopes, mapping, ctx.x_shape).to(ctx.x_dtype)
        if ctx.needs_input_grad[2]:
            flat = luts.new_zeros(luts.numel())
            luts_grad = flat.scatter_add_(0, address.long(), grad.flatten()).view_as(luts)
        return x_grad, None, luts_grad, None, None


class LUTLayer(nn.Module):
    """(samples, input_size) → (samples, output_size): ``output_size`` LUTs of ``n`` inputs each, ``n`` from 1 to 8.

    ``mapping``
        Which bit goes to which slot. ``"random"``: drawn once, every input used equally often;
        ``"arange"``: in order; ``"learnable"``: a :class:`LearnableMapping` with temperature ``lm_tau``; or an
        int32 tensor (output_size, n) of indices.
    ``candidates``
        With a learnable mapping: each slot chooses among so many inputs that are drawn for it (:class:`CandidateMapping`),
        not among all; 16 of 2,000 inputs take a hundredth of the memory, and of the time.
    ``alpha``, ``beta``
        The gradient's size and its decay with distance; by default 0.5·0.75^(n−1) and 0.25/0.75.
    ``ste``
        True: the output is the bit ``table entry > 0``, with a straight-through gradient. False: the entry.
    ``clamp_luts``
        True: in training mode every forward first clamps the tables to −1..1, in place.

    In the state_dict: ``luts`` (output_size, 2^n); and ``mapping``, int32 (output_size, n), or where it is learned
    ``mapping.weights`` (input_size, output_size·n), with candidates (candidates, output_size·n) and ``mapping.candidates`` beside
    them; and ``_LUTLayer__dummy_mapping``. That last one is upstream's: 0, 1, 2 … in the shape of a mapping, never read, and kept
    so that state_dicts load both ways, strictly.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        n: int,
        mapping: str | torch.Tensor = "random",
        alpha: float | torch.Tensor | None = None,
        beta: float | torch.Tensor | None = None,
        ste: bool = True,
        clamp_luts: bool = True,
        lm_tau: float = 0.001,
        candidates: int | None = None,
    ) -> None:
        super().__init__()
        self.input_size = whole_number("LUTLayer input_size", input_size)
        self.output_size = whole_number("LUTLayer output_size", output_size)
        self.n = whole_number("LUTLayer n (the inputs of one LUT)", n, highest=MAX_INPUTS)
        self.ste = boolean("LUTLayer ste", ste)
        self.clamp_luts = boolean("LUTLayer clamp_luts", clamp_luts)
        self.alpha = real_number("LUTLayer alpha", 0.5 * 0.75 ** (self.n - 1) if alpha is None else alpha)
        self.beta = real_number("LUTLayer beta", 0.25 / 0.75 if beta is None else beta)

        self.mapping: LearnableMapping | CandidateMapping | nn.Parameter
        learned = isinstance(mapping, str) and mapping == "learnable"
        if candidates is not None and not learned:
            remedy = 'Say mapping="learnable", or leave candidates out.'
            raise refuse("LUTLayer candidates", "with a learnable mapping", f"mapping={mapping!r}", remedy)
        if learned:
            slots = self.output_size * self.n
            self.mapping = (
                LearnableMapping(self.input_size, slots, tau=lm_tau)
                if candidates is None
                else CandidateMapping(self.input_size, slots, candidates, tau=lm_tau)
            )
            decoy = torch.arange(slots, dtype=torch.int32).reshape(self.output_size, self.n)
            self.__dummy_mapping = nn.Parameter(decoy, requires_grad=False)
        else:
            self.mapping = nn.Parameter(self._fixed_mapping(mapping), requires_grad=False)

        self.luts = nn.Parameter(torch.rand(self.output_size, 2**self.n, dtype=torch.float32) * 2 - 1)
        self.luts.is_lut = True  # type: ignore[attr-defined]  # upstream's mark, by which regularisers find tables

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The bits (or with ``ste=False`` the entries) that the tables hold for ``x``; ``x > 0`` is a one."""
        rows_of_bits("LUTLayer", x, self.input_size)
        if self.training and self.clamp_luts:
            # Through .data, so that autograd allows two forwards before one backward: without an optimiser's
            # step between them, the second clamp changes nothing.
            self.luts.data.clamp_(-1, 1)
        work = self._kernels_for(x)
        if work is not None:
            weights = None if isinstance(self.mapping, torch.Tensor) else self.mapping.weights
            return work(x, self.luts, weights, self.mapping, self.alpha, self.beta, self.ste)
        if isinstance(self.mapping, LearnableMapping | CandidateMapping):
            return self.look_up(self.mapping(x))
        return self.look_up(x, self.mapping)

    def look_up(self, x: torch.Tensor, mapping: torch.Tensor | None = None) -> torch.Tensor:
        """What the tables hold for ``x`` (samples, inputs) by a mapping, or for what the slots read, (samples, luts·n)."""
        out: torch.Tensor = EFDFunction.apply(  # type: ignore[no-untyped-call]
            x, mapping, self.luts, self.alpha, self.beta
        )
        if self.ste:
            out = STEFunction.apply(out)  # type: ignore[no-untyped-call]
        return out

    def _kernels_for(self, x: torch.Tensor) -> Callable[..., torch.Tensor] | None:
        """The whole layer as one function of compiled kernels, on a CPU or a GPU; None: in torch."""
        if kernels.takes(x, self.luts, self.output_size * self.n, self.beta):
            compiled: Callable[..., torch.Tensor] = CompiledLUTFunction.apply
            return compiled
        return triton_luts.layer if triton_kernels.takes(x, self.luts) else None

    def extra_repr(self) -> str:
        """The arguments, for ``repr``."""
        learned = ", learnable" if isinstance(self.mapping, LearnableMapping | CandidateMapping) else ""
        return f"{self.input_size}, {self.output_size}, n={self.n}{learned}"

    def _fixed_mapping(self, mapping: str | torch.Tensor) -> torch.Tensor:
        if isinstance(mapping, torch.Tensor):
            return _given_mapping(mapping, (self.output_size, self.n), self.input_size)
        if mapping not in MAPPINGS:
            known = ", ".join(map(repr, MAPPINGS))
            rule = f"one of {known}, or an int32 tensor (output_size, n)"
            raise refuse("LUTLayer mapping", rule, repr(mapping), "Name one of these.")
        return layer_mapping(self.input_size, self.n, self.output_size, random=mapping == "random")


def _given_mapping(mapping: torch.Tensor, shape: tuple[int, int], inputs: int) -> torch.Tensor:
    thing = "LUTLayer mapping"
    if mapping.dtype != torch.int32:
        raise refuse(thing, "an int32 tensor", str(mapping.dtype), "Convert it with .to(torch.int32).")
    if tuple(mapping.shape) != shape:
        rule = f"of shape (output_size, n) = {shape}"
        raise refuse(thing, rule, f"shape {tuple(mapping.shape)}", "Give one row of n indices for each LUT.")
    low, high = int(mapping.min()), int(mapping.max())
    if low < 0 or high >= inputs:
        raise refuse(thing, f"indices in 0..{inputs - 1}", f"{low}..{high}", "Number the layer's inputs from 0.")
    return mapping.detach().clone()


def _addresses(x: torch.Tensor, mapping: torch.Tensor | None, count: int, entries: int) -> torch.Tensor:
    """The index of each sample's entry in the flattened tables: int32, (samples·count,)."""
    n = entries.bit_length() - 1
    bits = x > 0
    if mapping is None:
        slots = bits.view(len(x), count, n)
    else:
        # Slot after slot in memory, so that the sums below run along whole rows of LUTs.
        wires = mapping.t().flatten().long()
        slots = bits.gather(1, wires.expand(len(x), -1)).view(len(x), n, count).transpose(1, 2)
    address = slots[..., n - 1].to(torch.uint8)  # eight inputs at most: it fits
    for slot in range(n - 2, -1, -1):
        address.mul_(2).add_(slots[..., slot])
    first = torch.arange(0, count * entries, entries, dtype=torch.int32, device=x.device)
    return (address + first).flatten()


def _differences(luts: torch.Tensor, alpha: float, beta: float) -> torch.Tensor:
    """The differences ``D`` of the module's docstring for all LUTs: (luts·2^n, n), row ``lut·2^n + address``."""
    n = luts.shape[1].bit_length() - 1
    return (luts @ _kernel(n, alpha, beta, luts.dtype, luts.device)).view(-1, n)


@functools.lru_cache(maxsize=32)
def _kernel(n: int, alpha: float, beta: float, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """The weight of ``T[a']`` in ``D[a][l]``: (2^n, 2^n·n), rows ``a'``, columns ``a·n + l``."""
    number = torch.arange(2**n, device=device)
    slot = torch.arange(n, device=device)
    bit = (number[:, None] >> slot) & 1  # (2^n, n)
    differs = bit[:, None, :] ^ bit[None, :, :]  # (a', a, bit)
    distance = differs.sum(dim=-1, keepdim=True) - differs  # (a', a, l): without bit l
    sign = 2 * bit[:, None, :] - 1
    weight = alpha * torch.pow(torch.tensor(beta, dtype=torch.float64, device=device), distance) * sign
    return weight.reshape(2**n, -1).to(dtype)


def _to_inputs(slopes: torch.Tensor, mapping: torch.Tensor | None, shape: torch.Size) -> torch.Tensor:
    """Add what each slot got, (samples·luts, n), to the inputs that they read."""
    if mapping is None:
        return slopes.view(shape)
    wires = mapping.flatten().long().expand(shape[0], -1)
    return slopes.new_zeros(shape).scatter_add_(1, wires, slopes.view(shape[0], -1))
