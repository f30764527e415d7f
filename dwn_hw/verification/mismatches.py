"""A mismatch as people and programs read it: vector, unit, values, the place in the Verilog, and the command that repeats it."""

from __future__ import annotations

from dataclasses import dataclass

from dwn_hw.errors import Mismatch
from dwn_hw.ir import vectors
from dwn_hw.verification.verilog_places import Place

#: The most codes that a message shows.
_SHOWN = 16


@dataclass(frozen=True, slots=True)
class Difference:
    """The first one: in which phase, of which vector (or −1), where, what was expected; ``clock`` of the simulation, or −1.

    ``width``: the bits of a unit.
    """

    phase: str
    vector: int
    node: str
    unit: int
    expected: object
    got: object
    clock: int = -1
    width: int = 1

    @property
    def bit(self) -> int:
        """The lowest bit that differs, of all units together."""
        known = isinstance(self.expected, int) and isinstance(self.got, int)
        different = int(str(self.expected)) ^ int(str(self.got)) if known else 0
        return self.unit * self.width + max((different & -different).bit_length() - 1, 0)


def mismatch(
    found: Difference,
    stimulus: vectors.Vectors,
    repeat: str,
    place: Place | None,
    waveform: str | None = None,
) -> Mismatch:
    """The error that says it; its ``details`` hold all of it."""
    vector = found.vector
    kind = stimulus.kind_of(vector) if vector >= 0 else "no"
    codes = stimulus.codes[vector].reshape(-1).tolist() if vector >= 0 else []
    shown = ", ".join(map(str, codes[:_SHOWN])) + (", …" if len(codes) > _SHOWN else "")
    values = f"expected {found.expected}, got {found.got}"
    lines = [
        f"the Verilog differs from the network: {found.node}, unit {found.unit}: {values}",
        f"  vector {vector} ({kind}), in {found.phase}; codes {shown}",
    ]
    if place is not None:
        lines.append(f"  at {place.file}:{place.line}: {place.name}")
    lines += [f"  waveform: {waveform}"] if waveform else []
    details = {
        "node": found.node,
        "unit": found.unit,
        "expected": found.expected,
        "got": found.got,
        "vector": vector,
        "kind": kind,
        "codes": codes,
        "phase": found.phase,
        "clock": found.clock if found.clock >= 0 else None,
        "file": place and place.file,
        "line": place and place.line,
        "name": place and place.name,
        "cone": [{"name": name, "line": line} for name, line in place.cone] if place else [],
        "seed": stimulus.seed,
        "repeat": repeat,
        "waveform": waveform,
    }
    return Mismatch("\n".join([*lines, f"  repeat: {repeat}"]), details)
