"""A trained DWN as numpy arrays: what a checkpoint says, before anything is decided about hardware.

This is the only place besides the layers themselves where floating-point numbers live. Readers
(:mod:`dwn_hw.frontend.extract`) fill it, :mod:`dwn_hw.frontend.freeze_dwn` turns it into integers. It needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dwn_hw.frontend.training_record import TrainingRecord
from dwn_hw.ir.arrays import Floats, Integers
from dwn_hw.ir.columns import TableCoding


@dataclass(frozen=True, slots=True, eq=False)
class Scaler:
    """A scaler, which was applied to the features before the thermometer, in one of two forms.

    ``standard``: ``(x - offset) / factor`` (scikit-learn's ``StandardScaler``: mean_, scale_;
    torchvision's ``Normalize``). ``minmax``: ``x * factor + offset`` (``MinMaxScaler``: min_, scale_).
    ``offset`` and ``factor`` have shape (features,) or (1,), and every ``factor`` is positive, so that the
    scaler keeps the order of its inputs, rounding included. ``clip`` is MinMaxScaler's
    ``feature_range`` when its ``clip`` is set.

    The arithmetic is done in the dtype of the parameters, as each of those libraries does it for
    data of that dtype.
    """

    kind: str
    offset: Floats
    factor: Floats
    clip: tuple[float, float] | None = None

    def apply(self, x: Floats) -> Floats:
        """Scale ``x`` of shape (samples, features)."""
        with np.errstate(over="ignore"):  # to infinity of the right sign: the order is kept
            x = x.astype(self.offset.dtype)
            scaled = (x - self.offset) / self.factor if self.kind == "standard" else x * self.factor + self.offset
            return scaled if self.clip is None else np.clip(scaled, *self.clip).astype(scaled.dtype)


@dataclass(frozen=True, slots=True, eq=False)
class TrainedLutLayer:
    """A LUT layer. ``mapping``: (luts, n) indices of the layer's input bits, slot 0 the address LSB.
    ``tables``: (luts, 2**n) of 0 and 1: entry ``a`` is the output at address ``a``."""

    mapping: Integers
    tables: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class TrainedGroupSum:
    """A vote over ``k`` classes. ``permutation``: (bits,) or None, applied before the zero padding to a multiple of ``k``."""

    k: int
    tau: float
    permutation: Integers | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TrainedDwn:
    """A trained DWN: thermometer → LUT layers → group sum → argmax.

    ``thresholds``: (features, bits) in the scaled feature space: bit = ``scaled > threshold``, compared in
    the dtype of ``thresholds``. ``source`` says where the model came from, in words, with no path. ``assumed``: what the
    checkpoint does not say, and what was taken in its place. ``unused``: what it holds beside, and was not needed.
    ``training``: a sketch of the samples that it was trained on; ``reported``: the accuracy that the checkpoint says, by which
    name. Both may be unknown. ``table``: how the columns of a table become its features, where it was trained on one.
    """

    thresholds: Floats
    scaler: Scaler | None
    layers: tuple[TrainedLutLayer, ...]
    group: TrainedGroupSum
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    source: str = ""
    assumed: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    training: TrainingRecord | None = None
    reported: tuple[str, float] | None = None
    table: TableCoding | None = None

    def binarize(self, x: Floats) -> npt.NDArray[np.bool_]:
        """The thermometer bits (samples, features, bits) of unscaled ``x`` (samples, features)."""
        scaled = x if self.scaler is None else self.scaler.apply(x)
        with np.errstate(over="ignore"):
            compared = scaled.astype(self.thresholds.dtype)
        return np.asarray(compared[:, :, None] > self.thresholds)
