"""Takes a live module apart by ``torch.fx`` into a chain of steps, and names everything that has no exact form at once.

Shift layers, ours and upstream's, are known by their class names and attributes, so that no other package is needed. Functional
forms, methods and modules of an operation are one thing here. Shapes come from running the graph once, on zeros.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import fx

from dwn_hw.errors import InputError
from dwn_hw.frontend.integer_networks import scaler_inside
from dwn_hw.frontend.integer_networks.operations import WHOLE
from dwn_hw.frontend.integer_networks.trained_network import (
    LINEAR_LAYERS,
    SHIFT_LAYERS,
    Doubles,
    Run,
    TrainedNetwork,
    Weighted,
    holds,
)
from dwn_hw.frontend.integer_networks.walk import BATCH, Walk, floating
from dwn_hw.frontend.module_state import Findings
from dwn_hw.frontend.pickles.standins import shown
from dwn_hw.frontend.trained_dwn import Scaler
from dwn_hw.ir.edges import Ints

_SUMMING = (*SHIFT_LAYERS, *LINEAR_LAYERS)


class _Tracer(fx.Tracer):
    """A tracer that keeps shift layers whole, whichever package they are from; if ``shut``, the user's own modules without a
    layer that sums as well, whose forward may be one that nobody can trace.
    """

    def __init__(self, shut: bool = False) -> None:
        super().__init__()
        self.shut = shut

    def is_leaf_module(self, m: torch.nn.Module, module_qualified_name: str) -> bool:
        """Whether the tracer does not look inside a module."""
        whole = type(m).__name__ in WHOLE or (self.shut and not holds(m, _SUMMING))
        return whole or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: Any, forward: Any, args: Any, kwargs: Any) -> Any:
        """Trace a call; a straight-through wrapper is its discretizer and then its transform."""
        if type(m).__name__ == "StraightThroughWrapper" and hasattr(m, "discretizer") and hasattr(m, "transform"):
            return m.transform(m.discretizer(*args))
        return super().call_module(m, forward, args, kwargs)


class _Shapes(fx.Interpreter):
    """Runs a graph and remembers the shape of every tensor in it."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module, garbage_collect_values=False)
        self.shapes: dict[fx.Node, Ints] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Run one node, and remember the shape of its tensor."""
        value = super().run_node(n)
        if isinstance(value, torch.Tensor) and n.op != "output":
            self.shapes[n] = tuple(value.shape)
        return value


def first_width(module: torch.nn.Module) -> int | None:
    """The number of a sample's values, where the first layer says it, as a linear one does; else None."""
    first = next(
        (m for m in module.modules() if not list(m.children()) and next(m.parameters(), None) is not None), None
    )
    width = getattr(first, "in_features", None)
    return width if isinstance(width, int) else None


def begins_linear(module: torch.nn.Module) -> bool:
    """Whether a module is a chain whose first layer is a linear one, which takes samples of one axis alone."""
    return isinstance(module, torch.nn.Sequential) and type(module[0]).__name__ in (*SHIFT_LAYERS[:2], "Linear")


def trace(module: torch.nn.Module, shape: Ints, scaler: Scaler | None = None, source: str = "") -> TrainedNetwork:
    """Take ``module`` apart into its chain of steps, for samples of ``shape`` without the axis of samples.

    The module is left as it is. Raises CheckpointError with every reason why it cannot be hardware.
    """
    found = Findings(source or type(module).__name__)
    _check_hooks(module, found)
    model = copy.deepcopy(module).eval().cpu()
    kinds = {p.dtype for p in model.parameters() if p.is_floating_point()} - {
        torch.float16,
        torch.float32,
        torch.float64,
    }
    if kinds:
        got = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
        found.add("parameters", "must be float16, float32 or float64", got, "Say model.float().")
        raise found.error()
    graph, shapes = _graph(model, shape, found)
    # The graph's copy has run, and shift layers clamp their parameters when they run: those of the module are read.
    inside, nodes = scaler_inside.find(module, graph, shapes, found)
    if inside is not None and scaler is not None:
        got, remedy = f"one in forward ({nodes[0].name}) and one before it", "Leave one of them out."
        found.add("scaler", "must be one", got, remedy)
    walk = Walk(module, graph, shapes, found, nodes)
    walk.run()
    if not any(isinstance(step, Weighted) for step in walk.made):
        found.add(
            "", "must have a layer that sums", "none", "It has nothing to fold: train a Linear, Conv2d or shift layer."
        )
    found.stop()
    unneeded = [*nodes, *walk.chosen]
    given = scaler_inside.without(graph, unneeded) if unneeded else module
    return TrainedNetwork(
        shape,
        tuple(walk.made),
        _original(given),
        lambda weights: _original(given, weights),
        inside or scaler,
        tuple(walk.left_out),
        found.source,
        walk.classifies,
    )


def _check_hooks(module: torch.nn.Module, found: Findings) -> None:
    """Refuse what changes numbers beside forward, where no tracer sees it; pruning and the old weight norm are such hooks."""
    for name, part in module.named_modules():
        # torch has no public name for them
        if part._forward_hooks or part._forward_pre_hooks:
            remedy = "Remove it: hook.remove(), prune.remove(layer, 'weight'), remove_weight_norm(layer)."
            found.add(name, "must have no forward hook, which may change its numbers", "one", remedy)
    found.stop()


def _original(module: torch.nn.Module, other: Mapping[str, tuple[Doubles, Doubles]] | None = None) -> Run:
    """A function that runs the model as it was given, or with ``other`` weights and what is added to biases, some samples at a
    time.

    It has a copy, since shift layers clamp their parameters when they run.
    """
    model = copy.deepcopy(module).eval().cpu()
    for name, (weights, added) in (other or {}).items():
        layer: Any = model.get_submodule(name)
        # Parameters of its own: layers may share theirs, and are rounded apart.
        kept = {"weight": torch.from_numpy(weights.reshape(layer.weight.shape)).to(layer.weight.dtype)}
        if layer.bias is not None:
            kept["bias"] = (layer.bias.double() + torch.from_numpy(added)).to(layer.bias.dtype)
        for key, value in kept.items():
            setattr(layer, key, torch.nn.Parameter(value, requires_grad=False))
    dtype = floating(model)

    def run(x: npt.NDArray[Any]) -> Doubles:
        with torch.no_grad():
            parts = [model(torch.from_numpy(part).to(dtype, copy=True)).double().numpy() for part in _parts(x)]
        return np.concatenate(parts)

    return run


def _parts(x: npt.NDArray[Any]) -> Sequence[npt.NDArray[Any]]:
    return [x[start : start + 256] for start in range(0, len(x), 256)]


def _graph(model: torch.nn.Module, shape: Ints, found: Findings) -> tuple[fx.GraphModule, dict[fx.Node, Ints]]:
    try:
        graph = _traced(model)
    except Exception as error:  # noqa: BLE001 - forward is code of the user
        remedy = "Write forward so that it does the same for all samples: no if and no loop that depends on values."
        found.add("forward", "must be traceable by torch.fx", f"{type(error).__name__}: {shown(str(error))}", remedy)
        raise found.error() from None
    runner = _Shapes(graph)
    try:
        with torch.no_grad():
            runner.run(torch.zeros((BATCH, *shape), dtype=floating(model)))
            graph(
                torch.zeros((1, *shape), dtype=floating(model))
            )  # fails where forward takes another number for granted
    except InputError as error:  # what a layer of dwn_hw.nn says of itself
        for problem in error.problems:
            found.add("forward", f"{problem.thing}: {problem.rule}", problem.got, problem.remedy)
        raise found.error() from None
    except Exception as error:  # noqa: BLE001 - forward is code of the user
        lines = [line for line in str(error).splitlines() if line.strip()]
        rule = f"must take samples of shape ({', '.join(map(str, shape))})"
        got = f"{type(error).__name__}: {shown(lines[0] if lines else '')}"
        found.add("forward", rule, got, "Give the shape of one sample: --input-shape 1,28,28.")
        raise found.error() from None
    return graph, runner.shapes


def _traced(model: torch.nn.Module) -> fx.GraphModule:
    """The graph of ``forward`` with the values that its other arguments have by default.

    Where that cannot be traced, the modules of the user's own that hold no layer that sums are each one operation of it.
    """
    parameters = list(inspect.signature(model.forward).parameters.values())[1:]
    defaults = {
        p.name: p.default for p in parameters if p.default is not p.empty and not isinstance(p.default, torch.Tensor)
    }
    try:
        return fx.GraphModule(model, _Tracer().trace(model, concrete_args=defaults or None))
    except Exception:
        if holds(model, _SUMMING) and type(model).__name__ not in _SUMMING:
            return fx.GraphModule(model, _Tracer(shut=True).trace(model, concrete_args=defaults or None))
        raise
