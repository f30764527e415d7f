"""What an export makes of samples: its codes, how often it is right, and by how much its first choice is ahead."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw._progress import Progress, silent
from dwn_hw.errors import DataError
from dwn_hw.exports import prediction
from dwn_hw.exports.page.kept_facts import Facts, number
from dwn_hw.exports.writer import GOLDEN_SAMPLES
from dwn_hw.ir import proportions, sample_files
from dwn_hw.ir.emulate import Emulator

Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Results:
    """``codes`` (samples, bits of features), ``scores`` (samples, classes) and ``y`` (samples,) that the network gives.

    ``labels``: the classes that the samples have, where they are known. ``source``: where they come from, for people.
    """

    source: str
    codes: Array
    scores: Array
    y: Array
    labels: Array | None

    @property
    def right(self) -> int | None:
        """How many samples get the class that they have."""
        return None if self.labels is None else int((self.labels == self.y).sum())

    def margins(self) -> Array:
        """(samples,): the first score less the second."""
        best = np.sort(self.scores.reshape(len(self.scores), -1), axis=1)
        return best[:, -1] - best[:, -2]

    def confusion(self, classes: int) -> Array:
        """(classes, classes): samples of each class, in rows, by what they were taken for."""
        assert self.labels is not None
        counts = np.zeros((classes, classes), np.int64)
        np.add.at(counts, (self.labels, self.y), 1)
        return counts


def of_samples(facts: Facts, samples: sample_files.Samples, progress: Progress = silent) -> Results:
    """The results for samples that are given. Raises DataError for ones that the network does not take."""
    network = facts.network
    samples = sample_files.resolved(samples, network.table)[0]
    _, (codes, scores, y) = prediction.predict(network, samples, progress=progress)
    labels = None
    if samples.y is not None and network.classifies:
        labels, problems = sample_files.class_indices(
            samples.y, len(y), network.classes, network.class_names, samples.name
        )
        if labels is None:
            raise DataError(*problems)
    given = f"{len(y):,} samples of {Path(samples.name).name}"
    return Results(given, _flat(codes), scores, y, labels)


def of_kept(facts: Facts) -> Results | None:
    """The results for the samples that an export keeps: the last of its golden vectors, without their classes."""
    count, network = number(facts.report, "data", "samples"), facts.network
    path = facts.exported.folder / "vectors" / "golden.npz"
    if not isinstance(count, int) or count < 1 or not path.is_file():
        return None
    codes = sample_files.to_codes(sample_files.load(path), network).codes
    kept = codes[-min(count, GOLDEN_SAMPLES) :]
    if not len(kept):
        return None
    scores, y = Emulator(network).run(kept)
    return Results(f"{len(kept)} samples kept in the export", _flat(kept), scores, y, None)


def _flat(codes: npt.NDArray[np.int64]) -> Array:
    return codes.reshape(len(codes), -1)


def accuracy(facts: Facts, results: Results | None) -> tuple[int, int] | None:
    """(right, samples): of the samples given, or as the export's report has it; None where neither says it."""
    if results is not None and results.right is not None:
        return results.right, len(results.y)
    share, count = number(facts.report, "data", "accuracy"), number(facts.report, "data", "samples")
    if share is None or not isinstance(count, int) or count < 1 or not 0 <= share <= 1 or not facts.network.classifies:
        return None
    return round(share * count), count


def in_words(right: int, count: int) -> str:
    """``72.7 % (69.9 to 75.4 %)``: a share with its 95 % interval."""
    low, high = proportions.interval(right, count)
    return f"{right / count:.1%} ({low:.1%} to {high:.1%})"


def real(network: ir.Network, feature: int) -> tuple[float, float]:
    """(step, offset) of a feature: code · step + offset is a number in the user's units."""
    _, step, offset = network.input.of_feature(feature)
    return float(step), float(offset)
