"""The whole road on built-in data: train a DWN on the 8×8 digits, export it, verify it in Verilator, count its LUTs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dwn_hw import toolchain
from dwn_hw._progress import Progress, within
from dwn_hw.cli.screen import Report
from dwn_hw.errors import ExportError, Problem
from dwn_hw.exports import writer
from dwn_hw.exports.options import Options
from dwn_hw.fpga import synthesis
from dwn_hw.frontend import checkpoints
from dwn_hw.hardware.families import TARGETS
from dwn_hw.ir import sample_files
from dwn_hw.verification import compare_rtl, simulator_choice

if TYPE_CHECKING:
    from dwn_hw.nn.training import Epoch


#: What a demo directory holds; the first is written first, and shows that it is one.
CONTENT = ("digits.npz", "model.pt", "export")


def run(out: Path, *, seed: int = 0, target: str = "xc7", progress: Progress = lambda text: None) -> Report:
    """Do it all in ``out``: ``model.pt``, ``digits.npz`` (the test images), ``export/``. Returns the figures.

    Takes about a minute on two cores. Raises Mismatch when hardware and model differ anywhere.
    """
    from dwn_hw.nn import digits  # torch comes with it

    _check_out(out)
    # Missing programs are said before the training, not after it.
    simulator_choice.require(simulator_choice.AUTO)
    toolchain.yosys()
    split = digits.load_digits_split()
    progress("training a DWN on the 8x8 digits")
    model, thermometer, accuracy = digits.train_digits(seed, progress=lambda epoch: _say_epoch(epoch, progress))
    out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out / "digits.npz", x=split.x_test, y=split.y_test)
    names = tuple(str(digit) for digit in range(10))
    checkpoints.save(
        model,
        out / "model.pt",
        thermometer=thermometer,
        class_names=names,
        trained_on=split.x_train,
        accuracy=accuracy,
    )
    samples = sample_files.load(out / "digits.npz")
    exported = writer.export(
        checkpoints.load(out / "model.pt"),
        out / "export",
        Options(target=target if target in TARGETS else "generic", seed=seed),
        samples,
        progress,
    )
    verified = compare_rtl.verify(out / "export", samples=samples, seed=seed, progress=progress)
    progress(f"synthesising for {target}")
    counted = synthesis.synth(out / "export", target, progress=progress)
    return {
        "out": str(out),
        "trained": {"accuracy": accuracy, "test_images": len(samples)},
        "export": exported,
        "verify": verified,
        "synth": counted,
    }


def _say_epoch(epoch: Epoch, progress: Progress) -> None:
    told = f"epoch {epoch.number} of {epoch.epochs}, loss {epoch.loss:.3f}"
    within(progress, told, epoch.number, epoch.epochs, aloud=told if epoch.number % 10 == 0 else None)


def _check_out(out: Path) -> None:
    writer.check_place(out)
    names = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    strange = [name for name in names if name not in CONTENT]
    if strange or (names and CONTENT[0] not in names):
        got = f"other content ({', '.join((strange or names)[:5])})"
        raise ExportError(Problem(str(out), "absent, empty, or an earlier demo", got, "Choose another -o."))
    if out.is_dir() and (out / "export").exists():
        writer.check_out(out / "export")
