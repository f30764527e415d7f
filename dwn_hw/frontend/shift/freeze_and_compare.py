"""Freezes a live shift network, compares it with its reference, and reports what was found, in this order.

:func:`plan` is what ``export`` and ``check`` call; what is behind the network, hardware, is not its business.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw._json import Document
from dwn_hw.errors import DataError, Mismatch, OptionError, Problem
from dwn_hw.frontend import input_scaling
from dwn_hw.frontend.shift import (
    activation_formats,
    float64_reference,
    freeze_shift,
    input_stage,
    narrow_activations,
    tracing,
    weight_rounding,
)
from dwn_hw.frontend.shift.activation_formats import Chosen
from dwn_hw.frontend.shift.input_stage import Front
from dwn_hw.frontend.shift.trained_shift import Doubles, Scaled, ShiftModel, TrainedShift
from dwn_hw.ir import evaluate, sample_files, sample_warnings, vectors
from dwn_hw.ir.codes import Encoded, are_codes, decode
from dwn_hw.ir.emulate import Emulator

#: The number of random codes on which the frozen network is compared with torch; of these the oracle, which is slow, sees a few.
CHECKED_CODES, CHECKED_BY_EVALUATE = 128, 16

#: And those on which it is compared with the module's own forward, of networks with few features.
MANY_CODES, FEW_FEATURES = 2048, 256

#: The most samples of the user's data that are compared.
CHECKED_SAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user may ask of a shift network: the options of an export that concern it."""

    input_format: str | None = None
    normalize: str | None = None
    input_shape: str | None = None
    activations: str | None = None
    weights: str | None = None
    calibrate: sample_files.Samples | None = None
    max_drop: float | None = None
    seed: int = 0
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Frozen:
    """The frozen network, the report so far, and the codes of the user's samples."""

    network: ir.Network
    report: Document
    codes: npt.NDArray[np.int64] | None


def plan(
    given: ShiftModel, asked: Asked, samples: sample_files.Samples | None, progress: Callable[[str], None]
) -> Frozen:
    """Freeze ``given``, a live network with shift layers, as ``asked``. Raises Mismatch where it is not its reference."""
    progress("tracing the model")
    traced = _traced(given, asked, samples or asked.calibrate)
    model = freeze_shift.fold(weight_rounding.round_weights(traced, asked.weights))
    classes, names = model.original(np.zeros((1, *model.shape), np.float32)).shape[1], given.class_names
    samples = None if samples is None else sample_files.labelled(samples, classes, names)
    if asked.calibrate is not None:
        asked = replace(asked, calibrate=sample_files.labelled(asked.calibrate, classes, names))
    by = samples or asked.calibrate
    x = None if by is None or by.x is None else by.x.reshape(len(by), -1)
    port, calibration = input_stage.port(model, asked.input_format, x), None
    if asked.calibrate is not None:
        chosen, calibration = narrow_activations.narrow(
            model, asked.calibrate, asked.max_drop, asked.input_format, port, seed=asked.seed, progress=progress
        )
    else:
        progress("choosing number formats")
        real = (
            None
            if samples is None or samples.x is None
            else input_stage.real_samples(model, asked.input_format, samples)
        )
        chosen = activation_formats.choose(model, asked.activations, real)
    entry = input_stage.choose(model, chosen.formats[0], port)
    progress("freezing")
    features = () if given.table is None else given.table.feature_names
    network = freeze_shift.freeze(model, entry, chosen.formats)
    network = replace(network, class_names=names, feature_names=features, table=given.table)
    progress("comparing with torch in float64")
    report: Document = {
        "kind": "shift",
        "source": model.source,
        "network": repr(network).splitlines(),
        "input": _input(entry, network),
        "left_out": list(model.left_out),
        "weights": _weights(model),
        "activations": _activations(model, chosen),
        "norms": _norms(model, chosen),
        "calibration": calibration,
        "checked": _check(model, entry, chosen, network, asked.seed),
        "own_forward": _own_forward(model, entry, network, asked.seed),
    }
    encoded = None if samples is None else _encoded(model, entry, samples, network)
    report |= {"data": None, "warnings": []}
    if samples is not None and encoded is not None:
        progress(f"comparing on {len(samples)} samples")
        warnings = sample_warnings.of_samples(network, samples, encoded)
        report |= {"data": _on_data(model, entry, chosen, network, samples, encoded), "warnings": warnings}
        if asked.strict:
            sample_warnings.refuse(warnings, samples.name)
    return Frozen(network, report, None if encoded is None else encoded.codes)


def _traced(given: ShiftModel, asked: Asked, samples: sample_files.Samples | None) -> TrainedShift:
    shape = _shape(given.module, asked.input_shape, samples)
    model = tracing.trace(given.module, shape, source=given.source)
    if asked.normalize is None:
        return replace(model, scaler=given.scaler)
    text = ",".join(map(str, shape)) if len(shape) > 1 else None
    return replace(model, scaler=input_scaling.normalizer(asked.normalize, text, math.prod(shape)))


def _shape(module: Any, stated: str | None, samples: sample_files.Samples | None) -> ir.Ints:
    """The shape of one sample: as stated, as the data has it, or as wide as a linear layer at the beginning."""
    if stated is not None:
        try:
            shape = tuple(int(part) for part in stated.split(","))
        except ValueError:
            shape = (0,)
        if min(shape) < 1:
            raise OptionError(Problem("--input-shape", "whole numbers from 1", repr(stated), "Say 1,28,28."))
        return shape
    array = None if samples is None else samples.x if samples.x is not None else samples.codes
    width = tracing.first_width(module)
    if array is not None and width is not None and width == array[0].size and tracing.begins_linear(module):
        return (width,)
    if array is not None and (array.ndim > 2 or width is None or array[0].size == width):
        return tuple(array.shape[1:])
    if width is not None:
        return (width,)
    rule = "the shape of a sample, where the first layer is no linear one"
    raise OptionError(Problem("--input-shape", rule, "none", "Say --input-shape 1,28,28."))


def _encoded(model: TrainedShift, entry: Front, samples: sample_files.Samples, network: ir.Network) -> Encoded:
    """The codes of the user's samples; for a port that carries activations, of the normalised ones."""
    if samples.x is None or entry.scaled or model.scaler is None:
        return sample_files.to_codes(samples, network)
    real = input_stage.real_samples(model, None, samples)
    return sample_files.to_codes(sample_files.Samples(real, None, samples.y, samples.name), network)


def _input(entry: Front, network: ir.Network) -> Document:
    return {
        "origin": entry.origin,
        "reason": entry.reason,
        "rounding": entry.port.rounding,
        "scaler": dict(network.notes)["scaler"],
        "codes_checked": entry.codes,
        "arithmetic": np.dtype(entry.kind).name,
        "codes_that_float32_rounds_otherwise": entry.moved,
    }


def _weights(model: TrainedShift) -> list[Document]:
    rows: list[Document] = []
    for layer in model.layers:
        used = np.abs(layer.weights[layer.weights != 0])
        ends = [int(np.frexp(end)[1]) - 1 for end in (used.min(), used.max())] if used.size else [0, 0]
        rows.append({"layer": layer.name, "weights": int(layer.weights.size), "zero": int((layer.weights == 0).sum())})
        rows[-1] |= {"least_shift": ends[0], "most_shift": ends[1], "bits": layer.bits, "lsb": layer.low}
    return rows


def _activations(model: TrainedShift, chosen: Chosen) -> Document:
    rows: list[Document] = []
    for layer, wanted in zip(model.layers, chosen.formats, strict=True):
        fmt = wanted.format
        rows.append({"layer": layer.name, "bits": fmt.bits, "signed": fmt.signed, "lsb": fmt.lsb})
        rows[-1] |= {"rounding": wanted.rounding, "bias_error": freeze_shift.bias_error(layer, wanted)}
    return {"origin": chosen.origin, "reason": chosen.reason, "layers": rows}


def _norms(model: TrainedShift, chosen: Chosen) -> list[Document]:
    steps = [step for step in model.steps if isinstance(step, Scaled)]
    norms = freeze_shift.plan_norms(model, chosen.formats)
    return [
        {"layer": norm.name, "multiplier_error": norm.rounding(step)} for step, norm in zip(steps, norms, strict=True)
    ]


def _check(model: TrainedShift, entry: Front, chosen: Chosen, network: ir.Network, seed: int) -> Document:
    """Check the first rung, on random codes: ``evaluate`` = torch in float64."""
    codes = _random_codes(network.input, CHECKED_CODES, seed)
    scores, exact = float64_reference.run(model, chosen.formats, entry.values(model, codes))
    compared = equal(network, codes, scores, exact)
    few = codes[:CHECKED_BY_EVALUATE]
    by_oracle = evaluate.trace(network, few)[-2]
    if (by_oracle != Emulator(network).run(few)[0]).any():
        raise Mismatch("emulation: the scores of the fast emulator are not those of evaluate")
    return {"codes": len(codes), "scores": compared, "inexact": int((~exact).sum()), "reference": "torch float64"}


def _own_forward(model: TrainedShift, entry: Front, network: ir.Network, seed: int) -> Document:
    """What became of the model in all, on directed and random codes: the network beside the module's own forward pass.

    Two scores are the same where the module's, in its own arithmetic, is the network's; a softmax at its end changes no class.
    """
    count = CHECKED_CODES if network.input.edge.size > FEW_FEATURES else MANY_CODES
    directed = vectors.make(network, random=0, seed=seed, searched=0).codes
    codes = np.concatenate([_random_codes(network.input, count, seed), directed])
    original = model.original(entry.values(model, codes).astype(np.float32))
    scores, y = Emulator(network).run(codes)
    real = np.asarray(scores * 2.0 ** network.scores_edge.formats[0].lsb, np.float64)
    good = np.isfinite(original).all(axis=1)
    difference = np.abs(_below_best(real) - _below_best(original))[good]
    return {
        "codes": int(good.sum()),
        "predictions_changed": int((y != original.argmax(axis=1))[good].sum()),
        "largest_score_difference": float(difference.max()) if difference.size else 0.0,
        "softmax": any(text.lower().startswith("softmax") for text in model.left_out),
    }


def _random_codes(port: ir.Input, count: int, seed: int) -> npt.NDArray[np.int64]:
    """The codes 0, the extremes, and random ones, in some samples all small: wide ports have codes whose sums no double holds."""
    rng = np.random.default_rng(seed)
    fmt = port.formats[0]
    codes = rng.integers(fmt.low, fmt.high + 1, (count, *port.shape))
    codes >>= rng.integers(0, max(1, fmt.bits - 4), (count, *[1] * len(port.shape)))
    codes[0], codes[1], codes[2] = 0, fmt.low, fmt.high
    return codes


def equal(network: ir.Network, codes: npt.NDArray[np.int64], scores: Doubles, exact: npt.NDArray[np.bool_]) -> int:
    """The number of scores of ``network`` that equal those of the reference, where that is exact. Raises Mismatch with the
    first that does not.
    """
    got, _ = Emulator(network).run(codes)
    lsb = network.scores_edge.formats[0].lsb
    wanted = scores * 2.0**-lsb
    different = np.argwhere((got != wanted) & exact[:, None])
    if len(different):
        sample, unit = (int(i) for i in different[0])
        raise Mismatch(
            f"score {unit} of sample {sample}: torch in float64 gives {wanted[sample, unit]:.0f}, the frozen network "
            f"{got[sample, unit]} ({len(different)} of {got.size} differ)"
        )
    return int(exact.sum()) * int(got.shape[1])


def _on_data(
    model: TrainedShift,
    entry: Front,
    chosen: Chosen,
    network: ir.Network,
    samples: sample_files.Samples,
    encoded: Encoded,
) -> Document:
    """Check on the user's data that the network equals the reference, and what number formats cost against the model as given."""
    codes = encoded.codes
    saturation = activation_formats.Saturation(chosen.formats)
    first = codes[:CHECKED_SAMPLES]
    given = _given(model, entry, samples, codes)
    if chosen.origin == "stated":
        # The numbers themselves are watched: a port that carries activations has saturated its codes already.
        asked = activation_formats.Saturation(chosen.formats)
        float64_reference.run(model, chosen.formats, given[:CHECKED_SAMPLES], asked.watch)
        asked.refuse(model, samples.name)
    scores, exact = float64_reference.run(model, chosen.formats, entry.values(model, first), saturation.watch)
    equal(network, first, scores, exact)
    own, y = Emulator(network).run(codes)
    original = model.original(given.astype(np.float32))
    wanted = original.argmax(axis=1)
    found: Document = {
        "samples": len(samples),
        **sample_warnings.moved(network, encoded),
        "activations_saturated": sum(saturation.counts),
        "equal_to_reference": int(exact.sum()),
        "predictions_changed": int((y != wanted).sum()),
    }
    if not any(text.lower().startswith("softmax") for text in model.left_out):
        real = np.asarray(own * 2.0 ** network.scores_edge.formats[0].lsb, np.float64)
        found["largest_score_difference"] = round(float(np.abs(_below_best(real) - _below_best(original)).max()), 6)
    if samples.y is not None:
        found["accuracy"] = round(float((samples.y == y).mean()), 6)
        found["float_accuracy"] = round(float((samples.y == wanted).mean()), 6)
    return found


def _below_best(scores: Doubles) -> Doubles:
    """The scores less the best of their sample: these differences a log_softmax leaves as they are."""
    return np.asarray(scores - scores.max(axis=1, keepdims=True))


def _given(model: TrainedShift, entry: Front, samples: sample_files.Samples, codes: npt.NDArray[np.int64]) -> Doubles:
    """What the model as it was given receives: the user's own numbers, normalised in float32."""
    of_port = samples.x is None or are_codes(entry.port, samples.x)
    if samples.x is None or of_port:
        real = decode(entry.port, codes.reshape(len(codes), -1), np.dtype(np.float32))
    else:
        real = samples.x.reshape(len(samples), -1).astype(np.float32)
    if model.scaler is not None and (entry.scaled or not of_port):
        real = model.scaler.apply(real)
    if not np.isfinite(real).all():
        raise DataError(Problem(samples.name, "finite numbers", "NaN or infinity", "Remove those samples."))
    return np.asarray(real, np.float64).reshape(codes.shape)
