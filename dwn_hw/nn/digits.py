"""The demonstration network: a small DWN for scikit-learn's 8×8 handwritten digits, trained in seconds.

Real data that comes with a package, so that the whole road can be walked without a download. A sample is 64 pixels,
row by row, each a whole number 0..16; the classes are the digits 0..9. Needs ``pip install 'dwn-hw[train]'``;
importing this module needs neither torch nor scikit-learn.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dwn_hw.errors import ToolError

if TYPE_CHECKING:
    from torch import nn

    from dwn_hw.nn import Thermometer
    from dwn_hw.nn.training import Epoch

TEST_SAMPLES = 360
CLASSES = 10


class Split(NamedTuple):
    """The split data: ``x`` (samples, 64) float32 in 0..16, ``y`` (samples,) int64 in 0..9; 1,437 to train with, 360 to test."""

    x_train: npt.NDArray[np.float32]
    y_train: npt.NDArray[np.int64]
    x_test: npt.NDArray[np.float32]
    y_test: npt.NDArray[np.int64]


def load_digits_split(seed: int = 0) -> Split:
    """The 1,797 digits, shuffled by ``seed`` and cut in two; the same for a seed on every machine."""
    digits = _needed("sklearn.datasets").load_digits()
    x, y = digits.data.astype(np.float32), digits.target.astype(np.int64)
    # RandomState, because numpy promises that its numbers never change between versions.
    order = np.random.RandomState(seed).permutation(len(x))
    train, test = order[:-TEST_SAMPLES], order[-TEST_SAMPLES:]
    return Split(x[train], y[train], x[test], y[test])


def train_digits(
    seed: int = 0,
    *,
    luts: int = 300,
    n: int = 6,
    bits: int = 3,
    epochs: int = 30,
    progress: Callable[[Epoch], None] | None = None,
) -> tuple[nn.Sequential, Thermometer, float]:
    """Train one learnable layer of ``luts`` LUTs and a vote, on ``bits`` thresholds a pixel: (model, thermometer, accuracy).

    The model takes thermometer bits, flattened (samples, 64·bits), and is in eval mode on the CPU; the accuracy is
    that on the 360 test samples, from 0 to 1, about 0.97. ``seed`` decides the network's start and the order of
    the samples; the split is the same for all. The caller's random state is left as it was.
    """
    torch = _needed("torch")
    from dwn_hw.nn import GroupSum, LUTLayer, Thermometer
    from dwn_hw.nn.training import accuracy, fit

    split = load_digits_split()
    thermometer = Thermometer(bits).fit(split.x_train)
    x_train, x_test = (thermometer.binarize(x).flatten(1) for x in (split.x_train, split.x_test))
    y_train, y_test = torch.from_numpy(split.y_train), torch.from_numpy(split.y_test)
    with torch.random.fork_rng(devices=[]), _one_thread(torch):
        torch.manual_seed(seed)
        model = torch.nn.Sequential(
            LUTLayer(x_train.shape[1], luts, n, mapping="learnable"),
            GroupSum(CLASSES, tau=10 / 3),
        )
        fit(model, x_train, y_train, epochs=epochs, seed=seed, progress=progress)
        return model, thermometer, accuracy(model, x_test, y_test)


@contextlib.contextmanager
def _one_thread(torch: Any) -> Iterator[None]:
    """Let torch use one thread: no slower for a network this small, ten times faster where other programs run, and the same
    sums everywhere.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _needed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = {"sklearn": "scikit-learn"}.get(module.split(".")[0], module)
        message = f"the digits demonstration needs {package}, which cannot be imported ({error})"
        raise ToolError(f"{message}. Type: pip install 'dwn-hw[train]'") from error
