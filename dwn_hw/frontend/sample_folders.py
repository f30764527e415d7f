"""A folder of samples to train on, as data sets are handed out: a file that begins with ``train``, and maybe one to test on."""

from __future__ import annotations

from pathlib import Path

from dwn_hw.errors import DataError, Problem

#: How the names of files of each part begin: MNIST's test images are ``t10k``.
_TRAINING, _TEST = ("train",), ("test", "t10k")

#: Files that hold classes beside images of the same name: idx files are found by their images.
_BESIDE = ("labels",)


def find(folder: Path) -> tuple[Path, Path | None]:
    """The file to train on and the one to test on, or None. Raises DataError where the training file is not one alone."""
    files = [p for p in sorted(folder.iterdir()) if p.is_file() and not any(word in p.name for word in _BESIDE)]
    training, test = ([p for p in files if p.name.lower().startswith(begins)] for begins in (_TRAINING, _TEST))
    if len(training) != 1 or len(test) > 1:
        there = ", ".join(p.name for p in files[:8]) or "none"
        rule = "one file that begins with train, and at most one with test or t10k"
        raise DataError(Problem(str(folder), rule, there, "Name the file of samples, and the other one with --test."))
    return training[0], test[0] if test else None
