"""The vote: counts the bits in equal contiguous groups, one group a class."""

from __future__ import annotations

import torch
from torch import nn

from dwn_hw.nn._checks import real_number, refuse, whole_number


class GroupSum(nn.Module):
    """(…, bits) → (…, k) scores: the sum of each of ``k`` equal slices, in order, divided by ``tau``.

    Where ``k`` does not divide the number of bits, zeros are appended; so the last groups have fewer bits.
    The padding comes after the permutation. ``tau`` sets the temperature of the softmax in training and
    never changes which score is the largest.

    ``randperm``: False for none; a number ``N`` draws a permutation of ``N`` bits; a tensor of int64 is
    taken as the permutation itself. It is applied as ``x[..., randperm]``.

    The permutation is a buffer, so it is in the state_dict, under ``randperm``, and moves with ``.to()``.
    A layer without one adds no key, like upstream's. Upstream keeps its permutation out of the state_dict;
    such a state_dict does not say which bits vote for which class, so that loading it into
    ``GroupSum(k, randperm=N)`` fails with torch's "Missing key(s)" rather than voting by another draw. Take
    the permutation from the module (``GroupSum(k, tau, randperm=old.randperm)``) and load with
    ``strict=False``.
    """

    randperm: torch.Tensor | None

    def __init__(self, k: int, tau: float = 1, randperm: int | torch.Tensor = False) -> None:
        super().__init__()
        self.k = whole_number("GroupSum k", k)
        self.tau = real_number("GroupSum tau", tau, positive=True)
        self.register_buffer("randperm", _permutation(randperm))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Count the votes in ``x``."""
        if self.randperm is not None:
            if x.shape[-1] != len(self.randperm):
                raise refuse(
                    "input of GroupSum",
                    f"as many bits as its permutation ({len(self.randperm)})",
                    f"{x.shape[-1]} bits",
                    "Give randperm the output_size of the layer before.",
                )
            x = x.index_select(-1, self.randperm)
        x = nn.functional.pad(x, (0, -x.shape[-1] % self.k))
        groups = x.reshape(*x.shape[:-1], self.k, x.shape[-1] // self.k)
        return groups.sum(dim=-1) / self.tau

    def extra_repr(self) -> str:
        """The arguments, for ``repr``."""
        permuted = "" if self.randperm is None else f", randperm={len(self.randperm)}"
        return f"k={self.k}, tau={self.tau:g}{permuted}"


def _permutation(randperm: int | torch.Tensor | None) -> torch.Tensor | None:
    thing = "GroupSum randperm"
    if isinstance(randperm, torch.Tensor):
        order = randperm.detach().clone()
        expected = torch.arange(order.numel(), device=order.device)
        if order.dtype != torch.int64 or order.ndim != 1 or not torch.equal(order.sort().values, expected):
            raise refuse(
                thing,
                "each of 0..N-1 once, int64",
                f"{order.dtype} of shape {tuple(order.shape)}",
                "Give torch.randperm(N), or the number N.",
            )
        return order
    if randperm is None or randperm is False or randperm == 0:
        return None
    return torch.randperm(whole_number(f"{thing} (the number of bits that come in)", randperm))
