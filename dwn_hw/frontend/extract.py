"""Makes a :class:`~dwn_hw.frontend.trained_dwn.TrainedDwn` of what a checkpoint holds, or of live modules.

Every problem that can be known is found before anything is refused: they come together in one
:class:`~dwn_hw.errors.CheckpointError`. Needs no torch: live modules are read through their dictionaries.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dwn_hw.frontend import saved_columns, training_record
from dwn_hw.frontend.beside import Beside
from dwn_hw.frontend.integer_networks.trained_network import LINEAR_LAYERS, SHIFT_LAYERS
from dwn_hw.frontend.module_state import (
    Findings,
    Layer,
    class_of,
    full_name,
    mapping,
    state_of,
    switch,
    text_list,
    whole,
)
from dwn_hw.frontend.pickles.standins import shown
from dwn_hw.frontend.read_luts import LutSource, lut_source, part_name, read_group, read_layer
from dwn_hw.frontend.read_thermometer import (
    THERMOMETERS,
    check_scaler_width,
    fit_width,
    read_scaler,
    read_thresholds,
    scaler_features,
    sklearn_names,
)
from dwn_hw.frontend.saved_forms import RESAVE, Choice, Parts, recognise
from dwn_hw.frontend.trained_dwn import TrainedDwn, TrainedGroupSum, TrainedLutLayer
from dwn_hw.ir.arrays import Floats

_VANISHING = {"Flatten", "Identity", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout"}
_KNOWN = "Thermometer, LUTLayer, STE, GroupSum, Flatten, Dropout, Identity and Sequential"
_ORDER = "thermometer, LUT layers, GroupSum"


def extract(content: Any, source: str = "", choice: Choice | None = None) -> TrainedDwn:
    """The trained network in ``content``, which :func:`dwn_hw.frontend.checkpoints.read` gave, or which is live.

    ``content`` is a module, a dictionary {"model", "thermometer"[, "scaler"]} or {"state_dict",
    "thermometer", "config"[, "scaler", "classes", "feature_names"]}, or one of our own saves. ``source`` names it in
    messages; ``choice``: which network of several.
    """
    found = Findings(source or "model")
    return _assemble(recognise(content, found, choice or Choice()), source, found)


def extract_modules(
    model: Any,
    thermometer: Any = None,
    scaler: Any = None,
    class_names: Any = None,
    feature_names: Any = None,
    source: str = "",
    table: Any = None,
) -> TrainedDwn:
    """The trained network in live modules: ``model`` is a ``torch.nn.Sequential`` of torch_dwn's layers or ours.

    The thermometer is given, or stands first in the model.
    """
    found = Findings(source or "model")
    parts = recognise(model, found, Choice())
    parts.beside = Beside(thermometer, scaler, _given(class_names), _given(feature_names), table=table)
    return _assemble(parts, source, found)


@dataclass(slots=True)
class _Roles:
    """The layers of a model by what they do."""

    thermometers: list[Layer] = field(default_factory=list)
    luts: list[LutSource] = field(default_factory=list)
    groups: list[Layer] = field(default_factory=list)
    binary: bool = True  # whether what comes out last is bits


def _assemble(parts: Parts, source: str, found: Findings) -> TrainedDwn:
    """Read all parts, then refuse or build."""
    _refuse_integers(parts, found)
    roles = _sort(parts, found)
    thresholds = _thermometer(parts, roles, found)
    scaler = read_scaler(parts.beside.scaler, found)
    table = saved_columns.read(parts.beside.table, found)
    names = parts.beside.feature_names if parts.beside.feature_names is not None else sklearn_names(parts.beside.scaler)
    feature_names = _names("feature_names", names, found) if table is None else table.feature_names
    if thresholds is not None and roles.luts:
        features = scaler_features(scaler) or len(feature_names) or None
        thresholds = fit_width(thresholds, roles.luts[0].width, features, found)
        check_scaler_width(scaler, len(thresholds), found)
        _count("feature_names" if table is None else "table", feature_names, len(thresholds), "features", found)
    layers, bits = _layers(roles, None if thresholds is None else thresholds.size, found)
    group = _group(roles, bits, found)
    class_names = _names("class names", parts.beside.class_names, found)
    if group is not None:
        _count("class names", class_names, group.k, "classes", found)
    found.stop()
    assert thresholds is not None
    assert group is not None
    return TrainedDwn(
        thresholds, scaler, tuple(layers), group, class_names, feature_names, _words(source, parts),
        tuple(found.assumed), tuple(found.unused), training_record.read(parts.beside.training), parts.beside.reported,
        table,
    )  # fmt: skip


def _words(source: str, parts: Parts) -> str:
    return f"{source}: {parts.form}" if source else parts.form


def _refuse_integers(parts: Parts, found: Findings) -> None:
    """Refuse a network that counts in integers, once: its forward says what it is, and is in a file of the user's."""
    names = [class_of(module)[1] for _, module in parts.layers]
    summing = [name for name in names if name in (*SHIFT_LAYERS, *LINEAR_LAYERS)]
    if summing and "LUTLayer" not in names:
        remedy = (
            'Save its weights, torch.save(model.state_dict(), "weights.pt"), and name its class: --arch FILE.py:CLASS. '
        )
        remedy += "Live, it goes to dwn_hw.export(model, …)."
        got = ", ".join(dict.fromkeys(summing))
        found.add("", "must consist of look-up tables, or come with the class that it is of", f"layers {got}", remedy)
        found.stop()


def _sort(parts: Parts, found: Findings) -> _Roles:
    """Give each layer its role; list every layer that has none, or that stands in the wrong place."""
    roles = _Roles()
    for layer in parts.layers:
        name = class_of(layer[1])[1]
        if name in _VANISHING:
            _check_flatten(layer, found)
        elif name in THERMOMETERS:
            _in_place(layer, not roles.luts and not roles.groups and not roles.thermometers, found)
            roles.thermometers.append(layer)
        elif name == "LUTLayer":
            _in_place(layer, not roles.groups, found)
            roles.luts.append(lut_source(layer))
            roles.binary = _steps(roles.luts[-1], found)
        elif name == "STE":
            _in_place(layer, not roles.groups, found)
            roles.binary = True
        elif name == "GroupSum":
            _in_place(layer, bool(roles.luts) and not roles.groups, found)
            roles.groups.append(layer)
        else:
            _unknown(layer, parts.key, found)
    _needs_ste(roles, found)
    return roles


def _unknown(layer: Layer, key: str, found: Findings) -> None:
    """Refuse a layer of another class; of a class of the user's own that holds layers, with the line that saves these."""
    position, module = layer
    got = f"{full_name(module)} at position {position or '0'}"
    remedy = "The hardware has no exact form of it: train without it, or move it before the thermometer."
    children = mapping(state_of(module).get("_modules"))
    if children:
        path = f"model.{position}" if position else "model"
        steps = ", ".join(f"{path}.{shown(name, 40)}" for name in list(children)[:12])
        inside = ", ".join(dict.fromkeys(class_of(child)[1] for child in children.values()))
        got += f", a class of its own with {shown(inside, 200)}"
        remedy = (
            f"Its forward is not run here. Save its layers in their order: dwn_hw.save(torch.nn.Sequential({steps}), …)"
        )
        chains = [name for name, child in children.items() if class_of(child)[1] == "Sequential"]
        place = ".".join(part for part in (key, position, *(shown(name, 40) for name in chains[:1])) if part)
        remedy += f"; or say which part is the whole network: --key {place}." if chains else "."
    found.add("", f"a model must consist of {_KNOWN}", got, remedy)


def _in_place(layer: Layer, right: bool, found: Findings) -> None:
    if not right:
        remedy = "Put the layers of the torch.nn.Sequential in that order."
        found.add(part_name(layer), f"must stand in the order {_ORDER}", "another order", remedy)


def _needs_ste(roles: _Roles, found: Findings) -> None:
    """Refuse a vote of numbers that are no bits: without STE a layer puts out its tables' own entries.

    Between layers that changes nothing: the next one reads each as a bit, ``x > 0``, which is what an STE gives.
    """
    if not roles.binary:
        remedy = "Put an STE() behind it, or train with ste=True."
        found.add(roles.luts[-1].part, "outputs must be bits", "ste=False and no STE behind it", remedy)
        roles.binary = True


def _steps(source: LutSource, found: Findings) -> bool:
    """Whether a layer ends in its own STE, from whatever says so."""
    said = switch(source.ste)
    if said is None:
        found.add(source.part, "ste must be True or False", full_name(source.ste), "Save the layer's own attribute.")
    return said is not False


def _check_flatten(layer: Layer, found: Findings) -> None:
    state = state_of(layer[1])
    ends = whole(state.get("start_dim", 1)), whole(state.get("end_dim", -1))
    if class_of(layer[1])[1] == "Flatten" and ends not in ((1, -1), (-2, -1)):
        found.add(part_name(layer), "must flatten from start_dim=1 to the end", "other ends", "Use torch.nn.Flatten().")


def _thermometer(parts: Parts, roles: _Roles, found: Findings) -> Floats | None:
    if roles.thermometers and parts.beside.thermometer is not None:
        got = f"one beside it and {part_name(roles.thermometers[0])} in it"
        found.add("thermometer", "a model must have one", got, "Give the thermometer only once.")
    if roles.thermometers:
        return read_thresholds(roles.thermometers[0][1], found)
    if parts.beside.thermometer is None:
        found.add("", "must hold the thermometer that the model was trained with", "a model without one", RESAVE)
        return None
    return read_thresholds(parts.beside.thermometer, found)


def _layers(roles: _Roles, bits: int | None, found: Findings) -> tuple[list[TrainedLutLayer], int | None]:
    """The LUT layers, each checked against the width before it; and the width in bits that comes out, if known."""
    read: list[TrainedLutLayer] = []
    width = roles.luts[0].width if roles.luts and roles.luts[0].width is not None else bits
    for source in roles.luts:
        layer = read_layer(source, width, found)
        read += [layer] if layer is not None else []
        width = len(source.luts) if source.luts is not None and source.luts.ndim == 2 else None
    if not roles.luts:
        found.add("", "must hold at least one LUTLayer", "none", "Give a trained DWN.")
    return read, width


def _group(roles: _Roles, bits: int | None, found: Findings) -> TrainedGroupSum | None:
    if roles.groups:
        return read_group(roles.groups[0], bits, found)
    if roles.luts:
        remedy = "End the torch.nn.Sequential with GroupSum(k=the number of classes, tau=…)."
        found.add("", "must end in a GroupSum, which alone knows the class count", "none", remedy)
    return None


def _given(names: Any) -> Any:
    """The names, or None where there are none at all, which counts as none given."""
    return None if names is None or len(names) == 0 else names


def _names(what: str, value: Any, found: Findings) -> tuple[str, ...]:
    if value is None:
        return ()
    names = text_list(value)
    if names is None:
        found.add(what, "must be a list of text", full_name(value), "Give a list of names, or leave it out.")
    return names or ()


def _count(what: str, names: tuple[str, ...], count: int, of: str, found: Findings) -> None:
    if names and len(names) != count:
        found.add(
            what, f"must name each of the {count} {of}", f"{len(names)} names", "Give one name for each, or none."
        )
