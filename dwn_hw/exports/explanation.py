"""Why a network answers a sample as it does: what the sample crosses, what votes, and what would have changed the answer.

All of it is computed in the integers that the hardware computes in: a change that is told of does change the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw._json import Document
from dwn_hw.errors import DataError, Problem
from dwn_hw.ir import evaluate, sample_files, serialize
from dwn_hw.ir.emulate import Emulator

Codes = npt.NDArray[np.int64]

#: The most changes of one feature that are tried: of images of many pixels the strides between them grow.
MOST_TRIED = 1 << 14


#: The most features that are changed together.
MOST_TOGETHER = 8


@dataclass(frozen=True, slots=True)
class Change:
    """A ``feature`` that takes another ``code``, so many ``steps`` away, and the class that the network then ``gives``.

    ``lead``: by how much the first answer's score is then above all others.
    """

    feature: int
    code: int
    steps: int
    gives: int
    lead: int


def explain(folder: Path, samples: sample_files.Samples, sample: int) -> Document:
    """What there is to say of one of ``samples``, counted from 0, in the network of an export; as plain values.

    Raises DataError for a sample that is not there, or a network that gives no class.
    """
    network = serialize.load(folder / "network.safetensors")
    if not network.classifies:
        rule, remedy = "a network that gives a class", "Look at its numbers with `dwn-hw predict`."
        raise DataError(Problem(str(folder), rule, "one that ends in numbers", remedy))
    samples, _ = sample_files.resolved(samples, network.table)
    if not 0 <= sample < len(samples):
        raise DataError(Problem("--sample", f"from 0 to {len(samples) - 1}", str(sample), "Choose one that is there."))
    labels = sample_files.labelled(samples, network.classes, network.class_names).y
    codes = sample_files.to_codes(samples, network).codes[[sample]].astype(np.int64)
    values = evaluate.trace(network, codes)
    answer, scores = int(values[-1].reshape(-1)[0]), values[-2].reshape(-1)
    ranked = sorted(range(len(scores)), key=lambda k: (-scores[k], k))
    tried = _tried(network, codes[0], answer)
    changes = _nearest(tried, answer)
    together = [] if changes else _together(network, codes[0], answer, tried)
    return {
        "digest": serialize.digest(network),
        "sample": sample,
        **_class("", network, answer),
        **({} if labels is None else _class("label_", network, int(labels[sample]))),
        "votes": [{**_class("", network, k), "score": int(scores[k])} for k in ranked],
        "margin": int(scores[ranked[0]] - scores[ranked[1]]) if len(ranked) > 1 else None,
        "features": [_feature(network, codes.reshape(-1), f) for f in range(codes.size)],
        "layers": [*_layers(network, values, answer)],
        "changes": [_change(network, codes.reshape(-1), change) for change in changes],
        "changes_tried": len(tried),
        "together": [_change(network, codes.reshape(-1), change) for change in together],
    }


def _class(prefix: str, network: ir.Network, k: int) -> Document:
    names = network.class_names
    return {f"{prefix}class": k} | ({f"{prefix}name": names[k]} if names else {})


def _name(network: ir.Network, feature: int) -> Document:
    names = network.feature_names
    return {"feature": feature} | ({"name": names[feature]} if len(names) > feature else {})


def _real(network: ir.Network, feature: int, code: int) -> float:
    """What a code stands for, in the user's units."""
    _, step, offset = network.input.of_feature(feature)
    return float(code * step + offset)


def _feature(network: ir.Network, codes: Codes, feature: int) -> Document:
    """A feature's value in the user's units, how many of its thresholds it crosses, and the nearest ones."""
    code = int(codes[feature])
    found: Document = {**_name(network, feature), "code": code, "value": _real(network, feature, code)}
    if network.encoder:
        row = sorted(set(network.encoder.thresholds[feature]))
        crossed = sum(threshold <= code for threshold in row)
        found |= {"thresholds": len(row), "crossed": crossed}
        found["last_crossed"] = _real(network, feature, row[crossed - 1]) if crossed else None
        found["next"] = _real(network, feature, row[crossed]) if crossed < len(row) else None
    return found


def _layers(network: ir.Network, values: tuple[Codes, ...], answer: int) -> Iterator[Document]:
    """Of each layer of LUTs how many give 1, and which of them would by themselves have changed the answer."""
    for step in network.steps():
        if not isinstance(step.node, ir.LutLayer):
            continue
        bits = values[step.index + 1]
        flipped = np.repeat(bits, bits.shape[1], axis=0) ^ np.eye(bits.shape[1], dtype=np.int64)
        for later in network.steps()[step.index + 1 :]:
            flipped = evaluate.apply(later.node, flipped, later.before.formats[0].lsb)
        decide = np.flatnonzero(flipped.reshape(-1) != answer).tolist()
        yield {"layer": step.name, "luts": bits.shape[1], "ones": int(bits.sum()), "decide": decide}


def _tried(network: ir.Network, codes: Codes, answer: int) -> list[Change]:
    """Other codes of one feature at a time, and what they lead to."""
    flat = codes.reshape(-1)
    each = max(2, MOST_TRIED // flat.size)
    others = [(f, code, far) for f in range(flat.size) for code, far in _other_codes(network, f, int(flat[f]), each)]
    if not others:
        return []
    rows = np.repeat(flat[None], len(others), axis=0)
    rows[np.arange(len(others)), [f for f, _, _ in others]] = [code for _, code, _ in others]
    scores, gives = Emulator(network).run(rows.reshape(-1, *codes.shape))
    scores = scores.reshape(len(rows), -1).astype(np.int64)
    rivals = np.delete(scores, answer, axis=1).max(axis=1, initial=np.iinfo(np.int32).min)
    lead = (scores[:, answer] - rivals).tolist()
    return [Change(*other, *led) for other, *led in zip(others, gives.reshape(-1).tolist(), lead, strict=True)]


def _nearest(tried: list[Change], answer: int) -> list[Change]:
    """Of each feature the nearest change that changes the answer, the nearest first."""
    found: dict[int, Change] = {}
    for change in sorted(tried, key=lambda change: (change.steps, change.feature)):
        if change.gives != answer:
            found.setdefault(change.feature, change)
    return list(found.values())


def _together(network: ir.Network, codes: Codes, answer: int, tried: list[Change]) -> list[Change]:
    """Changes of several features that change the answer together: each in turn the one that takes most of its lead.

    There may be fewer that do, or nearer ones. Nothing where :data:`MOST_TOGETHER` do not.
    """
    taken: dict[int, Change] = {}
    now = codes.copy()
    while tried and len(taken) < MOST_TOGETHER:
        best = min(tried, key=lambda change: (change.gives == answer, change.lead, change.steps, change.feature))
        taken[best.feature] = best
        now.reshape(-1)[best.feature] = best.code
        if best.gives != answer:
            return list(taken.values())
        tried = [change for change in _tried(network, now, answer) if change.feature not in taken]
    return []


def _other_codes(network: ir.Network, feature: int, code: int, most: int) -> list[tuple[int, int]]:
    """(code, how far it is): with thresholds, the nearest code behind each and how many lie between; else strides of two."""
    own, _, _ = network.input.of_feature(feature)
    if network.encoder:
        row = sorted({t for t in network.encoder.thresholds[feature] if own.low < t <= own.high})
        above = [(t, i + 1) for i, t in enumerate(t for t in row if t > code)]
        below = [(t - 1, i + 1) for i, t in enumerate(t for t in reversed(row) if t <= code)]
        return sorted(above + below, key=lambda each: each[1])[:most]
    strides = [1 << i for i in range(own.bits)]
    both = [(code + sign * stride, stride) for stride in strides for sign in (1, -1)]
    return [(other, far) for other, far in both if own.low <= other <= own.high][:most]


def _change(network: ir.Network, codes: Codes, change: Change) -> Document:
    ends = {"from": int(codes[change.feature]), "to": change.code}
    unit = "thresholds" if network.encoder else "codes"
    return {
        **_name(network, change.feature),
        **{name: _real(network, change.feature, code) for name, code in ends.items()},
        "code": change.code,
        "gives": _class("", network, change.gives),
        unit: change.steps,
    }
