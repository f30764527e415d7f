"""Whether the values of a space are ones that a training and an export take: every reason why not, at once, before any work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from dwn_hw.errors import OptionError, Problem
from dwn_hw.exports import options
from dwn_hw.exports.options import Options, Request
from dwn_hw.fpga import size_budget
from dwn_hw.frontend import table_training
from dwn_hw.frontend.integer_networks.trained_network import LiveModel
from dwn_hw.frontend.learned_columns import AskedColumns
from dwn_hw.frontend.trained_dwn import TrainedDwn, TrainedGroupSum
from dwn_hw.ir.sample_files import Samples
from dwn_hw.studies.space import Dimension, Space

#: The samples by which the rules that follow from the data are looked at.
_SAMPLES = 500


def check(space: Space, samples: Samples, columns: AskedColumns) -> None:
    """Raise OptionError with every value of a space that no training on these ``samples``, or no export, takes.

    Each value is tried with the first ones of all others, by the rules that ``dwn-hw train`` and ``export`` have.
    """
    problems = dict.fromkeys([*_of_training(space, samples, columns), *_of_export(space, samples)])
    if problems:
        raise OptionError(*problems)


def _tried(part: Mapping[str, Dimension]) -> Iterator[dict[str, Any]]:
    """The first values of all settings, then each other value with them."""
    first = {name: own.values[0] for name, own in part.items()}
    yield first
    for name, own in part.items():
        for value in own.values[1:]:
            yield {**first, name: value}


def _of_training(space: Space, samples: Samples, columns: AskedColumns) -> Iterator[Problem]:
    from dwn_hw.nn import recipes

    coded = table_training.coded(samples, samples, None, columns, lambda y: np.arange(len(y))).samples
    assert coded.x is not None
    assert coded.y is not None
    x, classes = coded.x.reshape(len(coded.x), -1)[:_SAMPLES].astype(np.float32), len(np.unique(coded.y))
    if "luts" in space.train and "budget_lut" in space.train:
        yield Problem("train.budget_lut", "not with luts, which it chooses", "both", "Leave one of them out.")
    for asked in _tried(space.train):
        try:
            size_budget.make(asked.pop("budget_lut", None), None, space.kind)
            recipes.for_data(space.kind, x, classes, asked)
        except OptionError as error:
            yield from error.problems


def _of_export(space: Space, samples: Samples) -> Iterator[Problem]:
    some: Any = TrainedDwn(np.zeros((1, 1)), None, (), TrainedGroupSum(1, 1.0))
    model = LiveModel(None, "") if space.kind == "shift" else some
    for asked in _tried(space.export):
        request = Request(asked_options(asked, samples), model)
        for rule in options.RULES:
            if (got := rule.got(request)) is not None:
                yield Problem(rule.option, rule.rule, got, rule.remedy)
        if (latency := request.options.latency) is not None and latency < 0:
            yield Problem("--latency", "a number of registers, from 0", f"{latency}", "State how many.")


def asked_options(asked: Mapping[str, Any], validation: Samples) -> Options:
    """The options of an export; with ``max_drop`` (0: no prediction may change) the port is found on the samples to choose by."""
    if "max_drop" not in asked:
        return Options(**asked)
    return Options(**{**asked, "max_drop": asked["max_drop"] or None, "calibrate": validation})
