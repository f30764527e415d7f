"""Freezes a live network of integers, compares it with its reference, and reports what was found, in this order.

:func:`plan` is what ``export`` and ``check`` call; what is behind the network, hardware, is not its business.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw._json import Document
from dwn_hw._progress import ahead
from dwn_hw.errors import OptionError, Problem
from dwn_hw.frontend import input_port, input_scaling
from dwn_hw.frontend.integer_networks import (
    activation_formats,
    against_model,
    folding,
    freeze_network,
    input_stage,
    narrow_activations,
    tracing,
    weight_rounding,
)
from dwn_hw.frontend.integer_networks.activation_formats import Chosen
from dwn_hw.frontend.integer_networks.against_model import Made
from dwn_hw.frontend.integer_networks.input_stage import Front
from dwn_hw.frontend.integer_networks.trained_network import Levels, LiveModel, Scaled, Table, TrainedNetwork
from dwn_hw.ir import sample_files, sample_warnings
from dwn_hw.ir.codes import Encoded
from dwn_hw.nn.dab import Bernoulli


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user may ask of a network of integers: the options of an export that concern it."""

    input_format: str | None = None
    normalize: str | None = None
    input_shape: str | None = None
    activations: str | None = None
    weights: str | None = None
    calibrate: sample_files.Samples | None = None
    max_drop: float | None = None
    deterministic: bool = False
    numbers: bool = False
    seed: int = 0
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Frozen:
    """The frozen network, the report so far, and the codes of the user's samples."""

    network: ir.Network
    report: Document
    codes: npt.NDArray[np.int64] | None


def plan(
    given: LiveModel, asked: Asked, samples: sample_files.Samples | None, progress: Callable[[str], None]
) -> Frozen:
    """Freeze ``given``, a live network that counts in integers, as ``asked``. Raises Mismatch where it is not its reference."""
    # Calibrating is two phases for one: it is calibrated, and validated.
    ahead(progress, 4 + (asked.calibrate is not None) + (samples is not None))
    progress("tracing the model")
    trained = _traced(given, asked, samples or asked.calibrate)
    names = given.class_names
    if trained.classifies:
        classes = trained.original(np.zeros((1, *trained.shape), np.float32)).shape[1]
        samples = None if samples is None else sample_files.labelled(samples, classes, names)
        if asked.calibrate is not None:
            asked = replace(asked, calibrate=sample_files.labelled(asked.calibrate, classes, names))
    by = samples or asked.calibrate
    x = None if by is None or by.x is None else by.x.reshape(len(by), -1)
    port = input_stage.port(trained, asked.input_format, x)
    model, folded, chosen, calibration = _chosen(trained, asked, port, samples, progress)
    entry = folded or input_stage.choose(model, chosen.formats[0], port)
    progress("freezing")
    features = () if given.table is None else given.table.feature_names
    network = freeze_network.freeze(model, entry, chosen.formats)
    network = replace(network, class_names=names, feature_names=features, table=given.table)
    made = Made(trained, model, entry, chosen, network)
    progress("comparing with torch in float64")
    own = against_model.own_forward(made, asked.seed)
    report: Document = {
        "kind": "shift",
        "source": model.source,
        "network": repr(network).splitlines(),
        "input": _input(entry, network),
        "left_out": list(model.left_out),
        "weights": _weights(made),
        "levels": _levels(made),
        "activations": _activations(model, chosen),
        "norms": _norms(model, chosen),
        "calibration": calibration,
        "checked": against_model.check(made, asked.seed),
        "own_forward": own,
    }
    encoded = None if samples is None else _encoded(model, entry, samples, network)
    of_model = against_model.warnings(own)
    report |= {"data": None, "warnings": of_model}
    if samples is not None and encoded is not None:
        progress(f"comparing on {len(samples)} samples")
        warnings = sample_warnings.of_samples(network, samples, encoded)
        report |= {"data": against_model.on_data(made, samples, encoded), "warnings": of_model + warnings}
        if asked.strict:
            sample_warnings.refuse(warnings, samples.name)
    return Frozen(network, report, None if encoded is None else encoded.codes)


def _chosen(
    trained: TrainedNetwork,
    asked: Asked,
    port: input_port.Port | None,
    samples: sample_files.Samples | None,
    progress: Callable[[str], None],
) -> tuple[TrainedNetwork, Front | None, Chosen, Document | None]:
    """The model with rounded weights, the front where that is fixed, the formats, and how these were calibrated if they were."""
    model, folded = _rounded(trained, port, asked.weights)
    if asked.calibrate is not None:
        waiting = sum(layer.bits is not None for layer in model.layers) if asked.weights is None else 0

        @lru_cache(4)
        def rounded(bits: tuple[int, ...]) -> TrainedNetwork:
            return _rounded(trained, port, ",".join(map(str, bits)) or asked.weights)[0]

        given = (asked.calibrate, asked.max_drop, asked.input_format, port, folded)
        chosen, bits, calibration = narrow_activations.narrow(
            rounded, waiting, *given, seed=asked.seed, progress=progress
        )
        return rounded(bits), folded, chosen, calibration
    progress("choosing number formats")
    real = None
    if samples is not None and samples.x is not None:
        real = input_stage.first_values(model, folded, asked.input_format, samples)
    return model, folded, activation_formats.choose(model, asked.activations, real), None


def _rounded(
    trained: TrainedNetwork, port: input_port.Port | None, bits: str | None
) -> tuple[TrainedNetwork, Front | None]:
    model, folded = folding.fold(trained, port, bits)
    return freeze_network.fold(model), folded


def _traced(given: LiveModel, asked: Asked, samples: sample_files.Samples | None) -> TrainedNetwork:
    shape = _shape(given.module, asked.input_shape, samples)
    scaler = given.scaler
    if asked.normalize is not None:
        text = ",".join(map(str, shape)) if len(shape) > 1 else None
        scaler = input_scaling.normalizer(asked.normalize, text, math.prod(shape))
    module = _without_draws(given.module) if asked.deterministic else given.module
    traced = tracing.trace(module, shape, scaler, given.source)
    return replace(traced, classifies=False) if asked.numbers else traced


def _without_draws(module: Any) -> Any:
    """A copy whose random bits are the nearer of 0 and 1."""
    other = copy.deepcopy(module)
    drawing = [layer for layer in other.modules() if isinstance(layer, Bernoulli)]
    if not drawing:
        remedy = "Leave it out: nothing is random in this one."
        raise OptionError(Problem("--deterministic", "a network with Bernoulli bits", "none", remedy))
    for layer in drawing:
        layer.deterministic = True
    return other


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


def _encoded(model: TrainedNetwork, entry: Front, samples: sample_files.Samples, network: ir.Network) -> Encoded:
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


def _weights(made: Made) -> list[Document]:
    """The weights of each layer; of rounded ones how far they moved, as a share of their root mean square."""
    rows: list[Document] = []
    moved = folding.module_weights(made.model, made.trained, made.chosen.formats)
    for layer, before in zip(made.model.layers, made.trained.layers, strict=True):
        used = np.abs(layer.weights[layer.weights != 0])
        ends = [int(np.frexp(end)[1]) - 1 for end in (used.min(), used.max())] if used.size else [0, 0]
        rows.append({"layer": layer.name, "weights": int(layer.weights.size), "zero": int((layer.weights == 0).sum())})
        rows[-1] |= {"least_shift": ends[0], "most_shift": ends[1], "bits": layer.bits, "lsb": layer.low}
        if layer.name in moved:
            rows[-1]["rounding_error"] = weight_rounding.error(before.weights, moved[layer.name][0])
    return rows


def _levels(made: Made) -> list[Document]:
    """Each step function, as a table of thresholds."""
    steps = [step for step in made.model.steps if isinstance(step, Levels | Table)]
    nodes = [node for node in made.network.nodes if isinstance(node, ir.MultiThreshold)]
    rows: list[Document] = []
    for step, node in zip(steps, nodes, strict=True):
        counts = [len(row) for row in node.thresholds]
        rows.append(
            {"layer": step.name, "least_thresholds": min(counts), "most_thresholds": max(counts), "lsb": node.lsb}
        )
        rows[-1]["value_error"] = step.error if isinstance(step, Levels) else 2.0 ** (node.lsb - 1)
    return rows


def _activations(model: TrainedNetwork, chosen: Chosen) -> Document:
    rows: list[Document] = []
    for layer, wanted in zip(model.layers, chosen.formats, strict=True):
        fmt = wanted.format
        rows.append({"layer": layer.name, "bits": fmt.bits, "signed": fmt.signed, "lsb": fmt.lsb})
        rows[-1] |= {"rounding": wanted.rounding, "bias_error": freeze_network.bias_error(layer, wanted)}
    return {"origin": chosen.origin, "reason": chosen.reason, "layers": rows}


def _norms(model: TrainedNetwork, chosen: Chosen) -> list[Document]:
    steps = [step for step in model.steps if isinstance(step, Scaled)]
    norms = freeze_network.plan_norms(model, chosen.formats)
    return [
        {"layer": norm.name, "multiplier_error": norm.rounding(step)} for step, norm in zip(steps, norms, strict=True)
    ]
