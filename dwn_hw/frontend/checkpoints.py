"""Reads and writes trained models on disk: :func:`read` and :func:`load` any checkpoint, :func:`save` our own.

A ``.pt`` file is a program for the pickle machine, and hostile until shown otherwise. Nothing in one is executed here:
the bytes are taken apart by :mod:`dwn_hw.frontend.pickles.archive` and interpreted by
:mod:`dwn_hw.frontend.pickles.unpickle`, which knows no object but our inert stand-ins. Reading needs no torch, no CUDA,
and none of the packages that wrote the file. Whatever is wrong with a file is a
:class:`~dwn_hw.errors.CheckpointError`. docs/checkpoints.md lists the formats.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dwn_hw.errors import CheckpointError, Problem, ToolError
from dwn_hw.frontend import read_safetensors, saved_columns, saved_forms, training_record
from dwn_hw.frontend.extract import extract, extract_modules
from dwn_hw.frontend.integer_networks.trained_network import holds
from dwn_hw.frontend.module_state import Findings, array, class_of, flatten, state_of
from dwn_hw.frontend.pickles import archive
from dwn_hw.frontend.pickles.standins import shown
from dwn_hw.frontend.pickles.unpickle import RefusedError, UnreadableError
from dwn_hw.frontend.read_thermometer import read_scaler
from dwn_hw.frontend.trained_dwn import TrainedDwn
from dwn_hw.ir.columns import TableCoding

_MAX_BYTES = 1 << 31
_MAX_REQUESTS = 20
_GIVE = "Give the .pt file of a trained model."


def read(path: str | os.PathLike[str]) -> Any:
    """The content of a ``.pt`` or ``.safetensors`` file: tensors as NumPy arrays, objects as inert stand-ins.

    Raises ``CheckpointError`` for everything that is no readable checkpoint or asks for more than layers and data.
    """
    return content_of(Path(path))[0]


def content_of(path: Path) -> tuple[Any, bool]:
    """The content of a file, and whether it sorts the names of its arrays."""
    data = _bytes(path)
    name = shown(path.name)
    if read_safetensors.is_safetensors(data):
        return read_safetensors.content(data, path), True
    try:
        return archive.parse(data), False
    except archive.ForeignError as foreign:
        raise CheckpointError(Problem(name, foreign.rule, foreign.got, foreign.remedy)) from None
    except RefusedError as refused:
        raise CheckpointError(*_requests(name, refused.requests)) from None
    except UnreadableError as damage:
        remedy = "It is damaged, or holds something that no DWN needs: save the model again."
        raise CheckpointError(Problem(name, "must be a readable checkpoint", str(damage), remedy)) from None


def load(path: str | os.PathLike[str], key: str | None = None, ignore: Sequence[str] = ()) -> TrainedDwn:
    """The trained network in a file of any form in docs/checkpoints.md.

    ``key`` names it where the file holds several, dotted where it lies deeper; ``ignore``: entries beside it that it does not
    need.
    """
    return trained(content_of(Path(path)), path, key, ignore)


def trained(
    read_content: tuple[Any, bool], path: str | os.PathLike[str], key: str | None, ignore: Sequence[str]
) -> TrainedDwn:
    """The trained network in what :func:`content_of` gave for ``path``; the rest as for :func:`load`."""
    content, sorted_names = read_content
    return extract(content, shown(Path(path).name), saved_forms.Choice(key, tuple(ignore), sorted_names))


def save(
    model: Any,
    path: str | os.PathLike[str],
    *,
    thermometer: Any = None,
    scaler: Any = None,
    class_names: Sequence[str] = (),
    feature_names: Sequence[str] = (),
    trained_on: Any = None,
    accuracy: float | None = None,
    recipe: dict[str, Any] | None = None,
    table: Any = None,
) -> None:
    """Save a live model with all that the hardware needs and all that further training needs.

    ``model`` is a ``torch.nn.Sequential`` of our layers or torch_dwn's; the thermometer stands first in it or is given.
    ``trained_on``: the training samples (samples, features…) in the units of the port. A sketch of their digests is kept, so that
    a calibration on them is warned of; ``accuracy``, the share of unseen samples that are classified rightly, serves the same.
    ``recipe``: how it was trained, as plain values, for people. ``table``: how the columns of a table become the features, as
    plain values: ``{"columns": [{"name": "age", "fill": 37.0}, {"name": "color", "categories": ["blue", "red", "?"]}]}``.
    Or a ``Sequential`` of linear shift layers and ReLU, with its ``scaler`` and without a thermometer.
    A model that could not be read back is refused. The file appears whole or not at all, and
    ``torch.load(path, weights_only=True)`` reads it too: plain dictionaries, lists, tensors.
    """
    try:
        import torch
    except ImportError:
        raise ToolError("saving a model needs torch: pip install 'dwn-hw[torch]'") from None
    described = _described(model, thermometer, scaler, class_names, feature_names, table)
    content = {
        "format": saved_forms.FORMAT,
        "version": saved_forms.VERSION,
        "kind": described.kind,
        "layers": described.layers,
        "state_dict": {key: value.detach().cpu() for key, value in model.state_dict().items()},
        "thermometer": _thermometer(thermometer, torch),
        "scaler": _scaler(scaler, torch),
        "class_names": list(described.class_names) or None,
        "feature_names": list(described.feature_names) or None,
        "training": _training(trained_on, described.features, torch),
        "accuracy": _share(accuracy),
        "recipe": recipe,
        "table": None if described.table is None else saved_columns.plain(described.table),
    }
    _write(content, Path(path), torch)


@dataclass(frozen=True, slots=True)
class _Described:
    """What a save says of its model; ``features``: how many values a sample has."""

    kind: str | None
    layers: list[dict[str, Any]]
    features: int
    class_names: Sequence[str]
    feature_names: Sequence[str]
    table: TableCoding | None = None


def _described(
    model: Any, thermometer: Any, scaler: Any, class_names: Sequence[str], feature_names: Sequence[str], table: Any
) -> _Described:
    if holds(model):
        from dwn_hw.frontend.integer_networks import saved_network

        layers, features = saved_network.layers(model)
        found = Findings("model")
        coding = saved_columns.read(table, found, features)
        found.stop()
        return _Described(saved_forms.SHIFT, layers, features, class_names, feature_names, coding)
    trained = extract_modules(model, thermometer, scaler, class_names, feature_names, table=table)
    layers = saved_forms.sketch(flatten(model, Findings("model")))
    features = len(trained.thresholds)
    return _Described(None, layers, features, trained.class_names, trained.feature_names, trained.table)


def _training(x: Any, features: int, torch: Any) -> dict[str, Any] | None:
    """The sketch of the samples that a model was trained on."""
    if x is None:
        return None
    samples = array(x)
    if samples is None or samples.ndim < 2 or not len(samples) or samples[0].size != features:
        got = "no array of numbers" if samples is None else f"shape {samples.shape}"
        rule = f"samples of {features} features, (samples, features)"
        raise CheckpointError(Problem("trained_on", rule, got, "Give what the model was trained on, or leave it out."))
    made = training_record.record(samples)
    return {"samples": made.samples, "digests": torch.from_numpy(made.digests.view(np.int64).copy())}


def _share(accuracy: float | None) -> float | None:
    if accuracy is not None and not 0 < accuracy <= 1:
        problem = Problem(
            "accuracy", "a share of samples, above 0 and at most 1", f"{accuracy}", "Divide per cents by 100."
        )
        raise CheckpointError(problem)
    return None if accuracy is None else float(accuracy)


def _thermometer(thermometer: Any, torch: Any) -> dict[str, Any] | None:
    """The content of a thermometer that stands beside the model; one inside it is in the state_dict."""
    if thermometer is None:
        return None
    state = thermometer if isinstance(thermometer, dict) else state_of(thermometer)
    thresholds = array(state.get("thresholds", thermometer))
    assert thresholds is not None
    plain = {key: state[key] for key in ("num_bits", "feature_wise") if isinstance(state.get(key), int)}
    return {"kind": class_of(thermometer)[1], **plain, "thresholds": torch.from_numpy(thresholds.copy())}


def _scaler(scaler: Any, torch: Any) -> dict[str, Any] | None:
    read_back = read_scaler(scaler, Findings("model"))
    if read_back is None:
        return None
    arrays = {"offset": read_back.offset, "factor": read_back.factor}
    tensors = {key: torch.from_numpy(values.copy()) for key, values in arrays.items()}
    return {"kind": read_back.kind, **tensors, "clip": list(read_back.clip) if read_back.clip else None}


def _write(content: dict[str, Any], path: Path, torch: Any) -> None:
    """Write a file under another name first, so that the right name never holds half of it."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            with draft.open("xb") as file:
                file.write(buffer.getvalue())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        problem = Problem(
            shown(path.name), "must be a place where a file can be written", _reason(error), "Name another."
        )
        raise CheckpointError(problem) from None


def check_file(path: str | os.PathLike[str]) -> None:
    """Raise CheckpointError for a file that is missing, none, or too large: known without reading it, or importing anything."""
    path = Path(path)

    def refuse(rule: str, got: str, remedy: str = _GIVE) -> CheckpointError:
        return CheckpointError(Problem(shown(path.name or str(path)), rule, got, remedy))

    try:
        if path.is_dir():
            raise refuse("must be a file", "a directory")
        if not path.exists():
            raise refuse("must exist", "no such file", "Check the path.")
        if not path.is_file():
            raise refuse("must be a regular file", "a device or a pipe")
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise refuse(f"must be at most {_MAX_BYTES} bytes long", f"{size} bytes", "Save without optimiser state.")
    except (OSError, ValueError) as error:
        raise refuse("must be readable", _reason(error), "Check its permissions.") from None


def _bytes(path: Path) -> bytes:
    check_file(path)
    try:
        return path.read_bytes()
    except OSError as error:
        problem = Problem(shown(path.name), "must be readable", _reason(error), "Check its permissions.")
        raise CheckpointError(problem) from None


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or shown(str(error))


def _requests(name: str, requests: list[str]) -> list[Problem]:
    """One problem for each thing that the pickle asked for."""
    rule = "must hold only tensors, plain values and layers that dwn-hw knows"
    remedy = "Nothing was executed. Save tensors and plain values in its place: torch.save(model.state_dict(), …)."
    shortened = [*requests[:_MAX_REQUESTS], *(["more requests"] if len(requests) > _MAX_REQUESTS else [])]
    return [Problem(name, rule, request, remedy) for request in shortened]
