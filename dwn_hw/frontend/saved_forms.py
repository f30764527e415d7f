"""Brings the forms in which a trained model is saved to one: :class:`Parts`.

Whole modules, a state_dict with its thermometer and configuration, and this project's own saves all become a list
of layers in order (real modules, or inert ones made up from arrays) with what belongs to them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dwn_hw.frontend import networks, training_record
from dwn_hw.frontend.beside import Beside, read_beside
from dwn_hw.frontend.layer_order import in_order
from dwn_hw.frontend.module_state import (
    Findings,
    Layer,
    array,
    flatten,
    full_name,
    is_module,
    mapping,
    state_of,
    text_list,
    whole,
)
from dwn_hw.frontend.pickles.standins import Inert, shown

FORMAT = "dwn-hw"
VERSION = 1

#: What ``kind`` says in our own save of a network of shift layers; a DWN's says none.
SHIFT = "shift"

#: The remedy with the line that saves a model right.
RESAVE = (
    'Save it with torch.save({"model": model, "thermometer": thermometer, "scaler": scaler}, "model.pt"), '
    'or with dwn_hw.save(model, "model.pt", thermometer=thermometer, scaler=scaler).'
)

_TABLES = re.compile(r"(?:(.*)\.)?luts")
_PARTS_OF_A_LAYER = (
    "luts",
    "mapping",
    "mapping.weights",
    "mapping.candidates",
    "_LUTLayer__dummy_mapping",
    "alpha",
    "beta",
)
_CLASS_COUNTS = ("num_classes", "n_classes", "k")

#: Arrays of a state_dict that count something, and are no part of a network: of AveragedModel.
_COUNTERS = ("n_averaged",)


@dataclass(frozen=True, slots=True)
class Choice:
    """What the user says of a checkpoint: the ``key`` of the network in it, dotted where it lies deeper (or where it is a root of
    names in a state_dict), and the entries beside the network to be ``ignored``. ``sorted_names``: the file sorts its arrays.
    """

    key: str | None = None
    ignored: tuple[str, ...] = ()
    sorted_names: bool = False


@dataclass(slots=True)
class Parts:
    """A model taken apart: layers in order, and what is kept beside them; ``key``: by which ``--key`` finds it."""

    form: str
    layers: list[Layer] = field(default_factory=list)
    beside: Beside = field(default_factory=Beside)
    key: str = ""


def recognise(content: Any, found: Findings, choice: Choice) -> Parts:
    """Tell the forms apart; what is none of them is refused with what would be."""
    top = ""
    if is_module(content):
        content, top = {"model": content}, "model"
        choice = choice if choice.key is None else replace(choice, key=f"model.{choice.key}")
    if not isinstance(content, Mapping):
        raise _no_model(f"an object of type {full_name(content)}", found)
    if isinstance(content.get("format"), str) and content["format"] == FORMAT and choice.key is None:
        return _own(content, found)
    picked = networks.pick(content, choice.key, found)
    if picked is None and content and all(isinstance(key, str) and _is_array(value) for key, value in content.items()):
        raise _bare(content, found)
    if picked is None:
        keys = ", ".join(shown(key, 30) for key in list(content)[:8])
        raise _no_model(f"a dictionary with the keys {keys or '(none)'}", found)
    entries = {key: value for key, value in picked.beside.items() if key not in picked.used}
    model, root = picked.network, picked.root
    arrays = {} if is_module(model) else {key: value for key, value in model.items() if isinstance(key, str)}
    inside = {key.removeprefix(root): value for key, value in arrays.items() if key.startswith(root)}
    if other := sorted({key.partition(".")[0] for key in arrays if not key.startswith(root)}):
        found.unused += [f"{shown(name, 40)}.*" for name in other]
    kept = {name.rpartition(".")[2]: name for name in inside if name.partition(".")[0] in ("scaler", "normalizer")}
    if kept and "scaler" not in entries:  # arrays of a scaler among those of the layers, as safetensors must have them
        entries["scaler"] = {short: inside.pop(name) for short, name in kept.items()}
    beside = read_beside(entries, choice.ignored, found)
    if is_module(model):
        return Parts("whole module", flatten(model, found), beside, picked.name.removeprefix(top))
    return _dictionary(inside, beside, choice, found)


def _no_model(got: str, found: Findings) -> Exception:
    found.add("", 'must hold a model: {"model", "thermometer"} or {"state_dict", "thermometer", "config"}', got, RESAVE)
    return found.error()


def _is_array(value: object) -> bool:
    values = None if isinstance(value, int | float | list | tuple) else array(value)
    return values is not None


def _bare(content: Mapping[str, Any], found: Findings) -> Exception:
    """The refusal of a state_dict alone, which says neither where the thresholds are nor how many classes there are."""
    layers = sum(1 for key in content if _TABLES.fullmatch(key))
    got = f"a bare state_dict ({len(content)} arrays, {layers} LUT layers)"
    if not layers:
        remedy = "Name the class of a network of another kind with --arch FILE.py:CLASS."
        found.add("", "must be a DWN, or come with its architecture", got, remedy)
        return found.error()
    found.add("", "must hold the thermometer and the class count, which are in no state_dict", got, RESAVE)
    return found.error()


def inert(class_name: str, state: Mapping[str, Any]) -> Inert:
    """A layer made up from what is known of it."""
    module = Inert("torch_dwn", class_name)
    module.__dict__.update(state)
    return module


def _dictionary(arrays: Mapping[str, Any], beside: Beside, choice: Choice, found: Findings) -> Parts:
    """The parts of a state_dict, whose layers are known by the names of their arrays, and of its configuration."""
    config = beside.config
    unordered = [match[1] or "" for key in arrays if (match := _TABLES.fullmatch(key))]
    positions = in_order(unordered, arrays, found, choice.sorted_names)
    parts = Parts("state_dict", beside=beside)
    steps = [_lut_layer(arrays, position, {}) for position in positions]
    for index, layer in enumerate(steps):
        _say(layer, "n", config.get("n"), index)
        _say(layer, "output_size", config.get("layers"), index)
        _say(layer, "ste", config.get("ste"), index)
    parts.layers += zip(positions, steps, strict=True)
    if positions:
        parts.layers.append(("", _group(arrays, beside, found)))
        if config.get("ste") is None:
            found.assume("the outputs of each layer are bits (ste=True, as torch_dwn's layers have it)")
    _unknown_arrays(arrays, positions, parts, found)
    sizes = config.get("layers")
    if isinstance(sizes, list | tuple) and len(sizes) != len(positions):
        rule = f"must have as many LUT layers as config says ({len(sizes)})"
        found.add("", rule, f"{len(positions)} in the state_dict", "Save the state_dict and config of the same model.")
    bits = whole(config.get("thermometer_bits"))
    thermometer = beside.thermometer
    if bits is not None and isinstance(thermometer, Mapping):
        beside.thermometer = {"num_bits": bits, **thermometer}
    elif bits is not None and array(thermometer) is not None:
        beside.thermometer = {"num_bits": bits, "thresholds": thermometer}
    return parts


def _lut_layer(arrays: Mapping[str, Any], position: str, state: Mapping[str, Any]) -> Inert:
    prefix = f"{position}." if position else ""
    layer = inert("LUTLayer", {**state, "luts": arrays.get(f"{prefix}luts")})
    weights = arrays.get(f"{prefix}mapping.weights")
    learned = weights is not None
    layer.__dict__["mapping"] = (
        inert("LearnableMapping", {"weights": weights, "candidates": arrays.get(f"{prefix}mapping.candidates")})
        if learned
        else arrays.get(f"{prefix}mapping")
    )
    return layer


def _say(layer: Inert, name: str, said: Any, index: int) -> None:
    """Add to a layer what the configuration says of it, to be compared with its arrays."""
    if isinstance(said, list | tuple):
        said = said[index] if index < len(said) else None
    if said is not None:
        layer.__dict__[name] = said


def _group(arrays: Mapping[str, Any], beside: Beside, found: Findings) -> Inert:
    """The vote. A state_dict holds at most its permutation, so the class count comes from the configuration."""
    config = beside.config
    counts = [config[key] for key in (*_CLASS_COUNTS, "classes") if whole(config.get(key)) is not None]
    names = text_list(beside.class_names)
    k = counts[0] if counts else len(names) if names else None
    orders = [value for key, value in arrays.items() if key.rpartition(".")[2] == "randperm"]
    orders += [value for value in (beside.permutation, config.get("randperm")) if value is not None]
    if not orders:
        found.assume("no permutation in front of the group sum: torch_dwn keeps its randperm in no state_dict")
    if config.get("tau") is None:
        found.assume("tau = 1: scores are sums divided by it, and the class is the same for any")
    return inert("GroupSum", {"k": k, "tau": config.get("tau", 1), "randperm": orders[0] if orders else None})


def _unknown_arrays(arrays: Mapping[str, Any], positions: list[str], parts: Parts, found: Findings) -> None:
    """Refuse every array that belongs to no layer which this project knows."""
    known = {f"{position}.{name}".lstrip(".") for position in positions for name in _PARTS_OF_A_LAYER}
    for key, value in arrays.items():
        last = key.rpartition(".")[2]
        if key in known or last == "randperm" or key in _COUNTERS:
            continue
        if last == "thresholds" and parts.beside.thermometer is None:
            parts.beside.thermometer = {"thresholds": value}
            continue
        rule = "must hold LUT layers, a thermometer and a group sum alone"
        got = f"an array {shown(key)} in the state_dict"
        found.add("", rule, got, "Train the model without that layer; the hardware has no exact form of it.")


def _own(content: Mapping[Any, Any], found: Findings) -> Parts:
    """The parts of this project's own save: the list of layers with their options, and the state_dict."""
    check_version(content, found)
    beside = Beside(
        thermometer=content.get("thermometer"),
        scaler=content.get("scaler"),
        class_names=content.get("class_names"),
        feature_names=content.get("feature_names"),
        training=content.get("training"),
        table=content.get("table"),
        reported=training_record.reported(content),
    )
    parts = Parts("dwn-hw save, version 1", beside=beside)
    arrays = mapping(content.get("state_dict"))
    listed = content.get("layers")
    for entry in listed if isinstance(listed, list) else ():
        entry = mapping(entry)
        position, kind = shown(entry.get("position", "")), shown(entry.get("kind"))
        options = {key: value for key, value in mapping(entry.get("options")).items() if isinstance(key, str)}
        if kind == "LUTLayer":
            parts.layers.append((position, _lut_layer(arrays, position, options)))
            continue
        prefix = f"{position}." if position else ""
        buffers = {name: arrays[prefix + name] for name in ("randperm", "thresholds") if prefix + name in arrays}
        parts.layers.append((position, inert(kind, {**options, **buffers})))
    return parts


def check_version(content: Mapping[Any, Any], found: Findings) -> None:
    """Refuse a save of this project's own of another version."""
    version = whole(content.get("version"))
    if version != VERSION:
        rule = f"must be of version {VERSION} of the dwn-hw format"
        newer = ", which is newer" if version is not None and version > VERSION else ""
        found.add(
            "", rule, f"version {shown(version)}{newer}", "Install the release of dwn-hw that wrote it, or a newer one."
        )
        raise found.error()


def is_shift(content: Any) -> bool:
    """Whether a checkpoint is this project's own save of a network of shift layers."""
    return isinstance(content, Mapping) and content.get("format") == FORMAT and content.get("kind") == SHIFT


def sketch(layers: list[Layer]) -> list[dict[str, Any]]:
    """The list of layers for our own save: position, kind, and every plain option; arrays as they are."""
    return [
        {"position": position, "kind": full_name(module).rpartition(".")[2], "options": _options(module)}
        for position, module in layers
    ]


def _options(module: object) -> dict[str, Any]:
    state = {**state_of(module)}
    learned = state_of(state.get("mapping"))
    if "weights" in learned and "tau" in learned:
        state["lm_tau"] = learned["tau"]
    hidden = {"luts", "mapping", "training", "thresholds"}
    public = {key: value for key, value in state.items() if not key.startswith("_") and key not in hidden}
    return {key: _plain(value) for key, value in public.items() if value is None or _plain(value) is not None}


def _plain(value: object) -> Any:
    """A plain value as it is, a small array as a list, anything else as None."""
    if isinstance(value, bool | int | float | str):
        return value
    values = array(value)
    return None if values is None else values.tolist()
