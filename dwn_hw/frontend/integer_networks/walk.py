"""Walks along the graph of a model: each operation becomes a step of a trained network, or a problem."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import fx

from dwn_hw import ir
from dwn_hw.errors import IRError
from dwn_hw.frontend.integer_networks import read_discretizers, read_lut_layers, vector_quantisation
from dwn_hw.frontend.integer_networks.operations import KIND_OF, KNOWN, REMEDIES, REMEDY
from dwn_hw.frontend.integer_networks.read_layers import pair, read_layer, read_linear
from dwn_hw.frontend.integer_networks.trained_network import (
    LINEAR_LAYERS,
    SHIFT_LAYERS,
    Clamp,
    Doubles,
    FixedPoint,
    Levels,
    Scaled,
    Table,
    TrainedStep,
    Weighted,
    holds,
)
from dwn_hw.frontend.module_state import Findings
from dwn_hw.ir.edges import Ints
from dwn_hw.nn.dab import Bernoulli, KMeans, Sort, TopK

#: The samples of the run that finds shapes.
BATCH = 2

#: The grid to which the ends of a clamp are rounded, and the bits that are kept of those that are small.
_CLAMP, _CLAMP_BITS = -16, 16

_POOL_ARGUMENTS = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")


def floating(module: torch.nn.Module) -> torch.dtype:
    """The floating point that a module computes in: its first parameter's that has one, as wires of look-up tables have not."""
    return next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)


class Walk:
    """The nodes of a graph in order, each made a step, or a problem."""

    def __init__(
        self,
        module: torch.nn.Module,
        graph: fx.GraphModule,
        shapes: dict[fx.Node, Ints],
        found: Findings,
        scaler: Collection[fx.Node] = (),
    ) -> None:
        self.module, self.graph, self.shapes, self.found, self.scaler = module, graph, shapes, found, scaler
        self.made: list[TrainedStep] = []
        self.functions: dict[int, _Function] = {}  # what a step does to numbers, by its place, for those before a step
        self.classifies = True
        self.left_out: list[str] = []
        self.refused: set[str] = set()  # the parts that have been named
        self.ended = ""  # the softmax, after which nothing may come
        self.chosen: list[fx.Node] = []  # the arg-max of one row at the end, which every classifying network has

    def run(self) -> None:
        """Make the steps, and find all problems."""
        last: fx.Node | None = None
        for node in self.graph.graph.nodes:
            if node.op == "placeholder" and node in self.shapes and last is None:
                last = node
            elif node.op == "output":
                self._end(node, last)
            elif node in self.shapes and node.op in ("call_module", "call_function", "call_method"):
                if node not in self.scaler:
                    self._one(node, last)
                last = node

    def _one(self, node: fx.Node, last: fx.Node | None) -> None:
        name, part, module = self._name(node)
        kind = KIND_OF.get(name)
        if kind is None:
            owner = self._owner(node) if module is None else None
            got = f"{name}" if module is None else f"a layer {name}"
            if owner is not None:  # of which each operation inside says nothing that the layer's name does not
                part, got = owner, f"a layer {type(self.module.get_submodule(owner)).__name__} (it does {name})"
            if part not in self.refused:
                self.found.add(part, f"a network must be a chain of {KNOWN}", got, REMEDIES.get(name, REMEDY))
            self.refused.add(part)
            return
        if [i for i in node.all_input_nodes if i in self.shapes] != [last]:
            rule, remedy = "must read what comes before it, and nothing else", REMEDIES["add"]
            self.found.add(part, rule, f"{', '.join(map(str, node.all_input_nodes))}", remedy)
        if self.ended and kind not in ("dropout", "reshape"):
            self.found.add(self.ended, "must come last", f"{part} behind it", "Leave it out of forward.")
        assert last is not None
        getattr(self, f"_{kind}")(node, part, module, self.shapes[last][1:])

    def _owner(self, node: fx.Node) -> str | None:
        """The outermost layer of the user's own, with no layer that sums in it, that an operation stands in; None for none."""
        for path, _ in node.meta.get("nn_module_stack", {}).values():
            if path and not holds(self.module.get_submodule(path), (*SHIFT_LAYERS, *LINEAR_LAYERS)):
                return str(path)
        return None

    def _name(self, node: fx.Node) -> tuple[str, str, torch.nn.Module | None]:
        """The name of what a node does, the part of the model for a message, and the layer if it is one."""
        if node.op == "call_module":
            module = self.module.get_submodule(str(node.target))
            return type(module).__name__, str(node.target), module
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
        return name.lstrip("_"), f"{node.name} in forward", None

    def _end(self, node: fx.Node, last: fx.Node | None) -> None:
        if node.args[0] is not last or last is None:
            rule, remedy = "must return the result of its last operation", "Return one tensor of scores."
            self.found.add("forward", rule, f"{node.args[0]}", remedy)
            return
        steps = [step for step in self.made if not isinstance(step, ir.Reshape)]
        if self.chosen and isinstance(self.made[-1], ir.ArgMax):
            self.made.pop()
            self.classifies = True
            return
        self.chosen = []
        row = len(self.shapes[last]) == 2
        scores = bool(self.ended) or isinstance(steps[-1] if steps else None, Weighted | Scaled | ir.Relu | ir.GroupSum)
        self.classifies = row and scores
        if self.ended and not row:
            got, remedy = f"samples of shape {self.shapes[last][1:]} at the end", "Leave it out of forward."
            self.found.add(self.ended, "must give one row of scores", got, remedy)

    def _shift(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        if "Linear" in type(module).__name__ and len(before) != 1:
            got, remedy = f"samples of shape {before}", "Flatten before it: torch.flatten(x, 1)."
            self.found.add(part, "must read one row of numbers a sample", got, remedy)
        self._weighted(read_layer(part, module, self.found))

    def _linear(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        if module is None:
            self.found.add(part, "must be a layer", "a function with weights", "Write it as torch.nn.Linear or Conv2d.")
            return
        if isinstance(module, torch.nn.Linear) and len(before) != 1:
            got, remedy = f"samples of shape {before}", "Flatten before it: torch.flatten(x, 1)."
            self.found.add(part, "must read one row of numbers a sample", got, remedy)
        self._weighted(read_linear(part, module, self.found))

    def _weighted(self, layer: Weighted | None) -> None:
        """A layer that sums; levels before it are the format of what it reads."""
        if layer is None:
            return
        steps = [s for s in self.made if not isinstance(s, ir.Reshape | ir.MaxPool2d | ir.Sort)]
        if steps and isinstance(steps[-1], Levels):
            layer = replace(layer, own=steps[-1].grid, discrete=True)
        elif steps and isinstance(steps[-1], ir.CompareToMean | ir.LutLayer | ir.Thermometer):
            layer = replace(layer, own=FixedPoint(0, 0, 1), discrete=True)
        elif steps and isinstance(steps[-1], ir.Codebook):
            held = [value for row in steps[-1].values for value in row]
            layer = replace(layer, own=FixedPoint(steps[-1].lsb, min(held), max(held)), discrete=True)
        self.made.append(layer)

    def _smooth(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        chain = [*self._chain(part), _function(self.graph, node)]
        smooth = self._composed(chain)
        self.functions[len(self.made)] = smooth
        self.made.append(Table(part, self._name(node)[0], smooth))

    def _clamp(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        ends = _ends(node, module)
        if ends is None:
            got, remedy = "ends that are no numbers", "Say clamp(x, -1, 1)."
            self.found.add(part, "must clamp to numbers", got, remedy)
            return
        low, high = (end if math.isinf(end) else _short(end) for end in ends)
        self._pointwise(Clamp(low, high), node)

    def _pointwise(self, step: TrainedStep, node: fx.Node) -> None:
        """A step that does the same to each number, or to those of a channel."""
        self.functions[len(self.made)] = _function(self.graph, node)
        self.made.append(step)

    def _discretizer(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        if isinstance(module, Bernoulli) and not module.deterministic and len(before) > 1:
            got, remedy = f"samples of shape {before}", "Flatten before it, or take deterministic=True."
            self.found.add(part, "must draw for one row of numbers a sample", got, remedy)
        if isinstance(module, KMeans) and module.width > 1 and read_discretizers.is_ours(module):
            self.made += vector_quantisation.steps(part, module, before, self.found)
            return
        read = read_discretizers.read(part, module, self._composed(self._chain(part)), self.found)
        if read is not None:
            self.made.append(read)

    def _chain(self, part: str) -> list[_Function]:
        """What stands between the last sum and here, taken out: its bias, batch norm, functions of one number."""
        chain: list[_Function] = []
        while self.made and len(self.made) - 1 in self.functions:
            chain.insert(0, self.functions.pop(len(self.made) - 1))
            self.made.pop()
        if not self._behind_sums(part):
            return chain
        layer = self.made[-1]
        if isinstance(layer, Weighted) and layer.low is None and layer.bias.any():
            bias = layer.bias.astype(self._dtype())
            chain.insert(0, lambda x: np.asarray(x + bias.reshape(-1, *[1] * (x.ndim - 2)), x.dtype))
            self.made[-1] = replace(layer, bias=np.zeros_like(layer.bias))
        return chain

    def _behind_sums(self, part: str) -> bool:
        """Whether a layer that sums was met; else a problem: the port's own rounding would come before what ``part`` does."""
        found = any(isinstance(step, Weighted) for step in self.made)
        if not found:
            remedy = "Put a layer that sums before it, or a thermometer."
            self.found.add(part, "must stand behind a layer that sums", "none before it", remedy)
        return found

    def _composed(self, chain: list[_Function]) -> _Function:
        """The functions of ``chain`` one after the other, in the model's own arithmetic."""
        kind = self._dtype()

        def smooth(x: Doubles) -> Doubles:
            value: Any = x.astype(kind)
            for function in chain:
                value = function(value)
            return np.asarray(value, np.float64)

        return smooth

    def _dtype(self) -> Any:
        """The model's own floating point."""
        return np.dtype(str(floating(self.module)).rpartition(".")[2])

    def _sort(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        if not isinstance(module, Sort | TopK) or not read_discretizers.is_ours(module):
            remedy = f"Take dwn_hw.nn.dab.{type(module).__name__}."
            self.found.add(part, "must be the layer of dwn_hw.nn.dab", "another class of that name", remedy)
            return
        if module.axes == "flat" and len(before) > 1:
            self.made.append(ir.Reshape((math.prod(before),)))
        last = len(before) - 1
        axes = {"flat": (0,), "last": (last,), "rows and columns": (last, last - 1)}[module.axes]
        self.made.append(ir.Sort(axes, module.first or 0, bool(module.descending)))

    def _mean(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        if not read_discretizers.is_ours(module) and not read_discretizers.compares_to_mean(module, before):
            remedy = "Take dwn_hw.nn.dab.BinaryByMean, or another name."
            self.found.add(part, "must give x ≥ mean(x) of a sample as 0 or 1", "something else on probes", remedy)
        self._behind_sums(part)
        self.made.append(ir.CompareToMean())

    def _argmax(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        dim = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
        if dim not in (-1, len(before)):
            self.found.add(part, "must be along the last axis", f"dim={dim}", "Say argmax(dim=-1).")
        self.made.append(ir.ArgMax())
        self.chosen = [node] if len(before) == 1 else []
        if len(before) > 1 and len(self.shapes[node]) == len(before) + 1:  # keepdim
            self.made.append(ir.Reshape(self.shapes[node][1:]))

    def _thermometer(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        if len(before) != 1:
            got, remedy = f"samples of shape {before}", "Flatten before it: torch.flatten(x, 1)."
            self.found.add(part, "must read one row of numbers a sample", got, remedy)
            return
        smooth = self._composed(self._chain(part))
        self.made += read_lut_layers.thermometer(part, module, smooth, before, self.found)
        if len(self.shapes[node]) > 2:  # (samples, features, bits), which the next layer has flattened
            self.made.append(ir.Reshape(self.shapes[node][1:]))

    def _luts(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        self.made += read_lut_layers.lut_layer(part, module, before, self.found)

    def _vote(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        self.made += read_lut_layers.group_sum(part, module, before, self.found)

    def _relu(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        self._pointwise(ir.Relu(), node)

    def _pool(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        if module is None:
            options = dict(zip(_POOL_ARGUMENTS, node.args[1:], strict=False)) | dict(node.kwargs)
        else:
            options = {name: getattr(module, name) for name in _POOL_ARGUMENTS}
        kernel = pair(options["kernel_size"])
        stride = kernel if options.get("stride") in (None, [], ()) else pair(options["stride"])
        try:
            pool = ir.MaxPool2d(kernel, stride, pair(options.get("padding", 0)), pair(options.get("dilation", 1)))
            shape = pool.output(ir.Edge(before, (ir.BIT,))).shape
        except IRError as error:
            self.found.add(part, "must be a max pool of images", error.problems[0].got, error.problems[0].rule + ".")
            return
        if shape != self.shapes[node][1:]:
            got, remedy = "ceil_mode=True, which does", "Pad the image, or train without ceil_mode."
            self.found.add(part, "must not reach beyond the image's rim", got, remedy)
        self.made.append(pool)

    def _reshape(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        samples, *shape = self.shapes[node]
        if node.target in ("squeeze", torch.squeeze) and len(node.args) == 1 and not node.kwargs:
            self.found.add(part, "must keep samples apart", "squeeze without an axis", "Say x.squeeze(1).")
        elif samples != BATCH or not shape:
            got, remedy = f"shape {self.shapes[node]} for {BATCH} samples", "Say x.view(x.size(0), -1)."
            self.found.add(part, "must keep samples apart", got, remedy)
        elif tuple(shape) != before:
            self.made.append(ir.Reshape(tuple(shape)))

    def _dropout(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        """Leave dropout out, which does nothing at inference."""

    def _random(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        training = node.kwargs.get("training", node.args[2] if len(node.args) > 2 else True)
        if training:
            remedy = "Say F.dropout(x, training=self.training)."
            self.found.add(part, "must do nothing at inference", "F.dropout without training=", remedy)

    def _softmax(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        dim = getattr(module, "dim", node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None))
        if dim not in (None, 1, -1) or len(before) != 1:
            got = f"dim={dim} of samples of shape {before}"
            self.found.add(part, "must be of the scores of one sample", got, "Say dim=1.")
        self.ended = part
        self.left_out.append(f"{self._name(node)[0]} (keeps the order of scores)")

    def _norm(self, node: fx.Node, part: str, module: Any, before: Ints) -> None:
        if module.running_mean is None or module.running_var is None:
            remedy = "Train with track_running_stats=True."
            self.found.add(part, "must have fixed statistics at inference", "none kept", remedy)
            return
        if not any(isinstance(step, Weighted) for step in self.made):
            remedy = "Take it out, and say --normalize MEAN,STD."
            self.found.add(part, "batch norm must stand behind a layer that sums", "none before it", remedy)
            return
        mean, variance = (v.double().numpy() for v in (module.running_mean, module.running_var))
        ones = np.ones_like(mean)
        gain = ones if module.weight is None else module.weight.detach().double().numpy()
        start = 0 * ones if module.bias is None else module.bias.detach().double().numpy()
        scale = gain / np.sqrt(variance + module.eps)
        offset = start - mean * scale
        if not (np.isfinite(scale).all() and np.isfinite(offset).all()):
            self.found.add(part, "scales and offsets must be finite", "NaN or infinity", "Train again.")
            return
        self._pointwise(Scaled(part, scale, offset), node)


#: A function of an array in the model's dtype, (samples, *shape).
_Function: TypeAlias = Callable[[Any], Any]


def _short(end: float) -> float:
    """The end of a clamp on a grid that hardware can have."""
    lsb = min(_CLAMP, math.frexp(end)[1] - _CLAMP_BITS)
    return math.ldexp(round(math.ldexp(end, -lsb)), lsb)


def _ends(node: fx.Node, module: Any) -> tuple[float, float] | None:
    """The two ends of a clamp; None where they are no numbers."""
    name = type(module).__name__ if module is not None else getattr(node.target, "__name__", str(node.target))
    if name in ("ReLU6", "relu6"):
        return 0.0, 6.0
    if module is not None:
        return float(module.min_val), float(module.max_val)
    names = ("min_val", "max_val") if name == "hardtanh" else ("min", "max")
    given = dict(zip(names, node.args[1:], strict=False)) | dict(node.kwargs)
    defaults = (-1.0, 1.0) if name == "hardtanh" else (None, None)
    ends: list[Any] = [given.get(key, default) for key, default in zip(names, defaults, strict=True)]
    if not all(end is None or (isinstance(end, int | float) and not math.isnan(end)) for end in ends):
        return None
    low, high = ends
    return -math.inf if low is None else float(low), math.inf if high is None else float(high)


def _function(graph: fx.GraphModule, node: fx.Node) -> _Function:
    """What a node does to its one tensor."""
    source = node.all_input_nodes[0]

    def call(x: Any) -> Any:
        given = torch.from_numpy(np.ascontiguousarray(x))
        args: Any = fx.node.map_arg(node.args, lambda n: given if n is source else n)
        kwargs: Any = fx.node.map_arg(node.kwargs, lambda n: given if n is source else n)
        with torch.no_grad():
            if node.op == "call_module":
                return graph.get_submodule(str(node.target))(*args, **kwargs).numpy()
            if node.op == "call_method":
                return getattr(args[0], str(node.target))(*args[1:], **kwargs).numpy()
            assert callable(node.target)
            return node.target(*args, **kwargs).numpy()

    return call
