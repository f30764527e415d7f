"""Checks of arguments that several layers share: each returns the value in its plain type, or raises."""

from __future__ import annotations

import math
import operator
from typing import Any

import torch

from dwn_hw.errors import OptionError, Problem


def refuse(thing: str, rule: str, got: str, remedy: str) -> OptionError:
    """The error for one bad argument, ready to raise."""
    return OptionError(Problem(thing, rule, got, remedy))


def whole_number(thing: str, value: Any, lowest: int = 1, highest: int | None = None) -> int:
    """``value`` as an int in ``lowest..highest``; a bool is no number here."""
    rule = f"a whole number of at least {lowest}" if highest is None else f"a whole number from {lowest} to {highest}"
    remedy = f"Give {rule}."
    if isinstance(value, bool):
        raise refuse(thing, rule, repr(value), remedy)
    try:
        number = operator.index(value)
    except TypeError:
        raise refuse(thing, rule, repr(value), remedy) from None
    if number < lowest or (highest is not None and number > highest):
        raise refuse(thing, rule, repr(value), remedy)
    return number


def boolean(thing: str, value: Any) -> bool:
    """``value``, which must be True or False and nothing that merely behaves so."""
    if not isinstance(value, bool):
        raise refuse(thing, "True or False", repr(value), "Give one of the two.")
    return value


def real_number(thing: str, value: Any, *, positive: bool = False) -> float:
    """``value`` (a number, or a tensor that holds one) as a finite float."""
    rule = "a finite number above 0" if positive else "a finite number"
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, RuntimeError):
        number = math.nan
    if not math.isfinite(number) or (positive and number <= 0):
        raise refuse(thing, rule, repr(value), f"Give {rule}.")
    return number


def rows_of_bits(thing: str, x: torch.Tensor, width: int) -> None:
    """Refuse an input that is not of shape (samples, ``width``)."""
    if x.ndim != 2 or x.shape[1] != width:
        raise refuse(
            f"input of {thing}",
            f"of shape (samples, {width})",
            f"shape {tuple(x.shape)}",
            "Flatten what comes before (torch.nn.Flatten), or change input_size.",
        )
