"""The interface contract of an export: which bit is what, written for machines and for people.

``interface.json`` holds everything that a host or a testbench needs; ``INTERFACE.md`` says the same in words. Both are
derived from the network and the design, never written twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw._version import __version__
from dwn_hw.hardware import shell_description
from dwn_hw.hardware.design import Design, transfers
from dwn_hw.ir import serialize
from dwn_hw.ir.packing import pack

#: Raised by one whenever an older reader would misunderstand a newer file.
FORMAT = 1


def describe(design: Design) -> dict[str, Any]:
    """The interface as plain values, ready for JSON."""
    network, shell, word = design.network, design.shell, design.word
    clocked, stream = design.latency > 0, shell != "none"
    suffix = "_payload" if stream else ""
    notes = dict(network.notes)
    described = {
        "format": FORMAT,
        "tool": f"dwn-hw {__version__}",
        "digest": serialize.digest(network),
        "name": design.name,
        "top": f"{design.name}_top",
        "kind": design.kind,
        "shell": shell,
        "target": design.target,
        "clock": "clk" if clocked else None,
        "reset": "rst" if clocked and stream else None,
        "latency": design.latency,
        "interval": design.interval,
        "transfers": transfers(design),
        **design.settings(),
        "input": {
            "port": f"x{suffix}",
            **_handshake("x", stream),
            "bits": word.bits if word else network.input.edge.bits,
            "chosen": notes.get("input", ""),
            "scaler": notes.get("scaler", "none"),
            **({"word": {"bits": word.bits, "signed": word.signed}} if word else {}),
            "features": _features(network, in_turn=word is not None),
        },
        "output": {
            "port": f"y{suffix}",
            **_handshake("y", stream),
            "fields": _fields(network, design.with_scores),
        },
        "classes": list(network.class_names),
        "ties": "the lowest class index wins",
    }
    return described | shell_description.describe(described)


def _handshake(side: str, stream: bool) -> dict[str, str]:
    return {"valid": f"{side}_valid", "ready": f"{side}_ready"} if stream else {}


def _features(network: ir.Network, in_turn: bool) -> list[dict[str, Any]]:
    """``in_turn``: the port carries one at a time; else they lie one above the other."""
    edge, features, low = network.input.edge, [], 0
    count = edge.size
    steps, offsets = (v * count if len(v) == 1 else v for v in (network.input.steps, network.input.offsets))
    per_entry = count // edge.shape[0]
    for i, fmt in enumerate(edge.flat_formats()):
        at = i if len(steps) == count else i // per_entry
        features.append(
            {
                "index": i,
                "name": network.feature_names[i] if network.feature_names else f"f{i}",
                "lsb": low,
                "bits": fmt.bits,
                "signed": fmt.signed,
                "step": steps[at],
                "offset": offsets[at],
            }
        )
        low += 0 if in_turn else fmt.bits
    return features


def _fields(network: ir.Network, with_scores: bool) -> list[dict[str, Any]]:
    edges = network.edges()
    fields: list[dict[str, Any]] = []
    low = 0
    is_class = isinstance(network.nodes[-1], ir.ArgMax)
    for edge, name in [(edges[-1], "class" if is_class else "scores")] + [(edges[-2], "scores")] * with_scores:
        fmt = edge.flat_formats()[0]
        fields.append({"name": name, "lsb": low, "bits": fmt.bits, "count": edge.size, "signed": fmt.signed})
        low += edge.bits
    return fields


def pack_port(codes: npt.NDArray[np.int64], design: Design) -> npt.NDArray[np.uint8]:
    """Codes (samples, features) as what the port ``x`` carries: (samples · transfers, bits), transfer after transfer."""
    if design.word is None:
        return pack(codes, design.network.input.edge)
    return pack(codes.reshape(-1, 1), ir.Edge((1,), (design.word,)))
