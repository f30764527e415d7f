"""What is decided of a model before anything is written: the frozen network, its hardware, and what was found on the way.

:func:`plan` is what ``check`` shows and ``export`` writes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw._json import Document
from dwn_hw._progress import Progress, ahead, silent
from dwn_hw.errors import DataError, Problem
from dwn_hw.exports.options import Options, Request, check
from dwn_hw.frontend import (
    freeze_dwn,
    input_port,
    input_rounding,
    input_scaling,
    saved_columns,
    torch_reference,
    training_record,
)
from dwn_hw.frontend.calibration import port_search
from dwn_hw.frontend.integer_networks.trained_network import LiveModel
from dwn_hw.frontend.trained_dwn import Scaler, TrainedDwn
from dwn_hw.hardware import cost, lowering
from dwn_hw.hardware.design import ParallelDesign, make_design
from dwn_hw.hardware.folded import make_folded
from dwn_hw.hardware.interface import TOOL
from dwn_hw.hardware.kinds import Design
from dwn_hw.hardware.lowering.encoder import rough_cost
from dwn_hw.ir import evaluate, passes, sample_files, sample_warnings, serialize, vectors
from dwn_hw.ir.codes import Encoded, are_codes
from dwn_hw.ir.column_coding import Told
from dwn_hw.ir.emulate import Emulator
from dwn_hw.ir.network import LEFT_TO_HOST

if TYPE_CHECKING:  # which needs torch
    from dwn_hw.frontend.integer_networks.freeze_and_compare import Frozen

#: Random codes on which the frozen network is compared with torch at every export.
CHECKED_CODES = 2048

#: And those on which what is built of a network of integers is compared with the network before the passes: images, often.
CHECKED_IMAGES = 128

#: The samples that are compared with the model's own comparisons at once.
_AT_ONCE = 4096

#: Of a folded engine for which no number was asked.
DEFAULT_LANES = 16


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """Everything decided, nothing written: the design, and the report so far; ``frozen``: the network before the passes."""

    design: Design
    seed: int
    report: Document
    codes: npt.NDArray[np.int64] | None
    frozen: ir.Network | None = None


def plan(
    model: TrainedDwn | LiveModel,
    options: Options,
    samples: sample_files.Samples | None = None,
    progress: Progress = lambda text: None,
) -> ExportPlan:
    """Freeze ``model`` and compare it with torch; what ``check`` shows and ``export`` writes."""
    options, samples, told = _asked(model, options, samples)
    if isinstance(model, LiveModel):
        return _plan_live(model, options, samples, told, progress)
    return _plan_dwn(model, options, samples, told, progress)


def freeze(model: TrainedDwn | LiveModel, options: Options, samples: sample_files.Samples | None = None) -> ir.Network:
    """The frozen network alone, compared with torch; of one that counts in integers no hardware is planned, which takes long."""
    if isinstance(model, LiveModel):
        return _frozen(model, *_asked(model, options, samples), silent).network
    network = plan(model, options, samples).frozen
    assert network is not None
    return network


def _asked(
    model: TrainedDwn | LiveModel, options: Options, samples: sample_files.Samples | None
) -> tuple[Options, sample_files.Samples | None, list[Told]]:
    """What was asked, checked, with tables made features and names of classes numbers; and what was told of these."""
    check(Request(options, model, folded=options.lanes is not None and isinstance(model, LiveModel)))
    (samples, told), (tried, also) = (
        (None, Told()) if given is None else sample_files.resolved(given, model.table)
        for given in (samples, options.calibrate)
    )
    if isinstance(model, TrainedDwn):
        samples, tried = (
            None if given is None else sample_files.labelled(given, model.group.k, model.class_names)
            for given in (samples, tried)
        )
    asked = dataclasses.replace(options, calibrate=tried)
    check(Request(asked, model))  # now that its samples are known to be numbers
    return asked, samples, [told, also]


def _frozen(
    model: LiveModel,
    options: Options,
    samples: sample_files.Samples | None,
    told: Sequence[Told],
    progress: Progress,
) -> Frozen:
    """A network that counts in integers, frozen and compared; with the warnings of tables, which ``strict`` refuses."""
    from dwn_hw.frontend.integer_networks import freeze_and_compare

    taken = {field.name: getattr(options, field.name) for field in dataclasses.fields(freeze_and_compare.Asked)}
    frozen = freeze_and_compare.plan(model, freeze_and_compare.Asked(**taken), samples, progress)
    warnings = [text for each in told for text in each.warnings()]
    if options.strict and (given := samples or options.calibrate):
        sample_warnings.refuse(warnings, given.name)
    of_samples: Any = frozen.report["warnings"]
    return dataclasses.replace(frozen, report={**frozen.report, "warnings": [*of_samples, *warnings]})


def _plan_live(
    model: LiveModel,
    options: Options,
    samples: sample_files.Samples | None,
    told: Sequence[Told],
    progress: Progress,
) -> ExportPlan:
    ahead(progress, 1)
    frozen = _frozen(model, options, samples, told, progress)
    progress("planning hardware")
    design = _design(model, frozen.network, options, progress)
    codes = vectors.make(frozen.network, random=CHECKED_IMAGES, seed=options.seed, searched=0).codes
    equal = freeze_dwn.check_scores(frozen.network, design.network, codes)
    report: Document = {"tool": TOOL, **frozen.report, "optimized_scores": equal, **_hardware(design, options)}
    report |= _columns(model, told)
    return ExportPlan(design, options.seed, report, frozen.codes, frozen.network)


def _columns(model: TrainedDwn | LiveModel, told: Sequence[Told]) -> Document:
    """What the columns of a table become, and what was done with the tables that were given."""
    said = None if model.table is None else saved_columns.plain(model.table)
    return {"table": said, "notes": [text for each in told for text in each.notes()]}


def _hardware(design: Design, options: Options) -> Document:
    """What is reported of a design; a clock is estimated of parallel ones."""
    clock = cost.clock(design)
    return {
        "digest": serialize.digest(design.network),
        "network": repr(design.network).splitlines(),
        "encoder": options.encoder,
        "hardware": design.kind,
        "latency": design.latency,
        "target": design.target,
        "interval": design.interval,
        "clock_mhz": {"asked": options.clock_mhz, "estimate": None if clock is None else round(clock, 1)},
        "estimate": {name: part.as_report() for name, part in cost.estimate(design).items()},
    }


def sketch(
    model: TrainedDwn, options: Options, samples: sample_files.Samples | None = None, *, quick: bool = False
) -> Design:
    """The hardware of a DWN alone: nothing is compared, and nothing said of samples. ``quick``: in seconds, and in more LUTs."""
    port, _ = _port(model, options, samples, silent)
    return _design(model, freeze_dwn.freeze_dwn(model, port), options, quick=quick)


def _plan_dwn(
    model: TrainedDwn,
    options: Options,
    samples: sample_files.Samples | None,
    told: Sequence[Told],
    progress: Progress,
) -> ExportPlan:
    left_to_host = None if options.use_scaler else model.scaler
    model = input_scaling.apply(model, options.normalize, options.input_shape, options.use_scaler)
    ahead(progress, 4 + (options.calibrate is not None))
    progress("choosing the input format")
    if samples is not None and samples.x is not None:
        _check_features(samples.x, samples.name, len(model.thresholds))
    port, calibrated = _port(model, options, samples, progress)
    progress("freezing")
    network = _noted(freeze_dwn.freeze_dwn(model, port), left_to_host)
    progress("lowering to LUTs")
    design = _design(model, network, options, progress)
    progress("comparing with torch")
    encoded, warnings = (None, []) if samples is None else sample_warnings.encoded(network, samples)
    if options.calibrate is not None:
        warnings += sample_warnings.encoded(network, options.calibrate)[1]
        warnings += _seen_in_training(model, options.calibrate, (calibrated or {})["model"])
    warnings += [text for each in told for text in each.warnings()]
    checks = _check(model, network, design.network, options.seed)
    report: Document = {
        "tool": TOOL,
        **_hardware(design, options),
        "optimized": passes.removed(network, design.network) if options.optimize else None,
        "source": model.source,
        "assumed": list(model.assumed),
        "unused": list(model.unused),
        "input": {
            "origin": port.origin,
            "reason": port.reason,
            "rounding": port.rounding,
            "scaler": dict(network.notes)["scaler"],
            "constant_thresholds": _constant_thresholds(network),
        },
        "calibration": calibrated,
        "checked": checks,
        "data": None if samples is None or encoded is None else _agreement(model, network, samples, encoded, warnings),
        **_columns(model, told),
        "warnings": warnings,
    }
    if options.strict:
        given = samples or options.calibrate
        sample_warnings.refuse(warnings, "x" if given is None else given.name)
    return ExportPlan(design, options.seed, report, None if encoded is None else encoded.codes, network)


def _port(
    model: TrainedDwn, options: Options, samples: sample_files.Samples | None, progress: Progress
) -> tuple[input_port.Port, Document | None]:
    """The port, and how it was calibrated if it was."""
    if options.calibrate is None:
        x = _real_samples(samples)
        port = input_port.choose(freeze_dwn.raw_thresholds(model), options.input_format, x)
        if model.table is not None and model.scaler is None and port.origin != "stated":
            port = input_port.with_bits(port, model.table.bits)
        coded = x is not None and are_codes(port.input(len(model.thresholds)), x)
        return input_rounding.choose(model, port, None if coded else x), None

    def estimate(network: ir.Network) -> dict[str, int]:
        return {part: taken.lut for part, taken in cost.estimate(_design(model, network, options)).items()}

    return port_search.calibrate(
        model,
        options.calibrate,
        options.max_drop,
        seed=options.seed,
        estimate=estimate,
        comparisons=rough_cost,
        progress=progress,
    )


def _seen_in_training(model: TrainedDwn, samples: sample_files.Samples, rates: Any) -> list[str]:
    """Why a calibration, with these ``rates`` of the model itself, was likely made on samples that it was trained on."""
    assert samples.x is not None
    accuracy = rates.get("accuracy")
    return training_record.warnings(model.training, model.reported, samples.x, samples.name, accuracy)


def _design(
    model: TrainedDwn | LiveModel,
    network: ir.Network,
    options: Options,
    progress: Progress = silent,
    *,
    quick: bool = False,
) -> Design:
    """Parallel hardware; the folded engine where it was asked for, or where a layer has too many weights for that."""
    network = passes.optimize(network) if options.optimize else network
    if network.is_luts() or (options.lanes is None and lowering.fits(network)):
        return _parallel(network, options, progress, quick)
    check(Request(options, model, folded=True))
    lanes = DEFAULT_LANES if options.lanes is None else options.lanes
    return make_folded(network, lanes=lanes, with_scores=options.scores, name=options.name)


def _parallel(network: ir.Network, options: Options, progress: Progress, quick: bool) -> ParallelDesign:
    return make_design(
        network,
        latency=options.latency,
        clock_mhz=options.clock_mhz,
        shell=options.shell,
        with_scores=options.scores,
        target=options.cells,
        share=options.optimize,
        encoder=options.encoder,
        name=options.name,
        progress=progress,
        quick=quick,
    )


def _constant_thresholds(network: ir.Network) -> int:
    """Comparisons that no code of the port ever changes: a port that is too narrow makes many."""
    return sum(
        not fmt.low < threshold <= fmt.high
        for node in network.nodes[:1]
        if isinstance(node, ir.Thermometer)
        for row, fmt in zip(node.thresholds, network.input.edge.flat_formats(), strict=True)
        for threshold in row
    )


def _noted(network: ir.Network, left_to_host: Scaler | None) -> ir.Network:
    """The network, with a note that nobody overlooks if its host has to scale."""
    if left_to_host is None:
        return network
    text = f"{LEFT_TO_HOST} the model's {left_to_host.kind} scaler comes before this port (--no-scaler)"
    return dataclasses.replace(network, notes=tuple((k, text if k == "scaler" else v) for k, v in network.notes))


def _check_features(x: npt.NDArray[Any], name: str, features: int) -> None:
    """Before a port is chosen by them; what the port cannot take is found when they are encoded."""
    if x[0].size != features:
        remedy = "Give the features that the model was trained on."
        raise DataError(Problem(name, f"samples of {features} features", f"{x[0].size}", remedy))
    if x.dtype.kind not in "iufb":
        raise DataError(Problem(name, "x of numbers", f"{x.dtype}", "Save x as floats or integers."))


def _real_samples(samples: sample_files.Samples | None) -> npt.NDArray[Any] | None:
    if samples is None or samples.x is None:
        return None
    return samples.x.reshape(len(samples.x), -1)


def _check(model: TrainedDwn, network: ir.Network, built: ir.Network, seed: int) -> Document:
    """The first rung: model = network (= what is ``built`` of it), on directed and random codes. Raises Mismatch."""
    checked = vectors.make(network, random=CHECKED_CODES, seed=seed).codes
    encoder = freeze_dwn.check_encoder(model, network, checked)
    torch_sums = torch_reference.torch_reference(model)
    sums = freeze_dwn.check_reference(torch_sums, network, checked[-CHECKED_CODES:]) if torch_sums else 0
    optimized = freeze_dwn.check_scores(network, built, checked) if built != network else 0
    return {
        "encoder_bits": encoder,
        "group_sums": sums,
        "reference": "torch" if torch_sums else "torch not installed",
        "optimized_sums": optimized,
    }


def _changed(
    model: TrainedDwn, network: ir.Network, x: npt.NDArray[Any], codes: npt.NDArray[Any], y: npt.NDArray[Any]
) -> tuple[int, int]:
    """How many thermometer bits of ``x``, and how many classes ``y``, are not those of the model on the numbers themselves."""
    rest = ir.Network(ir.Input((model.thresholds.size,), (ir.BIT,)), network.nodes[1:])
    emulator, bits_changed, classes_changed = Emulator(rest), 0, 0
    for start in range(0, len(x), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        bits = model.binarize(x[part].reshape(len(x[part]), -1).astype(freeze_dwn.model_dtype(model)))
        bits = bits.reshape(len(bits), -1)
        bits_changed += int((bits != evaluate.apply(network.nodes[0], codes[part].astype(np.int64))).sum())
        classes_changed += int((emulator.run(bits)[1] != y[part]).sum())
    return bits_changed, classes_changed


def _agreement(
    model: TrainedDwn, network: ir.Network, samples: sample_files.Samples, encoded: Encoded, warnings: list[str]
) -> Document:
    """On the user's data: what the port's grid cost, against the model fed with the real numbers; and ``warnings`` of labels."""
    _, y = Emulator(network).run(encoded.codes)
    found: Document = {"samples": len(samples), **sample_warnings.moved(network, encoded)}
    if samples.x is not None and not are_codes(network.input, samples.x):
        found["encoder_bits_changed"], found["predictions_changed"] = _changed(
            model, network, samples.x, encoded.codes, y
        )
    if samples.y is not None:
        found["accuracy"] = round(float((samples.y == y).mean()), 6)
        # Where the units are likely wrong already, nothing says that a permutation is.
        assumed = not warnings and any("permutation" in text for text in model.assumed)
        warnings += sample_warnings.of_classes(network, samples.y, y, assumed)
    return found
