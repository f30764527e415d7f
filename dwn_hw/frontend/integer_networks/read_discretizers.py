"""Reads the layers that make few values of a number, ours or pasted ones of the same names, as a step and where it may turn.

A pasted class is believed where it gives what ours gives, on numbers around every place at which ours turns; else it is refused
with the first number at which they differ.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from dwn_hw.errors import InputError, OptionError, Problem
from dwn_hw.frontend.integer_networks.trained_network import Doubles, FixedPoint, Levels
from dwn_hw.frontend.module_state import Findings
from dwn_hw.nn import BinaryDiscretizer, MultiDiscretizer, dab
from dwn_hw.nn.ste import STE

#: The bits of levels that lie on no grid by themselves.
LEVEL_BITS = 8

#: The most by which a pasted class may differ from ours: sums such as ``soft + hard - soft`` round.
_TOLERANCE = 1e-6

#: Ours, by the names under which they are known.
OURS: dict[str, type[torch.nn.Module]] = {
    "STE": STE,
    "StraightThroughEstimator": STE,
    "BinaryDiscretizer": BinaryDiscretizer,
    "MultiDiscretizer": MultiDiscretizer,
    "SignumWithMargin": dab.SignumWithMargin,
    "KMeans": dab.KMeans,
    "Bernoulli": dab.Bernoulli,
}


def read(part: str, module: Any, smooth: Callable[[Doubles], Doubles], found: Findings) -> Levels | None:
    """The layer ``module`` behind ``smooth``, with the numbers at which it may turn; None with problems in ``found``."""
    name = type(module).__name__
    try:
        ours = _ours(module)
        edges = _edges(ours)
    except InputError as error:
        for problem in error.problems:
            found.add(part, f"{problem.thing}, {problem.rule}", problem.got, problem.remedy)
        return None
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        found.add(part, f"must be a {name} as dwn_hw.nn has it", f"{error}", f"Take dwn_hw.nn's {name}.")
        return None
    if type(module) is not type(ours) and not _behaves(part, module, ours, edges, found):
        return None
    if isinstance(ours, dab.Bernoulli) and not ours.deterministic:  # each number of a sample has a threshold of its own
        return Levels(part, smooth, lambda x: _run(ours, x), edges, FixedPoint(0, 0, 1, "half_up"))
    reached = _run(copy.deepcopy(ours).double(), np.concatenate([_between(edges), edges]))
    grid = grid_of(reached)
    moved = float(np.abs(_rounded(reached, grid) - reached).max())
    return Levels(part, smooth, lambda x: _rounded(_run(ours, x), grid), edges, grid, moved)


def _rounded(values: Doubles, grid: FixedPoint) -> Doubles:
    return np.asarray(np.clip(np.rint(values * 2.0**-grid.lsb), grid.lowest, grid.highest) * 2.0**grid.lsb)


def grid_of(values: Doubles) -> FixedPoint:
    """The coarsest grid that all ``values`` lie on, if :data:`LEVEL_BITS` hold it; else the finest of so many bits."""
    low, high = float(values.min()), float(values.max())
    top = int(np.frexp(max(high, -low, 1e-30))[1])
    finest = top + (low < 0) - LEVEL_BITS
    for lsb in range(top, finest - 1, -1):
        if lsb == finest or (np.rint(values * 2.0**-lsb) * 2.0**lsb == values).all():
            codes = np.rint(values * 2.0**-lsb)
            return FixedPoint(lsb, int(codes.min()), int(codes.max()), "half_up")
    raise AssertionError("the finest grid is always taken")


def _run(module: torch.nn.Module, x: Doubles) -> Doubles:
    kind = next((value.dtype for value in [*module.parameters(), *module.buffers()] if value.is_floating_point()), None)
    with torch.no_grad():
        given = torch.from_numpy(np.ascontiguousarray(x)).to(kind or torch.float32)
        return np.asarray(module(given).double().numpy())


def is_ours(module: Any) -> bool:
    """Whether a layer is of a class of this package: one that inherits from it elsewhere may do something else."""
    return type(module).__module__.partition(".")[0] == __name__.partition(".")[0]


def _ours(module: Any) -> torch.nn.Module:
    """Our layer with what ``module`` has learnt."""
    kind = OURS[type(module).__name__]
    if is_ours(module):
        copied: torch.nn.Module = copy.deepcopy(module)
        return copied.eval()
    if kind is dab.Bernoulli:
        remedy = "Take dwn_hw.nn.dab.Bernoulli(seed=1), or deterministic=True for x ≥ 0.5."
        raise OptionError(
            Problem("Bernoulli", "of dwn_hw.nn.dab, whose bits follow from a seed", "another class", remedy)
        )
    if kind is MultiDiscretizer:
        made = MultiDiscretizer(len(module.offsets), module.offsets.detach())
        made.alpha.data = module.alpha.detach().clone().reshape(-1)
        made.check()
        return made.eval()
    if kind is dab.SignumWithMargin:
        return dab.SignumWithMargin(float(getattr(module, "eps", 0.5))).eval()
    if kind is dab.KMeans:
        centroids = module.centroids.detach().reshape(-1, 1)
        means = dab.KMeans(len(centroids))
        means.centroids.copy_(centroids)
        means.check()
        return means.eval()
    return kind().eval()


def _edges(ours: torch.nn.Module) -> Doubles:
    """The numbers at which a layer turns, rising."""
    if isinstance(ours, MultiDiscretizer):
        ours.check()
        offsets, sharp = (v.detach().numpy() for v in (ours.offsets.double(), (ours.alpha.double() / 2).exp()))
        i, j = np.triu_indices(len(offsets), 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            both = [(sharp[i] * offsets[i] + s * sharp[j] * offsets[j]) / (sharp[i] + s * sharp[j]) for s in (1, -1)]
        found = np.concatenate(both)
        found = np.unique(found[np.isfinite(found)])
    elif isinstance(ours, dab.KMeans):
        ours.check()
        centroids = np.sort(ours.centroids.double().numpy().reshape(-1))
        found = (centroids[1:] + centroids[:-1]) / 2
    elif isinstance(ours, dab.SignumWithMargin):
        found = np.array([-ours.eps, ours.eps])
    else:
        found = np.array([0.0 if isinstance(ours, STE) else 0.5])
    values = _run(copy.deepcopy(ours).double(), _between(found))
    turns = values[1:] != values[:-1]
    return np.asarray(found[turns] if turns.any() else found[:1])


def _between(edges: Doubles) -> Doubles:
    """A number in each interval that rising ``edges`` leave."""
    return np.asarray(np.concatenate([edges[:1] - 1, (edges[1:] + edges[:-1]) / 2, edges[-1:] + 1]))


def _behaves(part: str, module: Any, ours: torch.nn.Module, edges: Doubles, found: Findings) -> bool:
    """Whether a pasted class gives what ours does; else a problem."""
    spread = np.linspace(edges.min() - 3, edges.max() + 3, 1001)
    near = [np.float64(np.nextafter(np.float32(edges), np.float32(to))) for to in (-np.inf, np.inf)]
    probes = np.unique(np.concatenate([edges.astype(np.float32), *near, spread.astype(np.float32)])).astype(np.float64)
    name = type(module).__name__
    try:
        got = _run(copy.deepcopy(module).eval(), probes[:, None])[:, 0]
    except Exception as error:  # noqa: BLE001 - code of the user
        found.add(
            part, f"must behave as dwn_hw.nn's {name}", f"{type(error).__name__}: {error}", f"Take dwn_hw.nn's {name}."
        )
        return False
    wanted = _run(ours, probes[:, None])[:, 0]
    differ = np.flatnonzero(~(np.abs(got - wanted) <= _TOLERANCE * max(1.0, np.abs(wanted).max())))
    if len(differ):
        at = differ[0]
        told = f"{got[at]:g} for {probes[at]:.9g}, where that gives {wanted[at]:g}"
        told += f" ({len(differ)} of {len(probes)} probes differ)"
        found.add(part, f"must behave as dwn_hw.nn's {name}", told, f"Take dwn_hw.nn's {name}, or another name.")
    return not len(differ)


def compares_to_mean(module: Any, shape: tuple[int, ...]) -> bool:
    """Whether a pasted class gives ``x ≥ mean(x)`` for probes of whole numbers, of which some meet the mean exactly."""
    draw = np.random.default_rng(0)
    x = draw.integers(-3, 4, (256, *shape)).astype(np.float64)
    x[0] = 1.0
    flat = x.reshape(len(x), -1)
    flat[1::2, 0] -= flat[1::2].sum(axis=1)  # a mean of 0
    try:
        got = _run(copy.deepcopy(module).eval(), flat.reshape(x.shape)).reshape(flat.shape)
    except Exception:  # noqa: BLE001 - code of the user
        return False
    return bool((got == (flat.shape[1] * flat >= flat.sum(axis=1, keepdims=True))).all())
