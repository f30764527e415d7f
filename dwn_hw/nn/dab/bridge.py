"""What all bridges share: the hard value forward, the approximator's gradient backward, and the loss that ties them together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import nn

from dwn_hw.nn._checks import real_number, refuse


class DAB(nn.Module, ABC):
    """A hard function with an ``approximator``, a network that gives about the same; samples are (batch, …).

    In training the forward pass gives the hard value. Backward, ``x`` gets the gradient that it would get through the
    approximator, whose own parameters see nothing of the task: they learn from the loss that the layer keeps,
    ``gamma · ‖hard(x) − approximator(x)‖²``, summed over a sample and averaged over the batch (§3 and 6.1), which reaches ``x``
    as well. Add :func:`kept_loss` to the task's loss. In eval mode the layer is :meth:`hard`, without a gradient.

    A subclass says :meth:`hard`. Any module may be the approximator that gives what ``hard`` gives in shape. The loss is that of
    the last call: a layer stands in one place of a model.
    """

    #: The regulariser's weight in the authors' code.
    gamma_default: ClassVar[float] = 10.0

    def __init__(self, approximator: nn.Module, gamma: float | None = None) -> None:
        super().__init__()
        name = type(self).__name__
        self.approximator = approximator
        self.gamma = self.gamma_default if gamma is None else real_number(f"{name} gamma", gamma)
        if self.gamma < 0:
            raise refuse(f"{name} gamma", "at least 0", f"{self.gamma:g}", "Give 0 for none, or leave it out.")
        self._kept: torch.Tensor | None = None

    @abstractmethod
    def hard(self, x: torch.Tensor) -> torch.Tensor:
        """The function itself: the same for the same ``x``, and all that hardware computes."""

    def training_value(self, x: torch.Tensor) -> torch.Tensor:
        """What the layer gives in training, where that is not :meth:`hard`."""
        return self.hard(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The hard value of ``x``."""
        with torch.no_grad():
            value = self.training_value(x) if self.training else self.hard(x)
        if not (self.training and torch.is_grad_enabled()):
            self._kept = None
            return value
        soft: torch.Tensor = self.approximator(x)
        if soft.shape != value.shape:
            raise refuse(
                f"{type(self).__name__} approximator",
                f"must give the shape of the hard value, {tuple(value.shape)}",
                f"{tuple(soft.shape)}",
                "Give it as many outputs.",
            )
        self._kept = self.gamma * ((value - soft) ** 2).flatten(1).sum(1).mean()
        if not x.requires_grad:
            return value
        bridged: torch.Tensor = _Bridge.apply(x, soft, value)  # type: ignore[no-untyped-call]
        return bridged

    def take_loss(self) -> torch.Tensor | None:
        """The loss of the last pass in training, once; None where there was none since."""
        kept, self._kept = self._kept, None
        return kept

    def __getstate__(self) -> dict[str, Any]:
        """Without the loss, which belongs to a pass: a copied or saved layer has none."""
        return {**self.__dict__, "_kept": None}

    def extra_repr(self) -> str:
        """The arguments, for ``repr``."""
        return f"gamma={self.gamma:g}"


def kept_loss(model: nn.Module) -> torch.Tensor | float:
    """The sum of the losses that the bridges of a model kept in its last pass in training, each once; 0.0 where there is none."""
    losses = [layer.take_loss() for layer in model.modules() if isinstance(layer, DAB)]
    return sum((loss for loss in losses if loss is not None), 0.0)


class _Bridge(torch.autograd.Function):
    """``apply(x, soft, value)``: forward ``value``, backward the gradient that ``x`` has through ``soft``, and to it alone."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, soft: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, soft)
        return value

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        x, soft = ctx.saved_tensors
        # The graph is kept: the loss goes back through it once more.
        (gradient,) = torch.autograd.grad(soft, x, grad_outputs[0], retain_graph=True)
        return gradient, None, None
