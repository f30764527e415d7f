"""The space of a study for which none was said: sizes about the rule's, and what most often changes accuracy against LUTs."""

from __future__ import annotations

from typing import Any

#: Settings of each kind. The first value of each is tried first.
_TRAIN: dict[str, dict[str, Any]] = {
    "dwn": {
        "budget_lut": {"from": 100, "to": 3000, "log": True},
        "n": [6, 4],
        "thermometer": ["distributive", "linear"],
        "cheap_encoder": [0, 2, 4],
        "prune": [0, 0.2],
        "epochs": 15,
    },
    "difflogic-like": {
        "budget_lut": {"from": 100, "to": 3000, "log": True},
        "thermometer": ["distributive", "linear"],
        "epochs": 15,
    },
    "shift": {
        "hidden": [16, 32, [32, 16], 64],
        "weight_bits": [4, 3, 5],
        "fraction_bits": [4, 3, 6],
        "epochs": 15,
    },
}


def of(kind: str, board: str | None = None) -> dict[str, Any]:
    """The space of a kind; for a ``board``, whose room decides the size, without sizes."""
    train = dict(_TRAIN.get(kind, {}))
    if board is not None:
        train.pop("budget_lut", None)
    return {"train": train}
