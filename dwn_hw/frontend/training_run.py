"""A training from files to a checkpoint: what a sample is, which are kept apart, and what is said at the end.

The door from data to :mod:`dwn_hw.nn.trainer`: classes get numbers, samples become float32 (samples, features), a fifth is kept
apart for the test where no file is given. The state after each epoch lies beside the model until it is done.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw import toolchain
from dwn_hw._json import Document
from dwn_hw._progress import Progress, ahead, begin, duration, silent, within
from dwn_hw.errors import DataError, OptionError, Problem
from dwn_hw.frontend import checkpoints, size_search, table_training
from dwn_hw.frontend.learned_columns import AskedColumns
from dwn_hw.frontend.size_search import Budget
from dwn_hw.ir import proportions
from dwn_hw.ir.sample_files import Samples, class_indices

#: The part of the samples that is kept apart for the test.
TEST = 0.2

Arrays = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]


def run(
    samples: Samples,
    tested: Samples | None,
    out: Path,
    asked: Mapping[str, Any],
    *,
    columns: AskedColumns = AskedColumns(),  # noqa: B008  # frozen
    kind: str = "dwn",
    budget: Budget | None = None,
    resume: bool = False,
    device: str = "auto",
    progress: Progress = silent,
) -> Document:
    """Train a ``kind`` of network (:data:`dwn_hw.nn.recipes.KINDS`) on ``samples``, of a table on its ``columns``, by a recipe as
    ``asked`` (None: by rule), the largest within a ``budget`` if there is one; write it to ``out``, and say what was found.
    """
    try:
        import torch

        from dwn_hw.nn import devices, recipes, trainer
    except ModuleNotFoundError:
        raise toolchain.missing("torch") from None
    where = devices.device_for(device)  # refused before the samples are prepared
    table, names = _coded(samples, tested, columns, asked.get("seed") or 0)
    x, y = _arrays(table.samples, names)
    recipe = recipes.for_data(kind, x, len(names), asked)
    test_file = None if tested is not None else out.with_name(f"{out.stem}.test.npz")
    (x, y), test = _parts((x, y), table.tested, names, recipe.seed)
    kept = out.with_name(f"{out.name}.training")
    state = _state(kept, torch) if resume else None
    started = time.perf_counter()

    def trained(recipe: Any, state: Any) -> Any:
        _tell_of_preparing(progress)
        training = trainer.Trainer(recipe, x, y, len(names), where.type)
        return training, _train(training, state, kept, progress, torch, budget)

    if budget is None:
        (training, model), kept_within = trained(recipe, state), None
    else:
        search = size_search.Search(budget, kind, x, names, asked, table.coding)
        by = None if test_file is None else Samples(test[0], None, None, str(test_file))
        training, model, kept_within = size_search.train(search, trained, by, state, progress)
    (right, count), plain = training.accuracy(*test), recipes.plain(training.recipe)
    about = {"class_names": names, "trained_on": x, "accuracy": max(right, 1) / count, "recipe": plain}
    checkpoints.save(model, out, table=table.coding, **training.prepared.beside(), **about)
    _finish(kept, test_file, test, names)
    return {
        "out": str(out),
        "classes": list(names),
        **table.report(),
        "training_samples": len(y),
        "recipe": plain,
        "device": devices.name_of(where),
        "budget": kept_within,
        **_found(training),
        **_tested(right, count, proportions.interval(right, count)),
        "seconds": round(time.perf_counter() - started, 1),
        **_next(out, test_file, budget),
    }


def _tell_of_preparing(progress: Progress) -> None:
    ahead(progress, 2)  # this and the training
    progress("preparing the samples")


def _coded(
    samples: Samples, tested: Samples | None, columns: AskedColumns, seed: int
) -> tuple[table_training.CodedSamples, tuple[str, ...]]:
    """The samples with a table coded by those that are trained on, and the names of their classes."""
    from dwn_hw.nn import trainer

    separated, label = table_training.separated(samples)
    names = _names(separated)
    rows: table_training.Rows = lambda y: trainer.stratified(y, TEST, seed)[0]  # noqa: E731  # typed so
    return table_training.coded(separated, tested, label, columns, rows), names


def _parts(given: Arrays, tested: Samples | None, names: tuple[str, ...], seed: int) -> tuple[Arrays, Arrays]:
    """What is trained on, and what is tested on: a part that is kept apart, if nothing was given."""
    from dwn_hw.nn import trainer

    if tested is not None:
        return given, _arrays(tested, names, given[0].shape[1])
    (x, y), (first, second) = given, trainer.stratified(given[1], TEST, seed)
    return (x[first], y[first]), (x[second], y[second])


def _finish(kept: Path, test_file: Path | None, test: Arrays, names: tuple[str, ...]) -> None:
    """Write the test samples, if they were kept apart, and remove the state of the training, which is over."""
    if test_file is not None:
        np.savez_compressed(test_file, x=test[0], y=np.array(names)[test[1]])
    with contextlib.suppress(OSError):
        kept.unlink()


def _next(out: Path, test_file: Path | None, budget: Budget | None) -> Document:
    """The test samples' file, and the command that comes next, with a board the one after it."""
    design = shlex.quote(f"{out.stem}-design")
    data = f" --data {shlex.quote(str(test_file))}" if test_file is not None else ""
    options = "" if budget is None else budget.options
    told: Document = {"test_file": None if test_file is None else str(test_file)}
    told |= {"next": f"dwn-hw export {shlex.quote(str(out))} -o {design}{data}{options}"}
    if budget is not None and budget.board is not None:
        told["then"] = f"dwn-hw build {design} --board {budget.board}"
    return told


def _train(training: Any, state: Any, kept: Path, progress: Progress, torch: Any, budget: Budget | None) -> Any:
    """The best network of all epochs, from a ``state`` if that is not None. Each epoch is told, and its state is kept."""
    from dwn_hw.nn import kernels

    kernels.announce(progress)
    begin(progress, "training")
    if state is not None:
        training.resume(state)
    beside = {} if budget is None else {"budget": budget.told}
    started, before = time.perf_counter(), training.epoch
    for told in training.epochs():
        _keep(kept, training.state() | beside, torch)
        left = (time.perf_counter() - started) / (told.epoch - before) * (told.epochs - told.epoch)
        found = f"loss {told.loss:.4f}, validation {told.accuracy:.1%}, best {told.best:.1%}"
        told_to_all = f"epoch {told.epoch} of {told.epochs}: {found}; at most {duration(left)} left"
        shown = f"epoch {told.epoch} of {told.epochs}, {found}"
        within(progress, shown, told.epoch, told.epochs, aloud=told_to_all)
    return training.finish()


def _tested(right: int, count: int, interval: tuple[float, float]) -> Document:
    """What the test says."""
    return {
        "accuracy": round(right / count, 6),
        "interval": [round(end, 6) for end in interval],
        "test_samples": count,
    }


def _found(training: Any) -> Document:
    """What a training was like, as plain values."""
    return {
        "recipe_in_words": training.recipe.told(),
        "shaped": training.shaped,
        "epochs": training.epoch,
        "best_epoch": training.best_epoch,
        "validation_accuracy": round(training.best_accuracy, 6),
        "validation_samples": training.validation_samples,
        "history": [[round(loss, 6), round(accuracy, 6)] for loss, accuracy in training.history],
    }


def _names(samples: Samples) -> tuple[str, ...]:
    """The names of the classes, in order: numbers by size, text by the alphabet."""
    if (samples.x is None and samples.table is None) or samples.y is None:
        got = "x alone" if samples.y is None else "codes"
        remedy = "Give y, or a table with a column y, label, class or target, or name it with --label."
        raise DataError(Problem(samples.name, "samples x with their classes y", got, remedy))
    found = np.unique(samples.y)
    if found.dtype.kind == "f":
        if not (np.isfinite(found).all() and (found == np.floor(found)).all()):
            odd = next(value for value in found.tolist() if not float(value).is_integer())
            raise DataError(
                Problem(samples.name, "classes as whole numbers or text", f"{odd}", "Save the class of each.")
            )
        found = found.astype(np.int64)
    if len(found) < 2:
        raise DataError(
            Problem(samples.name, "at least two classes", f"{found[0]} alone", "Give samples of every class.")
        )
    counts = np.unique(samples.y, return_counts=True)[1]
    if counts.min() < 2 * 3:
        rare = found[int(counts.argmin())]
        rule = "at least 6 samples of each class: to learn from, to stop by and to test on"
        raise DataError(
            Problem(samples.name, rule, f"{counts.min()} of class {rare}", "Leave that class out, or find more.")
        )
    return tuple(str(value) for value in found.tolist())


def _arrays(samples: Samples, names: tuple[str, ...], features: int | None = None) -> Arrays:
    """Samples (samples, features) as float32, classes as numbers; of so many features, if that is known."""
    if samples.x is None or samples.y is None:
        raise DataError(Problem(samples.name, "samples x with their classes y", "no classes", "Give y."))
    x = samples.x.reshape(len(samples), -1)
    if features not in (None, x.shape[1]):
        rule = f"{features} features, as the training samples have"
        raise DataError(Problem(samples.name, rule, f"{x.shape[1]}", "Give a test file of the same kind."))
    if x.dtype.kind not in "iufb":
        raise DataError(Problem(samples.name, "numbers", f"{x.dtype}", "Save x as floats or integers."))
    with np.errstate(over="ignore"):
        values = x.astype(np.float32)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        sample, feature = (int(i) for i in bad[0])
        got = f"{x[sample, feature]} in sample {sample}, feature {feature} ({len(bad)} such)"
        raise DataError(Problem(samples.name, "finite numbers, as float32 holds them", got, "Remove or fill those."))
    y = samples.y.astype(np.int64).astype("U") if samples.y.dtype.kind == "f" else samples.y.astype("U")
    found, problems = class_indices(y, len(samples), len(names), names, samples.name)
    if found is None:
        raise DataError(*problems)
    return values, found


def _keep(path: Path, state: Mapping[str, Any], torch: Any) -> None:
    """Write the state, whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        torch.save(dict(state), partial)
        os.replace(partial, path)  # noqa: PTH105  # of two paths, as the sentence says
    except OSError as error:
        raise OptionError(Problem(str(path), "a writable file", f"{error.strerror}", "Choose another -o.")) from None


def _state(path: Path, torch: Any) -> Any:
    """The state of a training that was cut off; nothing in the file is executed."""
    if not path.is_file():
        raise OptionError(
            Problem("--resume", f"{path}, the state of a training", "none", "Begin again without --resume.")
        )
    try:
        return torch.load(path, weights_only=True)
    except Exception as error:  # noqa: BLE001  # torch raises many kinds for a damaged file
        got = str(error).splitlines()[0][:80] if str(error) else type(error).__name__
        raise OptionError(Problem(str(path), "the state of a training", got, "Begin again without --resume.")) from None
