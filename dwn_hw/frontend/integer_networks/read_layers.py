"""Reads one shift layer of a live module, ours or upstream's, as the integers that its forward pass rounds parameters to."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from dwn_hw.frontend.integer_networks.trained_network import Doubles, FixedPoint, Weighted, Window
from dwn_hw.frontend.module_state import Findings
from dwn_hw.ir.arrays import Integers
from dwn_hw.ir.edges import Ints

#: The greatest exponent of a weight, and of its inverse; what lies further from 0 is no weight.
_MOST_SHIFT = 60

#: Whether upstream's layers round what comes in, and their bias; the others round both.
_UPSTREAM_ROUNDS = {"LinearShift": (False, False), "LinearShiftQ": (True, False)}

_AGAIN = "Train the layer again, with a smaller learning rate or clipped gradients."


def read_layer(part: str, module: Any, found: Findings) -> Weighted | None:
    """The layer ``module`` in the place ``part``, or None with problems in ``found``.

    Rounding is deterministic, whatever the layer was trained with; a parameter within half a step of ``shift_range`` is
    clamped to it, as the forward pass does.
    """
    names = ("weight",) if type(module).__name__.endswith("Q") else ("shift", "sign")
    parameters = {name: getattr(module, name, None) for name in (*names, "bias")}
    missing = [name for name in names if not isinstance(parameters[name], torch.Tensor)]
    if missing:
        remedy = "dwn_hw.nn has this layer under the same name."
        found.add(part, f"must hold {' and '.join(names)}", f"no {' and no '.join(missing)}", remedy)
        return None
    tensors = {name: value.detach().cpu() for name, value in parameters.items() if value is not None}
    finite = [_check_finite(f"{part}.{name}", value, found) for name, value in tensors.items()]
    window = _window(part, module, found) if "Conv2d" in type(module).__name__ else None
    if not all(finite):
        return None
    signs, shifts = _power_of_2(tensors, getattr(module, "shift_range", None))
    _check_range(part, module, signs, shifts, found)
    outputs = len(signs)
    stated, (rounds_input, rounds_bias) = _stated(part, module, found), _rounds(module)
    bias = tensors["bias"].double().numpy() if "bias" in tensors else np.zeros(outputs)
    if stated is not None and rounds_bias:
        bias = np.clip(stated.round(bias), stated.lowest, stated.highest) * 2.0**stated.lsb
    own = stated if rounds_input else None
    low, high = getattr(module, "shift_range", None) or (-_MOST_SHIFT, _MOST_SHIFT)
    exponents = np.where(signs == 0, 0, np.clip(shifts, low, high)).astype(np.int64)
    return Weighted.of_powers(part, signs.reshape(outputs, -1), exponents.reshape(outputs, -1), bias, own, window)


def read_linear(part: str, module: Any, found: Findings) -> Weighted | None:
    """The layer ``module`` of torch itself (Linear, Conv2d, ConvTranspose2d), its weights not rounded yet; None with problems."""
    tensors = {
        name: value.detach().cpu() for name in ("weight", "bias") if (value := getattr(module, name)) is not None
    }
    finite = [_check_finite(f"{part}.{name}", value, found) for name, value in tensors.items()]
    if not all(finite):
        return None
    weights = tensors["weight"].double().numpy()
    transposed = isinstance(module, torch.nn.ConvTranspose2d)
    window = None
    if weights.ndim == 4:
        window = _window(part, module, found)
        if transposed:
            window = replace(window, output_padding=pair(module.output_padding))
    outputs = weights.shape[1] * module.groups if transposed else len(weights)
    bias = tensors["bias"].double().numpy() if "bias" in tensors else np.zeros(outputs)
    return Weighted(part, weights.reshape(len(weights), -1), None, bias, None, window)


def _power_of_2(tensors: dict[str, torch.Tensor], limits: tuple[int, int] | None) -> tuple[Integers, Doubles]:
    """The (signs, rounded exponents) of the weights, in their shape, in the layer's arithmetic (:mod:`dwn_hw.nn.shift_ste`)."""
    if "shift" in tensors:
        signs, shifts = tensors["sign"].round().sign(), tensors["shift"].round()
    else:
        weight = tensors["weight"]
        signs = weight.sign()
        # Exponents below the range are small weights, which this layer's forward pass brings up to it.
        magnitude = weight.abs() if limits is None else weight.abs().clamp(min=2.0 ** limits[0])
        shifts = (magnitude.log() / math.log(2)).round()
    return signs.to(torch.int64).numpy(), shifts.double().numpy()


def _check_finite(part: str, value: torch.Tensor, found: Findings) -> bool:
    bad = torch.nonzero(~torch.isfinite(value))
    if len(bad):
        at = tuple(int(i) for i in bad[0])
        found.add(part, "must be finite numbers", f"{value[at]} at {at} ({len(bad)} of {value.numel()})", _AGAIN)
    return not len(bad)


def _check_range(part: str, module: Any, signs: Integers, shifts: Doubles, found: Findings) -> None:
    """Refuse an exponent beyond what the layer states, which would clamp it to a weight that was not trained."""
    stated = getattr(module, "shift_range", None)
    low, high = stated or (-_MOST_SHIFT, _MOST_SHIFT)
    bad = np.argwhere((signs != 0) & ((shifts < low) | (shifts > high)))
    if not len(bad):
        return
    at = tuple(int(i) for i in bad[0])
    what = f"weight_bits={getattr(module, 'weight_bits', '?')}" if stated else "any layer"
    got = f"{shifts[at]:g} at {at} ({len(bad)} of {shifts.size})"
    remedy = "State the weight_bits that it was trained with; or clamp: dwn_hw.nn.round_shift_weights(model)."
    found.add(part, f"shifts must lie in {low}…{high} ({what})", got, remedy)


def _rounds(module: Any) -> tuple[bool, bool]:
    """Whether the forward pass of a layer rounds what comes in, and its bias: ours say so; upstream's by their class.

    Of upstream's without its kernels (``deepshift/modules.py``, ``modules_q.py``). With ``use_kernel`` all round both, but
    truncate, which is no rounding that is read here; the kernels need a GPU, and give another result than the code beside them.
    """
    both = bool(getattr(module, "floored", False))
    rounds_input, rounds_bias = _UPSTREAM_ROUNDS.get(type(module).__name__, (True, True))
    return rounds_input or both, rounds_bias or both


def _stated(part: str, module: Any, found: Findings) -> FixedPoint | None:
    """The format that a layer states. Upstream's layers round to 16.16, which older ones do not say; None for layers that say
    that they do not round.
    """
    integer, fraction = getattr(module, "act_integer_bits", 16), getattr(module, "act_fraction_bits", 16)
    if integer is None or fraction is None:
        return None
    if int(integer) == 1:
        remedy = "Train with act_integer_bits of 2 or more."
        got = "act_integer_bits=1, with which DeepShift takes sign(x) - 1 in place of x"
        found.add(part, "must round what comes in to a grid", got, remedy)
        return None
    return FixedPoint.deepshift(int(integer), int(fraction))


def _window(part: str, module: Any, found: Findings) -> Window:
    outputs, inputs, rows, columns = (module.shift if hasattr(module, "shift") else module.weight).shape
    padding, mode = _padding(part, module, found), module.padding_mode
    if mode not in ("zeros", "circular"):
        found.add(part, "padding must be zeros or circular", f"{mode}", "Train with another padding_mode.")
    # Upstream's circular padding goes round by half of what is said, more on the near side where that is odd.
    if mode == "circular" and type(module).__module__.partition(".")[0] == "deepshift":
        if any(p % 2 for p in padding):
            got, remedy = f"upstream's of {padding}, an odd number in all", "Train with even circular padding."
            found.add(part, "circular padding must be as much on both sides", got, remedy)
        padding = tuple(p // 2 for p in padding)
    kernel = (int(outputs), int(inputs), int(rows), int(columns))
    return Window(kernel, pair(module.stride), padding, mode, pair(module.dilation), int(module.groups))


def _padding(part: str, module: Any, found: Findings) -> Ints:
    """The zeros on each side, also where torch is told ``valid`` or ``same``."""
    if not isinstance(module.padding, str):
        return pair(module.padding)
    if module.padding == "valid":
        return 0, 0
    both = [d * (k - 1) for d, k in zip(pair(module.dilation), pair(module.kernel_size), strict=True)]
    if any(rest % 2 for rest in both):
        got, remedy = f"same, {tuple(both)} in all", "Take kernels of odd size."
        found.add(part, "padding must be as much on both sides", got, remedy)
    return both[0] // 2, both[1] // 2


def pair(value: Any) -> Ints:
    """The pair (rows, columns), from one number for both or from two."""
    rows, columns = value if isinstance(value, list | tuple) else (value, value)
    return int(rows), int(columns)
