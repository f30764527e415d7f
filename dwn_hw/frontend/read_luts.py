"""Reads and checks the LUT layers and the group sum of a checkpoint.

Semantics: a table bit is ``luts > 0``, strictly; slot 0 is the least significant bit of the address; a
learnable mapping means ``weights.argmax(dim=0)`` (the first maximum), reshaped to (luts, n); with candidates, the index of
one of these. A learnable
layer also holds ``_LUTLayer__dummy_mapping`` in the shape of a mapping: it is never read here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dwn_hw.frontend.module_state import Findings, Layer, array, class_of, state_of, whole
from dwn_hw.frontend.pickles.standins import AnyArray, shown
from dwn_hw.frontend.trained_dwn import TrainedGroupSum, TrainedLutLayer
from dwn_hw.ir.arrays import Integers

_MAX_INPUTS = 8
_RETRAIN = "Check the training for divergence, and save again."
_DAMAGED = "The file does not hold what torch_dwn saves; save the model again."


@dataclass(frozen=True, slots=True)
class LutSource:
    """One LUT layer as found: raw arrays (None where there are none), and what the layer says of itself."""

    part: str
    luts: AnyArray | None
    mapping: AnyArray | None
    weights: AnyArray | None
    candidates: AnyArray | None
    inputs: int | None
    outputs: int | None
    n: int | None
    ste: object

    @property
    def width(self) -> int | None:
        """The number of bits that come in, where the layer knows it."""
        learned = self.weights is not None and self.weights.ndim == 2 and self.candidates is None
        return self.weights.shape[0] if self.inputs is None and learned and self.weights is not None else self.inputs


def part_name(layer: Layer) -> str:
    """The name of a layer in messages."""
    position, module = layer
    return f"layer {position or '0'} ({shown(class_of(module)[1])})"


def lut_source(layer: Layer) -> LutSource:
    """Take the arrays out of a ``LUTLayer``."""
    state = state_of(layer[1])
    mapping = state.get("mapping")
    return LutSource(
        part=part_name(layer),
        luts=array(state.get("luts")),
        mapping=array(mapping),
        weights=array(state_of(mapping).get("weights")),
        candidates=array(state_of(mapping).get("candidates")),
        inputs=whole(state.get("input_size")),
        outputs=whole(state.get("output_size")),
        n=whole(state.get("n")),
        ste=state.get("ste", True),
    )


def read_layer(source: LutSource, inputs: int | None, found: Findings) -> TrainedLutLayer | None:
    """Check one layer that gets ``inputs`` bits (None: not known), and read it."""
    before = len(found.problems)
    n = _table_inputs(source, found)
    if source.inputs is not None and inputs is not None and source.inputs != inputs:
        rule = f"input_size must be the {inputs} bits that come in"
        found.add(source.part, rule, str(source.inputs), "Make the layer widths chain.")
    if n is None or source.luts is None:
        return None
    limit = inputs if inputs is not None else source.width
    wires = _wires(source, n, limit, found)
    if wires is None or len(found.problems) > before:
        return None
    return TrainedLutLayer(wires, (source.luts > 0).astype(np.uint8))


def _table_inputs(source: LutSource, found: Findings) -> int | None:
    """The number of inputs of each LUT, from its table, or None where the table is wrong."""
    luts = source.luts
    if luts is None or luts.ndim != 2 or not luts.size:
        got = "no numbers" if luts is None else f"shape {luts.shape}"
        found.add(source.part, "luts must be an array (luts, 2**n) of numbers", got, _DAMAGED)
        return None
    n = int(luts.shape[1]).bit_length() - 1
    if luts.shape[1] != 1 << n or not 1 <= n <= _MAX_INPUTS:
        rule = f"a table must have 2**n entries with n from 1 to {_MAX_INPUTS}"
        found.add(source.part, rule, f"{luts.shape[1]} entries", f"Train with n from 1 to {_MAX_INPUTS}.")
        return None
    for name, said, real in (("n", source.n, n), ("output_size", source.outputs, luts.shape[0])):
        if said is not None and said != real:
            rule = f"{name} must agree with the tables of shape {luts.shape}, which say {real}"
            found.add(source.part, rule, str(said), _DAMAGED)
    _no_nan(source.part, "luts", luts, found)
    return n


def _wires(source: LutSource, n: int, inputs: int | None, found: Findings) -> Integers | None:
    """The indices (luts, n) of the layer's inputs, each checked."""
    luts = len(source.luts) if source.luts is not None else 0
    if source.weights is not None:
        return _learned(source, source.weights, (luts, n), inputs, found)
    wires = source.mapping
    if wires is None or wires.dtype.kind not in "iu":
        got = "nothing that is one" if wires is None else f"numbers of type {wires.dtype}"
        found.add(source.part, f"mapping must be an array {(luts, n)} of integers", got, _DAMAGED)
        return None
    if wires.shape != (luts, n):
        found.add(source.part, f"mapping must have shape {(luts, n)}", f"shape {wires.shape}", _DAMAGED)
        return None
    top = int(wires.max()) if inputs is None else inputs - 1
    outside = np.argwhere((wires < 0) | (wires > top))
    if len(outside):
        lut, slot = (int(index) for index in outside[0])
        rule = f"wires must point at 0..{top}"
        got = f"{int(wires[lut, slot])} at LUT {lut}, slot {slot} (the first of {len(outside)})"
        found.add(source.part, rule, got, "Make input_size the width of what comes before.")
        return None
    return wires.astype(np.int64)


def _learned(
    source: LutSource, weights: AnyArray, shape: tuple[int, int], inputs: int | None, found: Findings
) -> Integers | None:
    if source.candidates is not None:
        return _among(source, weights, source.candidates, shape, inputs, found)
    slots = shape[0] * shape[1]
    width = weights.shape[0] if weights.ndim == 2 and inputs is None else inputs
    if weights.shape != (width, slots) or not weights.size:
        rule = f"weights of the learnable mapping must have shape {(width, slots)} (inputs, luts·n)"
        found.add(source.part, rule, f"shape {weights.shape}", "Make input_size the width of what comes before.")
        return None
    if not _no_nan(source.part, "weights of the learnable mapping", weights, found):
        return None
    wires: Integers = weights.argmax(axis=0).astype(np.int64).reshape(shape)
    return wires


def _among(
    source: LutSource,
    weights: AnyArray,
    candidates: AnyArray,
    shape: tuple[int, int],
    inputs: int | None,
    found: Findings,
) -> Integers | None:
    """The wires of a mapping that chose among candidates: of each slot that whose weight is greatest, the first of equals."""
    slots = shape[0] * shape[1]
    if weights.ndim != 2 or weights.shape[1] != slots or not weights.size or candidates.shape != weights.shape:
        rule = f"weights and candidates of the learnable mapping must have one shape (candidates, {slots})"
        found.add(source.part, rule, f"shapes {weights.shape} and {candidates.shape}", _DAMAGED)
        return None
    top = None if inputs is None else inputs - 1
    if candidates.dtype.kind not in "iu" or candidates.min() < 0 or (top is not None and candidates.max() > top):
        rule = f"candidates must be whole numbers in 0..{'' if top is None else top}"
        got = f"{candidates.dtype} in {candidates.min()}..{candidates.max()}"
        found.add(source.part, rule, got, "Make input_size the width of what comes before.")
        return None
    if not _no_nan(source.part, "weights of the learnable mapping", weights, found):
        return None
    wires: Integers = candidates[weights.argmax(axis=0), np.arange(slots)].astype(np.int64).reshape(shape)
    return wires


def _no_nan(part: str, name: str, values: AnyArray, found: Findings) -> bool:
    bad = np.argwhere(np.isnan(values))
    if len(bad):
        first = tuple(int(index) for index in bad[0])
        found.add(part, f"{name} must be numbers", f"{len(bad)} NaN, the first at {first}", _RETRAIN)
    return not len(bad)


def read_group(layer: Layer, bits: int | None, found: Findings) -> TrainedGroupSum | None:
    """Check the ``GroupSum`` behind ``bits`` bits (None: not known), and read it."""
    before, part, state = len(found.problems), part_name(layer), state_of(layer[1])
    k = whole(state.get("k"))
    if state.get("k") is None:
        remedy = 'Put "num_classes" into "config", or save the whole module.'
        found.add("class count", "must be known; no state_dict holds it", "none", remedy)
        return None
    top = "the number of bits" if bits is None else bits
    if k is None or k < 1 or (bits is not None and k > bits):
        said = state.get("k")
        got = shown(said if k is None else k)
        found.add(
            part, f"k (the number of classes) must be from 1 to {top}", got, "Save the model with its class count."
        )
    tau = _tau(part, state.get("tau", 1), found)
    permutation = _permutation(part, state.get("randperm"), bits, found)
    return TrainedGroupSum(k or 0, tau, permutation) if len(found.problems) == before else None


def _tau(part: str, value: Any, found: Findings) -> float:
    values = array(value)
    tau = float(values.item()) if values is not None and values.size == 1 else math.nan
    if not (math.isfinite(tau) and tau > 0):
        got = shown(value) if values is None else shown(tau)
        found.add(part, "tau must be a finite number above 0, or it would turn the argmax", got, "Train with tau > 0.")
    return tau


def _permutation(part: str, value: Any, bits: int | None, found: Findings) -> Integers | None:
    if value is None or value is False:
        return None
    order = array(value)
    rule = (
        "randperm must hold each of 0..N-1 once" if bits is None else f"randperm must hold each of 0..{bits - 1} once"
    )
    if order is None or order.ndim != 1 or order.dtype.kind not in "iu":
        found.add(part, rule, "no list of integers", "Save the whole module, whose permutation is known.")
        return None
    count = len(order) if bits is None else bits
    if len(order) != count or not np.array_equal(np.sort(order), np.arange(count)):
        found.add(part, rule, f"{len(order)} numbers of which {len(np.unique(order))} differ", "Save the model again.")
        return None
    return order.astype(np.int64)
