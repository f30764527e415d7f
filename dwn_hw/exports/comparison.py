"""Two exports beside each other: what was decided otherwise, what came of it, and whether they answer alike."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import comb
from pathlib import Path

import numpy as np

from dwn_hw._json import Document, Json
from dwn_hw._progress import Progress, silent
from dwn_hw.errors import DataError, Problem
from dwn_hw.exports import verilog_checksums
from dwn_hw.exports.page import cost_sections, kept_facts, sample_results, several_exports
from dwn_hw.exports.page.blocks import Cell
from dwn_hw.exports.page.kept_facts import Facts
from dwn_hw.exports.page.sample_results import Results
from dwn_hw.ir import sample_files

#: The first samples with different answers that are named.
MOST_NAMED = 20


def compare(
    one: Path, other: Path, samples: sample_files.Samples | None = None, progress: Progress = silent
) -> Document:
    """What differs between two exports, as plain values; of ``samples``, in the user's own units, how often they answer alike.

    Raises DataError for samples that one of them does not take, or where their results are no classes of the same number.
    """
    progress("reading the exports")
    facts = [kept_facts.read(folder) for folder in (one, other)]
    results = [None if samples is None else sample_results.of_samples(each, samples, progress) for each in facts]
    both = list(zip(facts, results, strict=True))
    parts = [cost_sections.estimate(each) for each in facts]
    luts = [{part: kept_facts.number(counts, "lut") for part, counts in each.items()} for each in parts]
    sums = [(folder / "rtl" / verilog_checksums.SUMS).read_bytes() for folder in (one, other)]
    return {
        "directories": [str(one), str(other)],
        "same_network": facts[0].exported.interface.digest == facts[1].exported.interface.digest,
        "same_verilog": sums[0] == sums[1],
        "settings": _beside(*(several_exports.settings(*each) for each in both)),
        "figures": _beside(*(several_exports.figures(*each) for each in both)),
        "lut_by_part": _beside(*luts),
        "answers": None if samples is None else _answers(facts, [each for each in results if each is not None]),
    }


def _beside(one: Mapping[str, Cell], other: Mapping[str, Cell]) -> list[Json]:
    """A row of each thing: its name, and what the two say."""
    names = dict.fromkeys((*one, *other))
    return [{"name": name, "values": [one.get(name), other.get(name)]} for name in names]


def _answers(facts: list[Facts], results: list[Results]) -> Document:
    """How often two networks give the same class for the same samples; with classes that are known, whose answers are right."""
    classes = [each.network.classes if each.network.classifies else 0 for each in facts]
    if classes[0] != classes[1] or not classes[0]:
        got = " and ".join(f"{count} classes" if count else "numbers" for count in classes)
        raise DataError(Problem("compare", "two networks of as many classes", got, "Leave --data out."))
    one, other = results
    differ = np.flatnonzero(one.y != other.y)
    found: Document = {"samples": len(one.y), "alike": len(one.y) - len(differ), "differ": differ[:MOST_NAMED].tolist()}
    if one.labels is not None:
        right = [each.y == one.labels for each in results]
        alone = [int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())]
        found |= {"right": [int(each.sum()) for each in right], "right_alone": alone, "p": sign_test(*alone)}
    return found


def sign_test(one: int, other: int) -> float:
    """The probability of counts as unequal as these if each were as likely: McNemar's exact test, two-sided.

    Q. McNemar, Psychometrika 12 (1947) 153; of the samples that one network alone has right, each is a toss of a coin.
    """
    tosses = one + other
    tail = sum(comb(tosses, k) for k in range(min(one, other) + 1))
    return min(1.0, float(Fraction(2 * tail, 2**tosses)))
