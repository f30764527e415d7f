"""Applies what a user asks of the scaler: a normalisation before the model, or none in the hardware."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dwn_hw.errors import OptionError, Problem
from dwn_hw.frontend import freeze_dwn
from dwn_hw.frontend.trained_dwn import Scaler, TrainedDwn


def apply(model: TrainedDwn, normalize: str | None, input_shape: str | None, use_scaler: bool) -> TrainedDwn:
    """The model with the normalisation asked for, or without its scaler. Raises OptionError for text that is no number."""
    if normalize is not None:
        scaler = normalizer(normalize, input_shape, len(model.thresholds))
        return replace(model, scaler=scaler)
    return model if use_scaler else freeze_dwn.without_scaler(model)


def normalizer(text: str, shape: str | None, features: int) -> Scaler:
    """Read ``MEAN,STD``, or ``M1,M2,M3,S1,S2,S3`` for the channels of ``--input-shape``, as torchvision's Normalize."""
    try:
        numbers = np.array([float(part) for part in text.split(",")], np.float32)
        extents = [int(part) for part in shape.split(",")] if shape else [1, features]
    except ValueError:
        problem = Problem("--normalize", "numbers separated by commas", f"{text!r}, {shape!r}", "Say 0.1307,0.3081.")
        raise OptionError(problem) from None
    channels = len(numbers) // 2
    good = len(numbers) == 2 * channels and channels in (1, extents[0])
    good = good and min(extents) > 0 and np.prod(extents) == features
    if not good or not np.isfinite(numbers).all() or (numbers[channels:] <= 0).any():
        rule = f"a mean and a positive deviation, one for all or one for each channel, for {features} features"
        got = repr(text) if shape is None else f"{text!r} with --input-shape {shape!r}"
        remedy = "Say MEAN,STD; for several channels all means, all deviations, and --input-shape C,H,W."
        raise OptionError(Problem("--normalize", rule, got, remedy))
    mean, std = (np.repeat(part, features // channels) for part in (numbers[:channels], numbers[channels:]))
    return Scaler("standard", mean, std)
