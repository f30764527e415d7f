"""Trains and tests any classifier whose layers are in :mod:`dwn_hw.nn`; knows nothing of the data.

Samples are tensors ``x`` (samples, …), as the model's first layer takes them, and ``y`` (samples,) class
numbers from 0; the model gives (samples, classes) scores. Both may lie on another device than the model:
each batch is moved.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from dwn_hw.errors import OptionError, Problem
from dwn_hw.nn._checks import real_number, whole_number
from dwn_hw.nn.adam import Adam
from dwn_hw.nn.dab import kept_loss

#: Of a model's outputs and what they should be, the mean over the batch.
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the data, as ``fit`` tells of it: ``number`` counts from 1, ``loss`` is the mean over samples."""

    number: int
    epochs: int
    loss: float
    lr: float
    seconds: float


def fit(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    epochs: int = 30,
    batch_size: int = 32,
    lr: float = 1e-2,
    lr_step: int = 14,
    lr_gamma: float = 0.1,
    seed: int = 0,
    progress: Callable[[Epoch], None] | None = None,
    loss: Loss = cross_entropy,
) -> list[Epoch]:
    """Train ``model`` in place by Adam on the cross entropy of its scores; it is left in eval mode.

    To the loss is added what the model's bridges keep (:mod:`dwn_hw.nn.dab`). Another ``loss``, of outputs and ``y``, may have
    another ``y``: an image for each sample, for an autoencoder.

    The learning rate starts at ``lr`` and is multiplied by ``lr_gamma`` after every ``lr_step`` epochs: the
    recipe of DWN's authors. ``seed`` orders the batches, by a generator of its own; with the same seed, start,
    torch build and number of threads a CPU trains the same network again. (So does a GPU with Triton's kernels; in
    torch alone its sums are not ordered.) ``progress`` is called after every epoch.

    On a CPU under Linux, a wide learned mapping (hundreds of inputs, thousands of LUTs) trains about a third faster
    with ``THP_MEM_ALLOC_ENABLE=1`` in the environment before torch is imported: huge pages for its gradient.
    """
    _check_data(x, y, numbered=loss is cross_entropy)
    for name, count in (("epochs", epochs), ("batch_size", batch_size), ("lr_step", lr_step)):
        whole_number(name, count)
    for name, rate in (("lr", lr), ("lr_gamma", lr_gamma)):
        real_number(name, rate, positive=True)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise OptionError(Problem("model", "has something to train", "no parameter with a gradient", "Add a LUTLayer."))
    device = parameters[0].device
    optimizer = Adam(model, lr=lr)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=lr_step, gamma=lr_gamma)
    order = torch.Generator().manual_seed(seed)
    history = []
    model.train()
    for number in range(1, epochs + 1):
        started = time.perf_counter()
        rate = optimizer.param_groups[0]["lr"]
        batches = torch.split(torch.randperm(len(x), generator=order), batch_size)
        losses = [step(model, optimizer, x[b].to(device), y[b].to(device), loss) for b in batches]
        schedule.step()
        mean = float(torch.stack(losses).sum()) / len(x)  # read once an epoch: each reading waits for a GPU
        history.append(Epoch(number, epochs, mean, rate, time.perf_counter() - started))
        if progress is not None:
            progress(history[-1])
    model.eval()
    return history


def predict(model: nn.Module, x: torch.Tensor, batch_size: int = 1024) -> torch.Tensor:
    """The class numbers (samples,) on the CPU: the index of the largest score, the first of equals."""
    was_training = model.training
    device = next(model.parameters()).device
    model.eval()
    try:
        with torch.no_grad():
            return torch.cat([model(batch.to(device)).argmax(dim=-1).cpu() for batch in torch.split(x, batch_size)])
    finally:
        model.train(was_training)


def accuracy(model: nn.Module, x: torch.Tensor, y: torch.Tensor, batch_size: int = 1024) -> float:
    """The share of samples whose predicted class is ``y``, from 0 to 1."""
    return float((predict(model, x, batch_size) == y.cpu()).double().mean())


def step(
    model: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor, loss: Loss = cross_entropy
) -> torch.Tensor:
    """Take one step on one batch. Returns the sum of its samples' losses."""
    optimizer.zero_grad()
    mean = loss(model(x), y) + kept_loss(model)
    with optimizer.collecting() if isinstance(optimizer, Adam) else contextlib.nullcontext():
        mean.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return mean.detach() * len(x)


def _check_data(x: torch.Tensor, y: torch.Tensor, numbered: bool = True) -> None:
    if len(x) == 0 or len(y) != len(x) or (numbered and y.ndim != 1):
        got = f"shapes {tuple(x.shape)} and {tuple(y.shape)}"
        raise OptionError(Problem("x and y", "as many labels as samples, and at least one", got, "Pair them up."))
    if numbered and (y.dtype != torch.int64 or int(y.min()) < 0):
        got = f"{y.dtype} from {float(y.min()):g}"
        raise OptionError(Problem("y", "class numbers from 0, int64", got, "Number the classes: y.to(torch.int64)."))
