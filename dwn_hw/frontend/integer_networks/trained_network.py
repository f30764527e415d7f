"""A trained network of integers as arrays: a chain of steps and what it was trained to round; nothing is decided about hardware.

Floating-point numbers end here, as :mod:`dwn_hw.frontend.trained_dwn` ends them for a DWN. It needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw.frontend.module_state import class_of, mapping, state_of
from dwn_hw.frontend.trained_dwn import Scaler
from dwn_hw.frontend.training_record import TrainingRecord
from dwn_hw.ir.arrays import Integers
from dwn_hw.ir.columns import TableCoding
from dwn_hw.ir.edges import Ints

#: The names of the classes of shift layers, of any package, and of torch's layers whose weights are to be rounded.
SHIFT_LAYERS = ("LinearShift", "LinearShiftQ", "Conv2dShift", "Conv2dShiftQ")
LINEAR_LAYERS = ("Linear", "Conv2d", "ConvTranspose2d")

#: An array of doubles: every number that a model holds in float32 is one.
Doubles: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class LiveModel:
    """A live ``torch.nn.Module`` of layers that sum, and where it came from, in words, with no path.

    ``scaler``: what stands before it, in the user's own units. ``training``, ``reported`` and ``table`` as
    :class:`TrainedDwn` has them.
    """

    module: Any
    source: str
    scaler: Scaler | None = None
    class_names: tuple[str, ...] = ()
    training: TrainingRecord | None = None
    reported: tuple[str, float] | None = None
    table: TableCoding | None = None


def holds(model: object, names: Collection[str] = SHIFT_LAYERS) -> bool:
    """Whether ``model`` is a live module with a layer of one of these classes in it."""
    waiting: list[object] = [model]
    while waiting:
        module = waiting.pop()
        if class_of(module)[1] in names:
            return True
        waiting += mapping(state_of(module).get("_modules")).values()
    return False


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """The format to which a layer rounds its input: ``lowest``…``highest`` times ``2**lsb``, by ``rounding``
    (:data:`ir.ROUNDINGS`).
    """

    lsb: int
    lowest: int
    highest: int
    rounding: str = "floor"

    @classmethod
    def deepshift(cls, integer_bits: int, fraction_bits: int) -> FixedPoint:
        """The format of upstream's layers: floored, clamped to ``-2**(integer_bits-1)``…``2**(integer_bits-1)-1``, the sign among
        the bits.
        """
        bound = 1 << (integer_bits - 1)
        return cls(-fraction_bits, -bound << fraction_bits, (bound - 1) << fraction_bits)

    @property
    def format(self) -> ir.Format:
        """The narrowest format that holds all its codes."""
        return ir.Format.covering(self.lowest, self.highest, self.lsb)

    def round(self, values: Doubles) -> Doubles:
        """The codes of real ``values``, before they are clamped."""
        scaled = values * 2.0**-self.lsb
        return np.floor(scaled + 0.5) if self.rounding == "half_up" else np.floor(scaled)

    def __str__(self) -> str:
        return f"{self.format} {self.rounding}"


@dataclass(frozen=True, slots=True)
class Window:
    """The window of a convolution: ``kernel`` and the rest as :class:`ir.Conv2d` has them; with an ``output_padding``, as
    :class:`ir.ConvTranspose2d`.
    """

    kernel: Ints
    stride: Ints
    padding: Ints
    padding_mode: str
    dilation: Ints
    groups: int
    output_padding: Ints | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Weighted:
    """A layer that sums: ``weights`` (a row an output, or an extent of the kernel), ``bias`` (outputs,) of the model.

    ``low``: all weights are multiples of ``2**low``; None for weights that nobody has rounded yet. ``own``: what the model itself
    rounds the input to; None where it rounds nothing. ``discrete``: whether it does so by levels before the layer, which no
    other format may replace. ``bits``: of the weights, where they were rounded for the hardware. ``factor``: what the model's
    weights were multiplied by, so that something else has no multiplier; it broadcasts to ``weights``. ``scale``: the part of
    it that multiplies outputs, (outputs,).
    """

    name: str
    weights: Doubles
    low: int | None
    bias: Doubles
    own: FixedPoint | None
    window: Window | None = None
    discrete: bool = False
    bits: int | None = None
    factor: Doubles | None = None
    scale: Doubles | None = None

    @property
    def transposed(self) -> bool:
        """Whether it is a transposed convolution, whose rows of weights are inputs."""
        return self.window is not None and self.window.output_padding is not None

    @property
    def grid(self) -> int:
        """The exponent of the weights' grid, once they lie on one."""
        assert self.low is not None, f"the weights of {self.name} are not rounded"
        return self.low

    @classmethod
    def of_powers(
        cls, name: str, signs: Integers, shifts: Integers, bias: Doubles, own: FixedPoint | None, window: Window | None
    ) -> Weighted:
        """The layer of weights ``signs · 2**shifts`` (outputs, inputs of each)."""
        used = shifts[signs != 0]
        low = min(0, int(used.min())) if used.size else 0
        return cls(name, np.ldexp(signs.astype(np.float64), shifts.astype(np.int32)), low, bias, own, window)


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """A batch norm at inference: ``x · scale[c] + offset[c]`` for each entry of the first axis."""

    name: str
    scale: Doubles
    offset: Doubles


#: A function of numbers (samples, *shape) to as many, in a model's own arithmetic.
Smooth: TypeAlias = Callable[[Doubles], Doubles]


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """A function of each number that gives few values: what stands between a sum and a step, and the step itself.

    ``smooth`` (samples, *shape) → the same shape: the model's own modules, in its own arithmetic. ``step``: elementwise, constant
    between ``edges``, the rising numbers at which it may turn. ``grid``: the format of its values; ``error``: the most by which
    that moves them.
    """

    name: str
    smooth: Smooth
    step: Smooth
    edges: Doubles
    grid: FixedPoint
    error: float = 0.0

    def __call__(self, x: Doubles) -> Doubles:
        """The values for numbers (samples, *shape)."""
        return self.step(self.smooth(x))


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A smooth function whose value is used: it becomes a table on the grid of the layer behind it.

    ``smooth`` (samples, *shape) → the same shape: the model's own modules from the last sum on, in its own arithmetic.
    """

    name: str
    kind: str
    smooth: Smooth


@dataclass(frozen=True, slots=True, eq=False)
class Clamp:
    """Numbers below ``low`` become ``low``, those above ``high`` become ``high``."""

    low: float
    high: float


TrainedStep: TypeAlias = (
    Weighted
    | Scaled
    | Levels
    | Table
    | Clamp
    | ir.Relu
    | ir.MaxPool2d
    | ir.Reshape
    | ir.Sort
    | ir.CompareToMean
    | ir.Codebook
    | ir.LutNode
)

#: A run of a module: samples (count, *shape) → what it gives.
Run: TypeAlias = Callable[[npt.NDArray[Any]], Doubles]


@dataclass(frozen=True, slots=True, eq=False)
class TrainedNetwork:
    """A trained network that counts in integers: steps in order, from samples of ``shape`` to one score a class, or to numbers.

    ``original`` is the model as it was given, in its own arithmetic, from behind its ``scaler`` on: samples (count, *shape) to
    scores (count, classes), or to what else it gives; ``rounded`` makes the same of a model with other weights and with
    something added to biases (outputs,), by the names of layers. ``classifies``: whether that is one row of scores, of which the
    greatest is looked for.
    ``left_out``: layers that change no class at inference, in words.
    """

    shape: Ints
    steps: tuple[TrainedStep, ...]
    original: Run
    rounded: Callable[[Mapping[str, tuple[Doubles, Doubles]]], Run]
    scaler: Scaler | None = None
    left_out: tuple[str, ...] = ()
    source: str = ""
    classifies: bool = True

    @property
    def divisor(self) -> float:
        """What the model divides its scores by, and the network does not: the tau of a vote at its end."""
        last = self.steps[-1]
        return float(last.tau) if isinstance(last, ir.GroupSum) else 1.0

    @property
    def layers(self) -> tuple[Weighted, ...]:
        """The layers that sum."""
        return tuple(step for step in self.steps if isinstance(step, Weighted))
