"""From a model to an export directory: freeze, check against torch, emit, describe.

An export directory stands on its own: ``network.safetensors``, ``rtl/*.v``, ``interface.json`` and ``INTERFACE.md``,
``vectors/``, ``report.json``. It is written beside its place and moved there when it is whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw import (
    calibration,
    contract,
    cost,
    data,
    evaluate,
    freezing,
    interface,
    ir,
    passes,
    reference,
    rtl,
    scaling,
    serialize,
    vectors,
)
from dwn_hw.design import Design, clock_estimate, make_design
from dwn_hw.emulate import Emulator
from dwn_hw.errors import DataError, ExportError, Problem
from dwn_hw.trained import Scaler, TrainedDwn

#: Told what is being done, in a few words.
Progress = Callable[[str], None]

#: What an export directory may hold; one that holds anything else is not overwritten.
CONTENT = (
    *(
        "network.safetensors",
        "frozen.safetensors",
        "rtl",
        "sim",
        "interface.json",
        "INTERFACE.md",
        "vectors",
        "report.json",
    ),
    *("verify", "prove", "synth"),
)

#: Where an export is written before it is moved to its place.
_PARTIAL = ".dwn-hw.partial"

#: Random codes on which the frozen network is compared with torch at every export.
CHECKED_CODES = 2048

#: Samples of the user's data kept in ``vectors/golden.npz``.
GOLDEN_SAMPLES = 256


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may ask of an export; the command line's options, one for one."""

    input_format: str | None = None
    normalize: str | None = None
    input_shape: str | None = None
    use_scaler: bool = True
    shell: str = "stream"
    latency: int | None = None
    clock_mhz: float | None = None
    scores: bool = False
    target: str = "generic"
    optimize: bool = True
    encoder: str = "parallel"
    seed: int = 0
    calibrate: data.Samples | None = None
    max_drop: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything decided, nothing written: the design, and the report so far; ``frozen``: the network before the passes."""

    design: Design
    seed: int
    report: dict[str, Any]
    codes: npt.NDArray[np.int64] | None
    frozen: ir.Network | None = None


def plan(
    model: TrainedDwn, options: Options, samples: data.Samples | None = None, progress: Progress = lambda text: None
) -> Plan:
    """Freeze ``model`` and compare it with torch; what ``check`` shows and ``export`` writes."""
    left_to_host = None if options.use_scaler else model.scaler
    model = scaling.apply(model, options.normalize, options.input_shape, options.use_scaler)
    progress("choosing the input format")
    if samples is not None and samples.x is not None:
        _check_features(samples.x, samples.name, len(model.thresholds))
    port, calibrated = _port(model, options, samples, progress)
    progress("freezing")
    network = _noted(freezing.freeze_dwn(model, port), left_to_host)
    progress("lowering to LUTs")
    design = _design(network, options)
    progress("comparing with torch")
    encoded = None if samples is None else data.to_codes(samples, network)
    checks = _check(model, network, design.network, options.seed)
    report = {
        "tool": interface.describe(design)["tool"],
        "digest": serialize.digest(design.network),
        "network": repr(design.network).splitlines(),
        "optimized": passes.removed(network, design.network) if options.optimize else None,
        "source": model.source,
        "input": {
            "origin": port.origin,
            "reason": port.reason,
            "scaler": dict(network.notes)["scaler"],
            "constant_thresholds": _constant_thresholds(network),
        },
        "calibration": calibrated,
        "checked": checks,
        "data": None if samples is None or encoded is None else _agreement(model, network, samples, encoded),
        "encoder": options.encoder,
        "latency": design.pipeline.latency,
        "target": design.target,
        "interval": design.interval,
        "clock_mhz": {"asked": options.clock_mhz, "estimate": round(clock_estimate(design), 1)},
        "estimate": {name: asdict(part) for name, part in cost.estimate(design).items()},
    }
    return Plan(design, options.seed, report, None if encoded is None else encoded.codes, network)


def _port(
    model: TrainedDwn, options: Options, samples: data.Samples | None, progress: Progress
) -> tuple[contract.Port, dict[str, Any] | None]:
    """The port, and how it was calibrated if it was."""
    calibration.check(model, options.calibrate, options.max_drop, options.input_format)
    if options.calibrate is None:
        return contract.choose(freezing.raw_thresholds(model), options.input_format, _real_samples(samples)), None

    def estimate(network: ir.Network) -> dict[str, cost.Cost]:
        return cost.estimate(_design(network, options))

    return calibration.calibrate(
        model, options.calibrate, options.max_drop, seed=options.seed, estimate=estimate, progress=progress
    )


def _design(network: ir.Network, options: Options) -> Design:
    return make_design(
        passes.optimize(network) if options.optimize else network,
        latency=options.latency,
        clock_mhz=options.clock_mhz,
        shell=options.shell,
        with_scores=options.scores,
        target=options.target,
        share=options.optimize,
        encoder=options.encoder,
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


def export(
    model: TrainedDwn,
    out: Path,
    options: Options = Options(),
    samples: data.Samples | None = None,
    progress: Progress = lambda text: None,
) -> dict[str, Any]:
    """Write the export directory ``out`` and return its report."""
    check_out(out)
    decided = plan(model, options, samples, progress)
    write(decided, out, progress)
    return decided.report


def write(decided: Plan, out: Path, progress: Progress = lambda text: None) -> None:
    """Write what was planned to ``out``, whole or not at all."""
    design, network = decided.design, decided.design.network
    described = interface.describe(design)
    progress("writing Verilog")
    sources = rtl.to_verilog(design, header=interface.to_header(described, network))
    progress("computing golden vectors")
    golden = _golden(network, decided.codes, decided.seed)
    with _written_whole(out) as folder:
        serialize.save(network, folder / "network.safetensors")
        if decided.frozen not in (None, network):
            serialize.save(decided.frozen, folder / "frozen.safetensors")
        (folder / "rtl").mkdir()
        for name, text in sources.items():
            (folder / "rtl" / name).write_text(text, "utf-8")
        if design.target != "generic":
            (folder / "sim").mkdir()
            for name, text in rtl.models(design.target).items():
                (folder / "sim" / name).write_text(text, "utf-8")
        (folder / "interface.json").write_text(_json(described), "utf-8")
        (folder / "INTERFACE.md").write_text(interface.to_markdown(described), "utf-8")
        (folder / "vectors").mkdir()
        scores, y = Emulator(network).run(golden)
        data.save_predictions(folder / "vectors" / "golden.npz", network, golden, scores, y)
        edges = network.edges()
        ports = {"x": [interface.pack_port(golden, design)], "y": [interface.pack(y, edges[-1])]}
        if design.with_scores:
            ports["y"].append(interface.pack(scores, edges[-2]))
        for name, fields in ports.items():
            text = interface.to_hex(np.concatenate(fields, axis=1))
            (folder / "vectors" / f"{name}.hex").write_text(text, encoding="utf-8")
        (folder / "report.json").write_text(_json(decided.report), "utf-8")


def check_out(out: Path) -> None:
    """Raise ExportError unless ``out`` may be written: absent, empty, or an earlier export with nothing else in it."""
    check_place(out)
    if not out.exists():
        return
    names = sorted(path.name for path in out.iterdir() if path.name != _PARTIAL)
    strange = [name for name in names if name not in CONTENT]
    if strange or (names and not (out / "interface.json").is_file()):
        got = ", ".join(strange[:5]) or "no interface.json"
        raise ExportError(
            Problem(str(out), "absent, empty, or an earlier export", f"other content ({got})", "Choose another -o.")
        )


def check_place(out: Path) -> None:
    """Raise ExportError unless ``out`` is a directory, or could be made one: known before the work, not after it."""
    nearest = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not nearest.is_dir():
        got = "a file" if nearest == out else f"{nearest}, which is a file"
        raise ExportError(Problem(str(out), "a directory to write", got, "Choose another -o."))
    if not os.access(nearest, os.W_OK | os.X_OK):
        got = f"no permission to write in {nearest}"
        raise ExportError(Problem(str(out), "a directory to write", got, "Choose another -o."))


@contextlib.contextmanager
def _written_whole(out: Path) -> Iterator[Path]:
    """A folder to write in, whose content becomes that of ``out`` when everything went well."""
    exists = out.is_dir()
    # Inside a directory that is there: it may be the current one, or a mount point, which cannot be replaced.
    partial = out / _PARTIAL if exists else out.with_name(f".{out.name}{_PARTIAL}")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        if exists:
            _replace_content(out, partial)
        else:
            partial.rename(out)
    except OSError as error:
        raise ExportError(Problem(str(out), "a writable place", f"{error.strerror}", "Choose another -o.")) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _replace_content(out: Path, partial: Path) -> None:
    for old in [path for path in out.iterdir() if path.name in CONTENT]:
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        else:
            old.unlink()
    # interface.json last: it is by this file that an export is known.
    for new in sorted(partial.iterdir(), key=lambda path: path.name == "interface.json"):
        new.rename(out / new.name)


def _noted(network: ir.Network, left_to_host: Scaler | None) -> ir.Network:
    """The network, with a note that nobody overlooks if its host has to scale."""
    if left_to_host is None:
        return network
    text = f"{interface.LEFT_TO_HOST} the model's {left_to_host.kind} scaler comes before this port (--no-scaler)"
    return dataclasses.replace(network, notes=tuple((k, text if k == "scaler" else v) for k, v in network.notes))


def _check_features(x: npt.NDArray[Any], name: str, features: int) -> None:
    """Before a port is chosen by them; what the port cannot take is found when they are encoded."""
    if x[0].size != features:
        remedy = "Give the features that the model was trained on."
        raise DataError(Problem(name, f"samples of {features} features", f"{x[0].size}", remedy))
    if x.dtype.kind not in "iufb":
        raise DataError(Problem(name, "x of numbers", f"{x.dtype}", "Save x as floats or integers."))


def _real_samples(samples: data.Samples | None) -> npt.NDArray[Any] | None:
    if samples is None or samples.x is None:
        return None
    return samples.x.reshape(len(samples.x), -1)


def _check(model: TrainedDwn, network: ir.Network, built: ir.Network, seed: int) -> dict[str, Any]:
    """The first rung: model = network (= what is ``built`` of it), on directed and random codes. Raises Mismatch."""
    checked = vectors.make(network, random=CHECKED_CODES, seed=seed).codes
    encoder = freezing.check_encoder(model, network, checked)
    torch_sums = reference.torch_reference(model)
    sums = freezing.check_reference(torch_sums, network, checked[-CHECKED_CODES:]) if torch_sums else 0
    optimized = freezing.check_scores(network, built, checked) if built != network else 0
    return {
        "encoder_bits": encoder,
        "group_sums": sums,
        "reference": "torch" if torch_sums else "torch not installed",
        "optimized_sums": optimized,
    }


def _agreement(
    model: TrainedDwn, network: ir.Network, samples: data.Samples, encoded: contract.Encoded
) -> dict[str, Any]:
    """On the user's data: what the port's grid cost, against the model fed with the real numbers."""
    _, y = Emulator(network).run(encoded.codes)
    found: dict[str, Any] = {"samples": len(samples), "rounded": encoded.rounded, "saturated": encoded.saturated}
    if samples.x is not None and not contract.are_codes(network.input, samples.x):
        real = samples.x.reshape(len(samples.x), -1).astype(freezing.model_dtype(model))
        bits = model.binarize(real).reshape(len(real), -1).astype(np.int64)
        wanted = bits
        for node in network.nodes[1:]:
            wanted = evaluate.apply(node, wanted)
        found["encoder_bits_changed"] = int((bits != evaluate.apply(network.nodes[0], encoded.codes)).sum())
        found["predictions_changed"] = int((wanted != y).sum())
    if samples.y is not None:
        found["accuracy"] = round(float((samples.y == y).mean()), 6)
    return found


def _golden(network: ir.Network, codes: npt.NDArray[np.int64] | None, seed: int) -> npt.NDArray[np.int64]:
    base = vectors.directed(network, seed)
    boundary = dict(base.kinds)["boundary"]
    step = max(1, boundary // GOLDEN_SAMPLES)
    start = dict(base.kinds)["zero"]
    blocks = [base.codes[:start], base.codes[start : start + boundary : step], base.codes[start + boundary :]]
    return np.concatenate([*blocks, *([] if codes is None else [codes[:GOLDEN_SAMPLES]])])


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
