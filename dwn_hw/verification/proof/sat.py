"""Decides whether two pieces of logic are equal for all inputs: by structure, by a few random cases, then by SAT.

SAT is ABC's (``&cec``, and ``sat`` for the inputs that show a difference), as a child process. What it is not sure of in time
is not claimed.
"""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dwn_hw import toolchain
from dwn_hw.errors import ToolError, ToolTimeout
from dwn_hw.verification.proof.aig import Aig, unpack

#: The words of random cases that are tried before SAT is.
_WORDS = 16


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verdict. ``equal``: True, False, or None where the time was too short. ``how``: the way in which it was found, in words.

    ``case``: where not equal, one value for each input, which shows it.
    """

    equal: bool | None
    how: str
    case: npt.NDArray[np.uint8] | None = None


def compare(a: Aig, b: Aig, timeout: float) -> Verdict:
    """Whether ``a`` and ``b``, of the same inputs and as many outputs, are equal output by output for all inputs."""
    both = Aig(a.inputs)
    pairs = [both.place(one, both.literals()) for one in (a, b)]
    differing = [(x, y) for x, y in zip(*pairs, strict=True) if x != y]
    if not differing:
        return Verdict(True, "structure")
    left, right = (both.cone([pair[side] for pair in differing]) for side in (0, 1))
    planes = np.random.default_rng(0).integers(0, 2**64, (a.inputs, _WORDS), np.uint64)
    if (case := _shown(left, right, planes, 64 * _WORDS)) is not None:
        return Verdict(False, "random cases", case)
    return _ask(left, right, timeout)


def _shown(left: Aig, right: Aig, planes: npt.NDArray[np.uint64], cases: int) -> npt.NDArray[np.uint8] | None:
    """The first of some cases in which ``left`` and ``right`` differ, or None."""
    differs = np.bitwise_or.reduce(left.simulate(planes) ^ right.simulate(planes), axis=0)
    (at,) = np.nonzero(unpack(differs[None], cases)[:, 0])
    return unpack(planes, cases)[at[0]] if len(at) else None


def _ask(left: Aig, right: Aig, timeout: float) -> Verdict:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dwn-hw-") as name:
        place = Path(name)
        (place / "left.aig").write_bytes(left.to_aiger())
        (place / "right.aig").write_bytes(right.to_aiger())
        said = _abc(f"&r left.aig; &cec -T {max(1, round(timeout))} right.aig", place, timeout)
        if said is not None and "Networks are equivalent" in said:
            return Verdict(True, "SAT")
        if said is None or "NOT EQUIVALENT" not in said:
            return Verdict(None, "SAT, undecided in time")
        miter = left.cone(left.outputs)
        others = miter.place(right, miter.literals())
        miter.outputs = [miter.any(miter.differ(x, y) for x, y in zip(miter.outputs, others, strict=True))]
        (place / "miter.aig").write_bytes(miter.to_aiger())
        left_over = max(1.0, timeout - (time.monotonic() - started))
        if _abc("read_aiger miter.aig; sat; write_cex case.txt", place, left_over) is None:
            return Verdict(None, "SAT, different, but no case that shows it found in time")
        case = _read_case(place / "case.txt", left.inputs)
    planes = np.repeat(case.astype(np.uint64)[:, None], 1, axis=1)
    if _shown(left, right, planes, 1) is None:
        raise ToolError("yosys-abc: its case of a difference shows none")
    return Verdict(False, "SAT", case)


def _abc(script: str, place: Path, timeout: float) -> str | None:
    """The output of ABC, or None if it takes too long. Its exit status says nothing."""
    try:
        return toolchain.run([toolchain.abc(), "-q", script], name="yosys-abc", cwd=place, timeout=timeout)
    except ToolTimeout:
        return None


def _read_case(path: Path, inputs: int) -> npt.NDArray[np.uint8]:
    text = path.read_text() if path.is_file() else ""
    if not re.fullmatch(rf"[01]{{{inputs}}}\s*", text):
        raise ToolError("yosys-abc: found a difference, but wrote no case that shows it")
    return np.array([int(digit) for digit in text.strip()], np.uint8)
