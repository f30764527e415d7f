"""Reads and checks the thermometer and the scaler of a checkpoint.

Thresholds come per feature, (features…, bits), or shared, (bits,) or (1, bits); shared ones are repeated for
each feature. Their dtype is kept, since the comparison is made in it; half precision becomes float32, integers
float64, each without a change of value. Scalers keep the dtype of their parameters too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dwn_hw.frontend.module_state import Findings, State, array, class_of, flag, full_name, mapping, state_of, whole
from dwn_hw.frontend.pickles.standins import AnyArray, Inert, shown
from dwn_hw.frontend.trained_dwn import Scaler
from dwn_hw.ir.arrays import Floats

_MAX_INPUTS = 1 << 24
#: The classes of thermometers, torch_dwn's and ours.
THERMOMETERS = ("Thermometer", "GaussianThermometer", "DistributiveThermometer")

#: scikit-learn's scalers, each one shift and one positive factor a feature.
SCALERS = ("StandardScaler", "MinMaxScaler", "RobustScaler", "MaxAbsScaler")

_SCALERS = f"{', '.join(SCALERS)}, or a dict of mean and scale"


def read_thresholds(thermometer: Any, found: Findings) -> Floats | None:
    """The thresholds (features, bits), or (1, bits) where they may be shared; None where they are unusable."""
    part = "thermometer"
    is_object = isinstance(thermometer, Inert) or hasattr(thermometer, "__dict__")
    state = thermometer if isinstance(thermometer, Mapping) else state_of(thermometer) if is_object else {}
    raw = state.get("thresholds") if "thresholds" in state else thermometer
    if "thresholds" in state and raw is None:
        found.add(part, "must be fitted", "no thresholds", "Call thermometer.fit(x_train) before saving.")
        return None
    values = array(raw)
    if values is None or not values.ndim or not values.size or values.dtype.kind == "b":
        got = full_name(raw) if values is None else f"shape {values.shape}, {values.dtype}"
        rule = "thresholds must be an array (features, bits) of numbers"
        found.add(part, rule, got, "Save the thermometer object, or its thresholds as a tensor.")
        return None
    bits = whole(state.get("num_bits"))
    if bits is not None and bits != values.shape[-1]:
        rule = f"thresholds must have shape (features, {bits}), since num_bits is {bits}"
        found.add(part, rule, f"shape {values.shape}", "Save the thresholds as the thermometer holds them.")
    return _finite(values.reshape(-1, values.shape[-1]), values, found)


def _finite(thresholds: AnyArray, original: AnyArray, found: Findings) -> Floats | None:
    bad = np.argwhere(~np.isfinite(original))
    if len(bad):
        first = tuple(int(index) for index in bad[0])
        got = f"{len(bad)} NaN or infinite of {original.size}, the first at {first}"
        found.add("thermometer", "thresholds must be finite", got, "Clean the training data, and fit again.")
        return None
    if thresholds.dtype.kind in "iu":
        exact = thresholds.astype(np.float64)
        if bool((np.abs(exact) > 2.0**53).any()):
            got = shown(int(np.abs(exact).max()))
            found.add("thermometer", "integer thresholds must be below 2**53", got, "Scale the features.")
            return None
        return exact
    return thresholds


def fit_width(thresholds: Floats, inputs: int | None, features: int | None, found: Findings) -> Floats:
    """The thresholds (features, bits) that give the first layer's ``inputs`` bits, where that number is known."""
    rows, bits = thresholds.shape
    if inputs is not None and not 0 < inputs <= _MAX_INPUTS:
        rule = f"input_size of the first layer must be from 1 to {_MAX_INPUTS}"
        found.add("thermometer", rule, str(inputs), "Save the model again.")
        return thresholds
    if rows == 1 and inputs is not None and inputs % bits == 0:
        return np.repeat(thresholds, inputs // bits, axis=0)
    if rows == 1 and inputs is None:
        if features is None:
            rule = "shared thresholds need the number of features"
            remedy = 'Add "feature_names", or save the whole module, which knows its input_size.'
            found.add("thermometer", rule, "neither a scaler per feature nor feature names", remedy)
        return np.repeat(thresholds, features or 1, axis=0)
    if inputs is not None and rows * bits != inputs:
        rule = "features × bits must be the first layer's input_size"
        got = f"{rows} features × {bits} bits = {rows * bits}, and an input_size of {inputs}"
        found.add("thermometer", rule, got, "Save the thermometer that this model was trained with.")
    return thresholds


def read_scaler(scaler: Any, found: Findings) -> Scaler | None:
    """The scaler with parameters of shape (features,) or (1,); None where there is none, or it is unusable."""
    if scaler is None:
        return None
    if isinstance(scaler, Scaler):
        return _checked(scaler.kind, scaler.offset, scaler.factor, scaler.clip, found)
    if isinstance(scaler, Mapping):
        return _from_dict(scaler, found)
    state = state_of(scaler)
    match class_of(scaler)[1]:
        case "StandardScaler":
            return _centred(state, ("mean_", "with_mean"), ("scale_", "with_std"), found)
        case "RobustScaler":
            return _centred(state, ("center_", "with_centering"), ("scale_", "with_scaling"), found)
        case "MaxAbsScaler":
            return _checked(
                "standard", 0.0, state.get("scale_"), (-1, 1) if flag(state.get("clip"), False) else None, found
            )
        case "MinMaxScaler":
            return _minmax(state, found)
    found.add("scaler", f"must be one of {_SCALERS}", full_name(scaler), 'Save {"mean": …, "scale": …} instead.')
    return None


def _from_dict(scaler: Mapping[Any, Any], found: Findings) -> Scaler | None:
    if {"kind", "offset", "factor"} <= set(scaler):
        return _checked(scaler["kind"], scaler["offset"], scaler["factor"], scaler.get("clip"), found)
    for spread in ("scale", "std"):
        if "mean" in scaler and spread in scaler:
            return _checked("standard", scaler["mean"], scaler[spread], None, found)
    keys = ", ".join(shown(key, 20) for key in list(scaler)[:8])
    rule = 'a dict must hold "mean" and "scale" (or "std")'
    found.add("scaler", rule, f"the keys {keys or '(none)'}", 'Save {"mean": …, "scale": …}.')
    return None


def _centred(state: State, centre: tuple[str, str], spread: tuple[str, str], found: Findings) -> Scaler | None:
    """``(x - centre) / spread``, each by the name of its array and of the switch that says whether it is used."""
    mean = state.get(centre[0]) if flag(state.get(centre[1]), True) else 0.0
    scale = state.get(spread[0]) if flag(state.get(spread[1]), True) else 1.0
    return _checked("standard", mean, scale, None, found)


def _minmax(state: State, found: Findings) -> Scaler | None:
    clip = state.get("feature_range", (0, 1)) if flag(state.get("clip"), False) else None
    return _checked("minmax", state.get("min_"), state.get("scale_"), clip, found)


def _checked(kind: Any, offset: Any, factor: Any, clip: Any, found: Findings) -> Scaler | None:
    before = len(found.problems)
    if not isinstance(kind, str) or kind not in ("standard", "minmax"):
        found.add("scaler", 'kind must be "standard" or "minmax"', shown(kind), "Save the scaler again.")
    moved, times = _parameter("offset", offset, found), _parameter("factor", factor, found)
    if times is not None:
        bad = np.flatnonzero(~(times > 0))
        if len(bad):
            rule = "every factor must be above 0, or the scaler would not keep the order of its inputs"
            got = f"{times[bad[0]]} at feature {bad[0]} ({len(bad)} of {times.size})"
            found.add("scaler", rule, got, "Drop constant features, and fit the scaler again.")
    limits = _limits(clip, found)
    if moved is None or times is None or len(found.problems) > before:
        return None
    dtype = np.result_type(moved, times)
    return Scaler(kind, moved.astype(dtype), times.astype(dtype), limits)


def _parameter(name: str, value: Any, found: Findings) -> Floats | None:
    """One parameter as a flat array of finite floats."""
    values = array(value)
    if values is None or not values.size:
        got = "none" if value is None else full_name(value)
        found.add("scaler", f"{name} must be an array of numbers", got, "Fit the scaler before saving.")
        return None
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    flat = values.reshape(-1)
    bad = np.flatnonzero(~np.isfinite(flat))
    if len(bad):
        got = f"{flat[bad[0]]} at feature {bad[0]} ({len(bad)} of {flat.size})"
        found.add("scaler", f"{name} must be finite", got, "Clean the training data, and fit the scaler again.")
        return None
    return flat


def _limits(clip: Any, found: Findings) -> tuple[float, float] | None:
    if clip is None:
        return None
    values = array(list(clip)) if isinstance(clip, list | tuple) else array(clip)
    if values is None or values.shape != (2,) or not values[0] < values[1]:
        found.add("scaler", "feature_range must be two rising numbers", shown(clip), "Fit the scaler again.")
        return None
    return float(values[0]), float(values[1])


def scaler_features(scaler: Scaler | None) -> int | None:
    """The number of features, where a scaler has parameters per feature."""
    count = 1 if scaler is None else max(scaler.offset.size, scaler.factor.size)
    return count if count > 1 else None


def check_scaler_width(scaler: Scaler | None, features: int, found: Findings) -> None:
    """Check that parameters are shared or one per feature."""
    for name, values in (("offset", scaler.offset), ("factor", scaler.factor)) if scaler else ():
        if values.size not in (1, features):
            rule = f"{name} must have one number, or one for each of the {features} features"
            found.add("scaler", rule, str(values.size), "Save the scaler that this model was trained with.")


def sklearn_names(scaler: Any) -> Any:
    """The feature names that scikit-learn keeps when it was fitted on a table with named columns."""
    return None if isinstance(scaler, Mapping) else mapping(state_of(scaler)).get("feature_names_in_")
