"""Counts what vectors reached in a network: bits that took both values, addresses of LUTs, ends of clamps, classes.

A verification says nothing of a fault behind a bit that never moved, or of a class that never won.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dwn_hw._json import Document
from dwn_hw.ir import evaluate, lut_addresses
from dwn_hw.ir.edges import Edge
from dwn_hw.ir.integer_nodes import Quantize
from dwn_hw.ir.lut_nodes import MAX_LUT_INPUTS, LutLayer
from dwn_hw.ir.network import Network

#: Vectors that are evaluated at once.
_BLOCK = 1024


@dataclass(slots=True)
class Reached:
    """What vectors reached of one node: its output's bits that moved, numbers that never changed (``still``), and where there are
    such, addresses and clamped ends.

    A bit that never moved may be one that never can: formats of sums are wide enough for any input of their node alone.
    """

    bits: int
    units: int
    moved: int = 0
    still: int = 0
    addresses: int = 0
    addressed: int = 0
    ends: int = 0
    ended: int = 0

    def report(self) -> dict[str, int]:
        """The counts as plain values, without those of what the node has not."""
        found = {"bits": self.bits, "moved": self.moved, "units": self.units, "still": self.still}
        if self.addresses:
            found |= {"addresses": self.addresses, "addressed": self.addressed}
        return found | ({"ends": self.ends, "ended": self.ended} if self.ends else {})


@dataclass(slots=True)
class _Seen:
    """What was seen of a node so far: each unit's bits as ones and as zeros, its least and greatest number, its addresses."""

    ones: npt.NDArray[np.int64]
    zeros: npt.NDArray[np.int64]
    least: npt.NDArray[np.int64]
    most: npt.NDArray[np.int64]
    addresses: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Coverage:
    """What vectors reached: of each node by name, and of the classes how often each won."""

    nodes: dict[str, Reached]
    classes: tuple[int, ...]
    names: tuple[str, ...] = ()

    def warnings(self) -> list[str]:
        """What no vector moved, in words: a fault there is not seen."""
        found = []
        if never := [i for i, count in enumerate(self.classes) if not count]:
            told = ", ".join(self.names[i] if self.names else str(i) for i in never[:8])
            found.append(f"no vector gives class {told}" + (" …" if len(never) > 8 else ""))
        still = [f"{node.still} of {node.units} of {name}" for name, node in self.nodes.items() if node.still]
        return [*found, *([f"no vector changes {', '.join(still)}"] if still else [])]

    def __str__(self) -> str:
        bits, moved = (sum(getattr(node, name) for node in self.nodes.values()) for name in ("bits", "moved"))
        parts = [f"{moved} of {bits} bits took both values"]
        for all_of, those, what in (
            ("addresses", "addressed", "addresses of LUTs"),
            ("ends", "ended", "ends of clamps"),
        ):
            total, met = (sum(getattr(node, name) for node in self.nodes.values()) for name in (all_of, those))
            parts += [f"{met} of {total} {what}"] if total else []
        if self.classes:
            parts.append(f"{sum(count > 0 for count in self.classes)} of {len(self.classes)} classes")
        return ", ".join(parts)

    def report(self) -> Document:
        """The counts as plain values."""
        return {"nodes": {name: node.report() for name, node in self.nodes.items()}, "classes": list(self.classes)}


def measure(network: Network, codes: npt.NDArray[np.int64]) -> Coverage:
    """What ``codes`` (vectors, *input shape) reach of each node of ``network``."""
    steps = network.steps()
    seen = [_unseen(step.node, step.after) for step in steps]
    won = np.zeros(network.classes if network.classifies else 0, np.int64)
    for start in range(0, len(codes), _BLOCK):
        values = evaluate.trace(network, codes[start : start + _BLOCK])
        for step, known in zip(steps, seen, strict=True):
            flat = values[step.index + 1].reshape(len(values[0]), -1)
            known.ones |= np.bitwise_or.reduce(flat, axis=0)
            known.zeros |= np.bitwise_or.reduce(~flat, axis=0)
            known.least, known.most = np.minimum(known.least, flat.min(0)), np.maximum(known.most, flat.max(0))
            if isinstance(step.node, LutLayer):
                address = lut_addresses.addresses(step.node, values[step.index].reshape(len(flat), -1))
                known.addresses[np.arange(len(address))[:, None], address] = True
        if network.classifies:
            won += np.bincount(values[-1].reshape(-1), minlength=len(won))
    nodes = {step.name: _reached(step.node, step.after, known) for step, known in zip(steps, seen, strict=True)}
    if network.classifies:  # of a class index, what counts is which classes occurred
        nodes.pop(steps[-1].name)
    return Coverage(nodes, tuple(int(count) for count in won), network.class_names)


def _unseen(node: object, edge: Edge) -> _Seen:
    zero = np.zeros(edge.size, np.int64)
    limits = np.iinfo(np.int64)
    luts = edge.size if isinstance(node, LutLayer) else 0
    return _Seen(
        zero.copy(), zero.copy(), zero + limits.max, zero + limits.min, np.zeros((luts, 1 << MAX_LUT_INPUTS), bool)
    )


def _reached(node: object, edge: Edge, seen: _Seen) -> Reached:
    """The counts of a node."""
    formats = edge.flat_formats()
    widths = np.array([fmt.bits for fmt in formats])
    both = seen.ones & seen.zeros
    moved = int(sum(((both >> bit) & 1)[widths > bit].sum() for bit in range(int(widths.max()))))
    found = Reached(int(widths.sum()), edge.size, moved, int((seen.least == seen.most).sum()))
    match node:
        case LutLayer():
            found.addresses, found.addressed = sum(1 << len(wires) for wires in node.wires), int(seen.addresses.sum())
        case Quantize():
            found.ends = 2 * math.prod(edge.shape)
            found.ended = int((seen.least == node.lowest).sum() + (seen.most == node.highest).sum())
        case _:
            pass
    return found
