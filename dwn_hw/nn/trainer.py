"""Trains a network by a recipe, with early stopping, and so that a training that was cut off goes on with the same numbers.

The samples that it sees are cut in two: those that it learns from, and a tenth by which it is stopped and the best epoch chosen.
The state after an epoch holds everything that the next ones depend on.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from dwn_hw.errors import OptionError, Problem
from dwn_hw.nn import devices, prepared, recipes
from dwn_hw.nn.adam import Adam
from dwn_hw.nn.prepared import Prepared
from dwn_hw.nn.recipe import Recipe
from dwn_hw.nn.recipes import AnyRecipe
from dwn_hw.nn.renewal import renew
from dwn_hw.nn.shaping import Shaping
from dwn_hw.nn.training import predict, step

#: The part of the training samples by which a training is stopped.
VALIDATION = 0.1

#: The learning rate falls to a tenth after this part of the epochs, twice in all: the recipe of DWN's authors, 14 of 30.
_LR_STEP, _LR_GAMMA = 14 / 30, 0.1

#: After each epoch of this part of them candidates are renewed, by the gradient of so many samples.
_RENEWED, _SOME = 0.5, 512

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Progress:
    """What is told after an epoch: the mean loss, the validation accuracy, the best one so far, and seconds that it took."""

    epoch: int
    epochs: int
    loss: float
    accuracy: float
    best: float
    seconds: float


def stratified(y: npt.NDArray[np.int64], share: float, seed: int) -> tuple[Indices, Indices]:
    """Indices of two parts in which each class has its share, the second part of about ``share``; of a class of two or more both
    parts have some.
    """
    rng = np.random.default_rng(seed)
    second = []
    for label in np.unique(y):
        own = rng.permutation(np.flatnonzero(y == label))
        count = min(max(round(share * len(own)), 1), len(own) - 1)
        second.append(own[:count])
    taken = np.sort(np.concatenate(second))
    return np.setdiff1d(np.arange(len(y)), taken), taken


class Trainer:
    """A training of samples ``x`` (samples, features), ``y`` (samples,) class numbers from 0, by a recipe.

    ``model`` takes what ``prepared`` encodes: thermometer bits, or scaled numbers. Iterate :meth:`epochs`, then take the best by
    :meth:`finish`. ``device``: where it trains, of :data:`dwn_hw.nn.devices.DEVICES`; what it takes of all samples is kept there,
    and its state is on the CPU.
    """

    def __init__(
        self,
        recipe: AnyRecipe,
        x: npt.NDArray[np.float32],
        y: npt.NDArray[np.int64],
        classes: int,
        device: str = "cpu",
    ) -> None:
        self.recipe, self.device = recipe, devices.device_for(device)
        self._digest = hashlib.sha256(np.ascontiguousarray(x).tobytes() + y.tobytes()).hexdigest()[:16]
        first, second = stratified(y, VALIDATION, recipe.seed)
        self.prepared: Prepared = prepared.fit(recipe, x[first])
        every = max(1, round(_LR_STEP * recipe.epochs))
        self._shaping = Shaping(recipe, classes, every, self.prepared, x[first])
        self._bits, self._valid = (self.prepared.encode(x[at]) for at in (first, second))
        self._y, self._y_valid = (torch.from_numpy(y[at]) for at in (first, second))
        self.model = prepared.untrained(recipe, self._bits.shape[1], classes).to(self.device)
        self._bits, self._y = self._bits.to(self.device), self._y.to(self.device)
        self._optimizer = Adam(self.model, lr=recipe.lr)
        self._schedule = torch.optim.lr_scheduler.StepLR(self._optimizer, step_size=every, gamma=_LR_GAMMA)
        self._order = torch.Generator().manual_seed(recipe.seed)
        self._shaping.after(0, self.model, self._optimizer, self._bits, self._y)
        self._best: dict[str, torch.Tensor] = {}
        self.best_accuracy, self.best_epoch, self.epoch = -1.0, 0, 0
        self.history: list[tuple[float, float]] = []

    @property
    def validation_samples(self) -> int:
        """How many samples it is stopped by."""
        return len(self._y_valid)

    @property
    def shaped(self) -> dict[str, Any] | None:
        """What a shaping has left: LUTs of each of the ``layers``, ``thermometer_bits`` that may be read; None without one."""
        return self._shaping.told(self.model, self._bits.shape[1])

    def epochs(self) -> Iterator[Progress]:
        """Train, an epoch at a time, until the recipe's patience or its epochs end."""
        recipe = self.recipe
        while self.epoch < recipe.epochs and not self._is_over():
            started = time.perf_counter()
            self.model.train()
            if isinstance(recipe, Recipe) and recipe.candidates and 0 < self.epoch <= _RENEWED * recipe.epochs:
                some = torch.randperm(len(self._bits), generator=self._order)[:_SOME]
                renew(self.model, self._optimizer, self._bits[some].float(), self._y[some], self._shaping.left)
            batches = torch.split(torch.randperm(len(self._bits), generator=self._order), recipe.batch_size)
            losses = [step(self.model, self._optimizer, self._bits[b].float(), self._y[b]) for b in batches]
            self._schedule.step()
            self.epoch += 1
            self._shaping.after(self.epoch, self.model, self._optimizer, self._bits, self._y)
            loss = float(torch.stack(losses).sum()) / len(self._bits)
            accuracy = float((predict(self.model, self._valid.float()) == self._y_valid).double().mean())
            self.history.append((loss, accuracy))
            if accuracy > self.best_accuracy and self.epoch >= self._shaping.settled:
                self.best_accuracy, self.best_epoch = accuracy, self.epoch
                self._best = {name: values.detach().clone().cpu() for name, values in self.model.state_dict().items()}
            seconds = time.perf_counter() - started
            yield Progress(self.epoch, recipe.epochs, loss, accuracy, self.best_accuracy, seconds)

    def _is_over(self) -> bool:
        since = self.epoch - max(self.best_epoch, self._shaping.settled - 1)
        return 0 < self.recipe.patience <= since and self.epoch > 0

    def finish(self) -> nn.Sequential:
        """The network as it was after its best epoch, in eval mode, on the CPU."""
        self.model.load_state_dict(self._best)
        return self.model.cpu().eval()

    def accuracy(self, x: npt.NDArray[np.float32], y: npt.NDArray[np.int64]) -> tuple[int, int]:
        """How many of other samples are right, and how many there are."""
        return int((predict(self.model, self.prepared.encode(x).float()) == torch.from_numpy(y)).sum()), len(y)

    def state(self) -> dict[str, Any]:
        """All that the next epochs depend on, as plain values and tensors of the CPU."""
        return {
            "format": "dwn-hw training",
            "recipe": recipes.plain(self.recipe),
            "digest": self._digest,
            "model": devices.on_cpu(dict(self.model.state_dict())),
            "shaping": self._shaping.state(),
            "best": self._best,
            "optimizer": devices.on_cpu(self._optimizer.state_dict()),
            "schedule": {k: v for k, v in self._schedule.state_dict().items() if isinstance(v, int | float | list)},
            "order": self._order.get_state(),
            "counts": [self.epoch, self.best_epoch, self.best_accuracy],
            "history": [list(pair) for pair in self.history],
        }

    def resume(self, state: Any) -> None:
        """Go on from what :meth:`state` gave. Raises OptionError for that of another recipe, or of other samples."""
        remedy = "Begin again without --resume."
        if not isinstance(state, dict) or state.get("format") != "dwn-hw training":
            raise OptionError(Problem("--resume", "the state of a training", "something else", remedy))
        if told := recipes.differences(state["recipe"], self.recipe):
            rule = "the recipe that the training began with"
            raise OptionError(
                Problem("--resume", rule, "; ".join(told), "Ask for the same, or begin again without --resume.")
            )
        if state["digest"] != self._digest:
            raise OptionError(Problem("--resume", "the samples that the training began with", "others", remedy))
        self._shaping.resume(state["shaping"], self.model, self._optimizer)
        self.model.load_state_dict(state["model"])
        self._best = state["best"]
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._order.set_state(state["order"])
        self.epoch, self.best_epoch, self.best_accuracy = state["counts"]
        self.history = [(loss, accuracy) for loss, accuracy in state["history"]]
