"""The Python API: what the commands do, as functions. ``import dwn_hw`` gives all of it."""

from __future__ import annotations

import collections.abc
import os
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dwn_hw import _progress, ir
from dwn_hw._progress import terminal
from dwn_hw.exports import comparison, explanation, planning, prediction, writer
from dwn_hw.exports import options as export_options
from dwn_hw.exports.page import page_files
from dwn_hw.fpga import boards as board_data
from dwn_hw.fpga import building, open_board, programming, size_budget, synthesis
from dwn_hw.frontend import (
    checkpoints,
    extract,
    learned_columns,
    module_state,
    saved_forms,
    table_files,
    training_run,
)
from dwn_hw.frontend.integer_networks import trained_network
from dwn_hw.frontend.trained_dwn import TrainedDwn
from dwn_hw.ir import serialize
from dwn_hw.toolchain import doctor as physician
from dwn_hw.verification import compare_rtl, proof

save = checkpoints.save
Board = open_board.Board

PathLike: TypeAlias = str | os.PathLike[str]

#: Whether a long function shows what it does: True, on standard error as the commands show it (on a terminal phases, times and
#: bars; elsewhere a line for each phase); False, not at all; or a function that is told of each phase, in a few words.
Shown: TypeAlias = _progress.Progress | bool


def load(
    path: PathLike, arch: str | None = None, *, key: str | None = None, ignore: collections.abc.Sequence[str] = ()
) -> TrainedDwn | trained_network.LiveModel:
    """The trained model in a ``.pt`` or ``.safetensors`` file, as docs/checkpoints.md lists them; nothing in it is executed.

    ``arch``: ``FILE.py:CLASS``, the user's own class, for the weights of a network that counts in integers. That file is run.
    ``key``: which network, where the file holds several (``model``, ``ema``, ``checkpoint.model``). ``ignore``: entries that
    stand beside a DWN, look like a part of its preprocessing, and are none.
    """
    checkpoints.check_file(path)  # before torch, which takes seconds
    if arch is None:
        content = checkpoints.content_of(Path(path))
        if key is None and saved_forms.is_shift(content[0]):
            from dwn_hw.frontend.integer_networks import saved_network

            return saved_network.read(content[0], Path(path).name)
        return checkpoints.trained(content, path, key, ignore)
    from dwn_hw.frontend.integer_networks import user_class

    return user_class.load(path, arch, key)


def fit(
    x: Any,
    y: npt.ArrayLike,
    out: PathLike = "model.pt",
    *,
    test: tuple[Any, npt.ArrayLike] | None = None,
    categorical: collections.abc.Sequence[str] = (),
    ignore_columns: collections.abc.Sequence[str] = (),
    kind: str = "dwn",
    budget_lut: int | None = None,
    board: str | None = None,
    resume: bool = False,
    device: str = "auto",
    progress: Shown = False,
    **recipe: Any,
) -> dict[str, Any]:
    """Train a network on samples ``x`` (samples, features…) with classes ``y`` (samples,), and write the model: ``dwn-hw train``.

    ``x`` may be columns by name (a dictionary, a data frame, a structured array), of numbers, truth values or text: they
    become features by rules that the model keeps, and every later command applies (:mod:`dwn_hw.ir.columns`). ``categorical``:
    columns of numbers that are names of categories; ``ignore_columns``: columns that are no features.
    ``kind``: ``dwn``; ``shift``, layers that shift and add; or ``difflogic-like``, layers of two-input gates. ``budget_lut``,
    ``board``: the size is the largest that takes so many LUTs, encoder included, or that fits a board. ``recipe``: any of
    ``epochs``, ``batch_size``, ``lr``, ``patience``, ``seed``; of a DWN ``luts`` (widths), ``n``, ``bits``, ``thermometer``,
    ``tau``, ``candidates``, ``cheap_encoder``, ``prune`` (both 0 by default: what costs LUTs and is read or needed least goes in
    training); of gates those up to ``tau`` but ``n``; of ``shift``: ``hidden`` (widths), ``weight_bits``, ``integer_bits``,
    ``fraction_bits``; the rest follows from the data. ``test``: samples and classes to test
    on; else a fifth of the samples is kept apart. ``device``: ``auto``, a GPU where there is one; ``cpu``, or ``cuda``.
    ``progress=True`` shows epochs and the time left on standard error, a function is told of them. Returns
    the report: the recipe, ``accuracy`` on the test samples with its 95 % ``interval``, ….
    """
    given = table_files.samples_of(x, y)
    assert given is not None
    tested = None if test is None else table_files.samples_of(*test, "test")
    columns = learned_columns.AskedColumns(tuple(categorical), tuple(ignore_columns))
    budget = size_budget.make(budget_lut, board, kind)
    how: dict[str, Any] = {"columns": columns, "kind": kind, "budget": budget, "resume": resume, "device": device}
    with terminal.asked(progress) as tell:
        return dict(training_run.run(given, tested, Path(out), recipe, progress=tell, **how))


def freeze(
    model: Any,
    *,
    thermometer: Any = None,
    scaler: Any = None,
    input_format: str | None = None,
    x: npt.NDArray[Any] | None = None,
    y: npt.NDArray[Any] | None = None,
    **options: Any,
) -> ir.Network:
    """The network of integers and truth tables that equals ``model`` for every code of its port.

    ``model``: what :func:`load` gives, or a live ``nn.Sequential`` of DWN layers with its ``thermometer`` (unless that stands
    first in it) and ``scaler``. ``input_format``: what the port carries (``u8/255``); else it is read off ``x``, samples in the
    user's own units, or off the thresholds. Or a live module of layers that sum, traced by ``torch.fx``.
    ``options``: those of :class:`dwn_hw.Options` (``input_shape``, ``normalize``, ``activations``, ``calibrate``, …). Raises
    CheckpointError with every reason why it cannot be.
    """
    trained = _trained(model, thermometer, scaler)
    asked = _options(input_format=input_format, optimize=False, **options)
    return planning.freeze(trained, asked, table_files.samples_of(x, y))


def export(
    model: Any,
    out: PathLike,
    *,
    thermometer: Any = None,
    scaler: Any = None,
    x: npt.NDArray[Any] | None = None,
    y: npt.NDArray[Any] | None = None,
    calibrate: npt.NDArray[Any] | tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    progress: Shown = False,
    **options: Any,
) -> dict[str, Any]:
    """Write an export directory and return its report: ``dwn-hw export``.

    ``model``, ``thermometer``, ``scaler``: as for :func:`freeze`. ``x``, ``y``: samples in the user's own units and their
    classes. ``calibrate``: such samples, or (samples, classes), to find the narrowest port by. ``progress=True``
    shows on standard error what is being done. ``options``: those of :class:`dwn_hw.Options`, and ``board``, whose family
    becomes the ``target``.
    """
    asked = _options(calibrate=calibrate, **options)
    with terminal.asked(progress) as tell:
        return writer.export(_trained(model, thermometer, scaler), Path(out), asked, table_files.samples_of(x, y), tell)


def check(
    model: Any,
    *,
    thermometer: Any = None,
    scaler: Any = None,
    x: npt.NDArray[Any] | None = None,
    y: npt.NDArray[Any] | None = None,
    progress: Shown = False,
    **options: Any,
) -> dict[str, Any]:
    """The report of what :func:`export` would write, which is not written: ``dwn-hw check``. Raises with all problems at once."""
    asked = _options(**options)
    with terminal.asked(progress) as tell:
        trained, samples = _trained(model, thermometer, scaler), table_files.samples_of(x, y)
        return planning.plan(trained, asked, samples, tell).report


def verify(
    directory: PathLike,
    *,
    x: npt.NDArray[Any] | None = None,
    simulator: str = "auto",
    thorough: bool = False,
    trace: bool = False,
    vectors: int = 1000,
    seed: int = 0,
    progress: Shown = False,
) -> dict[str, Any]:
    """Compare every node of an export's Verilog with its network, exactly: ``dwn-hw verify``. Raises Mismatch.

    ``simulator``: ``verilator``, ``icarus``, or ``auto``: what is sooner done, or was built before. ``thorough``: longer runs
    with pauses, back-pressure and resets. ``trace``: a waveform of the first difference, or of the first vectors, as a VCD file.
    ``progress=True`` shows on standard error what is being done, and how many vectors were simulated.
    """
    asked: dict[str, Any] = {"simulator": simulator, "thorough": thorough, "trace": trace}
    asked |= {"random": vectors, "seed": seed, "samples": table_files.samples_of(x)}
    with terminal.asked(progress) as tell:
        return compare_rtl.verify(Path(directory), **asked, progress=tell)


def prove(directory: PathLike, timeout: float = 300.0, *, progress: Shown = False) -> dict[str, Any]:
    """Prove that an export's Verilog equals its network for all inputs: ``dwn-hw prove``. Raises Mismatch or Undecided.

    ``progress=True`` shows on standard error what is being done.
    """
    with terminal.asked(progress) as tell:
        return proof.prove(Path(directory), timeout=timeout, progress=tell)


def predict(directory: PathLike, x: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(classes (samples,), scores (samples, classes)) of an export for ``x`` in the user's own units, bit for bit.

    ``x``: samples (samples, features…), or columns by name as the model was trained on.
    """
    network = serialize.load(Path(directory) / "network.safetensors")
    given = table_files.samples_of(x)
    assert given is not None
    _, (_, scores, y) = prediction.predict(network, given)
    return y, scores


def report(
    directories: PathLike | collections.abc.Sequence[PathLike],
    out: PathLike | None = None,
    *,
    x: Any | None = None,
    y: npt.ArrayLike | None = None,
    beside: str = "auto",
) -> page_files.Shown:
    """One export, or several beside each other, as an HTML page with charts: ``dwn-hw report``.

    ``out``: where to write it. ``x``, ``y``: samples in the user's own units and their classes, for accuracy and histograms.
    ``beside``: whose published rows stand beside several (``jsc``, ``mnist``, ``none``; ``auto``: by the networks' sizes).
    A notebook shows what is returned; its ``html`` is the page, its ``table`` has a row of figures for each export.
    """
    several = [directories] if isinstance(directories, str | os.PathLike) else list(directories)
    page, table = page_files.make([Path(one) for one in several], table_files.samples_of(x, y), beside)
    shown = page_files.Shown(page_files.html(page), table)
    if out is not None:
        page_files.write(shown.html, Path(out))
    return shown


def compare(one: PathLike, other: PathLike, *, x: Any | None = None, y: npt.ArrayLike | None = None) -> dict[str, Any]:
    """What differs between two exports; with ``x`` and ``y``, how often they answer alike and rightly: ``dwn-hw compare``."""
    return comparison.compare(Path(one), Path(other), table_files.samples_of(x, y))


def explain(directory: PathLike, x: Any, y: npt.ArrayLike | None = None, *, sample: int = 0) -> dict[str, Any]:
    """Why an export answers one of the samples ``x`` as it does, and what would have changed that: ``dwn-hw explain``."""
    given = table_files.samples_of(x, y)
    assert given is not None
    return explanation.explain(Path(directory), given, sample)


def synth(directory: PathLike, target: str = "xc7", *, progress: Shown = False) -> dict[str, Any]:
    """LUTs, flip-flops and carries of an export, by part, beside the estimate: ``dwn-hw synth``.

    ``progress=True`` shows on standard error what is being done.
    """
    with terminal.asked(progress) as tell:
        return synthesis.synth(Path(directory), target, progress=tell)


def boards(directory: PathLike | None = None) -> list[dict[str, Any]]:
    """A row for each board that is known; with an export, also what it takes there and whether it fits: ``dwn-hw boards``."""
    return building.overview(None if directory is None else Path(directory))


def build(
    directory: PathLike,
    board: str,
    *,
    seeds: int = 3,
    baud: int | None = None,
    out: PathLike | None = None,
    progress: Shown = False,
) -> dict[str, Any]:
    """A bitstream of an export with its UART, placed and routed with so many ``seeds``, or a vendor's project: ``dwn-hw build``.

    Returns the report: clock by seed, LUTs, the longest path, and where the bitstream is. ``baud``: of the UART, else the board's
    own; ``out``: where to copy the bitstream. Raises Unfit where it is too large for the board, or too slow for its clock.
    """
    place = None if out is None else Path(out)
    with terminal.asked(progress) as tell:
        return building.build(Path(directory), board, seeds=seeds, baud=baud, out=place, progress=tell)


def program(directory: PathLike, board: str, *, progress: Shown = False) -> dict[str, Any]:
    """Load what :func:`build` made onto a board that is plugged in: ``dwn-hw program``. Raises ToolError with the command."""
    with terminal.asked(progress) as tell:
        return programming.program(Path(directory), board, tell)


def run(
    directory: PathLike,
    x: Any | None = None,
    y: npt.ArrayLike | None = None,
    *,
    port: str | None = None,
    virtual: bool = False,
    board: str | None = None,
    baud: int | None = None,
    compare: bool = False,
    self_test: bool = False,
    strict: bool = False,
    progress: Shown = False,
) -> dict[str, Any]:
    """Samples through a board that holds an export, and what happened as a report: ``dwn-hw run``. Raises Mismatch.

    The arguments are those of :class:`dwn_hw.Board` and of its ``run``; its ``predict`` gives the answers themselves.
    """
    where: dict[str, Any] = {"port": port, "virtual": virtual, "board": board, "baud": baud, "progress": progress}
    with Board(directory, **where) as line:
        return line.run(x, y, compare=compare, self_test=self_test, strict=strict)


def doctor() -> dict[str, Any]:
    """What this machine has of what dwn-hw can use, and the command that brings each missing thing: ``dwn-hw doctor``."""
    return physician.report(physician.examine())


def _options(calibrate: Any = None, board: str | None = None, **options: Any) -> export_options.Options:
    """Samples, or samples and classes, to calibrate by; a board, whose family is the target; and the rest as it is."""
    x, y = calibrate if isinstance(calibrate, tuple) else (calibrate, None)
    family = board_data.family_of(board, options.get("target"))
    return export_options.Options(calibrate=table_files.samples_of(x, y, "calibrate"), family=family, **options)


def _trained(model: Any, thermometer: Any, scaler: Any) -> TrainedDwn | trained_network.LiveModel:
    if isinstance(model, TrainedDwn | trained_network.LiveModel):
        return model
    model = module_state.unwrapped(model)
    layers = (*trained_network.SHIFT_LAYERS, *trained_network.LINEAR_LAYERS)
    if trained_network.holds(model, layers):
        return trained_network.LiveModel(model, type(model).__name__)
    return extract.extract_modules(model, thermometer, scaler)
