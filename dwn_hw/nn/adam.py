"""Adam, in which the gradient of a wide learned mapping is never written out.

Such a mapping has a weight for every input and slot, millions, and its gradient is a product of two thin matrices: the inputs'
signs and the slots' gradients. A tile of it is multiplied, used for its part of the step while it is in the cache, and forgotten.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from dwn_hw.nn import kernels
from dwn_hw.nn.mapping import LearnableMapping

#: The weights from which a mapping is stepped in tiles, and those of a tile: 16 megabytes, few enough for a cache, and as
#: many as a matrix product needs to be quick.
_WIDE, _TILE = 1 << 18, 1 << 22


class Adam(torch.optim.Adam):
    """``torch.optim.Adam`` (Kingma & Ba 2015) with its defaults and its state, on all parameters of ``model`` that are trained.

    Gradients of wide mappings are made within :meth:`step`, if the backward pass ran in :meth:`collecting`; otherwise they are
    tensors, and this is torch's own.
    """

    def __init__(self, model: nn.Module, lr: float) -> None:
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        # Fused: a fifth of the time where the mapping is learned, whose weights outnumber all else.
        super().__init__(parameters, lr=lr, fused=parameters[0].device.type in ("cpu", "cuda"))
        self._wide = [m for m in model.modules() if isinstance(m, LearnableMapping) and m.weights.numel() >= _WIDE]

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Keep the factors of the wide mappings' gradients in the backward pass inside."""
        wide = [m for m in self._wide if m.weights.requires_grad and kernels.is_ours(m.weights)]
        for mapping in wide:
            mapping.factors = mapping.factors or []
        try:
            yield
        except BaseException:
            self._forget()
            raise

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As torch's does; factors are forgotten too."""
        super().zero_grad(set_to_none)
        self._forget()

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Take one step of all parameters."""
        for mapping in self._wide:
            if mapping.factors and mapping.weights.grad is not None:  # of a backward pass outside of collecting, too
                mapping.weights.grad += sum(signs @ grads.t() for signs, grads in mapping.factors)
                mapping.factors = None
        loss = super().step(closure)
        rates = {id(p): group for group in self.param_groups for p in group["params"]}
        for mapping in self._wide:
            if mapping.factors:
                self._step_in_tiles(mapping.weights, mapping.factors, rates[id(mapping.weights)])
        self._forget()
        return loss

    def _forget(self) -> None:
        for mapping in self._wide:
            mapping.factors = None

    @torch.no_grad()
    def _step_in_tiles(
        self, weights: nn.Parameter, factors: list[tuple[torch.Tensor, torch.Tensor]], group: dict[str, Any]
    ) -> None:
        """One step, by the gradient ``Σ signs @ gradsᵀ`` of factors ``signs`` (inputs, batch), ``grads`` (slots, batch)."""
        state = self.state[weights]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weights), torch.zeros_like(weights)
        state["step"] += 1
        (beta1, beta2), count = group["betas"], int(state["step"])
        rates = (group["lr"] / (1 - beta1**count), beta1, beta2, 1 / math.sqrt(1 - beta2**count), group["eps"])
        signs, grads = (
            factors[0] if len(factors) == 1 else (torch.cat(side, dim=1) for side in zip(*factors, strict=True))
        )
        rows = max(1, _TILE // weights.shape[1])
        tile = torch.empty(rows, weights.shape[1])
        for first in range(0, len(weights), rows):
            own = slice(first, min(first + rows, len(weights)))
            product = torch.mm(signs[own], grads.t(), out=tile[: own.stop - first])
            kernels.adam(weights[own], state["exp_avg"][own], state["exp_avg_sq"][own], product, rates)
