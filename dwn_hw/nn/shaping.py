"""Shapes a network for its hardware between the epochs of a training: what :mod:`cheap_encoder` and :mod:`pruning` take away.

Thermometer bits go first, a few after each epoch, while the learning rate is high and slots still find other ones. Voters go
from when it has first fallen to when it falls again: only then do their votes say what they are worth, and what is left of a wide
layer is worth more than a narrow one that was trained from the start. The epochs after that train what is left, and the best of
them is taken. What is done after an epoch follows from the network, the recipe's seed and the epoch alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from dwn_hw.errors import OptionError, Problem
from dwn_hw.nn import cheap_encoder, pruning
from dwn_hw.nn.group_sum import GroupSum
from dwn_hw.nn.lut_layer import LUTLayer
from dwn_hw.nn.mapping import CandidateMapping, LearnableMapping
from dwn_hw.nn.prepared import Binarized, Prepared
from dwn_hw.nn.recipe import Recipe
from dwn_hw.nn.recipes import AnyRecipe

#: The part of the epochs before the learning rate first falls in which thermometer bits go.
EARLY = 0.6


class Shaping:
    """The shaping of a network in training, by ``recipe``; ``settled``: the epoch after which no more is taken away.

    ``luts``: of each thermometer bit, as :func:`cheap_encoder.comparison_luts` says. ``left``: the bits that have not gone, where
    any may go.
    """

    def __init__(
        self, recipe: AnyRecipe, classes: int, falls: int, prepared: Prepared, x: npt.NDArray[np.float32]
    ) -> None:
        """``falls``: after so many epochs the learning rate falls, and after as many again. ``prepared``: what was fitted on
        ``x`` (samples, features).
        """
        self._seed, self._classes = recipe.seed, classes
        self._weight = self._share = self._tau = 0.0
        self._voters = self._width = 0
        if isinstance(recipe, Recipe):
            self._weight, self._share, self._tau = recipe.cheap_encoder, recipe.prune, recipe.tau
            self._voters = self._width = recipe.luts[-1]
        self._bits_end = max(1, round(EARLY * falls)) if self._weight else 0
        self._voters_end = min(2 * falls, recipe.epochs) if self._share else 0
        self._voters_begin = min(falls, self._voters_end - 1)
        self.settled = max(1, self._bits_end, self._voters_end)
        self._luts = torch.zeros(0)
        self.left: torch.Tensor | None = None
        if self._weight and isinstance(prepared, Binarized):
            self._luts = cheap_encoder.comparison_luts(prepared.thermometer, torch.from_numpy(x))
            self.left = torch.ones(len(self._luts), dtype=torch.bool)
        if self._share and self._width % classes:
            rule = f"a last layer of as many LUTs for each of {classes} classes"
            remedy = f"Say --luts …{self._width // classes * classes}, or leave --prune out."
            raise OptionError(Problem("--prune", rule, f"{self._width} LUTs", remedy))

    def after(
        self, epoch: int, model: nn.Sequential, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor
    ) -> None:
        """Take away what goes after this epoch, of a model and an optimiser in training; 0: before the first one.

        ``x`` (samples, bits), ``y`` (samples,): training samples.
        """
        if self._share and self._voters_begin < epoch <= self._voters_end:
            share = (epoch - self._voters_begin) / (self._voters_end - self._voters_begin)
            self._prune(share, model, optimizer, x, y)
        if self.left is not None and epoch <= self._bits_end:
            mapping = _first(model).mapping
            assert isinstance(mapping, LearnableMapping | CandidateMapping)
            generator = torch.Generator().manual_seed(self._seed * 100_003 + epoch)
            weight = self._weight * epoch / self._bits_end
            self.left = cheap_encoder.let_go(mapping, self.left, self._luts, weight, generator)

    def _prune(
        self, share: float, model: nn.Sequential, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor
    ) -> None:
        each = self._width // self._classes
        width = max(1, round(each * (1 - self._share * share))) * self._classes
        if width == self._voters:
            return
        with torch.no_grad():
            votes = torch.cat([model[:-1](part.float()).cpu() for part in torch.split(x[: pruning.SAMPLES], 1024)])
        kept = pruning.kept(votes, y[: pruning.SAMPLES].cpu(), self._classes, _vote(model).tau, width)
        self._keep(model, optimizer, kept)

    def _keep(self, model: nn.Sequential, optimizer: torch.optim.Optimizer, kept: torch.Tensor) -> None:
        """Keep these voters; the temperature follows the root of their number, as the rule of the recipe does."""
        pruning.keep(model, optimizer, kept)
        self._voters = len(kept)
        _vote(model).tau = self._tau * math.sqrt(self._voters / self._width)

    def state(self) -> dict[str, Any]:
        """What the next epochs depend on, beside the model and its optimiser."""
        return {"left": self.left, "voters": self._voters}

    def told(self, model: nn.Sequential, bits: int) -> dict[str, Any] | None:
        """What is left of a model and its ``bits``, as plain values; None where nothing was to go."""
        if not self._weight and not self._share:
            return None
        layers = [layer.output_size for layer in model if isinstance(layer, LUTLayer)]
        return {"layers": layers, "thermometer_bits": bits if self.left is None else int(self.left.sum())}

    def resume(self, state: dict[str, Any], model: nn.Sequential, optimizer: torch.optim.Optimizer) -> None:
        """Go on from what :meth:`state` gave, with a model of such a size; what it holds is loaded after that."""
        self.left = state["left"]
        if state["voters"] != self._voters:
            self._keep(model, optimizer, torch.arange(state["voters"]))


def _vote(model: nn.Sequential) -> GroupSum:
    return next(layer for layer in model if isinstance(layer, GroupSum))


def _first(model: nn.Sequential) -> LUTLayer:
    return next(layer for layer in model if isinstance(layer, LUTLayer))
