"""Finds the normalisation with which a module's own forward begins, and takes it for the scaler of the network.

A chain of subtractions, divisions, products and sums with constants is one linear map of each feature. Where it has the form of a
scaler, its arithmetic is the module's own; a longer chain is multiplied out in float64 and then rounded to float32.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import fx

from dwn_hw.frontend.integer_networks.operations import KIND_OF
from dwn_hw.frontend.integer_networks.trained_network import Doubles
from dwn_hw.frontend.module_state import Findings
from dwn_hw.frontend.trained_dwn import Scaler
from dwn_hw.ir.edges import Ints

#: The names of what a chain may consist of, as functions and as methods.
_ARITHMETIC = {
    "sub": operator.sub,
    "add": operator.add,
    "mul": operator.mul,
    "truediv": operator.truediv,
    "div": operator.truediv,
    "multiply": operator.mul,
    "subtract": operator.sub,
    "divide": operator.truediv,
}

_NORMS = ("BatchNorm1d", "BatchNorm2d")


def find(
    module: torch.nn.Module, graph: fx.GraphModule, shapes: dict[fx.Node, Ints], found: Findings
) -> tuple[Scaler | None, list[fx.Node]]:
    """The scaler at the beginning of ``graph``, and the nodes that it is made of; None and no nodes where there is none."""
    node: fx.Node | None = next((n for n in graph.graph.nodes if n.op == "placeholder" and n in shapes), None)
    steps: list[tuple[str, Doubles]] = []
    nodes: list[fx.Node] = []
    while node is not None:
        users, before = list(node.users), shapes[node]
        node = users[0] if len(users) == 1 and users[0] in shapes else None
        if node is None:
            break
        if not nodes and KIND_OF.get(_name(module, node)) in ("reshape", "dropout"):
            continue
        read = _step(module, graph, node, shapes[node]) if shapes[node] == before else None
        if read is None:
            break
        steps += read
        nodes.append(node)
    if not nodes:
        return None, []
    scaler = _scaler(steps)
    if not (np.isfinite(scaler.factor).all() and np.isfinite(scaler.offset).all() and (scaler.factor > 0).all()):
        got = "a factor that is 0, negative or not finite"
        found.add(
            nodes[0].name, "must scale by positive numbers, before the first layer", got, "Leave that feature out."
        )
    return scaler, nodes


def without(graph: fx.GraphModule, nodes: list[fx.Node]) -> fx.GraphModule:
    """A copy of ``graph`` in which what ``nodes`` do is left out."""
    names = {node.name for node in nodes}
    rest = fx.Graph()
    rest.output(rest.graph_copy(graph.graph, {}))
    for node in list(rest.nodes):
        if node.name in names:
            node.replace_all_uses_with(next(n for n in node.all_input_nodes if n.op != "get_attr"))
            rest.erase_node(node)
    return fx.GraphModule(graph, rest)


def _name(module: torch.nn.Module, node: fx.Node) -> str:
    if node.op == "call_module":
        return type(module.get_submodule(str(node.target))).__name__
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return name.strip("_")


def _step(
    module: torch.nn.Module, graph: fx.GraphModule, node: fx.Node, shape: Ints
) -> list[tuple[str, Doubles]] | None:
    """What a node does to each feature, in order: (``sub``, ``add``, ``mul`` or ``truediv``, numbers (features,))."""
    name = _name(module, node)
    if node.op == "call_module" and name in _NORMS:
        return _norm(module.get_submodule(str(node.target)), shape)
    if node.op == "call_module" or name not in _ARITHMETIC or len(node.args) != 2 or node.kwargs:
        return None
    source, constant = node.args
    if _is_constant(source) and name in ("add", "mul", "multiply"):
        source, constant = constant, source
    if _is_constant(source):
        return None
    value = _constant(graph, constant)
    if value is not None and value.ndim == len(shape) and len(value) != 1:  # which tells samples apart
        return None
    return None if value is None else [(_ARITHMETIC[name].__name__, _by_feature(value, shape))]


def _is_constant(value: Any) -> bool:
    return not isinstance(value, fx.Node) or value.op == "get_attr"


def _constant(graph: fx.GraphModule, constant: Any) -> torch.Tensor | None:
    if isinstance(constant, int | float):
        return torch.tensor(float(constant), dtype=torch.float64)
    if isinstance(constant, fx.Node) and constant.op == "get_attr":
        owner, _, name = str(constant.target).rpartition(".")
        value = getattr(graph.get_submodule(owner), name)
        return value.detach() if isinstance(value, torch.Tensor) else None
    return None


def _by_feature(value: torch.Tensor, shape: Ints) -> Doubles:
    return np.asarray(value.double().expand(1, *shape[1:]).reshape(-1).numpy())


def _norm(norm: Any, shape: Ints) -> list[tuple[str, Doubles]] | None:
    """A batch norm before the first layer is a scaler as well."""
    if norm.running_mean is None or norm.running_var is None:
        return None
    places = (-1, *[1] * (len(shape) - 2))

    def spread(value: torch.Tensor) -> Doubles:
        return _by_feature(value.reshape(places), shape)

    root = (norm.running_var.double() + norm.eps).sqrt()
    gain = root.new_ones(len(root)) if norm.weight is None else norm.weight.detach().double()
    start = root.new_zeros(len(root)) if norm.bias is None else norm.bias.detach().double()
    scale = gain / root
    return [("mul", spread(scale)), ("add", spread(start - norm.running_mean.double() * scale))]


def _scaler(steps: list[tuple[str, Doubles]]) -> Scaler:
    names = tuple(name for name, _ in steps)
    ones = np.ones_like(steps[0][1])
    standard: dict[tuple[str, ...], Callable[[], tuple[Doubles, Doubles]]] = {
        ("sub", "truediv"): lambda: (steps[0][1], steps[1][1]),
        ("truediv",): lambda: (0 * ones, steps[0][1]),
        ("sub",): lambda: (steps[0][1], ones),
    }
    if names in standard:
        offset, factor = standard[names]()
        return Scaler("standard", _short(offset), _short(factor))
    factor, offset = ones, 0 * ones
    for name, value in steps:
        if name in ("mul", "truediv"):
            factor, offset = (_ARITHMETIC[name](part, value) for part in (factor, offset))
        else:
            offset = _ARITHMETIC[name](offset, value)
    return Scaler("minmax", _short(offset), _short(factor))


def _short(values: Doubles) -> Any:
    """One number where all are alike, in float32."""
    with np.errstate(over="ignore", divide="ignore"):
        single = values.astype(np.float32)
    return single[:1] if (single == single[0]).all() else single
