"""The rules that nodes check themselves by, and what several nodes work out in the same way."""

from __future__ import annotations

from collections.abc import Sequence

from dwn_hw.errors import IRError, Problem
from dwn_hw.ir.edges import Edge, Ints

#: The most bits of a code: one more than the highest code, and its negative, must fit in an int64.
MAX_CODE_BITS = 62


def check(good: bool, thing: str, rule: str, got: object) -> None:
    """Raise IRError unless ``good``."""
    if not good:
        raise IRError(Problem(thing, rule, f"{got}", "Export the model again, or mend the network that you built."))


def is_whole(value: object) -> bool:
    """Whether ``value`` is an integer: JSON has fractions, and Python counts True as 1; neither is a number of things."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_whole(thing: str, name: str, values: Sequence[object], count: int, least: int | None) -> None:
    """Raise IRError unless ``values`` are ``count`` integers, at least one, each at least ``least``."""
    good = len(values) == count > 0 and all(is_whole(v) and (least is None or v >= least) for v in values)  # type: ignore[operator]
    floor = "" if least is None else f" of at least {least}"
    check(good, thing, f"{name}: {max(count, 1)} integers{floor}", values)


def check_pairs(thing: str, **pairs: tuple[Ints, int]) -> None:
    """Check pairs. Each, by its name, is a pair (rows, columns) and the least that either may be."""
    for name, (pair, least) in pairs.items():
        check_whole(thing, name, pair, 2, least)


def shared_lsb(thing: str, edge: Edge) -> int:
    """The lsb that all entries of an edge share. Raises IRError if they do not."""
    grids = sorted({fmt.lsb for fmt in edge.formats})
    check(len(grids) == 1, thing, "numbers on one grid", f"lsb {', '.join(map(str, grids))}")
    return grids[0]


def window_positions(
    thing: str, extent: Sequence[int], window: Sequence[int], stride: Ints, padding: Ints, dilation: Ints
) -> Ints:
    """The numbers (rows, columns) of the places where a window fits. Raises IRError if there are none."""
    axes = zip(extent, window, stride, padding, dilation, strict=True)
    shape = tuple((e + 2 * p - d * (w - 1) - 1) // s + 1 for e, w, s, p, d in axes)
    check(
        min(shape) >= 1,
        thing,
        f"a window of {pair_text(window)} fits into {pair_text(extent)} with its padding",
        "none",
    )
    return shape


def pair_text(values: Sequence[int]) -> str:
    """The text of a pair for people: ``2×3``."""
    return "×".join(str(value) for value in values)
