"""Predictions of an export on a file of samples: bit-exact emulation, and what happened to the data on the way in."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw._json import Document
from dwn_hw._progress import Progress, counted, silent
from dwn_hw.ir import sample_files, sample_warnings
from dwn_hw.ir.emulate import Emulator

#: (codes, scores, y), as :func:`data.save_predictions` takes them.
Arrays = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]


def predict(
    network: ir.Network, samples: sample_files.Samples, strict: bool = False, progress: Progress = silent
) -> tuple[Document, Arrays]:
    """What was found, as plain values, and the arrays. Raises DataError; if ``strict``, also of samples in likely other units."""
    samples = sample_files.labelled(samples, network.classes, network.class_names) if network.classifies else samples
    encoded, warnings = sample_warnings.encoded(network, samples, strict)
    emulator = Emulator(network, progress)
    started = time.perf_counter()
    scores, y = emulator.run(encoded.codes, counted(progress, "predicting", len(samples)))
    seconds = time.perf_counter() - started
    report: Document = {
        "samples": len(samples),
        **sample_warnings.moved(network, encoded),
        "samples_per_second": round(len(samples) / seconds),
    }
    if network.classifies:
        if samples.y is not None:
            report["accuracy"] = round(float(np.mean(samples.y == y)), 6)
            warnings += sample_warnings.of_classes(network, samples.y, y)
        report["classes"] = y[:20].tolist()
    report["warnings"] = warnings
    if strict:
        sample_warnings.refuse(warnings, samples.name)
    return report, (encoded.codes, scores, y)
