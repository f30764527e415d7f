"""Remembers which samples a model was trained on, so that a calibration on the same ones is told from one on unseen ones.

What is kept of them is a sketch: the :data:`KEPT` least of the 64-bit digests of all samples (bottom-k sampling, Cohen and Kelly
2007). Of other samples, those whose digest is as small are looked up in it, and the share that is found is about the share of all
that were trained on. Nothing of a sample can be read back from its digest but whether a guess of all its numbers is right.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw.frontend.module_state import array, mapping, whole
from dwn_hw.frontend.pickles.standins import shown

#: How many digests are kept, and of how many samples with digests as small a share is said at least.
KEPT, _LEAST = 4096, 4

#: The share of samples that were trained on above which a calibration on them is warned of.
SUSPICIOUS = 0.5

#: How many standard errors an accuracy may lie above that which a checkpoint reports.
_ERRORS = 3.0

_ACCURACY = ("acc", "accuracy")


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRecord:
    """The sketch of the training samples: how many there were, and the least digests (at most KEPT,) of theirs, rising."""

    samples: int
    digests: npt.NDArray[np.uint64]

    def share(self, x: npt.NDArray[Any]) -> float | None:
        """About which share of samples ``x`` (samples, features…) was trained on; None where too few tell."""
        if not len(self.digests):
            return None
        found = _digests(x)
        if len(self.digests) == KEPT:  # else all there are
            found = found[found <= self.digests[-1]]
        return float(np.isin(found, self.digests).mean()) if len(found) >= _LEAST else None


def record(x: npt.NDArray[Any]) -> TrainingRecord:
    """The record of training samples ``x`` (samples, features…), in the units that a host gives."""
    return TrainingRecord(len(x), np.unique(_digests(x))[:KEPT])


def _digests(x: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """A digest of each sample's numbers as float32, whatever dtype holds them."""
    rows = np.ascontiguousarray(np.asarray(x).reshape(len(x), -1), dtype="<f4") + np.float32(0)  # no negative zero
    digests = b"".join(hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def read(stored: Any) -> TrainingRecord | None:
    """The record in a checkpoint, or None; one that is damaged is none."""
    entry = mapping(stored)
    samples, digests = whole(entry.get("samples")), array(entry.get("digests"))
    if samples is None or digests is None or digests.ndim != 1 or digests.dtype.kind != "i" or len(digests) > KEPT:
        return None
    return TrainingRecord(samples, np.sort(digests.astype(np.int64).view(np.uint64)))


def reported(entries: Mapping[Any, Any]) -> tuple[str, float] | None:
    """The greatest accuracy that entries beside a model say it has, with its name; not one of training."""
    return max(_accuracies(entries, ""), key=lambda one: one[1], default=None)


def _accuracies(entries: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, float]]:
    for key, value in entries.items():
        name = f"{prefix}{shown(key, 40)}"
        if isinstance(value, Mapping) and not prefix:
            yield from _accuracies(value, f"{name}.")
        words = str(key).lower().split("_")
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
        if set(words) & set(_ACCURACY) and "train" not in words and 0 < number <= 100:
            yield name, float(number) / (1 if number <= 1 else 100)


def warnings(
    training: TrainingRecord | None,
    said: tuple[str, float] | None,
    x: npt.NDArray[Any],
    name: str,
    accuracy: float | None,
) -> list[str]:
    """Why samples ``x`` of the file ``name``, of which a model has an ``accuracy``, are likely those that it was trained on."""
    found = []
    share = None if training is None else training.share(x)
    if share is not None and share > SUSPICIOUS:
        found.append(
            f"about {share:.0%} of the samples of {name} are among those that the model was trained on: "
            "a calibration on them says nothing of unseen ones"
        )
    if said is not None and accuracy is not None:
        error = math.sqrt(said[1] * (1 - said[1]) / len(x))
        if accuracy > said[1] + _ERRORS * error:
            found.append(
                f"accuracy on {name} is {accuracy:.3f}, and the checkpoint reports {said[1]:.3f} ({said[0]}): "
                "it likely holds samples that the model was trained on"
            )
    return found
