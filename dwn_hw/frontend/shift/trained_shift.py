"""A trained shift network as arrays: a chain of steps and what it was trained to round; nothing is decided about hardware.

Floating-point numbers end here, as :mod:`dwn_hw.frontend.trained_dwn` ends them for a DWN. It needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable
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

#: The names of the classes of shift layers, of any package.
SHIFT_LAYERS = ("LinearShift", "LinearShiftQ", "Conv2dShift", "Conv2dShiftQ")

#: An array of doubles: every number that a model holds in float32 is one.
Doubles: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ShiftModel:
    """A live ``torch.nn.Module`` with shift layers, and where it came from, in words, with no path.

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


def has_shift_layers(model: object) -> bool:
    """Whether ``model`` is a live module with a shift layer in it."""
    waiting: list[object] = [model]
    while waiting:
        module = waiting.pop()
        if class_of(module)[1] in SHIFT_LAYERS:
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
    """The window of a convolution: ``kernel`` (out, in a group, rows, columns) and the rest as :class:`ir.Conv2d`."""

    kernel: Ints
    stride: Ints
    padding: Ints
    padding_mode: str
    dilation: Ints
    groups: int


@dataclass(frozen=True, slots=True, eq=False)
class Weighted:
    """A shift layer: weights ``signs · 2**shifts`` (outputs, inputs of each), ``bias`` (outputs,) as the model has it.

    ``own``: what the model itself rounds the input to; None where it rounds nothing.
    """

    name: str
    signs: Integers
    shifts: Integers
    bias: Doubles
    own: FixedPoint | None
    window: Window | None = None

    @property
    def low(self) -> int:
        """The least shift of a weight that is not 0, and at most 0."""
        used = self.shifts[self.signs != 0]
        return min(0, int(used.min())) if used.size else 0


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """A batch norm at inference: ``x · scale[c] + offset[c]`` for each entry of the first axis."""

    name: str
    scale: Doubles
    offset: Doubles


TrainedStep: TypeAlias = Weighted | Scaled | ir.Relu | ir.MaxPool2d | ir.Reshape


@dataclass(frozen=True, slots=True, eq=False)
class TrainedShift:
    """A trained shift network: steps in order, from samples of ``shape`` to one score a class.

    ``original`` is the model as it was given, in its own arithmetic: samples (count, *shape) to scores (count, classes).
    ``left_out``: layers that change no class at inference, in words.
    """

    shape: Ints
    steps: tuple[TrainedStep, ...]
    original: Callable[[npt.NDArray[Any]], Doubles]
    scaler: Scaler | None = None
    left_out: tuple[str, ...] = ()
    source: str = ""

    @property
    def layers(self) -> tuple[Weighted, ...]:
        """The shift layers."""
        return tuple(step for step in self.steps if isinstance(step, Weighted))
