"""Gradients of layers by compiled kernels on a CPU, and in plain torch elsewhere; the same to the rounding of sums.

``DWN_HW_KERNELS=torch`` does without numba.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

from dwn_hw import _assets

#: The least number of rows that a thread takes.
_LEAST_ROWS = 256


def weight_gradient(signs: torch.Tensor, grads: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
    """Σ over samples of ``signs[candidates[c, j]] · grads[j]``: (candidates, slots), of ``signs`` (inputs, samples), ``grads``
    (slots, samples).
    """
    if not _compiled(signs, grads):
        return torch.stack([(signs[own.long()] * grads).sum(dim=1) for own in candidates])
    out = torch.empty(candidates.shape, dtype=grads.dtype)
    kernel, arrays = (
        _assets.kernel("train_mapping.py").weight_gradient,
        (signs.numpy(), grads.numpy(), candidates.numpy()),
    )
    _each(len(grads), lambda first, last: kernel(*arrays, first, last, out.numpy()))
    return out


def input_gradient(
    shares: torch.Tensor, grads: torch.Tensor, candidates: torch.Tensor, firsts: torch.Tensor, places: torch.Tensor
) -> torch.Tensor:
    """Σ of ``shares[c, j] · grads[j]`` over all candidates that are an input: (inputs, samples), of ``shares`` (candidates,
    slots), ``grads`` (slots, samples). ``firsts``, ``places``: where each input is a candidate.
    """
    inputs = len(firsts) - 1
    if not _compiled(shares, grads):
        out = grads.new_zeros(inputs, grads.shape[1])
        for own, share in zip(candidates, shares, strict=True):
            out.index_add_(0, own.long(), share[:, None] * grads)
        return out
    out = torch.empty(inputs, grads.shape[1], dtype=grads.dtype)
    kernel = _assets.kernel("train_mapping.py").input_gradient
    arrays = (shares.flatten().numpy(), grads.numpy(), firsts.numpy(), places.numpy())
    _each(inputs, lambda first, last: kernel(*arrays, first, last, out.numpy()))
    return out


def _compiled(*tensors: torch.Tensor) -> bool:
    """Whether the kernels take these: on a CPU, in the precision that they are written for, and of some size."""
    if any(tensor.device.type != "cpu" or tensor.dtype != torch.float32 for tensor in tensors):
        return False
    return min(tensor.numel() for tensor in tensors) > 0 and _assets.takes_numba()


def _each(rows: int, work: Callable[[int, int], None]) -> None:
    """Do all rows, by as many threads as torch uses."""
    threads = max(1, min(torch.get_num_threads(), rows // _LEAST_ROWS))
    step = -(-rows // threads)
    if threads == 1:
        work(0, rows)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda first: work(first, min(first + step, rows)), range(0, rows, step)))
