"""Reads what stands beside a model in a checkpoint: thermometer, scaler, names, configuration; nothing is passed over.

Each entry is used, or named as not used. One that looks like a part of the preprocessing, by its name or by what it holds,
and cannot be used is refused: a network without its scaler gives wrong classes without a word.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dwn_hw.frontend import training_record
from dwn_hw.frontend.module_state import Findings, array, class_of, full_name, settings, state_of, text_list
from dwn_hw.frontend.pickles.standins import shown
from dwn_hw.frontend.read_thermometer import SCALERS, THERMOMETERS

#: Keys under which settings of a training are kept, as a dictionary, a namespace, or a dataclass.
_CONFIGS = ("config", "cfg", "conf", "args", "hparams", "hyper_parameters", "hyperparameters", "settings")

#: Keys of two arrays that are together a scaler.
_STATISTICS = (
    ("mean", "std"), ("mean", "scale"), ("mu", "sigma"), ("x_mean", "x_std"), ("data_mean", "data_std"),
    ("input_mean", "input_std"), ("feature_mean", "feature_std"), ("train_mean", "train_std"),
)  # fmt: skip

#: Words in the name of an entry that say what samples went through before the network.
_SCALING = frozenset(
    (
        "scaler", "scalers", "scale", "sc", "norm", "normalize", "normalizer", "normalization", "normalise", "standardize",
        "standardizer", "preprocess", "preprocessor", "preprocessing", "transform", "transforms", "transformer", "pca", "whiten",
        "whitening", "imputer", "mean", "std", "offset", "quantile", "quantiles",
    )
)  # fmt: skip

#: And words that say which bit comes from where, or which class comes out.
_WIRING = frozenset(
    (
        "encoder", "encoding", "binarizer", "thermometer", "thresholds", "mapping", "perm", "permutation", "randperm", "order",
        "select", "selected", "mask",
    )
)  # fmt: skip

#: Words that make a figure about the training of a name with one of the above.
_FIGURES = frozenset(
    (
        "acc", "accuracy", "loss", "err", "error", "score", "f1", "auc", "time", "lr", "epoch", "epochs", "grad", "gradient",
        "best", "history", "metric", "metrics", "weight", "version",
    )
)  # fmt: skip

#: scikit-learn's class that holds the names of classes, in order.
_LABELS = "LabelEncoder"

_REMEDY = (
    'Save the scaler as "scaler": {{"mean": …, "scale": …}} and the encoder as "thermometer"; '
    "if the network does not need it, add --ignore {name}."
)


@dataclass(slots=True)
class Beside:
    """What stands beside a model, as found: raw objects, or None. ``reported``: the accuracy that it says, by which name.
    ``table``: how the columns of a table become features.
    """

    thermometer: Any = None
    scaler: Any = None
    class_names: Any = None
    feature_names: Any = None
    permutation: Any = None
    training: Any = None
    table: Any = None
    reported: tuple[str, float] | None = None
    config: dict[str, Any] = field(default_factory=dict)


def read_beside(entries: Mapping[Any, Any], ignored: Collection[str], found: Findings) -> Beside:
    """Give each of ``entries`` its role, but for those that the user asks to be ``ignored``."""
    names = {shown(key, 60): key for key in entries}
    for name in ignored:
        if name not in names:
            told = ", ".join(list(names)[:8]) or "none"
            found.add("--ignore", "must name an entry beside the model", f"{name!r}, of {told}", "Leave it out.")
    left = {k: v for k, v in entries.items() if v is not None and shown(k, 60) not in ignored}
    found.unused += [name for name in ignored if name in names]
    roles: dict[str, list[tuple[str, Any]]] = {}
    config = _configuration(left, found)
    for name, value, in_config in (*_merged(left, False), *_merged(config, True)):
        role = _role(name, value, in_config)
        if role in ("unused", "settings"):
            found.unused += [shown(name, 60)] if role == "unused" else []
        elif role == "refused":
            rule = "what stands beside the model and looks like preprocessing must be one of its known parts"
            found.add(shown(name, 60), rule, _described(value), _REMEDY.format(name=shown(name, 60)))
        elif role == "said":
            found.assume(
                f"samples come scaled already ({shown(name, 40)} = {shown(value, 40)}): the file holds no such scaler"
            )
        else:
            given = state_of(value).get("classes_") if class_of(value)[1] == _LABELS else value
            roles.setdefault(role, []).append((name, given))
    accuracy = training_record.reported({**config, **left})
    return Beside(
        **{role: _only(role, given, found) for role, given in roles.items()}, reported=accuracy, config=config
    )


def _configuration(left: Mapping[Any, Any], found: Findings) -> dict[str, Any]:
    """All settings together; those that two places say differently are refused."""
    config: dict[str, Any] = {}
    for key in _CONFIGS:
        said = settings(left.get(key))
        for name, value in said.items() if said is not None else ():
            if isinstance(name, str) and name in config and not _same(config[name], value):
                got = f"{_described(config[name])} and {_described(value)}"
                found.add(shown(name, 60), "must be the same wherever the checkpoint says it", got, "Save it once.")
            if isinstance(name, str):
                config[name] = value
    return config


def _merged(entries: Mapping[Any, Any], in_config: bool) -> Iterator[tuple[str, Any, bool]]:
    """The entries, with two arrays that are one scaler together as one; and whether they are settings."""
    pairs = [(mean, std) for mean, std in _STATISTICS if mean in entries and std in entries][:1]
    for mean, std in pairs:
        yield f"{mean}, {std}", {"mean": entries[mean], "scale": entries[std]}, in_config
    together = {name for pair in pairs for name in pair}
    for key, value in entries.items():
        if key not in together and value is not None:
            yield key if isinstance(key, str) else shown(key, 60), value, in_config


def _role(name: str, value: Any, in_config: bool) -> str:
    """The part of :class:`Beside` that an entry is, ``settings``, ``said`` (in words alone), ``refused``, or ``unused``."""
    holds = value if isinstance(value, Mapping) else state_of(value)
    kind = class_of(value)[1]
    if not in_config and name in _CONFIGS and settings(value) is not None:
        return "settings"
    if kind in SCALERS or (isinstance(value, Mapping) and _is_scaler(value)):
        return "scaler"
    if "thresholds" in holds or kind in THERMOMETERS:
        return "thermometer"
    if kind == _LABELS or (name in ("classes", "class_names") and text_list(value) is not None):
        return "class_names"
    if name == "feature_names":
        return "feature_names"
    if name == "table" and isinstance(value, Mapping) and "columns" in value:
        return "table"
    return _setting(name, value) if in_config else _entry(name, value)


def _entry(name: str, value: Any) -> str:
    """The role of an entry beside the model that its name tells, or none."""
    known = {"scaler": "scaler", "randperm": "permutation", "classes": "class_names", "class_names": "class_names"}
    known |= dict.fromkeys(("thermometer", "encoder", "thresholds"), "thermometer")
    if name in known:
        return known[name]
    return "refused" if _tells(name, _SCALING | _WIRING) and not _empty(value) else "unused"


def _setting(name: str, value: Any) -> str:
    """The role of one setting of a training: what is no array is at most a word about the samples."""
    if _empty(value) or not _tells(name, _SCALING | _WIRING - {"randperm"}):
        return "settings"
    values = array(value)
    if values is not None and values.size > 1:
        return "refused"
    return "said" if isinstance(value, str) and _tells(name, _SCALING) else "settings"


def _tells(name: str, words: frozenset[str]) -> bool:
    """Whether a name has one of the words, and none that makes it a figure of the training."""
    apart = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()
    own = set(re.split(r"[^a-z0-9]+", apart))
    return bool(own & words) and not own & _FIGURES


def _empty(value: Any) -> bool:
    """Whether a value says that there is nothing."""
    return value is False or (isinstance(value, str | list | tuple | dict) and (not value or value in ("none", "None")))


def _is_scaler(value: Mapping[Any, Any]) -> bool:
    return {"kind", "offset", "factor"} <= set(value) or ("mean" in value and ("scale" in value or "std" in value))


def _only(role: str, given: list[tuple[str, Any]], found: Findings) -> Any:
    """The one entry of a role; several are refused, unless they are names that say the same."""
    given = [one for one in given if not isinstance(one[1], str)] or given  # the kind in words, beside the thing itself
    names = {text_list(value) for _, value in given}
    if len(given) > 1 and (len(names) > 1 or None in names):
        told = ", ".join(shown(name, 40) for name, _ in given)
        remedy = f"Take one out with --ignore {shown(given[1][0], 40)}."
        found.add(role.replace("_", " "), "must stand once beside the model", told, remedy)
    return given[0][1]


def _same(one: Any, other: Any) -> bool:
    left, right = array(one), array(other)
    if left is None or right is None:
        return type(one) is type(other) and isinstance(one, str | None) and one == other
    return left.shape == right.shape and bool((left == right).all())


def _described(value: Any) -> str:
    values = array(value)
    if isinstance(value, str | int | float | bool):
        return shown(value, 60)
    return full_name(value) if values is None else f"an array of shape {values.shape}"
