"""Forward and backward of layers of look-up tables by compiled kernels (``kernels/train_luts.py``), on tensors of a CPU.

Everything here is transposed: a tensor's row is a wire, a LUT or a slot, its columns are the batch. Rows are shared out among as
many threads as torch uses; a row's result does not depend on their number. ``DWN_HW_KERNELS=torch`` does without.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dwn_hw import _assets
from dwn_hw._progress import Progress
from dwn_hw.nn._checks import refuse

#: The look-ups of a batch from which a kernel is worth its call, and the least work of a thread, in elements.
_WORTH, _LEAST = 1 << 14, 1 << 15

#: Shares of a softmax below e^-25 are dropped: 2,000 of them do not reach float32's last bit.
_NEGLIGIBLE = 25.0

#: A slope is a difference of smoothed tables, divided by 1 − beta; nearer to 1 than this it would lose digits.
_BETA_FROM_ONE = 0.05


def takes(x: torch.Tensor, luts: torch.Tensor, slots: int, beta: float) -> bool:
    """Whether the kernels take a layer's input and tables: on a CPU, in float32, and of some size."""
    if x.device.type != "cpu" or luts.device.type != "cpu" or luts.dtype != torch.float32:
        return False
    plain = x.dtype in (torch.float32, torch.bool, torch.uint8) and abs(1 - beta) >= _BETA_FROM_ONE
    return plain and len(x) * slots >= _WORTH and _assets.takes_numba()


def is_ours(weights: torch.Tensor) -> bool:
    """Whether kernels may read and write these weights: float32, contiguous, on a CPU."""
    plain = weights.device.type == "cpu" and weights.dtype == torch.float32 and weights.is_contiguous()
    return plain and _assets.takes_numba()


def announce(tell: Progress) -> None:
    """Tell of kernels that are compiled when a training first uses them."""
    if _assets.takes_numba() and not _assets.is_compiled(_kernel(), "look_up"):
        tell("compiling the kernels of training for this machine, once; about 20 s")


def transposed_bits(x: torch.Tensor) -> tuple[torch.Tensor, bool]:
    """The bits ``x > 0`` of ``x`` (batch, inputs) as uint8 (inputs, batch), and whether ``x`` is known to hold nothing else."""
    if x.t().is_contiguous() or not x.is_contiguous():
        return (x.t() > 0).contiguous().view(torch.uint8), x.dtype == torch.bool
    samples, inputs = x.shape
    out = torch.empty(inputs, samples, dtype=torch.uint8)
    array, result = _array(x), out.numpy()
    plain = each(inputs, samples, lambda first, last: _kernel().transpose_bits(array, first, last, result))
    return out, all(plain)


def look_up(
    bits: torch.Tensor, wires: torch.Tensor, luts: torch.Tensor, steps: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """The addresses (luts, batch), uint8, and what stands there, float32; with ``steps`` whether that is above 0.

    ``bits`` (inputs, batch) uint8; ``wires`` (luts · n,) int32.
    """
    count, batch = len(luts), bits.shape[1]
    if len(wires):
        low, high = int(wires.min()), int(wires.max())
        if low < 0 or high >= len(bits):  # a mapping may come from a file, and a kernel reads whatever it is told to
            rule = f"wires in 0..{len(bits) - 1}"
            raise refuse("LUTLayer mapping", rule, f"{low}..{high}", "Load a state_dict of this network.")
    addresses, out = torch.empty(count, batch, dtype=torch.uint8), torch.empty(count, batch)
    arrays = (bits.numpy(), _array(wires), _array(luts))
    results = (addresses.numpy(), out.numpy())
    cost = batch * len(wires) // count
    each(count, cost, lambda first, last: _kernel().look_up(*arrays, first, last, steps, *results))
    return addresses, out


@dataclass(frozen=True, slots=True)
class Layer:
    """What a backward pass needs of a layer: ``addresses``, ``grads`` (luts, batch), ``luts``, and constants of its slopes."""

    addresses: torch.Tensor
    grads: torch.Tensor
    luts: torch.Tensor
    alpha: float
    beta: float

    def table_gradients(self) -> torch.Tensor:
        """The gradient of the tables (luts, 2^n)."""
        out = torch.empty_like(self.luts)
        arrays, result = (self.addresses.numpy(), self.grads.numpy()), out.numpy()
        kernel = _kernel().table_gradients
        each(len(out), self.grads.shape[1], lambda first, last: kernel(*arrays, first, last, result))
        return out

    def slot_gradients(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The gradients of the tables, and of what the slots read (luts · n, batch)."""
        n = self.luts.shape[1].bit_length() - 1
        out = torch.empty(len(self.luts) * n, self.grads.shape[1])
        return self._both(_kernel().slot_gradients, (), out), out

    def candidate_gradients(self, x: torch.Tensor, candidates: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The gradients of the tables, and of the weights (candidates, luts · n), for values ``x`` (inputs, batch)."""
        out = torch.empty(candidates.shape)
        return self._both(_kernel().candidate_gradients, (x.numpy(), _array(candidates)), out), out

    def _both(self, kernel: Callable[..., None], more: tuple[Any, ...], out: torch.Tensor) -> torch.Tensor:
        tables = torch.empty_like(self.luts)
        scale = np.float32(self.alpha / (1 - self.beta))
        arrays = (self.addresses.numpy(), self.grads.numpy(), _array(self.luts), scale, np.float32(self.beta))
        results = (tables.numpy(), out.numpy())
        cost = max(1, out.numel() // len(tables))
        each(len(tables), cost, lambda first, last: kernel(*arrays, *more, first, last, *results))
        return tables


def largest(weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest weight of each column, and its row, int32: the first of equals."""
    best, rows = torch.empty(weights.shape[1]), torch.empty(weights.shape[1], dtype=torch.int32)
    arrays = (_array(weights), best.numpy(), rows.numpy())
    each(
        len(best),
        len(weights),
        lambda first, last: _kernel().column_maxima(arrays[0], first, last, *arrays[1:]),
    )
    return best, rows


def spread(
    grads: torch.Tensor, weights: torch.Tensor, tau: float, candidates: torch.Tensor | None, inputs: int
) -> torch.Tensor:
    """The gradient of a learned mapping's inputs (inputs, batch): each slot's, ``grads``, by the softmax of ``weights / tau``.

    A weight's input is its row's number, or stands in ``candidates`` (rows, slots). Negligible shares are left out.
    """
    kernel, (best, _) = _kernel(), largest(weights)
    array, high, reach = _array(weights), best.numpy(), np.float32(_NEGLIGIBLE * tau)
    counts = np.zeros(len(high), np.int64)
    columns = (len(high), len(weights))
    each(*columns, lambda first, last: kernel.count_shares(array, high, reach, first, last, counts))
    ends = np.cumsum(counts)
    rows, shares, slots = np.empty(ends[-1], np.int32), np.empty(ends[-1], np.float32), np.empty(ends[-1], np.int32)
    found, at = (rows, shares, slots), ends - counts
    scale = np.float32(tau)
    each(*columns, lambda first, last: kernel.fill_shares(array, high, scale, reach, first, last, at, *found))
    kernel.normalise_shares(shares, ends, 0, len(ends))
    return by_wire(grads, rows if candidates is None else _array(candidates)[rows, slots], inputs, shares, slots)


def by_wire(grads: torch.Tensor, wires: Any, inputs: int, shares: Any = None, slots: Any = None) -> torch.Tensor:
    """Sum the rows of ``grads`` (slots, batch), each times its share, by the wire that each place reads: (inputs, batch)."""
    kernel, out = _kernel(), torch.empty(inputs, grads.shape[1])
    firsts, order = np.empty(inputs + 1, np.int64), np.empty(len(wires), np.int64)
    shares = np.ones(len(wires), np.float32) if shares is None else shares
    slots = np.arange(len(wires), dtype=np.int32) if slots is None else slots
    kernel.sort_by_wire(wires, firsts, order)
    arrays, result = (grads.numpy(), shares, slots, firsts, order), out.numpy()
    cost = max(1, len(wires) * grads.shape[1] // inputs)
    each(inputs, cost, lambda first, last: kernel.sum_by_wire(*arrays, first, last, result))
    return out


def adam(
    weights: torch.Tensor, means: torch.Tensor, squares: torch.Tensor, grads: torch.Tensor, rates: tuple[float, ...]
) -> None:
    """A step of Adam on tensors of one shape, in place; ``rates``: lr / (1 − β1^t), β1, β2, 1 / √(1 − β2^t), ε."""
    arrays = [_array(tensor).reshape(-1) for tensor in (weights, means, squares, grads)]
    numbers = tuple(np.float32(rate) for rate in rates)
    each(grads.numel(), 1, lambda first, last: _kernel().adam(*arrays, first, last, numbers))


def _kernel() -> Any:
    return _assets.kernel("train_luts.py")


def _array(tensor: torch.Tensor) -> Any:
    return tensor.detach().contiguous().numpy()


def each(rows: int, cost: int, work: Callable[[int, int], Any]) -> list[Any]:
    """Do all rows, each of about so many elements, by as many threads as torch uses; what each thread's part returned."""
    threads = max(1, min(torch.get_num_threads(), rows * cost // _LEAST, rows))
    step = -(-rows // threads)
    others = [_pool(os.getpid()).submit(work, first, min(first + step, rows)) for first in range(step, rows, step)]
    return [work(0, min(step, rows)), *(other.result() for other in others)]


@functools.lru_cache(maxsize=1)
def _pool(process: int) -> ThreadPoolExecutor:
    """Threads that wait for work; of this process, since a fork has none of its parent's."""
    return ThreadPoolExecutor(os.cpu_count())
