"""Layers of LUTs and mappings on a GPU, by the kernels in ``kernels/train_luts_triton.py``: plain functions on tensors.

Results are those of plain torch, to the rounding of sums, and the same every time. Samples are rows: ``x`` (samples, inputs),
``grads`` (samples, luts); what is summed along samples has a slot in each row, (slots, samples). Any strides are taken.
Gradients of float16 and bfloat16 are summed in float32.
"""

from __future__ import annotations

from typing import Any

import torch

from dwn_hw import _assets


def takes(*tensors: torch.Tensor) -> bool:
    """Whether these go through Triton's kernels: where they lie, and what ``DWN_HW_KERNELS`` asks for; and none is empty."""
    devices = {tensor.device.type for tensor in tensors}
    return len(devices) == 1 and _assets.takes_triton(*devices) and min(tensor.numel() for tensor in tensors) > 0


def look_up(
    x: torch.Tensor, mapping: torch.Tensor | None, luts: torch.Tensor, ste: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """The entries of ``luts`` (luts, 2^n), or with ``ste`` whether they are above 0, and their addresses: both (samples, luts).

    Bit ``l`` of an address is ``x[:, mapping[:, l]] > 0``, ``mapping`` (luts, n) int32; None: ``x`` (samples, luts·n) holds the
    slots' own inputs. Addresses are bytes, a quarter of what the entries take, and all that the backward pass needs of ``x``.
    """
    samples, (count, entries) = len(x), luts.shape
    out = torch.empty(samples, count, dtype=luts.dtype, device=x.device)
    addresses = torch.empty(samples, count, dtype=torch.uint8, device=x.device)
    wires = addresses if mapping is None else mapping.contiguous()
    bb, bl = 8, min(128, _block(count))
    constants = {"N": _bits(entries), "FIXED": mapping is not None, "STE": ste, "BB": bb, "BL": bl}
    arguments = (_readable(x), wires, luts.contiguous(), out, addresses, samples, count, *x.stride())
    _launch("look_up", (_ceil(samples, bb), _ceil(count, bl)), arguments, constants)
    return out, addresses


def slot_gradients(
    luts: torch.Tensor, addresses: torch.Tensor, grads: torch.Tensor, alpha: float, beta: float, by_slot: bool
) -> torch.Tensor:
    """What each slot gets of ``grads`` (samples, luts): (luts·n, samples) if ``by_slot``, else (samples, luts·n).

    Slot ``j·n + l`` gets ``grads[b, j] · D[j, addresses[b, j], l]``; ``D`` is in the docstring of :mod:`dwn_hw.nn.lut_layer`.
    """
    samples, (count, entries) = len(addresses), luts.shape
    n = _bits(entries)
    shape = (count * n, samples) if by_slot else (samples, count * n)
    out = torch.empty(shape, dtype=_sums(luts), device=luts.device)
    o_sample, o_slot = (1, samples) if by_slot else (count * n, 1)
    # A table of 2 or 4 entries takes as many threads of a warp, so that four warps of 32 take 64 or 32 tables. With fewer of them
    # in a block Triton 3.7 does not find how to look them up within a warp, and aborts.
    bl = max(4, min(16, 1024 >> n), 128 >> n)
    bb = min(64, 1024 // bl, max(16, _block(samples)))
    constants = {"N": n, "ALPHA": float(alpha), "BETA": float(beta), "BB": bb, "BL": bl}
    arguments = (luts.contiguous(), addresses, grads, out, samples, count, *grads.stride(), o_sample, o_slot)
    _launch("slot_gradients", (_ceil(count, bl),), arguments, constants)
    return out


def table_gradients(luts: torch.Tensor, addresses: torch.Tensor, grads: torch.Tensor) -> torch.Tensor:
    """The gradient of ``luts``, in their shape and type: at each address the sum of ``grads`` of the samples that are there."""
    samples, (count, entries) = len(addresses), luts.shape
    out = torch.empty_like(luts, memory_format=torch.contiguous_format)
    bb = 16
    bl = max(1, min(16, 4096 // (bb * entries)))
    constants = {"N": _bits(entries), "BB": bb, "BL": bl}
    arguments = (addresses, grads, out, samples, count, *grads.stride())
    _launch("table_gradients", (_ceil(count, bl),), arguments, constants)
    return out


def input_gradients(
    grads: torch.Tensor,
    firsts: torch.Tensor,
    places: torch.Tensor,
    shares: torch.Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """The gradient of the inputs, (samples, inputs), of ``grads`` (slots, samples): each input gathers what its slots got.

    ``places[firsts[i]:firsts[i + 1]]`` are the slots that read input ``i``. With ``shares`` (candidates, slots) they are the
    places in it, flattened, where it is a candidate, and each counts with its share. Transposed in memory.
    """
    slots, samples = grads.shape
    inputs = len(firsts) - 1
    out = torch.empty(inputs, samples, dtype=dtype or grads.dtype, device=grads.device).t()
    bb = min(128, _block(samples))
    given = grads if shares is None else shares.contiguous()
    constants = {"SHARED": shares is not None, "BB": bb}
    arguments = (grads.contiguous(), given, firsts, places, out, samples, slots, *out.stride())
    _launch("input_gradients", (inputs, _ceil(samples, bb)), arguments, constants)
    return out


def choose(weights: torch.Tensor, candidates: torch.Tensor | None = None) -> torch.Tensor:
    """The row of the largest weight of each slot, the first of equals, or the candidate there: (slots,) int32.

    ``weights`` and ``candidates`` (rows, slots).
    """
    count, slots = weights.shape
    chosen = torch.empty(slots, dtype=torch.int32, device=weights.device)
    bc, bs = min(32, _block(count)), min(32, _block(slots))
    given = chosen if candidates is None else candidates.contiguous()
    constants = {"AMONG": candidates is not None, "BC": bc, "BS": bs}
    _launch("choose", (_ceil(slots, bs),), (weights.contiguous(), given, chosen, count, slots), constants)
    return chosen


def candidate_weight_gradients(x: torch.Tensor, candidates: torch.Tensor, grads: torch.Tensor) -> torch.Tensor:
    """Σ over samples of ``(2x − 1)`` at each candidate times its slot's gradient: (candidates, slots) in the type of ``grads``.

    ``x`` (samples, inputs); or its planes (inputs, words) as ``triton_planes.pack`` gives them, int32, a thirty-second of
    float32's memory. ``candidates`` (candidates, slots); ``grads`` (slots, samples).
    """
    slots, samples = grads.shape
    out = torch.empty(candidates.shape, dtype=grads.dtype, device=grads.device)
    packed = x.dtype == torch.int32
    strides = (0, x.stride(0)) if packed else x.stride()
    bb, bs = 32, min(32, _block(slots))
    constants = {"PACKED": packed, "BB": bb, "BS": bs}
    arguments = (_readable(x), candidates.contiguous(), grads.contiguous(), out, samples, slots, *strides)
    _launch("candidate_weight_gradients", (_ceil(slots, bs), len(candidates)), arguments, constants)
    return out


def weight_gradients(x: torch.Tensor, grads: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """``(2x − 1)ᵀ grads``: (inputs, slots), of ``x`` (samples, inputs), ``grads`` (samples, slots); ``2x − 1`` is not stored."""
    (samples, inputs), slots = x.shape, grads.shape[1]
    out = torch.empty(inputs, slots, dtype=dtype, device=grads.device)
    bi, bs, bb = 64, 64, 32
    arguments = (_readable(x), grads, out, samples, inputs, slots, *x.stride(), *grads.stride())
    _launch("weight_gradients", (_ceil(slots, bs), _ceil(inputs, bi)), arguments, {"BI": bi, "BS": bs, "BB": bb})
    return out


def shared_input_gradients(
    weights: torch.Tensor, chosen: torch.Tensor, grads: torch.Tensor, tau: float, dtype: torch.dtype
) -> torch.Tensor:
    """``grads softmax(weights / tau, dim=0)ᵀ``: (samples, inputs), of ``weights`` (inputs, slots), ``grads`` (samples, slots).

    ``chosen``: the row of each slot's largest weight. The softmax is made block by block, and never stored.
    """
    (inputs, slots), samples = weights.shape, len(grads)
    weights = weights.contiguous()
    tops, totals = (torch.empty(slots, dtype=_sums(weights), device=weights.device) for _ in range(2))
    out = torch.empty(samples, inputs, dtype=dtype, device=grads.device)
    bi, bs = 32, 32
    arguments: tuple[Any, ...] = (weights, chosen, tops, totals, inputs, slots)
    _launch("share_totals", (_ceil(slots, bs),), arguments, {"TAU": float(tau), "BI": bi, "BS": bs})
    bb = min(64, max(16, _block(samples)))
    arguments = (weights, tops, totals, grads, out, samples, inputs, slots, *grads.stride(), *out.stride())
    constants = {"TAU": float(tau), "BI": bi, "BS": bs, "BB": bb}
    _launch("shared_input_gradients", (_ceil(inputs, bi), _ceil(samples, bb)), arguments, constants)
    return out


def _launch(name: str, grid: tuple[int, ...], arguments: tuple[Any, ...], constants: dict[str, Any]) -> None:
    """Run a kernel on the device of its first argument."""
    with torch.cuda.device_of(arguments[0]):  # type: ignore[no-untyped-call]
        # Said, since Triton warns where it is not; a product and a sum become one instruction.
        _assets.kernel("train_luts_triton.py").__dict__[name][grid](*arguments, **constants, enable_fp_fusion=True)


def _readable(x: torch.Tensor) -> torch.Tensor:
    """Bits of type bool as bytes, in the same place: Triton reads a bool as a single bit."""
    return x.view(torch.uint8) if x.dtype == torch.bool else x


def _sums(values: torch.Tensor) -> torch.dtype:
    return torch.float64 if values.dtype == torch.float64 else torch.float32


def _bits(entries: int) -> int:
    return entries.bit_length() - 1


def _block(count: int) -> int:
    """The least power of two that is not below ``count``."""
    return 1 << (count - 1).bit_length()


def _ceil(count: int, block: int) -> int:
    return -(-count // block)
