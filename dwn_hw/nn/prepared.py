"""What a recipe makes of samples before its network sees them, and the network itself, for each kind.

A :class:`Binarized` holds a thermometer, whose bits a network of LUTs takes; a :class:`Scaled` a scale of powers of two, whose
values one that shifts and adds takes. Both are fitted on the samples that are learnt from, and become part of the exported
contract.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias, assert_never

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from dwn_hw.nn import cheap_encoder
from dwn_hw.nn.binarization import DistributiveThermometer, GaussianThermometer, Thermometer
from dwn_hw.nn.gate_recipe import GateRecipe
from dwn_hw.nn.group_sum import GroupSum
from dwn_hw.nn.lut_layer import LUTLayer
from dwn_hw.nn.recipe import Recipe
from dwn_hw.nn.recipes import AnyRecipe
from dwn_hw.nn.shift_layers import LinearShiftQ
from dwn_hw.nn.shift_recipe import ShiftRecipe

_THERMOMETERS = {"distributive": DistributiveThermometer, "linear": Thermometer, "gaussian": GaussianThermometer}

#: The features from which on whole numbers from 0 count as an image, and the part of the greatest that half of them must reach.
_PIXELS, _ALIKE = 32, 0.25

#: The ends of the exponents of a scale: what float32 holds, with room for fractions.
_EXPONENTS = (-100, 126)

#: The entries of a gate's table when it begins, around which they are drawn: it passes its first input on.
_WIRE, _SPREAD = 0.5, 0.3

Floats: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Binarized:
    """Samples as the bits of a ``thermometer``."""

    thermometer: Thermometer

    def encode(self, x: Floats) -> torch.Tensor:
        """The bits (samples, features · bits) of samples (samples, features), feature-major, as uint8."""
        return self.thermometer.binarize(x).flatten(1).to(torch.uint8)

    def beside(self) -> dict[str, Any]:
        """What is saved beside a model."""
        return {"thermometer": self.thermometer}


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """Samples as ``(x − offset) / factor``, floored to ``2**-fraction_bits`` and clamped as the first layer does it.

    ``offset``, ``factor``: float64 (features,), each factor a power of two, each offset a multiple of the grid in the units of
    ``x``: the codes of a port whose step is ``factor · 2**-fraction_bits`` are these values, for every ``x``.
    """

    offset: npt.NDArray[np.float64]
    factor: npt.NDArray[np.float64]
    integer_bits: int
    fraction_bits: int

    def encode(self, x: Floats) -> torch.Tensor:
        """The values (samples, features) of samples (samples, features), as float32, which holds them exactly."""
        steps = self.factor * 2.0**-self.fraction_bits
        codes = np.floor((x.astype(np.float64) - self.offset) * (1 / steps))
        bound = 2.0 ** (self.integer_bits - 1)
        values = np.clip(codes * 2.0**-self.fraction_bits, -bound, bound - 1)
        return torch.from_numpy(values.astype(np.float32))

    def beside(self) -> dict[str, Any]:
        """What is saved beside a model."""
        return {"scaler": {"kind": "standard", "offset": self.offset, "factor": self.factor}}


Prepared: TypeAlias = Binarized | Scaled


def fit(recipe: AnyRecipe, x: Floats) -> Prepared:
    """What ``recipe`` makes of samples, fitted on ``x`` (samples, features)."""
    match recipe:
        case Recipe() | GateRecipe():
            samples = torch.from_numpy(x)
            thermometer = _THERMOMETERS[recipe.thermometer](recipe.bits).fit(samples)
            if isinstance(recipe, Recipe) and recipe.cheap_encoder:
                cheap_encoder.move_to_round(thermometer, samples, recipe.cheap_encoder)
            return Binarized(thermometer)
        case ShiftRecipe():
            return _scaled(recipe, x.astype(np.float64))
        case _:
            assert_never(recipe)


def network(recipe: AnyRecipe, inputs: int, classes: int) -> nn.Sequential:
    """The untrained network of a recipe, drawn from torch's generator; it takes ``inputs`` numbers a sample."""
    match recipe:
        case Recipe():
            return _luts(recipe, inputs, classes)
        case GateRecipe():
            return _gates(recipe, inputs, classes)
        case ShiftRecipe():
            return _shifts(recipe, inputs, classes)
        case _:
            assert_never(recipe)


def _scaled(recipe: ShiftRecipe, x: npt.NDArray[np.float64]) -> Scaled:
    """One power of two for the pixels of images, else the one nearest to each feature's deviation, from about its mean."""
    features = x.shape[1]
    most = x.max(axis=0)
    whole = features >= _PIXELS and bool((x.min() >= 0) and (x == np.floor(x)).all())
    if whole and most.max() > 0 and (most[most > 0] >= _ALIKE * most.max()).mean() >= 0.5:
        factor = np.full(features, 2.0 ** float(np.ceil(np.log2(most.max()))))
        return Scaled(np.zeros(features), factor, recipe.integer_bits, recipe.fraction_bits)
    deviation = x.std(axis=0)
    exponents = np.rint(np.log2(np.where(deviation > 0, deviation, 1.0))).clip(*_EXPONENTS)
    factor = 2.0**exponents
    steps = factor * 2.0**-recipe.fraction_bits
    return Scaled(np.rint(x.mean(axis=0) / steps) * steps, factor, recipe.integer_bits, recipe.fraction_bits)


def _luts(recipe: Recipe, inputs: int, classes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in recipe.luts:
        learned = {"mapping": "learnable", "candidates": recipe.candidates or None} if not layers else {}
        layers.append(LUTLayer(inputs, width, recipe.n, **learned))  # type: ignore[arg-type]
        inputs = width
    return nn.Sequential(*layers, GroupSum(classes, tau=recipe.tau))


def _gates(recipe: GateRecipe, inputs: int, classes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in recipe.luts:
        layer = LUTLayer(inputs, width, 2)
        with torch.no_grad():
            layer.luts.mul_(_SPREAD).add_(torch.tensor([-_WIRE, _WIRE, -_WIRE, _WIRE]))
        layers.append(layer)
        inputs = width
    return nn.Sequential(*layers, GroupSum(classes, tau=recipe.tau))


def _shifts(recipe: ShiftRecipe, inputs: int, classes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (*recipe.hidden, classes):
        layers += [nn.ReLU()] if layers else []
        layers.append(
            LinearShiftQ(
                inputs,
                width,
                weight_bits=recipe.weight_bits,
                act_integer_bits=recipe.integer_bits,
                act_fraction_bits=recipe.fraction_bits,
                floored=True,
            )
        )
        inputs = width
    return nn.Sequential(*layers)


def untrained(recipe: AnyRecipe, inputs: int, classes: int) -> nn.Sequential:
    """The network that a training by ``recipe`` begins with, by its seed; torch's own generator stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return network(recipe, inputs, classes)


def drawn(recipe: AnyRecipe, inputs: int, classes: int) -> nn.Sequential:
    """A network that is as large as a trained one is, about: :func:`untrained`, but gates with tables at random, since wires
    would vanish.
    """
    model = untrained(recipe, inputs, classes)
    if isinstance(recipe, GateRecipe):
        order = torch.Generator().manual_seed(recipe.seed)
        for layer in model:
            if isinstance(layer, LUTLayer):
                layer.luts.data.uniform_(-1, 1, generator=order)
    return model
