"""Sorted numbers, and the first of them."""

from __future__ import annotations

import math

import torch
from torch import nn

from dwn_hw.nn._checks import boolean, refuse, whole_number
from dwn_hw.nn.dab.approximators import DenseApproximator, Shape, as_shape
from dwn_hw.nn.dab.bridge import DAB

#: What is sorted of a sample: all its numbers together, each vector along the last axis, or each row and each column.
AXES = ("flat", "last", "rows and columns")


class _Sorting(DAB):
    """What :class:`Sort` and :class:`TopK` share; ``first``: how many of the sorted numbers come out, None for all."""

    def __init__(
        self,
        first: int | None,
        shape: Shape,
        axes: str,
        descending: bool,
        approximator: nn.Module | None,
        gamma: float | None,
    ) -> None:
        name = type(self).__name__
        sizes = as_shape(f"{name} shape", shape)
        if axes not in AXES:
            raise refuse(f"{name} axes", f"one of {', '.join(AXES)}", repr(axes), "Name one of these.")
        if axes == "rows and columns" and len(sizes) < 2:
            remedy = "Give a shape of rows and columns, or axes='last'."
            raise refuse(f"{name} shape", "two axes at least", f"{sizes}", remedy)
        fewest = {"flat": math.prod(sizes), "last": sizes[-1], "rows and columns": min(sizes[-2:])}[axes]
        if first is not None and first > fewest:
            remedy = "Give a smaller k, or Sort for all of them."
            raise refuse(f"{name} k", f"at most as many as are sorted, {fewest}", f"{first}", remedy)
        if approximator is None:
            approximator = DenseApproximator(sizes, _shape_of(sizes, axes, first))
        super().__init__(approximator, gamma)
        self.first, self.shape, self.axes = first, sizes, axes
        self.descending = boolean(f"{name} descending", descending)

    def hard(self, x: torch.Tensor) -> torch.Tensor:
        """The sorted numbers."""
        if tuple(x.shape[1:]) != self.shape:
            rule, got = f"of shape (samples, {', '.join(map(str, self.shape))})", f"shape {tuple(x.shape)}"
            raise refuse(f"input of {type(self).__name__}", rule, got, "Change shape, or reshape what comes before.")
        match self.axes:
            case "flat":
                return self._sorted(x.flatten(1), -1)
            case "last":
                return self._sorted(x, -1)
            case _:
                return torch.cat([self._sorted(x, axis).flatten(-2) for axis in (-1, -2)], -1)

    def _sorted(self, x: torch.Tensor, axis: int) -> torch.Tensor:
        values = x.sort(axis, self.descending).values
        return values if self.first is None else values.narrow(axis, 0, self.first)

    def extra_repr(self) -> str:
        """The arguments, for ``repr``."""
        first = "" if self.first is None else f"{self.first}, "
        return f"{first}{self.shape}, axes={self.axes!r}, descending={self.descending}, {super().extra_repr()}"


class Sort(_Sorting):
    """The numbers of a sample sorted, the largest first; ``descending=False``: the smallest.

    ``shape``: of a sample, without the batch. ``axes`` says what is sorted, and the shape that comes out:

    * ``flat``: all numbers together, (batch, *shape) → (batch, n);
    * ``last``: along the last axis, (batch, …, n) → the same;
    * ``rows and columns``: of the last two axes (h, w) each row sorted, and behind the rows, in the same order of reading, each
      column sorted: (batch, …, h, w) → (batch, …, 2·h·w). It is the paper's sort of rows ⊕ columns.

    The approximator is by default a :class:`DenseApproximator`.
    """

    def __init__(
        self,
        shape: Shape,
        axes: str = "flat",
        descending: bool = True,
        approximator: nn.Module | None = None,
        gamma: float | None = None,
    ) -> None:
        super().__init__(None, shape, axes, descending, approximator, gamma)


class TopK(_Sorting):
    """The first ``k`` of what :class:`Sort` gives, by default the largest.

    (batch, k), (batch, …, k), or of rows and columns the first ``k`` of each, (batch, …, h·k + k·w).
    """

    def __init__(
        self,
        k: int,
        shape: Shape,
        axes: str = "flat",
        descending: bool = True,
        approximator: nn.Module | None = None,
        gamma: float | None = None,
    ) -> None:
        super().__init__(whole_number("TopK k", k), shape, axes, descending, approximator, gamma)


def _shape_of(shape: tuple[int, ...], axes: str, first: int | None) -> tuple[int, ...]:
    """The shape that comes out, without the batch."""
    match axes:
        case "flat":
            return (first or math.prod(shape),)
        case "last":
            return (*shape[:-1], first or shape[-1])
        case _:
            *others, h, w = shape
            return (*others, h * (first or w) + (first or h) * w)
