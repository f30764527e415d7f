"""Turns an existing model's ``Linear`` and ``Conv2d`` into shift layers, as DeepShift's ``convert_to_shift`` does."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from dwn_hw.nn import shift_ste
from dwn_hw.nn._checks import refuse
from dwn_hw.nn.shift_conv2d import Conv2dShift, Conv2dShiftQ
from dwn_hw.nn.shift_layers import LinearShift, LinearShiftQ, ShiftLayer

#: The ways in which the weights of a converted layer are kept.
SHIFT_TYPES = ("PS", "Q")


def convert_to_shift(
    model: nn.Module,
    shift_depth: int,
    shift_type: str,
    convert_all_linear: bool = True,
    convert_weights: bool = False,
    freeze_sign: bool = False,
    use_kernel: bool = False,
    use_cuda: bool = True,
    rounding: str = "deterministic",
    weight_bits: int | None = 5,
    act_integer_bits: int | None = 16,
    act_fraction_bits: int | None = 16,
    floored: bool = False,
) -> tuple[nn.Module, int]:
    """Convert ``model`` in place. Returns it, and how many of its layers count as converted.

    Layers are taken from the last to the first: ``shift_depth`` of them, every ``Linear`` besides (and uncounted) with
    ``convert_all_linear``. ``Q`` layers take over the weights. ``PS`` layers begin at random, or with ``convert_weights`` at
    the powers of two nearest to the weights. The other arguments are those of the shift layers.
    """
    if shift_type not in SHIFT_TYPES:
        rule = f"one of {', '.join(SHIFT_TYPES)}"
        raise refuse("shift_type", rule, repr(shift_type), f"Give {rule}.")
    options = {
        "rounding": rounding,
        "weight_bits": weight_bits,
        "act_integer_bits": act_integer_bits,
        "act_fraction_bits": act_fraction_bits,
    }
    if shift_type == "PS":
        options["freeze_sign"] = freeze_sign
    takes_weights = convert_weights or shift_type == "Q"
    left = shift_depth
    for parent, name, layer in reversed(_children(model)):
        free = isinstance(layer, nn.Linear) and convert_all_linear
        if not free and left <= 0:
            continue
        setattr(parent, name, _converted(layer, shift_type, takes_weights, floored, options))
        left -= not free
    return model, shift_depth - left


def round_shift_weights(model: nn.Module, clone: bool = False) -> nn.Module:
    """Set every parameter of the shift layers to what the forward pass rounds it to; ``clone``: in a copy."""
    model = copy.deepcopy(model) if clone else model
    with torch.no_grad():
        for layer in model.modules():
            if not isinstance(layer, ShiftLayer):
                continue
            weight = layer.rounded_weight()
            if isinstance(layer, LinearShift | Conv2dShift):
                exponents = layer.shift.round()
                layer.shift.copy_(exponents)
                layer.sign.copy_(weight.sign())
            elif isinstance(layer, LinearShiftQ | Conv2dShiftQ):
                layer.weight.copy_(weight)
            if layer.bias is not None and layer.act_integer_bits is not None and layer.act_fraction_bits is not None:
                # Of every layer, as DeepShift's function does it, also of those whose forward pass leaves it as it is.
                layer.bias.copy_(shift_ste.to_fixed_point(layer.bias, layer.act_integer_bits, layer.act_fraction_bits))
    return model


def count_layer_type(model: nn.Module, layer_type: type[nn.Module]) -> int:
    """The number of a model's layers of exactly this type."""
    return sum(type(layer) is layer_type for layer in model.modules())


def _children(model: nn.Module) -> list[tuple[nn.Module, str, nn.Linear | nn.Conv2d]]:
    """The (parent, name, layer) of everything that can be converted, in order."""
    found: list[tuple[nn.Module, str, nn.Linear | nn.Conv2d]] = []
    for name, child in model.named_children():
        if type(child) in (nn.Linear, nn.Conv2d):
            assert isinstance(child, nn.Linear | nn.Conv2d)
            found.append((model, name, child))
        else:
            found += _children(child)
    return found


def _converted(
    layer: nn.Linear | nn.Conv2d, shift_type: str, takes_weights: bool, floored: bool, options: dict[str, Any]
) -> ShiftLayer:
    bias = layer.bias is not None
    new: ShiftLayer
    if isinstance(layer, nn.Linear):
        linear = LinearShift if shift_type == "PS" else LinearShiftQ
        new = linear(layer.in_features, layer.out_features, bias, floored=floored, **options)
    else:
        conv = Conv2dShift if shift_type == "PS" else Conv2dShiftQ
        sizes = (layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, _padding(layer))
        new = conv(*sizes, layer.dilation, layer.groups, bias, layer.padding_mode, **options)  # type: ignore[arg-type]
    new = new.to(layer.weight.device, layer.weight.dtype)
    if takes_weights:
        with torch.no_grad():
            _take(new, layer)
    return new.train(layer.training)


def _padding(layer: nn.Conv2d) -> tuple[int, int]:
    """The rows and columns of padding on each side; ``same`` needs as many on both sides."""
    if not isinstance(layer.padding, str):
        rows, columns = layer.padding
        return rows, columns
    if layer.padding == "valid":
        return 0, 0
    wanted = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    if any(total % 2 for total in wanted):
        got = f"'same' of a kernel {layer.kernel_size}"
        raise refuse("Conv2d padding", "as much on both sides", got, "Pad with torch.nn.ZeroPad2d before training.")
    return wanted[0] // 2, wanted[1] // 2


def _take(new: ShiftLayer, layer: nn.Linear | nn.Conv2d) -> None:
    """Copy the weights and the bias of ``layer``, within the exponents that the new layer can have."""
    weight = layer.weight
    if new.shift_range is not None:
        weight = shift_ste.clampabs(weight, 2.0 ** new.shift_range[0], 2.0 ** new.shift_range[1])
    if isinstance(new, LinearShiftQ | Conv2dShiftQ):
        new.weight.copy_(weight)
    elif isinstance(new, LinearShift | Conv2dShift):
        exponents, signs = shift_ste.power_of_2(weight)
        # A weight of 0 has no exponent: its sign says all.
        new.shift.copy_(exponents.nan_to_num(0.0, neginf=float(new.shift_range[0] if new.shift_range else 0)))
        new.sign.copy_(signs)
    if new.bias is not None and layer.bias is not None:
        new.bias.copy_(layer.bias)
