"""Our own save of a network of linear shift layers, written and read: the layers in order, their arrays, and the scaler before
them.

So that a trained network exports with no class of the user's beside it. Sizes come from the arrays of the file, never from
numbers in it, so that nothing larger than the file is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from dwn_hw.errors import InputError
from dwn_hw.frontend import saved_columns, saved_forms, training_record
from dwn_hw.frontend.integer_networks.trained_network import LiveModel
from dwn_hw.frontend.module_state import Findings, array, class_of, flatten, mapping, text_list, whole
from dwn_hw.frontend.pickles.standins import AnyArray, shown
from dwn_hw.frontend.read_thermometer import check_scaler_width, read_scaler
from dwn_hw.nn.shift_layers import LinearShift, LinearShiftQ

#: The layers that a save may hold, with the array that says a layer's size.
_LAYERS = {"LinearShift": (LinearShift, "shift"), "LinearShiftQ": (LinearShiftQ, "weight")}

#: What a shift layer is told beside its sizes, with what it is where a file does not say.
_OPTIONS = {"weight_bits": None, "act_integer_bits": None, "act_fraction_bits": None}

_KNOWN = f"{', '.join(_LAYERS)} and ReLU in one torch.nn.Sequential"
_OTHERWISE = 'torch.save(model.state_dict(), "weights.pth"), and name its class with --arch FILE.py:CLASS.'


def layers(model: Any) -> tuple[list[dict[str, Any]], int]:
    """The list of layers for a save (position, kind and options), and how many values a sample has.

    Raises CheckpointError for what could not be read back.
    """
    found = Findings("model")
    for position, module in (listed := flatten(model, found)):
        if class_of(module)[1] not in (*_LAYERS, "ReLU"):
            found.add(position, f"a save holds {_KNOWN}", class_of(module)[1], f"Save it with {_OTHERWISE}")
    found.stop()
    width = next(int(module.in_features) for _, module in listed if class_of(module)[1] in _LAYERS)
    return saved_forms.sketch(listed), width


def read(content: Mapping[str, Any], source: str) -> LiveModel:
    """The network of a save (:func:`saved_forms.is_shift`), for inference. Raises CheckpointError with all that is wrong."""
    found = Findings(source or "model")
    saved_forms.check_version(content, found)
    arrays = {str(key): array(value) for key, value in mapping(content.get("state_dict")).items()}
    listed = content.get("layers")
    made: list[nn.Module] = []
    for entry in listed if isinstance(listed, list) else ():
        made += _layer(mapping(entry), arrays, found)
    if not any(isinstance(layer, LinearShift | LinearShiftQ) for layer in made):
        found.add("", f"must hold {_KNOWN}", "no shift layer", "Save it again with dwn_hw.save.")
    found.stop()
    model = nn.Sequential(*made).eval()
    scaler = read_scaler(content.get("scaler"), found)
    first = next(layer for layer in made if isinstance(layer, LinearShift | LinearShiftQ))
    check_scaler_width(scaler, first.in_features, found)
    table = saved_columns.read(content.get("table"), found, first.in_features)
    found.stop()
    return LiveModel(
        model,
        f"{source}: dwn-hw save, version {saved_forms.VERSION}",
        scaler,
        tuple(text_list(content.get("class_names")) or ()),
        training_record.read(content.get("training")),
        training_record.reported(content),
        table,
    )


def _layer(entry: Mapping[Any, Any], arrays: Mapping[str, AnyArray | None], found: Findings) -> list[nn.Module]:
    """A layer of a save with its arrays, alone in a list; empty with a finding where it is none."""
    position, kind = shown(entry.get("position", "")), shown(entry.get("kind"))
    if kind == "ReLU":
        return [nn.ReLU()]
    if kind not in _LAYERS:
        found.add(position, f"must be one of {_KNOWN}", kind, "Save it again with dwn_hw.save.")
        return []
    make, name = _LAYERS[kind]
    own = {key.rpartition(".")[2]: value for key, value in arrays.items() if key.rpartition(".")[0] == position}
    sizes = own.get(name)
    if sizes is None or sizes.ndim != 2 or 0 in sizes.shape:
        got = "none" if sizes is None else f"shape {sizes.shape}"
        found.add(position, f"{name} must be an array (outputs, inputs)", got, "Save it again with dwn_hw.save.")
        return []
    options = {**mapping(entry.get("options"))}
    asked: dict[str, Any] = {key: whole(options.get(key, default)) for key, default in _OPTIONS.items()}
    outputs, inputs = sizes.shape
    try:
        layer = make(inputs, outputs, bias="bias" in own, floored=options.get("floored") is True, **asked)
        state = {key: torch.from_numpy(np.array(value)) for key, value in own.items() if value is not None}
        layer.load_state_dict(state)
    except (InputError, RuntimeError) as error:  # what torch says of shapes and names that do not fit
        got = shown(str(error).splitlines()[-1].strip())
        found.add(position, f"must be a {kind} with its arrays", got, "Save it again with dwn_hw.save.")
        return []
    return [layer]
