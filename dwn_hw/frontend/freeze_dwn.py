"""Freezes a trained DWN into a network of integers and truth tables, exactly.

The model's own floating-point arithmetic (scaler, cast, strict ``>``) is monotone in the code of a feature: every
operation in it rounds monotonically and every factor is positive. So each comparison turns at exactly one code,
and bisection over all the codes that the port can carry finds it. The hardware then needs no scaling on the host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw.errors import CheckpointError, Mismatch, Problem
from dwn_hw.frontend import input_port
from dwn_hw.frontend.trained_dwn import TrainedDwn
from dwn_hw.ir import evaluate
from dwn_hw.ir.arrays import Floats
from dwn_hw.ir.codes import decode
from dwn_hw.ir.emulate import Emulator


def freeze_dwn(model: TrainedDwn, port: input_port.Port) -> ir.Network:
    """Freeze ``model`` into a network that equals it for every code that ``port`` can carry."""
    features = len(model.thresholds)
    _check_port(port, features)
    _check_order(model)
    source = port.input(features)
    thresholds = bisect(model, source)
    nodes: list[ir.Node] = [ir.Thermometer(tuple(tuple(row) for row in thresholds.tolist()))]
    for layer in model.layers:
        wires = tuple(tuple(row) for row in layer.mapping.tolist())
        nodes.append(ir.LutLayer(wires, tuple(evaluate.table_of(row) for row in layer.tables)))
    order = () if model.group.permutation is None else tuple(model.group.permutation.tolist())
    nodes += [ir.GroupSum(model.group.k, order, f"{model.group.tau:g}"), ir.ArgMax()]
    notes = (("source", model.source), ("scaler", _scaler_text(model)), ("input", port.reason))
    return ir.Network(source, tuple(nodes), model.class_names, model.feature_names, notes, model.table)


def raw_thresholds(model: TrainedDwn) -> Floats:
    """The thresholds (features, bits) in the user's units, in float64: good for choosing a grid, not for meaning."""
    thresholds = model.thresholds.astype(np.float64)
    if model.scaler is None:
        return thresholds
    offset, factor = (np.asarray(v, np.float64).reshape(-1, 1) for v in (model.scaler.offset, model.scaler.factor))
    with np.errstate(over="ignore"):
        return thresholds * factor + offset if model.scaler.kind == "standard" else (thresholds - offset) / factor


def without_scaler(model: TrainedDwn) -> TrainedDwn:
    """Leave the model's scaler to the host. The port then carries the model's own feature space."""
    return replace(model, scaler=None)


def bisect(model: TrainedDwn, source: ir.Input) -> npt.NDArray[np.int64]:
    """The lowest code at which each comparison holds, (features, bits); one above the highest code if it never does.

    All features and bits are bisected at once, in as many rounds as the port has bits.
    """
    edge = source.edge
    formats = edge.flat_formats()
    shape = model.thresholds.shape
    low = np.broadcast_to(np.array([fmt.low for fmt in formats])[:, None], shape).copy()
    high = np.broadcast_to(np.array([fmt.high + 1 for fmt in formats])[:, None], shape).copy()
    while (low < high).any():
        middle = (low + high) // 2  # the comparison holds at `high` and above, never below `low`
        holds = _holds(model, source, np.minimum(middle, high - 1))
        open_ = low < high
        high = np.where(open_ & holds, middle, high)
        low = np.where(open_ & ~holds, middle + 1, low)
    return low


def _holds(model: TrainedDwn, source: ir.Input, codes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether bit ``b`` of feature ``f`` is set at ``codes[f, b]``, in the model's own arithmetic."""
    bits = [
        model.binarize(decode(source, codes[:, b][None, :], model_dtype(model)))[0, :, b] for b in range(codes.shape[1])
    ]
    return np.stack(bits, axis=1)


def model_dtype(model: TrainedDwn) -> np.dtype[Any]:
    """The dtype in which the model receives its features: the scaler's, or else the thresholds'."""
    return model.thresholds.dtype if model.scaler is None else model.scaler.offset.dtype


def check_encoder(model: TrainedDwn, network: ir.Network, codes: npt.NDArray[np.int64]) -> int:
    """Compare the frozen encoder with the model's own comparisons at ``codes``. Returns how many bits were compared.

    Raises Mismatch with the first difference.
    """

    def bits(part: npt.NDArray[np.int64]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        wanted = model.binarize(decode(network.input, part, model_dtype(model))).reshape(len(part), -1)
        return wanted, evaluate.apply(network.nodes[0], part)

    return _equal("thermometer bit", codes, model.thresholds.size, bits)


def check_reference(
    reference: Callable[[npt.NDArray[Any]], npt.NDArray[Any]], network: ir.Network, codes: npt.NDArray[np.int64]
) -> int:
    """Compare ``network`` with a reference from thermometer bits (samples, bits) to group sums. Returns how many sums were
    compared.
    """

    def sums(part: npt.NDArray[np.int64]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        values = evaluate.trace(network, part)
        return reference(values[1]), values[-2]

    return _equal("group sum", codes, sum(step.after.size for step in network.steps()), sums)


def check_scores(network: ir.Network, other: ir.Network, codes: npt.NDArray[np.int64]) -> int:
    """Compare what the last node of both networks receives at ``codes``. Returns how many values were compared."""
    before, after = Emulator(network), Emulator(other)
    return _equal("optimized group sum", codes, 1, lambda part: (before.run(part)[0], after.run(part)[0]))


#: How many values of a comparison are held at once.
_VALUES_AT_ONCE = 1 << 22


def _equal(
    what: str,
    codes: npt.NDArray[np.int64],
    values: int,
    both: Callable[[npt.NDArray[np.int64]], tuple[npt.NDArray[Any], npt.NDArray[Any]]],
) -> int:
    """Compare what ``both`` gives for ``codes``, some at a time, of so many ``values`` each. Returns how many were compared."""
    at_once, count = max(1, _VALUES_AT_ONCE // values), 0
    for start in range(0, len(codes), at_once):
        wanted, got = both(codes[start : start + at_once])
        if wanted.shape != got.shape:
            raise Mismatch(f"{what}: the model gives shape {wanted.shape}, the frozen network {got.shape}")
        different = np.argwhere(wanted != got)
        if len(different):
            sample, unit = (int(i) for i in different[0])
            raise Mismatch(
                f"{what} {unit} of sample {start + sample}: the model gives {int(wanted[sample, unit])}, the frozen network "
                f"{got[sample, unit]} ({len(different)} of {wanted.size} differ)"
            )
        count += int(wanted.size)
    return count


def _check_port(port: input_port.Port, features: int) -> None:
    for name, values in (("formats", port.formats), ("steps", port.steps)):
        if len(values) not in (1, features):
            rule = f"one of {name}, or one for each of {features} features"
            raise CheckpointError(Problem("input format", rule, f"{len(values)}", "State one format for all features."))


def _check_order(model: TrainedDwn) -> None:
    """Refuse what would not keep the order of codes, which bisection relies on."""
    remedy = "Fit the thermometer and the scaler again, on clean data."
    if model.thresholds.dtype.kind != "f" or np.isnan(model.thresholds).any():
        got = f"{model.thresholds.dtype}, {int((model.thresholds != model.thresholds).sum())} NaN"
        raise CheckpointError(Problem("thermometer", "thresholds are floating-point numbers", got, remedy))
    scaler = model.scaler
    if scaler is None:
        return
    if scaler.kind not in ("standard", "minmax"):
        raise CheckpointError(Problem("scaler", "its kind is standard or minmax", repr(scaler.kind), remedy))
    for name, values in (("offset", scaler.offset), ("factor", scaler.factor)):
        bad = np.flatnonzero(~np.isfinite(values) | ((values <= 0) & (name == "factor")))
        if values.dtype.kind != "f" or len(bad):
            rule = "every factor is a finite number above 0, every offset a finite number"
            got = f"{name} {values.flat[bad[0]]} at {bad[0]}" if len(bad) else f"{name} of {values.dtype}"
            raise CheckpointError(Problem("scaler", rule, got, remedy))


def _scaler_text(model: TrainedDwn) -> str:
    return "none" if model.scaler is None else f"{model.scaler.kind}, folded into the thresholds"
